//! Convolutions as operations.

use crate::common::golden;
#[cfg(not(target_family = "wasm"))]
use crate::common::reference::{Spec, for_all};
use crate::layer::{self, Layer};
#[cfg(not(target_family = "wasm"))]
use proptest::prelude::*;
use selfnorm::Conv2dOptions;
use selfnorm::nn::Activation::{Elu, Selu};
use selfnorm::nn::Padding;
use wasm_bindgen_test::wasm_bindgen_test;

#[cfg(not(target_family = "wasm"))]
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn conv2d_and_its_gradients_are_the_reference() {
    use selfnorm::nn::Activation::{Linear, Softmax};
    let image = || [1usize..10, 1..10];
    let windows = image().prop_flat_map(|[height, width]| {
        let kernel = [1..=height.min(4), 1..=width.min(4)];
        (Just([height, width]), kernel, [1usize..4, 1..4])
    });
    // Explicit padding is less than the kernel.
    let explicit = [[0usize..4, 0..4], [0usize..4, 0..4]];
    let padding = (0usize..3, explicit);
    let channels = || prop_oneof![1usize..7, Just(8)];
    let activation = prop::sample::select(vec![Linear, Selu, Softmax]);
    let parts = (channels(), channels(), any::<bool>(), activation);
    let values = (windows, padding, parts, 1usize..4, any::<u64>());
    for_all(30, values, |(windows, padding, parts, batch, seed)| {
        let ([height, width], kernel, strides) = windows;
        let (kind, explicit) = padding;
        let [before, after] = explicit.map(|side| [0, 1].map(|d| side[d].min(kernel[d] - 1)));
        let explicit = Padding::Explicit { before, after };
        let padding = [Padding::Valid, Padding::Same, explicit][kind];
        let (channels, filters, bias, activation) = parts;
        let spec = Spec::Conv2d {
            filters,
            kernel,
            strides,
            padding,
            bias,
            activation,
        };
        let input = vec![height, width, channels];
        pollster::block_on(layer::check(input, spec, batch, seed));
    });
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn conv2d_and_its_gradients_are_keras_s() {
    let valid = Conv2dOptions::new();
    let same = valid.padding(Padding::Same).strides([2, 2]);
    for (name, options, activation) in [
        ("conv2d_valid", valid, Selu),
        ("conv2d_same_stride2", same, Elu(1.0)),
    ] {
        layer::check_golden(&golden(name), Layer::Conv2d(options), activation).await;
    }
}
