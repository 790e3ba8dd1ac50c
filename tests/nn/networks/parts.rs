//! Batches whose activations are larger than the device binds: they are computed in parts, with the
//! loss and the gradient of the whole.

use super::ranks::on_ranks;
use super::{blobs, one_hot};
use crate::common::{gpu, gpu_with};
use selfnorm::nn::Activation::{Selu, Sigmoid, Softmax};
use selfnorm::nn::{
    Adam, AlphaDropout, Batch, Batches, Conv2d, Dataset, Dense, Dropout, Fit, Flatten, History,
    Regularizer, Samples, Sequential, SequentialBuilder,
};
use selfnorm::{Error, Gpu, Result, wgpu};

/// What sums in another order may differ by, relative: a hundred roundings of f32.
const BOUND: f64 = 1e-5;

const SAMPLES: usize = 100;
const BATCH: usize = 40;

/// A device that binds no more than 16 KiB, with WebGPU's other limits.
fn narrow_gpu() -> Gpu {
    let limits = wgpu::Limits {
        max_storage_buffer_binding_size: 16 << 10,
        ..wgpu::Limits::default()
    };
    gpu_with(wgpu::Features::empty(), limits)
}

/// Its convolution takes 512 bytes a sample: no more than 32 at a time, in parts of 24 and 16.
fn network() -> SequentialBuilder {
    Sequential::new([6, 6, 1])
        .add(Conv2d::new(8, [3, 3]).activation(Selu))
        .add(AlphaDropout::new(0.1))
        .add(Conv2d::new(4, [1, 1]).activation(Selu))
        .add(Dropout::new(0.2).noise_shape([None, Some(1), Some(1), None]))
        .add(Flatten::new())
        .add(Dense::new(3).activation(Softmax))
}

fn data(gpu: &Gpu) -> Dataset {
    let (values, labels) = blobs(SAMPLES, 36, 3);
    let data = Dataset::from_floats(gpu, &values, [6, 6, 1]).unwrap();
    // The void ones are not spread evenly over parts.
    let labels: Vec<_> = labels.iter().map(|&label| i64::from(label)).collect();
    let void = |(i, label)| if i % 40 < 11 { -100 } else { label };
    let labels: Vec<_> = labels.into_iter().enumerate().map(void).collect();
    let weights: Vec<_> = (0..SAMPLES).map(|i| 0.5 + i as f32 / 100.0).collect();
    let data = data.classes(&labels).unwrap().ignore_class(-100);
    data.sample_weights(&weights).unwrap()
}

fn fit() -> Fit<'static> {
    Fit::new(Adam::new(0.01)).batch_size(BATCH).epochs(2)
}

fn assert_near(what: &str, actual: f64, expected: f64, typical: f64) {
    let error = (actual - expected).abs();
    let bound = BOUND * expected.abs().max(typical);
    assert!(error <= bound, "{what} is {actual:e}, not {expected:e}");
}

fn assert_same(actual: (&Sequential, &History), expected: (&Sequential, &History)) {
    assert_eq!(actual.1.losses.len(), expected.1.losses.len());
    for (a, b) in actual.1.losses.iter().zip(&expected.1.losses) {
        assert_near("a loss", *a, *b, 0.0);
    }
    let weights = actual.0.weights().unwrap();
    for ((name, a), (_, b)) in weights.iter().zip(expected.0.weights().unwrap()) {
        for (a, b) in a.to_vec().unwrap().iter().zip(b.to_vec().unwrap()) {
            assert_near(name, f64::from(*a), f64::from(b), 0.1);
        }
    }
}

/// Of a batch of 90, two ranks have 48 and 42 rows, which each computes in parts of up to 32; nine have some without
/// more than a part.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_rank_s_rows_may_come_in_parts() {
    let narrow = narrow_gpu();
    let fit = fit().batch_size(90);
    let mut whole = network().build(gpu(), 1).unwrap();
    let expected = whole.fit(&data(gpu()), &fit).unwrap();
    for size in [2, 9] {
        let trained = on_ranks(size, |ranks| {
            let mut model = network().build(&narrow, 1).unwrap();
            let fit = fit.clone().exchange(ranks);
            let history = model.fit(&data(&narrow), &fit).unwrap();
            (model, history)
        });
        for (model, history) in &trained {
            assert_same((model, history), (&whole, &expected));
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_batch_in_parts_trains_as_the_whole_with_its_masks_weights_and_void_rows() {
    let narrow = narrow_gpu();
    let train = |gpu: &Gpu| {
        let mut model = network().build(gpu, 1).unwrap();
        let history = model.fit(&data(gpu), &fit()).unwrap();
        (model, history)
    };
    let (whole, parts) = (train(gpu()), train(&narrow));
    assert_same((&parts.0, &parts.1), (&whole.0, &whole.1));
    assert_eq!(parts.0.step(), whole.0.step());
    // A smaller batch is computed at once.
    let memory = parts.0.memory();
    let mut small = network().build(&narrow, 1).unwrap();
    small.fit(&data(&narrow), &fit().batch_size(24)).unwrap();
    assert!(small.memory().forward <= memory.forward);
}

/// Once a batch, and times the rows that count in all of its parts.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_batch_in_parts_has_the_penalty_of_the_whole() {
    let both = Regularizer::L1L2 { l1: 0.1, l2: 0.1 };
    let train = |gpu: &Gpu, regularizer: Option<Regularizer>| {
        let layer = Conv2d::new(8, [3, 3]).activation(Selu);
        let layer = match regularizer {
            Some(regularizer) => layer.kernel_regularizer(regularizer),
            None => layer,
        };
        let network = Sequential::new([6, 6, 1]).add(layer).add(Flatten::new());
        let network = network.add(Dense::new(3).activation(Softmax));
        let mut model = network.build(gpu, 1).unwrap();
        let history = model.fit(&data(gpu), &fit()).unwrap();
        (model, history)
    };
    let (whole, parts) = (train(gpu(), Some(both)), train(&narrow_gpu(), Some(both)));
    assert_same((&parts.0, &parts.1), (&whole.0, &whole.1));
    let plain = train(gpu(), None).1;
    assert!(whole.1.losses[0] > plain.losses[0] + 0.5, "{plain:?}");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_batch_of_tensors_comes_in_parts_too() {
    let narrow = narrow_gpu();
    let (values, labels) = blobs(BATCH, 36, 3);
    let targets = one_hot(&labels, 3);
    let train = |gpu: &Gpu| {
        let mut model = network().build(gpu, 1).unwrap();
        let x = gpu.tensor(&values, [BATCH, 6, 6, 1]).unwrap();
        let y = gpu.tensor(&targets, [BATCH, 3]).unwrap();
        let losses = (0..5).map(|_| model.train_on_batch(&x, &y).unwrap().loss);
        let losses: Vec<_> = losses.collect();
        let predicted = model.predict(&x).unwrap().to_vec().unwrap();
        (losses, predicted)
    };
    let (whole, parts) = (train(gpu()), train(&narrow));
    for (a, b) in parts.0.iter().zip(&whole.0) {
        assert_near("a loss", *a, *b, 0.0);
    }
    for (a, b) in parts.1.iter().zip(&whole.1) {
        assert_near("a prediction", f64::from(*a), f64::from(*b), 0.1);
    }
}

/// A batch that is one of the host's and one of the parts' at once.
struct Whole(Vec<f32>, Vec<u32>, bool);

impl Batches for Whole {
    fn samples(&self) -> Samples {
        Samples::floats([6, 6, 1])
    }

    fn start(&mut self, _: u64) -> Result<()> {
        self.2 = true;
        Ok(())
    }

    fn next_batch(&mut self) -> Result<Option<Batch<'_>>> {
        let is_first = std::mem::replace(&mut self.2, false);
        let batch = || Batch::floats(&self.0).classes(&self.1);
        is_first.then(batch).transpose()
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_batch_from_the_host_comes_in_parts_too() {
    let narrow = narrow_gpu();
    let (values, labels) = blobs(BATCH, 36, 3);
    let resident = Dataset::from_floats(&narrow, &values, [6, 6, 1]).unwrap();
    let resident = resident.classes(&labels).unwrap();
    let fit = fit().shuffle(false);
    let mut one = network().build(&narrow, 1).unwrap();
    let expected = one.fit(&resident, &fit).unwrap();
    let mut two = network().build(&narrow, 1).unwrap();
    let history = two.fit(&mut Whole(values, labels, false), &fit).unwrap();
    assert_eq!(history, expected);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_step_of_a_batch_in_parts_that_is_not_finite_changes_nothing() {
    let narrow = narrow_gpu();
    let mut model = network().build(&narrow, 1).unwrap();
    let before = super::weight_bits(&model);
    let (values, labels) = blobs(BATCH, 36, 3);
    // In the first part, whose gradients the second is added to.
    let mut weights = [1.0; BATCH];
    weights[3] = f32::MAX;
    let data = Dataset::from_floats(&narrow, &values, [6, 6, 1]).unwrap();
    let data = data.classes(&labels).unwrap();
    let data = data.sample_weights(&weights).unwrap();
    let error = model.fit(&data, &fit().shuffle(false)).unwrap_err();
    assert_eq!(error, Error::NotFinite { step: 1 });
    assert_eq!(super::weight_bits(&model), before);
    assert_eq!(model.step(), 0);
}

/// The tutorial's convolution makes 354 MB of sums of it, where a binding may have 128 MiB.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_batch_of_4096_images_trains() {
    const IMAGES: usize = 4096;
    let words = selfnorm::random::words(1, 1, 0..(IMAGES * 28 * 28) as u64);
    let bytes: Vec<_> = words.map(|word| (word >> 24) as u8).collect();
    let labels: Vec<_> = (0..IMAGES).map(|i| i % 10).collect();
    let data = Dataset::from_bytes(gpu(), &bytes, [28, 28, 1]).unwrap();
    let data = data.classes(&labels).unwrap();
    let network = Sequential::new([28, 28, 1])
        .add(Conv2d::new(32, [3, 3]).activation(Selu))
        .add(AlphaDropout::new(0.25))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Softmax));
    let mut model = network.build(gpu(), 1).unwrap();
    let fit = Fit::new(Adam::default()).batch_size(IMAGES);
    let history = model.fit(&data, &fit).unwrap();
    assert_eq!((history.losses.len(), model.step()), (1, 1));
    assert!(history.losses[0].is_finite());
}

/// Of a single output a position: the sums of their losses are the largest buffer.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn any_number_of_samples_is_evaluated_whatever_is_largest() {
    let values = super::blobs(64, 64, 2).0;
    let targets: Vec<_> = values.iter().map(|&x| f32::from(x > 0.0)).collect();
    let score = |gpu: &Gpu| {
        let network = Sequential::new([64, 1]).add(Dense::new(1).activation(Sigmoid));
        let model = network.build(gpu, 1).unwrap();
        let data = Dataset::from_floats(gpu, &values, [64, 1]).unwrap();
        let data = data.targets(&targets, [64, 1]).unwrap();
        model.evaluate(&data).unwrap()
    };
    let (narrow, wide) = (score(&narrow_gpu()), score(gpu()));
    assert_near("the loss", narrow.loss, wide.loss, 0.0);
    assert_eq!(narrow.accuracy, wide.accuracy);
}
