//! Data sets of tensors: the same training as from the host's numbers, bit for bit, from buffers that stay
//! where they are.

use super::{blobs, classifier, one_hot, still, weight_bits};
use crate::common::{foreign_buffer, gpu, gpu_with, new_gpu};
use selfnorm::nn::{Adam, Dataset, Dense, Fit, Loss, Sequential};
use selfnorm::{Error, Gpu, Tensor, wgpu};

const SAMPLES: usize = 60;

/// Weights after two epochs with dropout, and the losses.
fn trained(gpu: &Gpu, data: &Dataset) -> (Vec<(String, Vec<u32>)>, Vec<f64>) {
    let mut model = classifier(5, 3).build(gpu, 3).unwrap();
    let fit = Fit::new(Adam::default()).batch_size(7).epochs(2);
    let history = model.fit(data, &fit).unwrap();
    (weight_bits(&model), history.losses)
}

fn from_host(gpu: &Gpu, x: &[f32], y: &[f32]) -> Dataset {
    let data = Dataset::from_floats(gpu, x, [5]).unwrap();
    data.targets(y, [3]).unwrap()
}

/// In a buffer with nothing but the usage that binding needs, and `offset` bytes of NaN in front.
fn wrapped(gpu: &Gpu, values: &[f32], shape: [usize; 2], offset: u64) -> Tensor {
    use wgpu::BufferUsages as Usage;
    let bytes = offset + size_of_val(values) as u64;
    let buffer = foreign_buffer(gpu, bytes, Usage::STORAGE | Usage::COPY_DST);
    let nan = vec![0xff; offset as usize];
    gpu.queue().write_buffer(&buffer, 0, &nan);
    let values = bytemuck::cast_slice(values);
    gpu.queue().write_buffer(&buffer, offset, values);
    gpu.wrap(buffer.slice(offset..), shape).unwrap()
}

fn numbers() -> (Vec<f32>, Vec<u32>, Vec<f32>) {
    let (x, labels) = blobs(SAMPLES, 5, 3);
    let y = one_hot(&labels, 3);
    (x, labels, y)
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn training_on_tensors_is_training_on_their_values() {
    let gpu = gpu();
    let (x, labels, y) = numbers();
    let expected = trained(gpu, &from_host(gpu, &x, &y));

    let [x_tensor, y_tensor] = [(&x, 5), (&y, 3)].map(|(values, len)| {
        let shape = [SAMPLES, len];
        gpu.tensor(values, shape).unwrap()
    });
    let data = Dataset::from_tensors(&x_tensor, &y_tensor).unwrap();
    assert_eq!((data.len(), data.shape()), (SAMPLES, &[5][..]));
    assert_eq!(trained(gpu, &data), expected);

    let x_wrapped = wrapped(gpu, &x, [SAMPLES, 5], 256);
    let y_wrapped = wrapped(gpu, &y, [SAMPLES, 3], 512);
    let data = Dataset::from_tensors(&x_wrapped, &y_wrapped).unwrap();
    assert_eq!(trained(gpu, &data), expected);

    // Labels and weights from the host go with samples of a tensor.
    let with_labels = |data: Dataset| data.classes(&labels).unwrap();
    let from_floats = with_labels(Dataset::from_floats(gpu, &x, [5]).unwrap());
    let from_tensor = with_labels(Dataset::from_tensor(&x_tensor).unwrap());
    assert_eq!(trained(gpu, &from_tensor), trained(gpu, &from_floats));
}

/// Nothing of a data set is in a buffer that is taken for something else.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_data_set_outlives_its_tensors() {
    let gpu = &new_gpu();
    let (x, _, y) = numbers();
    let expected = trained(gpu, &from_host(gpu, &x, &y));
    let data = {
        let x = gpu.tensor(&x, [SAMPLES, 5]).unwrap();
        let y = gpu.tensor(&y, [SAMPLES, 3]).unwrap();
        Dataset::from_tensors(&x, &y).unwrap()
    };
    let _others: Vec<_> = [x.len(), y.len()]
        .into_iter()
        .cycle()
        .take(8)
        .map(|len| gpu.tensor(&vec![f32::NAN; len], [len]).unwrap())
        .collect();
    assert_eq!(trained(gpu, &data), expected);
}

/// A binding holds 819.2 samples of 5 numbers, and begins at a multiple of 256 bytes: at every 64th.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn tensors_beyond_a_binding_are_in_parts() {
    let narrow = gpu_with(
        wgpu::Features::empty(),
        wgpu::Limits {
            max_storage_buffer_binding_size: 16 << 10,
            ..wgpu::Limits::default()
        },
    );
    let (x, labels) = blobs(3000, 5, 3);
    let y = one_hot(&labels, 3);
    let run = |data: &Dataset| {
        let mut model = classifier(5, 3).build(&narrow, 3).unwrap();
        let fit = Fit::new(Adam::default()).batch_size(200);
        model.fit(data, &fit).unwrap();
        weight_bits(&model)
    };
    let tensors = |x: &[f32], y: &[f32]| {
        let x = wrapped(&narrow, x, [3000, 5], 256);
        Dataset::from_tensors(&x, &wrapped(&narrow, y, [3000, 3], 0))
    };
    let expected = run(&from_host(&narrow, &x, &y));
    assert_eq!(run(&tensors(&x, &y).unwrap()), expected);
    for sample in [0, 767, 768, 2999] {
        let mut bad = x.clone();
        bad[sample * 5 + 4] = f32::NAN;
        assert_eq!(
            tensors(&bad, &y).unwrap_err().to_string(),
            format!("dataset: sample {sample} has a NaN at [4]")
        );
        let mut bad = y.clone();
        bad[sample * 3 + 2] = f32::INFINITY;
        assert_eq!(
            tensors(&x, &bad).unwrap_err().to_string(),
            format!("dataset: the target of sample {sample} has an infinity at [2]")
        );
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_is_no_data_set_is_an_error_that_says_why() {
    let gpu = gpu();
    let x = gpu.zeros([4, 5]).unwrap();
    let error = |result: Result<Dataset, Error>| result.unwrap_err().to_string();
    assert_eq!(
        error(Dataset::from_tensors(&x, &gpu.zeros([3, 2]).unwrap())),
        "dataset: there are targets for 3 samples, not for 4"
    );
    for shape in [&[][..], &[4, 0]] {
        let empty = gpu.zeros(shape).unwrap();
        assert_eq!(
            error(Dataset::from_tensor(&empty)),
            format!("dataset: a tensor of shape {shape:?} has no samples; it is [n, sample shape]")
        );
    }
    let stranger = new_gpu().zeros([4, 2]).unwrap();
    let stranger = Dataset::from_tensors(&x, &stranger).unwrap_err();
    assert!(matches!(stranger, Error::OtherGpu { .. }), "{stranger}");
    let none = Dataset::from_tensor(&gpu.zeros([0, 5]).unwrap()).unwrap();
    assert!(none.is_empty());

    // Found now, said when a loss wants probabilities.
    let y = gpu.tensor(&[0.5, 0.5, 1.5, 0.0, 0.0, 1.0, 1.0, 0.0], [4, 2]);
    let data = Dataset::from_tensors(&x, &y.unwrap()).unwrap();
    let network = Sequential::new([5]).add(Dense::new(2));
    let mut model = network.build(gpu, 1).unwrap();
    let fit = Fit::new(still()).loss(Loss::BinaryCrossentropy);
    let error = model.fit(&data, &fit).unwrap_err().to_string();
    assert!(
        error.contains("the target of sample 1 is 1.5 at [0]"),
        "{error}"
    );
}

/// A step sees what is there when it runs; what was found at the start is not looked for again, so a
/// NaN is the step's.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_the_application_writes_afterwards_is_trained_on() {
    let gpu = gpu();
    let x = gpu.tensor(&[1.0; 8], [8, 1]).unwrap();
    let y = gpu.tensor(&[0.0; 8], [8, 1]).unwrap();
    let data = Dataset::from_tensors(&x, &y).unwrap();
    let network = Sequential::new([1]).add(Dense::new(1).weights([1.0], [0.0]));
    let mut model = network.build(gpu, 1).unwrap();
    let fit = Fit::new(still()).loss(Loss::MeanSquaredError);
    let mut loss = || model.fit(&data, &fit).map(|history| history.losses[0]);
    assert_eq!(loss(), Ok(1.0));
    let write = |value: f32| {
        let range = x.slice();
        let bytes = bytemuck::cast_slice(&[value; 8]).to_vec();
        gpu.queue()
            .write_buffer(range.buffer(), range.offset(), &bytes);
    };
    write(3.0);
    assert_eq!(loss(), Ok(9.0));
    write(f32::NAN);
    assert_eq!(loss(), Err(Error::NotFinite { step: 3 }));
}
