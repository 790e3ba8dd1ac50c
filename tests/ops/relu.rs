//! ReLU, which is exact.

use crate::common::gpu_async;
use crate::common::ops::Parameter;
use crate::unary::{Unary, tested_floats};
use wasm_bindgen_test::wasm_bindgen_test;

const RELU: Unary = Unary {
    name: "relu",
    p: Parameter::None,
};

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_gradient_from_the_output_is_the_one_from_the_input() {
    RELU.gradient_from_the_output_is_the_one_from_the_input()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn relu_and_its_gradient_are_exact() {
    let gpu = gpu_async().await;
    let x = tested_floats();
    RELU.is_within_its_bound(&x).await;
    let dy: Vec<f32> = x.iter().rev().copied().collect();
    let tensors = [&x, &dy].map(|values| gpu.tensor(values, [values.len()]).unwrap());
    let y = tensors[0].relu().unwrap().read().await.unwrap();
    let dx = tensors[0].relu_backward(&tensors[1]).unwrap();
    let dx = dx.read().await.unwrap();
    for (((x, dy), y), dx) in x.into_iter().zip(dy).zip(y).zip(dx) {
        let expected = if x > 0.0 { [x, dy] } else { [0.0; 2] };
        for (actual, expected) in [y, dx].into_iter().zip(expected) {
            let is_flushed = actual == 0.0 && expected.abs() < f32::MIN_POSITIVE;
            let is_nan = x.is_nan() || expected.is_nan();
            assert!(
                if is_nan {
                    actual.is_nan()
                } else {
                    actual == expected || is_flushed
                },
                "at {x:e}, dy = {dy:e}: {actual:e}, not {expected:e}"
            );
        }
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn limits_are_exact() {
    RELU.gives(&[
        [f32::NEG_INFINITY, 0.0, 0.0],
        [-1.0, 0.0, 0.0],
        [0.0, 0.0, 0.0],
        [3.0, 3.0, 1.0],
        [f32::INFINITY, f32::INFINITY, 1.0],
    ])
    .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn nans_of_every_kind_come_out_as_nans() {
    RELU.nans_of_every_kind_come_out_as_nans().await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn every_length_and_every_way_in_gives_the_same_bits_and_writes_nothing_else() {
    RELU.every_length_and_every_way_in_gives_the_same_bits()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn half_precision_is_the_rounded_single_precision_result() {
    RELU.half_precision_is_the_rounded_single_precision_result()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_gradient_is_the_slope_of_the_function() {
    RELU.gradient_is_the_slope_of_the_function().await;
}
