//! Every mistake in building and using a network, with the whole sentence that it is answered with. A
//! sentence names the layer or the call, what was needed and what came; none of these may panic, reach
//! wgpu's validation, or leave a network that is of no use afterwards.

use crate::common::{self, gpu};
use selfnorm::nn::Activation::{self, Elu, LeakyRelu, Relu, SeluWith, Sine, Softmax};
use selfnorm::nn::{
    Adam, AdamW, AlphaDropout, Conv2d, CosineDecay, Dataset, Dense, Dropout, ExponentialDecay, Fit,
    Flatten, Layer, Loss, MaxPool2d, Optimizer, Padding, PiecewiseConstantDecay, Regularizer,
    Sequential, SequentialBuilder, Sgd,
};
use selfnorm::{Result, Selu, Tensor};

fn network(shape: &[usize], layers: impl IntoIterator<Item = Layer>) -> SequentialBuilder {
    let layers = layers.into_iter();
    layers.fold(Sequential::new(shape), |network, layer| network.add(layer))
}

#[track_caller]
fn assert_error<T>(result: Result<T>, expected: &str) {
    let Err(error) = result else {
        panic!("no error, but it should say: {expected}");
    };
    assert_eq!(error.to_string(), expected);
}

/// What building says.
#[track_caller]
fn refused<const N: usize>(shape: &[usize], layers: [Layer; N], expected: &str) {
    assert_error(network(shape, layers).build(gpu(), 1), expected);
}

fn model() -> Sequential {
    let layers = [
        Dense::new(4).into(),
        Dense::new(3).activation(Softmax).into(),
    ];
    network(&[6], layers).build(gpu(), 1).unwrap()
}

/// Still trains.
fn assert_works(model: &mut Sequential) {
    let data = Dataset::from_floats(gpu(), &[0.5; 5 * 6], [6]).unwrap();
    let data = data.classes(&[0u32, 1, 2, 0, 1]).unwrap();
    model
        .fit(&data, &Fit::new(Adam::default()).batch_size(2))
        .unwrap();
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn penalties_that_are_none_are_named_with_their_layer() {
    for (regularizer, printed) in [
        (Regularizer::L1(-0.1), "L1(-0.1)"),
        (Regularizer::L2(f64::NAN), "L2(NaN)"),
        (Regularizer::L2(f64::INFINITY), "L2(inf)"),
        // Beyond an f32.
        (Regularizer::L1(1e39), "L1(1e39)"),
        (
            Regularizer::L1L2 { l1: 0.1, l2: -1e-9 },
            "L1L2 { l1: 0.1, l2: -1e-9 }",
        ),
    ] {
        let expected = |layer: &str| {
            format!(
                "{layer}: kernel_regularizer is {printed}, its factors must be at least 0, and finite f32s"
            )
        };
        let second = Dense::new(3).kernel_regularizer(regularizer);
        let layers = [Dense::new(4).into(), second.into()];
        refused(&[6], layers, &expected("dense_1"));
        let layer = Conv2d::new(4, [3, 3]).kernel_regularizer(regularizer);
        refused(&[8, 8, 1], [layer.name("first").into()], &expected("first"));
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn layers_that_do_not_fit_are_named_with_their_shapes() {
    let conv = || Conv2d::new(4, [3, 3]);
    refused(
        &[8, 8, 1],
        [Flatten::new().into(), conv().into()],
        "conv2d: needs an input of shape [height, width, channels], flatten gives [64]",
    );
    refused(
        &[8, 8, 1],
        [
            conv().into(),
            Flatten::new().into(),
            MaxPool2d::new([2, 2]).into(),
        ],
        "max_pooling2d: needs an input of shape [height, width, channels], flatten gives [144]",
    );
    refused(
        &[28, 28],
        [conv().into()],
        "conv2d: needs an input of shape [height, width, channels], the network's input gives [28, 28]",
    );
    refused(
        &[1, 8, 8, 1],
        [conv().name("first").into()],
        "first: needs an input of shape [height, width, channels], the network's input gives [1, 8, 8, 1]",
    );
    refused(
        &[6, 4, 1],
        [conv().into(), conv().into()],
        "conv2d_1: a window of [3, 3] with strides of [1, 1] needs an input of at least its size, and none of them 0; conv2d gives [4, 2, 4]",
    );
    refused(
        &[3, 9, 2],
        [MaxPool2d::new([4, 2]).into()],
        "max_pooling2d: a window of [4, 2] with strides of [4, 2] needs an input of at least its size, and none of them 0; the network's input gives [3, 9, 2]",
    );
    refused(
        &[],
        [Dense::new(3).into()],
        "dense: needs an input with an axis, the network's input gives []",
    );
    refused(
        &[],
        [Softmax.into()],
        "activation: a softmax needs an axis, the network's input gives []",
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn nothing_is_zero() {
    refused(
        &[3],
        [Dense::new(0).into()],
        "dense: units must be at least 1",
    );
    refused(
        &[3],
        [Dense::new(2).into(), Dense::new(0).name("none").into()],
        "none: units must be at least 1",
    );
    refused(
        &[3, 3, 1],
        [Conv2d::new(0, [2, 2]).into()],
        "conv2d: filters must be at least 1",
    );
    let none = Padding::Explicit {
        before: [0, 0],
        after: [0, 0],
    };
    for padding in [Padding::Valid, Padding::Same, none] {
        let window = |size: [usize; 2], strides: [usize; 2]| {
            let sentence = |layer: &str| {
                format!(
                    "{layer}: a window of {size:?} with strides of {strides:?} needs an input of at least its size, and none of them 0; the network's input gives [3, 3, 1]"
                )
            };
            let conv = Conv2d::new(2, size).strides(strides).padding(padding);
            refused(&[3, 3, 1], [conv.into()], &sentence("conv2d"));
            let pool = MaxPool2d::new(size).strides(strides).padding(padding);
            refused(&[3, 3, 1], [pool.into()], &sentence("max_pooling2d"));
        };
        window([0, 2], [1, 1]);
        window([2, 0], [1, 1]);
        window([2, 2], [0, 1]);
        window([2, 2], [1, 0]);
    }
    for (before, after) in [([2, 0], [0, 0]), ([0, 0], [0, usize::MAX])] {
        let padding = Padding::Explicit { before, after };
        let most = before.into_iter().chain(after).max().unwrap();
        let sentence = |layer: &str| {
            format!(
                "{layer}: a padding of {most} around a window of [2, 3]; on each side it must be less than the window"
            )
        };
        let conv = Conv2d::new(2, [2, 3]).padding(padding);
        refused(&[3, 3, 1], [conv.into()], &sentence("conv2d"));
        let pool = MaxPool2d::new([2, 3]).padding(padding);
        refused(&[3, 3, 1], [pool.into()], &sentence("max_pooling2d"));
    }
    refused(
        &[3, 0],
        [Dense::new(2).into()],
        "sequential: an input of shape [3, 0] has no elements",
    );
    refused(&[3], [], "sequential: needs at least one layer");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn given_weights_have_the_kernel_s_size() {
    let given =
        |kernel: usize, bias: usize| Dense::new(2).weights(vec![0.0; kernel], vec![0.0; bias]);
    refused(
        &[3],
        [given(5, 2).into()],
        "dense: its kernel is [3, 2], as the network's input gives [3], with 2 biases: 6 and 2 weights; 5 and 2 were given",
    );
    refused(
        &[3],
        [Dense::new(4).into(), given(8, 0).into()],
        "dense_1: its kernel is [4, 2], as dense gives [4], with 2 biases: 8 and 2 weights; 8 and 0 were given",
    );
    refused(
        &[3],
        [given(6, 2).use_bias(false).into()],
        "dense: its kernel is [3, 2], as the network's input gives [3], with 0 biases: 6 and 0 weights; 6 and 2 were given",
    );
    refused(
        &[5, 5, 3],
        [Conv2d::new(2, [2, 3]).weights([0.0; 12], [0.0; 2]).into()],
        "conv2d: its kernel is [2, 3, 3, 2], as the network's input gives [5, 5, 3], with 2 biases: 36 and 2 weights; 12 and 2 were given",
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn rates_and_alphas_are_in_range() {
    let rule = "must be at least 0 and below 1";
    for (rate, printed) in [(1.0, "1.0"), (-0.1, "-0.1"), (f64::NAN, "NaN")] {
        refused(
            &[3],
            [AlphaDropout::new(rate).into()],
            &format!("alpha_dropout: rate is {printed}, {rule}"),
        );
        refused(
            &[3],
            [Dropout::new(rate).into()],
            &format!("dropout: rate is {printed}, {rule}"),
        );
    }
    for (alpha, printed) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (1e39, "1e39")] {
        let sentence = format!("activation: alpha is {printed}, must be a finite f32");
        refused(&[3], [Elu(alpha).into()], &sentence);
        refused(
            &[3],
            [Dense::new(2).activation(Elu(alpha)).into()],
            &sentence,
        );
    }
    let selu = |alpha: f64, scale: f64| -> Layer { SeluWith(Selu { alpha, scale }).into() };
    for (layer, wrong) in [
        (selu(f64::NAN, 1.0), "alpha is NaN"),
        (selu(1.0, f64::INFINITY), "scale is inf"),
        (selu(3e38, 2.0), "alpha * scale is 6e38"),
        (LeakyRelu(f64::NAN).into(), "negative_slope is NaN"),
    ] {
        let sentence = format!("activation: {wrong}, must be a finite f32");
        refused(&[3], [layer], &sentence);
    }
    let sentence = "activation: frequency is 0.0, must be from 1e-6 to 1e6";
    refused(&[3], [Sine(0.0).into()], sentence);
    // No SELU keeps such a variance.
    let result = network(&[3], [AlphaDropout::new(0.1).fixed_point(0.0, -1.0).into()]);
    let error = result.build(gpu(), 1).unwrap_err().to_string();
    assert!(
        error.starts_with("alpha_dropout: variance is -1.0, must be "),
        "{error}"
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_noise_shape_fits_the_input_and_leaves_the_batch_open() {
    let rule = "it must have as many dimensions, each None, 1 or the input's, the first None or 1";
    let cases: [(&[Option<usize>], &str); 6] = [
        (&[], "[]"),
        (&[Some(1), Some(1), Some(4)], "[1, 1, 4]"),
        (
            &[None, Some(1), Some(1), Some(4), Some(1)],
            "[None, 1, 1, 4, 1]",
        ),
        (&[None, Some(1), Some(1), Some(3)], "[None, 1, 1, 3]"),
        (&[None, Some(0), Some(1), None], "[None, 0, 1, None]"),
        (&[Some(8), Some(1), Some(1), None], "[8, 1, 1, None]"),
    ];
    for (noise_shape, printed) in cases {
        // a rate of 0 drops nothing, but is checked all the same
        for rate in [0.5, 0.0] {
            let convolution = || Layer::from(Conv2d::new(4, [2, 2]));
            let wrong = format!(
                "a noise_shape of {printed} does not fit its input [None, 5, 6, 4], which conv2d gives: {rule}"
            );
            let alpha = AlphaDropout::new(rate)
                .noise_shape(noise_shape)
                .name("channels");
            refused(
                &[6, 7, 3],
                [convolution(), alpha.into()],
                &format!("channels: {wrong}"),
            );
            let plain = Dropout::new(rate).noise_shape(noise_shape);
            refused(
                &[6, 7, 3],
                [convolution(), plain.into()],
                &format!("dropout: {wrong}"),
            );
        }
    }
    refused(
        &[3],
        [Dropout::new(0.5).noise_shape([Some(1)]).into()],
        &format!(
            "dropout: a noise_shape of [1] does not fit its input [None, 3], which the network's input gives: {rule}"
        ),
    );
    let alternating = [None, Some(1)].repeat(5);
    refused(
        &[2; 9],
        [Dropout::new(0.5).noise_shape(alternating).into()],
        "dropout: a noise_shape of [None, 1, None, 1, None, 1, None, 1, None, 1] does not fit its input \
         [None, 2, 2, 2, 2, 2, 2, 2, 2, 2], which the network's input gives: it must alternate between 1 and \
         the input's extent at most 8 times",
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn names_are_each_layer_s_own() {
    let named = |name: &str| -> Layer { Dense::new(2).name(name).into() };
    refused(
        &[3],
        [named("a"), named("a")],
        "a: the name is another layer's",
    );
    refused(
        &[3],
        [Dense::new(2).into(), named("dense")],
        "dense: the name is another layer's",
    );
    refused(
        &[3],
        [named("")],
        "Dense: \"\" is no name for a layer: it is empty, or has a /",
    );
    refused(
        &[3],
        [named("a/b")],
        "Dense: \"a/b\" is no name for a layer: it is empty, or has a /",
    );
    // A name that is given first is left out of the count.
    let model = network(&[3], [named("dense"), Dense::new(2).into()])
        .build(gpu(), 1)
        .unwrap();
    let names: Vec<_> = model
        .weights()
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names[2], "dense_1/kernel");
}

/// Numbers that overflow on the way to a shape are too large, not a panic and not another shape.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn shapes_beyond_what_can_be_counted_are_errors() {
    const MAX: usize = usize::MAX;
    let too_large = |shape: &[usize], layer: Layer| {
        let what = format!("{shape:?} {layer:?}");
        let built =
            std::panic::catch_unwind(|| network(shape, [layer]).build(gpu(), 1).map(|_| ()));
        let result = built.unwrap_or_else(|_| panic!("{what} panics"));
        assert!(result.is_err(), "{what} is built");
    };
    too_large(&[MAX], Dense::new(1).into());
    too_large(&[MAX, 2], Flatten::new().into());
    too_large(&[1 << 31, 1], Dense::new(1 << 31).into());
    too_large(&[3], Dense::new(MAX).into());
    too_large(&[3, 3, 1], Conv2d::new(MAX, [2, 2]).into());
    too_large(&[3, 3, 1], Conv2d::new(1, [MAX, MAX]).into());
    for huge in [1 << 32, 1 << 33, MAX] {
        too_large(
            &[3, 3, 1],
            Conv2d::new(1, [huge, 1]).padding(Padding::Same).into(),
        );
    }
}

/// Padding is never the maximum, however much of it there is.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn pools_beyond_the_image_are_of_all_of_it_or_are_errors() {
    for size in [5, 1 << 31, 1 << 32, (1 << 32) + 1, 1 << 33, usize::MAX] {
        for stride in [1, size] {
            let pool = MaxPool2d::new([1, size]).strides([1, stride]);
            let network = network(&[2, 3, 1], [pool.padding(Padding::Same).into()]);
            let built = std::panic::catch_unwind(|| network.build(gpu(), 1));
            let built = built.unwrap_or_else(|_| panic!("{network:?} panics"));
            let Ok(model) = built else {
                assert!(size > 5);
                continue;
            };
            let values = [1.0, 3.0, 2.0, 9.0, 7.0, 8.0];
            let x = gpu().tensor(&values, [1, 2, 3, 1]).unwrap();
            let columns = if stride == 1 { 3 } else { 1 };
            let expected = [vec![3.0; columns], vec![9.0; columns]].concat();
            let y = model.predict(&x).unwrap().to_vec().unwrap();
            assert_eq!(y, expected, "{network:?}");
        }
    }
}

/// A step beyond the image is a step beyond the image, however large: one position.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn strides_beyond_the_image_leave_one_position_or_are_errors() {
    for stride in [100, 1 << 31, 1 << 32, 1 << 33, usize::MAX] {
        for padding in [Padding::Valid, Padding::Same] {
            let conv = Conv2d::new(1, [2, 2]).strides([stride; 2]).padding(padding);
            let pool = MaxPool2d::new([2, 2]).strides([stride; 2]).padding(padding);
            let conv = conv.weights([1.0; 4], [0.0]);
            // The sum and the maximum of the first window.
            for (layer, expected) in [(Layer::from(conv), 10.0), (pool.into(), 4.0)] {
                let what = format!("{layer:?}");
                let Ok(model) = network(&[2, 2, 1], [layer]).build(gpu(), 1) else {
                    assert!(stride > 100, "{what}");
                    continue;
                };
                let x = gpu().tensor(&[1.0, 2.0, 3.0, 4.0], [1, 2, 2, 1]).unwrap();
                let y = model.predict(&x).unwrap();
                assert_eq!(y.to_vec().unwrap(), [expected], "{what}");
                let dy = gpu().tensor(&[1.0], [1, 1, 1, 1]).unwrap();
                let dx = model.gradient(&x, &dy, false).unwrap().dx.to_vec().unwrap();
                let sum: f32 = if expected == 10.0 { 4.0 } else { 1.0 };
                assert_eq!(dx.iter().sum::<f32>(), sum, "{what}: {dx:?}");
            }
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn optimizers_and_losses_are_checked_when_compiled_and_when_fitted() {
    let nan = f64::NAN;
    let adam = Adam::default;
    let cases: [(Optimizer, &str); 22] = [
        (
            Adam::new(nan).into(),
            "adam: learning_rate is NaN, must be at least 0, and a finite f32",
        ),
        (
            Adam {
                beta_1: 1.0,
                ..adam()
            }
            .into(),
            "adam: beta_1 is 1.0, must be at least 0 and below 1",
        ),
        (
            Adam {
                beta_2: -0.5,
                ..adam()
            }
            .into(),
            "adam: beta_2 is -0.5, must be at least 0 and below 1",
        ),
        (
            Adam {
                epsilon: 0.0,
                ..adam()
            }
            .into(),
            "adam: epsilon is 0.0, must be above 0, and a normal f32",
        ),
        (
            Adam {
                epsilon: nan,
                ..adam()
            }
            .into(),
            "adam: epsilon is NaN, must be above 0, and a normal f32",
        ),
        (
            Sgd::new(f64::INFINITY).into(),
            "sgd: learning_rate is inf, must be at least 0, and a finite f32",
        ),
        (
            Sgd::new(nan).into(),
            "sgd: learning_rate is NaN, must be at least 0, and a finite f32",
        ),
        (
            Sgd::default().momentum(1.0).into(),
            "sgd: momentum is 1.0, must be at least 0 and below 1",
        ),
        (
            Sgd::default().momentum(nan).into(),
            "sgd: momentum is NaN, must be at least 0 and below 1",
        ),
        (
            Sgd::new(-0.1).into(),
            "sgd: learning_rate is -0.1, must be at least 0, and a finite f32",
        ),
        (
            // Infinite as an f32.
            AdamW::new(1e39).into(),
            "adam: learning_rate is 1e39, must be at least 0, and a finite f32",
        ),
        (
            adam().weight_decay(-0.01).into(),
            "adam: weight_decay is -0.01, must be at least 0, and a finite f32",
        ),
        (
            Sgd::default().clipnorm(0.0).into(),
            "sgd: clipnorm is 0.0, must be above 0, and a normal f32",
        ),
        (
            adam().clipvalue(nan).into(),
            "adam: clipvalue is NaN, must be above 0, and a normal f32",
        ),
        (
            adam().global_clipnorm(-1.0).into(),
            "adam: global_clipnorm is -1.0, must be above 0, and a normal f32",
        ),
        (
            AdamW::default().clipvalue(1.0).clipnorm(1.0).into(),
            "adam: clipnorm and clipvalue are both set; gradients are clipped in one way only",
        ),
        (
            Sgd::new(ExponentialDecay::new(0.1, 0, 0.9)).into(),
            "exponential_decay: decay_steps is 0.0, must be at least 1",
        ),
        (
            Sgd::new(ExponentialDecay::new(0.1, 10, -0.9)).into(),
            "exponential_decay: decay_rate is -0.9, must be at least 0, and a finite f32",
        ),
        (
            Adam::new(CosineDecay::new(0.1, 10).alpha(nan)).into(),
            "cosine_decay: alpha is NaN, must be at least 0, and a finite f32",
        ),
        (
            Adam::new(PiecewiseConstantDecay::new([5, 9], [0.1, 0.01])).into(),
            "piecewise_constant_decay: 2 boundaries need 3 values, there are 2",
        ),
        (
            Adam::new(PiecewiseConstantDecay::new([9, 9], [0.1, 0.01, 0.001])).into(),
            "piecewise_constant_decay: boundaries must ascend, 9 comes before 9",
        ),
        (
            Adam::new(PiecewiseConstantDecay::new([9], [0.1, -0.01])).into(),
            "piecewise_constant_decay: values is -0.01, must be at least 0, and a finite f32",
        ),
    ];
    let data = Dataset::from_floats(gpu(), &[0.5; 6], [6])
        .unwrap()
        .classes(&[0u32])
        .unwrap();
    let mut model = model();
    for (optimizer, expected) in cases {
        assert_error(
            model.compile(optimizer.clone(), Loss::CategoricalCrossentropy),
            expected,
        );
        assert_error(model.fit(&data, &Fit::new(optimizer)), expected);
    }
    assert_eq!(model.step(), 0);
    assert_works(&mut model);

    let expected = "categorical cross-entropy is computed from logits: the last activation must be softmax, or linear";
    let ends: [&[Layer]; 4] = [
        &[Dense::new(3).activation(Relu).into()],
        &[
            Dense::new(3).activation(Softmax).into(),
            Activation::Selu.into(),
        ],
        &[Dense::new(3).into(), AlphaDropout::new(0.1).into()],
        &[
            Dense::new(3).activation(Softmax).into(),
            Dropout::new(0.1).into(),
        ],
    ];
    for layers in ends {
        let mut model = network(&[6], layers.iter().cloned())
            .build(gpu(), 1)
            .unwrap();
        let compiled = model.compile(adam(), Loss::CategoricalCrossentropy);
        assert_error(compiled, &format!("compile: {expected}"));
        let fit = Fit::new(adam()).loss(Loss::CategoricalCrossentropy);
        assert_error(model.fit(&data, &fit), &format!("fit: {expected}"));
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn data_sets_are_whole_samples_with_targets_of_their_own() {
    let floats = |n: usize, shape: &[usize]| Dataset::from_floats(gpu(), &vec![0.0; n], shape);
    let sentence = "dataset: 7 values are no whole number of samples of shape [2, 3]";
    assert_error(floats(7, &[2, 3]), sentence);
    assert_error(Dataset::from_bytes(gpu(), &[0; 7], [2, 3]), sentence);
    assert_error(
        floats(6, &[2, 0]),
        "dataset: 6 values are no whole number of samples of shape [2, 0]",
    );
    let data = || floats(12, &[2, 3]).unwrap();
    assert_error(
        data().classes(&[0u32, 1, 2]),
        "dataset: 3 classes are no whole number for each of 2 samples",
    );
    assert_error(
        data().classes::<u32>(&[]),
        "dataset: 0 classes are no whole number for each of 2 samples",
    );
    assert_error(
        data().targets(&[0.0; 5], [3]),
        "dataset: 5 targets are not one of shape [3] for each of 2 samples",
    );
    let empty = || floats(0, &[2, 3]).unwrap();
    assert_error(
        empty().classes(&[0u32, 1, 2]),
        "dataset: the data set has no samples, and there are 3 classes",
    );
    assert_error(
        empty().sample_weights(&[1.0; 2]),
        "dataset: the data set has no samples, and there are 2 sample weights",
    );
    assert_error(
        empty().targets(&[0.0; 3], [3]),
        "dataset: 3 targets are not one of shape [3] for each of 0 samples",
    );
    assert_error(
        data().classes(&[0, u64::MAX]),
        "dataset: label 1 does not fit into an i64",
    );
    assert_error(
        data().sample_weights(&[1.0; 3]),
        "dataset: 3 sample weights are no whole number for each of 2 samples",
    );
    assert_error(
        data().sample_weights(&[0.0, -0.5]),
        "dataset: sample weight 1 is -0.5; weights are finite and at least 0",
    );
    assert_error(
        data().class_weights(&[1.0, 0.0, f32::NAN]),
        "dataset: class weight 2 is NaN; weights are finite and at least 0",
    );
    // Shapes whose size wraps around, to 0 and to that of the data.
    for shape in [[1 << 63, 2], [(1 << 62) + 3, 4]] {
        let result = std::panic::catch_unwind(|| floats(12, &shape).map(|_| ()));
        assert!(result.expect("panics").is_err(), "{shape:?}");
        let result = std::panic::catch_unwind(|| data().targets(&[0.0; 12], shape).map(|_| ()));
        assert!(result.expect("panics").is_err(), "{shape:?}");
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn data_of_another_shape_is_told_what_the_network_takes() {
    let mut model = model();
    let fit = Fit::new(Adam::default());
    let floats = |shape: &[usize]| {
        let len = 4 * shape.iter().product::<usize>();
        Dataset::from_floats(gpu(), &vec![0.5; len], shape).unwrap()
    };
    let labels = [0u32, 1, 2, 0];
    let cases = [
        (
            floats(&[2, 3]).classes(&labels).unwrap(),
            "samples are of shape [2, 3], the network takes [6]",
        ),
        (
            floats(&[6]),
            "the data set has no targets; add classes or targets",
        ),
        (
            floats(&[6]).classes(&[0u32, 1, 3, 0]).unwrap(),
            "label 3 of sample 2; the network has 3 classes, 0 to 2",
        ),
        (
            floats(&[6]).classes(&[0u32; 8]).unwrap(),
            "8 class numbers for 4 samples, that is 2 each; the network puts out [3]: one class a sample",
        ),
        (
            floats(&[6]).classes(&[0, -100, 1, 2]).unwrap(),
            "label -100 of sample 1; the network has 3 classes, 0 to 2; if it means that there is none: ignore_class(-100)",
        ),
        (
            floats(&[6]).classes(&[2, 1, 3, 1u64 << 40]).unwrap(),
            "label 3 of sample 2; the network has 3 classes, 0 to 2",
        ),
        (
            floats(&[6]).classes(&[2, 1, 3, 3]).unwrap(),
            "label 3 of sample 2; the network has 3 classes, 0 to 2; these labels count from 1 to 3, subtract 1",
        ),
        (
            floats(&[6])
                .classes(&[255, 1, 3, 3])
                .unwrap()
                .ignore_class(255),
            "label 3 of sample 2; the network has 3 classes, 0 to 2; these labels count from 1 to 3, subtract 1",
        ),
        (
            floats(&[6])
                .ignore_class(3)
                .classes(&[255, 1, 3, 3])
                .unwrap(),
            "label 255 of sample 0; the network has 3 classes, 0 to 2; if it means that there is none: ignore_class(255)",
        ),
        (
            floats(&[6])
                .targets(&[0.0; 12], [3])
                .unwrap()
                .ignore_class(255),
            "ignore_class(255) is for labels, and the targets are values",
        ),
        (
            floats(&[6])
                .classes(&labels)
                .unwrap()
                .sample_weights(&[1.0; 8])
                .unwrap(),
            "there are 2 sample weights a sample; the network puts out [3], that is 1 of 3, which takes 1 or 1",
        ),
        (
            floats(&[6])
                .classes(&labels)
                .unwrap()
                .class_weights(&[1.0; 4])
                .unwrap(),
            "there are 4 class weights, the network has 3 classes",
        ),
        (
            floats(&[6])
                .targets(&[1., 0., 0., 0., 1., 0., -1., 1., 1., 0., 2., 0.], [3])
                .unwrap(),
            "the target of sample 2 is -1.0 at [0]; cross-entropy takes probabilities, 0 to 1",
        ),
        (
            floats(&[6])
                .targets(&[1., 0., 0., 0., 1., 0., 0., 1.5, 1., 0., -2., 0.], [3])
                .unwrap(),
            "the target of sample 2 is 1.5 at [1]; cross-entropy takes probabilities, 0 to 1",
        ),
        (
            floats(&[6]).targets(&[0.0; 16], [4]).unwrap(),
            "targets are of shape [4], the network puts out [3]",
        ),
        (
            floats(&[6]).targets(&[0.0; 12], [1, 3]).unwrap(),
            "targets are of shape [1, 3], the network puts out [3]; the shape to give is that of one sample, [3]: the number of samples follows",
        ),
    ];
    let good = floats(&[6]).classes(&labels).unwrap();
    for (data, detail) in &cases {
        assert_error(model.fit(data, &fit), &format!("fit: {detail}"));
        assert_error(model.evaluate(data), &format!("evaluate: {detail}"));
        let fit = fit.clone().validation_data(data);
        assert_error(
            model.fit(&good, &fit),
            &format!("fit: validation data: {detail}"),
        );
    }
    let bytes = Dataset::from_bytes(gpu(), &[0; 24], [6]).unwrap();
    let bytes = bytes.classes(&labels).unwrap();
    assert_error(
        model.fit(&bytes.scaled(f32::INFINITY, 0.0), &fit),
        "scaled: scale is inf, must be finite",
    );
    let bytes = Dataset::from_bytes(gpu(), &[0; 24], [6]).unwrap();
    let bytes = bytes.classes(&labels).unwrap();
    assert_error(
        model.fit(&bytes.scaled(3e38, 0.0), &fit),
        "scaled: 255 * scale + shift is inf, must be finite",
    );
    let other = common::new_gpu();
    let foreign = Dataset::from_floats(&other, &[0.5; 24], [6]).unwrap();
    let foreign = foreign.classes(&labels).unwrap();
    let detail = "the data set belongs to another Gpu; share one Gpu, which is cheap to clone; to_vec and tensor move data to another";
    assert_error(model.fit(&foreign, &fit), &format!("fit: {detail}"));
    assert_error(model.evaluate(&foreign), &format!("evaluate: {detail}"));
    assert_eq!(model.step(), 0);
    assert_works(&mut model);
}

/// One sample of shape [100, 4] is data, too: a network is what tells.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_shape_of_whole_data_is_told_from_that_of_a_sample() {
    let network = network(&[4], [Dense::new(3).activation(Softmax).into()]);
    let mut model = network.build(gpu(), 1).unwrap();
    let fit = Fit::new(Adam::default());
    let floats = || Dataset::from_floats(gpu(), &[0.5; 400], [100, 4]).unwrap();
    let bytes = Dataset::from_bytes(gpu(), &[7; 400], [100, 4]).unwrap();
    let hint = "the shape to give is that of one sample, [4]: the number of samples follows";
    let detail = format!("samples are of shape [100, 4], the network takes [4]; {hint}");
    for data in [floats(), bytes] {
        let data = data.classes(&[1u32; 100]).unwrap();
        assert_error(model.fit(&data, &fit), &format!("fit: {detail}"));
        assert_error(model.evaluate(&data), &format!("evaluate: {detail}"));
    }
    assert_error(
        floats().targets(&[1.0; 300], [3]),
        &format!("dataset: 300 targets are not one of shape [3] for each of 1 samples; {hint}"),
    );

    let whole = Dataset::from_floats(gpu(), &[0.5; 400], [4]).unwrap();
    let hint = "the shape to give is that of one sample, [3]: the number of samples follows";
    assert_error(
        whole.clone().targets(&[1.0; 300], [100, 3]),
        &format!(
            "dataset: 300 targets are not one of shape [100, 3] for each of 100 samples; {hint}"
        ),
    );
    // Another number of samples has another cause.
    assert_error(
        whole.clone().targets(&[1.0; 297], [99, 3]),
        "dataset: 297 targets are not one of shape [99, 3] for each of 100 samples",
    );
    let one = whole.clone().targets(&[1.0; 300], [1, 3]).unwrap();
    assert_error(
        model.fit(&one, &fit),
        &format!("fit: targets are of shape [1, 3], the network puts out [3]; {hint}"),
    );

    let data = Dataset::from_floats(gpu(), &[0.5; 40], [4]).unwrap();
    let twice = data.classes(&[1u32; 20]).unwrap();
    assert_error(
        model.fit(&twice, &fit),
        "fit: 20 class numbers for 10 samples, that is 2 each; the network puts out [3]: one class a sample",
    );
}

/// A position has a class, too.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn class_numbers_are_as_many_as_the_network_puts_out() {
    let dense = Dense::new(3).activation(Softmax).into();
    let mut model = network(&[2, 5, 4], [dense]).build(gpu(), 1).unwrap();
    for (samples, expected) in [
        (1, "fit: 1 class number for 1 sample, that is 1 each"),
        (2, "fit: 2 class numbers for 2 samples, that is 1 each"),
    ] {
        let data = Dataset::from_floats(gpu(), &vec![0.5; samples * 40], [2, 5, 4]).unwrap();
        let data = data.classes(&vec![1u32; samples]).unwrap();
        assert_error(
            model.fit(&data, &Fit::default()),
            &format!(
                "{expected}; the network puts out [2, 5, 3]: 10 classes a sample, one for each position"
            ),
        );
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn fit_needs_samples_in_batches() {
    let mut model = model();
    let data = Dataset::from_floats(gpu(), &[0.5; 24], [6]).unwrap();
    let data = data.classes(&[0u32, 1, 2, 0]).unwrap();
    let fit = || Fit::new(Adam::default());
    assert_error(
        model.fit(&data, &fit().batch_size(0)),
        "fit: batch_size must be at least 1",
    );
    for (split, printed) in [(1.0, "1"), (-0.25, "-0.25"), (f64::NAN, "NaN")] {
        assert_error(
            model.fit(&data, &fit().validation_split(split)),
            &format!("fit: validation_split is {printed}, must be at least 0 and below 1"),
        );
    }
    assert_error(
        model.fit(&data, &fit().validation_split(0.9)),
        "fit: of 4 samples, a validation_split of 0.9 leaves none to train on",
    );
    let empty = Dataset::from_floats(gpu(), &[], [6]).unwrap();
    assert!(empty.is_empty());
    assert_error(
        model.fit(&empty, &fit()),
        "fit: the data set has no samples",
    );
    assert_error(
        model.evaluate(&empty),
        "evaluate: the data set has no samples",
    );
    // For labels and for values.
    for empty in [
        empty.classes::<u8>(&[]).unwrap(),
        Dataset::from_bytes(gpu(), &[], [6])
            .unwrap()
            .targets(&[], [3])
            .unwrap(),
    ] {
        assert_error(
            model.fit(&data, &fit().validation_data(&empty)),
            "fit: validation data: the data set has no samples",
        );
        assert_error(
            model.evaluate(&empty),
            "evaluate: the data set has no samples",
        );
    }
    // No epochs are no error.
    let history = model.fit(&data, &fit().epochs(0)).unwrap();
    assert!(history.epochs.is_empty() && history.losses.is_empty() && !history.stopped);
    assert_works(&mut model);
}

/// As in Keras: then there is one batch.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn batches_larger_than_the_data_are_one_batch_or_an_error() {
    let data = Dataset::from_floats(gpu(), &[0.5; 24], [6]).unwrap();
    let data = data.classes(&[0u32, 1, 2, 0]).unwrap();
    for batch_size in [5, 10_000, 1 << 40, usize::MAX - 7, usize::MAX] {
        let mut model = model();
        let fit = Fit::new(Adam::default()).batch_size(batch_size);
        let fitted =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| model.fit(&data, &fit)));
        match fitted.unwrap_or_else(|_| panic!("a batch of {batch_size} panics")) {
            Ok(history) => assert_eq!(history.losses.len(), 1),
            Err(_) => assert!(batch_size > 10_000),
        }
        assert_works(&mut model);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn tensors_have_the_network_s_shapes_and_device() {
    let mut model = model();
    let tensor = |shape: &[usize]| {
        gpu()
            .tensor(&vec![0.5; shape.iter().product()], shape)
            .unwrap()
    };
    let (x, y) = (tensor(&[4, 6]), tensor(&[4, 3]));
    type Call<'a> = &'a dyn Fn(&mut Sequential, &Tensor) -> Result<()>;
    let calls: [(&str, Call); 6] = [
        ("predict", &|model, x| model.predict(x).map(drop)),
        ("statistics", &|model, x| model.statistics(x).map(drop)),
        ("layer_output", &|model, x| {
            model.layer_output("dense", x, false).map(drop)
        }),
        ("gradient", &|model, x| {
            model.gradient(x, &y, false).map(drop)
        }),
        ("train_on_batch", &|model, x| {
            model.train_on_batch(x, &y).map(drop)
        }),
        ("predict", &|model, x| model.predict(x).map(drop)),
    ];
    let other = common::new_gpu();
    let foreign = other.tensor(&[0.5; 24], [4, 6]).unwrap();
    for (op, call) in calls {
        assert_error(
            call(&mut model, &tensor(&[4, 2, 3])),
            &format!("{op}: expected shape [4, 6] for x, got [4, 2, 3]"),
        );
        assert_error(
            call(&mut model, &tensor(&[4, 5])),
            &format!("{op}: expected shape [4, 6] for x, got [4, 5]"),
        );
        // One sample is a batch of one.
        assert_error(
            call(&mut model, &tensor(&[6])),
            &format!("{op}: expected shape [n, 6] (one sample: [1, 6]) for x, got [6]"),
        );
        assert_error(
            call(&mut model, &tensor(&[])),
            &format!("{op}: expected shape [n, 6] (one sample: [1, 6]) for x, got []"),
        );
        assert_error(
            call(&mut model, &foreign),
            &format!(
                "{op}: x belongs to another Gpu; share one Gpu, which is cheap to clone; to_vec and tensor move data to another"
            ),
        );
    }
    assert_error(
        model.train_on_batch(&x, &tensor(&[3, 3])),
        "train_on_batch: expected shape [4, 3] for y, got [3, 3]",
    );
    assert_error(
        model.train_on_batch(&x, &tensor(&[4, 1])),
        "train_on_batch: expected shape [4, 3] for y, got [4, 1]",
    );
    assert_error(
        model.train_on_batch(&tensor(&[1, 6]), &tensor(&[3])),
        "train_on_batch: expected shape [n, 3] (one sample: [1, 3]) for y, got [3]",
    );
    assert_error(
        model.gradient(&x, &tensor(&[5, 3]), false),
        "gradient: expected shape [4, 3] for dy, got [5, 3]",
    );
    assert_error(
        model.train_on_batch(&tensor(&[0, 6]), &tensor(&[0, 3])),
        "train_on_batch: the batch has no samples",
    );
    assert_error(
        model.gradient(&tensor(&[0, 6]), &tensor(&[0, 3]), false),
        "gradient: expected shape [1, 3] for dy, got [0, 3]",
    );
    assert_eq!(model.step(), 0);
    assert_works(&mut model);
}

/// A picture has as many axes as pictures without channels.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn one_picture_is_not_taken_for_many() {
    let model = network(&[4, 4, 1], [Flatten::new().into(), Dense::new(2).into()])
        .build(gpu(), 1)
        .unwrap();
    for (shape, printed) in [(&[4, 4, 1][..], "[4, 4, 1]"), (&[4, 4], "[4, 4]")] {
        let x = gpu().tensor(&[0.5; 16], shape).unwrap();
        assert_error(
            model.predict(&x),
            &format!(
                "predict: expected shape [n, 4, 4, 1] (one sample: [1, 4, 4, 1]) for x, got {printed}"
            ),
        );
    }
}

/// For a sigmoid, or a regression on 0 and 1.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn labels_of_a_single_output_are_0_or_1() {
    let mut model = network(&[6], [Dense::new(1).into()])
        .build(gpu(), 1)
        .unwrap();
    let data = || Dataset::from_floats(gpu(), &[0.5; 24], [6]).unwrap();
    let fit = Fit::new(Adam::default()).loss(Loss::MeanSquaredError);
    for (labels, expected) in [
        (
            [0, 1, 0, 2],
            "fit: label 2 of sample 3; the network has one output: labels are 0 or 1",
        ),
        (
            [1, 2, 1, 1],
            "fit: label 2 of sample 1; the network has one output: labels are 0 or 1; these labels count from 1 to 2, subtract 1",
        ),
    ] {
        assert_error(model.fit(&data().classes(&labels).unwrap(), &fit), expected);
    }
    assert_error(
        model.fit(
            &data()
                .classes(&[0, 1, 1, 0])
                .unwrap()
                .class_weights(&[1.0])
                .unwrap(),
            &fit,
        ),
        "fit: there are 1 class weights, the network has 2 classes",
    );
    model
        .fit(&data().classes(&[true, false, true, true]).unwrap(), &fit)
        .unwrap();
}

/// Of each position, where the output has more than one axis.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_label_of_a_position_is_named_by_its_place() {
    let dense = Dense::new(3).activation(Softmax).into();
    let mut model = network(&[2, 5, 4], [dense]).build(gpu(), 1).unwrap();
    let data = Dataset::from_floats(gpu(), &[0.5; 80], [2, 5, 4]).unwrap();
    let mut labels = [1i16; 20];
    labels[17] = 5;
    let fit = Fit::new(Adam::default());
    assert_error(
        model.fit(&data.classes(&labels).unwrap(), &fit),
        "fit: label 5 of sample 1 at [1, 2]; the network has 3 classes, 0 to 2",
    );
}
