//! ELU against x and α(eˣ − 1) in f64, whose own error is below a millionth of an f32's ulp.

use crate::common::ops::Parameter;
use crate::common::{all_floats, gpu_async, special};
use crate::unary::Unary;
use wasm_bindgen_test::wasm_bindgen_test;

/// Keras's default, the golden values' others, one with all mantissa bits, and the odd ones.
const ALPHAS: [f64; 7] = [1.0, 0.25, 1.5, 1.999_999_9, 0.7, 0.0, -3.3];

fn elu(alpha: f64) -> Unary {
    Unary {
        name: "elu",
        p: Parameter::Constant("alpha", alpha),
    }
}

fn tested_floats() -> Vec<f32> {
    let mut x = all_floats(11, 4093);
    x.extend(special());
    x
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn elu_is_within_two_ulp_of_the_real_value_for_every_alpha() {
    let x = tested_floats();
    for alpha in ALPHAS {
        elu(alpha).is_within_its_bound(&x).await;
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn elu_backward_is_within_two_ulp_of_the_real_value_for_any_gradient() {
    let x = tested_floats();
    for alpha in ALPHAS {
        elu(alpha).gradient_is_within_its_bound(&x).await;
    }
}

#[cfg(not(target_family = "wasm"))]
#[test]
#[ignore = "all 2^32 floats, forward and backward, three alphas: minutes"]
fn elu_is_within_two_ulp_of_the_real_value_at_every_float() {
    for alpha in [1.0, 0.25, 1.5] {
        elu(alpha).is_within_its_bounds_at_every_float();
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_derivative_at_zero_is_the_left_one_and_limits_are_exact() {
    let gpu = gpu_async().await;
    let x = gpu
        .tensor(&[0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY], [4])
        .unwrap();
    let ones = gpu.tensor(&[1.0; 4], [4]).unwrap();
    let y = x.elu(1.5).unwrap().read().await.unwrap();
    assert_eq!(y, [0.0, 0.0, f32::INFINITY, -1.5]);
    assert!(y[1].is_sign_negative());
    assert_eq!(
        x.elu_backward(1.5, &ones).unwrap().read().await.unwrap(),
        [1.5, 1.5, 1.0, 0.0]
    );
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn every_length_and_every_way_in_gives_the_same_bits_and_writes_nothing_else() {
    elu(0.7)
        .every_length_and_every_way_in_gives_the_same_bits()
        .await;
}

#[cfg(not(target_family = "wasm"))]
#[pollster::test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_gradient_beyond_one_binding_and_one_dispatch_is_whole() {
    elu(1.0)
        .gradient_is_whole_beyond_one_binding_and_one_dispatch()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_gradient_is_the_slope_of_the_function() {
    elu(1.5).gradient_is_the_slope_of_the_function().await;
}
