//! Losses and accuracies against their formulas.

use super::{assert_near, cross_entropy, identity, mean, real, still};
use crate::common::gpu;
use crate::common::reference::{Case, dense, normal};
use selfnorm::nn::Activation::{self, Linear, Selu, Softmax};
use selfnorm::nn::{Dataset, Dense, Fit, Flatten, Loss, Sequential, Sgd, Tiling};

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
    assert_eq!(score.accuracy, Some(accuracy), "{z:?}, {t:?}");
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
    assert_eq!(score.accuracy, None);
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

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn accuracy_is_of_the_first_of_the_largest() {
    let hits = |z: [f32; 3], t: [f32; 3]| {
        let data = Dataset::from_floats(gpu(), &z, [3]).unwrap();
        let data = data.targets(&t, [3]).unwrap();
        let mut model = identity(3, Softmax).build(gpu(), 1).unwrap();
        model.evaluate(&data).unwrap().accuracy.unwrap()
    };
    assert_eq!(hits([1.0, 1.0, 0.0], [1.0, 0.0, 0.0]), 1.0);
    assert_eq!(hits([1.0, 1.0, 0.0], [0.0, 1.0, 0.0]), 0.0);
    assert_eq!(hits([0.0, 1.0, 1.0], [0.0, 1.0, 0.0]), 1.0);
    assert_eq!(hits([0.0, 0.0, 0.0], [1.0, 0.0, 0.0]), 1.0);
    assert_eq!(hits([0.0, 1.0, 0.0], [0.2, 0.4, 0.4]), 1.0);
    assert_eq!(hits([0.0, 0.0, 1.0], [0.2, 0.4, 0.4]), 0.0);
    assert_eq!(hits([-2.0, -1.0, -3.0], [0.0, 1.0, 0.0]), 1.0);
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
        assert_eq!(score.accuracy, None);
    }
}
