//! Networks that are opened from files, with nothing else: layers, weights, and what training goes on from. Everything
//! is compared by its bits. Whatever is wrong with a file is an error, and all that this crate has not is in it.

use std::collections::{BTreeMap, HashMap};

use crate::common::gpu;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use selfnorm::nn::Initializer::{
    GlorotNormal, GlorotUniform, HeNormal, HeUniform, LecunNormal, LecunUniform, Zeros,
};
use selfnorm::nn::{
    Activation, Adam, AdamW, AlphaDropout, AveragePooling2d, BatchNormalization, Conv2d,
    CosineDecay, Dense, Dropout, Flatten, GlobalAveragePooling2d, Layer, LayerNormalization,
    LearningRate, Loss, MaxPool2d, Normalization, Optimizer, Padding, Regularizer, Reshape,
    Sequential, SequentialBuilder, Sgd, Tiling,
};
use selfnorm::{Error, Selu, Tensor};
use serde_json::{Value, json};

/// A file, to be changed and written again.
#[derive(Clone, Debug, PartialEq)]
struct File {
    tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
    metadata: HashMap<String, String>,
}

impl File {
    fn read(bytes: &[u8]) -> Self {
        let file = SafeTensors::deserialize(bytes).unwrap();
        let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
        let tensors = file.iter().map(|(name, view)| {
            let contents = (view.shape().to_vec(), view.data().to_vec());
            (name.to_owned(), contents)
        });
        Self {
            tensors: tensors.collect(),
            metadata: header.metadata().clone().unwrap_or_default(),
        }
    }

    async fn of(model: &Sequential) -> Self {
        Self::read(&model.to_bytes().await.unwrap())
    }

    fn bytes(&self) -> Vec<u8> {
        let views = self.tensors.iter().map(|(name, (shape, data))| {
            let view = TensorView::new(Dtype::F32, shape.clone(), data).unwrap();
            (name, view)
        });
        safetensors::serialize(views, Some(self.metadata.clone())).unwrap()
    }

    fn config(&self) -> Value {
        serde_json::from_str(&self.metadata["model_config"]).unwrap()
    }

    fn with_config(&self, config: &Value) -> Self {
        let mut file = self.clone();
        let config = config.to_string();
        file.metadata.insert("model_config".into(), config);
        file
    }

    async fn open(&self) -> Result<Sequential, Error> {
        Sequential::from_bytes(gpu(), &self.bytes()).await
    }

    /// What is wrong with it.
    async fn problem(&self) -> String {
        match self.open().await {
            Err(Error::File { path, detail }) if path == "the bytes" => detail,
            result => panic!("{result:?}"),
        }
    }
}

/// Values without a pattern, from 0 to 1.
fn noise(shape: &[usize], seed: u64) -> Tensor {
    let len: usize = shape.iter().product();
    let words = selfnorm::random::words(seed, 1, 0..len as u64);
    let values: Vec<_> = words.map(|word| word as f32 * 2f32.powi(-32)).collect();
    gpu().tensor(&values, shape).unwrap()
}

async fn bits(x: &Tensor) -> Vec<u32> {
    let values = x.read().await.unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

/// Trains on batches of 3 samples, a new one each step; the bits of their losses.
async fn train(model: &mut Sequential, steps: usize) -> Vec<u64> {
    let mut losses = Vec::new();
    for _ in 0..steps {
        let shape = |sample: &[usize]| [&[3], sample].concat();
        let x = noise(&shape(model.input_shape()), model.step());
        let y = noise(&shape(model.output_shape()), model.step() + 1000);
        let score = model.train_on_batch_async(&x, &y).await.unwrap();
        losses.push(score.loss.to_bits());
    }
    losses
}

fn activations() -> [Activation; 18] {
    use Activation::*;
    [
        Linear,
        Selu,
        SeluWith(self::Selu::default()),
        SeluWith(self::Selu::with_fixed_point(0.1, 2.0).unwrap()),
        Elu(1.0),
        Elu(1.0 / 3.0),
        Relu,
        LeakyRelu(0.2),
        LeakyRelu(0.1 + 0.2),
        Sigmoid,
        Tanh,
        Silu,
        Gelu { approximate: false },
        Gelu { approximate: true },
        Softplus,
        Sine(30.0),
        Sine(0.7),
        Softmax,
    ]
}

/// Among them every layer, option, activation and initializer.
fn networks() -> Vec<(SequentialBuilder, Option<(Optimizer, Loss)>)> {
    let mut all_activations = Sequential::new([5]);
    for activation in activations() {
        all_activations = all_activations
            .add(activation)
            .add(Dense::new(5).activation(activation));
    }
    let convolutions = Sequential::new([9, 8, 2])
        .add(
            Conv2d::new(4, [3, 2])
                .strides([2, 1])
                .padding(Padding::Same)
                .kernel_initializer(LecunNormal)
                .bias_initializer(LecunUniform)
                .activation(Activation::Selu),
        )
        .add(AlphaDropout::new(0.2).fixed_point(0.1, 1.5))
        .add(AlphaDropout::new(0.1).noise_shape([None, Some(1), Some(1), None]))
        .add(
            MaxPool2d::new([2, 3])
                .strides([1, 2])
                .padding(Padding::Same),
        )
        .add(MaxPool2d::new([2, 2]))
        .add(
            Conv2d::new(3, [1, 1])
                .use_bias(false)
                .kernel_initializer(LecunUniform),
        )
        .add(Dropout::new(1.0 / 3.0).noise_shape([Some(1), None, Some(1), Some(3)]))
        .add(Dropout::new(0.25).name("dropout_7"))
        .add(Flatten::new().name("flat"))
        .tiling(Tiling::Workgroup);
    let frozen = Sequential::new([2, 3])
        .add(
            Dense::new(4)
                .kernel_initializer(GlorotUniform)
                .name("dense_1"),
        )
        .add(
            Dense::new(3)
                .trainable(false)
                .bias_initializer(GlorotUniform),
        )
        .add(
            Dense::new(3)
                .kernel_initializer(HeNormal)
                .bias_initializer(HeUniform),
        )
        .add(Activation::Tanh)
        .add(Dense::new(4).kernel_initializer(GlorotNormal))
        .add(Dense::new(2).kernel_initializer(Zeros))
        .add(Dense::new(1).weights([0.5, -0.25], [1.0]).name("given"))
        .tiling(Tiling::Registers);
    let decay = CosineDecay::new(0.01, 1000).warmup(0.1, 7);
    let adamw = AdamW::new(decay).clipnorm(0.5);
    let momentum = Sgd::new(0.05).momentum(0.9);
    vec![
        (all_activations, None),
        (convolutions, Some((momentum.into(), Loss::Huber(0.3)))),
        (
            frozen.clone(),
            Some((adamw.into(), Loss::MeanAbsoluteError)),
        ),
        (frozen, Some((Sgd::new(0.1).into(), Loss::MeanSquaredError))),
    ]
}

#[wasm_bindgen_test::wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_model_from_its_bytes_goes_on_as_the_one_that_wrote_them() {
    for (network, compiled) in networks() {
        let build = || {
            let mut model = network.build(gpu(), 0x0123_4567_89ab_cdef).unwrap();
            if let Some((optimizer, loss)) = compiled.clone() {
                model.compile(optimizer, loss).unwrap();
            }
            model
        };
        let mut whole = build();
        let losses = train(&mut whole, 10).await;

        let mut first = build();
        assert_eq!(train(&mut first, 5).await, losses[..5]);
        first.set_epoch(3).unwrap();
        let file = File::of(&first).await;
        let mut second = file.open().await.unwrap();
        assert_eq!(File::of(&second).await, file);
        assert_eq!(second.summary(), first.summary());
        assert_eq!(second.optimizer(), first.optimizer());
        assert_eq!((second.step(), second.epoch()), (5, 3));
        let x = noise(&[&[7], first.input_shape()].concat(), 9);
        let [y, z] = [&first, &second].map(|model| model.predict_async(&x));
        assert_eq!(bits(&y.await.unwrap()).await, bits(&z.await.unwrap()).await);

        assert_eq!(train(&mut second, 5).await, losses[5..]);
        second.set_epoch(0).unwrap();
        assert_eq!(File::of(&second).await, File::of(&whole).await);
    }
}

#[wasm_bindgen_test::wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_layers_of_a_file_are_keras_s_json() {
    let network = Sequential::new([4, 4, 1])
        .add(Conv2d::new(2, [3, 2]).activation(Activation::Selu))
        .add(Activation::LeakyRelu(0.5))
        .add(AlphaDropout::new(0.25).fixed_point(0.5, 2.0))
        .add(Flatten::new().name("flat"))
        .add(
            Dense::new(3)
                .trainable(false)
                .kernel_initializer(LecunNormal),
        )
        .tiling(Tiling::Registers);
    let file = File::of(&network.build(gpu(), 1).unwrap()).await;
    let object = |module: &str, class: &str, config: Value| json!({"module": module, "class_name": class, "config": config});
    let layer = |class: &str, config: Value| object("keras.layers", class, config);
    let initializer = |class: &str| object("keras.initializers", class, json!({}));
    let layers = [
        layer(
            "InputLayer",
            json!({"name": "input_layer", "batch_shape": [null, 4, 4, 1]}),
        ),
        layer(
            "Conv2D",
            json!({
                "name": "conv2d", "trainable": true, "filters": 2, "kernel_size": [3, 2],
                "strides": [1, 1], "padding": "valid", "activation": "selu", "use_bias": true,
                "kernel_initializer": initializer("GlorotUniform"),
                "bias_initializer": initializer("Zeros"),
            }),
        ),
        layer(
            "Activation",
            json!({
                "name": "activation", "trainable": true,
                "activation": layer("LeakyReLU", json!({"negative_slope": 0.5})),
            }),
        ),
        layer(
            "AlphaDropout",
            json!({
                "name": "alpha_dropout", "trainable": true, "rate": 0.25, "noise_shape": null,
                "fixed_point": [0.5, 2.0],
            }),
        ),
        layer("Flatten", json!({"name": "flat", "trainable": true})),
        layer(
            "Dense",
            json!({
                "name": "dense", "trainable": false, "units": 3, "activation": "linear",
                "use_bias": true, "kernel_initializer": initializer("LecunNormal"),
                "bias_initializer": initializer("Zeros"),
            }),
        ),
    ];
    let config = json!({"name": "sequential", "layers": layers, "tiling": "registers"});
    assert_eq!(file.config(), object("keras", "Sequential", config));
}

/// What `model.to_json()` of Keras 3.15.1 gives for
///
/// ```python
/// from keras import Sequential, layers as L
/// model = Sequential([L.Input((8, 8, 1)),
///     L.Conv2D(4, (3, 3), strides=(2, 1), padding="same", activation="selu", kernel_initializer="lecun_normal", name="first"),
///     L.AlphaDropout(0.1), L.MaxPooling2D((2, 2)), L.ReLU(), L.LeakyReLU(0.1), L.ELU(0.5), L.Softmax(),
///     L.Dropout(0.2, noise_shape=(None, 1, 1, 4), seed=3), L.Flatten(), L.Activation("gelu"),
///     L.Dense(5, activation=L.LeakyReLU(0.25), use_bias=False, trainable=False),
///     L.Dense(3, activation="softmax", bias_initializer="lecun_uniform")])
/// ```
const KERAS: &str = include_str!("../data/keras_sequential.json");

#[wasm_bindgen_test::wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn keras_s_own_json_is_the_same_network() {
    let network = Sequential::new([8, 8, 1])
        .add(
            Conv2d::new(4, [3, 3])
                .strides([2, 1])
                .padding(Padding::Same)
                .activation(Activation::Selu)
                .kernel_initializer(LecunNormal)
                .name("first"),
        )
        .add(AlphaDropout::new(0.1))
        .add(MaxPool2d::new([2, 2]))
        .add(named(Activation::Relu, "re_lu"))
        .add(named(Activation::LeakyRelu(0.1), "leaky_re_lu"))
        .add(named(Activation::Elu(0.5), "elu"))
        .add(named(Activation::Softmax, "softmax"))
        .add(Dropout::new(0.2).noise_shape([None, Some(1), Some(1), Some(4)]))
        .add(Flatten::new())
        .add(Activation::Gelu { approximate: false })
        .add(
            Dense::new(5)
                .activation(Activation::LeakyRelu(0.25))
                .use_bias(false)
                .trainable(false),
        )
        .add(
            Dense::new(3)
                .activation(Activation::Softmax)
                .bias_initializer(LecunUniform),
        );
    let file = File::of(&network.build(gpu(), 1).unwrap()).await;
    let keras = file.with_config(&serde_json::from_str(KERAS).unwrap());
    assert_eq!(File::of(&keras.open().await.unwrap()).await, file);
}

/// What `model.to_json()` of Keras 3.15.1 gives for
///
/// ```python
/// model = Sequential([L.Input((8, 8, 3)), L.Normalization(),
///     L.BatchNormalization(momentum=0.9, epsilon=1e-5), L.Conv2D(4, (3, 3)), L.LayerNormalization(epsilon=1e-6),
///     L.AveragePooling2D((2, 2), strides=(1, 2), padding="same"), L.Reshape((3, 6, 4)), L.GlobalAveragePooling2D(),
///     L.BatchNormalization(trainable=False), L.Dense(2)])
/// ```
const KERAS_NORMALIZED: &str = include_str!("../data/keras_normalized.json");

#[test]
fn keras_s_own_json_has_its_normalizations() {
    let network = Sequential::new([8, 8, 3])
        .add(Normalization::new().name("normalization"))
        .add(
            BatchNormalization::new()
                .momentum(0.9)
                .epsilon(1e-5)
                .name("batch_normalization"),
        )
        .add(Conv2d::new(4, [3, 3]).name("conv2d"))
        .add(
            LayerNormalization::new()
                .epsilon(1e-6)
                .name("layer_normalization"),
        )
        .add(
            AveragePooling2d::new([2, 2])
                .strides([1, 2])
                .padding(Padding::Same)
                .name("average_pooling2d"),
        )
        .add(Reshape::new([3, 6, 4]).name("reshape"))
        .add(GlobalAveragePooling2d::new().name("global_average_pooling2d"))
        .add(
            BatchNormalization::new()
                .trainable(false)
                .name("batch_normalization_1"),
        )
        .add(Dense::new(2).name("dense"));
    let keras = SequentialBuilder::from_json(KERAS_NORMALIZED).unwrap();
    assert_eq!(keras.to_json(), network.to_json());

    let other = KERAS_NORMALIZED.replace("\"center\": true", "\"center\": false");
    let error = SequentialBuilder::from_json(&other)
        .unwrap_err()
        .to_string();
    assert_eq!(
        error
            .matches(".center is false, which is not possible here")
            .count(),
        3,
        "{error}"
    );
    let error = SequentialBuilder::from_json("[1").unwrap_err().to_string();
    assert!(error.starts_with("from_json: EOF"), "{error}");
}

/// What `model.to_json()` of Keras 3.15.1 gives for
///
/// ```python
/// from keras import regularizers as R
/// model = Sequential([L.Input((6, 6, 1)),
///     L.Conv2D(4, (3, 3), kernel_regularizer=R.L1L2(l1=0.25, l2=0.03)), L.Flatten(),
///     L.Dense(5, kernel_regularizer="l1"), L.Dense(3, kernel_regularizer=R.L2(1e-4)), L.Dense(2)])
/// ```
const KERAS_REGULARIZED: &str = include_str!("../data/keras_regularized.json");

/// Keras's default of L1 is an f32.
#[test]
fn keras_s_own_json_has_its_regularizers() {
    let both = Regularizer::L1L2 { l1: 0.25, l2: 0.03 };
    let l1 = Regularizer::L1(f64::from(0.01f32));
    let layers = Sequential::new([6, 6, 1])
        .add(
            Conv2d::new(4, [3, 3])
                .kernel_regularizer(both)
                .name("conv2d"),
        )
        .add(Flatten::new().name("flatten"))
        .add(Dense::new(5).kernel_regularizer(l1).name("dense"))
        .add(
            Dense::new(3)
                .kernel_regularizer(Regularizer::L2(1e-4))
                .name("dense_1"),
        )
        .add(Dense::new(2).name("dense_2"));
    let keras = SequentialBuilder::from_json(KERAS_REGULARIZED).unwrap();
    assert_eq!(format!("{keras:?}"), format!("{layers:?}"));
    assert!(format!("{keras:?}").contains("kernel_regularizer: Some(L2(0.0001))"));
    let written = layers.to_json();
    assert_eq!(keras.to_json(), written);
    let again = SequentialBuilder::from_json(&written).unwrap();
    assert_eq!(format!("{again:?}"), format!("{layers:?}"));
    // As files had none of it before there were any.
    assert_eq!(written.matches("kernel_regularizer").count(), 3);

    for (wrong, expected) in [
        (
            r#"{"l1": 0.25}"#,
            "layers[1].kernel_regularizer.l2 is missing",
        ),
        (
            r#"{"l1": 0.25, "l2": "much"}"#,
            r#"layers[1].kernel_regularizer.l2: invalid type: string "much", expected f64"#,
        ),
        (
            r#"{"l1": 0.25, "l2": 0.03, "l3": 1}"#,
            "layers[1].kernel_regularizer.l3 is 1, which is not possible here",
        ),
    ] {
        let other = KERAS_REGULARIZED.replace(r#"{"l1": 0.25, "l2": 0.03}"#, wrong);
        let error = SequentialBuilder::from_json(&other).unwrap_err();
        assert_eq!(error.to_string(), format!("from_json: json.{expected}"));
    }
}

fn named(activation: Activation, name: &str) -> Layer {
    Layer::from(activation).name(name)
}

/// A file of a network with one layer of each kind that has options, all by default.
async fn small() -> File {
    let network = Sequential::new([4, 4, 1])
        .add(Conv2d::new(2, [3, 3]))
        .add(AlphaDropout::new(0.5))
        .add(Flatten::new())
        .add(Dense::new(3).activation(Activation::Elu(0.5)));
    File::of(&network.build(gpu(), 1).unwrap()).await
}

#[wasm_bindgen_test::wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn all_that_this_crate_has_not_is_in_one_error() {
    let file = small().await;
    let mut config = file.config();
    let layers = &mut config["config"]["layers"];
    layers[0]["config"]["batch_shape"] = json!([null, null, 4, 1]);
    layers[0]["config"]["sparse"] = json!(true);
    layers[1]["config"]["dilation_rate"] = json!([2, 2]);
    layers[1]["config"]["kernel_regularizer"] =
        json!({"class_name": "OrthogonalRegularizer", "config": {"factor": 0.01}});
    layers[1]["config"]["kernel_initializer"]["class_name"] = json!("Orthogonal");
    layers[1]["config"]["padding"] = json!("causal");
    layers[1]["config"]["dtype"] = json!("float16");
    layers[2]["class_name"] = json!("LSTM");
    layers[2]["config"]["units"] = json!(3);
    layers[3]["config"]["name"] = json!(7);
    layers[3]["build"] = json!(null);
    layers[4]["config"]["units"] = json!(-3);
    layers[4]["config"]["use_bias"] = json!("yes");
    layers[4]["config"]["activation"]["config"]["alpha"] = json!(null);
    layers[4]["config"]["bias_initializer"] = json!("zeros");
    layers[4]["config"]
        .as_object_mut()
        .unwrap()
        .remove("trainable");
    config["config"]["tiling"] = json!("diagonal");
    let expected = [
        "layers[0].batch_shape is [null,null,4,1], which is not possible here",
        "layers[0].sparse is true, which is not possible here",
        r#"layers[1].padding is "causal", which is not possible here"#,
        r#"layers[1].kernel_initializer.class_name is "Orthogonal", which is not possible here"#,
        r#"layers[1].kernel_regularizer.class_name is "OrthogonalRegularizer", which is not possible here"#,
        "layers[1].dilation_rate is [2,2], which is not possible here",
        r#"layers[1].dtype is "float16", which is not possible here"#,
        r#"layers[2].class_name is "LSTM", which is not possible here"#,
        "layers[3].build is null, which is not possible here",
        "layers[3].name: invalid type: integer `7`, expected a string",
        "layers[4].trainable is missing",
        "layers[4].units: invalid value: integer `-3`, expected usize",
        "layers[4].activation.alpha: invalid type: null, expected f64",
        r#"layers[4].use_bias: invalid type: string "yes", expected a boolean"#,
        r#"layers[4].bias_initializer is "zeros", which is not possible here"#,
        r#"tiling is "diagonal", which is not possible here"#,
    ];
    let expected = expected.map(|problem| format!("model_config.{problem}"));
    let expected = expected.join("; ");
    let problem = file.with_config(&config).problem().await;
    assert_eq!(
        problem,
        format!("not a model that can be built: {expected}")
    );
}

/// A change of a file that makes it no model, and what it is then.
type Change = (fn(&mut File), &'static str);

/// The configuration of a layer, changed.
fn change(file: &mut File, layer: usize, key: &str, value: Value) {
    let mut config = file.config();
    config["config"]["layers"][layer]["config"][key] = value;
    *file = file.with_config(&config);
}

fn entry(file: &mut File, key: &str, value: &str) {
    file.metadata.insert(key.into(), value.into());
}

const CHANGES: &[Change] = &[
    (
        |file| drop(file.metadata.remove("model_config")),
        "it has weights and no layers, which are its model_config; build the network, then load_checkpoint",
    ),
    (
        |file| drop(file.metadata.remove("seed")),
        "not a checkpoint: it has no seed",
    ),
    (
        |file| entry(file, "seed", "18446744073709551616"),
        "seed is \"18446744073709551616\", not a number",
    ),
    (
        |file| entry(file, "step", "9007199254740993"),
        "9007199254740993 steps in 0 epochs are more than there can be",
    ),
    (
        |file| entry(file, "optimized_from", "1"),
        "its optimizer begins at step 1, of 0",
    ),
    (
        |file| {
            entry(
                file,
                "optimizer",
                r#"{"optimizer":"lion","learning_rate":1}"#,
            )
        },
        "the optimizer has no weight_decay",
    ),
    (
        |file| {
            let text = file.metadata["optimizer"].replace("\"adam\"", "\"lion\"");
            entry(file, "optimizer", &text);
        },
        "\"lion\" is not an optimizer of this version",
    ),
    (
        |file| entry(file, "loss", "hinge"),
        "its loss is \"hinge\", which is none",
    ),
    (
        |file| entry(file, "loss", "categorical_crossentropy"),
        "its loss: categorical cross-entropy is computed from logits: the last activation must be softmax, or linear",
    ),
    (
        |file| entry(file, "model_config", ""),
        "not a model that can be built: EOF while parsing a value at line 1 column 0",
    ),
    (
        |file| entry(file, "model_config", "[]"),
        "not a model that can be built: model_config is [], which is not possible here",
    ),
    (
        |file| entry(file, "model_config", "{}"),
        "not a model that can be built: model_config.class_name is null, which is not possible here",
    ),
    (
        |file| {
            entry(
                file,
                "model_config",
                r#"{"class_name":"Sequential","config":{"name":""}}"#,
            )
        },
        "not a model that can be built: model_config.layers is missing",
    ),
    (
        |file| {
            entry(
                file,
                "model_config",
                r#"{"class_name":"Sequential","config":{"name":"","layers":[]}}"#,
            )
        },
        "not a model that can be built: sequential: needs at least one layer",
    ),
    (
        |file| {
            entry(
                file,
                "model_config",
                r#"{"class_name":"Functional","config":{}}"#,
            )
        },
        "not a model that can be built: model_config.class_name is \"Functional\", which is not possible here",
    ),
    // Far deeper than any stack.
    (
        |file| entry(file, "model_config", &"[".repeat(1_000_000)),
        "not a model that can be built: recursion limit exceeded at line 1 column",
    ),
    (
        |file| entry(file, "model_config", &"{\"config\":".repeat(100_000)),
        "not a model that can be built: recursion limit exceeded at line 1 column",
    ),
    (
        |file| {
            let text = file.metadata["model_config"].replace("0.5", "1e999");
            entry(file, "model_config", &text);
        },
        "not a model that can be built: number out of range at line 1 column",
    ),
    (
        |file| {
            let text = file.metadata["model_config"].replace("0.5", "NaN");
            entry(file, "model_config", &text);
        },
        "not a model that can be built: expected value at line 1 column",
    ),
    (
        |file| change(file, 0, "batch_shape", json!([])),
        "not a model that can be built: model_config.layers[0].batch_shape is [], which is not possible here",
    ),
    (
        |file| change(file, 0, "batch_shape", json!([null, -4, 4, 1])),
        "not a model that can be built: model_config.layers[0].batch_shape is [null,-4,4,1], which",
    ),
    (
        |file| change(file, 0, "batch_shape", json!([null, 4.5])),
        "not a model that can be built: model_config.layers[0].batch_shape is [null,4.5], which",
    ),
    (
        |file| change(file, 0, "batch_shape", json!(vec![1; 65])),
        "not a model that can be built: model_config.layers[0].batch_shape is [1,1,1",
    ),
    (
        |file| change(file, 0, "batch_shape", json!([null, 0, 4, 1])),
        "not a model that can be built: sequential: an input of shape [0, 4, 1] has no elements",
    ),
    (
        |file| change(file, 0, "batch_shape", json!([null, 1u64 << 63, 4, 1])),
        "not a model that can be built: a tensor of shape [9223372036854775808, 4, 1] is too large",
    ),
    (
        |file| change(file, 0, "batch_shape", json!([null, 1u64 << 31, 1, 1])),
        "not a model that can be built: conv2d: a window of [3, 3]",
    ),
    (
        |file| change(file, 1, "filters", json!(0)),
        "not a model that can be built: conv2d: filters must be at least 1",
    ),
    (
        |file| change(file, 1, "filters", json!(3)),
        "conv2d/kernel is F32 [3, 3, 1, 2], the network has F32 [3, 3, 1, 3]",
    ),
    (
        |file| change(file, 1, "filters", json!(u64::MAX)),
        "not a model that can be built: a tensor of shape [3, 3, 1, 18446744073709551615] is too large",
    ),
    (
        |file| change(file, 1, "kernel_size", json!([3, u64::MAX])),
        "not a model that can be built: conv2d: a window of",
    ),
    (
        |file| change(file, 1, "kernel_size", json!([3, 3, 3])),
        "not a model that can be built: model_config.layers[1].kernel_size: invalid length 3, expected fewer elements in array",
    ),
    (
        |file| change(file, 1, "strides", json!([0, 1])),
        "not a model that can be built: conv2d: a window of [3, 3] with strides of [0, 1]",
    ),
    (
        |file| change(file, 2, "rate", json!(1)),
        "not a model that can be built: alpha_dropout: rate is 1.0, must be at least 0 and below 1",
    ),
    (
        |file| change(file, 2, "rate", json!(-1e-9)),
        "not a model that can be built: alpha_dropout: rate is -1e-9, must be at least 0 and below 1",
    ),
    (
        |file| change(file, 2, "noise_shape", json!([null])),
        "not a model that can be built: alpha_dropout: a noise_shape of [None]",
    ),
    (
        |file| change(file, 2, "fixed_point", json!([0, -1])),
        "not a model that can be built: alpha_dropout: variance is -1.0, must be finite and above 0",
    ),
    (
        |file| change(file, 3, "name", json!("conv2d")),
        "not a model that can be built: conv2d: the name is another layer's",
    ),
    (
        |file| change(file, 3, "name", json!("a/b")),
        "not a model that can be built: Flatten: \"a/b\" is no name for a layer: it is empty, or has a /",
    ),
    (
        |file| change(file, 4, "name", json!("dense_1")),
        "it has no dense_1/kernel",
    ),
    (
        |file| change(file, 4, "units", json!(1u64 << 31)),
        "not a model that can be built: a tensor of shape [8, 2147483648] is too large",
    ),
    (
        |file| change(file, 4, "units", json!(1u64 << 28)),
        "dense/kernel is F32 [8, 3], the network has F32 [8, 268435456]",
    ),
    (
        |file| change(file, 4, "use_bias", json!(false)),
        "it has dense/bias, which the network has not",
    ),
    (
        |file| drop(file.tensors.remove("dense/bias")),
        "it has no dense/bias",
    ),
    (
        |file| {
            let tensor = file.tensors["dense/bias"].clone();
            file.tensors
                .insert("adam/dense/bias/momentum".into(), tensor);
        },
        "it has no adam/conv2d/kernel/momentum",
    ),
];

#[wasm_bindgen_test::wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_file_that_is_no_model_says_why() {
    let good = small().await;
    for (change, expected) in CHANGES {
        let mut file = good.clone();
        change(&mut file);
        assert_ne!(file, good, "{expected}");
        let problem = file.problem().await;
        assert!(problem.starts_with(expected), "{problem}, not {expected}");
    }
    let bytes = good.bytes();
    for len in [0, 7, 100, bytes.len() - 1] {
        let error = Sequential::from_bytes(gpu(), &bytes[..len])
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the bytes: not a safetensors file"),
            "{error}"
        );
    }
}

#[wasm_bindgen_test::wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn bytes_are_loaded_into_a_network_and_have_moments_once_there_are_any() {
    let build = |seed| {
        let network = Sequential::new([2]).add(Dense::new(3).activation(Activation::Selu));
        network.build(gpu(), seed).unwrap()
    };
    let mut model = build(1);
    for tensors in [2, 6] {
        let bytes = model.to_bytes().await.unwrap();
        assert_eq!(File::read(&bytes).tensors.len(), tensors);
        let mut other = build(2);
        assert!(other.to_bytes().await.unwrap() != bytes);
        other.load_bytes(&bytes).await.unwrap();
        assert!(other.to_bytes().await.unwrap() == bytes);
        train(&mut model, 1).await;
    }
    // Without its layers it is as earlier versions wrote it, which had zeros where there were no moments.
    let mut earlier = File::of(&model).await;
    earlier.metadata.remove("model_config");
    let mut other = build(2);
    other.load_bytes(&earlier.bytes()).await.unwrap();
    assert_eq!(File::of(&other).await, File::of(&model).await);
    earlier.tensors.retain(|name, _| !name.starts_with("adam"));
    let error = other.load_bytes(&earlier.bytes()).await.unwrap_err();
    let expected = "the bytes: it has no adam/dense/kernel/momentum";
    assert_eq!(error.to_string(), expected);
    model.reset_optimizer();
    assert_eq!(File::of(&model).await.tensors.len(), 2);
}

#[wasm_bindgen_test::wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_network_whose_learning_rate_was_a_function_predicts_and_needs_one_to_train() {
    let network = Sequential::new([2]).add(Dense::new(3));
    let rate = LearningRate::custom(|step| 1.0 / (step + 2) as f64);
    let mut model = network.build(gpu(), 1).unwrap();
    let loss = Loss::MeanSquaredError;
    model.compile(Adam::new(rate.clone()), loss).unwrap();
    train(&mut model, 2).await;
    let mut opened = File::of(&model).await.open().await.unwrap();
    assert_eq!(File::of(&opened).await, File::of(&model).await);
    let x = noise(&[7, 2], 1);
    let [y, z] = [&model, &opened].map(|model| model.predict_async(&x));
    assert_eq!(bits(&y.await.unwrap()).await, bits(&z.await.unwrap()).await);

    let y = noise(&[7, 3], 2);
    let error = opened.train_on_batch_async(&x, &y).await.unwrap_err();
    let expected = "adam: the learning rate was a function of the step, which a file can't hold; \
                    set_learning_rate before you train";
    assert_eq!(error.to_string(), expected);
    opened.set_learning_rate(rate).unwrap();
    assert_eq!(train(&mut opened, 2).await, train(&mut model, 2).await);
}

#[wasm_bindgen_test::wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn strings_of_one_s_own_go_with_the_network() {
    let network = Sequential::new([2]).add(Dense::new(3));
    let mut model = network.build(gpu(), 1).unwrap();
    assert!(model.metadata().is_empty());
    model.set_metadata("classes", "cat").unwrap();
    model
        .set_metadata("classes", "cat,\"dog\",\u{1f34e}")
        .unwrap();
    model.set_metadata("", "\n").unwrap();
    let strings = |model: &Sequential| Vec::from_iter(model.metadata().clone());
    let own = [("", "\n"), ("classes", "cat,\"dog\",\u{1f34e}")];
    let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(strings(&model), own);
    assert_eq!(strings(&model.duplicate().unwrap()), own);
    // Where other programs look for them.
    let file = File::of(&model).await;
    assert_eq!(file.metadata["classes"], own[1].1);
    let opened = file.open().await.unwrap();
    assert_eq!(strings(&opened), own);

    // What is loaded replaces what is called the same.
    let mut other = network.build(gpu(), 2).unwrap();
    other.set_metadata("classes", "none").unwrap();
    other.set_metadata("of", "mine").unwrap();
    other.load_bytes(&file.bytes()).await.unwrap();
    let both = [&own[..], &[("of".into(), "mine".into())]].concat();
    assert_eq!(strings(&other), both);

    // Of a file that this crate has not written they are somebody else's.
    let mut foreign = file.clone();
    foreign.metadata = HashMap::from(
        [("format", "pt"), ("epoch", "7")].map(|(key, value)| (key.into(), value.into())),
    );
    other.load_bytes(&foreign.bytes()).await.unwrap();
    assert_eq!(strings(&other), both);

    for key in file
        .metadata
        .keys()
        .filter(|key| !key.is_empty() && *key != "classes")
    {
        let error = model.set_metadata(key, "1").unwrap_err().to_string();
        let expected = format!("set_metadata: {key:?} is the file's own");
        assert!(error.starts_with(&expected), "{error}");
    }
    assert_eq!(strings(&model), own);
}

#[cfg(not(target_family = "wasm"))]
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_saved_network_is_opened_to_train_anew_and_a_checkpoint_to_train_on() {
    let folder = tempfile::tempdir().unwrap();
    let [saved, checkpoint] = ["saved", "checkpoint"].map(|name| folder.path().join(name));
    let network = Sequential::new([2])
        .add(Dense::new(3).activation(Activation::Selu))
        .add(AlphaDropout::new(0.25));
    let compiled = || {
        let mut model = network.build(gpu(), 7).unwrap();
        let optimizer = Adam::new(CosineDecay::new(0.01, 9)).clipnorm(0.5);
        model.compile(optimizer, Loss::Huber(0.5)).unwrap();
        model.set_metadata("of", "mine").unwrap();
        model
    };
    let mut model = compiled();
    pollster::block_on(train(&mut model, 3));
    model.save(&saved).unwrap();
    model.save_checkpoint(&checkpoint).unwrap();
    let bytes = pollster::block_on(model.to_bytes()).unwrap();
    assert!(std::fs::read(&checkpoint).unwrap() == bytes);

    let mut goes_on = Sequential::open(gpu(), &checkpoint).unwrap();
    assert_eq!(goes_on.step(), 3);
    // A new network with these weights.
    let mut anew = Sequential::open(gpu(), &saved).unwrap();
    assert_eq!((anew.step(), anew.epoch()), (0, 0));
    let mut expected = compiled();
    expected.set_weights(&model.weights().unwrap()).unwrap();
    for (opened, other) in [(&mut goes_on, &mut model), (&mut anew, &mut expected)] {
        assert_eq!(opened.optimizer(), other.optimizer());
        let losses = [&mut *opened, &mut *other].map(|model| pollster::block_on(train(model, 3)));
        assert_eq!(losses[0], losses[1]);
        let files = [opened, other].map(|model| pollster::block_on(model.to_bytes()).unwrap());
        assert!(files[0] == files[1]);
    }
    let missing = folder.path().join("missing");
    let error = Sequential::open(gpu(), &missing).unwrap_err();
    assert!(
        matches!(&error, Error::File { path, .. } if *path == missing.display().to_string()),
        "{error}"
    );
}

#[cfg(not(target_family = "wasm"))]
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn metadata_beyond_the_format_s_limit_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = Sequential::new([1])
        .add(Dense::new(1))
        .build(gpu(), 1)
        .unwrap();
    model.set_metadata("long", "x".repeat(100_000_000)).unwrap();
    let error = model
        .save(folder.path().join("long"))
        .unwrap_err()
        .to_string();
    let expected = "bytes, 100000000 is the most";
    assert!(
        error.contains("layers and metadata take 1000") && error.ends_with(expected),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Files that the crate wrote before `save` had layers in them, of a network of seed 42 that has done three steps.
/// What it predicted then, for the samples below, and its loss in the fourth step.
mod earlier {
    use super::*;

    const WEIGHTS: &[u8] = include_bytes!("../data/earlier_weights.safetensors");
    const CHECKPOINT: &[u8] = include_bytes!("../data/earlier_checkpoint.safetensors");
    const MODEL: &[u8] = include_bytes!("../data/earlier_model.safetensors");
    const PREDICTED: [f32; 4] = [0.48555726, 0.5144428, 0.3262774, 0.6737226];
    const LOSS: f64 = 0.5739829540252686;

    fn network(activation: Activation) -> SequentialBuilder {
        Sequential::new([3])
            .add(Dense::new(4).activation(activation))
            .add(AlphaDropout::new(0.25))
            .add(Dense::new(2).activation(Activation::Softmax))
    }

    fn build() -> Sequential {
        network(Activation::Selu).build(gpu(), 7).unwrap()
    }

    fn x() -> Tensor {
        let x = [0.5, -1.0, 2.0, 1.0, 0.25, -0.75];
        gpu().tensor(&x, [2, 3]).unwrap()
    }

    async fn check_predictions(model: &Sequential) {
        let y = model
            .predict_async(&x())
            .await
            .unwrap()
            .read()
            .await
            .unwrap();
        for (y, expected) in y.into_iter().zip(PREDICTED) {
            assert!((y - expected).abs() <= 1e-6, "{y}, not {expected}");
        }
    }

    #[wasm_bindgen_test::wasm_bindgen_test(unsupported = pollster::test)]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    async fn weights_load_into_any_network_of_their_names() {
        let mut model = build();
        model.load_bytes(WEIGHTS).await.unwrap();
        assert_eq!(model.step(), 0);
        check_predictions(&model).await;
        // Nothing in the file says which activation it is.
        let mut relu = network(Activation::Relu).build(gpu(), 7).unwrap();
        relu.load_bytes(WEIGHTS).await.unwrap();
        assert_eq!(
            File::read(WEIGHTS).problem().await,
            "it has weights and no layers, which are its model_config; build the network, then load, or load_with for other names and layouts, as PyTorch's"
        );
    }

    #[wasm_bindgen_test::wasm_bindgen_test(unsupported = pollster::test)]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    async fn checkpoints_and_models_train_on() {
        let [mut checkpoint, mut model] = [build(), build()];
        checkpoint.load_bytes(CHECKPOINT).await.unwrap();
        model.load_bytes(MODEL).await.unwrap();
        let opened = Sequential::from_bytes(gpu(), MODEL).await.unwrap();
        for mut model in [checkpoint, model, opened] {
            assert_eq!((model.step(), model.epoch()), (3, 2));
            check_predictions(&model).await;
            let y = gpu().tensor(&[1.0, 0.0, 0.0, 1.0], [2, 2]).unwrap();
            let score = model.train_on_batch_async(&x(), &y).await.unwrap();
            assert!((score.loss - LOSS).abs() <= 1e-6, "{}", score.loss);
            assert!(model.metadata().is_empty());
        }
        assert_eq!(
            File::read(CHECKPOINT).problem().await,
            "it has weights and no layers, which are its model_config; build the network, then load_checkpoint"
        );
        let mut relu = network(Activation::Relu).build(gpu(), 7).unwrap();
        let error = relu.load_bytes(MODEL).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "the bytes: dense: the file has activation selu, the network relu"
        );
    }
}

/// A network, one that differs from it, and the difference, if it changes what the weights predict.
fn differences() -> Vec<(SequentialBuilder, SequentialBuilder, Option<&'static str>)> {
    use Activation::*;
    let dense = |activation| Sequential::new([4]).add(Dense::new(4).activation(activation));
    let of = |layer: Layer| Sequential::new([4, 4, 2]).add(layer);
    let conv2d = || Conv2d::new(2, [3, 3]);
    let pool = || MaxPool2d::new([2, 2]);
    vec![
        (
            dense(Selu),
            dense(Relu),
            Some("dense: the file has activation selu, the network relu"),
        ),
        (
            dense(Linear),
            dense(Tanh),
            Some("dense: the file has activation linear, the network tanh"),
        ),
        (
            dense(Elu(1.0)),
            dense(Elu(0.5)),
            Some("dense: the file has activation elu(alpha 1.0), the network elu(alpha 0.5)"),
        ),
        (
            dense(Gelu { approximate: true }),
            dense(Gelu { approximate: false }),
            Some(
                "dense: the file has activation gelu(approximate true), the network gelu(approximate false)",
            ),
        ),
        (
            dense(Selu),
            dense(SeluWith(self::Selu {
                alpha: 1.5,
                scale: 1.0,
            })),
            Some("dense: the file has activation selu, the network selu(alpha 1.5, scale 1.0)"),
        ),
        (
            dense(Linear).add(Dense::new(4).activation(Selu)),
            dense(Linear).add(Dense::new(4).activation(Relu)),
            Some("dense_1: the file has activation selu, the network relu"),
        ),
        // An activation behind a layer is the layer's.
        (dense(Selu), dense(Linear).add(Selu), None),
        // A penalty is of the training.
        (
            Sequential::new([4]).add(Dense::new(4).kernel_regularizer(Regularizer::L2(1e-4))),
            Sequential::new([4]).add(Dense::new(4).kernel_regularizer(Regularizer::L2(1e-3))),
            None,
        ),
        (
            Sequential::new([4]).add(Dense::new(4).kernel_regularizer(Regularizer::L1(1e-4))),
            Sequential::new([4]).add(Dense::new(4)),
            None,
        ),
        (
            dense(Selu).add(Tanh),
            dense(Selu).add(Sigmoid),
            Some("dense: the file has activation selu, then tanh, the network selu, then sigmoid"),
        ),
        (
            Sequential::new([4]).add(Selu).add(Dense::new(4)),
            Sequential::new([4]).add(Relu).add(Dense::new(4)),
            Some("activation: the file has activation selu, the network relu"),
        ),
        (
            Sequential::new([4]).add(Dense::new(4)),
            Sequential::new([4]).add(Relu).add(Dense::new(4)),
            Some("activation: the file has Dense, the network Activation"),
        ),
        (
            of(Dense::new(3).into()),
            of(Dense::new(5).into()),
            Some("dense: the file has units 3, the network 5"),
        ),
        (
            of(Dense::new(3).into()),
            of(Dense::new(3).use_bias(false).into()),
            Some("dense: the file has use_bias true, the network false"),
        ),
        (
            of(Dense::new(3).into()),
            of(Dense::new(3).name("last").into()),
            Some("last: the file has name dense, the network last"),
        ),
        (
            of(conv2d().into()),
            of(Dense::new(2).into()),
            Some("dense: the file has Conv2D, the network Dense"),
        ),
        (
            of(conv2d().into()),
            of(conv2d().padding(Padding::Same).into()),
            Some("conv2d: the file has padding valid, the network same"),
        ),
        (
            of(conv2d().into()),
            of(conv2d().strides([2, 1]).into()),
            Some("conv2d: the file has strides [1,1], the network [2,1]"),
        ),
        (
            of(pool().into()).add(Dense::new(3)),
            of(pool().strides([1, 1]).into()).add(Dense::new(3)),
            Some("max_pooling2d: the file has strides [2,2], the network [1,1]"),
        ),
        (
            of(pool().into()).add(Dense::new(3)),
            of(AveragePooling2d::new([2, 2]).into()).add(Dense::new(3)),
            Some("average_pooling2d: the file has MaxPooling2D, the network AveragePooling2D"),
        ),
        (
            of(Reshape::new([4, 2, 4]).into()),
            of(Reshape::new([2, 4, 4]).into()),
            Some("reshape: the file has target_shape [4,2,4], the network [2,4,4]"),
        ),
        (
            of(LayerNormalization::new().into()),
            of(LayerNormalization::new().epsilon(0.5).into()),
            Some("layer_normalization: the file has epsilon 0.001, the network 0.5"),
        ),
        (
            of(BatchNormalization::new().into()),
            of(BatchNormalization::new().epsilon(0.5).into()),
            Some("batch_normalization: the file has epsilon 0.001, the network 0.5"),
        ),
        (
            dense(Selu).add(Dense::new(1)),
            dense(Selu),
            Some("dense_1: the file has this layer, the network has not"),
        ),
        (
            dense(Selu),
            dense(Selu).add(Flatten::new().name("flat")),
            Some("flat: the network has this layer, the file has not"),
        ),
        // What a prediction does not depend on.
        (
            of(conv2d().into())
                .add(Dropout::new(0.5))
                .add(Dense::new(3))
                .add(AlphaDropout::new(0.1)),
            Sequential::new([7, 5, 2])
                .add(
                    conv2d()
                        .kernel_initializer(LecunNormal)
                        .bias_initializer(HeNormal),
                )
                .add(AlphaDropout::new(0.25).noise_shape([None, Some(1), None, None]))
                .add(Dense::new(3).trainable(false))
                .tiling(Tiling::Workgroup),
            None,
        ),
        (
            of(BatchNormalization::new().momentum(0.5).into()).add(Flatten::new()),
            of(BatchNormalization::new().trainable(false).into()).add(Flatten::new().name("flat")),
            None,
        ),
    ]
}

#[wasm_bindgen_test::wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_file_of_another_function_is_an_error_that_names_the_layer() {
    for (file, network, expected) in differences() {
        let file = file.build(gpu(), 1).unwrap();
        let checkpoint = File::of(&file).await;
        let mut saved = checkpoint.clone();
        for key in ["step", "epoch", "optimized_from"] {
            saved.metadata.remove(key);
        }
        for file in [saved, checkpoint] {
            let mut model = network.build(gpu(), 2).unwrap();
            let before = File::of(&model).await;
            let loaded = model.load_bytes(&file.bytes()).await;
            match expected {
                Some(expected) => {
                    let error = loaded.unwrap_err().to_string();
                    assert_eq!(error, format!("the bytes: {expected}"));
                    assert_eq!(File::of(&model).await, before);
                }
                None => {
                    loaded.unwrap();
                    assert_eq!(File::of(&model).await.tensors, file.tensors);
                }
            }
        }
    }
}
