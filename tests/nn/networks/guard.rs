//! A step that is not finite changes nothing.

use std::ops::ControlFlow;

use super::{blobs, dataset, weight_bits};
use crate::common::gpu;
use crate::common::reference::normal;
use selfnorm::nn::Activation::{Selu, Softmax};
use selfnorm::nn::{
    Adam, AdamW, BatchEnd, Dataset, Dense, Fit, Loss, Optimizer, Progress, Sequential,
    SequentialBuilder, Sgd,
};
use selfnorm::{Error, Tensor};

/// What training changes: the weights, and the moments, which are in checkpoints.
fn state(model: &Sequential) -> Vec<(String, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    model.save_checkpoint(&path).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<_> = tensors
        .tensors()
        .into_iter()
        .map(|(name, tensor)| (name, tensor.data().to_vec()))
        .collect();
    tensors.sort();
    tensors
}

fn network() -> SequentialBuilder {
    Sequential::new([4])
        .add(Dense::new(6).activation(Selu))
        .add(Dense::new(5).activation(Selu))
        .add(Dense::new(3).activation(Softmax))
}

fn build(network: SequentialBuilder, optimizer: &Optimizer, loss: Loss) -> Sequential {
    let mut model = network.build(gpu(), 5).unwrap();
    model.compile(optimizer.clone(), loss).unwrap();
    model
}

fn tensor(values: &[f32], columns: usize) -> Tensor {
    let shape = [values.len() / columns, columns];
    gpu().tensor(values, shape).unwrap()
}

fn optimizers() -> Vec<Optimizer> {
    vec![
        Adam::new(0.01).into(),
        AdamW::new(0.01).global_clipnorm(0.5).into(),
        Sgd::new(0.1).into(),
        Sgd::new(0.1).momentum(0.9).clipnorm(0.5).into(),
        Sgd::new(0.1)
            .momentum(0.9)
            .nesterov(true)
            .weight_decay(0.1)
            .into(),
    ]
}

/// Good steps, then one that is refused, which leaves everything as it was.
fn check_refused(model: &mut Sequential, good: (&Tensor, &Tensor), bad: (&Tensor, &Tensor)) {
    for _ in 0..3 {
        model.train_on_batch(good.0, good.1).unwrap();
    }
    let before = state(model);
    assert!(matches!(
        model.train_on_batch(bad.0, bad.1),
        Err(Error::NotFinite { .. })
    ));
    assert_eq!(state(model), before);
    // The host has seen it: training can go on.
    model.train_on_batch(good.0, good.1).unwrap();
    assert_ne!(state(model), before);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_step_with_nan_in_its_data_changes_nothing() {
    for optimizer in optimizers() {
        let mut model = build(network(), &optimizer, Loss::CategoricalCrossentropy);
        let x = normal(32, 1, 0);
        let y: Vec<_> = (0..24).map(|i| f32::from(i % 3 == 1)).collect();
        let mut wrong = x.clone();
        wrong[13] = f32::NAN;
        let y = tensor(&y, 3);
        check_refused(&mut model, (&tensor(&x, 4), &y), (&tensor(&wrong, 4), &y));
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_step_with_targets_too_large_for_its_loss_changes_nothing() {
    for optimizer in optimizers() {
        let mut model = build(
            Sequential::new([4]).add(Dense::new(3)),
            &optimizer,
            Loss::MeanSquaredError,
        );
        let (x, y) = (normal(20, 1, 0), normal(15, 2, 0));
        let mut wrong = y.clone();
        // Its square is infinite.
        wrong[7] = 1e20;
        let x = tensor(&x, 4);
        check_refused(&mut model, (&x, &tensor(&y, 3)), (&x, &tensor(&wrong, 3)));
    }
}

/// A logit of −∞ for the class of a target: the loss is infinite, and the gradient finite.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_step_with_an_infinite_loss_and_a_finite_gradient_changes_nothing() {
    for optimizer in optimizers() {
        let network = Sequential::new([4]).add(Dense::new(3).activation(Softmax));
        let mut model = build(network, &optimizer, Loss::CategoricalCrossentropy);
        // Positive, so that no 0 meets an infinite weight.
        let x: Vec<_> = normal(32, 1, 0).iter().map(|x| x.abs() + 0.1).collect();
        let x = tensor(&x, 4);
        let y = tensor(&[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]].repeat(4).concat(), 3);
        for _ in 0..3 {
            model.train_on_batch(&x, &y).unwrap();
        }
        let mut kernel = normal(12, 3, 0);
        kernel[5] = f32::NEG_INFINITY;
        let kernel = gpu().tensor(&kernel, [4, 3]).unwrap();
        model.set_weights(&[("dense/kernel", kernel)]).unwrap();
        let before = state(&model);
        let wrong = tensor(&[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]].repeat(4).concat(), 3);
        assert!(matches!(
            model.train_on_batch(&x, &wrong),
            Err(Error::NotFinite { .. })
        ));
        assert_eq!(state(&model), before);
        // With other targets the impossible class is no mistake.
        model.train_on_batch(&x, &y).unwrap();
        assert_ne!(state(&model), before);
    }
}

/// Logits of −∞ for a class that no target has: the loss is finite, and so is the gradient of the last
/// layer; that of the layer below is 0 · ∞.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_step_with_a_finite_loss_and_nan_in_one_layer_s_gradient_changes_nothing() {
    for optimizer in optimizers() {
        let mut kernel = normal(15, 3, 0);
        let network = Sequential::new([4])
            .add(Dense::new(5).activation(selfnorm::nn::Activation::Sigmoid))
            .add(Dense::new(3).activation(Softmax));
        let mut model = build(network, &optimizer, Loss::CategoricalCrossentropy);
        let x = tensor(&normal(32, 1, 0), 4);
        let y = tensor(&[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]].repeat(4).concat(), 3);
        for _ in 0..3 {
            model.train_on_batch(&x, &y).unwrap();
        }
        // Class 2's weight of unit 4.
        kernel[14] = f32::NEG_INFINITY;
        let name = "dense_1/kernel";
        let kernel = gpu().tensor(&kernel, [5, 3]).unwrap();
        model.set_weights(&[(name, kernel)]).unwrap();
        let before = state(&model);
        assert!(matches!(
            model.train_on_batch(&x, &y),
            Err(Error::NotFinite { .. })
        ));
        assert_eq!(state(&model), before);
    }
}

/// 48 samples, of which step `bad` of batches of 8, if any, has a weight whose square is infinite.
fn samples(bad: Option<usize>) -> Dataset {
    let (x, labels) = blobs(48, 4, 3);
    let mut weights = [1.0; 48];
    if let Some(bad) = bad {
        weights[bad * 8 + 5] = f32::MAX;
    }
    dataset(&x, &labels, [4]).sample_weights(&weights).unwrap()
}

fn in_order(optimizer: &Optimizer) -> Fit<'static> {
    Fit::new(optimizer.clone()).batch_size(8).shuffle(false)
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_steps_after_one_that_is_not_finite_are_skipped_too() {
    for optimizer in optimizers() {
        for bad in [0, 3, 5] {
            let loss = Loss::CategoricalCrossentropy;
            let mut model = build(network(), &optimizer, loss);
            let error = model.fit(&samples(Some(bad)), &in_order(&optimizer));
            let step = bad as u64 + 1;
            assert_eq!(error, Err(Error::NotFinite { step }));
            // As after the steps before it.
            let mut short = build(network(), &optimizer, loss);
            let (x, labels) = blobs(48, 4, 3);
            if bad > 0 {
                let first = dataset(&x[..bad * 32], &labels[..bad * 8], [4]);
                short.fit(&first, &in_order(&optimizer)).unwrap();
            }
            assert_eq!(state(&model), state(&short));
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn with_bad_steps_allowed_the_others_train_as_if_these_were_not_there() {
    let optimizer = Optimizer::from(Sgd::new(0.1).momentum(0.9));
    let loss = Loss::CategoricalCrossentropy;
    let mut model = build(network(), &optimizer, loss);
    let data = samples(Some(2));
    model
        .fit(&data, &in_order(&optimizer).skip_non_finite(1))
        .unwrap();
    let (x, labels) = blobs(48, 4, 3);
    let without =
        |values: &[f32], row: usize| [&values[..2 * 8 * row], &values[3 * 8 * row..]].concat();
    let labels = [&labels[..16], &labels[24..]].concat();
    let good = dataset(&without(&x, 4), &labels, [4]);
    let mut other = build(network(), &optimizer, loss);
    other.fit(&good, &in_order(&optimizer)).unwrap();
    assert_eq!(weight_bits(&model), weight_bits(&other));
    // One more than is allowed, in the second epoch.
    let mut model = build(network(), &optimizer, loss);
    let fit = in_order(&optimizer).epochs(2).skip_non_finite(1);
    assert_eq!(model.fit(&data, &fit), Err(Error::NotFinite { step: 9 }));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn an_error_in_the_middle_of_a_long_training_comes_within_a_few_steps_and_leaves_the_history() {
    for bad in [0, 2, 5] {
        let optimizer = Optimizer::from(Adam::default());
        let mut model = build(network(), &optimizer, Loss::CategoricalCrossentropy);
        let mut submitted = 0;
        let error = model.fit_with(
            &samples(Some(bad)),
            &in_order(&optimizer).epochs(1000),
            |_| {
                submitted += 1;
                Ok(ControlFlow::Continue(()))
            },
        );
        let step = bad as u64 + 1;
        assert_eq!(error, Err(Error::NotFinite { step }));
        // No more than a few were under way. (The end of the epoch waits for all.)
        assert!(submitted <= bad + 6, "{submitted} steps");
        let mut good = build(network(), &optimizer, Loss::CategoricalCrossentropy);
        let expected = good.fit(&samples(None), &in_order(&optimizer)).unwrap();
        assert_eq!(model.history().losses, expected.losses[..bad]);
        assert_eq!(model.step(), bad as u64);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_a_dropped_run_has_not_seen_the_next_one_says() {
    let optimizer = Optimizer::from(Adam::default());
    let fit = in_order(&optimizer);
    for events in 2..=4 {
        let mut model = build(network(), &optimizer, Loss::CategoricalCrossentropy);
        let bad = samples(Some(1));
        let mut run = model.train(&bad, &fit).unwrap();
        for _ in 0..events {
            pollster::block_on(run.next()).unwrap().unwrap();
        }
        drop(run);
        // The steps from the second on have changed nothing.
        assert_eq!(model.step(), events);
        let mut stopped = build(network(), &optimizer, Loss::CategoricalCrossentropy);
        let good = samples(None);
        let mut run = stopped.train(&good, &fit).unwrap();
        pollster::block_on(run.next()).unwrap().unwrap();
        drop(run);
        assert_eq!(state(&model), state(&stopped));
        let error = model.fit(&good, &fit).unwrap_err();
        assert_eq!(error, Error::NotFinite { step: 2 });
        assert_eq!(model.step(), 1);
        assert_eq!(state(&model), state(&stopped));
        // It has been said.
        model.fit(&good, &fit).unwrap();
        assert_eq!(model.step(), 7);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn skipped_steps_are_listed_and_do_not_count_in_the_mean() {
    let optimizer = Optimizer::from(Adam::default());
    let mut model = build(network(), &optimizer, Loss::CategoricalCrossentropy);
    let fit = in_order(&optimizer).skip_non_finite(2);
    let history = model.fit(&samples(Some(3)), &fit).unwrap();
    assert_eq!(history.skipped, [4]);
    assert_eq!(history.losses.len(), 6);
    let finite = history.losses.iter().enumerate().filter(|&(i, _)| i != 3);
    let mean = finite.map(|(_, loss)| loss).sum::<f64>() / 5.0;
    let seen = history.epochs[0].training.loss;
    assert!((seen - mean).abs() < 1e-6, "{seen}, {mean}");
    assert_eq!(model.step(), 6);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_checkpoint_of_steps_that_nobody_has_seen_is_of_the_last_that_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let optimizer = Optimizer::from(Adam::default());
    let fit = in_order(&optimizer);
    let mut model = build(network(), &optimizer, Loss::CategoricalCrossentropy);
    let bad = samples(Some(1));
    let mut run = model.train(&bad, &fit).unwrap();
    for _ in 0..4 {
        pollster::block_on(run.next()).unwrap().unwrap();
    }
    run.model().save_checkpoint(&path).unwrap();
    drop(run);
    let mut restarted = build(network(), &optimizer, Loss::CategoricalCrossentropy);
    restarted.load_checkpoint(&path).unwrap();
    assert_eq!(restarted.step(), 1);
    // Another optimizer does not make it forgotten.
    let loss = Loss::CategoricalCrossentropy;
    model.compile(Sgd::new(0.1), loss).unwrap();
    let error = model.fit(&samples(None), &in_order(&Sgd::new(0.1).into()));
    assert_eq!(error, Err(Error::NotFinite { step: 2 }));
    assert_eq!(model.step(), 1);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_batch_s_target_that_the_loss_does_not_take_is_named() {
    let optimizer = Optimizer::from(Adam::default());
    let mut model = build(network(), &optimizer, Loss::CategoricalCrossentropy);
    let (x, y) = (tensor(&normal(32, 1, 0), 4), [1.0, 0.0, 0.0].repeat(8));
    let before = state(&model);
    for (value, sentence) in [
        (
            -1.0,
            "-1.0 at [1]; cross-entropy takes probabilities, 0 to 1",
        ),
        (1.5, "1.5 at [1]; cross-entropy takes probabilities, 0 to 1"),
        (f32::NAN, "a NaN"),
    ] {
        let mut wrong = y.clone();
        wrong[5 * 3 + 1] = value;
        let error = model.train_on_batch(&x, &tensor(&wrong, 3)).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("train_on_batch: the target of sample 5 "),
            "{error}"
        );
        assert!(error.contains(sentence), "{error}");
        assert_eq!(state(&model), before);
    }
    model.train_on_batch(&x, &tensor(&y, 3)).unwrap();
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_skipped_step_has_the_same_effect_however_early_the_host_looks() {
    let optimizer = Optimizer::from(Adam::new(0.01));
    let fit = || in_order(&optimizer).epochs(3).skip_non_finite(5);
    let trained = |look: fn(&mut BatchEnd) -> selfnorm::Result<()>| {
        let mut model = build(network(), &optimizer, Loss::CategoricalCrossentropy);
        let history = model
            .fit_with(&samples(Some(1)), &fit(), |progress| {
                if let Progress::Batch(mut end) = progress {
                    look(&mut end)?;
                }
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        assert_eq!(history.skipped, [2, 8, 14]);
        state(&model)
    };
    assert_eq!(trained(|_| Ok(())), trained(|end| end.score().map(drop)));
}

/// Adam's corrections and a schedule go by the steps that count, of which the second epoch has one less before it.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_checkpoint_of_an_epoch_whose_last_step_was_skipped_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint");
    let optimizer = Optimizer::from(Adam::new(0.01));
    let data = samples(Some(5));
    let fit = || in_order(&optimizer).skip_non_finite(5);
    let mut model = build(network(), &optimizer, Loss::CategoricalCrossentropy);
    let history = model
        .fit_with(&data, &fit().epochs(2), |progress| {
            if let Progress::Epoch(end) = progress
                && end.epoch == 1
            {
                end.model().save_checkpoint(&path)?;
            }
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    assert_eq!(history.skipped, [6, 12]);
    let mut resumed = Sequential::open(gpu(), &path).unwrap();
    let history = resumed.fit(&data, &fit()).unwrap();
    assert_eq!(history.skipped, [12]);
    assert_eq!(state(&resumed), state(&model));
}
