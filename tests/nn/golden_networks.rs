//! Layers and trainings against Keras 3's values in float64.

use crate::common::{Golden, golden, gpu_async, smallest_gpu_async};
use selfnorm::nn::{
    Activation, Adam, AveragePooling2d, BatchNormalization, Conv2d, Dataset, Dense, Fit, Flatten,
    GlobalAveragePooling2d, Layer, LayerNormalization, Loss, MaxPool2d, Normalization, Optimizer,
    Padding, Regularizer, Sequential, SequentialBuilder, Sgd, Tiling,
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

/// With each penalty, two of them of kernels of which every seventh weight begins at 0.
fn regularized_dense(is_frozen: bool) -> SequentialBuilder {
    let first = Dense::new(6).activation(Activation::Selu);
    let second = Dense::new(5).activation(Activation::Tanh);
    let third = Dense::new(3).activation(Activation::Softmax);
    let both = Regularizer::L1L2 {
        l1: 0.003,
        l2: 0.02,
    };
    Sequential::new([7])
        .add(
            first
                .kernel_regularizer(Regularizer::L2(0.01))
                .trainable(!is_frozen),
        )
        .add(second.kernel_regularizer(Regularizer::L1(0.005)))
        .add(third.kernel_regularizer(both))
}

fn regularized_conv2d() -> SequentialBuilder {
    let first = Conv2d::new(4, [3, 3]).activation(Activation::Selu);
    let second = Dense::new(3).activation(Activation::Softmax);
    let both = Regularizer::L1L2 {
        l1: 0.002,
        l2: 0.03,
    };
    Sequential::new([6, 6, 1])
        .add(first.kernel_regularizer(both))
        .add(Flatten::new())
        .add(second.kernel_regularizer(Regularizer::L2(0.01)))
}

/// The network with the initial weights of the file.
fn begun(gpu: &Gpu, file: &Golden, kind: &str, network: SequentialBuilder) -> Sequential {
    let mut model = network.build(gpu, 1).unwrap();
    let mut weights = model.weights().unwrap();
    for (i, (_, weight)) in weights.iter_mut().enumerate() {
        *weight = tensor(gpu, file, &format!("{kind}.init.{i}"));
    }
    model.set_weights(&weights).unwrap();
    model
}

fn classified(gpu: &Gpu, file: &Golden, x: &str, labels: &str) -> Dataset {
    let data = Dataset::from_floats(gpu, &file.f32(x), &file.shape(x)[1..]).unwrap();
    let labels: Vec<_> = file.f32(labels).iter().map(|&label| label as u8).collect();
    data.classes(&labels).unwrap()
}

fn assert_losses(what: &str, actual: &[f64], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (i, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let error = (actual - expected).abs();
        assert!(
            error <= BOUND * expected,
            "{what}: loss {i} is {actual}, not {expected}"
        );
    }
}

/// Ten steps by ten batches of eight, without dropout: every loss, every final weight, and the loss of
/// other samples.
async fn check_regularized(
    case: &str,
    network: SequentialBuilder,
    optimizer: impl Into<Optimizer>,
    weigh: impl Fn(Dataset, &Golden) -> Dataset,
) {
    let (gpu, file) = (gpu_async().await, golden("regularized"));
    let (kind, _) = case.split_once('.').unwrap();
    let mut model = begun(gpu, &file, kind, network);
    let data = classified(gpu, &file, &format!("{kind}.x"), &format!("{kind}.labels"));
    let data = weigh(data, &file);
    let fit = Fit::new(optimizer).batch_size(8).shuffle(false);
    let mut run = model.train(&data, &fit).unwrap();
    while run.next().await.unwrap().is_some() {}
    let losses = run.finish().losses;
    assert_losses(case, &losses, &file.f64(&format!("{case}.losses")));
    for (i, (name, weight)) in model.weights().unwrap().iter().enumerate() {
        let expected = file.f64(&format!("{case}.final.{i}"));
        for (actual, expected) in weight.read().await.unwrap().iter().zip(expected) {
            let error = (f64::from(*actual) - expected).abs();
            assert!(error <= BOUND, "{case}: {name} is {actual}, not {expected}");
        }
    }
    let labels = format!("{kind}.validation.labels");
    let others = classified(gpu, &file, &format!("{kind}.validation.x"), &labels);
    let loss = model.evaluate_async(&others).await.unwrap().loss;
    assert_losses(case, &[loss], &file.f64(&format!("{case}.evaluated")));
}

fn as_they_are(data: Dataset, _: &Golden) -> Dataset {
    data
}

/// `regularized.safetensors` is of Keras 3.15.1 with PyTorch in float64, for the networks above:
///
/// ```python
/// model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy")  # or SGD(0.1, momentum=0.9)
/// for i in range(10):
///     batch = slice(8 * i, 8 * i + 8)
///     model.reset_metrics()
///     losses.append(model.train_on_batch(x[batch], y[batch], sample_weight=weights[batch]))  # or without
/// model.reset_metrics()
/// evaluated = model.evaluate(validation_x, validation_y)
/// ```
///
/// Of `void`, the steps' loss is `SparseCategoricalCrossentropy(ignore_class=2)`; of `frozen`, the first layer has
/// `trainable=False`, and Keras has no penalty of it.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn ten_steps_of_regularized_networks_are_keras_s() {
    let sgd = || Sgd::new(0.1).momentum(0.9);
    let dense = || regularized_dense(false);
    check_regularized("dense.adam", dense(), Adam::new(0.01), as_they_are).await;
    check_regularized("dense.sgd", dense(), sgd(), as_they_are).await;
    let conv2d = regularized_conv2d;
    check_regularized("conv2d.adam", conv2d(), Adam::new(0.01), as_they_are).await;
    check_regularized("conv2d.sgd", conv2d(), sgd(), as_they_are).await;
    let frozen = regularized_dense(true);
    check_regularized("dense.frozen", frozen, Adam::new(0.01), as_they_are).await;
}

/// A penalty's gradient is clipped with the rest.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn ten_steps_of_a_regularized_network_with_clipped_gradients_are_keras_s() {
    let sgd = || Sgd::new(0.1).momentum(0.9);
    for (clip, optimizer) in [
        ("clipnorm", sgd().clipnorm(0.2)),
        ("global_clipnorm", sgd().global_clipnorm(0.3)),
        ("clipvalue", sgd().clipvalue(0.05)),
    ] {
        let case = format!("dense.{clip}");
        check_regularized(&case, regularized_dense(false), optimizer, as_they_are).await;
    }
}

/// A penalty is not weighted: what counts is the number of rows, those of weight 0 among them and void ones not.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn ten_steps_of_a_regularized_network_with_weights_and_void_rows_are_keras_s() {
    let check = async |case: &str, weigh: fn(Dataset, &Golden) -> Dataset| {
        check_regularized(case, regularized_dense(false), Adam::new(0.01), weigh).await;
    };
    check("dense.class_weights", |data, _| {
        data.class_weights(&[0.5, 2.0, 1.0]).unwrap()
    })
    .await;
    check("dense.sample_weights", |data, file| {
        data.sample_weights(&file.f32("dense.weights")).unwrap()
    })
    .await;
    check("dense.void", |data, _| data.ignore_class(2)).await;
}

/// As `model.fit(x[:70], y[:70], batch_size=8, epochs=2, shuffle=False, validation_data=validation,
/// class_weight={0: 0.5, 1: 2.0, 2: 1.0})` reports them: the last batch has six samples.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn losses_of_epochs_and_validations_of_a_regularized_network_are_keras_s() {
    let (gpu, file) = (gpu_async().await, golden("regularized"));
    let mut model = begun(gpu, &file, "dense", regularized_dense(false));
    let (data, _) = classified(gpu, &file, "dense.x", "dense.labels")
        .class_weights(&[0.5, 2.0, 1.0])
        .unwrap()
        .split(0.875)
        .unwrap();
    assert_eq!(data.len(), 70);
    let others = classified(gpu, &file, "dense.validation.x", "dense.validation.labels");
    let fit = Fit::new(Adam::new(0.01)).batch_size(8).epochs(2);
    let fit = fit.shuffle(false).validation_data(&others);
    let mut run = model.train(&data, &fit).unwrap();
    while run.next().await.unwrap().is_some() {}
    let epochs = run.finish().epochs;
    let losses: Vec<_> = epochs.iter().map(|epoch| epoch.training.loss).collect();
    assert_losses("epochs", &losses, &file.f64("dense.epochs.losses"));
    let losses: Vec<_> = epochs
        .iter()
        .map(|epoch| epoch.validation.unwrap().loss)
        .collect();
    let expected = file.f64("dense.epochs.validation_losses");
    assert_losses("validations", &losses, &expected);
}
