//! Several ranks train what one does: the same up to the order of sums, and with the same bits on every rank and in
//! every run.

use super::precision::steep;
use super::{assert_near, blobs, classifier, dataset, weight_bits};
use crate::common::{gpu, new_gpu};
use selfnorm::nn::Activation::{Selu, Softmax};
use selfnorm::nn::{
    Adam, AdamW, BatchNormalization, Dataset, Dense, Exchange, Fit, History, Loss, Precision,
    Regularizer, Sequential, SequentialBuilder, Sgd, Threads,
};
use selfnorm::{Error, Gpu, GpuOptions};

/// What `train` gives on each of `size` ranks.
pub fn on_ranks<T: Send>(size: usize, train: impl Fn(&Threads) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let ranks = Threads::ranks(size).into_iter();
        let threads: Vec<_> = ranks.map(|rank| scope.spawn(|| train(&{ rank }))).collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap());
        joined.collect()
    })
}

type Trained = (History, Vec<(String, Vec<u32>)>);

/// The history and the weights on each rank, which are the same.
fn trained(size: usize, train: impl Fn(&Threads) -> Trained + Sync) -> Trained {
    let mut all = on_ranks(size, train);
    let first = all.remove(0);
    for (rank, (history, weights)) in (1..).zip(all) {
        assert_eq!(history, first.0, "rank {rank} of {size}");
        assert_eq!(weights, first.1, "rank {rank} of {size}");
    }
    first
}

/// With dropout, weights of samples, of which some are 0, penalties, clipping, and a last batch of five rows, which is
/// one rank's.
fn fifty_steps(ranks: &Threads) -> Trained {
    let (points, classes) = blobs(184, 6, 3);
    let weights: Vec<_> = (0..184).map(|i| (i % 5) as f32 * 0.5).collect();
    let data = dataset(&points, &classes, [6])
        .sample_weights(&weights)
        .unwrap();
    let mut model = Sequential::new([6])
        .add(
            Dense::new(16)
                .activation(Selu)
                .kernel_regularizer(Regularizer::L2(1e-3)),
        )
        .add(selfnorm::nn::AlphaDropout::new(0.1))
        .add(Dense::new(3).activation(Softmax))
        .build(gpu(), 1)
        .unwrap();
    let optimizer = AdamW::new(0.005).global_clipnorm(0.5);
    let fit = Fit::new(optimizer)
        .batch_size(40)
        .epochs(10)
        .validation_split(0.1);
    let history = model.fit(&data, &fit.exchange(ranks)).unwrap();
    (history, weight_bits(&model))
}

/// A difference of 2^-23 in sums moves a weight by as much of the rate at first, and may grow. It stayed below 10^-5 of the
/// loss in fifty steps on every driver; the bound is ten times that.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn two_and_four_ranks_train_what_one_does_to_the_same_bits_on_each_and_again() {
    let (one, _) = trained(1, fifty_steps);
    assert_eq!(one.losses.len(), 50);
    for size in [2, 3, 4] {
        let (history, weights) = trained(size, fifty_steps);
        for (i, (loss, expected)) in history.losses.iter().zip(&one.losses).enumerate() {
            let error = (loss - expected).abs() / expected;
            assert!(
                error < 1e-4,
                "step {i} of {size} ranks: {loss}, not {expected}"
            );
        }
        let scores = |history: &History| history.epochs[9].validation.unwrap().loss;
        assert!((scores(&history) - scores(&one)).abs() < 1e-3 * scores(&one));
        assert_eq!(
            trained(size, fifty_steps),
            (history, weights),
            "{size} ranks again"
        );
    }
}

/// The first step's loss is the mean over all rows, before anything depends on the order of sums.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_first_loss_is_that_of_the_whole_batch_with_its_masks() {
    let (points, classes) = blobs(50, 6, 3);
    let train = |ranks: &Threads| {
        let data = dataset(&points, &classes, [6]);
        let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
        let fit = Fit::new(Sgd::new(0.1)).batch_size(50).exchange(ranks);
        (model.fit(&data, &fit).unwrap(), weight_bits(&model))
    };
    let (one, _) = trained(1, train);
    // Of seven blocks of eight rows, some of nine ranks have none.
    for size in [2, 7, 9] {
        let (history, _) = trained(size, train);
        assert_near("loss", history.losses[0], one.losses[0]);
    }
}

/// More gradients than are added up at once; and one rank gives up every wait that does not end at once.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn large_networks_are_exchanged_in_pieces_and_a_wait_may_be_given_up() {
    let (points, classes) = blobs(32, 6, 3);
    let train = |ranks: &Threads, gives_up: bool| {
        let data = dataset(&points, &classes, [6]);
        let network = Sequential::new([6])
            .add(Dense::new(1100).activation(Selu))
            .add(Dense::new(2000).activation(Selu))
            .add(Dense::new(3).activation(Softmax));
        let mut model = network.build(gpu(), 1).unwrap();
        let fit = Fit::new(Sgd::new(0.01)).batch_size(16).exchange(ranks);
        let mut run = model.train(&data, &fit).unwrap();
        loop {
            let next = std::pin::pin!(run.next());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let event = match gives_up && ranks.rank() == 0 {
                false => std::task::Poll::Ready(pollster::block_on(next)),
                true => next.poll(&mut context),
            };
            match event {
                std::task::Poll::Pending => std::thread::yield_now(),
                std::task::Poll::Ready(event) => match event.unwrap() {
                    Some(_) => {}
                    None => break,
                },
            }
        }
        let history = run.finish();
        (history, weight_bits(&model))
    };
    let (one, _) = trained(1, |ranks| train(ranks, false));
    let two = trained(2, |ranks| train(ranks, false));
    for (loss, expected) in two.0.losses.iter().zip(&one.losses) {
        assert!(
            (loss - expected).abs() < 1e-4 * expected,
            "{loss}, not {expected}"
        );
    }
    assert_eq!(trained(2, |ranks| train(ranks, true)), two);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_step_that_is_not_finite_on_one_rank_is_skipped_on_all() {
    let (mut points, classes) = blobs(64, 6, 3);
    // Only the last rank has it.
    points[63 * 6] = 3e38;
    points[63 * 6 + 1] = 3e38;
    let train = |ranks: &Threads, allowed| {
        let data = dataset(&points, &classes, [6]);
        let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
        let fit = Fit::new(Sgd::new(0.1))
            .batch_size(64)
            .shuffle(false)
            .epochs(2);
        let fit = fit.skip_non_finite(allowed).exchange(ranks);
        (model.fit(&data, &fit), weight_bits(&model))
    };
    let before = weight_bits(&classifier(6, 3).build(gpu(), 1).unwrap());
    for (result, weights) in on_ranks(3, |ranks| train(ranks, 2)) {
        assert_eq!((result.unwrap().skipped, &weights), (vec![1, 2], &before));
    }
    for (result, weights) in on_ranks(3, |ranks| train(ranks, 0)) {
        assert_eq!(
            (result.unwrap_err(), &weights),
            (Error::NotFinite { step: 1 }, &before)
        );
    }
}

/// Each rank on a device of its own; a checkpoint of two ranks goes on with three, and with one.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_checkpoint_goes_on_with_another_number_of_ranks() {
    let (points, classes) = blobs(96, 6, 3);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let data = |gpu: &Gpu| {
        let data = Dataset::from_floats(gpu, &points, [6]).unwrap();
        data.classes(&classes).unwrap()
    };
    let fit = Fit::new(Adam::new(0.005)).batch_size(48);
    on_ranks(2, |ranks| {
        let gpu = new_gpu();
        let mut model = classifier(6, 3).build(&gpu, 1).unwrap();
        model
            .fit(&data(&gpu), &fit.clone().epochs(3).exchange(ranks))
            .unwrap();
        if ranks.rank() == 0 {
            model.save_checkpoint(&path).unwrap();
        }
    });
    let on = |ranks: &Threads| {
        let gpu = new_gpu();
        let mut model = Sequential::open(&gpu, &path).unwrap();
        let history = model
            .fit(&data(&gpu), &fit.clone().epochs(3).exchange(ranks))
            .unwrap();
        assert_eq!((model.step(), model.epoch()), (12, 6));
        (history, weight_bits(&model))
    };
    let (one, _) = trained(1, on);
    let (three, _) = trained(3, on);
    for (loss, expected) in three.losses.iter().zip(&one.losses) {
        assert!(
            (loss - expected).abs() < 1e-4 * expected,
            "{loss}, not {expected}"
        );
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_rank_that_ends_is_an_error_of_the_others_which_have_changed_nothing_since() {
    let (points, classes) = blobs(64, 6, 3);
    let results = on_ranks(3, |ranks| {
        let data = dataset(&points, &classes, [6]);
        let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
        let fit = Fit::new(Sgd::new(0.1))
            .batch_size(32)
            .epochs(4)
            .exchange(ranks);
        let mut run = model.train(&data, &fit).unwrap();
        // Rank 1 ends after three steps.
        let mut steps = 0;
        let error = loop {
            if ranks.rank() == 1 && steps == 3 {
                break None;
            }
            match pollster::block_on(run.next()) {
                Ok(Some(selfnorm::nn::Progress::Batch(_))) => steps += 1,
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        drop(run);
        (error, model.step(), weight_bits(&model))
    });
    let Some(Error::Exchange {
        rank: 0,
        size: 3,
        detail,
    }) = &results[0].0
    else {
        panic!("{:?}", results[0].0);
    };
    assert_eq!(detail, "rank 1 has ended");
    assert!(results[1].0.is_none());
    // All of them are where the third step has left them.
    assert!(
        results
            .iter()
            .all(|(_, step, weights)| (step, weights) == (&3, &results[1].2))
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn ranks_that_would_not_train_the_same_are_told_before_the_first_step() {
    let (points, classes) = blobs(64, 6, 3);
    let train = |ranks: &Threads, seed, batch_size, rate, allowed| {
        let data = dataset(&points, &classes, [6]);
        let mut model = classifier(6, 3).build(gpu(), seed).unwrap();
        let before = weight_bits(&model);
        let fit = Fit::new(Sgd::new(rate)).batch_size(batch_size);
        let fit = fit.skip_non_finite(allowed as u32).exchange(ranks);
        let error = model.fit(&data, &fit).unwrap_err();
        assert_eq!((weight_bits(&model), model.step()), (before, 0));
        error
    };
    for differs in ["seed", "batch size", "optimizer", "steps to skip"] {
        let errors = on_ranks(2, |ranks| {
            let other = |what| if what == differs { ranks.rank() } else { 0 };
            let seed = 1 + other("seed") as u64;
            let rate = 0.1 + other("optimizer") as f64;
            train(
                ranks,
                seed,
                32 - other("batch size"),
                rate,
                other("steps to skip"),
            )
        });
        for error in errors {
            let text = error.to_string();
            assert!(text.contains("other ranks have another"), "{text}");
            assert!(text.contains(differs), "{text}");
        }
    }
}

/// Each device rounds in its own way, so the losses, which are sums over all ranks, are the same, and weights as near
/// as ten steps of such differences leave them. On one adapter it is one rank.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn all_adapters_of_a_machine_train_together() {
    let gpus = pollster::block_on(Gpu::all(&GpuOptions::new().pipeline_cache(false))).unwrap();
    let drivers = std::env::var("VK_DRIVER_FILES").unwrap_or_default();
    assert!(gpus.len() >= drivers.split(':').count(), "{gpus:?}");
    let (points, classes) = blobs(64, 6, 3);
    let train = |ranks: &Threads| {
        let gpu = &gpus[ranks.rank()];
        let data = Dataset::from_floats(gpu, &points, [6]).unwrap();
        let data = data.classes(&classes).unwrap();
        let mut model = classifier(6, 3).build(gpu, 1).unwrap();
        let fit = Fit::new(Sgd::new(0.1))
            .batch_size(64)
            .epochs(10)
            .exchange(ranks);
        let losses = model.fit(&data, &fit).unwrap().losses;
        let weights = model.weights().unwrap();
        let weights = weights.into_iter().map(|(_, w)| w.to_vec().unwrap());
        (losses, weights.flatten().collect::<Vec<_>>())
    };
    let all = on_ranks(gpus.len(), train);
    for (losses, weights) in &all {
        assert_eq!(*losses, all[0].0);
        for (weight, other) in weights.iter().zip(&all[0].1) {
            assert!((weight - other).abs() <= 1e-5, "{weight}, {other}");
        }
    }
}

/// Another way to get it wrong, before any rank waits for another.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn networks_that_measure_batches_and_impossible_ranks_are_errors() {
    #[derive(Debug)]
    struct Rank(usize, usize);
    impl Exchange for Rank {
        fn rank(&self) -> usize {
            self.0
        }
        fn size(&self) -> usize {
            self.1
        }
        fn sum(
            &self,
            _: &mut [f32],
        ) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
            Err("nobody is there".into())
        }
    }
    let (points, classes) = blobs(64, 6, 3);
    let data = dataset(&points, &classes, [6]);
    let error = |builder: SequentialBuilder, rank: Rank| -> Error {
        let mut model = builder.build(gpu(), 1).unwrap();
        model
            .fit(&data, &Fit::default().exchange(&rank))
            .unwrap_err()
    };
    let normalized = Sequential::new([6]).add(BatchNormalization::new());
    let normalized = normalized.add(Dense::new(3).activation(Softmax));
    let text = error(normalized.clone(), Rank(0, 2)).to_string();
    assert!(text.contains("normalizes by the whole batch"), "{text}");
    let text = error(classifier(6, 3), Rank(2, 2)).to_string();
    assert_eq!(text, "rank 2 of 2: rank 2 is none of 2 ranks");
    let text = error(classifier(6, 3), Rank(1, 2)).to_string();
    assert_eq!(text, "rank 1 of 2: nobody is there");
    // One rank needs nobody.
    let mut model = normalized.build(gpu(), 1).unwrap();
    model
        .fit(&data, &Fit::default().exchange(&Rank(0, 1)))
        .unwrap();
}

/// A network counts the steps whose update it has.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_run_that_is_dropped_while_ranks_exchange_has_not_taken_the_step() {
    let (points, classes) = blobs(64, 6, 3);
    let steps = on_ranks(2, |ranks| {
        let data = dataset(&points, &classes, [6]);
        let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
        let fit = Fit::new(Sgd::new(0.1)).batch_size(16).exchange(ranks);
        let mut run = model.train(&data, &fit).unwrap();
        for _ in 0..2 {
            pollster::block_on(run.next()).unwrap();
        }
        if ranks.rank() == 0 {
            // Gradients are on their way, and nobody waits for them. Where they are there at once, as on lavapipe, the
            // other rank is missed instead.
            let next = std::pin::pin!(run.next());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let polled = next.poll(&mut context).map(|event| event.map(drop));
            assert!(!matches!(polled, std::task::Poll::Ready(Ok(_))));
        }
        drop(run);
        model.step()
    });
    assert_eq!(steps, [2, 2]);
}

#[test]
fn ranks_that_bring_different_numbers_of_values_are_all_told_and_nothing_of_it_stays() {
    let sums = on_ranks(3, |ranks| {
        let mut values = vec![1.0; if ranks.rank() == 0 { 2 } else { 3 }];
        assert!(ranks.sum(&mut values).is_err());
        let mut values = [ranks.rank() as f32, f32::INFINITY];
        ranks.sum(&mut values).unwrap();
        values
    });
    assert_eq!(sums, [[3.0, f32::INFINITY]; 3]);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn ranks_train_in_16_bit_floats_with_one_loss_scale() {
    if !gpu().supports_f16() {
        return;
    }
    let train = |ranks: &Threads| {
        let (mut model, data) = steep();
        let fit = Fit::new(Sgd::new(1e-3))
            .loss(Loss::MeanSquaredError)
            .batch_size(64)
            .epochs(12);
        (
            model.fit(&data, &fit.exchange(ranks)).unwrap(),
            weight_bits(&model),
        )
    };
    let (one, _) = trained(1, train);
    let (two, _) = trained(2, train);
    assert!(one.skipped.starts_with(&[1, 2]), "{:?}", one.skipped);
    assert_eq!(two.skipped, one.skipped);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_rank_without_the_others_checkpoint_is_told_in_16_bit_floats_too() {
    if !gpu().supports_f16() {
        return;
    }
    let (points, classes) = blobs(64, 6, 3);
    let errors = on_ranks(2, |ranks| {
        let data = dataset(&points, &classes, [6]);
        let model = classifier(6, 3).precision(Precision::F16);
        let mut model = model.build(gpu(), 1).unwrap();
        let fit = Fit::new(Sgd::new(0.1)).batch_size(32);
        if ranks.rank() == 0 {
            model.fit(&data, &fit).unwrap();
        }
        model.fit(&data, &fit.exchange(ranks)).unwrap_err()
    });
    for error in errors {
        let text = error.to_string();
        assert!(
            text.contains("another weights, another counts of steps or epochs, another loss scale"),
            "{text}"
        );
    }
}
