//! Penalties of kernels against their formulas in f64: in every loss that is reported, and in the gradient.
//! `golden_networks.rs` has those of Keras.

use super::{SCORE_BOUND, assert_near, blobs, dataset, one_hot, weight_bits};
use crate::common::gpu;
use crate::common::reference::{for_all, normal};
use proptest::prelude::*;
use selfnorm::nn::Activation::{Selu, Softmax};
use selfnorm::nn::{
    Adam, Conv2d, Dataset, Dense, Fit, Flatten, Layer, Loss, Regularizer, Sequential,
    SequentialBuilder, Sgd,
};
use selfnorm::{Error, Tensor};

const BOTH: Regularizer = Regularizer::L1L2 { l1: 0.02, l2: 0.03 };

/// l1 Σ|w| + l2 Σw², of numbers.
fn penalty([l1, l2]: [f64; 2], kernel: &[f32]) -> f64 {
    let sizes = kernel.iter().map(|&w| f64::from(w).abs());
    sizes.map(|w| l1 * w + l2 * w * w).sum()
}

/// Its gradient, 0 of l1 at 0.
fn slope([l1, l2]: [f64; 2], w: f32) -> f64 {
    let sign = if w == 0.0 { 0.0 } else { f64::from(w.signum()) };
    l1 * sign + 2.0 * l2 * f64::from(w)
}

fn of(factors: [f64; 2]) -> Regularizer {
    match factors {
        [l1, 0.0] => Regularizer::L1(l1),
        [0.0, l2] => Regularizer::L2(l2),
        [l1, l2] => Regularizer::L1L2 { l1, l2 },
    }
}

fn kernel(model: &Sequential, name: &str) -> Vec<f32> {
    model.weight(name).unwrap().to_vec().unwrap()
}

fn classified() -> Dataset {
    let (points, labels) = blobs(50, 6, 3);
    dataset(&points, &labels, [6])
}

/// Of 6 features and 3 classes.
fn network(regularizer: Option<Regularizer>) -> SequentialBuilder {
    let [first, second] = [
        Dense::new(9).activation(Selu),
        Dense::new(3).activation(Softmax),
    ]
    .map(|layer| match regularizer {
        Some(regularizer) => layer.kernel_regularizer(regularizer),
        None => layer,
    });
    Sequential::new([6]).add(first).add(second)
}

/// Factors from 2⁻¹⁰ to 1, or 0; a kernel of any shape, of more than one workgroup's work among them; rows.
fn cases() -> impl Strategy<Value = ([f64; 2], [usize; 2], bool, usize, u64)> {
    let factor = prop_oneof![1 => Just(0.0), 3 => (0..=10i32).prop_map(|e| 2f64.powi(-e))];
    let factors = [factor.clone(), factor];
    let extents = prop_oneof![3 => [1..9usize, 1..9], 1 => [120..190usize, 90..190]];
    (factors, extents, any::<bool>(), 1..40usize, any::<u64>())
}

/// The loss of zeros is nothing but the penalty, and its gradient what a step of rate 1 subtracts. A sum of
/// positive numbers has one rounding an addition, here at most 16 + 16 + 16 + 8 of them, and so less than the
/// documentation's 10⁻⁵; a slope has six, of 2⁻²⁴ each, less than 10⁻⁶, and then the weight its own.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn penalties_and_their_gradients_are_their_formulas_for_kernels_of_any_shape() {
    for_all(
        60,
        cases(),
        |(factors, [inputs, outputs], is_conv, rows, seed)| {
            let mut kernel = normal(4 * inputs * outputs, seed, 0);
            kernel.truncate(if is_conv { 4 } else { 1 } * inputs * outputs);
            kernel.iter_mut().step_by(5).for_each(|w| *w = 0.0);
            let regularizer = of(factors);
            // Weights that are not regularized come before and behind.
            let bias = normal(outputs, seed, 1);
            let (shape, layer): (_, Layer) = if is_conv {
                let layer = Conv2d::new(outputs, [2, 2]).kernel_regularizer(regularizer);
                (
                    vec![2, 2, inputs],
                    layer.weights(&kernel[..], &bias[..]).into(),
                )
            } else {
                let layer = Dense::new(outputs).kernel_regularizer(regularizer);
                (vec![inputs], layer.weights(&kernel[..], &bias[..]).into())
            };
            let last = Dense::new(1)
                .weights(vec![0.0; outputs], [0.0])
                .trainable(false);
            let network = Sequential::new(&shape)
                .add(layer)
                .add(Flatten::new())
                .add(last);
            let mut model = network.build(gpu(), 1).unwrap();
            model
                .compile(Sgd::new(1.0), Loss::MeanSquaredError)
                .unwrap();
            let name = model.weights().unwrap()[0].0.clone();
            let x = gpu().tensor(
                &vec![0.0; rows * shape.iter().product::<usize>()],
                [&[rows], &shape[..]].concat(),
            );
            let y = gpu().tensor(&vec![0.0; rows], [rows, 1]).unwrap();
            let expected = penalty(factors, &kernel);
            let score = model.train_on_batch(&x.unwrap(), &y).unwrap();
            let error = (score.loss - expected).abs();
            assert!(error <= 1e-5 * expected, "{score:?}, not {expected}");
            let after = self::kernel(&model, &name);
            for (i, (&w, &after)) in kernel.iter().zip(&after).enumerate() {
                let slope = slope(factors, w);
                let error = (f64::from(after) - (f64::from(w) - slope)).abs();
                let rounding = 2f64.powi(-24) * f64::from(after).abs();
                assert!(
                    error <= 1e-6 * slope.abs() + rounding,
                    "{i}: {w}, {after}, {slope}"
                );
            }
            let weights = model.weights().unwrap();
            assert_eq!(weights[1].1.to_vec().unwrap(), bias);
        },
    );
}

/// Of one linear layer, the squared error and the penalty are parabolas of each weight, as long as it keeps its
/// sign: then differences over any distance are their slopes. Rows are weighted, one of them by 0, and the last
/// batch of an evaluation is not full.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_a_step_subtracts_is_the_slope_of_the_loss_that_is_reported() {
    const ROWS: usize = 300;
    const H: f32 = 0.25;
    let [x, y] = [0, 1].map(|stream| normal(ROWS * 3, 5, stream));
    let weights: Vec<_> = (0..ROWS).map(|i| (i % 4) as f32 / 2.0).collect();
    let data = Dataset::from_floats(gpu(), &x, [3]).unwrap();
    let data = data
        .targets(&y, [3])
        .unwrap()
        .sample_weights(&weights)
        .unwrap();
    let kernel = [0.5, -0.75, 1.0, -0.5, 0.3, 0.8, -1.0, 0.4, -0.6];
    for regularizer in [Regularizer::L1(0.1), Regularizer::L2(0.2), BOTH] {
        let build = |kernel: [f32; 9]| {
            let layer = Dense::new(3).kernel_regularizer(regularizer);
            let network = Sequential::new([3]).add(layer.weights(kernel, [0.1; 3]));
            network.build(gpu(), 1).unwrap()
        };
        let loss = |i: usize, by: f32| {
            let mut moved = kernel;
            moved[i] += by;
            build(moved).evaluate(&data).unwrap().loss
        };
        let mut model = build(kernel);
        let fit = Fit::new(Sgd::new(1.0)).batch_size(ROWS);
        let history = model.fit(&data, &fit).unwrap();
        assert_near("the loss", history.losses[0], loss(0, 0.0));
        let after = self::kernel(&model, "dense/kernel");
        for i in 0..9 {
            let (above, below) = (loss(i, H), loss(i, -H));
            let expected = (above - below) / (2.0 * f64::from(H));
            let actual = f64::from(kernel[i]) - f64::from(after[i]);
            let bound = SCORE_BOUND * (above + below) / (2.0 * f64::from(H));
            assert!(
                (actual - expected).abs() <= bound,
                "{regularizer:?}, {i}: {actual}, not {expected}"
            );
        }
    }
}

/// As large as the batches of an evaluation or larger, before a training and after it.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn evaluations_and_validations_have_the_penalty_once_whatever_their_batches() {
    let (points, labels) = blobs(700, 6, 3);
    let data = dataset(&points, &labels, [6]);
    let mut model = network(Some(BOTH)).build(gpu(), 1).unwrap();
    let mut plain = network(None).build(gpu(), 1).unwrap();
    let mut check = |model: &Sequential| {
        plain.set_weights(&model.weights().unwrap()).unwrap();
        let kernels = ["dense/kernel", "dense_1/kernel"].map(|name| kernel(model, name));
        let penalty = penalty([0.02, 0.03], &kernels.concat());
        let (score, expected) = (
            model.evaluate(&data).unwrap(),
            plain.evaluate(&data).unwrap(),
        );
        assert!(penalty > 0.1, "{penalty}");
        assert_near("the loss", score.loss, expected.loss + penalty);
        assert_eq!(score.accuracy, expected.accuracy);
        score
    };
    check(&model);
    let fit = Fit::new(Adam::new(0.01))
        .batch_size(64)
        .validation_data(&data);
    let history = model.fit(&data, &fit).unwrap();
    let score = check(&model);
    let validation = history.epochs[0].validation.unwrap();
    assert_near("the validation's", validation.loss, score.loss);
}

/// By `fit`, by `train_on_batch`, in an encoder by `Run::record` and by `Pass::train_on_batch`; of a copy, and of
/// a network from a file.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn every_way_to_train_gives_the_same_bits_of_a_regularized_network() {
    const ROWS: usize = 16;
    let (points, labels) = blobs(3 * ROWS, 6, 3);
    let data = dataset(&points, &labels, [6]);
    let fit = Fit::new(Adam::new(0.01).clipnorm(0.1))
        .batch_size(ROWS)
        .shuffle(false);
    let build = || {
        let mut model = network(Some(BOTH)).build(gpu(), 1).unwrap();
        let optimizer = Adam::new(0.01).clipnorm(0.1);
        model
            .compile(optimizer, Loss::CategoricalCrossentropy)
            .unwrap();
        model
    };
    let mut whole = build();
    let losses = whole.fit(&data, &fit).unwrap().losses;
    let expected = weight_bits(&whole);

    let mut again = build().duplicate().unwrap();
    assert_eq!(again.fit(&data, &fit).unwrap().losses, losses);
    assert_eq!(weight_bits(&again), expected);

    let bytes = pollster::block_on(build().to_bytes()).unwrap();
    let mut read = pollster::block_on(Sequential::from_bytes(gpu(), &bytes)).unwrap();
    assert_eq!(read.fit(&data, &fit).unwrap().losses, losses);
    assert_eq!(weight_bits(&read), expected);

    let mut recorded = build();
    let mut run = recorded.train(&data, &fit).unwrap();
    let mut encoder = gpu().device().create_command_encoder(&Default::default());
    while run.record(&mut gpu().pass(&mut encoder)).unwrap() {}
    gpu().queue().submit([encoder.finish()]);
    while run.unfinished() > 0 {
        run.try_next().unwrap();
    }
    assert_eq!(run.finish().losses, losses);
    assert_eq!(weight_bits(&recorded), expected);

    let targets = one_hot(&labels, 3);
    let batch = |values: &[f32], i: usize| {
        let columns = values.len() / (3 * ROWS);
        let part = &values[i * ROWS * columns..(i + 1) * ROWS * columns];
        gpu().tensor(part, [ROWS, columns]).unwrap()
    };
    let (mut by_hand, mut framed) = (build(), build());
    let on_gpu: Tensor = gpu().tensor(&[f32::NAN; 2], [2]).unwrap();
    for (i, &loss) in losses.iter().enumerate() {
        let (x, y) = (batch(&points, i), batch(&targets, i));
        assert_eq!(by_hand.train_on_batch(&x, &y).unwrap().loss, loss);
        let mut encoder = gpu().device().create_command_encoder(&Default::default());
        let mut pass = gpu().pass(&mut encoder);
        pass.train_on_batch(&mut framed, &x, &y).unwrap();
        framed.score_into(&mut pass, &on_gpu).unwrap();
        drop(pass);
        gpu().queue().submit([encoder.finish()]);
        assert_near("on the GPU", f64::from(on_gpu.to_vec().unwrap()[0]), loss);
        assert_eq!(framed.try_score().unwrap().unwrap().loss, loss);
    }
    assert_eq!(weight_bits(&by_hand), expected);
    assert_eq!(weight_bits(&framed), expected);
}

/// Neither the weights nor Adam's moments know of a step whose loss is not finite, and a batch of void rows has
/// no loss.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_step_that_changes_nothing_has_no_penalty_either() {
    let mut model = network(Some(BOTH)).build(gpu(), 1).unwrap();
    model
        .compile(Adam::new(0.01), Loss::CategoricalCrossentropy)
        .unwrap();
    let before = weight_bits(&model);
    let y = gpu().tensor(&[1.0, 0.0, 0.0], [1, 3]).unwrap();
    let nan = gpu().tensor(&[f32::NAN; 6], [1, 6]).unwrap();
    let error = model.train_on_batch(&nan, &y).unwrap_err();
    assert_eq!(error, Error::NotFinite { step: 1 });
    let x = gpu().tensor(&[0.5; 6], [1, 6]).unwrap();
    let void = gpu().tensor(&[0.0; 3], [1, 3]).unwrap();
    assert_eq!(model.train_on_batch(&x, &void).unwrap().loss, 0.0);
    assert_eq!(weight_bits(&model), before);
}

/// The loss is infinite as its square is, and no weight changes.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_penalty_that_is_not_finite_is_an_error_of_its_step() {
    let build = |regularizer, largest| {
        let layer = Dense::new(1).kernel_regularizer(regularizer);
        let network = Sequential::new([2]).add(layer.weights([largest, 0.0], [0.0]));
        network.build(gpu(), 1).unwrap()
    };
    let x = gpu().tensor(&[0.0; 2], [1, 2]).unwrap();
    let y = gpu().tensor(&[0.0], [1, 1]).unwrap();
    let data = Dataset::from_floats(gpu(), &[0.0; 2], [2]).unwrap();
    let data = data.targets(&[0.0], [1]).unwrap();
    let mut model = build(Regularizer::L2(0.5), 1e20);
    let before = weight_bits(&model);
    let error = model.train_on_batch(&x, &y).unwrap_err();
    assert_eq!(error, Error::NotFinite { step: 1 });
    assert_eq!(weight_bits(&model), before);
    assert_eq!(model.evaluate(&data).unwrap().loss, f64::INFINITY);
    // Of the other sum, which is finite, nothing is lost.
    let loss = build(Regularizer::L1(0.5), 1e20)
        .evaluate(&data)
        .unwrap()
        .loss;
    assert!((loss - 5e19).abs() <= 1e-5 * 5e19, "{loss}");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn factors_of_0_are_no_penalty() {
    let data = classified();
    let train = |regularizer| {
        let mut model = network(regularizer).build(gpu(), 1).unwrap();
        let history = model.fit(&data, &Fit::new(Adam::new(0.01))).unwrap();
        (history, weight_bits(&model), model.memory())
    };
    let expected = train(None);
    for regularizer in [Regularizer::L1(0.0), Regularizer::L2(0.0), of([0.0, 0.0])] {
        assert_eq!(train(Some(regularizer)), expected, "{regularizer:?}");
    }
    assert_ne!(train(Some(BOTH)), expected);
}
