//! Whole networks: those of the documentation, and how they train.
//!
//! Losses, accuracies and steps of the optimizers are compared with their formulas in f64, for networks
//! whose gradients can be written down in a line; `layers.rs` has those of the layers. A learning
//! rate of 0 makes what `fit` says about a batch a function of its samples alone.

mod callbacks;
mod copies;
mod data;
mod documented;
mod guard;
mod losses;
mod normalizations;
mod optimizers;
mod parts;
mod precision;
mod predictions;
mod ranks;
mod regularizers;
mod runs;
mod selections;
mod statistics;
mod streams;
mod tensors;
mod training;

use crate::common::gpu;
use crate::common::reference::normal;
use selfnorm::Tensor;
use selfnorm::nn::Activation::{self, Selu, Softmax};
use selfnorm::nn::Initializer::LecunNormal;
use selfnorm::nn::{AlphaDropout, Dataset, Dense, Fit, Score, Sequential, SequentialBuilder, Sgd};

/// A sum of f32 losses, each rounded some times: nothing here has more than 100 of them.
const SCORE_BOUND: f64 = 2e-6;

/// Samples whose target is their number, for [`numbering`].
fn numbered(len: usize) -> Dataset {
    let numbers: Vec<_> = (0..len).map(|i| i as f32).collect();
    let data = Dataset::from_floats(gpu(), &vec![1.0; len], [1]).unwrap();
    data.targets(&numbers, [1]).unwrap()
}

/// A network whose output is 0, so that a sample's loss is the square of its target.
fn numbering() -> Sequential {
    let network = Sequential::new([1]).add(Dense::new(1).weights([0.0], [0.0]));
    network.build(gpu(), 1).unwrap()
}

/// The numbers of a data set's samples, in order.
fn numbers(data: &Dataset) -> Vec<usize> {
    let fit = Fit::new(still()).batch_size(1).shuffle(false);
    let history = numbering().fit(data, &fit).unwrap();
    history
        .losses
        .iter()
        .map(|loss| loss.sqrt() as usize)
        .collect()
}

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
    let actual = score.accuracy.unwrap();
    assert!(
        (actual - accuracy).abs() < 1e-12,
        "{what}: accuracy is {actual}, not {accuracy}"
    );
}

fn real(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}
