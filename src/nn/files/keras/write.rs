//! A network as Keras 3 saves one.

use serde_json::{Value, json};

use super::super::contents::{Contents, Snapshot};
use super::super::fields::Object;
use super::hdf5::Writer;
use super::{CONFIG, METADATA, WEIGHTS, archive, config, training};
use crate::Result;
use crate::gpu::transfer;
use crate::nn::files::error;
use crate::nn::layers::{Kind, Layer};
use crate::nn::{Activation, LearningRate, Padding, Sequential, SequentialBuilder};

/// The version whose files these are like.
const VERSION: &str = "3.0.0";

/// What Keras has no name for.
type Problems = Vec<String>;

/// The file; `name` is its name in errors.
pub(super) async fn write(
    model: &Sequential,
    name: &str,
    progress: &impl transfer::Progress,
) -> Result<Vec<u8>> {
    let snapshot = Snapshot::of(model, Contents::Checkpoint, progress).await?;
    let described = describe(model, &snapshot);
    let described = described.map_err(|problem| error(name, problem))?;
    let metadata = json!({"keras_version": VERSION});
    let entries = [
        (METADATA, metadata.to_string().into_bytes()),
        (CONFIG, described.to_string().into_bytes()),
        (WEIGHTS, weights(model, &snapshot)),
    ];
    let entries: Vec<_> = entries
        .iter()
        .map(|(name, bytes)| (*name, &bytes[..]))
        .collect();
    archive::write(&entries).map_err(|problem| error(name, problem))
}

fn weights(model: &Sequential, snapshot: &Snapshot) -> Vec<u8> {
    let trained = || model.network.trained_weights();
    // Before the first moments there are only zeros.
    let longest = trained().map(|weight| weight.len).max().unwrap_or_default();
    let zeros = match snapshot.has_slots() {
        true => Vec::new(),
        false => vec![0.0; longest],
    };
    let iterations = i32::try_from(snapshot.step - snapshot.optimized_from);
    let iterations = [iterations.unwrap_or(i32::MAX)];
    let rate = match model.optimizer.learning_rate() {
        LearningRate::Constant(rate) => Some([*rate as f32]),
        // Keras has no variable for it.
        _ => None,
    };
    let mut file = Writer::default();
    let places = config::places(&model.builder.layers);
    for (layer, place) in model.network.layers.iter().zip(places) {
        let path = |number: usize| format!("{}/vars/{number}", place.path);
        for (number, weight) in layer.weights.iter().enumerate() {
            let values = snapshot.values(weight, None);
            file.f32s(&path(number), &weight.shape, values);
        }
        // How much it has seen, which nothing depends on.
        if layer.layer_type == "Normalization" {
            file.integers(&path(layer.weights.len()), &[], &[0]);
        }
    }
    if snapshot.step > 0 {
        file.integers("optimizer/vars/0", &[], &iterations);
        let mut numbers = 1..;
        let mut next = || format!("optimizer/vars/{}", numbers.next().unwrap_or_default());
        if let Some(rate) = &rate {
            file.f32s(&next(), &[], rate);
        }
        for weight in trained() {
            for slot in 0..model.optimizer.slots().len() {
                let values = match snapshot.has_slots() {
                    true => snapshot.values(weight, Some(slot)),
                    false => &zeros[..weight.len],
                };
                file.f32s(&next(), &weight.shape, values);
            }
        }
    }
    file.finish()
}

/// The model's config, or all that Keras does not have.
fn describe(model: &Sequential, snapshot: &Snapshot) -> std::result::Result<Value, String> {
    let mut problems = Problems::new();
    let shape = json!(batch_shape(&model.builder));
    let mut layers = vec![object(
        "keras.layers",
        "InputLayer",
        json!({"batch_shape": shape, "dtype": "float32", "name": free_name("input_layer", &model.builder)}),
    )];
    for layer in &model.builder.layers {
        describe_layer(layer, &model.builder, &mut layers, &mut problems);
    }
    let mut described = object(
        "keras",
        "Sequential",
        json!({"name": "sequential", "trainable": true, "layers": layers}),
    );
    described["build_config"] = json!({"input_shape": shape});
    if snapshot.step > 0 {
        if i32::try_from(snapshot.step - snapshot.optimized_from).is_err() {
            problems.push(format!("count of {} steps", snapshot.step));
        }
        match training::write(&model.optimizer, model.loss, &model.network) {
            Ok(compiled) => described["compile_config"] = compiled,
            Err(problem) => problems.push(problem),
        }
    }
    match problems.is_empty() {
        true => Ok(described),
        false => Err(format!("Keras has no {}", problems.join("; no "))),
    }
}

fn object(module: &str, class: &str, config: Value) -> Value {
    json!({"module": module, "class_name": class, "config": config, "registered_name": null})
}

fn batch_shape(builder: &SequentialBuilder) -> Vec<Option<usize>> {
    let shape = builder.input_shape.iter().map(|&extent| Some(extent));
    [None].into_iter().chain(shape).collect()
}

/// A name that no layer has.
fn free_name(wanted: &str, builder: &SequentialBuilder) -> String {
    let is_taken = |name: &str| {
        let mut layers = builder.layers.iter();
        layers.any(|layer| layer.name.as_deref() == Some(name))
    };
    let mut name = wanted.to_owned();
    while is_taken(&name) {
        name.push('_');
    }
    name
}

fn describe_layer(
    layer: &Layer,
    builder: &SequentialBuilder,
    layers: &mut Vec<Value>,
    problems: &mut Problems,
) {
    let name = layer.name.as_deref().unwrap_or_default();
    let mut layer = layer.clone();
    let activation = match &layer.kind {
        Kind::Dense { weighted, .. } | Kind::Conv2d { weighted, .. } => Some(weighted.activation),
        Kind::Activation(activation) => Some(*activation),
        _ => None,
    };
    if let Some(activation) = activation.filter(|activation| !is_known(activation)) {
        problems.push(format!("activation {activation:?} ({name})"));
    }
    match &mut layer.kind {
        Kind::Conv2d { window, .. } => {
            if let Padding::Explicit { before, after } = window.padding {
                let [[top, left], [bottom, right]] = [before, after];
                layers.push(object(
                    "keras.layers",
                    "ZeroPadding2D",
                    json!({
                        "name": free_name(&format!("{name}_padding"), builder),
                        "trainable": true,
                        "padding": [[top, bottom], [left, right]],
                        "data_format": "channels_last",
                    }),
                ));
                window.padding = Padding::Valid;
            }
        }
        Kind::MaxPool2d(window) | Kind::AveragePooling2d(window) => {
            if let Padding::Explicit { .. } = window.padding {
                problems.push(format!("padding {:?} of a pool ({name})", window.padding));
            }
        }
        Kind::AlphaDropout(dropout, _) if [dropout.mean, dropout.variance] != [0.0, 1.0] => {
            problems.push(format!("fixed point of AlphaDropout ({name})"));
        }
        _ => {}
    }
    let described = match &layer.kind {
        // These are layers there, with a parameter.
        Kind::Activation(activation @ (Activation::Elu(_) | Activation::LeakyRelu(_))) => {
            let mut config = activation.config();
            config.insert("name".into(), json!(layer.name));
            object("keras.layers", activation.class(), config.into())
        }
        _ => object("keras.layers", layer.class(), layer.config().into()),
    };
    layers.push(described);
}

/// Whether Keras has a function or a layer for it.
fn is_known(activation: &Activation) -> bool {
    match activation {
        Activation::SeluWith(selu) => *selu == crate::Selu::default(),
        Activation::Gelu { approximate } => !approximate,
        Activation::Sine(_) => false,
        _ => true,
    }
}
