//! Whole networks: those of the documentation, and how they train.
//!
//! Losses, accuracies and steps of the optimizers are compared with their formulas in f64, for networks
//! whose gradients can be written down in a line; `layers.rs` has those of the layers. A learning
//! rate of 0 makes what `fit` says about a batch a function of its samples alone.

use std::collections::HashSet;
use std::ops::ControlFlow;

use crate::common::reference::{self, Case, Spec, assert_close, conv2d, dense, normal};
use crate::common::{self, ALPHA, SCALE, gpu};
use selfnorm::nn::Activation::{self, Elu, Linear, Relu, Selu, Softmax};
use selfnorm::nn::Initializer::{GlorotUniform, LecunNormal};
use selfnorm::nn::{
    Adam, AlphaDropout, Conv2d, Dataset, Dense, Dropout, Fit, Flatten, History, Loss, MaxPool2d,
    Optimizer, Progress, Score, Sequential, SequentialBuilder, Sgd, Tiling,
};
use selfnorm::{Error, Tensor};

/// A sum of f32 losses, each rounded some times: nothing here has more than 100 of them.
const SCORE_BOUND: f64 = 2e-6;

/// The learning rate that leaves a network as it is.
fn still() -> Sgd {
    Sgd::new(0.0)
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor
        .to_vec()
        .unwrap()
        .iter()
        .map(|x| x.to_bits())
        .collect()
}

fn weight_bits(model: &Sequential) -> Vec<(String, Vec<u32>)> {
    let weights = model.weights().unwrap();
    let named = weights.iter().map(|(name, w)| (name.clone(), bits(w)));
    named.collect()
}

fn assert_near(what: &str, actual: f64, expected: f64) {
    let error = (actual - expected).abs();
    assert!(
        error <= SCORE_BOUND * expected.abs().max(1e-3),
        "{what} is {actual:e}, not {expected:e}"
    );
}

/// Points of `features` numbers around a centre a class; the class of each.
fn blobs(n: usize, features: usize, classes: usize) -> (Vec<f32>, Vec<u32>) {
    let centres = normal(classes * features, 1, 0);
    let noise = normal(n * features, 2, 0);
    let labels: Vec<_> = (0..n).map(|i| (i * 7 + i / 5) % classes).collect();
    let values = noise.iter().enumerate().map(|(i, noise)| {
        let class = labels[i / features];
        centres[class * features + i % features] * 1.5 + noise * 0.5
    });
    (
        values.collect(),
        labels.iter().map(|&label| label as u32).collect(),
    )
}

fn one_hot(labels: &[u32], classes: usize) -> Vec<f32> {
    let row = |&label: &u32| (0..classes).map(move |class| f32::from(class == label as usize));
    labels.iter().flat_map(row).collect()
}

fn dataset(values: &[f32], labels: &[u32], shape: impl AsRef<[usize]>) -> Dataset {
    let data = Dataset::from_floats(gpu(), values, shape).unwrap();
    data.classes(labels).unwrap()
}

/// With dropout, so that the masks of the steps count too.
fn classifier(features: usize, classes: usize) -> SequentialBuilder {
    Sequential::new([features])
        .add(
            Dense::new(24)
                .kernel_initializer(LecunNormal)
                .activation(Selu),
        )
        .add(AlphaDropout::new(0.1))
        .add(Dense::new(classes).activation(Softmax))
}

/// The logits are the input.
fn identity(classes: usize, activation: Activation) -> SequentialBuilder {
    let kernel: Vec<_> = (0..classes * classes)
        .map(|i| f32::from(i / classes == i % classes))
        .collect();
    let dense = Dense::new(classes).weights(kernel, vec![0.0; classes]);
    Sequential::new([classes]).add(dense.activation(activation))
}

/// −Σ t log softmax(z), of each row, and whether the first largest are at the same place.
fn cross_entropy(logits: &[f64], targets: &[f64], classes: usize) -> Vec<(f64, bool)> {
    let first_largest =
        |row: &[f64]| (0..classes).fold(0, |max, i| if row[i] > row[max] { i } else { max });
    let rows = logits.chunks(classes).zip(targets.chunks(classes));
    rows.map(|(z, t)| {
        let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let ln_sum = z.iter().map(|z| (z - max).exp()).sum::<f64>().ln() + max;
        let loss = z.iter().zip(t).map(|(z, t)| t * (ln_sum - z)).sum();
        (loss, first_largest(z) == first_largest(t))
    })
    .collect()
}

fn mean(rows: &[(f64, bool)]) -> (f64, f64) {
    let n = rows.len() as f64;
    let hits = rows.iter().filter(|(_, hit)| *hit).count();
    (
        rows.iter().map(|(loss, _)| loss).sum::<f64>() / n,
        hits as f64 / n,
    )
}

fn assert_score(what: &str, score: Score, rows: &[(f64, bool)]) {
    let (loss, accuracy) = mean(rows);
    assert_near(&format!("{what}: loss"), score.loss, loss);
    assert!(
        (score.accuracy - accuracy).abs() < 1e-12,
        "{what}: accuracy is {}, not {accuracy}",
        score.accuracy
    );
}

fn real(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

// ---------------------------------------------------------------- the documentation's networks

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn dense_layers_on_images_work_on_the_last_axis() {
    let selu = |units| {
        Dense::new(units)
            .kernel_initializer(LecunNormal)
            .activation(Selu)
    };
    let mut model = Sequential::new([28, 28, 1])
        .add(selu(64))
        .add(selu(32))
        .add(selu(16))
        .add(Dense::new(10).activation(Softmax))
        .build(gpu(), 1)
        .unwrap();
    assert_eq!(model.output_shape(), [28, 28, 10]);
    let weights = model.weights().unwrap();
    let parameters: usize = weights.iter().map(|(_, w)| w.len()).sum();
    assert_eq!(
        parameters,
        (64 + 64) + (64 * 32 + 32) + (32 * 16 + 16) + (16 * 10 + 10)
    );

    let case = Case {
        input: vec![28, 28, 1],
        layers: vec![
            dense(64, Selu),
            dense(32, Selu),
            dense(16, Selu),
            dense(10, Softmax),
        ],
        batch: 2,
        tiling: Tiling::Registers,
        seed: 1,
    };
    let x = gpu().tensor(&case.x(), [2, 28, 28, 1]).unwrap();
    let own: Vec<_> = weights
        .iter()
        .map(|(_, w)| real(&w.to_vec().unwrap()))
        .collect();
    let y = model.predict(&x).unwrap();
    let (expected, _) = case.forward(&own, &real(&case.x()), None);
    assert_close("y", &y.to_vec().unwrap(), &expected);

    // A class for each of the 28 × 28 positions of each image.
    let labels: Vec<_> = (0..2 * 28 * 28).map(|i| (i / 3 % 10) as u32).collect();
    let data = dataset(&case.x(), &labels, [28, 28, 1]);
    let (logits, _) = {
        let mut linear = case.clone();
        linear.layers[3] = dense(10, Linear);
        linear.forward(&own, &real(&case.x()), None)
    };
    let rows = cross_entropy(&logits, &real(&one_hot(&labels, 10)), 10);
    assert_score("evaluate", model.evaluate(&data).unwrap(), &rows);
    let history = model.fit(&data, &Fit::new(still())).unwrap();
    assert_score("fit", history.epochs[0].training, &rows);
}

/// As Keras 3 prints TensorFlow's tutorial on convolutional networks.
const ELU_CNN: &str = "\
Model: \"sequential\"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ conv2d (Conv2D)                 │ (None, 30, 30, 32)     │           896 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ max_pooling2d (MaxPooling2D)    │ (None, 15, 15, 32)     │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ conv2d_1 (Conv2D)               │ (None, 13, 13, 64)     │        18,496 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ max_pooling2d_1 (MaxPooling2D)  │ (None, 6, 6, 64)       │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ conv2d_2 (Conv2D)               │ (None, 4, 4, 64)       │        36,928 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 56,320 (220.00 KB)
 Trainable params: 56,320 (220.00 KB)
 Non-trainable params: 0 (0.00 B)
";

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_elu_cnn_is_summed_up_as_keras_prints_it_and_computes_the_reference() {
    let elu = |filters| Conv2d::new(filters, [3, 3]).activation(Elu(1.0));
    let network = Sequential::new([32, 32, 3])
        .add(elu(32))
        .add(MaxPool2d::new([2, 2]))
        .add(elu(64))
        .add(MaxPool2d::new([2, 2]))
        .add(elu(64));
    let mut model = network.build(gpu(), 1).unwrap();
    assert_eq!(model.summary(), ELU_CNN);
    let case = Case {
        input: vec![32, 32, 3],
        layers: vec![
            conv2d(32, [3, 3], Elu(1.0)),
            reference::max_pool2d([2, 2]),
            conv2d(64, [3, 3], Elu(1.0)),
            reference::max_pool2d([2, 2]),
            conv2d(64, [3, 3], Elu(1.0)),
        ],
        batch: 1,
        tiling: Tiling::Registers,
        seed: 1,
    };
    let weights = model.weights().unwrap();
    let own: Vec<_> = weights
        .iter()
        .map(|(_, w)| real(&w.to_vec().unwrap()))
        .collect();
    let x = gpu().tensor(&case.x(), [1, 32, 32, 3]).unwrap();
    let (expected, _) = case.forward(&own, &real(&case.x()), None);
    let y = model.predict(&x).unwrap();
    assert_eq!(y.shape(), [1, 4, 4, 64]);
    assert_close("y", &y.to_vec().unwrap(), &expected);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_summary_counts_frozen_parameters_and_cuts_what_is_too_long() {
    let model = Sequential::new([5])
        .add(Dense::new(300).trainable(false))
        .add(AlphaDropout::new(0.1))
        .add(Dense::new(7).name("a_name_that_is_too_long_for_its_column"))
        .build(gpu(), 1)
        .unwrap();
    let summary = model.summary();
    assert!(
        summary.contains(
            "│ alpha_dropout (AlphaDropout)    │ (None, 300)            │             0 │\n"
        ),
        "{summary}"
    );
    let dense = 5 * 300 + 300;
    assert_eq!(dense, 1800);
    assert!(
        summary.contains(
            "│ dense (Dense)                   │ (None, 300)            │         1,800 │\n"
        ),
        "{summary}"
    );
    assert!(summary.contains(" Total params: 3,907 (15.26 KB)\n Trainable params: 2,107 (8.23 KB)\n Non-trainable params: 1,800 (7.03 KB)\n"), "{summary}");
    let widths: HashSet<_> = summary
        .lines()
        .skip(1)
        .take(9)
        .map(|line| line.chars().count())
        .collect();
    assert_eq!(widths, HashSet::from([76]), "{summary}");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_tutorial_s_network_has_5_540_938_parameters() {
    let model = Sequential::new([28, 28, 1])
        .add(
            Conv2d::new(32, [3, 3])
                .kernel_initializer(LecunNormal)
                .activation(Selu),
        )
        .add(AlphaDropout::new(0.25))
        .add(Flatten::new())
        .add(
            Dense::new(256)
                .kernel_initializer(LecunNormal)
                .activation(Selu),
        )
        .add(Dense::new(10).activation(Softmax))
        .build(gpu(), 42)
        .unwrap();
    let expected = (9 * 32 + 32) + (26 * 26 * 32 * 256 + 256) + (256 * 10 + 10);
    let parameters: usize = model.weights().unwrap().iter().map(|(_, w)| w.len()).sum();
    assert_eq!(parameters, expected);
    let summary = model.summary();
    assert!(
        summary.contains(" Total params: 5,540,938 (21.14 MB)\n"),
        "{summary}"
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_selu_layer_stands_alone() {
    let mut model = Sequential::new([3, 2]).add(Selu).build(gpu(), 1).unwrap();
    assert_eq!(model.output_shape(), [3, 2]);
    assert!(model.weights().unwrap().is_empty());
    let x = [-30.0, -1.0, -1e-3, 0.0, 0.5, 2.0f32];
    let y = model
        .predict(&gpu().tensor(&x, [1, 3, 2]).unwrap())
        .unwrap();
    assert_eq!(y.shape(), [1, 3, 2]);
    for (y, x) in y.to_vec().unwrap().into_iter().zip(real(&x)) {
        let expected = if x > 0.0 {
            SCALE * x
        } else {
            SCALE * ALPHA * x.exp_m1()
        };
        assert!(common::ulps(y, expected) <= 2.0, "SELU({x}) is {y}");
    }
}

// ---------------------------------------------------------------- training

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn fit_learns_to_tell_classes_apart() {
    let (values, labels) = blobs(150, 6, 3);
    let data = dataset(&values, &labels, [6]);
    let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
    let before = model.evaluate(&data).unwrap();
    let fit = Fit::new(Adam::new(0.01)).batch_size(16).epochs(12);
    let history = model.fit(&data, &fit).unwrap();
    let after = model.evaluate(&data).unwrap();
    // The centres are some two deviations apart in each of six directions.
    assert!(after.loss < 0.1 * before.loss, "{before:?}, {after:?}");
    assert!(after.accuracy > 0.97, "{after:?}");
    let [first, .., last] = &history.epochs[..] else {
        panic!()
    };
    assert!(
        last.training.loss < 0.3 * first.training.loss,
        "{history:?}"
    );
    assert_eq!(history.losses.len(), 12 * 10);
    assert_eq!(model.step(), 12 * 10);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
    let (values, labels) = blobs(75, 6, 3);
    let data = dataset(&values, &labels, [6]);
    for tiling in [Tiling::Registers, Tiling::Subgroups, Tiling::Workgroup] {
        let train = |seed: u64| {
            let network = classifier(6, 3).tiling(tiling);
            let mut model = network.build(gpu(), seed).unwrap();
            let fit = Fit::new(Adam::default())
                .batch_size(16)
                .epochs(3)
                .validation_split(0.2);
            let history = model.fit(&data, &fit).unwrap();
            (weight_bits(&model), history)
        };
        let (weights, history) = train(7);
        assert_eq!(history.epochs.len(), 3);
        for _ in 0..3 {
            assert_eq!(train(7), (weights.clone(), history.clone()));
        }
        let (other_weights, other_history) = train(8);
        assert_ne!(other_weights, weights);
        assert_ne!(other_history.losses, history.losses);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_short_last_batch_is_a_step_like_any_other() {
    let (values, labels) = blobs(50, 6, 3);
    let data = dataset(&values, &labels, [6]);
    let targets = one_hot(&labels, 3);
    for optimizer in [
        Optimizer::from(Adam::new(0.01)),
        Sgd::new(0.1).momentum(0.9).into(),
    ] {
        let mut fitted = classifier(6, 3).build(gpu(), 3).unwrap();
        let fit = Fit::new(optimizer).batch_size(16).epochs(2).shuffle(false);
        let history = fitted.fit(&data, &fit).unwrap();
        let mut by_hand = classifier(6, 3).build(gpu(), 3).unwrap();
        by_hand
            .compile(optimizer, Loss::CategoricalCrossentropy)
            .unwrap();
        let mut losses = Vec::new();
        for (first, count) in [(0, 16), (16, 16), (32, 16), (48, 2)].repeat(2) {
            let x = &values[first * 6..(first + count) * 6];
            let y = &targets[first * 3..(first + count) * 3];
            let x = gpu().tensor(x, [count, 6]).unwrap();
            let y = gpu().tensor(y, [count, 3]).unwrap();
            losses.push(by_hand.train_on_batch(&x, &y).unwrap().loss);
        }
        // No sum here is long enough to be cut, so that the rows beyond the samples add zeros.
        assert_eq!(history.losses, losses);
        assert_eq!(weight_bits(&fitted), weight_bits(&by_hand));
        assert_eq!(fitted.step(), 8);
        assert_eq!(by_hand.step(), 8);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn scores_are_means_over_samples() {
    let z = normal(53 * 4, 3, 0);
    let labels: Vec<_> = (0..53).map(|i| (i * i % 4) as u32).collect();
    let rows = cross_entropy(&real(&z), &real(&one_hot(&labels, 4)), 4);
    let data = dataset(&z, &labels, [4]);
    let mut model = identity(4, Softmax).build(gpu(), 1).unwrap();
    let other_z = normal(21 * 4, 4, 0);
    let other = dataset(&other_z, &labels[..21], [4]);
    let other_rows = cross_entropy(&real(&other_z), &real(&one_hot(&labels[..21], 4)), 4);

    for batch_size in [1, 7, 16, 53, 100] {
        let fit = Fit::new(still()).batch_size(batch_size).shuffle(false);
        let history = model.fit(&data, &fit).unwrap();
        assert_score("fit", history.epochs[0].training, &rows);
        assert_eq!(history.epochs[0].validation, None);
        for (loss, rows) in history.losses.iter().zip(rows.chunks(batch_size)) {
            assert_near("a step's loss", *loss, mean(rows).0);
        }
        assert_eq!(history.losses.len(), 53usize.div_ceil(batch_size));
        assert_score("evaluate", model.evaluate(&data).unwrap(), &rows);

        // 53 · 0.7 = 37.1 are trained on; the last 16 are not, shuffled or not.
        let fit = Fit::new(still())
            .batch_size(batch_size)
            .epochs(2)
            .validation_split(0.3);
        for epoch in model.fit(&data, &fit).unwrap().epochs {
            assert_score("trained part", epoch.training, &rows[..37]);
            assert_score("last part", epoch.validation.unwrap(), &rows[37..]);
        }
        let fit = fit.validation_data(&other);
        for epoch in model.fit(&data, &fit).unwrap().epochs {
            assert_score("all of it", epoch.training, &rows);
            assert_score("validation data", epoch.validation.unwrap(), &other_rows);
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn validation_comes_after_the_epoch_and_without_dropout() {
    let (values, labels) = blobs(60, 6, 3);
    let data = dataset(&values, &labels, [6]);
    let last = dataset(&values[45 * 6..], &labels[45..], [6]);
    let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
    let fit = Fit::new(Adam::new(0.01))
        .batch_size(15)
        .validation_split(0.25);
    let validation = model.fit(&data, &fit).unwrap().epochs[0]
        .validation
        .unwrap();
    let evaluated = model.evaluate(&last).unwrap();
    assert_near("loss", validation.loss, evaluated.loss);
    assert_eq!(validation.accuracy, evaluated.accuracy);
}

/// The order of samples whose loss is the square of their number.
fn order(history: &History) -> Vec<usize> {
    history
        .losses
        .iter()
        .map(|loss| loss.sqrt() as usize)
        .collect()
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn each_epoch_takes_the_samples_in_an_order_of_its_own() {
    let numbers: Vec<_> = (0..40).map(|i| i as f32).collect();
    let data = Dataset::from_floats(gpu(), &[1.0; 40], [1]).unwrap();
    let data = data.targets(&numbers, [1]).unwrap();
    let network = Sequential::new([1]).add(Dense::new(1).weights([0.0], [0.0]));
    let mut model = network.build(gpu(), 1).unwrap();
    let fit = Fit::new(still()).batch_size(1);
    let unshuffled = model.fit(&data, &fit.clone().shuffle(false)).unwrap();
    assert_eq!(order(&unshuffled), (0..40).collect::<Vec<_>>());

    let all = order(&model.fit(&data, &fit.clone().epochs(3)).unwrap());
    let epochs: HashSet<_> = all.chunks(40).collect();
    assert_eq!(epochs.len(), 3);
    for epoch in epochs {
        let mut sorted = epoch.to_vec();
        sorted.sort();
        assert_eq!(sorted, (0..40).collect::<Vec<_>>());
        assert_ne!(epoch, sorted);
        // Of a random permutation, one element stays where it is, on average.
        let fixed = epoch.iter().enumerate().filter(|&(i, &sample)| i == sample);
        assert!(fixed.count() < 8, "{epoch:?}");
    }
    let second = fit.clone().initial_epoch(1).epochs(2);
    assert_eq!(order(&model.fit(&data, &second).unwrap()), all[40..80]);
    assert_eq!(
        order(&model.fit(&data, &fit.clone().seed(1)).unwrap()),
        all[..40]
    );
    assert_ne!(
        order(&model.fit(&data, &fit.clone().seed(2)).unwrap()),
        all[..40]
    );

    let split = fit.validation_split(0.25).epochs(2);
    for epoch in order(&model.fit(&data, &split).unwrap()).chunks(30) {
        let mut sorted = epoch.to_vec();
        sorted.sort();
        assert_eq!(sorted, (0..30).collect::<Vec<_>>());
    }
}

/// Where a shuffle puts what: every sample should be everywhere equally often.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn shuffled_samples_are_everywhere_equally_often() {
    const SAMPLES: usize = 5;
    const EPOCHS: usize = 400;
    let numbers: Vec<_> = (0..SAMPLES).map(|i| i as f32).collect();
    let data = Dataset::from_floats(gpu(), &[1.0; SAMPLES], [1]).unwrap();
    let data = data.targets(&numbers, [1]).unwrap();
    let network = Sequential::new([1]).add(Dense::new(1).weights([0.0], [0.0]));
    let mut model = network.build(gpu(), 1).unwrap();
    let fit = Fit::new(still()).batch_size(1).epochs(EPOCHS);
    let mut counts = [[0.0; SAMPLES]; SAMPLES];
    for epoch in order(&model.fit(&data, &fit).unwrap()).chunks(SAMPLES) {
        for (place, &sample) in epoch.iter().enumerate() {
            counts[place][sample] += 1.0;
        }
    }
    let expected = (EPOCHS / SAMPLES) as f64;
    let squares = counts
        .iter()
        .flatten()
        .map(|count: &f64| (count - expected).powi(2));
    let chi_squared = squares.sum::<f64>() / expected;
    // 16 degrees of freedom: more than 39.3 once in a thousand seeds, and this is one seed.
    assert!(chi_squared < 39.3, "{chi_squared}, {counts:?}");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn callbacks_see_every_batch_and_epoch() {
    let (values, labels) = blobs(50, 6, 3);
    let data = dataset(&values, &labels, [6]);
    let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
    let fit = Fit::new(Adam::new(0.01))
        .batch_size(16)
        .epochs(3)
        .validation_split(0.2);
    let fit = fit.initial_epoch(1);
    let (mut seen, mut scores, mut epochs) = (Vec::new(), Vec::new(), Vec::new());
    let history = model
        .fit_with(&data, &fit, |progress| {
            match progress {
                Progress::Batch(end) => {
                    assert_eq!((end.epochs, end.batches), (3, 3));
                    seen.push((end.epoch, end.batch));
                    scores.push(end.score().unwrap());
                }
                Progress::Epoch(end) => {
                    assert_eq!(end.epochs, 3);
                    assert_eq!(end.epoch, 2 + epochs.len());
                    assert_eq!(end.model.step() as usize, seen.len());
                    epochs.push(end.scores);
                }
                _ => {}
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(seen, [(2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3)]);
    assert!(!history.stopped);
    assert_eq!(history.epochs, epochs);
    // 16, 16 and 8 samples.
    for (epoch, steps) in history.losses.chunks(3).enumerate() {
        let mut samples = 0.0;
        let mut sum = 0.0;
        for (i, (loss, count)) in steps.iter().zip([16.0, 16.0, 8.0]).enumerate() {
            sum += loss * count;
            samples += count;
            assert_near("mean so far", scores[epoch * 3 + i].loss, sum / samples);
        }
        assert_eq!(scores[epoch * 3 + 2], history.epochs[epoch].training);
    }

    // Looking changes nothing.
    let mut unseen = classifier(6, 3).build(gpu(), 1).unwrap();
    assert_eq!(unseen.fit(&data, &fit).unwrap(), history);
    assert_eq!(weight_bits(&unseen), weight_bits(&model));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn callbacks_stop_training_at_once() {
    let (values, labels) = blobs(50, 6, 3);
    let data = dataset(&values, &labels, [6]);
    let fit = Fit::new(Adam::new(0.01))
        .batch_size(16)
        .epochs(3)
        .validation_split(0.2);
    let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
    let whole = model.fit(&data, &fit).unwrap();
    for stop_after in [1, 2, 3, 4, 5] {
        let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
        let mut steps = 0;
        let history = model
            .fit_with(&data, &fit, |progress| {
                steps += usize::from(matches!(progress, Progress::Batch(_)));
                match progress {
                    Progress::Batch(_) if steps == stop_after => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            })
            .unwrap();
        assert!(history.stopped);
        assert_eq!(steps, stop_after);
        assert_eq!(model.step() as usize, stop_after);
        assert_eq!(history.losses, whole.losses[..stop_after]);
        let last = history.epochs.last().unwrap();
        assert_eq!(history.epochs.len(), stop_after.div_ceil(3));
        assert_eq!(last.validation, None);
        let in_epoch = &whole.losses[(stop_after - 1) / 3 * 3..stop_after];
        let counts = [16.0, 16.0, 8.0];
        let sum: f64 = in_epoch.iter().zip(counts).map(|(loss, n)| loss * n).sum();
        let samples: f64 = counts[..in_epoch.len()].iter().sum();
        assert_near("the part's loss", last.training.loss, sum / samples);
    }
    let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
    let history = model
        .fit_with(&data, &fit, |progress| match progress {
            Progress::Epoch(end) if end.epoch == 2 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
        .unwrap();
    assert!(history.stopped);
    assert_eq!(history.epochs, whole.epochs[..2]);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn training_in_two_parts_is_training_in_one() {
    let (values, labels) = blobs(50, 6, 3);
    let data = dataset(&values, &labels, [6]);
    let fit = |optimizer: Optimizer| Fit::new(optimizer).batch_size(16);
    for optimizer in [
        Optimizer::from(Adam::default()),
        Sgd::new(0.1).momentum(0.5).into(),
    ] {
        let mut one = classifier(6, 3).build(gpu(), 1).unwrap();
        let whole = one.fit(&data, &fit(optimizer).epochs(4)).unwrap();
        let mut two = classifier(6, 3).build(gpu(), 1).unwrap();
        let first = two.fit(&data, &fit(optimizer).epochs(2)).unwrap();
        let second = two
            .fit(&data, &fit(optimizer).initial_epoch(2).epochs(4))
            .unwrap();
        assert_eq!([first.losses, second.losses].concat(), whole.losses);
        assert_eq!(weight_bits(&one), weight_bits(&two));
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn looking_at_a_network_does_not_disturb_its_training() {
    let (values, labels) = blobs(40, 6, 3);
    let (x, y) = (&values[..16 * 6], one_hot(&labels[..16], 3));
    let x = gpu().tensor(x, [16, 6]).unwrap();
    let y = gpu().tensor(&y, [16, 3]).unwrap();
    let data = dataset(&values, &labels, [6]);
    let run = |look: bool| {
        let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
        let mut losses = Vec::new();
        for _ in 0..5 {
            losses.push(model.train_on_batch(&x, &y).unwrap().loss);
            if look {
                let (step, weights) = (model.step(), weight_bits(&model));
                model.gradient(&x, &y, true).unwrap();
                model.gradient(&x, &y, false).unwrap();
                model.statistics_in_training(&x).unwrap();
                model.statistics(&x).unwrap();
                model.predict(&x).unwrap();
                model.evaluate(&data).unwrap();
                model.summary();
                model.memory();
                assert_eq!((model.step(), weight_bits(&model)), (step, weights));
            }
        }
        (losses, weight_bits(&model))
    };
    assert_eq!(run(true), run(false));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn class_numbers_and_one_hot_rows_are_the_same_targets() {
    let (values, labels) = blobs(50, 6, 5);
    let train = |data: Dataset| {
        let mut model = classifier(6, 5).build(gpu(), 1).unwrap();
        let fit = Fit::new(Adam::new(0.01))
            .batch_size(16)
            .epochs(2)
            .validation_split(0.1);
        let history = model.fit(&data, &fit).unwrap();
        (history, weight_bits(&model))
    };
    let data = || Dataset::from_floats(gpu(), &values, [6]).unwrap();
    let expected = train(data().targets(&one_hot(&labels, 5), [5]).unwrap());
    assert_eq!(train(data().classes(&labels).unwrap()), expected);
    let bytes: Vec<_> = labels.iter().map(|&label| label as u8).collect();
    assert_eq!(train(data().classes(&bytes).unwrap()), expected);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn bytes_are_the_same_data_as_their_values() {
    // 9 and 8 values a sample: with and without samples that begin within a word.
    for sample in [9, 8] {
        let words = selfnorm::random::words(5, 5, 0..50 * sample as u64);
        let bytes: Vec<_> = words.map(|word| word as u8).collect();
        let labels: Vec<_> = (0..50u32).map(|i| i % 3).collect();
        let train = |data: Dataset| {
            let data = data.classes(&labels).unwrap();
            let mut model = classifier(sample, 3).build(gpu(), 1).unwrap();
            let fit = Fit::new(Adam::new(0.01))
                .batch_size(16)
                .epochs(2)
                .validation_split(0.1);
            let history = model.fit(&data, &fit).unwrap();
            (history, weight_bits(&model))
        };
        let floats = |value: &dyn Fn(f32) -> f32| {
            let values: Vec<_> = bytes.iter().map(|&byte| value(byte.into())).collect();
            Dataset::from_floats(gpu(), &values, [sample]).unwrap()
        };
        let data = || Dataset::from_bytes(gpu(), &bytes, [sample]).unwrap();
        assert_eq!(train(data()), train(floats(&|byte| byte * (1.0 / 255.0))));
        // Without rounding, whether or not the device fuses.
        let scaled = train(data().scaled(1.0 / 64.0, -2.0));
        assert_eq!(scaled, train(floats(&|byte| byte / 64.0 - 2.0)));
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn cross_entropy_is_right_for_extreme_logits_and_for_probabilities() {
    let logits = [
        [1000.0, -1000.0, 0.0],
        [-1000.0, 1000.0, 0.0],
        [1000.0, 1000.0, 1000.0],
        [-1000.0, -1000.0, -1000.0],
        [1000.0, 999.0, 998.5],
        [30.0, -30.0, 1e-3],
        [0.1, 0.2, 0.3],
    ];
    let targets = [
        [1.0, 0.0, 0.0],
        [1.0, 0.0, 0.0],
        [0.0, 1.0, 0.0],
        [0.25, 0.25, 0.5],
        [0.5, 0.25, 0.25],
        [0.0, 0.0, 1.0],
        // Not a distribution: a sample that counts twice.
        [0.5, 1.0, 0.5],
    ];
    let flat = |rows: &[[f32; 3]]| rows.iter().flatten().copied().collect::<Vec<_>>();
    for activation in [Softmax, Linear] {
        for (z, t) in logits.iter().zip(&targets) {
            // Each alone, and all of them, so that small losses are seen beside large ones.
            check_cross_entropy(activation, z, t);
        }
        check_cross_entropy(activation, &flat(&logits), &flat(&targets));
    }
}

/// Loss, accuracy, and the gradient, which is what a step of rate 1 subtracts from the biases.
fn check_cross_entropy(activation: Activation, z: &[f32], t: &[f32]) {
    let n = z.len() / 3;
    let mut model = identity(3, activation).build(gpu(), 1).unwrap();
    model
        .compile(Sgd::new(1.0), Loss::CategoricalCrossentropy)
        .unwrap();
    let x = gpu().tensor(z, [n, 3]).unwrap();
    let y = gpu().tensor(t, [n, 3]).unwrap();
    let score = model.train_on_batch(&x, &y).unwrap();
    let (z, t) = (real(z), real(t));
    let (loss, accuracy) = mean(&cross_entropy(&z, &t, 3));
    // ln of a sum is as exact as an f32 next to 1.
    let error = (score.loss - loss).abs();
    assert!(
        error <= 2e-7 + 2e-6 * loss,
        "{z:?}, {t:?}: {score:?}, not {loss}"
    );
    assert_eq!(score.accuracy, accuracy, "{z:?}, {t:?}");
    let mut expected = [0.0; 3];
    for (z, t) in z.chunks(3).zip(t.chunks(3)) {
        let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = z.iter().map(|z| (z - max).exp()).sum();
        for class in 0..3 {
            let p = (z[class] - max).exp() / sum;
            expected[class] -= (p * t.iter().sum::<f64>() - t[class]) / n as f64;
        }
    }
    let bias = model.weights().unwrap()[1].1.to_vec().unwrap();
    for (actual, expected) in bias.iter().zip(expected) {
        let error = (f64::from(*actual) - expected).abs();
        assert!(error <= 1e-6, "{z:?}, {t:?}: {bias:?}, not {expected}");
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn mean_squared_error_is_its_formula_over_outputs_of_any_rank() {
    let case = Case {
        input: vec![4, 3],
        layers: vec![dense(2, Selu)],
        batch: 5,
        tiling: Tiling::Registers,
        seed: 2,
    };
    let mut model = case.model(gpu());
    let t = normal(5 * 4 * 2, 9, 9);
    let weights: Vec<_> = case.weights().iter().map(|w| real(w)).collect();
    let (y, _) = case.forward(&weights, &real(&case.x()), None);
    let squares: f64 = y.iter().zip(real(&t)).map(|(y, t)| (y - t).powi(2)).sum();
    let data = Dataset::from_floats(gpu(), &case.x(), [4, 3]).unwrap();
    let data = data.targets(&t, [4, 2]).unwrap();
    let score = model.evaluate(&data).unwrap();
    assert_near("evaluate", score.loss, squares / 40.0);
    assert!(score.accuracy.is_nan());
    let x = gpu().tensor(&case.x(), [5, 4, 3]).unwrap();
    let t = gpu().tensor(&t, [5, 4, 2]).unwrap();
    model.compile(still(), Loss::MeanSquaredError).unwrap();
    assert_near(
        "step",
        model.train_on_batch(&x, &t).unwrap().loss,
        squares / 40.0,
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn regression_finds_the_line() {
    let x = normal(64, 1, 1);
    let t: Vec<_> = x.iter().map(|x| 2.0 * x + 1.0).collect();
    let data = Dataset::from_floats(gpu(), &x, [1]).unwrap();
    let data = data.targets(&t, [1]).unwrap();
    let mut model = Sequential::new([1])
        .add(Dense::new(1))
        .build(gpu(), 1)
        .unwrap();
    let fit = Fit::new(Sgd::new(0.1)).batch_size(16).epochs(40);
    model.fit(&data, &fit).unwrap();
    let weights = model.weights().unwrap();
    let at = |i: usize| f64::from(weights[i].1.to_vec().unwrap()[0]);
    // 160 steps, each of which shrinks what is missing by 2 · 0.1 · variance of x, 0.77: e⁻²⁵.
    assert!(
        (at(0) - 2.0).abs() < 1e-5 && (at(1) - 1.0).abs() < 1e-5,
        "{} {}",
        at(0),
        at(1)
    );
}

/// A linear network and its optimizer in f64: w [4, 3], b [3], and a mean squared error.
struct Host {
    w: Vec<f64>,
    /// momentum, or Adam's m; Adam's v
    slots: [Vec<f64>; 2],
    step: i32,
}

const BATCH: usize = 5;

impl Host {
    fn step(&mut self, optimizer: Optimizer, x: &[f64], t: &[f64]) {
        let mut gradient = vec![0.0; 15];
        for sample in 0..BATCH {
            for j in 0..3 {
                let sum: f64 = (0..4).map(|i| x[sample * 4 + i] * self.w[i * 3 + j]).sum();
                let dy = 2.0 * (sum + self.w[12 + j] - t[sample * 3 + j]) / (3 * BATCH) as f64;
                for i in 0..4 {
                    gradient[i * 3 + j] += x[sample * 4 + i] * dy;
                }
                gradient[12 + j] += dy;
            }
        }
        self.step += 1;
        let [m, v] = &mut self.slots;
        for (i, g) in gradient.into_iter().enumerate() {
            match optimizer {
                Optimizer::Sgd(Sgd {
                    learning_rate: rate,
                    momentum,
                    nesterov,
                    ..
                }) => {
                    m[i] = momentum * m[i] - rate * g;
                    self.w[i] += if nesterov {
                        momentum * m[i] - rate * g
                    } else {
                        m[i]
                    };
                }
                Optimizer::Adam(adam) => {
                    m[i] = adam.beta_1 * m[i] + (1.0 - adam.beta_1) * g;
                    v[i] = adam.beta_2 * v[i] + (1.0 - adam.beta_2) * g * g;
                    let unbiased = (1.0 - adam.beta_2.powi(self.step)).sqrt()
                        / (1.0 - adam.beta_1.powi(self.step));
                    self.w[i] -=
                        adam.learning_rate * unbiased * m[i] / (v[i].sqrt() + adam.epsilon);
                }
                _ => unreachable!(),
            }
        }
    }
}

/// Steps of these optimizers, one fit each.
fn check_optimizers(optimizers: &[Optimizer]) {
    let initial = normal(15, 1, 1);
    let dense = Dense::new(3).weights(&initial[..12], &initial[12..]);
    let mut model = Sequential::new([4]).add(dense).build(gpu(), 1).unwrap();
    let zeros = || vec![0.0; 15];
    let mut host = Host {
        w: real(&initial),
        slots: [zeros(), zeros()],
        step: 0,
    };
    for (i, &optimizer) in optimizers.iter().enumerate() {
        let x = normal(BATCH * 4, 2, i as u64);
        let t = normal(BATCH * 3, 3, i as u64);
        let data = Dataset::from_floats(gpu(), &x, [4]).unwrap();
        let data = data.targets(&t, [3]).unwrap();
        model
            .fit(&data, &Fit::new(optimizer).batch_size(BATCH))
            .unwrap();
        host.step(optimizer, &real(&x), &real(&t));
        let weights = model.weights().unwrap();
        let weights: Vec<_> = weights
            .iter()
            .flat_map(|(_, w)| w.to_vec().unwrap())
            .collect();
        for (j, (actual, expected)) in weights.iter().zip(&host.w).enumerate() {
            let error = (f64::from(*actual) - expected).abs();
            // Weights of size one are rounded in each step, and the gradient's error of 1e-6 times its
            // size times the rate: 0.1 at most, but for Adam, whose steps are of the rate's size.
            assert!(
                error <= 1e-6,
                "weight {j} after step {}: {actual}, not {expected}; {optimizers:?}",
                i + 1
            );
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn optimizers_are_their_formulas() {
    let all = [
        Adam::default().into(),
        Adam {
            learning_rate: 0.05,
            beta_1: 0.8,
            beta_2: 0.95,
            epsilon: 1e-3,
        }
        .into(),
        Adam {
            beta_1: 0.0,
            ..Adam::new(0.01)
        }
        .into(),
        Sgd::default().into(),
        Sgd::new(0.1).momentum(0.9).into(),
        Sgd::new(0.1).momentum(0.9).nesterov(true).into(),
        // Without momentum there is nothing to look ahead with.
        Sgd::new(0.1).nesterov(true).into(),
    ];
    for optimizer in all {
        check_optimizers(&[optimizer; 8]);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn another_rate_keeps_the_moments() {
    let adam = Adam::new(0.01);
    let slower = Adam {
        learning_rate: 0.001,
        beta_1: 0.8,
        ..adam
    };
    check_optimizers(&[adam, adam, adam, slower, slower, adam].map(Optimizer::from));
    let sgd = Sgd::new(0.1).momentum(0.9);
    let slower = Sgd::new(0.01).momentum(0.5).nesterov(true);
    check_optimizers(&[sgd, sgd, slower, slower, sgd].map(Optimizer::from));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn momentum_that_comes_later_counts_from_then_on() {
    let (plain, momentum) = (Sgd::new(0.1), Sgd::new(0.1).momentum(0.9));
    // What plain steps leave behind is no velocity.
    let initial = normal(15, 1, 1);
    let dense = Dense::new(3).weights(&initial[..12], &initial[12..]);
    let mut model = Sequential::new([4]).add(dense).build(gpu(), 1).unwrap();
    let x = normal(BATCH * 4, 2, 0);
    let t = normal(BATCH * 3, 3, 0);
    let data = Dataset::from_floats(gpu(), &x, [4])
        .unwrap()
        .targets(&t, [3])
        .unwrap();
    let mut fit = |optimizer: Sgd| {
        model
            .fit(&data, &Fit::new(optimizer).batch_size(BATCH))
            .unwrap();
        let weights = model.weights().unwrap();
        weights
            .iter()
            .flat_map(|(_, w)| real(&w.to_vec().unwrap()))
            .collect::<Vec<_>>()
    };
    let weights = [fit(plain), fit(plain), fit(momentum), fit(momentum)];
    let moved = |i: usize| weights[i][0] - weights[i - 1][0];
    // velocity₂ = 0.9 velocity₁ − η g, and g shrinks slowly here.
    assert!(moved(3) / moved(2) > 1.3, "{} after {}", moved(3), moved(2));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn data_that_is_not_a_number_is_an_error_that_names_the_step() {
    let (mut values, labels) = blobs(40, 6, 3);
    let good = dataset(&values, &labels, [6]);
    values[20 * 6 + 3] = f32::NAN;
    let bad = dataset(&values, &labels, [6]);
    let fit = Fit::new(Adam::default()).batch_size(8).shuffle(false);
    for before in [0, 2] {
        let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
        model.fit(&good, &fit.clone().epochs(before)).unwrap();
        // Of five steps an epoch, sample 20 is in the third.
        let step = 5 * before as u64 + 3;
        let error = model.fit(&bad, &fit.clone().epochs(2)).unwrap_err();
        assert_eq!(error, Error::NotANumber { step });
        let sentence = format!(
            "the loss became NaN in training step {step}; a lower learning rate may help, and data without NaN or infinity"
        );
        assert_eq!(error.to_string(), sentence);

        let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
        model.fit(&good, &fit.clone().epochs(before)).unwrap();
        let mut told = Vec::new();
        let callback = |progress: Progress| {
            if let Progress::Batch(end) = progress {
                told.push(end.score().map(|_| ()));
            }
            ControlFlow::Continue(())
        };
        model.fit_with(&bad, &fit, callback).unwrap_err();
        let nan = || Err(Error::NotANumber { step });
        assert_eq!(told, [Ok(()), Ok(()), nan(), nan(), nan()]);
    }
    let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
    let x = gpu().tensor(&values[16 * 6..24 * 6], [8, 6]).unwrap();
    let y = gpu().tensor(&one_hot(&labels[16..24], 3), [8, 3]).unwrap();
    let error = model.train_on_batch(&x, &y).unwrap_err();
    assert_eq!(error, Error::NotANumber { step: 1 });
    // A prediction or a score may be NaN.
    assert!(model.evaluate(&bad).unwrap().loss.is_nan());
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn any_number_of_samples_can_be_predicted_and_evaluated() {
    for fitted in [false, true] {
        for n in [0, 1, 5, 8, 31, 32, 33, 70] {
            let case = Case {
                input: vec![6],
                layers: vec![dense(24, Selu), Spec::AlphaDropout(0.1), dense(3, Linear)],
                batch: n,
                tiling: Tiling::Registers,
                seed: 4,
            };
            let mut model = case.model(gpu());
            if fitted {
                // Batches of five, of which nothing is to be seen later.
                let data = Dataset::from_floats(gpu(), &[1.0; 12 * 6], [6]).unwrap();
                let data = data.targets(&[1.0; 12 * 3], [3]).unwrap();
                model.fit(&data, &Fit::new(still()).batch_size(5)).unwrap();
            }
            let weights: Vec<_> = case.weights().iter().map(|w| real(w)).collect();
            let (expected, _) = case.forward(&weights, &real(&case.x()), None);
            let y = model
                .predict(&gpu().tensor(&case.x(), [n, 6]).unwrap())
                .unwrap();
            assert_eq!(y.shape(), [n, 3]);
            assert_close("y", &y.to_vec().unwrap(), &expected);
            if n > 0 {
                let labels: Vec<_> = (0..n as u32).map(|i| i % 3).collect();
                let data = dataset(&case.x(), &labels, [6]);
                model
                    .compile(still(), Loss::CategoricalCrossentropy)
                    .unwrap();
                let rows = cross_entropy(&expected, &real(&one_hot(&labels, 3)), 3);
                assert_score("evaluate", model.evaluate(&data).unwrap(), &rows);
                model
                    .gradient(&gpu().tensor(&case.x(), [n, 6]).unwrap(), &y, true)
                    .unwrap();
            }
            let x = gpu().tensor(&case.x(), [n, 6]).unwrap();
            for layer in model.statistics(&x).unwrap() {
                assert_eq!(layer.mean.is_nan(), n == 0, "{layer:?}");
            }
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn accuracy_is_of_the_first_of_the_largest() {
    let hits = |z: [f32; 3], t: [f32; 3]| {
        let data = Dataset::from_floats(gpu(), &z, [3]).unwrap();
        let data = data.targets(&t, [3]).unwrap();
        let mut model = identity(3, Softmax).build(gpu(), 1).unwrap();
        model.evaluate(&data).unwrap().accuracy
    };
    assert_eq!(hits([1.0, 1.0, 0.0], [1.0, 0.0, 0.0]), 1.0);
    assert_eq!(hits([1.0, 1.0, 0.0], [0.0, 1.0, 0.0]), 0.0);
    assert_eq!(hits([0.0, 1.0, 1.0], [0.0, 1.0, 0.0]), 1.0);
    assert_eq!(hits([0.0, 0.0, 0.0], [1.0, 0.0, 0.0]), 1.0);
    assert_eq!(hits([0.0, 1.0, 0.0], [0.2, 0.4, 0.4]), 1.0);
    assert_eq!(hits([0.0, 0.0, 1.0], [0.2, 0.4, 0.4]), 0.0);
    assert_eq!(hits([-2.0, -1.0, -3.0], [0.0, 1.0, 0.0]), 1.0);
}

/// What a network without weights, or without anything to do, is asked for must not fail.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn networks_without_weights_can_be_scored_differentiated_and_trained() {
    let z = normal(5 * 4, 3, 0);
    let labels = [0, 1, 2, 3, 0];
    let rows = cross_entropy(&real(&z), &real(&one_hot(&labels, 4)), 4);
    let data = dataset(&z, &labels, [4]);
    let x = gpu().tensor(&z, [5, 4]).unwrap();
    let mut softmax = Sequential::new([4]).add(Softmax).build(gpu(), 1).unwrap();
    assert_score("evaluate", softmax.evaluate(&data).unwrap(), &rows);
    let history = softmax.fit(&data, &Fit::new(Adam::default())).unwrap();
    assert_score("fit", history.epochs[0].training, &rows);

    let nothing = [
        Sequential::new([4]).add(Flatten::new()),
        Sequential::new([4]).add(Linear),
        Sequential::new([4]).add(AlphaDropout::new(0.0)),
    ];
    for network in nothing {
        let mut model = network.build(gpu(), 1).unwrap();
        assert_eq!(bits(&model.predict(&x).unwrap()), bits(&x));
        let gradient = model.gradient(&x, &x, true).unwrap();
        assert_eq!(bits(&gradient.dx), bits(&x));
        let y = gpu().tensor(&[0.0; 20], [5, 4]).unwrap();
        let squares: f64 = real(&z).iter().map(|z| z * z).sum();
        let score = model.train_on_batch(&x, &y).unwrap();
        assert_near("loss", score.loss, squares / 20.0);
        assert_eq!(model.statistics_in_training(&x).unwrap().len(), 1);
    }
}

/// The loss is of what the network puts out: of three probabilities at a time, whatever the shape.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_softmax_that_is_flattened_is_not_taken_for_one_over_everything() {
    let dense = Dense::new(3)
        .weights([0.0; 9], [0.0; 3])
        .activation(Softmax);
    let network = Sequential::new([2, 3]).add(dense).add(Flatten::new());
    let mut model = network.build(gpu(), 1).unwrap();
    let x = gpu().tensor(&[0.0; 6], [1, 2, 3]).unwrap();
    assert_eq!(model.predict(&x).unwrap().shape(), [1, 6]);
    // Either such a network has no cross-entropy, or it is −Σ t log p: here −2 log ⅓.
    if model
        .compile(still(), Loss::CategoricalCrossentropy)
        .is_err()
    {
        return;
    }
    let y = gpu()
        .tensor(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0], [1, 6])
        .unwrap();
    let score = model.train_on_batch(&x, &y).unwrap();
    assert_near("loss", score.loss, 2.0 * 3f64.ln());
}

// ---------------------------------------------------------------- statistics

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
        }
    }
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
    let relu = |network: SequentialBuilder| {
        network.add(
            Dense::new(WIDTH)
                .kernel_initializer(GlorotUniform)
                .activation(Relu),
        )
    };
    let last = network(&start, &relu)
        .statistics(&x)
        .unwrap()
        .pop()
        .unwrap();
    assert!(last.variance < 1e-4, "{last:?}");
    let with_plain_dropout = |network| selu(network).add(Dropout::new(0.1));
    let last = network(&start, &with_plain_dropout)
        .statistics_in_training(&x)
        .unwrap()
        .pop()
        .unwrap();
    assert!(last.variance > 1.15 || last.mean.abs() > 0.1, "{last:?}");
}

/// The softmax at the end is left out where the loss is computed from logits, and only there.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_mean_squared_error_of_a_softmax_is_of_its_output() {
    let mut model = Sequential::new([4])
        .add(Dense::new(3).activation(Softmax))
        .build(gpu(), 5)
        .unwrap();
    model
        .compile(Sgd::new(0.5), Loss::MeanSquaredError)
        .unwrap();
    let (x, t) = (normal(6 * 4, 3, 0), normal(6 * 3, 4, 0));
    let inputs = gpu().tensor(&x, [6, 4]).unwrap();
    let targets = gpu().tensor(&t, [6, 3]).unwrap();
    for _ in 0..3 {
        let y = model.predict(&inputs).unwrap().to_vec().unwrap();
        let squares = y.iter().zip(&t).map(|(y, t)| f64::from(y - t).powi(2));
        let expected = squares.sum::<f64>() / y.len() as f64;
        let score = model.train_on_batch(&inputs, &targets).unwrap();
        assert_near("the loss", score.loss, expected);
        assert!(score.accuracy.is_nan());
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_network_of_nothing_but_a_softmax_is_evaluated_and_trained() {
    let mut model = Sequential::new([3]).add(Softmax).build(gpu(), 5).unwrap();
    let data = dataset(&[1.0, 2.0, 3.0, 3.0, 2.0, 1.0], &[2, 1], [3]);
    let sum = [1f64, 2.0, 3.0].map(f64::exp).iter().sum::<f64>();
    let expected = (sum.ln() - 3.0 + sum.ln() - 2.0) / 2.0;
    let score = model.evaluate(&data).unwrap();
    assert_near("the loss", score.loss, expected);
    assert_eq!(score.accuracy, 0.5);
    let history = model.fit(&data, &Fit::new(still())).unwrap();
    assert_near("the loss", history.epochs[0].training.loss, expected);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn another_loss_or_learning_rate_goes_on_with_the_steps_and_another_optimizer_begins_anew() {
    let (x, labels) = blobs(8, 4, 3);
    let data = dataset(&x, &labels, [4]);
    let mut model = Sequential::new([4])
        .add(Dense::new(3).activation(Softmax))
        .build(gpu(), 5)
        .unwrap();
    let mut steps_after = |fit: Fit| {
        model.fit(&data, &fit).unwrap();
        model.step()
    };
    assert_eq!(steps_after(Fit::new(Adam::default())), 1);
    assert_eq!(
        steps_after(Fit::new(Adam::default()).loss(Loss::MeanSquaredError)),
        2
    );
    assert_eq!(steps_after(Fit::new(Adam::new(0.1))), 3);
    assert_eq!(steps_after(Fit::new(Sgd::new(0.1))), 1);
    assert_eq!(steps_after(Fit::new(Sgd::new(0.1).momentum(0.9))), 1);
}
