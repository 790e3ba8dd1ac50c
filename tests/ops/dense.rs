//! Dense layers as operations.

use crate::common::golden;
use crate::common::reference::Spec;
#[cfg(not(target_family = "wasm"))]
use crate::common::reference::for_all;
use crate::layer::{self, Layer};
#[cfg(not(target_family = "wasm"))]
use proptest::prelude::*;
use selfnorm::nn::Activation::{
    self, Elu, Gelu, LeakyRelu, Linear, Relu, Selu, Sigmoid, Silu, Sine, Softmax, Softplus, Tanh,
};
use wasm_bindgen_test::wasm_bindgen_test;

#[cfg(not(target_family = "wasm"))]
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn dense_and_its_gradients_are_the_reference() {
    let extent = || prop_oneof![1usize..20, Just(8), Just(64), Just(72)];
    let leading = prop::collection::vec(1usize..4, 0..3);
    let activation = prop::sample::select(vec![Linear, Selu, Softmax, Tanh]);
    let values = (
        (leading, extent(), extent(), any::<bool>(), activation),
        1usize..18,
        any::<u64>(),
    );
    for_all(30, values, |(parts, batch, seed)| {
        let (mut input, inputs, units, bias, activation) = parts;
        input.push(inputs);
        pollster::block_on(check(input, units, bias, activation, batch, seed));
    });
}

/// Few sums, each of many products: they are cut into chunks.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn long_sums_are_the_reference() {
    check(vec![2000], 3, true, Selu, 2, 1).await;
    check(vec![1600], 8, false, Selu, 1, 2).await;
    check(vec![301, 3], 2, true, Linear, 3, 3).await;
    check(vec![8], 1024, true, Softmax, 3, 4).await;
}

/// In the kernel of the product.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn every_activation_behind_a_product_is_the_reference() {
    for activation in [
        Elu(0.5),
        Relu,
        LeakyRelu(0.2),
        Sigmoid,
        Silu,
        Gelu { approximate: false },
        Gelu { approximate: true },
        Softplus,
        Sine(1.5),
        Linear,
        Selu,
        Softmax,
        Tanh,
    ] {
        check(vec![5], 7, true, activation, 6, 5).await;
    }
}

async fn check(
    input: Vec<usize>,
    units: usize,
    bias: bool,
    activation: Activation,
    batch: usize,
    seed: u64,
) {
    let spec = Spec::Dense {
        units,
        bias,
        activation,
    };
    layer::check(input, spec, batch, seed).await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn dense_and_its_gradients_are_keras_s() {
    for (name, activation) in [("dense", Linear), ("dense_rank4", Selu)] {
        layer::check_golden(&golden(name), Layer::Dense, activation).await;
    }
}
