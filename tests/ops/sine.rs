//! Sine against sin(frequency · x) in f64, where the product is exact.

use crate::common::gpu_async;
use crate::common::ops::Parameter;
use crate::unary::{Unary, tested_floats};
use wasm_bindgen_test::wasm_bindgen_test;

/// The first layer's of SIREN.
const SINE: Unary = sine(30.0);

/// Small and large ones, and one with all mantissa bits.
const FREQUENCIES: [f64; 5] = [1.0, 1e-6, 1e6, 1.999_999_9, 3000.0];

const fn sine(frequency: f64) -> Unary {
    Unary {
        name: "sine",
        p: Parameter::Constant("frequency", frequency),
    }
}

/// Up to 8188.56, where the waves end, and beyond, of both signs, on all of the way.
fn waves(frequency: f64) -> Vec<f32> {
    let waves = |i: i32| f64::from(i) * 0.091_3;
    (-100_000..100_000)
        .map(|i| (waves(i) / frequency) as f32)
        .collect()
}

/// The floats nearest to multiples of π/2, where sine and cosine cancel, and their neighbours.
fn crossings(frequency: f64) -> Vec<f32> {
    (-5300..5300)
        .map(|k| (f64::from(k) * std::f64::consts::FRAC_PI_2 / frequency) as f32)
        .flat_map(|x| [x.next_down(), x, x.next_up()])
        .collect()
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn sine_is_within_three_ulp_of_the_real_value_or_of_a_256th_at_every_frequency() {
    for frequency in [&[30.0][..], &FREQUENCIES].concat() {
        sine(frequency).is_within_its_bound(&tested_floats()).await;
        sine(frequency).is_within_its_bound(&waves(frequency)).await;
        sine(frequency)
            .is_within_its_bound(&crossings(frequency))
            .await;
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn sine_backward_is_within_four_and_a_half_ulp_of_the_real_value_or_of_a_256th_of_the_steepest()
 {
    // SIREN's, and one with 24 bits.
    for frequency in [30.0, 29.743_13] {
        sine(frequency)
            .gradient_is_within_its_bound(&tested_floats())
            .await;
        sine(frequency)
            .gradient_is_within_its_bound(&waves(frequency))
            .await;
        sine(frequency)
            .gradient_is_within_its_bound(&crossings(frequency))
            .await;
    }
    SINE.gradient_is_within_its_bound_for_the_largest_and_smallest()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn no_value_is_beyond_one() {
    let gpu = gpu_async().await;
    // Around crests, of the first to one of the last.
    let crests =
        [1, 147, 1001, 5201].map(|k| (f64::from(k) * std::f64::consts::FRAC_PI_2 / 30.0) as f32);
    let floats = |x: f32| (x.to_bits() - 30_000..x.to_bits() + 30_000).map(f32::from_bits);
    let x: Vec<f32> = crests.into_iter().flat_map(floats).collect();
    let y = gpu.tensor(&x, [x.len()]).unwrap().sine(30.0).unwrap();
    let largest = y
        .read()
        .await
        .unwrap()
        .into_iter()
        .fold(0.0, |a: f32, y| a.max(y.abs()));
    assert_eq!(largest, 1.0);
}

#[cfg(not(target_family = "wasm"))]
#[test]
#[ignore = "all 2^32 floats, forward and backward: minutes"]
fn sine_is_within_its_bounds_at_every_float() {
    SINE.is_within_its_bounds_at_every_float();
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn zeros_keep_their_signs_and_beyond_the_last_crest_nothing_changes() {
    SINE.gives(&[
        [-0.0, -0.0, 30.0],
        [0.0, 0.0, 30.0],
        [273.0, 1.0, 0.0],
        [-273.0, -1.0, 0.0],
        [f32::MAX, 1.0, 0.0],
        [f32::MIN, -1.0, 0.0],
    ])
    .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn infinities_come_out_as_nans() {
    let gpu = gpu_async().await;
    let x = gpu.tensor(&[f32::INFINITY, f32::NEG_INFINITY], [2]);
    let x = x.unwrap();
    let dy = gpu.tensor(&[1.0, 1.0], [2]).unwrap();
    for y in [x.sine(30.0), x.sine_backward(30.0, &dy)] {
        let y = y.unwrap().read().await.unwrap();
        assert!(y.iter().all(|y| y.is_nan()), "{y:?}");
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn nans_of_every_kind_come_out_as_nans() {
    SINE.nans_of_every_kind_come_out_as_nans().await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_frequency_that_is_not_from_a_millionth_to_a_million_is_an_error() {
    let gpu = gpu_async().await;
    let x = gpu.tensor(&[1.0], [1]).unwrap();
    for (frequency, printed) in [
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (0.0, "0.0"),
        (-30.0, "-30.0"),
        (1e7, "10000000.0"),
    ] {
        let error = x.sine(frequency).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("sine: frequency is {printed}, must be from 1e-6 to 1e6")
        );
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn every_length_and_every_way_in_gives_the_same_bits_and_writes_nothing_else() {
    SINE.every_length_and_every_way_in_gives_the_same_bits()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn half_precision_is_the_rounded_single_precision_result() {
    SINE.half_precision_is_the_rounded_single_precision_result()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_gradient_is_the_slope_of_the_function() {
    // Central differences lose frequency² of their digits.
    sine(1.0).gradient_is_the_slope_of_the_function().await;
}
