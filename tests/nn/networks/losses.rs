//! Losses and accuracies against their formulas, and which loss follows from what. The kernels by
//! themselves are in `src/ops/network/loss/tests.rs`.

use super::{assert_near, cross_entropy, identity, mean, one_hot, real, still, weight_bits};
use crate::common::reference::{BOUND, Case, Spec, assert_close, dense, loss_of_row, normal};
use crate::common::{golden, gpu};
use selfnorm::nn::Activation::{self, Linear, Relu, Selu, Sigmoid, Softmax, Tanh};
use selfnorm::nn::{
    Adam, AlphaDropout, Dataset, Dense, Dropout, Fit, Flatten, Layer, Loss, Sequential, Sgd, Tiling,
};
use selfnorm::{Result, random};

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
        let model = identity(3, Softmax).build(gpu(), 1).unwrap();
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

/// Targets for `loss` in rows of `outputs`: classes, shares of 8, or any values.
fn targets_for(loss: Loss, rows: usize, outputs: usize, seed: u64) -> Vec<f32> {
    let words: Vec<_> = random::words(seed, 77, 0..(rows * outputs) as u64).collect();
    match loss {
        Loss::CategoricalCrossentropy | Loss::CategoricalCrossentropyWith { .. } => {
            let labels: Vec<_> = words[..rows]
                .iter()
                .map(|word| word % outputs as u32)
                .collect();
            one_hot(&labels, outputs)
        }
        Loss::BinaryCrossentropy | Loss::BinaryCrossentropyWith { .. } => {
            words.iter().map(|word| (word % 9) as f32 / 8.0).collect()
        }
        _ => normal(rows * outputs, seed, 78),
    }
}

/// The loss of a step, and its gradient, which is what a step of rate 1 subtracts from the weights,
/// against f64 and its central differences.
fn check_step(case: &Case, loss: Loss, logits: Option<Activation>) {
    let output = case.output();
    let outputs = *output.last().unwrap();
    let rows = case.batch * output.iter().product::<usize>() / outputs;
    let t = targets_for(loss, rows, outputs, case.seed);
    // What turns the output into probabilities, if the network does not.
    let mut reference = case.clone();
    reference.layers.extend(logits.map(Spec::Activation));
    let (x, targets) = (real(&case.x()), real(&t));
    let value = |weights: &[Vec<f64>]| {
        let (y, _) = reference.forward(weights, &x, None);
        let rows = y.chunks(outputs).zip(targets.chunks(outputs));
        let losses: Vec<_> = rows.map(|(y, t)| loss_of_row(loss, y, t)).collect();
        losses.iter().sum::<f64>() / losses.len() as f64
    };
    let what = format!("{:?}, {loss:?}", case.layers);
    let mut model = case.model(gpu());
    model.compile(Sgd::new(1.0), loss).unwrap();
    let shaped = |shape: &[usize]| [&[case.batch], shape].concat();
    let x = gpu().tensor(&case.x(), shaped(&case.input)).unwrap();
    let y = gpu().tensor(&t, shaped(&output)).unwrap();
    let score = model.train_on_batch(&x, &y).unwrap();
    let mut weights: Vec<_> = case.weights().iter().map(|w| real(w)).collect();
    let expected = value(&weights);
    let error = (score.loss - expected).abs();
    assert!(
        error <= BOUND * expected,
        "{what}: {score:?}, not {expected}"
    );

    const H: f64 = 1e-5;
    for (i, (name, after)) in model.weights().unwrap().iter().enumerate() {
        let after = real(&after.to_vec().unwrap());
        let mut differences = Vec::new();
        for j in 0..after.len() {
            let before = weights[i][j];
            let mut at = |w: f64| {
                weights[i][j] = w;
                value(&weights)
            };
            let slope = (at(before + H) - at(before - H)) / (2.0 * H);
            weights[i][j] = before;
            differences.push((before, slope));
        }
        let squares: f64 = differences.iter().map(|(_, slope)| slope * slope).sum();
        let rms = (squares / differences.len() as f64).sqrt();
        for (j, (after, (before, slope))) in after.iter().zip(differences).enumerate() {
            let actual = before - after;
            // Half an ulp of the weight, and the differences' own error.
            let bound = BOUND * slope.abs().max(rms) + 6e-8 * after.abs() + 1e-9;
            assert!(
                (actual - slope).abs() <= bound,
                "{what}: of {name}[{j}] {actual:e}, not {slope:e} ± {bound:e}"
            );
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn every_loss_behind_every_end_that_it_fits_is_its_formula() {
    let smoothing = 0.125;
    let categorical = [
        Loss::CategoricalCrossentropy,
        Loss::CategoricalCrossentropyWith {
            label_smoothing: smoothing,
        },
    ];
    let binary = [
        Loss::BinaryCrossentropy,
        Loss::BinaryCrossentropyWith {
            label_smoothing: smoothing,
        },
    ];
    let regression = [
        Loss::MeanSquaredError,
        Loss::MeanAbsoluteError,
        Loss::Huber(0.75),
    ];
    let act = Spec::Activation;
    let cases: &[(&[Spec], &[Loss], Option<Activation>)] = &[
        (&[dense(4, Softmax)], &categorical, None),
        (&[dense(4, Linear)], &categorical, Some(Softmax)),
        (&[dense(3, Selu), act(Softmax)], &categorical, None),
        (&[dense(4, Sigmoid)], &binary, None),
        (&[dense(1, Sigmoid)], &binary, None),
        (&[dense(4, Linear)], &binary, Some(Sigmoid)),
        (&[dense(4, Linear), act(Sigmoid)], &binary, None),
        // Behind an activation, a softmax, and with nothing trained between.
        (&[dense(4, Selu), act(Sigmoid)], &binary, None),
        (&[dense(4, Softmax), act(Sigmoid)], &binary, None),
        (&[dense(4, Sigmoid), Spec::Flatten], &binary, None),
        (&[dense(4, Sigmoid)], &regression, None),
        (&[dense(4, Softmax)], &regression, None),
        (&[dense(4, Linear)], &regression, None),
        (&[dense(4, Selu)], &regression, None),
    ];
    for (seed, (last, losses, logits)) in (1..).zip(cases) {
        for input in [vec![5], vec![3, 5]] {
            let layers = [&[dense(6, Selu)], *last].concat();
            let case = Case {
                input,
                layers,
                batch: 5,
                tiling: Tiling::Registers,
                seed,
            };
            for &loss in *losses {
                check_step(&case, loss, *logits);
            }
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn one_unit_with_a_sigmoid_learns_yes_or_no() {
    let x = normal(200 * 2, 5, 0);
    let is_yes = |x: &[f32]| x[0] > 0.3 * x[1];
    let t: Vec<_> = x.chunks(2).map(|x| f32::from(is_yes(x))).collect();
    let data = Dataset::from_floats(gpu(), &x, [2]).unwrap();
    let data = data.targets(&t, [1]).unwrap();
    let mut model = Sequential::new([2])
        .add(Dense::new(1).activation(Sigmoid))
        .build(gpu(), 1)
        .unwrap();
    // No loss is named: it follows.
    let fit = Fit::new(Adam::new(0.1)).batch_size(20).epochs(20);
    let history = model.fit(&data, &fit).unwrap();
    let score = model.evaluate(&data).unwrap();
    assert!(score.accuracy.unwrap() > 0.97, "{score:?}");
    assert_eq!(score.mean_absolute_error, None);
    let first = history.epochs[0].training;
    assert!(score.loss < 0.3 * first.loss, "{first:?}, {score:?}");
    let y = model.predict(&gpu().tensor(&x, [200, 2]).unwrap()).unwrap();
    let y = real(&y.to_vec().unwrap());
    let rows = y.iter().zip(&t).map(|(&y, &t)| (y, f64::from(t)));
    let loss = rows
        .clone()
        .map(|(y, t)| -t * y.ln() - (1.0 - t) * (1.0 - y).ln());
    // The probabilities are rounded: this is 1e-7 of those near 1, of which the loss sees 1 - y.
    let error = (score.loss - loss.sum::<f64>() / 200.0).abs();
    assert!(error < 1e-5 * score.loss, "{score:?}");
    let hits = rows.filter(|(y, t)| (*y > 0.5) == (*t > 0.5)).count();
    assert_eq!(score.accuracy, Some(hits as f64 / 200.0));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_accuracy_of_several_yes_or_no_is_their_share() {
    let mut model = identity(4, Sigmoid).build(gpu(), 1).unwrap();
    let z = [1.0, -1.0, 0.0, 3.0, -2.0, 2.0, -3.0, 1e-30];
    let t = [1.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0];
    let data = Dataset::from_floats(gpu(), &z, [4]).unwrap();
    let data = data.targets(&t, [4]).unwrap();
    model.compile(still(), Loss::BinaryCrossentropy).unwrap();
    assert_eq!(model.evaluate(&data).unwrap().accuracy, Some(6.0 / 8.0));
}

/// As a mask does in Keras. Before, their zeros counted as losses and their first output as a hit.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn rows_of_zeros_are_void() {
    let mut model = identity(3, Softmax).build(gpu(), 1).unwrap();
    let t = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    let data = Dataset::from_floats(gpu(), &[0.0; 6], [3]).unwrap();
    let data = data.targets(&t, [3]).unwrap();
    let score = model.evaluate(&data).unwrap();
    assert_near("loss", score.loss, 3f64.ln());
    assert_eq!(score.accuracy, Some(0.0));
    let history = model.fit(&data, &Fit::new(still()).batch_size(1)).unwrap();
    assert_near("loss", history.epochs[0].training.loss, 3f64.ln());

    // Of nothing but such rows nothing is learned.
    let all = Dataset::from_floats(gpu(), &[0.5; 6], [3]).unwrap();
    let all = all.targets(&[0.0; 6], [3]).unwrap();
    model
        .compile(Sgd::new(1.0), Loss::CategoricalCrossentropy)
        .unwrap();
    let before = weight_bits(&model);
    let error = model.fit(&all, &Fit::new(Sgd::new(1.0))).unwrap_err();
    let sentence = "fit: all targets are void, there is nothing to average";
    assert_eq!(error.to_string(), sentence);
    assert_eq!(weight_bits(&model), before);
}

/// A step is that of the rows that count.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn void_rows_change_no_step() {
    let x = normal(8 * 4, 1, 0);
    let t = one_hot(&[0, 1, 2, 0, 1, 2, 0, 1], 3);
    let step = |x: &[f32], t: &[f32]| {
        let n = x.len() / 4;
        let network = Sequential::new([4]).add(Dense::new(3).activation(Softmax));
        let mut model = network.build(gpu(), 1).unwrap();
        model
            .compile(Sgd::new(0.5), Loss::CategoricalCrossentropy)
            .unwrap();
        let x = gpu().tensor(x, [n, 4]).unwrap();
        let y = gpu().tensor(t, [n, 3]).unwrap();
        let score = model.train_on_batch(&x, &y).unwrap();
        (score, weight_bits(&model))
    };
    // In the same batch of 8, with two rows that are void or beyond the end.
    let mut void = t.clone();
    void[6 * 3..].fill(0.0);
    assert_eq!(step(&x, &void), step(&x[..6 * 4], &t[..6 * 3]));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn regression_has_a_mean_absolute_error_and_no_accuracy() {
    let data = Dataset::from_floats(gpu(), &[1.0, 2.0, 3.0, 4.0], [2]).unwrap();
    let data = data.targets(&[1.5, 0.0, 3.0, 8.0], [2]).unwrap();
    for (loss, expected) in [
        (Loss::MeanSquaredError, (0.25 + 4.0 + 16.0) / 4.0),
        (Loss::MeanAbsoluteError, 6.5 / 4.0),
        (Loss::Huber(1.0), (0.125 + 1.5 + 3.5) / 4.0),
    ] {
        let mut model = identity(2, Linear).build(gpu(), 1).unwrap();
        model.compile(still(), loss).unwrap();
        let score = model.evaluate(&data).unwrap();
        assert_near(&format!("{loss:?}"), score.loss, expected);
        assert_eq!(score.mean_absolute_error, Some(6.5 / 4.0));
        assert_eq!(score.accuracy, None);
    }
}

/// What happens to a network that ends so, with targets that no loss is named for.
fn follows(last: &[Layer], data: Dataset) -> Result<Loss> {
    let layers = last.iter().cloned();
    let network = layers.fold(Sequential::new([4]), |network, layer| network.add(layer));
    let mut model = network.build(gpu(), 1).unwrap();
    let fitted = model.fit(&data, &Fit::new(still()));
    let score = match (model.evaluate(&data), fitted) {
        (Ok(score), Ok(history)) => {
            assert_near("fit", history.epochs[0].training.loss, score.loss);
            score
        }
        (Err(error), Err(fitted)) => {
            let detail = error.to_string().replacen("evaluate: ", "", 1);
            assert_eq!(fitted.to_string(), format!("fit: {detail}"));
            return Err(error);
        }
        (evaluated, fitted) => panic!("{evaluated:?}, {fitted:?}"),
    };
    // The one that gives the same score when it is named.
    let all = [
        Loss::CategoricalCrossentropy,
        Loss::BinaryCrossentropy,
        Loss::MeanSquaredError,
    ];
    let same = |loss: &Loss| {
        let named = model.compile(still(), *loss);
        named.is_ok() && model.evaluate(&data).is_ok_and(|named| named == score)
    };
    Ok(all.into_iter().find(same).expect("a loss with this score"))
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_loss_follows_where_there_is_one_answer() {
    let x = normal(6 * 4, 3, 3);
    let data = || Dataset::from_floats(gpu(), &x, [4]).unwrap();
    let classes = || data().classes(&[0u32, 1, 2, 2, 1, 0]).unwrap();
    let values = |values: &[f32]| data().targets(values, [values.len() / 6]).unwrap();
    let one_hot = one_hot(&[0, 1, 2, 2, 1, 0], 3);
    let probabilities: Vec<_> = one_hot.iter().map(|t| t * 0.5 + 0.5 / 3.0).collect();
    let some_void = [&one_hot[..9], &[0.0; 9]].concat();
    let binary: Vec<_> = (0..18).map(|i| f32::from(i % 4 > 1)).collect();
    let floats = normal(18, 4, 4);
    let dense = |units: usize, activation: Activation| -> Layer {
        Dense::new(units).activation(activation).into()
    };

    let softmax = [dense(3, Softmax)];
    for data in [
        classes(),
        values(&one_hot),
        values(&probabilities),
        values(&some_void),
    ] {
        assert_eq!(follows(&softmax, data), Ok(Loss::CategoricalCrossentropy));
    }
    let sigmoid = [dense(3, Sigmoid)];
    for data in [values(&binary), values(&one_hot), values(&[0.0; 18])] {
        assert_eq!(follows(&sigmoid, data), Ok(Loss::BinaryCrossentropy));
    }
    for last in [
        vec![dense(3, Linear)],
        vec![dense(3, Selu)],
        vec![dense(3, Tanh)],
        vec![dense(3, Sigmoid), Dropout::new(0.0).into(), dense(3, Relu)],
    ] {
        for data in [values(&floats), values(&binary), values(&[0.0; 18])] {
            assert_eq!(follows(&last, data), Ok(Loss::MeanSquaredError));
        }
    }

    let refused = |last: &[Layer], data: Dataset, expected: &str| {
        let error = follows(last, data).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("evaluate: which loss? {expected}")
        );
    };
    // One that is no probability is named.
    let error = follows(&softmax, values(&floats)).unwrap_err();
    let sentence = "evaluate: the target of sample 1 is -0.86134267 at [1]; cross-entropy takes probabilities, 0 to 1";
    assert_eq!(error.to_string(), sentence);
    let halves = [0.5; 18];
    for data in [values(&halves), values(&binary)] {
        refused(
            &softmax,
            data,
            "the network ends with a softmax, but the targets' rows are no probabilities; name Loss::CategoricalCrossentropy, Loss::MeanSquaredError or another loss",
        );
    }
    refused(
        &sigmoid,
        classes(),
        "the network ends with sigmoids, and each sample has one class; end it with a softmax, or name Loss::BinaryCrossentropy to learn each class by itself",
    );
    for data in [values(&floats), values(&probabilities)] {
        refused(
            &sigmoid,
            data,
            "the network ends with a sigmoid, but some targets are neither 0 nor 1; name Loss::BinaryCrossentropy for probabilities, or Loss::MeanSquaredError",
        );
    }
    for data in [classes(), values(&one_hot)] {
        refused(
            &[dense(3, Linear)],
            data,
            "the targets are classes, the network ends without a softmax; add one, or name Loss::CategoricalCrossentropy (from logits) or Loss::MeanSquaredError (of one-hot rows)",
        );
    }
    refused(
        &[dense(3, Selu)],
        classes(),
        "the targets are classes, the network ends without a softmax; end it with one, or name Loss::MeanSquaredError (of one-hot rows)",
    );
    let same = || data().classes(&[0u32; 6]).unwrap();
    refused(
        &[dense(1, Linear)],
        same(),
        "the targets are classes, the network has one output without a sigmoid; add one, or name Loss::BinaryCrossentropy (from logits) or Loss::MeanSquaredError (of class numbers)",
    );
    refused(
        &[dense(1, Relu)],
        same(),
        "the targets are classes, the network has one output without a sigmoid; end it with one, or name Loss::MeanSquaredError (of class numbers)",
    );
}

/// A loss that is named stays, one that follows does not.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_loss_that_is_named_once_is_kept() {
    let x = normal(6 * 4, 3, 3);
    let data = || Dataset::from_floats(gpu(), &x, [4]).unwrap();
    let classes = data().classes(&[0u32, 1, 2, 2, 1, 0]).unwrap();
    let floats = data().targets(&normal(18, 4, 4), [3]).unwrap();
    let mut model = identity_of_4_to_3();
    assert!(model.evaluate(&classes).is_err());
    model.evaluate(&floats).unwrap();
    assert!(model.evaluate(&classes).is_err());
    let fit = Fit::new(still()).loss(Loss::CategoricalCrossentropy);
    model.fit(&classes, &fit).unwrap();
    assert!(model.evaluate(&classes).unwrap().accuracy.is_some());
}

fn identity_of_4_to_3() -> Sequential {
    let network = Sequential::new([4]).add(Dense::new(3));
    network.build(gpu(), 1).unwrap()
}

const ONE_CLASS: &str = "a softmax over one class is always 1, so nothing can be learned; use two units with softmax, or one with sigmoid and Loss::BinaryCrossentropy";

/// Its loss is 0 and its accuracy 1 from the start, and its gradient 0.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn one_class_is_refused() {
    let last: [(&str, &[Layer]); 4] = [
        ("dense", &[Dense::new(1).activation(Softmax).into()]),
        ("activation", &[Dense::new(1).into(), Softmax.into()]),
        (
            "end",
            &[Dense::new(1).activation(Softmax).name("end").into()],
        ),
        (
            "flatten",
            &[
                Dense::new(1).activation(Softmax).into(),
                Flatten::new().into(),
            ],
        ),
    ];
    for (name, layers) in last {
        let layers = layers.iter().cloned();
        let network = layers.fold(Sequential::new([3, 4]), |network, layer| network.add(layer));
        let error = network.build(gpu(), 1).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), format!("{name}: {ONE_CLASS}"));
    }
    let data = Dataset::from_floats(gpu(), &[0.5; 8], [4]).unwrap();
    let data = data.targets(&[0.0, 1.0], [1]).unwrap();
    let mut model = Sequential::new([4])
        .add(Dense::new(1))
        .build(gpu(), 1)
        .unwrap();
    for loss in [
        Loss::CategoricalCrossentropy,
        Loss::CategoricalCrossentropyWith {
            label_smoothing: 0.1,
        },
    ] {
        let error = model.compile(still(), loss).unwrap_err();
        assert_eq!(error.to_string(), format!("compile: {ONE_CLASS}"));
        let error = model.fit(&data, &Fit::new(still()).loss(loss)).unwrap_err();
        assert_eq!(error.to_string(), format!("fit: {ONE_CLASS}"));
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn losses_that_do_not_fit_are_refused_when_compiled_and_when_fitted() {
    let data = Dataset::from_floats(gpu(), &[0.5; 8], [4]).unwrap();
    let data = data.targets(&[0.0, 1.0, 1.0, 0.0], [2]).unwrap();
    let sentence = "binary cross-entropy is computed from logits: the last activation must be sigmoid, or linear, with no dropout after it";
    let dense = |activation: Activation| -> Layer { Dense::new(2).activation(activation).into() };
    let ends: [&[Layer]; 4] = [
        &[dense(Softmax)],
        &[dense(Selu)],
        &[dense(Sigmoid), Dropout::new(0.1).into()],
        &[dense(Linear), AlphaDropout::new(0.1).into()],
    ];
    for layers in ends {
        let layers = layers.iter().cloned();
        let network = layers.fold(Sequential::new([4]), |network, layer| network.add(layer));
        let mut model = network.build(gpu(), 1).unwrap();
        let error = model
            .compile(still(), Loss::BinaryCrossentropy)
            .unwrap_err();
        assert_eq!(error.to_string(), format!("compile: {sentence}"));
        let fit = Fit::new(still()).loss(Loss::BinaryCrossentropy);
        let error = model.fit(&data, &fit).unwrap_err();
        assert_eq!(error.to_string(), format!("fit: {sentence}"));
    }
    let mut model = Sequential::new([4])
        .add(Dense::new(2))
        .build(gpu(), 1)
        .unwrap();
    for (loss, sentence) in [
        (
            Loss::Huber(0.0),
            "huber: delta is 0.0, must be above 0, and a normal f32",
        ),
        (
            Loss::BinaryCrossentropyWith {
                label_smoothing: 1.0,
            },
            "binary_crossentropy: label_smoothing is 1.0, must be at least 0 and below 1",
        ),
    ] {
        let error = model.compile(still(), loss).unwrap_err();
        assert_eq!(error.to_string(), sentence);
        let error = model.fit(&data, &Fit::new(still()).loss(loss)).unwrap_err();
        assert_eq!(error.to_string(), sentence);
    }
}

/// Where nobody has looked at them before.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn targets_on_the_gpu_that_are_not_allowed_are_an_error() {
    let x = gpu().tensor(&normal(8, 1, 1), [4, 2]).unwrap();
    for (activation, bad, what) in [
        (
            Softmax,
            -1.0,
            "is -1.0 at [0]; cross-entropy takes probabilities, 0 to 1",
        ),
        (
            Sigmoid,
            2.0,
            "is 2.0 at [0]; cross-entropy takes probabilities, 0 to 1",
        ),
        (Linear, f32::INFINITY, "has an infinity at [0]"),
    ] {
        let mut model = identity(2, activation).build(gpu(), 1).unwrap();
        let good = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0];
        let mut t = good;
        (t[2], t[4]) = (bad, f32::NAN);
        let error = model
            .train_on_batch(&x, &gpu().tensor(&t, [4, 2]).unwrap())
            .unwrap_err();
        let sentence = format!("train_on_batch: the target of sample 1 {what}");
        assert_eq!(error.to_string(), sentence);
        let good = gpu().tensor(&good, [4, 2]).unwrap();
        model.train_on_batch(&x, &good).unwrap();
    }
}

/// Adam's, with label smoothing: every loss, every final weight, and what the network then says.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn ten_steps_of_a_network_with_sigmoids_are_keras_s() {
    let file = golden("train_sigmoid");
    let tensor = |name: &str| gpu().tensor(&file.f32(name), file.shape(name)).unwrap();
    let mut model = Sequential::new([7])
        .add(Dense::new(9).activation(Selu))
        .add(Dense::new(4).activation(Sigmoid))
        .build(gpu(), 1)
        .unwrap();
    let loss = Loss::BinaryCrossentropyWith {
        label_smoothing: 0.1,
    };
    model.compile(Adam::new(0.01), loss).unwrap();
    let mut weights = model.weights().unwrap();
    for (i, (_, weight)) in weights.iter_mut().enumerate() {
        *weight = tensor(&format!("init.{i}"));
    }
    model.set_weights(&weights).unwrap();
    let step = |name: &str, i: usize| {
        let (values, shape) = (file.f32(name), file.shape(name));
        let len = values.len() / shape[0];
        let values = &values[i * len..(i + 1) * len];
        gpu().tensor(values, &shape[1..]).unwrap()
    };
    for (i, &expected) in file.f64("losses").iter().enumerate() {
        let score = model.train_on_batch(&step("x", i), &step("y", i)).unwrap();
        let error = (score.loss - expected).abs();
        assert!(
            error <= BOUND * expected,
            "step {i}: {score:?}, not {expected}"
        );
    }
    for (i, (name, weight)) in model.weights().unwrap().iter().enumerate() {
        let expected = file.f64(&format!("final.{i}"));
        for (actual, expected) in weight.to_vec().unwrap().iter().zip(expected) {
            let error = (f64::from(*actual) - expected).abs();
            assert!(error <= BOUND, "{name}: {actual}, not {expected}");
        }
    }
    let probe = model.predict(&tensor("probe")).unwrap();
    assert_close("probe", &probe.to_vec().unwrap(), &file.f64("probe_y"));
}
