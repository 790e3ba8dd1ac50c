//! How networks train: learning, seeds, batches, validation and callbacks.

use std::ops::ControlFlow;

use super::{
    assert_near, assert_score, bits, blobs, classifier, cross_entropy, dataset, identity, mean,
    one_hot, real, still, weight_bits,
};
use crate::common::gpu;
use crate::common::reference::{Case, Spec, assert_close, dense, normal};
use selfnorm::nn::Activation::{Linear, Selu, Softmax};
use selfnorm::nn::{
    Adam, AlphaDropout, Dataset, Fit, Flatten, Loss, Optimizer, Progress, Sequential, Sgd, Tiling,
};

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
    assert!(after.accuracy.unwrap() > 0.97, "{after:?}");
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
        let fit = Fit::new(optimizer.clone())
            .batch_size(16)
            .epochs(2)
            .shuffle(false);
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

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn callbacks_see_every_batch_and_epoch() {
    let (values, labels) = blobs(50, 6, 3);
    let data = dataset(&values, &labels, [6]);
    let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
    let fit = Fit::new(Adam::new(0.01))
        .batch_size(16)
        .epochs(2)
        .validation_split(0.2);
    let (mut seen, mut scores, mut epochs) = (Vec::new(), Vec::new(), Vec::new());
    let history = model
        .fit_with(&data, &fit, |progress| {
            match progress {
                Progress::Batch(mut end) => {
                    assert_eq!((end.epochs, end.batches), (2, Some(3)));
                    seen.push((end.epoch, end.batch));
                    scores.push(end.score().unwrap());
                }
                Progress::Epoch(end) => {
                    assert_eq!(end.epochs, 2);
                    assert_eq!(end.epoch, 1 + epochs.len());
                    assert_eq!(end.model().step() as usize, seen.len());
                    epochs.push(end.scores);
                }
                _ => {}
            }
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    assert_eq!(seen, [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]);
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
                Ok(match progress {
                    Progress::Batch(_) if steps == stop_after => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                })
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
        .fit_with(&data, &fit, |progress| {
            Ok(match progress {
                Progress::Epoch(end) if end.epoch == 2 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
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
    let fit = |optimizer: &Optimizer| Fit::new(optimizer.clone()).batch_size(16);
    for optimizer in [
        Optimizer::from(Adam::default()),
        Sgd::new(0.1).momentum(0.5).into(),
    ] {
        let mut one = classifier(6, 3).build(gpu(), 1).unwrap();
        let whole = one.fit(&data, &fit(&optimizer).epochs(4)).unwrap();
        let mut two = classifier(6, 3).build(gpu(), 1).unwrap();
        let first = two.fit(&data, &fit(&optimizer).epochs(2)).unwrap();
        let second = two.fit(&data, &fit(&optimizer).epochs(2)).unwrap();
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

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_network_of_nothing_but_a_softmax_is_evaluated_and_trained() {
    let mut model = Sequential::new([3]).add(Softmax).build(gpu(), 5).unwrap();
    let data = dataset(&[1.0, 2.0, 3.0, 3.0, 2.0, 1.0], &[2, 1], [3]);
    let sum = [1f64, 2.0, 3.0].map(f64::exp).iter().sum::<f64>();
    let expected = (sum.ln() - 3.0 + sum.ln() - 2.0) / 2.0;
    let score = model.evaluate(&data).unwrap();
    assert_near("the loss", score.loss, expected);
    assert_eq!(score.accuracy, Some(0.5));
    let history = model.fit(&data, &Fit::new(still())).unwrap();
    assert_near("the loss", history.epochs[0].training.loss, expected);
}
