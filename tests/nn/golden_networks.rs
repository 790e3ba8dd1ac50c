//! Layers and trainings against Keras 3's values in float64.

use crate::common::{Golden, golden, gpu_async, smallest_gpu_async};
use selfnorm::nn::{
    Activation, Adam, AveragePooling2d, BatchNormalization, Conv2d, Dense, Flatten,
    GlobalAveragePooling2d, Layer, LayerNormalization, Loss, MaxPool2d, Normalization, Padding,
    Sequential, SequentialBuilder, Tiling,
};
use selfnorm::{Gpu, Tensor};
use wasm_bindgen_test::wasm_bindgen_test;

/// The bound of the documentation, relative to the largest value of a tensor: what f32 leaves of sums
/// of some hundred products.
const BOUND: f64 = 1e-5;

const TILINGS: [Tiling; 3] = [Tiling::Registers, Tiling::Subgroups, Tiling::Workgroup];

/// Every value within [`BOUND`] of the expected one, relative to it, or to the tensor's root mean
/// square where it is smaller: sums that cancel have the error of their terms.
fn assert_close(what: &str, actual: &[f32], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let squares: f64 = expected.iter().map(|x| x * x).sum();
    let typical = (squares / expected.len() as f64).sqrt();
    for (i, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(actual) - expected).abs();
        assert!(
            error <= BOUND * expected.abs().max(typical),
            "{what}[{i}] is {actual:e}, not {expected:e}"
        );
    }
}

fn tensor(gpu: &Gpu, file: &Golden, name: &str) -> Tensor {
    gpu.tensor(&file.f32(name), file.shape(name)).unwrap()
}

/// One layer forward and backward, with the weights of the file.
async fn check_layer(file: &str, layer: impl Fn(&Golden) -> Layer) {
    check_layer_in(false, file, layer).await;
}

/// In training or not; of the weights that a layer does not take, those of the file are set.
async fn check_layer_in(training: bool, file: &str, layer: impl Fn(&Golden) -> Layer) {
    let (gpu, file) = (gpu_async().await, golden(file));
    for tiling in TILINGS {
        let x = tensor(gpu, &file, "x");
        let mut model = Sequential::new(&x.shape()[1..])
            .add(layer(&file))
            .tiling(tiling)
            .build(gpu, 1)
            .unwrap();
        let mut weights = model.weights().unwrap();
        for (name, weight) in &mut weights {
            *weight = tensor(gpu, &file, name.split('/').next_back().unwrap());
        }
        model.set_weights(&weights).unwrap();
        if !training {
            let y = model.predict_async(&x).await.unwrap();
            assert_eq!(y.shape(), file.shape("y"));
            assert_close("y", &y.read().await.unwrap(), &file.f64("y"));
        }
        let gradient = model
            .gradient(&x, &tensor(gpu, &file, "dy"), training)
            .unwrap();
        assert_close("y", &gradient.y.read().await.unwrap(), &file.f64("y"));
        assert_close("dx", &gradient.dx.read().await.unwrap(), &file.f64("dx"));
        for (name, dw) in gradient.weights {
            let name = format!("d{}", name.split('/').next_back().unwrap());
            assert_close(&name, &dw.read().await.unwrap(), &file.f64(&name));
        }
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn dense_is_keras_s() {
    check_layer("dense", |file| {
        Dense::new(7)
            .weights(file.f32("kernel"), file.f32("bias"))
            .into()
    })
    .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn dense_on_the_last_of_four_axes_is_keras_s() {
    check_layer("dense_rank4", |file| {
        Dense::new(5)
            .activation(Activation::Selu)
            .weights(file.f32("kernel"), file.f32("bias"))
            .into()
    })
    .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn conv2d_is_keras_s() {
    check_layer("conv2d_valid", |file| {
        Conv2d::new(4, [3, 3])
            .activation(Activation::Selu)
            .weights(file.f32("kernel"), file.f32("bias"))
            .into()
    })
    .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn conv2d_with_strides_and_same_padding_is_keras_s() {
    check_layer("conv2d_same_stride2", |file| {
        Conv2d::new(6, [3, 2])
            .strides([2, 2])
            .padding(Padding::Same)
            .activation(Activation::Elu(1.0))
            .weights(file.f32("kernel"), file.f32("bias"))
            .into()
    })
    .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn max_pool2d_is_keras_s() {
    check_layer("max_pool2d", |_| MaxPool2d::new([2, 2]).into()).await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn max_pool2d_with_strides_and_same_padding_is_keras_s() {
    check_layer("max_pool2d_3_stride2_same", |_| {
        let pool = MaxPool2d::new([3, 3]).strides([2, 2]);
        pool.padding(Padding::Same).into()
    })
    .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn softmax_is_keras_s() {
    check_layer("softmax", |_| Activation::Softmax.into()).await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn average_pools_are_keras_s() {
    check_layer("average_pooling2d", |_| {
        AveragePooling2d::new([2, 2]).into()
    })
    .await;
    check_layer("average_pooling2d_3_stride2_same", |_| {
        let pool = AveragePooling2d::new([3, 3]).strides([2, 2]);
        pool.padding(Padding::Same).into()
    })
    .await;
    check_layer("global_average_pooling2d", |_| {
        GlobalAveragePooling2d::new().into()
    })
    .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn normalizations_are_keras_s() {
    let batch = |_: &Golden| BatchNormalization::new().into();
    check_layer_in(true, "batch_normalization", batch).await;
    check_layer("batch_normalization_inference", batch).await;
    check_layer("layer_normalization", |_| LayerNormalization::new().into()).await;
}

/// Of features in units from a thousandth to ten thousands, and one that is always 7.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn normalization_by_given_moments_is_keras_s() {
    let (gpu, file) = (gpu_async().await, golden("normalization"));
    let given = |name: &str| -> Vec<f32> { file.f64(name).iter().map(|&x| x as f32).collect() };
    let model = Sequential::new([4])
        .add(Normalization::new().moments(given("mean"), given("variance")))
        .build(gpu, 1)
        .unwrap();
    let y = model.predict_async(&tensor(gpu, &file, "x")).await.unwrap();
    let y = y.read().await.unwrap();
    for (i, (actual, expected)) in y.iter().zip(file.f64("y")).enumerate() {
        // x − mean of a feature of -20,000 ± 1,000 has the rounding of both: 2⁻²⁴ · 20,000 / 1,000 each.
        let error = (f64::from(*actual) - expected).abs();
        assert!(
            error <= 4e-6 * expected.abs().max(1.0),
            "{i}: {actual}, not {expected}"
        );
    }
}

/// Ten steps of Adam: every loss, every final weight, and what the network then makes of a probe.
async fn check_training(gpu: &Gpu, file: &str, network: SequentialBuilder) {
    let file = golden(file);
    for tiling in TILINGS {
        let mut model = network.clone().tiling(tiling).build(gpu, 1).unwrap();
        model
            .compile(Adam::default(), Loss::CategoricalCrossentropy)
            .unwrap();
        let mut weights = model.weights().unwrap();
        for (i, (_, weight)) in weights.iter_mut().enumerate() {
            *weight = tensor(gpu, &file, &format!("init.{i}"));
        }
        model.set_weights(&weights).unwrap();
        let step = |name: &str, i: usize| {
            let (values, shape) = (file.f32(name), file.shape(name));
            let len = values.len() / shape[0];
            gpu.tensor(&values[i * len..(i + 1) * len], &shape[1..])
                .unwrap()
        };
        for (i, &expected) in file.f64("losses").iter().enumerate() {
            let score = model
                .train_on_batch_async(&step("x", i), &step("y", i))
                .await
                .unwrap();
            let error = (score.loss - expected).abs();
            assert!(
                error <= BOUND * expected,
                "step {i}: {score:?}, not {expected}"
            );
        }
        for (i, (name, weight)) in model.weights().unwrap().iter().enumerate() {
            let expected = file.f64(&format!("final.{i}"));
            for (actual, expected) in weight.read().await.unwrap().iter().zip(expected) {
                let error = (f64::from(*actual) - expected).abs();
                assert!(error <= BOUND, "{name}: {actual}, not {expected}");
            }
        }
        let probe = tensor(gpu, &file, "probe");
        let y = model.predict_async(&probe).await.unwrap();
        let y = y.read().await.unwrap();
        for (actual, expected) in y.into_iter().zip(file.f64("probe_softmax")) {
            let error = (f64::from(actual) - expected).abs();
            assert!(error <= BOUND, "probe: {actual}, not {expected}");
        }
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn ten_steps_of_a_selu_network_are_keras_s() {
    check_training(gpu_async().await, "train_selu_cnn", selu_network()).await;
}

/// Parameters in uniform buffers, and no 64-bit integers.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn ten_steps_on_a_device_with_webgpu_s_defaults_are_keras_s() {
    let gpu = smallest_gpu_async().await;
    check_training(&gpu, "train_selu_cnn", selu_network()).await;
}

fn selu_network() -> SequentialBuilder {
    Sequential::new([8, 8, 1])
        .add(Conv2d::new(4, [3, 3]).activation(Activation::Selu))
        .add(Flatten::new())
        .add(Dense::new(16).activation(Activation::Selu))
        .add(Dense::new(10).activation(Activation::Softmax))
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn ten_steps_of_an_elu_network_with_pools_are_keras_s() {
    let elu = Activation::Elu(1.0);
    let network = Sequential::new([12, 12, 1])
        .add(Conv2d::new(4, [3, 3]).activation(elu))
        .add(MaxPool2d::new([2, 2]))
        .add(Conv2d::new(6, [3, 3]).activation(elu))
        .add(MaxPool2d::new([2, 2]))
        .add(Flatten::new())
        .add(Dense::new(10).activation(Activation::Softmax));
    check_training(gpu_async().await, "train_elu_pool_cnn", network).await;
}

/// Its moving averages are among the weights. Before a batch normalization biases have a gradient of 0, of which
/// Adam would make steps of the rounding's.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn ten_steps_of_a_normalized_network_are_keras_s() {
    let network = Sequential::new([8, 8, 1])
        .add(Conv2d::new(4, [3, 3]).use_bias(false))
        .add(BatchNormalization::new().momentum(0.9))
        .add(Activation::Relu)
        .add(AveragePooling2d::new([2, 2]))
        .add(Flatten::new())
        .add(Dense::new(16).activation(Activation::Selu))
        .add(LayerNormalization::new())
        .add(Dense::new(10).activation(Activation::Softmax));
    check_training(gpu_async().await, "train_normalized_cnn", network).await;
}
