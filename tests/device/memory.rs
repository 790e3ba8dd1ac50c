//! GPU memory: that training takes what the documentation of `Sequential` says, and no more however
//! long it goes on. What grows is looked for in two places: wgpu's allocator, where the backend has one
//! that reports; and, on Linux, the memory of the process, which is where a software device has its
//! buffers, and wgpu its records of them.

use crate::common::{allocated, gpu, passes_apart, resident};
use selfnorm::Gpu;
use selfnorm::nn::Activation::{Selu, Softmax};
use selfnorm::nn::{
    Adam, AlphaDropout, Conv2d, Dataset, Dense, Fit, Flatten, MaxPool2d, Sequential,
};

/// Set in the process of a test that is alone.
const APART: &str = "SELFNORM_APART";

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn ten_thousand_steps_take_no_memory() {
    // In a process of its own, where no other test allocates.
    if std::env::var_os(APART).is_none() {
        passes_apart("memory::ten_thousand_steps_take_no_memory", &[(APART, "1")]);
        return;
    }
    let gpu = gpu();
    let words = selfnorm::random::words(1, 1, 0..400 * 8);
    let bytes: Vec<_> = words.map(|word| word as u8).collect();
    let labels: Vec<_> = (0..400u32).map(|i| i % 3).collect();
    let data = Dataset::from_bytes(gpu, &bytes, [8]).unwrap();
    let data = data.classes(&labels).unwrap();
    let mut model = Sequential::new([8])
        .add(Dense::new(8).activation(Selu))
        .add(AlphaDropout::new(0.1))
        .add(Dense::new(3).activation(Softmax))
        .build(gpu, 1)
        .unwrap();
    // Of 100 steps, of one long epoch, and of one by one.
    let short = |epoch: usize| {
        let fit = Fit::new(Adam::default())
            .batch_size(4)
            .validation_split(0.01);
        fit.initial_epoch(epoch).epochs(epoch + 1)
    };
    let long = |steps: usize| Fit::new(Adam::default()).batch_size(4).epochs(steps / 100);
    let x = gpu.tensor(&[0.5; 4 * 8], [4, 8]).unwrap();
    let y = gpu.tensor(&[0.25; 4 * 3], [4, 3]).unwrap();
    let mut round = |epoch: usize| {
        model.fit(&data, &short(epoch)).unwrap();
        model.fit(&data, &long(300)).unwrap();
        for _ in 0..20 {
            model.train_on_batch(&x, &y).unwrap();
        }
        model.evaluate(&data).unwrap();
        (model.memory(), allocated(gpu))
    };
    // The first rounds find their buffers, and those that wait for their next use.
    for epoch in 0..3 {
        round(epoch);
    }
    let (memory, before) = round(3);
    let resident_before = resident();
    for epoch in 4..28 {
        let (now, allocated) = round(epoch);
        assert_eq!(now, memory);
        assert_eq!(allocated, before, "in round {epoch}");
    }
    assert!(model.step() >= 10_000, "{}", model.step());
    if let (Some(before), Some(after)) = (resident_before, resident()) {
        // 100 bytes a step, less than anything that wgpu keeps; measured: 0.
        let grown = after.saturating_sub(before);
        assert!(grown < 1 << 20, "the process has grown by {grown} bytes");
    }
}

/// In f32s: a layer's parameters begin at a multiple of so many.
fn padded(gpu: &Gpu, layers: &[usize]) -> u64 {
    let alignment = u64::from(gpu.device().limits().min_storage_buffer_offset_alignment / 4);
    let layers = layers.iter().map(|&layer| layer as u64);
    layers
        .map(|layer| layer.next_multiple_of(alignment.max(8)))
        .sum()
}

#[track_caller]
fn assert_within_a_tenth(actual: u64, expected: u64) {
    let error = (actual as f64 / expected as f64 - 1.0).abs();
    assert!(
        error < 0.1,
        "{actual} bytes, the sum says {expected}: {:.1} %",
        error * 100.0
    );
}

fn trained(model: &mut Sequential, gpu: &Gpu, batch: usize) -> u64 {
    let n: usize = model.input_shape().iter().product();
    let data = Dataset::from_bytes(gpu, &vec![7; 2 * batch * n], model.input_shape()).unwrap();
    let data = data.classes(&vec![1u32; 2 * batch]).unwrap();
    model
        .fit(&data, &Fit::new(Adam::default()).batch_size(batch))
        .unwrap();
    model.memory().total()
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_documentation_s_sum_is_the_memory_of_dense_layers() {
    let gpu = gpu();
    let mut model = Sequential::new([100])
        .add(Dense::new(200).activation(Selu))
        .add(AlphaDropout::new(0.1))
        .add(Dense::new(120).activation(Selu).trainable(false))
        .add(Dense::new(10).activation(Softmax))
        .build(gpu, 1)
        .unwrap();
    let (first, second, third) = (100 * 200 + 200, 200 * 120 + 120, 120 * 10 + 10);
    let p = padded(gpu, &[first, second, third]);
    let t = padded(gpu, &[first, third]);
    // A batch of 50 is computed as 56.
    let sums_and_activations = (200 + 200) + (120 + 120) + (10 + 10);
    // Of the sums, as far down as there are weights; the targets; no gradient of the input.
    let gradients = 200 + 120 + 10 + 10;
    let batch = 56 * (100 + sums_and_activations + gradients);
    assert_within_a_tenth(trained(&mut model, gpu, 50), 4 * p + 12 * t + 4 * batch);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_documentation_s_sum_is_the_memory_of_convolutions_and_pools() {
    let gpu = gpu();
    let mut model = Sequential::new([40, 40, 3])
        .add(Conv2d::new(4, [3, 3]).activation(Selu))
        .add(MaxPool2d::new([2, 2]))
        .add(Conv2d::new(4, [3, 3]))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Softmax))
        .build(gpu, 1)
        .unwrap();
    let (conv, pooled, second) = (38 * 38 * 4, 19 * 19 * 4, 17 * 17 * 4);
    let kernels = [3 * 3 * 3 * 4 + 4, 3 * 3 * 4 * 4 + 4, second * 10 + 10];
    let p = padded(gpu, &kernels);
    // The pool has its maxima and where they are from; the second convolution has no activation.
    let values = 40 * 40 * 3 + (conv + conv) + (pooled + pooled) + second + (10 + 10);
    let gradients = conv + pooled + second + 10 + 10;
    let batch = 32 * (values + gradients) as u64;
    // The kernels' gradients are sums over up to 46,208 positions and cut into chunks, each with a
    // kernel of its own; small ones, so that this is not in the sum: up to 144 of 148.
    assert_within_a_tenth(trained(&mut model, gpu, 32), 4 * p + 12 * p + 4 * batch);
}
