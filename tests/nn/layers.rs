//! Layers forward and backward, against the f64 reference of `tests/common/reference.rs`: values against
//! their definitions, gradients against central differences of Σ y · dy. Every value must be within
//! 1e-5, relative to it or to its tensor's root mean square; `reference::BOUND` has the reason.
//!
//! The shapes are random, but the same in every run: multiples of nothing, and of the 4, 8, 16, 64
//! and 128 that products are cut by; sums long enough to be cut into chunks; and each in every tiling.
//!
//! Tests of many kernels have devices of their own: a software driver compiles in a thread of the device.

use std::panic::AssertUnwindSafe;

use crate::common::reference::{Case, Spec, conv2d, dense, for_all, max_pool2d};
use crate::common::{gpu, new_gpu};
use proptest::prelude::*;
use selfnorm::Selu;
use selfnorm::nn::Activation::{
    self, Elu, Gelu, LeakyRelu, Linear, Relu, SeluWith, Sigmoid, Silu, Sine, Softmax, Softplus,
    Tanh,
};
use selfnorm::nn::{Conv2d, Dense, Padding, Sequential, Tiling};

const SELU: Activation = Activation::Selu;

const TILINGS: [Tiling; 3] = [Tiling::Registers, Tiling::Subgroups, Tiling::Workgroup];

/// Extents around the tiles' and multiples of 8.
fn extent() -> impl Strategy<Value = usize> {
    prop_oneof![
        3 => 1usize..24,
        2 => prop::sample::select(&[8usize, 16, 24, 64][..]),
        1 => prop::sample::select(&[63usize, 65, 72][..]),
    ]
}

/// Channels and filters.
fn channels() -> impl Strategy<Value = usize> {
    prop_oneof![
        3 => 1usize..10,
        2 => prop::sample::select(&[8usize, 16, 24][..]),
        1 => Just(17),
    ]
}

fn batch() -> impl Strategy<Value = usize> {
    prop::sample::select(&[1usize, 2, 3, 5, 8, 9, 16, 17][..])
}

fn tiling() -> impl Strategy<Value = Tiling> {
    prop::sample::select(&TILINGS[..])
}

fn activation() -> impl Strategy<Value = Activation> {
    let other = SeluWith(Selu {
        alpha: 1.5,
        scale: 0.75,
    });
    prop::sample::select(vec![
        Linear,
        SELU,
        Elu(1.0),
        Elu(0.25),
        Relu,
        Softmax,
        other,
        LeakyRelu(0.2),
        Sigmoid,
        Tanh,
        Silu,
        Gelu { approximate: false },
        Gelu { approximate: true },
        Softplus,
        Sine(1.5),
    ])
}

/// One that ends a network is over two classes or more.
fn at_least_two_for_softmax(outputs: usize, activation: Activation) -> usize {
    match activation {
        Softmax => outputs.max(2),
        _ => outputs,
    }
}

/// Of a window.
fn padding([height, width]: [usize; 2]) -> impl Strategy<Value = Padding> {
    let pair = move || [0..height, 0..width];
    prop_oneof![
        Just(Padding::Valid),
        Just(Padding::Same),
        (pair(), pair()).prop_map(|(before, after)| Padding::Explicit { before, after }),
    ]
}

/// A window that fits: (size, strides, padding)
fn sliding(
    [height, width]: [usize; 2],
) -> impl Strategy<Value = ([usize; 2], [usize; 2], Padding)> {
    let size = |extent: usize| 1..=extent.min(5);
    let sizes = [size(height), size(width)];
    sizes.prop_flat_map(|size| (Just(size), [1usize..4, 1..4], padding(size)))
}

fn image() -> impl Strategy<Value = [usize; 2]> {
    [1usize..14, 1..14]
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn dense_layers_of_any_shape_are_the_reference() {
    let gpu = &new_gpu();
    let shape = prop_oneof![
        4 => extent().prop_map(|inputs| vec![inputs]),
        1 => (1usize..6, extent()).prop_map(|(a, inputs)| vec![a, inputs]),
        1 => (1usize..4, 1usize..4, extent()).prop_map(|(a, b, inputs)| vec![a, b, inputs]),
    ];
    let parts = (shape, extent(), any::<bool>(), activation());
    let values = (parts, batch(), tiling(), any::<u64>());
    for_all(60, values, |(parts, batch, tiling, seed)| {
        let (input, units, bias, activation) = parts;
        let units = at_least_two_for_softmax(units, activation);
        let layer = Spec::Dense {
            units,
            bias,
            activation,
        };
        let case = Case {
            input,
            layers: vec![layer],
            batch,
            tiling,
            seed,
        };
        case.check(gpu, false);
    });
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn convolutions_of_any_shape_strides_and_padding_are_the_reference() {
    let gpu = &new_gpu();
    let windows = image().prop_flat_map(|image| (Just(image), sliding(image)));
    let parts = (windows, channels(), channels(), any::<bool>(), activation());
    let values = (parts, 1usize..6, tiling(), any::<u64>());
    for_all(60, values, |(parts, batch, tiling, seed)| {
        let (windows, channels, filters, bias, activation) = parts;
        let filters = at_least_two_for_softmax(filters, activation);
        let ([height, width], (kernel, strides, padding)) = windows;
        let layer = Spec::Conv2d {
            filters,
            kernel,
            strides,
            padding,
            bias,
            activation,
        };
        let case = Case {
            input: vec![height, width, channels],
            layers: vec![layer],
            batch,
            tiling,
            seed,
        };
        case.check(gpu, false);
    });
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn pools_of_any_shape_strides_and_padding_are_the_reference() {
    let windows = image().prop_flat_map(|image| (Just(image), sliding(image)));
    let values = (windows, channels(), batch(), any::<u64>());
    for_all(40, values, |(windows, channels, batch, seed)| {
        let ([height, width], (pool, strides, padding)) = windows;
        let layer = Spec::MaxPool2d {
            pool,
            strides,
            padding,
        };
        let case = Case {
            input: vec![height, width, channels],
            layers: vec![layer],
            batch,
            tiling: Tiling::Registers,
            seed,
        };
        case.check(gpu(), false);
    });
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn activations_and_dropout_alone_are_the_reference() {
    let layer = prop_oneof![
        2 => activation().prop_map(Spec::Activation),
        1 => prop::sample::select(&[0.05, 0.25, 0.5, 0.9][..]).prop_map(Spec::AlphaDropout),
        1 => prop::sample::select(&[0.05, 0.25, 0.5, 0.9][..]).prop_map(Spec::Dropout),
    ];
    let shape = prop::collection::vec(1usize..12, 1..5);
    let values = (layer, shape, batch(), any::<bool>(), any::<u64>());
    for_all(40, values, |(layer, mut input, batch, training, seed)| {
        if let (Spec::Activation(activation), Some(last)) = (&layer, input.last_mut()) {
            *last = at_least_two_for_softmax(*last, *activation);
        }
        let case = Case {
            input,
            layers: vec![layer],
            batch,
            tiling: Tiling::Registers,
            seed,
        };
        case.check(gpu(), training);
    });
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn average_pools_of_any_shape_strides_and_padding_are_the_reference() {
    let windows = image().prop_flat_map(|image| (Just(image), sliding(image)));
    let values = (windows, channels(), batch(), any::<bool>(), any::<u64>());
    for_all(40, values, |(windows, channels, batch, is_global, seed)| {
        let ([height, width], (pool, strides, padding)) = windows;
        let pool = match is_global {
            true => Spec::GlobalAveragePooling2d,
            false => Spec::AveragePooling2d {
                pool,
                strides,
                padding,
            },
        };
        let case = Case {
            input: vec![height, width, channels],
            layers: vec![pool],
            batch,
            tiling: Tiling::Registers,
            seed,
        };
        case.check(gpu(), false);
    });
}

fn normalization() -> impl Strategy<Value = Spec> {
    prop_oneof![
        Just(Spec::Normalization),
        Just(Spec::LayerNormalization),
        Just(Spec::BatchNormalization { frozen: true }),
        Just(Spec::BatchNormalization { frozen: false }),
    ]
}

/// Batches of several hundred rows, which are measured in pieces, and of one, whose variance is 0.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn normalizations_of_any_shape_are_the_reference() {
    let shape = prop_oneof![
        2 => extent().prop_map(|columns| vec![columns]),
        1 => (1usize..6, extent()).prop_map(|(a, columns)| vec![a, columns]),
        1 => (1usize..9, 1usize..9, 1usize..9).prop_map(|(a, b, columns)| vec![a, b, columns]),
    ];
    let values = (normalization(), shape, batch(), any::<bool>(), any::<u64>());
    for_all(80, values, |(layer, input, batch, training, seed)| {
        let case = Case {
            input,
            layers: vec![layer],
            batch,
            tiling: Tiling::Registers,
            seed,
        };
        case.check(gpu(), training);
    });
}

/// Before and after layers with weights, activations, dropout and pools.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn normalizations_between_layers_are_the_reference() {
    let batch = || Spec::BatchNormalization { frozen: false };
    let frozen = || Spec::BatchNormalization { frozen: true };
    let layer = || Spec::LayerNormalization;
    let act = Spec::Activation;
    let average = Spec::AveragePooling2d {
        pool: [2, 2],
        strides: [2, 1],
        padding: Padding::Same,
    };
    let vectors = [
        vec![Spec::Normalization, dense(9, SELU), batch(), dense(4, SELU)],
        vec![dense(9, SELU), batch(), act(Relu), dense(4, Softmax)],
        vec![
            dense(8, Linear),
            layer(),
            act(SELU),
            Spec::AlphaDropout(0.2),
            dense(3, Linear),
        ],
        vec![batch(), layer(), frozen(), dense(5, SELU)],
        vec![dense(8, SELU), Spec::AlphaDropout(0.2), batch()],
        vec![act(SELU), batch()],
        vec![
            dense(12, SELU),
            Spec::Reshape(vec![3, 4]),
            layer(),
            dense(2, Softmax),
        ],
    ];
    let images = [
        vec![
            conv2d(5, [3, 3], SELU),
            batch(),
            max_pool2d([2, 2]),
            Spec::Flatten,
            dense(3, SELU),
        ],
        vec![
            conv2d(4, [2, 2], Relu),
            average.clone(),
            batch(),
            Spec::GlobalAveragePooling2d,
        ],
        vec![
            conv2d(4, [2, 2], SELU),
            Spec::AlphaDropout(0.2),
            average,
            layer(),
        ],
        vec![
            conv2d(4, [2, 2], SELU),
            Spec::GlobalAveragePooling2d,
            dense(3, Softmax),
        ],
    ];
    let vectors = vectors.map(|layers| (vec![11], layers)).into_iter();
    let images = images.map(|layers| (vec![7, 6, 3], layers));
    for (seed, (input, layers)) in (1..).zip(vectors.chain(images)) {
        let case = Case {
            input,
            layers,
            batch: 2 + seed as usize % 9,
            tiling: TILINGS[seed as usize % TILINGS.len()],
            seed,
        };
        let result = std::panic::catch_unwind(|| {
            case.check(gpu(), true);
            case.check(gpu(), false);
        });
        assert!(result.is_ok(), "{case:?}");
    }
}

/// Sums of some hundred values and more are cut into chunks when there are few of them, so that the
/// device is busy. Forward that takes a long inner axis and few outputs, for the kernel's gradient many
/// positions, for the input's many filters.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn sums_in_chunks_are_the_reference() {
    let gpu = &new_gpu();
    let bare = |units, activation| Spec::Dense {
        units,
        bias: false,
        activation,
    };
    let strided = |filters, kernel, strides, activation| Spec::Conv2d {
        filters,
        kernel,
        strides,
        padding: Padding::Same,
        bias: true,
        activation,
    };
    let cases = [
        (vec![2000], vec![dense(3, SELU)], 2),
        (vec![1999], vec![bare(5, Relu)], 3),
        (vec![2000], vec![dense(8, SELU), Spec::AlphaDropout(0.3)], 1),
        (vec![1600], vec![bare(16, Linear)], 1),
        (vec![3], vec![dense(1201, SELU), dense(2, Softmax)], 2),
        (vec![8], vec![dense(1024, Elu(1.0)), dense(8, SELU)], 3),
        (vec![301, 3], vec![dense(2, SELU)], 3),
        (vec![40, 8], vec![dense(8, SELU)], 16),
        (vec![24, 23, 2], vec![conv2d(2, [3, 3], SELU)], 2),
        (vec![20, 21, 8], vec![conv2d(8, [3, 3], SELU)], 1),
        (vec![9, 9, 40], vec![strided(3, [5, 5], [2, 3], SELU)], 1),
        (vec![9, 8, 64], vec![strided(8, [3, 3], [3, 2], Relu)], 1),
        (
            vec![6, 6, 2],
            vec![conv2d(130, [5, 5], SELU), conv2d(1, [2, 2], Linear)],
            1,
        ),
        (
            vec![5, 5, 8],
            vec![conv2d(128, [3, 3], SELU), strided(8, [3, 3], [1, 1], SELU)],
            1,
        ),
        (
            vec![16, 17, 1],
            vec![
                conv2d(3, [16, 16], SELU),
                Spec::Dropout(0.4),
                Spec::Flatten,
                dense(4, Softmax),
            ],
            2,
        ),
    ];
    for (seed, (input, layers, batch)) in (1..).zip(cases) {
        for tiling in TILINGS {
            let case = Case {
                input: input.clone(),
                layers: layers.clone(),
                batch,
                tiling,
                seed,
            };
            case.check(gpu, true);
        }
    }
}

/// Products whose sides are a large tile's 128, one less, and more: the first three forward, the others in
/// gradients too, with values by fours and one by one, and with chunks.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn large_tiles_are_the_reference() {
    let gpu = &new_gpu();
    let same = |filters, kernel| Spec::Conv2d {
        filters,
        kernel,
        strides: [2, 1],
        padding: Padding::Same,
        bias: true,
        activation: SELU,
    };
    let cases = [
        (vec![9], vec![dense(128, SELU)], 127),
        (vec![9], vec![dense(127, SELU)], 128),
        (vec![9], vec![dense(129, SELU)], 193),
        (vec![140], vec![dense(130, SELU)], 131),
        (
            vec![132],
            vec![dense(260, Linear), Spec::AlphaDropout(0.3)],
            128,
        ),
        (vec![127], vec![dense(141, Elu(0.5)), dense(200, SELU)], 199),
        (vec![7, 6, 15], vec![same(133, [3, 3])], 6),
        (
            vec![5, 5, 8],
            vec![conv2d(129, [2, 2], SELU), same(3, [2, 2])],
            9,
        ),
    ];
    for (seed, (input, layers, batch)) in (1..).zip(cases) {
        let case = Case {
            input,
            layers,
            batch,
            tiling: Tiling::Workgroup,
            seed,
        };
        case.check(gpu, true);
    }
}

/// What is fused differently: each of these takes another way through the stages of a network.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn layers_that_share_kernels_are_the_reference() {
    let gpu = &new_gpu();
    let alpha = Spec::AlphaDropout(0.25);
    let plain = Spec::Dropout(0.3);
    let act = Spec::Activation;
    let vectors: [&[Spec]; 16] = [
        &[dense(9, Linear), act(SELU)],
        &[dense(9, Linear), alpha.clone(), act(SELU), dense(4, SELU)],
        &[dense(9, SELU), act(Relu), dense(5, Linear)],
        &[
            dense(9, SELU),
            alpha.clone(),
            plain.clone(),
            dense(5, Linear),
        ],
        &[act(SELU), dense(7, Relu)],
        &[act(SELU), act(Elu(0.5)), dense(7, Relu)],
        &[alpha.clone(), dense(7, SELU)],
        &[plain.clone(), alpha.clone(), act(SELU)],
        &[act(Softmax), dense(7, SELU)],
        &[dense(6, Softmax), dense(8, SELU)],
        &[dense(6, Softmax), act(SELU), dense(8, Relu), alpha.clone()],
        &[dense(6, SELU), act(Softmax), act(Softmax)],
        &[dense(6, Softmax), plain.clone(), dense(3, Softmax)],
        &[
            Spec::Flatten,
            dense(8, SELU),
            act(Linear),
            dense(16, SELU),
            dense(8, SELU),
        ],
        &[
            dense(8, SELU),
            Spec::Flatten,
            plain.clone(),
            act(Relu),
            dense(5, Softmax),
        ],
        &[act(Linear), dense(5, SELU), plain.clone()],
    ];
    let images: [&[Spec]; 11] = [
        &[
            conv2d(5, [3, 3], SELU),
            alpha.clone(),
            Spec::Flatten,
            dense(7, SELU),
        ],
        &[
            conv2d(8, [3, 3], SELU),
            alpha.clone(),
            Spec::Flatten,
            dense(8, SELU),
            alpha.clone(),
        ],
        &[
            conv2d(5, [3, 3], Elu(1.0)),
            max_pool2d([2, 2]),
            conv2d(3, [2, 2], Elu(1.0)),
            max_pool2d([2, 2]),
        ],
        &[
            conv2d(4, [3, 3], Relu),
            max_pool2d([3, 2]),
            plain.clone(),
            Spec::Flatten,
            dense(3, Softmax),
        ],
        &[
            conv2d(4, [3, 3], Linear),
            max_pool2d([2, 2]),
            act(SELU),
            alpha.clone(),
            conv2d(8, [2, 2], SELU),
        ],
        &[max_pool2d([2, 2]), conv2d(4, [2, 2], SELU)],
        &[max_pool2d([2, 2]), max_pool2d([2, 2]), dense(4, SELU)],
        &[act(SELU), max_pool2d([2, 2]), Spec::Flatten],
        &[
            conv2d(6, [2, 2], SELU),
            plain.clone(),
            max_pool2d([2, 2]),
            dense(5, SELU),
        ],
        &[
            dense(8, SELU),
            conv2d(8, [3, 3], SELU),
            Spec::Flatten,
            dense(3, Linear),
            act(Softmax),
        ],
        &[
            conv2d(6, [3, 3], Softmax),
            max_pool2d([2, 2]),
            dense(3, Softmax),
            Spec::Flatten,
        ],
    ];
    let vectors = vectors
        .into_iter()
        .flat_map(|layers| [vec![11], vec![16], vec![3, 5]].map(|input| (input, layers)));
    let images = images
        .into_iter()
        .flat_map(|layers| [vec![9, 8, 3], vec![8, 9, 8]].map(|input| (input, layers)));
    for (seed, (input, layers)) in (1..).zip(vectors.chain(images)) {
        let case = Case {
            input,
            layers: layers.to_vec(),
            batch: 1 + seed as usize % 9,
            tiling: TILINGS[seed as usize % TILINGS.len()],
            seed,
        };
        let drops = layers
            .iter()
            .any(|layer| matches!(layer, Spec::AlphaDropout(_) | Spec::Dropout(_)));
        for training in if drops { &[false, true][..] } else { &[false] } {
            let result = std::panic::catch_unwind(AssertUnwindSafe(|| case.check(gpu, *training)));
            assert!(result.is_ok(), "{case:?}");
        }
    }
}

/// Masks that are broadcast, behind and before everything that shares a kernel with an ordinary dropout.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn dropout_with_a_noise_shape_is_the_reference() {
    let gpu = &new_gpu();
    let alpha =
        |noise: &[Option<usize>]| Spec::Broadcast(Box::new(Spec::AlphaDropout(0.4)), noise.into());
    let plain =
        |noise: &[Option<usize>]| Spec::Broadcast(Box::new(Spec::Dropout(0.3)), noise.into());
    let one = Some(1);
    let image = [
        vec![None, one, one, None],
        vec![None, one, one, Some(5)],
        vec![None, None, one, one],
        vec![None, one, None, one],
        vec![None, one, one, one],
        vec![one, None, None, None],
        vec![one, one, one, None],
        vec![one, one, one, one],
        vec![None, None, None, None],
    ];
    let vector = [
        vec![None, one],
        vec![one, None],
        vec![one, one],
        vec![None, Some(8)],
    ];
    let act = Spec::Activation;
    let image = image.iter().flat_map(|noise| {
        [
            vec![
                conv2d(5, [3, 3], SELU),
                alpha(noise),
                conv2d(3, [2, 2], SELU),
            ],
            vec![
                conv2d(5, [2, 2], Linear),
                plain(noise),
                max_pool2d([2, 2]),
                dense(3, SELU),
            ],
            vec![
                conv2d(5, [2, 2], SELU),
                max_pool2d([2, 2]),
                alpha(noise),
                act(SELU),
                dense(8, SELU),
            ],
        ]
        .map(|layers| (vec![6, 7, 3], layers))
    });
    let vector = vector.iter().flat_map(|noise| {
        [
            vec![dense(8, SELU), alpha(noise), dense(16, SELU)],
            vec![dense(8, Softmax), alpha(noise), act(Softmax)],
            vec![
                dense(8, SELU),
                Spec::AlphaDropout(0.3),
                plain(noise),
                alpha(noise),
            ],
            vec![
                plain(noise),
                act(SELU),
                Spec::Dropout(0.3),
                dense(3, Linear),
            ],
            vec![dense(8, SELU), alpha(noise), act(Relu), dense(3, Softmax)],
        ]
        .map(|layers| (vec![8], layers))
    });
    // Each network meets each tiling.
    for (seed, (input, layers)) in (1..).zip(image.chain(vector)) {
        let case = Case {
            input,
            layers,
            batch: 1 + seed as usize % 9,
            tiling: TILINGS[(seed + seed / 3) as usize % TILINGS.len()],
            seed,
        };
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| case.check(gpu, true)));
        assert!(result.is_ok(), "{case:?}");
    }
}

/// Of any rank, with any dimensions broadcast.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn dropout_with_any_noise_shape_is_the_reference() {
    let shape = prop::collection::vec(1usize..7, 0..7);
    let values = (
        shape,
        any::<u8>(),
        any::<bool>(),
        batch(),
        any::<bool>(),
        any::<u64>(),
    );
    for_all(60, values, |(input, ones, alpha, batch, training, seed)| {
        let noise = (0..=input.len())
            .map(|d| (ones >> d & 1 == 1).then_some(1))
            .collect();
        let dropout = if alpha {
            Spec::AlphaDropout(0.4)
        } else {
            Spec::Dropout(0.6)
        };
        let case = Case {
            input,
            layers: vec![Spec::Broadcast(Box::new(dropout), noise)],
            batch,
            tiling: Tiling::Registers,
            seed,
        };
        case.check(gpu(), training);
    });
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn any_three_layers_are_the_reference() {
    let gpu = &new_gpu();
    // What the last layer leaves decides what may follow, so layers are drawn as numbers.
    let values = (
        any::<bool>(),
        prop::collection::vec((0u8..8, activation(), 1usize..18, any::<bool>()), 3),
        1usize..10,
        tiling(),
        any::<u64>(),
    );
    for_all(50, values, |(image, drawn, batch, tiling, seed)| {
        let input = if image { vec![9, 10, 3] } else { vec![13] };
        let mut shape = input.clone();
        let mut layers = Vec::new();
        for (kind, activation, size, flag) in drawn {
            let room = shape.len() == 3 && shape[0] > 1 && shape[1] > 1;
            let layer = match kind {
                0 | 1 if room => Spec::Conv2d {
                    filters: size,
                    kernel: [2, 2],
                    strides: [1 + usize::from(flag), 1],
                    padding: if flag { Padding::Same } else { Padding::Valid },
                    bias: size % 3 > 0,
                    activation,
                },
                2 if room => max_pool2d([2, 1]),
                3 => Spec::Activation(activation),
                4 => Spec::AlphaDropout(0.25),
                5 => Spec::Dropout(0.25),
                6 => Spec::Flatten,
                _ => Spec::Dense {
                    units: size,
                    bias: flag,
                    activation,
                },
            };
            shape = layer.output(&shape);
            layers.push(layer);
        }
        let case = Case {
            input,
            layers,
            batch,
            tiling,
            seed,
        };
        case.check(gpu, true);
    });
}

/// The mask is drawn for the number of the step that comes next.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn each_step_has_other_masks() {
    let gpu = gpu();
    let case = Case {
        input: vec![50],
        layers: vec![Spec::AlphaDropout(0.5), dense(2, Linear)],
        batch: 3,
        tiling: Tiling::Registers,
        seed: 5,
    };
    let mut model = case.model(gpu);
    let (x, dy) = (case.x(), case.dy());
    let x = gpu.tensor(&x, [3, 50]).unwrap();
    let dy = gpu.tensor(&dy, [3, 2]).unwrap();
    let mut outputs = Vec::new();
    for step in 0..3 {
        assert_eq!(model.step(), step);
        case.check_model(gpu, &mut model, true);
        outputs.push(model.gradient(&x, &dy, true).unwrap().y.to_vec().unwrap());
        // A step that leaves the weights as they are.
        let weights = model.weights().unwrap();
        model.train_on_batch(&x, &dy).unwrap();
        model.set_weights(&weights).unwrap();
    }
    assert_ne!(outputs[0], outputs[1]);
    assert_ne!(outputs[1], outputs[2]);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_frozen_layer_has_no_gradients_and_passes_on_those_below() {
    let gpu = gpu();
    let case = Case {
        input: vec![7, 6, 2],
        layers: vec![
            conv2d(4, [2, 2], SELU),
            conv2d(5, [3, 3], SELU),
            Spec::Flatten,
            dense(6, SELU),
            dense(3, Linear),
        ],
        batch: 4,
        tiling: Tiling::Registers,
        seed: 3,
    };
    for frozen in 0..1 << 4 {
        let trains = |i: usize| frozen >> i & 1 == 0;
        let mut model = Sequential::new([7, 6, 2])
            .add(Conv2d::new(4, [2, 2]).activation(SELU).trainable(trains(0)))
            .add(Conv2d::new(5, [3, 3]).activation(SELU).trainable(trains(1)))
            .add(Spec::Flatten.layer())
            .add(Dense::new(6).activation(SELU).trainable(trains(2)))
            .add(Dense::new(3).trainable(trains(3)))
            .build(gpu, 3)
            .unwrap();
        let mut weights = model.weights().unwrap();
        for ((_, weight), values) in weights.iter_mut().zip(case.weights()) {
            *weight = gpu.tensor(&values, weight.shape()).unwrap();
        }
        model.set_weights(&weights).unwrap();
        case.check_model(gpu, &mut model, false);

        let x = gpu.tensor(&case.x(), [4, 7, 6, 2]).unwrap();
        let dy = gpu.tensor(&case.dy(), [4, 3]).unwrap();
        let named = model.gradient(&x, &dy, true).unwrap().weights;
        let named: Vec<_> = named.into_iter().map(|(name, _)| name).collect();
        let layers = ["conv2d", "conv2d_1", "dense", "dense_1"];
        let expected: Vec<_> = (0..4)
            .filter(|&i| trains(i))
            .flat_map(|i| ["kernel", "bias"].map(|weight| format!("{}/{weight}", layers[i])))
            .collect();
        assert_eq!(named, expected);

        model.train_on_batch(&x, &dy).unwrap();
        let after = model.weights().unwrap();
        for (i, ((name, before), (_, after))) in weights.iter().zip(&after).enumerate() {
            let changed = before.to_vec().unwrap() != after.to_vec().unwrap();
            assert_eq!(changed, trains(i / 2), "{name}, {frozen:b} frozen");
        }
    }
}
