//! Models of Keras: what it has saved predicts and trains on here as there, and what is saved here is loaded there.
//!
//! The files and the values that are expected come from `tests/interop/make_keras.py`, which computes in float64.

use std::io::Read;

use crate::common::gpu_async;
use flate2::read::GzDecoder;
use selfnorm::nn::{
    Activation, Adam, AdamW, AlphaDropout, AveragePooling2d, BatchNormalization, Conv2d,
    CosineDecay, Dense, Dropout, ExponentialDecay, Flatten, GlobalAveragePooling2d, Initializer,
    LayerNormalization, LearningRate, Loss, MaxPool2d, Normalization, Optimizer, Padding,
    PiecewiseConstantDecay, Regularizer, Reshape, Sequential, SequentialBuilder, Sgd, keras,
};
use selfnorm::{Error, Tensor};
use serde_json::Value;
use wasm_bindgen_test::wasm_bindgen_test;

/// Of the documentation of `nn::keras`.
const BOUND: f64 = 1e-5;

macro_rules! files {
    ($($name:literal)*) => {
        [$(($name, include_bytes!(concat!("../data/keras/", $name, ".gz")) as &[u8])),*]
    };
}

const FILES: [(&str, &[u8]); 24] = files![
    "activations.keras" "adam.h5" "adam.keras" "adamw.keras" "bfloat16.keras" "convnet.keras" "exponential.keras"
    "float16.keras" "float64.keras" "functional.keras" "keras2_activations.keras" "keras2_adam.h5"
    "keras2_convnet.h5" "keras2_functional.h5" "keras2_mlp.weights.h5" "keras2_mlp_by_names.h5"
    "keras2_older_adam.h5" "keras2_sgd.h5" "mixed_float16.keras" "mlp.weights.h5" "momentum.keras"
    "normalization.keras" "rmsprop.keras" "sgd.keras"
];

const EXPECTED: [&str; 2] = [
    include_str!("../data/keras/keras2.json"),
    include_str!("../data/keras/keras3.json"),
];

fn file(name: &str) -> Vec<u8> {
    let (_, packed) = FILES.into_iter().find(|(known, _)| *known == name).unwrap();
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}

/// What Keras computes with a file's model.
fn expected(name: &str) -> Value {
    let all = EXPECTED.map(|text| serde_json::from_str::<Value>(text).unwrap());
    let mut models = all.iter().map(|all| all["models"][name].clone());
    models.find(|model| !model.is_null()).unwrap()
}

fn numbers(values: &Value) -> Vec<f64> {
    let values = values.as_array().unwrap().iter();
    values.map(|value| value.as_f64().unwrap()).collect()
}

async fn tensor(values: &Value, shape: &[usize]) -> Tensor {
    let values: Vec<_> = numbers(values).iter().map(|&value| value as f32).collect();
    gpu_async().await.tensor(&values, shape).unwrap()
}

fn extents(model: &Value) -> Vec<usize> {
    numbers(&model["shape"]).iter().map(|&extent| extent as usize).collect()
}

/// The largest difference, of the root mean square if that is above 1.
fn difference(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let squares: f64 = expected.iter().map(|y| y * y).sum();
    let scale = (squares / expected.len() as f64).sqrt().max(1.0);
    let differences = found.iter().zip(expected);
    let differences = differences.map(|(&y, expected)| (f64::from(y) - expected).abs() / scale);
    differences.fold(0.0, f64::max)
}

/// What a model computes, beside what Keras does.
async fn prediction_is_keras(name: &str, model: &Sequential) {
    let expected = expected(name);
    let x = tensor(&expected["x"], &extents(&expected)).await;
    let y = model.predict_async(&x).await.unwrap().read().await.unwrap();
    let difference = difference(&y, &numbers(&expected["y"]));
    println!("{name}: {difference:.1e}");
    assert!(difference < BOUND, "{name}: {difference:e}");
}

async fn load(name: &str) -> Sequential {
    let loaded = keras::from_bytes(gpu_async().await, &file(name)).await;
    loaded.unwrap_or_else(|problem| panic!("{name}: {problem}"))
}

fn mlp() -> SequentialBuilder {
    Sequential::new([5])
        .add(BatchNormalization::new())
        .add(Dense::new(6).activation(Activation::Selu).name("mine"))
        .add(Dense::new(3).activation(Activation::Softmax))
}

#[wasm_bindgen_test(unsupported = pollster::test)]
async fn a_model_of_keras_3_predicts_what_keras_predicts() {
    for name in [
        "convnet.keras",
        "functional.keras",
        "activations.keras",
        "normalization.keras",
        "mixed_float16.keras",
        "bfloat16.keras",
        "float16.keras",
        "float64.keras",
    ] {
        prediction_is_keras(name, &load(name).await).await;
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
async fn a_model_of_keras_2_predicts_what_keras_predicts() {
    for name in [
        "keras2_convnet.h5",
        "keras2_functional.h5",
        "keras2_activations.keras",
    ] {
        prediction_is_keras(name, &load(name).await).await;
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
async fn weights_of_keras_are_those_of_the_layers_in_order() {
    for name in [
        "mlp.weights.h5",
        "keras2_mlp.weights.h5",
        "keras2_mlp_by_names.h5",
    ] {
        let mut model = mlp().build(gpu_async().await, 1).unwrap();
        model.load_keras_weights_bytes(&file(name)).await.unwrap();
        prediction_is_keras(name, &model).await;
    }
}

/// The weights after ten more steps, beside those of Keras.
async fn training_goes_on(name: &str) {
    let mut model = load(name).await;
    assert_eq!(model.metadata().get("keras_training"), None, "{name}");
    assert_eq!(model.step(), 3, "{name}");
    let difference = ten_steps(name, &mut model).await;
    assert!(difference < BOUND, "{name}: {difference:e}");
}

async fn ten_steps(name: &str, model: &mut Sequential) -> f64 {
    let expected = expected(name);
    let shape = extents(&expected);
    let outputs = [&shape[..1], model.output_shape()].concat();
    let batches = |key: &str| expected[key].as_array().unwrap().clone();
    for (x, y) in batches("x").iter().zip(batches("y")) {
        let (x, y) = (tensor(x, &shape).await, tensor(&y, &outputs).await);
        model.train_on_batch_async(&x, &y).await.unwrap();
    }
    let mut largest = 0.0f64;
    let weights = model.weights().unwrap();
    assert_eq!(weights.len(), batches("weights").len());
    for ((_, weight), expected) in weights.iter().zip(batches("weights")) {
        let found = weight.read().await.unwrap();
        largest = largest.max(difference(&found, &numbers(&expected)));
    }
    println!("{name}: {largest:.1e} after ten more steps");
    largest
}

#[wasm_bindgen_test(unsupported = pollster::test)]
async fn ten_more_steps_are_those_of_keras() {
    for name in [
        "adam.keras",
        "adam.h5",
        "adamw.keras",
        "momentum.keras",
        "exponential.keras",
        "sgd.keras",
        "keras2_adam.h5",
        "keras2_older_adam.h5",
        "keras2_sgd.h5",
    ] {
        training_goes_on(name).await;
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
async fn a_model_whose_training_does_not_go_on_says_why() {
    let model = load("rmsprop.keras").await;
    let why = &model.metadata()["keras_training"];
    assert_eq!(
        why,
        "does not go on: the optimizer \"RMSprop\" is not one of this crate's"
    );
    assert_eq!(model.step(), 0);
}

/// Every kind of layer, and every activation that Keras has a name for.
fn everything() -> Vec<(&'static str, SequentialBuilder)> {
    use Activation::*;
    let (before, after) = ([1, 2], [0, 1]);
    let convnet = Sequential::new([9, 8, 2])
        .add(Normalization::new().moments([0.5, -1.0], [2.0, 0.25]))
        .add(
            Conv2d::new(3, [3, 2])
                .strides([2, 1])
                .padding(Padding::Same)
                .activation(Selu),
        )
        .add(BatchNormalization::new().momentum(0.9).epsilon(1e-2))
        .add(AlphaDropout::new(0.1).noise_shape([None, Some(1), Some(1), None]))
        .add(Conv2d::new(4, [3, 3]).padding(Padding::Explicit { before, after }))
        .add(LayerNormalization::new())
        .add(MaxPool2d::new([2, 2]).padding(Padding::Same))
        .add(AveragePooling2d::new([2, 1]).strides([1, 1]))
        .add(Dropout::new(0.2))
        .add(Reshape::new([5, 2, 2]))
        .add(
            Conv2d::new(2, [1, 1])
                .use_bias(false)
                .kernel_regularizer(Regularizer::L2(0.01)),
        )
        .add(GlobalAveragePooling2d::new())
        .add(Flatten::new())
        .add(Dense::new(3).activation(Softmax).name("input_layer"));
    let mut activations = Sequential::new([4]);
    for activation in [
        Linear,
        Selu,
        SeluWith(selfnorm::Selu::default()),
        Elu(1.0),
        Elu(0.5),
        Relu,
        LeakyRelu(0.2),
        LeakyRelu(0.3),
        Sigmoid,
        Tanh,
        Silu,
        Gelu { approximate: false },
        Softplus,
        Softmax,
    ] {
        let dense = || Dense::new(4).kernel_initializer(Initializer::LecunNormal);
        activations = activations
            .add(dense().activation(activation))
            .add(dense())
            .add(activation);
    }
    vec![("all_layers", convnet), ("all_activations", activations)]
}

/// Values from −1 to 1 without a pattern.
async fn noise(shape: &[usize], seed: u64) -> Tensor {
    let len: usize = shape.iter().product();
    let words = selfnorm::random::words(seed, 1, 0..len as u64);
    let values: Vec<_> = words.map(|word| word as f32 * 2f32.powi(-31) - 1.0).collect();
    gpu_async().await.tensor(&values, shape).unwrap()
}

async fn predict(model: &Sequential) -> Vec<f32> {
    let x = noise(&[&[3], model.input_shape()].concat(), 5).await;
    model.predict_async(&x).await.unwrap().read().await.unwrap()
}

/// One step, on a batch that depends on their number.
async fn step(model: &mut Sequential) {
    let x = noise(&[&[4], model.input_shape()].concat(), model.step()).await;
    let mut target = vec![0.0; 4 * model.output_shape()[0]];
    target.iter_mut().step_by(model.output_shape()[0]).for_each(|value| *value = 1.0);
    let y = [&[4], model.output_shape()].concat();
    let y = gpu_async().await.tensor(&target, y).unwrap();
    model.train_on_batch_async(&x, &y).await.unwrap();
}

#[wasm_bindgen_test(unsupported = pollster::test)]
async fn what_is_written_is_read_as_the_same_network() {
    for (name, builder) in everything() {
        let model = builder.build(gpu_async().await, 3).unwrap();
        let bytes = keras::to_bytes(&model).await.unwrap();
        let again = keras::from_bytes(gpu_async().await, &bytes).await.unwrap();
        assert_eq!(predict(&again).await, predict(&model).await, "{name}");
        assert_eq!(keras::to_bytes(&again).await.unwrap(), bytes, "{name}");
        // By classes and order, whatever the names.
        let mut other = builder.build(gpu_async().await, 4).unwrap();
        assert_ne!(predict(&other).await, predict(&model).await, "{name}");
        other.load_keras_weights_bytes(&bytes).await.unwrap();
        assert_eq!(predict(&other).await, predict(&model).await, "{name}");
    }
}

fn optimizers() -> Vec<(&'static str, Optimizer)> {
    let cosine = CosineDecay::new(0.01, 20).alpha(0.1).warmup(0.02, 5);
    let steps = PiecewiseConstantDecay::new([4, 8], [0.05, 0.02, 0.01]);
    vec![
        ("adam", Adam::new(0.01).into()),
        ("adamw", AdamW::new(cosine).clipnorm(0.5).into()),
        ("sgd", Sgd::new(0.05).global_clipnorm(1.0).into()),
        (
            "momentum",
            Sgd::new(ExponentialDecay::new(0.05, 3, 0.9).staircase(true))
                .momentum(0.5)
                .clipvalue(0.1)
                .into(),
        ),
        (
            "nesterov",
            Sgd::new(steps).momentum(0.9).nesterov(true).into(),
        ),
    ]
}

#[wasm_bindgen_test(unsupported = pollster::test)]
async fn training_goes_on_bit_for_bit_after_writing_and_reading() {
    for (name, optimizer) in optimizers() {
        let mut model = mlp().build(gpu_async().await, 3).unwrap();
        model.compile(optimizer, Loss::CategoricalCrossentropy).unwrap();
        for _ in 0..3 {
            step(&mut model).await;
        }
        let bytes = keras::to_bytes(&model).await.unwrap();
        let mut again = keras::from_bytes(gpu_async().await, &bytes).await.unwrap();
        assert_eq!(again.metadata().get("keras_training"), None, "{name}");
        for _ in 0..3 {
            step(&mut model).await;
            step(&mut again).await;
        }
        assert_eq!(again.step(), 6, "{name}");
        assert_eq!(predict(&again).await, predict(&model).await, "{name}");
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
async fn all_that_keras_has_not_is_in_one_error() {
    let explicit = Padding::Explicit {
        before: [1, 1],
        after: [0, 0],
    };
    let model = Sequential::new([6, 6, 1])
        .add(MaxPool2d::new([2, 2]).padding(explicit))
        .add(Activation::Sine(30.0))
        .add(Conv2d::new(2, [1, 1]).activation(Activation::Gelu { approximate: true }))
        .add(AlphaDropout::new(0.1).fixed_point(0.5, 1.0))
        .add(Flatten::new())
        .add(Dense::new(2));
    let mut model = model.build(gpu_async().await, 1).unwrap();
    let custom = Sgd::new(LearningRate::custom(|_| 0.1));
    model.compile(custom, Loss::MeanSquaredError).unwrap();
    step(&mut model).await;
    let Err(Error::File { detail, .. }) = keras::to_bytes(&model).await else {
        panic!("written");
    };
    for missing in [
        "padding Explicit { before: [1, 1], after: [0, 0] } of a pool (max_pooling2d)",
        "activation Sine(30.0) (activation)",
        "activation Gelu { approximate: true } (conv2d)",
        "fixed point of AlphaDropout (alpha_dropout)",
        "learning rate is a function of the step",
    ] {
        assert!(detail.contains(missing), "{detail}");
    }
}

/// What `tests/interop/check_keras.py` loads into Keras, and compares.
#[cfg(not(target_family = "wasm"))]
#[pollster::test]
async fn what_is_written_is_left_for_keras_to_check() {
    let Some(folder) = std::env::var_os("SELFNORM_INTEROP_OUT") else {
        return;
    };
    let folder = std::path::Path::new(&folder);
    let mut checked = serde_json::Map::new();
    let mut models = Vec::new();
    for (name, builder) in everything() {
        models.push((name, builder.build(gpu_async().await, 3).unwrap()));
    }
    for (name, optimizer) in optimizers() {
        let mut model = mlp().build(gpu_async().await, 3).unwrap();
        let compiled = model.compile(optimizer, Loss::CategoricalCrossentropy);
        compiled.unwrap();
        for _ in 0..3 {
            step(&mut model).await;
        }
        models.push((name, model));
    }
    for (name, mut model) in models {
        model.save_keras(folder.join(format!("{name}.keras"))).unwrap();
        let x = noise(&[&[3], model.input_shape()].concat(), 5).await;
        let y = predict(&model).await;
        let mut entry = serde_json::json!({"shape": x.shape(), "x": x.read().await.unwrap(), "y": y});
        if model.step() > 0 {
            let mut batches = Vec::new();
            for _ in 0..10 {
                let x = noise(&[&[4], model.input_shape()].concat(), model.step()).await;
                batches.push(x.read().await.unwrap());
                step(&mut model).await;
            }
            let mut weights = Vec::new();
            for (_, weight) in model.weights().unwrap() {
                weights.push(weight.read().await.unwrap());
            }
            entry["batches"] = batches.into();
            entry["weights"] = weights.into();
        }
        checked.insert(name.into(), entry);
    }
    let text = Value::from(checked).to_string();
    std::fs::write(folder.join("expected.json"), text).unwrap();
}
