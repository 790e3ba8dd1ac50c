//! ReLU, which is exact.

use crate::common::gpu;
use crate::common::ops::Parameter;
use crate::unary::{Unary, tested_floats};

const RELU: Unary = Unary {
    name: "relu",
    p: Parameter::None,
};

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_gradient_from_the_output_is_the_one_from_the_input() {
    RELU.gradient_from_the_output_is_the_one_from_the_input();
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn relu_and_its_gradient_are_exact() {
    let x = tested_floats();
    RELU.is_within_its_bound(&x);
    let dy: Vec<f32> = x.iter().rev().copied().collect();
    let tensors = [&x, &dy].map(|values| gpu().tensor(values, [values.len()]).unwrap());
    let y = tensors[0].relu().unwrap().to_vec().unwrap();
    let dx = tensors[0].relu_backward(&tensors[1]).unwrap();
    let dx = dx.to_vec().unwrap();
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

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn limits_are_exact() {
    RELU.gives(&[
        [f32::NEG_INFINITY, 0.0, 0.0],
        [-1.0, 0.0, 0.0],
        [0.0, 0.0, 0.0],
        [3.0, 3.0, 1.0],
        [f32::INFINITY, f32::INFINITY, 1.0],
    ]);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn nans_of_every_kind_come_out_as_nans() {
    RELU.nans_of_every_kind_come_out_as_nans();
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn every_length_and_every_way_in_gives_the_same_bits_and_writes_nothing_else() {
    RELU.every_length_and_every_way_in_gives_the_same_bits();
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn half_precision_is_the_rounded_single_precision_result() {
    RELU.half_precision_is_the_rounded_single_precision_result();
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_gradient_is_the_slope_of_the_function() {
    RELU.gradient_is_the_slope_of_the_function();
}
