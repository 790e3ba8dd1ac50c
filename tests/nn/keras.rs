//! Models of Keras: what it has saved predicts and trains on here as there, and what is saved here is loaded there.
//!
//! The files and the values that are expected come from `tests/interop/make_keras.py`, which computes in float64.

use std::io::Read;

use crate::common::{gpu_async, stored::zip};
use flate2::read::GzDecoder;
use selfnorm::nn::{
    Activation, Adam, AdamW, AlphaDropout, AveragePooling2d, BatchNormalization, Conv2d,
    CosineDecay, Dense, Dropout, ExponentialDecay, Flatten, GlobalAveragePooling2d, Initializer,
    LayerNormalization, LearningRate, Loss, MaxPool2d, Normalization, Optimizer, Padding,
    PiecewiseConstantDecay, Regularizer, Reshape, Sequential, SequentialBuilder, Sgd, keras,
};
use selfnorm::{Error, Tensor};
use serde_json::{Value, json};
use wasm_bindgen_test::wasm_bindgen_test;

/// Of the documentation of `nn::keras`.
const BOUND: f64 = 1e-5;

macro_rules! files {
    ($($name:literal)*) => {
        [$(($name, include_bytes!(concat!("../data/keras/", $name, ".gz")) as &[u8])),*]
    };
}

const FILES: [(&str, &[u8]); 40] = files![
    "activations.keras" "adam.h5" "adam.keras" "adamw.keras" "bfloat16.keras" "compiled.keras" "convnet.keras" "exponential.keras"
    "float16.keras" "float64.keras" "functional.keras" "keras2_activations.keras" "keras2_adam.h5"
    "keras2_convnet.h5" "keras2_functional.h5" "keras2_mlp.weights.h5" "keras2_mlp_by_names.h5"
    "keras2_older_adam.h5" "keras2_sgd.h5" "mixed_float16.keras" "mlp.weights.h5" "momentum.keras"
    "normalization.keras" "rmsprop.keras" "sgd.keras"
    "hostile_chunks.h5" "hostile_compressed.h5" "hostile_cycle.h5" "hostile_deep.h5"
    "hostile_big_endian.h5" "hostile_external_link.h5" "hostile_external_values.h5" "hostile_integers.h5"
    "hostile_many.h5" "hostile_never_written.h5" "hostile_shared.h5" "hostile_soft_link.h5"
    "hostile_virtual_values.h5"
    "in_pieces.h5" "weighted_loss.keras"
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
    numbers(&model["shape"])
        .iter()
        .map(|&extent| extent as usize)
        .collect()
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
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
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
        "in_pieces.h5",
    ] {
        prediction_is_keras(name, &load(name).await).await;
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
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
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
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
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
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
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_model_says_which_keras_wrote_it() {
    for (name, version) in [("adam.keras", "3.15.1"), ("keras2_adam.h5", "2.21.0")] {
        let model = load(name).await;
        assert_eq!(model.metadata()["keras_version"], version, "{name}");
    }
    assert!(
        load("adam.keras")
            .await
            .metadata()
            .contains_key("date_saved")
    );
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_model_whose_training_does_not_go_on_says_why() {
    let model = load("rmsprop.keras").await;
    let why = &model.metadata()["keras_training"];
    assert_eq!(
        why,
        "does not go on: the optimizer \"RMSprop\" is not one of this crate's"
    );
    assert_eq!(model.step(), 0);
    let model = load("weighted_loss.keras").await;
    let why = &model.metadata()["keras_training"];
    assert_eq!(why, "does not go on: its loss has the weight 5.0");
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_model_that_is_compiled_and_not_trained_has_its_optimizer() {
    let model = load("compiled.keras").await;
    let Optimizer::Adam(adam) = model.optimizer() else {
        panic!("{:?}", model.optimizer());
    };
    // Keras keeps the rate as an f32.
    let rate = LearningRate::from(f64::from(0.02f32));
    assert_eq!((&adam.learning_rate, adam.weight_decay), (&rate, 0.05));
    assert_eq!(
        (model.step(), model.metadata().get("keras_training")),
        (0, None)
    );
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
    let values: Vec<_> = words
        .map(|word| word as f32 * 2f32.powi(-31) - 1.0)
        .collect();
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
    target
        .iter_mut()
        .step_by(model.output_shape()[0])
        .for_each(|value| *value = 1.0);
    let y = [&[4], model.output_shape()].concat();
    let y = gpu_async().await.tensor(&target, y).unwrap();
    model.train_on_batch_async(&x, &y).await.unwrap();
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
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
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn training_goes_on_bit_for_bit_after_writing_and_reading() {
    for (name, optimizer) in optimizers() {
        let mut model = mlp().build(gpu_async().await, 3).unwrap();
        model
            .compile(optimizer, Loss::CategoricalCrossentropy)
            .unwrap();
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
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
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
        model
            .save_keras(folder.join(format!("{name}.keras")))
            .unwrap();
        let x = noise(&[&[3], model.input_shape()].concat(), 5).await;
        let y = predict(&model).await;
        let mut entry = json!({"shape": x.shape(), "x": x.read().await.unwrap(), "y": y});
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

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_first_configs_of_keras_2_are_the_same_model() {
    let mut first = json!({"name": "n", "momentum": 0.99, "epsilon": 1e-3, "axis": 1});
    first["batch_input_shape"] = json!([32, 5]);
    let mut hidden = dense("a", 6);
    hidden["config"]["activation"] = json!({"class_name": "function", "config": "selu"});
    hidden["config"]["kernel_initializer"] = json!({
        "class_name": "VarianceScaling", "config": {"scale": 1.0, "mode": "fan_in", "distribution": "normal"},
    });
    let softmax = json!({"name": "s", "axis": [-1], "dtype": "float32"});
    let layers = vec![
        layer("BatchNormalization", first),
        hidden,
        sequential(vec![
            input(json!([null, 6])),
            layer("Activation", json!({"name": "same", "activation": null})),
        ]),
        dense("b", 3),
        layer("Softmax", softmax),
    ];
    let config = layer("Sequential", layers.into());
    let model = keras::from_bytes(gpu_async().await, &of_config(&config).await).await;
    prediction_is_keras("mlp.weights.h5", &model.unwrap()).await;
}

async fn problem(bytes: &[u8]) -> String {
    match keras::from_bytes(gpu_async().await, bytes).await {
        Err(Error::File { path, detail }) if path == "the bytes" => detail,
        result => panic!("{result:?}"),
    }
}

/// What is wrong with weights of a network, which is then as it was.
async fn problem_of_weights(bytes: &[u8]) -> String {
    let network = Sequential::new([2]).add(Dense::new(3));
    let mut model = network.build(gpu_async().await, 1).unwrap();
    let before = predict(&model).await;
    let problem = match model.load_keras_weights_bytes(bytes).await {
        Err(Error::File { path, detail }) if path == "the bytes" => detail,
        result => panic!("{result:?}"),
    };
    assert_eq!(predict(&model).await, before);
    problem
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn weights_that_are_elsewhere_or_more_than_they_seem_are_an_error() {
    for (name, expected) in [
        (
            "soft_link",
            "1: a link to something else, which is not followed",
        ),
        (
            "external_link",
            "1: a link to something else, which is not followed",
        ),
        (
            "external_values",
            "1: its values are in other files, which are not read",
        ),
        ("virtual_values", "1: its values are those of other arrays"),
        (
            "chunks",
            "1: its values are in chunks, which Keras's are not",
        ),
        (
            "compressed",
            "1: its values are compressed, which Keras's are not",
        ),
        (
            "never_written",
            "1: its shape is [3], and it has 0 bytes of values",
        ),
        (
            "cycle",
            "groups within groups, or within themselves, 32 deep",
        ),
        (
            "deep",
            "groups within groups, or within themselves, 32 deep",
        ),
        ("shared", "parts of it are there several times"),
        (
            "big_endian",
            "dense/bias is not of numbers with a fractional part",
        ),
        (
            "integers",
            "dense/bias is not of numbers with a fractional part",
        ),
        ("many", "with many entries, which Keras does not write"),
    ] {
        let problem = problem_of_weights(&file(&format!("hostile_{name}.h5"))).await;
        assert!(problem.ends_with(expected), "{name}: {problem}");
    }
}

/// A layer of a config.
fn layer(class: &str, config: Value) -> Value {
    json!({"class_name": class, "config": config})
}

fn input(shape: Value) -> Value {
    layer("InputLayer", json!({"name": "input", "batch_shape": shape}))
}

fn dense(name: &str, units: u64) -> Value {
    let zeros = json!({"class_name": "Zeros", "config": {}});
    let config = json!({
        "name": name, "units": units, "activation": "linear", "use_bias": true, "kernel_initializer": zeros,
        "bias_initializer": zeros,
    });
    layer("Dense", config)
}

fn sequential(layers: Vec<Value>) -> Value {
    layer("Sequential", json!({"name": "model", "layers": layers}))
}

/// A `.keras` file of these layers, with the weights of a network that has none.
async fn of_config(config: &Value) -> Vec<u8> {
    zip(&[
        ("config.json", config.to_string().as_bytes()),
        ("model.weights.h5", &file("mlp.weights.h5")),
    ])
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn all_that_is_unknown_is_in_one_error_with_its_place() {
    let mut conv = json!({
        "name": "conv", "filters": 2, "kernel_size": [1, 1], "strides": [1, 1], "padding": "valid",
        "data_format": "channels_first", "activation": "mish", "use_bias": true,
    });
    for key in ["kernel_initializer", "bias_initializer"] {
        conv[key] = json!({"class_name": "Zeros", "config": {}});
    }
    let mut custom = dense("custom", 2);
    custom["module"] = "my_package".into();
    custom["registered_name"] = "my_package>Dense".into();
    let config = sequential(vec![
        input(json!([null, 4, 4, 1])),
        layer("Lambda", json!({"name": "code", "function": "..."})),
        layer("Conv2D", conv),
        layer("ReLU", json!({"name": "relu6", "max_value": 6.0})),
        layer(
            "ZeroPadding2D",
            json!({"name": "pad", "padding": [[1, 1], [1, 1]]}),
        ),
        layer("Flatten", json!({"name": "flatten"})),
        sequential(vec![custom]),
    ]);
    let problem = problem(&of_config(&config).await).await;
    for expected in [
        "config.json.config.layers[1].class_name is \"Lambda\", which is not possible here",
        "config.json.config.layers[2].activation is \"mish\", which is not possible here",
        "config.json.config.layers[2].data_format is \"channels_first\", which is not possible here",
        "config.json.config.layers[3].max_value is 6.0, which is not possible here",
        "config.json.config.layers[4] is ZeroPadding2D, which is possible only before a valid Conv2D",
        "config.json.config.layers[6].config.layers[0].module is \"my_package\", which is not possible here",
    ] {
        assert!(problem.contains(expected), "{expected}\n{problem}");
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn what_a_user_has_called_as_keras_does_is_not_keras_s() {
    // As Keras 3.15 writes a registered class, one that is not, and a function.
    let registered = json!({"module": null, "class_name": "ELU", "config": {"alpha": 1.0}, "registered_name": "my>ELU"});
    let unregistered = json!({"module": null, "class_name": "ReLU", "config": {"name": "a"}, "registered_name": "ReLU"});
    let function = json!({"module": "builtins", "class_name": "function", "config": "swish", "registered_name": "function"});
    let penalty = json!({"module": null, "class_name": "L2", "config": {"l2": 0.5}, "registered_name": "my>L2"});
    let with = |key: &str, value: Value| {
        let mut dense = dense("dense", 2);
        dense["config"][key] = value;
        sequential(vec![input(json!([null, 3])), dense])
    };
    let of_class = |module: &str, name: &str| {
        let mut model = sequential(vec![input(json!([null, 3])), dense("dense", 2)]);
        model["module"] = module.into();
        model["registered_name"] = name.into();
        model
    };
    let layers = |layer: Value| sequential(vec![input(json!([null, 3])), layer]);
    for (config, expected) in [
        (
            with("activation", registered),
            "layers[1].activation.registered_name is \"my>ELU\"",
        ),
        (
            with("activation", function),
            "layers[1].activation.module is \"builtins\"",
        ),
        (
            with("kernel_regularizer", penalty),
            "layers[1].kernel_regularizer.registered_name is \"my>L2\"",
        ),
        (
            layers(unregistered),
            "layers[1].registered_name is \"ReLU\"",
        ),
        (
            of_class("keras_like", "Sequential"),
            "config.json.module is \"keras_like\"",
        ),
        (
            of_class("keras.src.models", "my>Sequential"),
            "config.json.registered_name is \"my>Sequential\"",
        ),
        (
            layers(of_class("main", "Sequential")),
            "layers[1].module is \"main\"",
        ),
    ] {
        let problem = problem(&of_config(&config).await).await;
        assert!(problem.contains(expected), "{expected}\n{problem}");
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_graph_that_is_no_chain_is_an_error() {
    let node = |mut layer: Value, inputs: &[&str]| {
        let tensors = inputs.iter().map(|name| json!([name, 0, 0, {}]));
        layer["inbound_nodes"] = json!([tensors.collect::<Vec<_>>()]);
        layer
    };
    let model = |layers: Vec<Value>, output: Value| {
        let config = json!({"name": "model", "layers": layers, "output_layers": output});
        layer("Functional", config)
    };
    let first = || input(json!([null, 2]));
    let last = json!([["b", 0, 0]]);
    let mut twice = node(dense("b", 1), &["input"]);
    twice["inbound_nodes"] = json!([[["input", 0, 0, {}]], [["input", 0, 0, {}]]]);
    let mut in_training = node(dense("b", 1), &["input"]);
    in_training["inbound_nodes"][0][0][3] = json!({"training": true});
    for (layers, output, expected) in [
        (
            vec![
                first(),
                node(dense("a", 1), &["b"]),
                node(dense("b", 1), &["a"]),
            ],
            last.clone(),
            "config.json.config.layers: \"b\" is there twice on one way, or not at all",
        ),
        (
            vec![
                first(),
                node(dense("a", 1), &["input"]),
                node(dense("b", 1), &["input"]),
            ],
            last.clone(),
            "config.json.config.layers[1] is beside the way from the input to the output",
        ),
        (
            vec![first(), node(dense("b", 1), &["input", "input"])],
            last.clone(),
            "config.json.config.layers[1] has several inputs",
        ),
        (
            vec![first(), twice],
            last.clone(),
            "config.json.config.layers[1] is called 2 times, once is possible here",
        ),
        (
            vec![first(), in_training],
            last.clone(),
            "config.json.config.layers[1].inbound_nodes: training is true",
        ),
        (
            vec![first(), node(dense("b", 1), &["input"])],
            json!([["b", 0, 0], ["input", 0, 0]]),
            "it has no output, or several",
        ),
    ] {
        let problem = problem(&of_config(&model(layers, output)).await).await;
        assert!(problem.contains(expected), "{expected}\n{problem}");
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn models_within_models_have_a_limit() {
    let nested = |depth: usize| {
        let within = |model, _| sequential(vec![input(json!([null, 2])), model]);
        (0..depth).fold(
            sequential(vec![input(json!([null, 2])), dense("d", 3)]),
            within,
        )
    };
    let allowed = problem(&of_config(&nested(8)).await).await;
    assert!(
        allowed.starts_with("it has no layers/sequential"),
        "{allowed}"
    );
    let refused = problem(&of_config(&nested(9)).await).await;
    assert!(
        refused.ends_with("models within models, more than 8 deep"),
        "{refused}"
    );
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn what_a_config_announces_must_be_in_the_file() {
    let flat = |extent: u64| input(json!([null, extent]));
    let normalization = || {
        layer(
            "BatchNormalization",
            json!({"name": "n", "momentum": 0.9, "epsilon": 0.1}),
        )
    };
    let given = layer(
        "Normalization",
        json!({"name": "n", "mean": 0.5, "variance": 1.0}),
    );
    for layers in [
        vec![flat(2), dense("dense", 1 << 31)],
        vec![flat(2), dense("dense", u64::MAX)],
        vec![flat(1 << 31), dense("dense", 1 << 31)],
        vec![flat(1 << 31), normalization()],
        vec![flat(1 << 31), given],
        vec![
            input(json!([null, 1 << 16, 1 << 15])),
            layer("Flatten", json!({"name": "flatten"})),
            normalization(),
        ],
    ] {
        let problem = problem(&of_config(&sequential(layers)).await).await;
        // In a browser 32 bits count.
        let is_refused = problem.contains("more weights than the file has room for")
            || problem.contains("which is not possible here")
            || problem.contains("expected usize");
        assert!(is_refused, "{problem}");
    }
    // Nor may it only be announced by an array.
    let whole = file("mlp.weights.h5");
    for (extent, to) in [(5u64, 1u64 << 63), (6, u64::MAX), (3, 1 << 31)] {
        let mut bytes = whole.clone();
        let extent = extent.to_le_bytes();
        for place in 0..bytes.len() - 8 {
            if bytes[place..place + 8] == extent {
                bytes[place..place + 8].copy_from_slice(&to.to_le_bytes());
            }
        }
        let mut model = mlp().build(gpu_async().await, 1).unwrap();
        let result = model.load_keras_weights_bytes(&bytes).await;
        assert!(matches!(result, Err(Error::File { .. })), "{result:?}");
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_zip_file_that_is_not_what_it_looks_like_is_an_error() {
    let config = sequential(vec![input(json!([null, 2])), dense("dense", 3)]).to_string();
    let [config, weights] = [
        ("config.json", config.as_bytes()),
        ("model.weights.h5", &[][..]),
    ];
    let patched = |bytes: Vec<u8>, signature: &[u8], offset: usize, value: u8| {
        let mut bytes = bytes;
        let mut places = bytes.windows(4).enumerate();
        let found = places.find(|(_, found)| *found == signature).unwrap().0;
        bytes[found + offset] = value;
        bytes
    };
    let directory = b"PK\x01\x02";
    let good = zip(&[config, weights]);
    for (bytes, expected) in [
        (
            patched(good.clone(), directory, 10, 8),
            "config.json is compressed or encrypted",
        ),
        (
            patched(good.clone(), directory, 8, 1),
            "config.json is compressed or encrypted",
        ),
        (
            patched(good.clone(), directory, 16, 0),
            "config.json is damaged",
        ),
        (patched(good.clone(), directory, 23, 255), "config.json"),
        (
            zip(&[config, config, weights]),
            "config.json is there twice",
        ),
        (zip(&[config]), "it has no model.weights.h5"),
        (zip(&[weights]), "it has no config.json"),
        (good[..good.len() - 30].to_vec(), "not a zip file"),
        (good, "model.weights.h5: it ends early"),
        (b"PK\x03\x04".to_vec(), "not a zip file"),
        (b"GGUF".to_vec(), "neither a .keras nor an .h5 file"),
        (Vec::new(), "neither a .keras nor an .h5 file"),
        (file("mlp.weights.h5"), "it has weights and no layers"),
    ] {
        let problem = problem(&bytes).await;
        assert!(problem.starts_with(expected), "{expected}: {problem}");
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_file_that_is_cut_off_is_an_error() {
    for name in ["adam.keras", "keras2_adam.h5"] {
        let whole = file(name);
        for len in (0..whole.len()).step_by(211) {
            problem(&whole[..len]).await;
        }
    }
}
