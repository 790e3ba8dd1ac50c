//! Mean and variance of what layers give, and that SELU keeps them.

use super::real;
use crate::common::gpu;
use crate::common::reference::{self, Case, Spec, conv2d, dense, normal};
use selfnorm::nn::Activation::{Linear, Relu, Selu, Softmax};
use selfnorm::nn::Initializer::{GlorotUniform, HeNormal, LecunNormal};
use selfnorm::nn::{AlphaDropout, Dense, Dropout, Sequential, SequentialBuilder, Tiling};

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn statistics_are_of_every_layer_s_output() {
    let case = Case {
        input: vec![7, 6, 3],
        layers: vec![
            conv2d(5, [3, 3], Selu),
            Spec::AlphaDropout(0.2),
            Spec::Activation(Linear),
            reference::max_pool2d([2, 2]),
            Spec::Flatten,
            Spec::Dropout(0.3),
            dense(9, Linear),
            Spec::Activation(Relu),
            dense(4, Softmax),
        ],
        batch: 11,
        tiling: Tiling::Registers,
        seed: 6,
    };
    let model = case.model(gpu());
    let x = gpu().tensor(&case.x(), [11, 7, 6, 3]).unwrap();
    let weights: Vec<_> = case.weights().iter().map(|w| real(w)).collect();
    let names = [
        "conv2d",
        "alpha_dropout",
        "activation",
        "max_pooling2d",
        "flatten",
        "dropout",
        "dense",
        "activation_1",
        "dense_1",
    ];
    const SHAPES: [&[usize]; 9] = [
        &[5, 4, 5],
        &[5, 4, 5],
        &[5, 4, 5],
        &[2, 2, 5],
        &[20],
        &[20],
        &[9],
        &[9],
        &[4],
    ];
    for training in [false, true] {
        let layers = if training {
            model.statistics_in_training(&x).unwrap()
        } else {
            model.statistics(&x).unwrap()
        };
        assert_eq!(layers.len(), names.len());
        for (i, (layer, name)) in layers.iter().zip(names).enumerate() {
            let call = training.then_some(0);
            let (y, _) = case.forward_to(i + 1, &weights, &real(&case.x()), call);
            let n = y.len() as f64;
            let mean = y.iter().sum::<f64>() / n;
            let variance = y.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / n;
            assert_eq!(layer.name, name);
            let close = |actual: f64, expected: f64| (actual - expected).abs() < 3e-6;
            assert!(
                close(layer.mean, mean) && close(layer.variance, variance),
                "{layer:?}, not {mean} and {variance}"
            );
            let output = model.layer_output(name, &x, training).unwrap();
            assert_eq!(output.shape(), [&[11][..], SHAPES[i]].concat());
            let output = output.to_vec().unwrap();
            let pairs = output.iter().zip(&y);
            let worst = pairs.map(|(&actual, expected)| (f64::from(actual) - expected).abs());
            assert!(
                worst.fold(0.0, f64::max) < 3e-6 * variance.sqrt().max(1.0),
                "{name}"
            );
        }
    }
    let error = model.layer_output("dense_2", &x, false).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("layer_output: there is no layer \"dense_2\", only {names:?}")
    );
}

/// The paper's theorem, and what other networks do instead.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn deep_selu_networks_keep_mean_0_and_variance_1() {
    const WIDTH: usize = 256;
    const DEPTH: usize = 24;
    // Truncated normals, scaled to variance 1.
    let x: Vec<_> = normal(64 * WIDTH, 1, 1)
        .iter()
        .map(|z| z / 0.879_626)
        .collect();
    let x = gpu().tensor(&x, [64, WIDTH]).unwrap();
    let network = |layer: &dyn Fn() -> SequentialBuilder,
                   next: &dyn Fn(SequentialBuilder) -> SequentialBuilder| {
        (0..DEPTH)
            .fold(layer(), |network, _| next(network))
            .build(gpu(), 1)
            .unwrap()
    };
    let start = || Sequential::new([WIDTH]);
    let selu = |network: SequentialBuilder| {
        network.add(
            Dense::new(WIDTH)
                .kernel_initializer(LecunNormal)
                .activation(Selu),
        )
    };
    // Of 256 summands the variance of a layer's sums is off by √(2 / 256) = 0.09 a unit and 0.006 on
    // average over 256 units; that of the weights' own draw shrinks with depth. 0.1 for the mean and 0.2
    // for the variance are the interval that the paper's figure of such networks shows.
    for layer in network(&start, &selu).statistics(&x).unwrap() {
        assert!(
            layer.mean.abs() < 0.1 && (layer.variance - 1.0).abs() < 0.2,
            "{layer:?}"
        );
    }
    let with_dropout = |network| selu(network).add(AlphaDropout::new(0.1));
    for layer in network(&start, &with_dropout)
        .statistics_in_training(&x)
        .unwrap()
    {
        assert!(
            layer.mean.abs() < 0.15 && (layer.variance - 1.0).abs() < 0.3,
            "{layer:?}"
        );
    }
    let relu = |initializer| {
        let next = move |network: SequentialBuilder| {
            let layer = Dense::new(WIDTH).kernel_initializer(initializer);
            network.add(layer.activation(Relu))
        };
        let statistics = network(&start, &next).statistics(&x).unwrap();
        statistics.into_iter().next_back().unwrap()
    };
    let last = relu(GlorotUniform);
    assert!(last.variance < 1e-4, "{last:?}");
    // He's theorem: the mean square stays, on average over all weights. Of a draw each layer's is off by
    // √(5 / 256), the kurtosis being 6, so after 24 layers the logarithm is off by 0.68; this is four times that.
    let last = relu(HeNormal);
    let mean_square = last.variance + last.mean.powi(2);
    assert!(mean_square.ln().abs() < 2.7, "{last:?}");
    let with_plain_dropout = |network| selu(network).add(Dropout::new(0.1));
    let last = network(&start, &with_plain_dropout)
        .statistics_in_training(&x)
        .unwrap()
        .pop()
        .unwrap();
    assert!(last.variance > 1.15 || last.mean.abs() > 0.1, "{last:?}");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn an_inspection_is_of_the_network_as_it_is() {
    let build = |seed| {
        Sequential::new([16])
            .add(Dense::new(32).activation(Selu))
            .add(AlphaDropout::new(0.3))
            .add(Dense::new(2))
            .build(gpu(), seed)
            .unwrap()
    };
    let tensor = |rows: usize| {
        let values = normal(rows * 16, 5, 0);
        gpu().tensor(&values, [rows, 16]).unwrap()
    };
    let (x, fewer) = (tensor(40), tensor(24));
    let (mut model, other) = (build(1), build(2));
    let before = model.statistics_in_training(&x).unwrap();
    assert_ne!(before, other.statistics_in_training(&x).unwrap());
    let memory = model.memory();
    assert_eq!(model.statistics_in_training(&x).unwrap(), before);
    assert_eq!(model.memory(), memory, "it has its buffers");
    model.statistics(&fewer).unwrap();
    assert!(model.memory().forward < memory.forward);
    assert_eq!(model.statistics_in_training(&x).unwrap(), before);

    // Other weights, another step, another seed of the masks.
    let checkpoint = pollster::block_on(other.to_bytes()).unwrap();
    pollster::block_on(model.load_bytes(&checkpoint)).unwrap();
    let expected = other.statistics_in_training(&x).unwrap();
    assert_eq!(model.statistics_in_training(&x).unwrap(), expected);
    model.set_step(3).unwrap();
    assert_ne!(model.statistics_in_training(&x).unwrap(), expected);
}
