//! What networks are trained with: targets, bytes, numbers that are none, the order of samples, data in
//! several buffers, and batches from the host.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::{assert_near, blobs, classifier, dataset, identity, one_hot, still, weight_bits};
use crate::common::reference::normal;
use crate::common::{gpu, gpu_with, smallest_gpu};
use selfnorm::nn::Activation::{Selu, Sigmoid, Softmax};
use selfnorm::nn::Initializer::LecunNormal;
use selfnorm::nn::{
    Adam, AlphaDropout, Dataset, Dense, Fit, Flatten, History, MaxPool2d, Progress, Score,
    Sequential, Sgd,
};
use selfnorm::{Error, Gpu, wgpu};

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
    // An epoch's order is a function of the seed and the epoch's number.
    let mut from = |epoch: u64, fit: &Fit| {
        model.set_epoch(epoch).unwrap();
        order(&model.fit(&data, fit).unwrap())
    };
    assert_eq!(from(2, &fit), all[40..80]);
    assert_eq!(from(1, &fit.clone().seed(1)), all[..40]);
    assert_ne!(from(1, &fit.clone().seed(2)), all[..40]);

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
fn a_loss_that_is_not_a_number_is_an_error_that_names_the_step() {
    let (mut values, labels) = blobs(40, 6, 3);
    let good = dataset(&values, &labels, [6]);
    // The sums overflow, to infinities that the softmax subtracts.
    values[20 * 6..21 * 6].fill(3e38);
    let bad = dataset(&values, &labels, [6]);
    let fit = Fit::new(Adam::default()).batch_size(8).shuffle(false);
    for before in [0, 2] {
        let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
        model.fit(&good, &fit.clone().epochs(before)).unwrap();
        // Of five steps an epoch, sample 20 is in the third.
        let step = 5 * before as u64 + 3;
        let error = model.fit(&bad, &fit.clone().epochs(2)).unwrap_err();
        assert_eq!(error, Error::NotFinite { step });
        let sentence = format!(
            "the loss or a gradient became NaN or infinite in training step {step}, which has changed nothing; a lower learning rate may help, or clipping, and data without NaN or infinity; with Precision::F16, values up to 65,504"
        );
        assert_eq!(error.to_string(), sentence);

        let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
        model.fit(&good, &fit.clone().epochs(before)).unwrap();
        let mut told = Vec::new();
        let callback = |progress: Progress| {
            if let Progress::Batch(mut end) = progress {
                told.push(end.score().map(|_| ()));
            }
            Ok(ControlFlow::Continue(()))
        };
        model.fit_with(&bad, &fit, callback).unwrap_err();
        let not_finite = Err(Error::NotFinite { step });
        assert_eq!(told, [Ok(()), Ok(()), not_finite]);
    }
    let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
    let x = gpu().tensor(&values[16 * 6..24 * 6], [8, 6]).unwrap();
    let y = gpu().tensor(&one_hot(&labels[16..24], 3), [8, 3]).unwrap();
    let error = model.train_on_batch(&x, &y).unwrap_err();
    assert_eq!(error, Error::NotFinite { step: 1 });
    // A prediction or a score may be NaN.
    assert!(model.evaluate(&bad).unwrap().loss.is_nan());
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn labels_are_integers_of_any_type() {
    let (values, labels) = blobs(30, 6, 2);
    let data = || Dataset::from_floats(gpu(), &values, [6]).unwrap();
    let train = |data: Dataset| {
        let mut model = classifier(6, 2).build(gpu(), 1).unwrap();
        model.fit(&data, &Fit::new(Adam::new(0.01))).unwrap();
        weight_bits(&model)
    };
    let expected = train(data().classes(&labels).unwrap());
    macro_rules! same {
        ($($type:ty)+) => {$(
            let labels: Vec<_> = labels.iter().map(|&label| label as $type).collect();
            assert_eq!(train(data().classes(&labels).unwrap()), expected);
        )+};
    }
    same!(u8 i8 u16 i16 i32 u64 i64 u128 usize isize);
    let labels: Vec<_> = labels.iter().map(|&label| label == 1).collect();
    assert_eq!(train(data().classes(&labels).unwrap()), expected);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_value_that_is_no_number_is_refused_at_upload_with_its_place() {
    // With samples whose length is a multiple of 4, and with others.
    for shape in [[4, 6, 3], [2, 6, 2]] {
        let sample: usize = shape.iter().product();
        for (value, what) in [
            (f32::NAN, "a NaN"),
            (-f32::NAN, "a NaN"),
            (f32::INFINITY, "an infinity"),
            (f32::NEG_INFINITY, "an infinity"),
        ] {
            for index in [0, sample + 5, 17 * sample + sample - 1, 20 * sample - 1] {
                let mut values = vec![f32::MAX; 20 * sample];
                values[index] = value;
                // Only the first counts.
                values[20 * sample - 1] = f32::NAN;
                let what = if index == 20 * sample - 1 {
                    "a NaN"
                } else {
                    what
                };
                let (row, rest) = (index % sample / shape[2], index % shape[2]);
                let at = [row / shape[1], row % shape[1], rest];
                let n = index / sample;
                let error = Dataset::from_floats(gpu(), &values, shape).unwrap_err();
                let sentence = format!("dataset: sample {n} has {what} at {at:?}");
                assert_eq!(error.to_string(), sentence);

                let data = Dataset::from_bytes(gpu(), &[0; 20], [1]).unwrap();
                let error = data.targets(&values, shape).unwrap_err();
                let sentence = format!("dataset: the target of sample {n} has {what} at {at:?}");
                assert_eq!(error.to_string(), sentence);
            }
        }
    }
}

/// A device that binds no more than 16 KiB.
fn narrow_gpu() -> Gpu {
    let limits = wgpu::Limits {
        max_storage_buffer_binding_size: 16 << 10,
        ..Default::default()
    };
    gpu_with(wgpu::Features::empty(), limits)
}

/// Samples of 2 positions, with values and targets of any kind.
struct Positions {
    bytes: Vec<u8>,
    labels: Vec<u32>,
    weights: Vec<f32>,
}

impl Positions {
    const SAMPLES: usize = 4000;

    fn new() -> Self {
        let words =
            |seed, len: usize| selfnorm::random::words(seed, 0, 0..(Self::SAMPLES * len) as u64);
        Self {
            bytes: words(1, 10).map(|word| word as u8).collect(),
            labels: words(2, 2).map(|word| word % 3).collect(),
            weights: words(3, 2).map(|word| (word % 5) as f32 / 4.0).collect(),
        }
    }

    /// With bytes or floats, with labels or one-hot rows, with weights or without.
    fn dataset(&self, gpu: &Gpu, [floats, rows, weights]: [bool; 3]) -> Dataset {
        let mut data = if floats {
            let values: Vec<_> = self.bytes.iter().map(|&x| f32::from(x) / 255.0).collect();
            Dataset::from_floats(gpu, &values, [2, 5]).unwrap()
        } else {
            Dataset::from_bytes(gpu, &self.bytes, [2, 5]).unwrap()
        };
        if rows {
            data = data.targets(&one_hot(&self.labels, 3), [2, 3]).unwrap();
        } else {
            data = data.classes(&self.labels).unwrap();
        }
        if weights {
            data = data.sample_weights(&self.weights).unwrap();
        }
        data
    }
}

/// The numbers of a training with everything that takes samples.
fn trained(gpu: &Gpu, data: &Dataset) -> (History, Score, Vec<(String, Vec<u32>)>) {
    let dense = |units| Dense::new(units).kernel_initializer(LecunNormal);
    let mut model = Sequential::new([2, 5])
        .add(dense(7).activation(Selu))
        .add(AlphaDropout::new(0.1))
        .add(dense(3).activation(Softmax))
        .build(gpu, 1)
        .unwrap();
    let fit = Fit::new(Adam::new(0.01)).batch_size(100).epochs(2);
    let history = model.fit(data, &fit.validation_split(0.1)).unwrap();
    (history, model.evaluate(data).unwrap(), weight_bits(&model))
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn data_larger_than_a_binding_train_as_if_they_fitted() {
    // Of bytes there are 3 parts, of floats 10, of labels 2, of rows 6, of weights 2.
    let positions = Positions::new();
    let narrow = narrow_gpu();
    for kind in [[false, false, true], [true, true, false]] {
        let wide = smallest_gpu();
        let expected = trained(&wide, &positions.dataset(&wide, kind));
        assert_eq!(
            trained(&narrow, &positions.dataset(&narrow, kind)),
            expected
        );
    }
    // NaNs are found in every part, by the number of their sample.
    for sample in [0, 409, 3999] {
        let mut values = vec![0.5; Positions::SAMPLES * 10];
        values[sample * 10 + 7] = f32::NAN;
        let error = Dataset::from_floats(&narrow, &values, [2, 5]).unwrap_err();
        let sentence = format!("dataset: sample {sample} has a NaN at [1, 2]");
        assert_eq!(error.to_string(), sentence);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_can_not_be_split_is_too_large_and_the_error_says_what() {
    let gpu = narrow_gpu();
    let error = Dataset::from_bytes(&gpu, &[0; 40_000], [20_000]).unwrap_err();
    let sentence = "a tensor of shape [20000] is too large: a sample takes so many bytes; the device binds 16384 at most, and they are counted in 32 bits";
    assert_eq!(error.to_string(), sentence);

    let data = Dataset::from_bytes(&gpu, &[0; 4097], [1]).unwrap();
    let data = data.classes(&[0; 4097]).unwrap();
    let network = Sequential::new([1]).add(Dense::new(2).activation(Softmax));
    let error = network.build(&gpu, 1).unwrap().evaluate(&data).unwrap_err();
    let sentence = "a tensor of shape [4097] is too large: the order of so many samples takes 16388 bytes; the device binds 16384 at most";
    assert_eq!(error.to_string(), sentence);
}

/// On a device as it is: 133 MiB of pictures, where lavapipe binds 128.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn data_of_133_mib_are_the_same_samples_as_their_parts() {
    const SAMPLE: usize = 4096;
    const BATCH: usize = 64;
    let n = 532 * BATCH;
    let words = selfnorm::random::words(1, 1, 0..(n * SAMPLE / 4) as u64);
    let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    let labels: Vec<_> = (0..n).map(|i| i % 3).collect();
    let losses = |samples: std::ops::Range<usize>| {
        let bytes = &bytes[samples.start * SAMPLE..samples.end * SAMPLE];
        let data = Dataset::from_bytes(gpu(), bytes, [64, 64, 1]).unwrap();
        let data = data.classes(&labels[samples]).unwrap();
        let network = Sequential::new([64, 64, 1])
            .add(MaxPool2d::new([8, 8]))
            .add(Flatten::new())
            .add(Dense::new(3).activation(Softmax));
        let mut model = network.build(gpu(), 1).unwrap();
        let fit = Fit::new(still()).batch_size(BATCH).shuffle(false);
        model.fit(&data, &fit).unwrap().losses
    };
    let split = 500 * BATCH;
    let parts = [losses(0..split), losses(split..n)].concat();
    assert_eq!(losses(0..n), parts);
}

/// Logits that are the inputs: the loss of a sample, and what its biases learn from it, in a line each.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn weights_multiply_a_sample_s_loss_and_gradient_and_void_samples_do_not_count() {
    const CLASSES: usize = 3;
    let n = 12;
    let logits = normal(n * CLASSES, 5, 0);
    let labels: Vec<i64> = (0..n as i64)
        .map(|i| if i % 4 == 3 { 255 } else { i % 3 })
        .collect();
    let sample_weights: Vec<f32> = (0..n).map(|i| (i % 5) as f32 * 0.5).collect();
    let class_weights = [1.0, 0.25, 3.0];
    let one_hot: Vec<f32> = labels
        .iter()
        .flat_map(|&label| (0..3).map(move |class| f32::from(class == label)))
        .collect();

    // In f64.
    let (mut loss, mut bias, mut hits, mut counted) = (0.0, [0.0; CLASSES], 0, 0);
    for (i, z) in logits.chunks(CLASSES).enumerate() {
        let Some(&class_weight) = class_weights.get(labels[i] as usize) else {
            continue;
        };
        let weight = f64::from(sample_weights[i]) * class_weight;
        let z: Vec<_> = z.iter().map(|&z| f64::from(z)).collect();
        let sum: f64 = z.iter().map(|z| z.exp()).sum();
        let label = labels[i] as usize;
        loss += weight * (sum.ln() - z[label]);
        for (class, bias) in bias.iter_mut().enumerate() {
            let target = f64::from(u8::from(class == label));
            *bias -= weight * (z[class].exp() / sum - target);
        }
        hits += usize::from(z.iter().all(|&other| other <= z[label]));
        counted += 1;
    }
    let counted = f64::from(counted);

    let base = || Dataset::from_floats(gpu(), &logits, [CLASSES]).unwrap();
    let data = [
        base().classes(&labels).unwrap().ignore_class(255),
        // A row of zeros is void.
        base().targets(&one_hot, [CLASSES]).unwrap(),
    ];
    for data in data {
        let data = data.sample_weights(&sample_weights).unwrap();
        let data = data
            .class_weights(&class_weights.map(|w| w as f32))
            .unwrap();
        let mut model = identity(CLASSES, Softmax).build(gpu(), 1).unwrap();
        let score = model.evaluate(&data).unwrap();
        assert_near("the loss", score.loss, loss / counted);
        assert_near(
            "the accuracy",
            score.accuracy.unwrap(),
            hits as f64 / counted,
        );
        let fit = Fit::new(Sgd::new(1.0)).batch_size(n);
        let history = model.fit(&data, &fit).unwrap();
        assert_near("the loss of a step", history.losses[0], loss / counted);
        assert_eq!(history.epochs[0].training, score);
        let (_, learned) = &model.weights().unwrap()[1];
        for (learned, bias) in learned.to_vec().unwrap().iter().zip(bias) {
            assert_near("a bias", f64::from(*learned), bias / counted);
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_network_with_one_sigmoid_learns_labels_of_0_and_1() {
    let (values, labels) = blobs(80, 6, 2);
    let data = dataset(&values, &labels, [6]);
    let network = Sequential::new([6])
        .add(Dense::new(8).activation(Selu))
        .add(Dense::new(1).activation(Sigmoid));
    let mut model = network.build(gpu(), 1).unwrap();
    let fit = Fit::new(Adam::new(0.01)).batch_size(16).epochs(12);
    model.fit(&data, &fit).unwrap();
    let score = model.evaluate(&data).unwrap();
    // The same as values.
    let targets: Vec<_> = labels.iter().map(|&label| label as f32).collect();
    let floats = Dataset::from_floats(gpu(), &values, [6]).unwrap();
    let floats = floats.targets(&targets, [1]).unwrap();
    assert_eq!(model.evaluate(&floats).unwrap(), score);
    assert!(score.accuracy > Some(0.97), "{score:?}");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_data_set_of_void_samples_has_no_score() {
    let data = dataset(&[0.5; 8], &[7, 7], [4]).ignore_class(7);
    let network = Sequential::new([4]).add(Dense::new(3).activation(Softmax));
    let mut model = network.build(gpu(), 1).unwrap();
    let error = model.evaluate(&data).unwrap_err();
    let sentence = "evaluate: all targets are void, there is nothing to average";
    assert_eq!(error.to_string(), sentence);
    let fit = Fit::new(Adam::default()).validation_data(&data);
    let error = model.fit(&data, &fit).unwrap_err();
    let sentence = "fit: validation data: all targets are void, there is nothing to average";
    assert_eq!(error.to_string(), sentence);
    // Steps of them change nothing.
    let before = weight_bits(&model);
    let error = model.fit(&data, &Fit::new(Adam::default())).unwrap_err();
    let sentence = "fit: all targets are void, there is nothing to average";
    assert_eq!(error.to_string(), sentence);
    assert_eq!(model.history().losses, [0.0]);
    assert_eq!(weight_bits(&model), before);
}
