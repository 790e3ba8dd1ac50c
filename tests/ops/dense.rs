//! Dense layers as operations.

use crate::common::golden;
use crate::common::reference::{Spec, for_all};
use crate::layer::{self, Layer};
use proptest::prelude::*;
use selfnorm::nn::Activation::{self, Linear, Selu, Softmax, Tanh};

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
        check(input, units, bias, activation, batch, seed);
    });
}

/// Few sums, each of many products: they are cut into chunks.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn long_sums_are_the_reference() {
    check(vec![2000], 3, true, Selu, 2, 1);
    check(vec![1600], 8, false, Selu, 1, 2);
    check(vec![301, 3], 2, true, Linear, 3, 3);
    check(vec![8], 1024, true, Softmax, 3, 4);
}

fn check(
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
    layer::check(input, spec, batch, seed);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn dense_and_its_gradients_are_keras_s() {
    for (name, activation) in [("dense", Linear), ("dense_rank4", Selu)] {
        layer::check_golden(&golden(name), Layer::Dense, activation);
    }
}
