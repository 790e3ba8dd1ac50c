//! Normalizations in training: when their moving averages move, and what they are saved as.

use super::{blobs, weight_bits};
use crate::common::gpu;
use crate::common::reference::normal;
use selfnorm::Error;
use selfnorm::nn::Activation::{Selu, Softmax};
use selfnorm::nn::{
    Adam, AveragePooling2d, BatchNormalization, Conv2d, Dataset, Dense, Fit,
    GlobalAveragePooling2d, LayerNormalization, Normalization, Reshape, Sequential,
    SequentialBuilder,
};

fn network() -> SequentialBuilder {
    Sequential::new([4])
        .add(Normalization::new().moments([1.0; 4], [4.0; 4]))
        .add(Dense::new(8))
        .add(BatchNormalization::new().momentum(0.5))
        .add(Selu)
        .add(LayerNormalization::new())
        .add(Dense::new(3).activation(Softmax))
}

fn data() -> Dataset {
    let (points, classes) = blobs(60, 4, 3);
    let data = Dataset::from_floats(gpu(), &points, [4]).unwrap();
    data.classes(&classes).unwrap()
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn weights_have_keras_s_names_and_those_of_moments_are_not_trained() {
    let model = network().build(gpu(), 1).unwrap();
    let names: Vec<_> = model
        .weights()
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let expected = [
        "normalization/mean",
        "normalization/variance",
        "dense/kernel",
        "dense/bias",
        "batch_normalization/gamma",
        "batch_normalization/beta",
        "batch_normalization/moving_mean",
        "batch_normalization/moving_variance",
        "layer_normalization/gamma",
        "layer_normalization/beta",
        "dense_1/kernel",
        "dense_1/bias",
    ];
    assert_eq!(names, expected);
    let summary = model.summary();
    // 4 + 4, 40, 8 · 4, 8 · 2 and 27.
    assert!(summary.contains("Total params: 123"), "{summary}");
    assert!(summary.contains("Trainable params: 99"), "{summary}");
    let x = gpu().tensor(&[0.5; 8], [2, 4]).unwrap();
    let dy = gpu().tensor(&[1.0; 6], [2, 3]).unwrap();
    let gradient = model.gradient(&x, &dy, true).unwrap();
    let trained: Vec<_> = gradient.weights.into_iter().map(|(name, _)| name).collect();
    let is_trained = |name: &&&str| {
        !name.contains("moving")
            && !name.contains("normalization/mean")
            && **name != "normalization/variance"
    };
    assert_eq!(
        trained,
        expected
            .iter()
            .filter(is_trained)
            .copied()
            .collect::<Vec<_>>()
    );
}

/// A learning rate of 0: only the moving averages change, and not in evaluation.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn moving_averages_move_in_training_steps_only_unless_they_are_frozen() {
    let data = data();
    let moved = |frozen: bool, fit: &Fit| {
        let mut model = Sequential::new([4])
            .add(BatchNormalization::new().trainable(!frozen))
            .add(Dense::new(3).activation(Softmax))
            .build(gpu(), 1)
            .unwrap();
        let before = weight_bits(&model);
        model.evaluate(&data).unwrap();
        assert_eq!(weight_bits(&model), before);
        let result = model.fit(&data, fit);
        let after = weight_bits(&model);
        let moved: Vec<_> = after
            .into_iter()
            .zip(before)
            .filter(|(after, before)| after != before)
            .map(|((name, _), _)| name)
            .collect();
        (moved, result)
    };
    let averages = [
        "batch_normalization/moving_mean",
        "batch_normalization/moving_variance",
    ];
    let still = Fit::new(Adam::new(0.0)).batch_size(7);
    let (found, result) = moved(false, &still);
    result.unwrap();
    assert_eq!(found, averages);
    let (found, result) = moved(true, &still);
    result.unwrap();
    assert!(found.is_empty(), "{found:?}");
}

/// Weights of f32::MAX: the loss is not finite, though the batch's moments are.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_step_that_is_not_finite_moves_no_averages() {
    let mut model = Sequential::new([4])
        .add(BatchNormalization::new())
        .add(
            Dense::new(3)
                .weights([f32::MAX; 12], [0.0; 3])
                .activation(Softmax),
        )
        .build(gpu(), 1)
        .unwrap();
    let before = weight_bits(&model);
    let error = model.fit(&data(), &Fit::default()).unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }), "{error}");
    assert_eq!(weight_bits(&model), before);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_normalized_network_goes_on_from_its_file_to_the_same_bits() {
    let data = data();
    let mut model = network().build(gpu(), 1).unwrap();
    model
        .fit(&data, &Fit::new(Adam::default()).epochs(2))
        .unwrap();
    let bytes = pollster::block_on(model.to_bytes()).unwrap();
    let mut again = pollster::block_on(Sequential::from_bytes(gpu(), &bytes)).unwrap();
    assert_eq!(weight_bits(&again), weight_bits(&model));
    let fit = Fit::default().epochs(2);
    let [first, second] = [&mut model, &mut again].map(|model| model.fit(&data, &fit).unwrap());
    assert_eq!(first, second);
    assert_eq!(weight_bits(&again), weight_bits(&model));
}

/// Images, through every layer that has no other test of its file.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn pools_and_shapes_come_back_from_a_file() {
    let model = Sequential::new([6, 6, 2])
        .add(AveragePooling2d::new([2, 2]).strides([1, 1]))
        .add(Reshape::new([5, 10, 1]))
        .add(Conv2d::new(3, [2, 2]).activation(Selu))
        .add(GlobalAveragePooling2d::new())
        .build(gpu(), 1)
        .unwrap();
    let bytes = pollster::block_on(model.to_bytes()).unwrap();
    let again = pollster::block_on(Sequential::from_bytes(gpu(), &bytes)).unwrap();
    let x = gpu().tensor(&[0.5; 144], [2, 6, 6, 2]).unwrap();
    let [y, z] = [&model, &again].map(|model| model.predict(&x).unwrap().to_vec().unwrap());
    assert_eq!(y, z);
    assert_eq!(again.output_shape(), [3]);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_does_not_fit_is_an_error_that_says_why() {
    let error = |layer: selfnorm::nn::Layer| {
        let built = Sequential::new([4]).add(layer).build(gpu(), 1);
        built.unwrap_err().to_string()
    };
    assert_eq!(
        error(Reshape::new([3, 2]).into()),
        "reshape: [3, 2] has 6 elements, the network's input gives [4]"
    );
    assert_eq!(
        error(Normalization::new().moments([0.0; 3], [1.0; 3]).into()),
        "normalization: 3 means and 3 variances; the network's input gives 4 features"
    );
    assert_eq!(
        error(
            Normalization::new()
                .moments([0.0; 4], [1.0, 1.0, -1.0, 1.0])
                .into()
        ),
        "normalization: feature 2 has mean 0.0 and variance -1.0; they are finite, variances at least 0"
    );
    assert_eq!(
        error(BatchNormalization::new().momentum(1.5).into()),
        "batch_normalization: momentum is 1.5, must be from 0 to 1"
    );
    assert_eq!(
        error(LayerNormalization::new().epsilon(0.0).into()),
        "normalization: epsilon is 0.0, must be above 0, and a normal f32"
    );
    let text = error(GlobalAveragePooling2d::new().into());
    assert!(
        text.contains("needs an input of shape [height, width, channels]"),
        "{text}"
    );
    let model = network().build(gpu(), 1).unwrap();
    let text = model.wgsl("f").unwrap_err().to_string();
    assert!(
        text.contains("batch_normalization (a normalization)"),
        "{text}"
    );
}

/// Of floats in all units, of bytes as the network sees them, and of a selection: against the moments in f64.
/// There are more rows than one invocation takes.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_normalization_adapts_to_what_the_network_sees() {
    let units = [1.0, 1e3, 1e-3, 0.0];
    let shifts = [5.0, -2e4, 3e-3, 7.0];
    let values: Vec<f32> = normal(4 * 700, 9, 0)
        .iter()
        .enumerate()
        .map(|(i, z)| z * units[i % 4] + shifts[i % 4])
        .collect();
    let floats = Dataset::from_floats(gpu(), &values, [4]).unwrap();
    let some: Vec<_> = (0..300).map(|i| i * 7 % 700).collect();
    let rows = |samples: &mut dyn Iterator<Item = usize>| -> Vec<f32> {
        samples
            .flat_map(|i| values[4 * i..][..4].to_vec())
            .collect()
    };
    let bytes: Vec<_> = (0..4 * 90u32).map(|i| (i * i % 251) as u8).collect();
    let pixels: Vec<_> = bytes
        .iter()
        .map(|&byte| f32::from(byte) * 0.5 - 3.0)
        .collect();
    let cases = [
        (floats.clone(), values.clone()),
        (
            floats.select(&some).unwrap(),
            rows(&mut some.iter().copied()),
        ),
        (
            Dataset::from_bytes(gpu(), &bytes, [3, 4])
                .unwrap()
                .scaled(0.5, -3.0),
            pixels,
        ),
    ];
    for (data, values) in cases {
        let model = Sequential::new(data.shape())
            .add(Normalization::adapt(&data).unwrap())
            .build(gpu(), 1)
            .unwrap();
        let [mean, variance] = ["mean", "variance"].map(|name| {
            let weight = model.weight(&format!("normalization/{name}")).unwrap();
            weight.to_vec().unwrap()
        });
        for column in 0..4 {
            let values = || values.iter().skip(column).step_by(4).map(|&x| f64::from(x));
            let n = values().count() as f64;
            let expected = values().sum::<f64>() / n;
            let spread = values().map(|x| (x - expected).powi(2)).sum::<f64>() / n;
            let error = (f64::from(mean[column]) - expected).abs();
            // Sums of some hundred differences, each rounded.
            assert!(
                error <= 1e-6 * (expected.abs() + spread.sqrt()),
                "mean {column}: {mean:?}"
            );
            let error = (f64::from(variance[column]) - spread).abs();
            assert!(
                error <= 1e-5 * spread,
                "variance {column}: {variance:?}, not {spread}"
            );
        }
    }
    let empty = floats.select(&[]).unwrap();
    let error = Normalization::adapt(&empty).unwrap_err().to_string();
    assert_eq!(error, "normalization: the data set has no samples");
}
