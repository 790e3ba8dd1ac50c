//! tanh against expm1 in f64.

use crate::common::ops::Parameter;
use crate::unary::{Unary, tested_floats};
use wasm_bindgen_test::wasm_bindgen_test;

const TANH: Unary = Unary {
    name: "tanh",
    p: Parameter::None,
};

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn tanh_is_within_one_and_a_half_ulp_of_the_real_value_over_all_binades() {
    TANH.is_within_its_bound(&tested_floats()).await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn tanh_backward_is_within_four_and_a_half_ulp_of_the_real_value() {
    TANH.gradient_is_within_its_bound(&tested_floats()).await;
    TANH.gradient_is_within_its_bound_for_the_largest_and_smallest()
        .await;
}

#[cfg(not(target_family = "wasm"))]
#[test]
#[ignore = "all 2^32 floats, forward and backward: minutes"]
fn tanh_is_within_its_bounds_at_every_float() {
    TANH.is_within_its_bounds_at_every_float();
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn limits_are_exact_and_zeros_keep_their_sign() {
    TANH.gives(&[
        [f32::NEG_INFINITY, -1.0, 0.0],
        [-0.0, -0.0, 1.0],
        [0.0, 0.0, 1.0],
        [1e-20, 1e-20, 1.0],
        [f32::INFINITY, 1.0, 0.0],
    ])
    .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn nans_of_every_kind_come_out_as_nans() {
    TANH.nans_of_every_kind_come_out_as_nans().await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn every_length_and_every_way_in_gives_the_same_bits_and_writes_nothing_else() {
    TANH.every_length_and_every_way_in_gives_the_same_bits()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn half_precision_is_the_rounded_single_precision_result() {
    TANH.half_precision_is_the_rounded_single_precision_result()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_gradient_is_the_slope_of_the_function() {
    TANH.gradient_is_the_slope_of_the_rounded_function().await;
}
