//! Trainings in pieces: event by event, call by call, dropped in the middle, looked at from inside
//! and from other threads. Whatever the pieces, they are the training of one call, bit for bit.

use std::future::Future;
use std::ops::ControlFlow;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::{bits, blobs, classifier, dataset, one_hot, weight_bits};
use crate::common::gpu;
use selfnorm::nn::Activation::Selu;
use selfnorm::nn::{
    Adam, Conv2d, Dataset, Fit, History, Loss, Optimizer, Progress, Run, Sequential, Sgd,
};
use selfnorm::{Error, Tensor};

const SAMPLES: usize = 50;
const BATCH: usize = 16;
/// With a validation split of a fifth.
const BATCHES: usize = 3;

fn data() -> Dataset {
    let (values, labels) = blobs(SAMPLES, 6, 3);
    dataset(&values, &labels, [6])
}

fn fit() -> Fit<'static> {
    Fit::new(Adam::new(0.01))
        .batch_size(BATCH)
        .validation_split(0.2)
}

fn model() -> Sequential {
    classifier(6, 3).build(gpu(), 1).unwrap()
}

/// The training of one call.
fn whole(epochs: usize) -> (Sequential, History) {
    let mut model = model();
    let history = model.fit(&data(), &fit().epochs(epochs)).unwrap();
    (model, history)
}

/// The next event, as (epoch, batch), where the end of an epoch has no batch.
fn next(run: &mut Run) -> Option<(usize, Option<usize>)> {
    match pollster::block_on(run.next()).unwrap()? {
        Progress::Batch(end) => Some((end.epoch, Some(end.batch))),
        Progress::Epoch(end) => Some((end.epoch, None)),
        _ => panic!("another event"),
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_run_that_is_asked_gives_the_bits_of_one_that_is_waited_for() {
    let (expected, history) = whole(2);
    let drivers: [fn(&mut Sequential) -> History; 2] = [
        |model| {
            let go_on = |_: Progress| Ok(ControlFlow::Continue(()));
            model.fit_with(&data(), &fit().epochs(2), go_on).unwrap()
        },
        |model| {
            let data = data();
            let mut run = model.train(&data, &fit().epochs(2)).unwrap();
            let mut seen = Vec::new();
            while let Some(event) = next(&mut run) {
                seen.push(event);
            }
            assert_eq!(next(&mut run), None);
            let epoch = |e| (1..=BATCHES).map(move |b| (e, Some(b))).chain([(e, None)]);
            assert_eq!(seen, epoch(1).chain(epoch(2)).collect::<Vec<_>>());
            run.finish()
        },
    ];
    for drive in drivers {
        let mut model = model();
        assert_eq!(drive(&mut model), history);
        assert_eq!(weight_bits(&model), weight_bits(&expected));
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_run_that_nobody_asks_changes_nothing() {
    let (mut model, data) = (model(), data());
    let before = weight_bits(&model);
    drop(model.train(&data, &fit()).unwrap());
    assert_eq!((model.step(), model.epoch()), (0, 0));
    assert_eq!(weight_bits(&model), before);
    assert_eq!(model.fit(&data, &fit().epochs(2)).unwrap(), whole(2).1);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_run_that_is_dropped_leaves_a_network_that_goes_on() {
    let data = data();
    for events in 1..=2 * (BATCHES + 1) {
        let mut dropped = model();
        let mut run = dropped.train(&data, &fit().epochs(2)).unwrap();
        for _ in 0..events {
            assert!(next(&mut run).is_some());
        }
        drop(run);
        // As one that a callback has stopped there.
        let mut stopped = model();
        let mut seen = 0;
        let history = stopped
            .fit_with(&data, &fit().epochs(2), |_| {
                seen += 1;
                Ok(match seen == events {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                })
            })
            .unwrap();
        assert_eq!(history.stopped, events < 2 * (BATCHES + 1));
        assert_eq!(dropped.step(), stopped.step());
        assert_eq!(weight_bits(&dropped), weight_bits(&stopped));
        let histories = [&mut dropped, &mut stopped].map(|m| m.fit(&data, &fit()).unwrap());
        assert_eq!(histories[0], histories[1]);
        assert_eq!(weight_bits(&dropped), weight_bits(&stopped));
    }
}

/// The network, and the losses of its steps, after four epochs with something between any two.
fn in_pieces(optimizer: Optimizer, between: impl Fn(&mut Sequential)) -> (Vec<f64>, Sequential) {
    let fit = Fit::new(optimizer).batch_size(BATCH);
    let (data, mut model) = (data(), model());
    let mut losses = Vec::new();
    for epoch in 0..4 {
        assert_eq!(model.epoch(), epoch);
        losses.extend(model.fit(&data, &fit).unwrap().losses);
        between(&mut model);
    }
    (losses, model)
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_counts_of_steps_and_epochs_go_on_over_every_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let optimizers = [
        Optimizer::from(Adam::new(0.01)),
        Sgd::new(0.1).momentum(0.9).into(),
        Sgd::new(0.1).into(),
    ];
    for optimizer in optimizers {
        let mut one = model();
        let fit = Fit::new(optimizer.clone()).batch_size(BATCH).epochs(4);
        let expected = one.fit(&data(), &fit).unwrap().losses;
        let loss = Loss::CategoricalCrossentropy;
        let pieces: [&dyn Fn(&mut Sequential); 5] = [
            &|_| {},
            &|model| model.compile(optimizer.clone(), loss).unwrap(),
            &|model| {
                model.evaluate(&data()).unwrap();
            },
            &|model| {
                model.save_checkpoint(&path).unwrap();
                let mut restarted = classifier(6, 3).build(gpu(), 9).unwrap();
                restarted.compile(optimizer.clone(), loss).unwrap();
                restarted.load_checkpoint(&path).unwrap();
                *model = restarted;
            },
            &|model| {
                // Nothing of a step of 0.
                let (step, epoch) = (model.step(), model.epoch());
                model.set_step(step).unwrap();
                model.set_epoch(epoch).unwrap();
            },
        ];
        for between in pieces {
            let (losses, model) = in_pieces(optimizer.clone(), between);
            assert_eq!(losses, expected);
            assert_eq!(weight_bits(&model), weight_bits(&one));
            assert_eq!((model.step(), model.epoch()), (one.step(), 4));
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn batches_by_hand_are_the_steps_of_an_epoch() {
    let (values, labels) = blobs(SAMPLES, 6, 3);
    let fit = fit().shuffle(false).validation_split(0.0);
    let mut one = model();
    let history = one.fit(&data(), &fit.clone().epochs(3)).unwrap();
    let mut model = model();
    let mut losses = model.fit(&data(), &fit).unwrap().losses;
    let rows: Vec<_> = (0..SAMPLES).step_by(BATCH).collect();
    for &first in &rows {
        let count = BATCH.min(SAMPLES - first);
        let x = &values[first * 6..(first + count) * 6];
        let x = gpu().tensor(x, [count, 6]).unwrap();
        let y = one_hot(&labels[first..first + count], 3);
        let y = gpu().tensor(&y, [count, 3]).unwrap();
        losses.push(model.train_on_batch(&x, &y).unwrap().loss);
    }
    // They are no part of a history, which would grow without an end.
    assert_eq!(model.history().losses.len(), rows.len());
    losses.extend(model.fit(&data(), &fit).unwrap().losses);
    assert_eq!(losses, history.losses);
    assert_eq!(weight_bits(&model), weight_bits(&one));
    assert_eq!(model.step(), one.step());
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn another_optimizer_begins_without_state_and_goes_on_with_the_masks() {
    let (data, momentum) = (data(), Sgd::new(0.1).momentum(0.9));
    let train = |model: &mut Sequential, fit: Fit| model.fit(&data, &fit).unwrap().losses;
    let fit = |optimizer: Optimizer| Fit::new(optimizer).batch_size(BATCH);
    // Steps of Adam, without state, from where the other was.
    let mut changed = model();
    train(&mut changed, fit(momentum.into()));
    let weights = changed.weights().unwrap();
    let mut fresh = model();
    fresh.set_weights(&weights).unwrap();
    fresh.set_step(changed.step()).unwrap();
    fresh.set_epoch(changed.epoch()).unwrap();
    fresh.reset_optimizer();
    let adam = || fit(Adam::new(0.01).into());
    assert_eq!(train(&mut changed, adam()), train(&mut fresh, adam()));
    assert_eq!(weight_bits(&changed), weight_bits(&fresh));
    assert_eq!(changed.step(), 2 * SAMPLES.div_ceil(BATCH) as u64);
    // Only a setter goes back, and takes the same masks and order again.
    let mut again = model();
    let first = train(&mut again, fit(Sgd::new(0.0).into()));
    assert_ne!(train(&mut again, fit(Sgd::new(0.0).into())), first);
    again.set_step(0).unwrap();
    again.set_epoch(0).unwrap();
    assert_eq!(train(&mut again, fit(Sgd::new(0.0).into())), first);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_callback_may_evaluate_predict_and_change_the_learning_rate() {
    let (data, x) = (data(), gpu().tensor(&[0.5; 40 * 6], [40, 6]).unwrap());
    let (_, history) = whole(2);
    let mut model = model();
    let mut validated = Vec::new();
    let seen = model
        .fit_with(&data, &fit().epochs(2), |progress| {
            match progress {
                Progress::Batch(end) => {
                    end.model().evaluate(&data)?;
                    end.model().predict(&x)?.to_vec()?;
                }
                Progress::Epoch(end) => validated.push(end.model().evaluate(&data)?),
                _ => {}
            }
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    assert_eq!(seen, history);
    assert_eq!(validated.last(), Some(&model.evaluate(&data).unwrap()));

    // From the third step on nothing moves.
    let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
    let mut weights = Vec::new();
    model
        .fit_with(&data, &fit(), |progress| {
            if let Progress::Batch(mut end) = progress {
                weights.push(weight_bits(end.model()));
                if end.batch == 2 {
                    end.set_learning_rate(0.0)?;
                }
            }
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    assert_ne!(weights[0], weights[1]);
    assert_eq!(weights[1], weights[2]);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_error_of_a_callback_is_that_of_the_training() {
    let (data, mut model) = (data(), model());
    let mine = || Error::Data {
        op: "mine",
        detail: "enough".into(),
    };
    let result = model.fit_with(&data, &fit(), |_| Err(mine()));
    assert_eq!(result, Err(mine()));
    assert_eq!(model.step(), 1);
    model.fit(&data, &fit()).unwrap();
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn threads_predict_and_evaluate_at_the_same_time() {
    let (data, model) = (data(), whole(1).0);
    let (values, _) = blobs(SAMPLES, 6, 3);
    let x = gpu().tensor(&values, [SAMPLES, 6]).unwrap();
    let predict = || bits(&model.predict(&x).unwrap());
    let expected = (model.evaluate(&data).unwrap(), predict());
    std::thread::scope(|scope| {
        let look = || {
            for _ in 0..20 {
                assert_eq!((model.evaluate(&data).unwrap(), predict()), expected);
            }
        };
        for _ in 0..4 {
            scope.spawn(look);
        }
    });
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_work_of_others_comes_between_the_batches_of_a_prediction() {
    let gpu = gpu();
    let network = Sequential::new([24, 24, 1])
        .add(Conv2d::new(16, [3, 3]).activation(Selu))
        .add(Conv2d::new(16, [3, 3]).activation(Selu));
    let model = network.build(gpu, 1).unwrap();
    let small = gpu.tensor(&[1.0], [1]).unwrap();
    let small_result = || {
        let start = Instant::now();
        small.selu().unwrap().to_vec().unwrap();
        start.elapsed()
    };
    let predicted = |x: &Tensor| {
        let start = Instant::now();
        model.predict(x).unwrap().to_vec().unwrap();
        start.elapsed()
    };
    small_result();
    let alone = (0..20).map(|_| small_result()).min().unwrap();
    // At least 16 batches of 256, of which a few are under way at a time; on a fast device as many as take far longer
    // than a small result.
    let mut x: Tensor = gpu.zeros([16 * 256, 24, 24, 1]).unwrap();
    predicted(&x);
    while predicted(&x) < 50 * alone {
        let Ok(larger) = gpu.zeros([2 * x.shape()[0], 24, 24, 1]) else {
            break;
        };
        x = larger;
        predicted(&x);
    }
    // The longest wait for a small result, as a share of the time that the prediction takes.
    let longest_wait = || {
        std::thread::scope(|scope| {
            let prediction = scope.spawn(|| predicted(&x));
            let mut longest = Duration::ZERO;
            while !prediction.is_finished() {
                longest = longest.max(small_result());
            }
            longest.as_secs_f64() / prediction.join().unwrap().as_secs_f64()
        })
    };
    // Measured: 0.3, and 1 as one submission. Threads that get no processor may wait longer.
    let shares: Vec<_> = (0..3).map(|_| longest_wait()).collect();
    println!("{shares:?}");
    assert!(shares.iter().any(|&share| share < 0.6), "{shares:?}");
}

/// Asks for the next event and gives up at once, until it is there.
fn next_of_many_tries(run: &mut Run) -> Option<(usize, Option<usize>)> {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        let next = pin!(run.next());
        match next.poll(&mut context) {
            Poll::Ready(Ok(None)) => return None,
            Poll::Ready(Ok(Some(Progress::Batch(end)))) => {
                return Some((end.epoch, Some(end.batch)));
            }
            Poll::Ready(Ok(Some(Progress::Epoch(end)))) => return Some((end.epoch, None)),
            Poll::Ready(result) => panic!("{result:?}"),
            Poll::Pending => std::thread::sleep(Duration::from_micros(300)),
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn waits_that_are_given_up_change_nothing() {
    let (expected, history) = whole(2);
    let (data, mut model) = (data(), model());
    let mut run = model.train(&data, &fit().epochs(2)).unwrap();
    while next_of_many_tries(&mut run).is_some() {}
    assert_eq!(run.finish(), history);
    assert_eq!(weight_bits(&model), weight_bits(&expected));
}

#[test]
fn a_run_may_go_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Run>();
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn counts_that_are_too_large_are_refused() {
    let mut model = model();
    for count in [(1 << 53) + 1, u64::MAX] {
        let errors = [model.set_step(count), model.set_epoch(count)];
        for (error, name) in errors.into_iter().zip(["step", "epoch"]) {
            let value = count as f64;
            let sentence = format!("set_{name}: {name} is {value:?}, must be at most 2^53");
            assert_eq!(error.unwrap_err().to_string(), sentence);
        }
    }
    assert_eq!((model.step(), model.epoch()), (0, 0));
    model.set_step(1 << 53).unwrap();
    model.set_epoch(1 << 53).unwrap();
    model.fit(&data(), &fit()).unwrap();
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_checkpoint_brings_its_loss_and_its_optimizer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    for loss in [
        Loss::Huber(0.3),
        Loss::MeanAbsoluteError,
        Loss::CategoricalCrossentropyWith {
            label_smoothing: 0.1,
        },
    ] {
        let mut whole = model();
        whole.compile(Adam::new(0.02).clipnorm(0.5), loss).unwrap();
        let fit = Fit::default().batch_size(BATCH);
        let expected = whole.fit(&data(), &fit.clone().epochs(2)).unwrap();
        let mut first = model();
        first.compile(Adam::new(0.02).clipnorm(0.5), loss).unwrap();
        first.fit(&data(), &fit).unwrap();
        first.save_checkpoint(&path).unwrap();
        let mut second = model();
        second.load_checkpoint(&path).unwrap();
        let rest = second.fit(&data(), &fit).unwrap();
        assert_eq!(rest.epochs, expected.epochs[1..], "{loss:?}");
        assert_eq!(weight_bits(&second), weight_bits(&whole), "{loss:?}");
    }
}
