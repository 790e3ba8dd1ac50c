//! Batches that come from the host.

use super::ranks::on_ranks;
use super::{blobs, classifier, one_hot, weight_bits};
use crate::common::{allocated, gpu, new_gpu};
use selfnorm::nn::Activation::{Selu, Softmax};
use selfnorm::nn::{
    Adam, AlphaDropout, Batch, Batches, Dataset, Dense, Fit, History, Loss, Samples, Sequential,
    Threads,
};
use selfnorm::{Error, Result};

/// The batches of arrays, in their order.
struct Chunks {
    samples: Samples,
    /// The lengths of a sample, and of its targets and weights.
    lens: [usize; 3],
    size: usize,
    floats: Vec<f32>,
    bytes: Vec<u8>,
    labels: Vec<i64>,
    values: Vec<f32>,
    weights: Vec<f32>,
    next: usize,
    started: Vec<u64>,
}

fn chunk<T>(values: &[T], size: usize, i: usize) -> Option<&[T]> {
    values.chunks(size).nth(i)
}

impl Batches for Chunks {
    fn samples(&self) -> Samples {
        self.samples.clone()
    }

    fn batches(&self) -> Option<usize> {
        Some(self.len().div_ceil(self.size))
    }

    fn start(&mut self, epoch: u64) -> Result<()> {
        self.started.push(epoch);
        self.next = 0;
        Ok(())
    }

    fn next_batch(&mut self) -> Result<Option<Batch<'_>>> {
        let i = self.next;
        self.next += 1;
        let [input, target, weight] = self.lens.map(|len| len * self.size);
        let batch = match (chunk(&self.floats, input, i), chunk(&self.bytes, input, i)) {
            (Some(values), _) => Batch::floats(values),
            (_, Some(bytes)) => Batch::bytes(bytes),
            (None, None) => return Ok(None),
        };
        let batch = match (
            chunk(&self.labels, target, i),
            chunk(&self.values, target, i),
        ) {
            (Some(labels), _) => batch.classes(labels)?,
            // Owned.
            (_, Some(values)) => batch.targets(values.to_vec()),
            (None, None) => batch,
        };
        Ok(Some(match chunk(&self.weights, weight, i) {
            Some(weights) => batch.sample_weights(weights),
            None => batch,
        }))
    }
}

impl Chunks {
    fn new(samples: Samples, lens: [usize; 3], size: usize) -> Self {
        Self {
            samples,
            lens,
            size,
            floats: Vec::new(),
            bytes: Vec::new(),
            labels: Vec::new(),
            values: Vec::new(),
            weights: Vec::new(),
            next: 0,
            started: Vec::new(),
        }
    }

    fn len(&self) -> usize {
        (self.floats.len() + self.bytes.len()) / self.lens[0]
    }

    /// The same as a data set of `shape`, with targets of `output`.
    fn resident(&self, shape: &[usize], output: &[usize]) -> Dataset {
        let data = match self.floats.is_empty() {
            true => Dataset::from_bytes(gpu(), &self.bytes, shape).unwrap(),
            false => Dataset::from_floats(gpu(), &self.floats, shape).unwrap(),
        };
        let data = match self.labels.is_empty() {
            true => data.targets(&self.values, output).unwrap(),
            false => data.classes(&self.labels).unwrap(),
        };
        match self.weights.is_empty() {
            true => data,
            false => data.sample_weights(&self.weights).unwrap(),
        }
    }
}

/// Of 2 positions.
fn network() -> selfnorm::nn::SequentialBuilder {
    Sequential::new([2, 5])
        .add(Dense::new(7).activation(Selu))
        .add(AlphaDropout::new(0.1))
        .add(Dense::new(3).activation(Softmax))
}

fn fit(size: usize) -> Fit<'static> {
    let fit = Fit::new(Adam::new(0.01)).loss(Loss::CategoricalCrossentropy);
    fit.batch_size(size).epochs(3).shuffle(false)
}

type Trained = (History, Vec<(String, Vec<u32>)>);

fn streamed(chunks: &mut Chunks) -> Trained {
    let mut model = network().build(gpu(), 1).unwrap();
    let fit = fit(chunks.size);
    let history = model.fit(&mut *chunks, &fit).unwrap();
    assert_eq!(chunks.started, [0, 1, 2]);
    (history, weight_bits(&model))
}

fn resident(chunks: &Chunks, change: impl Fn(Dataset) -> Dataset) -> Trained {
    let mut model = network().build(gpu(), 1).unwrap();
    let data = change(chunks.resident(&[2, 5], &[2, 3]));
    let history = model.fit(&data, &fit(chunks.size)).unwrap();
    (history, weight_bits(&model))
}

/// 130 samples in batches of 16: the last has 2.
fn labelled(samples: Samples) -> Chunks {
    let bytes = selfnorm::random::words(1, 0, 0..1300).map(|word| word as u8);
    let labels = selfnorm::random::words(2, 0, 0..260).map(|word| i64::from(word % 3));
    Chunks {
        bytes: bytes.collect(),
        labels: labels.collect(),
        ..Chunks::new(samples, [10, 2, 1], 16)
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn batches_from_the_host_train_as_a_data_set_in_the_same_order_does() {
    let bytes = || Samples::bytes([2, 5]).scaled(0.01, -1.0);
    let scaled = |data: Dataset| data.scaled(0.01, -1.0);

    let mut plain = labelled(bytes());
    let expected = resident(&plain, scaled);
    assert_eq!(expected.0.losses.len(), 27);
    assert_eq!(streamed(&mut plain), expected);

    // Void rows, weighted classes, a weight a sample.
    let samples = bytes().ignore_class(255).class_weights(&[0.5, 1.0, 3.0]);
    let mut weighted = labelled(samples);
    for label in weighted.labels.iter_mut().step_by(7) {
        *label = 255;
    }
    weighted.weights = (0..130).map(|i| (i % 5) as f32 / 4.0).collect();
    let expected = resident(&weighted, |data| {
        let data = scaled(data).ignore_class(255);
        data.class_weights(&[0.5, 1.0, 3.0]).unwrap()
    });
    assert_eq!(streamed(&mut weighted), expected);

    // Floats, rows of values, a weight a position.
    let mut values = labelled(Samples::floats([2, 5]).targets());
    values.lens = [10, 6, 2];
    values.floats = values
        .bytes
        .drain(..)
        .map(|x| f32::from(x) / 64.0)
        .collect();
    let labels: Vec<_> = values.labels.drain(..).map(|label| label as u32).collect();
    values.values = one_hot(&labels, 3);
    values.weights = (0..260).map(|i| (i % 5) as f32 / 4.0).collect();
    let expected = resident(&values, |data| data);
    assert_eq!(streamed(&mut values), expected);
}

/// With void rows, weighted classes and a weight a sample, all of which count over the whole batch.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn each_rank_takes_its_rows_of_batches_from_the_host_as_of_a_data_set() {
    let samples = Samples::bytes([2, 5]).scaled(0.01, -1.0);
    let samples = samples.ignore_class(255).class_weights(&[0.5, 1.0, 3.0]);
    let chunks = || {
        let mut chunks = labelled(samples.clone());
        for label in chunks.labels.iter_mut().step_by(7) {
            *label = 255;
        }
        chunks.weights = (0..130).map(|i| (i % 5) as f32 / 4.0).collect();
        chunks
    };
    let data = chunks().resident(&[2, 5], &[2, 3]).scaled(0.01, -1.0);
    let data = data
        .ignore_class(255)
        .class_weights(&[0.5, 1.0, 3.0])
        .unwrap();
    let data = &data;
    let train = |ranks: &Threads, is_streamed: bool| -> Trained {
        let mut model = network().build(gpu(), 1).unwrap();
        let fit = fit(16).exchange(ranks);
        let history = match is_streamed {
            true => model.fit(&mut chunks(), &fit),
            false => model.fit(data, &fit),
        };
        (history.unwrap(), weight_bits(&model))
    };
    let one = on_ranks(1, |ranks| train(ranks, false)).remove(0);
    let expected = on_ranks(2, |ranks| train(ranks, false)).remove(0);
    for (loss, one) in expected.0.losses.iter().zip(&one.0.losses) {
        assert!((loss - one).abs() < 1e-4 * one, "{loss}, not {one}");
    }
    for found in on_ranks(2, |ranks| train(ranks, true)) {
        assert_eq!(found, expected);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_stream_of_any_length_takes_the_memory_of_three_batches() {
    let gpu = new_gpu();
    const SAMPLE: usize = 4096;
    const BATCH: usize = 32;
    struct Endless(usize, Vec<u8>);
    impl Batches for Endless {
        fn samples(&self) -> Samples {
            Samples::bytes([SAMPLE])
        }
        fn start(&mut self, _epoch: u64) -> Result<()> {
            self.0 = 0;
            Ok(())
        }
        fn next_batch(&mut self) -> Result<Option<Batch<'_>>> {
            self.0 += 1;
            self.1.rotate_left(1);
            let batch = Batch::bytes(&self.1).classes(&[self.0 % 2; BATCH])?;
            Ok((self.0 <= 100).then_some(batch))
        }
    }
    let mut model = Sequential::new([SAMPLE])
        .add(Dense::new(2).activation(Softmax))
        .build(&gpu, 1)
        .unwrap();
    let mut batches = Endless(0, vec![7; SAMPLE * BATCH]);
    let fit = |epochs| Fit::new(Adam::default()).batch_size(BATCH).epochs(epochs);
    // The first epoch makes the buffers.
    model.fit(&mut batches, &fit(1)).unwrap();
    let before = allocated(&gpu);
    let history = model.fit(&mut batches, &fit(3)).unwrap();
    assert_eq!(history.losses.len(), 300);
    let after = allocated(&gpu);
    assert_eq!(after, before);
}

/// Makes a batch of values.
type Make = fn(&[f32]) -> Result<Batch<'_>>;

/// Makes its second batch as it is told to.
struct Second(Samples, Make, usize, Vec<f32>);

impl Batches for Second {
    fn samples(&self) -> Samples {
        self.0.clone()
    }
    fn start(&mut self, _epoch: u64) -> Result<()> {
        self.2 = 0;
        Ok(())
    }
    fn next_batch(&mut self) -> Result<Option<Batch<'_>>> {
        self.2 += 1;
        match self.2 {
            2 => (self.1)(&self.3).map(Some),
            _ => Batch::floats(&self.3).classes(&[0, 1, 2, 1]).map(Some),
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_batch_that_does_not_fit_is_named_with_what_is_wrong() {
    let classes = || Samples::floats([6]);
    let cases: [(Make, &str); 14] = [
        (
            |x| Batch::floats(&x[1..]).classes(&[0, 1, 2, 1]),
            "23 values are no whole number of samples of shape [6], or none",
        ),
        (
            |_| Batch::floats(&[]).classes::<u8>(&[]),
            "0 values are no whole number of samples of shape [6], or none",
        ),
        (
            |x| Batch::floats([x, x].concat()).classes(&[0; 8]),
            "has 8 samples, the batch_size is 4",
        ),
        (
            |_| Batch::bytes(&[0; 24]).classes(&[0, 1, 2, 1]),
            "has bytes, expected floats",
        ),
        (|x| Ok(Batch::floats(x)), "has no classes"),
        (
            |x| Ok(Batch::floats(x).targets(&[0.0; 12])),
            "has targets, expected classes",
        ),
        (
            |x| Batch::floats(x).classes(&[0; 5]),
            "5 classes are no whole number for each of 4 samples",
        ),
        (
            |x| Batch::floats(x).classes(&[0; 8]),
            "8 class numbers for 4 samples, that is 2 each; the network puts out [3]: one class a sample",
        ),
        (
            |x| Batch::floats(x).classes(&[0, 1, 1, 3]),
            "label 3 of sample 3; the network has 3 classes, 0 to 2",
        ),
        (
            |x| Batch::floats([&x[..23], &[f32::INFINITY]].concat()).classes(&[0, 1, 1, 2]),
            "sample 3 has an infinity at [5]",
        ),
        (
            |x| Ok(Batch::floats(x).classes(&[0; 4])?.sample_weights(&[1.0; 3])),
            "3 sample weights are no whole number for each of 4 samples",
        ),
        (
            |x| Ok(Batch::floats(x).classes(&[0; 4])?.sample_weights(&[1.0; 8])),
            "there are 2 sample weights a sample; the network puts out [3], that is 1 of 3, which takes 1 or 1",
        ),
        (
            |x| {
                let batch = Batch::floats(x).classes(&[0; 4])?;
                Ok(batch.sample_weights(&[1.0, 0.0, 1.0, -1.0]))
            },
            "sample weight 3 is -1.0; weights are finite and at least 0",
        ),
        (
            |x| Batch::floats(x).classes(&[u64::MAX; 4]),
            "label 0 does not fit into an i64",
        ),
    ];
    let fit = Fit::new(Adam::default()).batch_size(4);
    for (second, detail) in cases {
        let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
        let mut batches = Second(classes(), second, 0, vec![0.5; 24]);
        let error = model.fit(&mut batches, &fit).unwrap_err();
        let sentence = match detail.starts_with("label 0") {
            // Before it is a batch of the stream.
            true => format!("batch: {detail}"),
            false => format!("fit: batch 1: {detail}"),
        };
        assert_eq!(error.to_string(), sentence);
        // It still trains.
        let (values, labels) = blobs(4, 6, 3);
        let data = Dataset::from_floats(gpu(), &values, [6]).unwrap();
        model.fit(&data.classes(&labels).unwrap(), &fit).unwrap();
    }
    // The batches' own.
    let file = |_: &[f32]| {
        Err(Error::File {
            path: "pictures.bin".into(),
            detail: "is cut off".into(),
        })
    };
    let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
    let mut batches = Second(classes(), file, 0, vec![0.5; 24]);
    let error = model.fit(&mut batches, &fit).unwrap_err();
    assert_eq!(error.to_string(), "pictures.bin: is cut off");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn samples_that_do_not_fit_a_network_are_refused_before_any_batch() {
    let fit = Fit::new(Adam::default()).batch_size(4);
    for (samples, detail) in [
        (
            Samples::floats([2, 3]),
            "fit: samples are of shape [2, 3], the network takes [6]",
        ),
        (
            Samples::floats([6]).targets().ignore_class(0),
            "fit: ignore_class(0) is for labels, and the targets are values",
        ),
        (
            Samples::floats([6]).class_weights(&[1.0; 2]),
            "fit: there are 2 class weights, the network has 3 classes",
        ),
        (
            Samples::floats([6]).class_weights(&[1.0, f32::NAN, 1.0]),
            "fit: class weight 1 is NaN; weights are finite and at least 0",
        ),
        (
            Samples::bytes([6]).scaled(f32::NAN, 1.0),
            "scaled: scale is NaN, must be finite",
        ),
    ] {
        let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
        let mut batches = Second(samples, |_| panic!("is asked for a batch"), 1, Vec::new());
        let error = model.fit(&mut batches, &fit).unwrap_err();
        assert_eq!(error.to_string(), detail);
        assert_eq!(batches.2, 1);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn target_values_of_a_batch_are_looked_at_before_its_step() {
    for (values, detail) in [
        (
            [0., 1., 0., 0., 0.5, 1.5],
            "fit: batch 0: the target of sample 1 is 1.5 at [2]; cross-entropy takes probabilities, 0 to 1",
        ),
        (
            [0., 1., 0., f32::NAN, 0., 0.],
            "fit: batch 0: the target of sample 1 has a NaN at [0]",
        ),
    ] {
        let mut model = classifier(6, 3).build(gpu(), 1).unwrap();
        let mut batches = Chunks {
            floats: vec![0.5; 12],
            values: values.into(),
            ..Chunks::new(Samples::floats([6]).targets(), [6, 3, 1], 2)
        };
        let error = model.fit(&mut batches, &fit(2)).unwrap_err();
        assert_eq!(error.to_string(), detail);
        assert_eq!(model.step(), 0);
    }
}

/// No batches in the second epoch.
struct Once(bool);

impl Batches for Once {
    fn samples(&self) -> Samples {
        Samples::floats([2, 5])
    }

    fn start(&mut self, _: u64) -> Result<()> {
        Ok(())
    }

    fn next_batch(&mut self) -> Result<Option<Batch<'_>>> {
        let is_first = std::mem::replace(&mut self.0, false);
        let batch = || Batch::floats(vec![0.5; 10]).classes(&[1, 2]);
        is_first.then(batch).transpose()
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn an_epoch_without_batches_is_an_error() {
    let mut model = network().build(gpu(), 1).unwrap();
    let error = model.fit(&mut Once(true), &fit(1)).unwrap_err();
    assert_eq!(error.to_string(), "fit: epoch 2 has no batches");
    assert_eq!(model.step(), 1);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn batches_that_are_too_large_and_targets_that_nobody_has_seen_are_errors() {
    let mut model = network().build(gpu(), 1).unwrap();
    let fit = fit(usize::MAX);
    let error = model.fit(&mut Once(true), &fit).unwrap_err().to_string();
    assert!(
        error.contains("the order of so many samples takes"),
        "{error}"
    );

    struct Values;
    impl Batches for Values {
        fn samples(&self) -> Samples {
            Samples::floats([5]).targets()
        }

        fn start(&mut self, _: u64) -> Result<()> {
            Ok(())
        }

        fn next_batch(&mut self) -> Result<Option<Batch<'_>>> {
            Ok(None)
        }
    }
    let linear = Sequential::new([5]).add(Dense::new(3));
    let mut model = linear.build(gpu(), 1).unwrap();
    let error = model
        .fit(&mut Values, &Fit::new(Adam::default()))
        .unwrap_err();
    let sentence = "fit: which loss? nobody has looked at the targets of batches from the host; name Loss::MeanSquaredError for numbers, or Loss::CategoricalCrossentropy (from logits) for classes";
    assert_eq!(error.to_string(), sentence);
}
