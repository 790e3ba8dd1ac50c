//! The sigmoid against 1 / (1 + e⁻ˣ) in f64.

use crate::common::ops::Parameter;
use crate::unary::{Unary, tested_floats};
use wasm_bindgen_test::wasm_bindgen_test;

const SIGMOID: Unary = Unary {
    name: "sigmoid",
    p: Parameter::None,
};

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn sigmoid_is_within_two_ulp_of_the_real_value_over_all_binades() {
    SIGMOID.is_within_its_bound(&tested_floats()).await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn sigmoid_backward_is_within_four_and_a_half_ulp_of_the_real_value() {
    SIGMOID.gradient_is_within_its_bound(&tested_floats()).await;
    SIGMOID
        .gradient_is_within_its_bound_for_the_largest_and_smallest()
        .await;
}

#[cfg(not(target_family = "wasm"))]
#[test]
#[ignore = "all 2^32 floats, forward and backward: minutes"]
fn sigmoid_is_within_its_bounds_at_every_float() {
    SIGMOID.is_within_its_bounds_at_every_float();
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn limits_are_exact() {
    SIGMOID
        .gives(&[
            [f32::NEG_INFINITY, 0.0, 0.0],
            [0.0, 0.5, 0.25],
            [f32::INFINITY, 1.0, 0.0],
        ])
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn nans_of_every_kind_come_out_as_nans() {
    SIGMOID.nans_of_every_kind_come_out_as_nans().await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn every_length_and_every_way_in_gives_the_same_bits_and_writes_nothing_else() {
    SIGMOID
        .every_length_and_every_way_in_gives_the_same_bits()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn half_precision_is_the_rounded_single_precision_result() {
    SIGMOID
        .half_precision_is_the_rounded_single_precision_result()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_gradient_is_the_slope_of_the_function() {
    SIGMOID.gradient_is_the_slope_of_the_function().await;
}
