//! Leaky ReLU against x and a multiple of it in f64.

use crate::common::gpu_async;
use crate::common::ops::Parameter;
use crate::unary::{Unary, tested_floats};
use wasm_bindgen_test::wasm_bindgen_test;

/// Keras's default, PyTorch's, none, a mirror, and one with all mantissa bits.
const SLOPES: [f64; 5] = [0.2, 0.01, 0.0, -1.0, 1.999_999_9];

fn leaky_relu(slope: f64) -> Unary {
    Unary {
        name: "leaky_relu",
        p: Parameter::Constant("negative_slope", slope),
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn leaky_relu_is_within_half_an_ulp_of_the_real_value_for_every_slope() {
    for slope in SLOPES {
        leaky_relu(slope)
            .is_within_its_bound(&tested_floats())
            .await;
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn leaky_relu_backward_is_within_half_an_ulp_of_the_real_value() {
    for slope in SLOPES {
        leaky_relu(slope)
            .gradient_is_within_its_bound(&tested_floats())
            .await;
        leaky_relu(slope)
            .gradient_is_within_its_bound_for_the_largest_and_smallest()
            .await;
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_gradient_from_the_output_is_the_one_from_the_input_unless_the_slope_is_negative() {
    for slope in SLOPES.into_iter().filter(|&slope| slope >= 0.0) {
        leaky_relu(slope)
            .gradient_from_the_output_is_the_one_from_the_input()
            .await;
    }
}

#[cfg(not(target_family = "wasm"))]
#[test]
#[ignore = "all 2^32 floats, forward and backward: minutes"]
fn leaky_relu_is_within_its_bounds_at_every_float() {
    leaky_relu(0.2).is_within_its_bounds_at_every_float();
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn limits_are_exact_and_the_derivative_at_zero_is_the_left_one() {
    leaky_relu(0.25)
        .gives(&[
            [f32::NEG_INFINITY, f32::NEG_INFINITY, 0.25],
            [-0.0, -0.0, 0.25],
            [0.0, 0.0, 0.25],
            [f32::INFINITY, f32::INFINITY, 1.0],
        ])
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_slope_of_zero_is_zero_at_minus_infinity() {
    let gpu = gpu_async().await;
    let x = gpu.tensor(&[f32::NEG_INFINITY], [1]).unwrap();
    assert_eq!(x.leaky_relu(0.0).unwrap().read().await.unwrap(), [0.0]);
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn nans_of_every_kind_come_out_as_nans() {
    leaky_relu(0.2).nans_of_every_kind_come_out_as_nans().await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn every_length_and_every_way_in_gives_the_same_bits_and_writes_nothing_else() {
    leaky_relu(0.2)
        .every_length_and_every_way_in_gives_the_same_bits()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn half_precision_is_the_rounded_single_precision_result() {
    leaky_relu(0.2)
        .half_precision_is_the_rounded_single_precision_result()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_gradient_is_the_slope_of_the_function() {
    leaky_relu(0.2)
        .gradient_is_the_slope_of_the_function()
        .await;
}
