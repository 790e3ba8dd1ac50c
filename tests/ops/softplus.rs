//! Softplus against ln(1 + eˣ) in f64.

use crate::common::ops::Parameter;
use crate::unary::{Unary, tested_floats};
use wasm_bindgen_test::wasm_bindgen_test;

const SOFTPLUS: Unary = Unary {
    name: "softplus",
    p: Parameter::None,
};

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn softplus_is_within_two_and_a_half_ulp_of_the_real_value_over_all_binades() {
    SOFTPLUS.is_within_its_bound(&tested_floats()).await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn softplus_backward_is_within_three_ulp_of_the_real_value() {
    SOFTPLUS
        .gradient_is_within_its_bound(&tested_floats())
        .await;
    SOFTPLUS
        .gradient_is_within_its_bound_for_the_largest_and_smallest()
        .await;
}

#[cfg(not(target_family = "wasm"))]
#[test]
#[ignore = "all 2^32 floats, forward and backward: minutes"]
fn softplus_is_within_its_bounds_at_every_float() {
    SOFTPLUS.is_within_its_bounds_at_every_float();
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn limits_are_exact() {
    SOFTPLUS
        .gives(&[
            [f32::NEG_INFINITY, 0.0, 0.0],
            [0.0, std::f32::consts::LN_2, 0.5],
            [200.0, 200.0, 1.0],
            [f32::INFINITY, f32::INFINITY, 1.0],
        ])
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn nans_of_every_kind_come_out_as_nans() {
    SOFTPLUS.nans_of_every_kind_come_out_as_nans().await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn every_length_and_every_way_in_gives_the_same_bits_and_writes_nothing_else() {
    SOFTPLUS
        .every_length_and_every_way_in_gives_the_same_bits()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn half_precision_is_the_rounded_single_precision_result() {
    SOFTPLUS
        .half_precision_is_the_rounded_single_precision_result()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_gradient_is_the_slope_of_the_function() {
    SOFTPLUS.gradient_is_the_slope_of_the_function().await;
}
