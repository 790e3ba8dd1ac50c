//! SiLU against x / (1 + e⁻ˣ) in f64.

use crate::common::ops::Parameter;
use crate::unary::{Unary, tested_floats};
use wasm_bindgen_test::wasm_bindgen_test;

const SILU: Unary = Unary {
    name: "silu",
    p: Parameter::None,
};

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn silu_is_within_three_ulp_of_the_real_value_over_all_binades() {
    SILU.is_within_its_bound(&tested_floats()).await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn silu_backward_is_within_five_ulp_of_the_real_value_or_of_an_eighth_of_the_gradient() {
    SILU.gradient_is_within_its_bound(&tested_floats()).await;
    SILU.gradient_is_within_its_bound_for_the_largest_and_smallest()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn silu_backward_is_within_five_ulp_of_the_real_value_below_minus_three() {
    SILU.gradient_has_no_floor_below(-3.0).await;
}

#[cfg(not(target_family = "wasm"))]
#[test]
#[ignore = "all 2^32 floats, forward and backward: minutes"]
fn silu_is_within_its_bounds_at_every_float() {
    SILU.is_within_its_bounds_at_every_float();
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn limits_are_exact() {
    SILU.gives(&[
        [f32::NEG_INFINITY, 0.0, 0.0],
        [0.0, 0.0, 0.5],
        [200.0, 200.0, 1.0],
        [f32::INFINITY, f32::INFINITY, 1.0],
    ])
    .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn nans_of_every_kind_come_out_as_nans() {
    SILU.nans_of_every_kind_come_out_as_nans().await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn every_length_and_every_way_in_gives_the_same_bits_and_writes_nothing_else() {
    SILU.every_length_and_every_way_in_gives_the_same_bits()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn half_precision_is_the_rounded_single_precision_result() {
    SILU.half_precision_is_the_rounded_single_precision_result()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_gradient_is_the_slope_of_the_function() {
    SILU.gradient_is_the_slope_of_the_function().await;
}
