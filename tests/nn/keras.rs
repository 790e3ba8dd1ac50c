//! Models of Keras: what it has saved predicts and trains on here as there, and what is saved here is loaded there.
//!
//! The files and the values that are expected come from `tests/interop/make_keras.py`, which computes in float64.

use std::io::Read;

use crate::common::gpu_async;
use flate2::read::GzDecoder;
use selfnorm::nn::{
    Activation, Adam, AlphaDropout, AveragePooling2d, BatchNormalization, Conv2d, Dense, Dropout,
    Flatten, GlobalAveragePooling2d, LayerNormalization, LearningRate, MaxPool2d, Normalization,
    Padding, Reshape, Sequential, Sgd, keras,
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

fn mlp() -> selfnorm::nn::SequentialBuilder {
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
