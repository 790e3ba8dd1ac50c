//! What networks are trained with: targets, bytes, numbers that are none, and the order of samples.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::{blobs, classifier, dataset, one_hot, still, weight_bits};
use crate::common::gpu;
use selfnorm::Error;
use selfnorm::nn::{Adam, Dataset, Dense, Fit, History, Progress, Sequential};

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

/// A Fisher–Yates shuffle by the words of the seed, with the three top bits of the counter 111.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_order_of_an_epoch_is_the_host_s() {
    let numbers: Vec<_> = (0..40).map(|i| i as f32).collect();
    let data = Dataset::from_floats(gpu(), &[1.0; 40], [1]).unwrap();
    let data = data.targets(&numbers, [1]).unwrap();
    let network = Sequential::new([1]).add(Dense::new(1).weights([0.0], [0.0]));
    let mut model = network.build(gpu(), 1).unwrap();
    let fit = Fit::new(still()).batch_size(1).epochs(3).seed(9);
    let found = order(&model.fit(&data, &fit).unwrap());
    for (epoch, found) in (0..).zip(found.chunks(40)) {
        let mut expected: Vec<usize> = (0..40).collect();
        let words = selfnorm::random::words(9, 0b111 << 61 | epoch, 0..39);
        for (i, word) in (1..40).rev().zip(words) {
            expected.swap(
                i,
                (f64::from(word) * 2f64.powi(-32) * (i + 1) as f64) as usize,
            );
        }
        assert_eq!(found, expected, "epoch {epoch}");
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
