//! Predictions from the host, and of data sets: they are those of `predict` for the same samples, bit for bit.

use super::identity;
use crate::common::{self, gpu, gpu_with};
use selfnorm::nn::Activation::{Selu, Sigmoid, Softmax};
use selfnorm::nn::{Dataset, Dense, Predict, Sequential, metrics};
use selfnorm::{Error, Result, wgpu};

/// From −1 to 1, a multiple of 2⁻⁷.
fn values(len: usize) -> Vec<f32> {
    let hash = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 24;
    (0..len).map(|i| hash(i) as f32 / 128.0 - 1.0).collect()
}

fn network() -> Sequential {
    let network = Sequential::new([2, 3]).add(Dense::new(5).activation(Selu));
    let network = network.add(Dense::new(4).activation(Softmax));
    network.build(gpu(), 7).unwrap()
}

fn predicted(model: &Sequential, values: &[f32], n: usize) -> Vec<f32> {
    let x = model.gpu().tensor(values, [n, 2, 3]).unwrap();
    model.predict(&x).unwrap().to_vec().unwrap()
}

#[track_caller]
fn assert_error<T>(result: Result<T>, expected: &str) {
    let Err(error) = result else {
        panic!("no error, but it should say: {expected}");
    };
    assert_eq!(error.to_string(), expected);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn numbers_in_are_numbers_out() {
    let model = network();
    for n in [0, 1, 13] {
        let values = values(n * 6);
        let out = model.predict_floats(&values).unwrap();
        assert_eq!(out.len(), n * 8);
        assert_eq!(out, predicted(&model, &values, n));
    }
    assert_error(
        model.predict_floats(&[0.5; 7]),
        "predict_floats: 7 values are no whole number of samples of shape [2, 3]",
    );
}

/// In one batch, and in more than there are records for at once.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_data_set_is_predicted_as_its_samples_are() {
    for (n, batch) in [(1, None), (50, None), (4500, Some(64))] {
        let model = network();
        if let Some(batch) = batch {
            let predict = Predict::rows(n).batch(batch);
            model.prepare_predict(predict, |_| ()).unwrap();
        }
        let values = values(n * 6);
        let data = Dataset::from_floats(gpu(), &values, [2, 3]).unwrap();
        let y = model.predict_dataset(&data).unwrap();
        assert_eq!(y.shape(), [n, 2, 4]);
        assert_eq!(y.to_vec().unwrap(), predicted(&model, &values, n));
    }
}

/// byte · 2⁻⁷ − 1 is exact.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_selection_of_scaled_bytes_is_predicted_in_its_order() {
    let model = network();
    let bytes: Vec<u8> = (0..30 * 6).map(|i| (i * 89 % 256) as u8).collect();
    let data = Dataset::from_bytes(gpu(), &bytes, [2, 3]).unwrap();
    let data = data.scaled(1.0 / 128.0, -1.0);
    let samples = [7, 29, 0, 7, 12];
    let selected = data.select(&samples).unwrap();
    let values: Vec<_> = samples
        .iter()
        .flat_map(|&i| &bytes[i * 6..][..6])
        .map(|&byte| f32::from(byte) / 128.0 - 1.0)
        .collect();
    let y = model.predict_dataset(&selected).unwrap().to_vec().unwrap();
    assert_eq!(y, predicted(&model, &values, 5));
}

/// A device that binds 8 samples at a time.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_data_set_in_several_buffers_is_predicted_as_one() {
    let limits = wgpu::Limits {
        max_storage_buffer_binding_size: 1 << 16,
        ..Default::default()
    };
    let gpu = gpu_with(wgpu::Features::empty(), limits);
    let len = 2048;
    let model = Sequential::new([len]).add(Dense::new(2)).build(&gpu, 1);
    let model = model.unwrap();
    let values = values(27 * len);
    let data = Dataset::from_floats(&gpu, &values, [len]).unwrap();
    let whole = model.predict_dataset(&data).unwrap().to_vec().unwrap();
    for (sample, row) in values.chunks(len).zip(whole.chunks(2)) {
        let alone = model.predict_floats(sample).unwrap();
        for (alone, row) in alone.iter().zip(row) {
            // Sums of 2048 products below 0.1, whatever their order.
            assert!((alone - row).abs() < 1e-3, "{alone}, {row}");
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_class_is_that_of_the_first_largest_output() {
    let rows = [
        [0.0, 2.0, 1.0],
        [3.0, 3.0, 1.0],
        [-2.0, -3.0, -1.0],
        [-1.0, 0.0, 0.0],
    ];
    let data = Dataset::from_floats(gpu(), &rows.concat(), [3]).unwrap();
    let model = identity(3, Softmax).build(gpu(), 1).unwrap();
    assert_eq!(model.predict_classes(&data).unwrap(), [1, 0, 2, 1]);
    // A class for each position.
    let data = Dataset::from_floats(gpu(), &rows.concat(), [2, 3]).unwrap();
    let identity = [1., 0., 0., 0., 1., 0., 0., 0., 1.];
    let dense = Dense::new(3).weights(identity, [0.0; 3]);
    let model = Sequential::new([2, 3]).add(dense).build(gpu(), 1).unwrap();
    assert_eq!(model.predict_classes(&data).unwrap(), [1, 0, 2, 1]);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_single_sigmoid_above_a_half_is_class_1() {
    let one = |dense: Dense| Sequential::new([1]).add(dense.weights([1.0], [0.0]));
    let data = Dataset::from_floats(gpu(), &[-3.0, 0.0, 0.25, 9.0], [1]).unwrap();
    let sigmoid = one(Dense::new(1).activation(Sigmoid))
        .build(gpu(), 1)
        .unwrap();
    let classes = sigmoid.predict_classes(&data).unwrap();
    assert_eq!(classes, [0, 0, 1, 1]);
    let accuracy = metrics::accuracy(&[false, true, true, true], &classes).unwrap();
    assert_eq!(accuracy, 0.75);
    let linear = one(Dense::new(1)).build(gpu(), 1).unwrap();
    assert_error(
        linear.predict_classes(&data),
        "predict_classes: the network has one output without a sigmoid, which tells no class; predict_dataset has its values",
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_data_set_that_is_none_of_the_network_s_is_an_error() {
    let model = network();
    let flat = Dataset::from_floats(gpu(), &[0.5; 12], [6]).unwrap();
    assert_error(
        model.predict_dataset(&flat),
        "predict_dataset: samples are of shape [6], the network takes [2, 3]",
    );
    assert_error(
        model.predict_classes(&flat),
        "predict_classes: samples are of shape [6], the network takes [2, 3]",
    );
    let whole = Dataset::from_floats(gpu(), &[0.5; 12], [2, 2, 3]).unwrap();
    assert_error(
        model.predict_dataset(&whole),
        "predict_dataset: samples are of shape [2, 2, 3], the network takes [2, 3]; the shape to give is that of one sample, [2, 3]: the number of samples follows",
    );
    let bytes = Dataset::from_bytes(gpu(), &[0; 12], [2, 3]).unwrap();
    assert_error(
        model.predict_dataset(&bytes.scaled(f32::NAN, 0.0)),
        "scaled: scale is NaN, must be finite",
    );
    let other = common::new_gpu();
    let foreign = Dataset::from_floats(&other, &[0.5; 12], [2, 3]).unwrap();
    let error = model.predict_dataset(&foreign).unwrap_err();
    assert!(matches!(error, Error::OtherGpu { .. }), "{error}");
    let empty = Dataset::from_floats(gpu(), &[], [2, 3]).unwrap();
    assert_eq!(model.predict_dataset(&empty).unwrap().shape(), [0, 2, 4]);
    assert!(model.predict_classes(&empty).unwrap().is_empty());
    // 3e38 · 3e38 − ∞
    let [w, b] = [[3e38, 3e38], [0.0, f32::NEG_INFINITY]];
    let dense = Dense::new(2).weights(w, b);
    let overflowing = Sequential::new([1]).add(dense).build(gpu(), 1).unwrap();
    let data = Dataset::from_floats(gpu(), &[1.0, 3e38], [1]).unwrap();
    assert_error(
        overflowing.predict_classes(&data),
        "predict_classes: an output of sample 1 is NaN",
    );
}
