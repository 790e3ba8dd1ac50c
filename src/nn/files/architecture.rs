//! Whether two networks compute the same function of the same weights. If not, the error says which layer and
//! what of it differs.
//!
//! Everything that is written of every layer of a kind counts unless it is named here: a new option is compared.

use serde_json::{Map, Value};

use super::config;
use super::fields::Object;
use crate::nn::layers::{Kind, Layer};
use crate::nn::{Activation, SequentialBuilder};

/// What a prediction does not depend on.
const TRAINING: [&str; 5] = [
    "trainable",
    "kernel_initializer",
    "bias_initializer",
    "kernel_regularizer",
    // Of moving averages.
    "momentum",
];

/// A layer, and the activations behind it, which are the same whether they are its own or layers.
struct Function<'a> {
    name: &'a str,
    /// None where activations come first.
    layer: Option<&'a Layer>,
    activations: Vec<Activation>,
}

/// An error if a file's layers are not the network's.
pub(super) fn check(file: &SequentialBuilder, network: &SequentialBuilder) -> Result<(), String> {
    let (mut file, mut network) = (functions(file), functions(network));
    loop {
        match (file.next(), network.next()) {
            (None, None) => return Ok(()),
            (Some(found), None) => {
                let name = found.name;
                return Err(format!(
                    "{name}: the file has this layer, the network has not"
                ));
            }
            (None, Some(own)) => {
                let name = own.name;
                return Err(format!(
                    "{name}: the network has this layer, the file has not"
                ));
            }
            (Some(found), Some(own)) => compare(&found, &own)?,
        }
    }
}

fn functions(builder: &SequentialBuilder) -> impl Iterator<Item = Function<'_>> {
    let is_there =
        |layer: &&Layer| !matches!(layer.kind, Kind::AlphaDropout(..) | Kind::Dropout(..));
    let mut layers = builder.layers.iter().filter(is_there).peekable();
    let mut is_first = true;
    std::iter::from_fn(move || {
        let is_input = std::mem::take(&mut is_first);
        let first = *layers.peek()?;
        let mut activations = Vec::new();
        let layer = match &first.kind {
            Kind::Activation(_) if is_input => None,
            _ => layers.next(),
        };
        if let Some(Kind::Dense { weighted, .. } | Kind::Conv2d { weighted, .. }) =
            layer.map(|layer| &layer.kind)
        {
            activations.push(weighted.activation);
        }
        while let Some(Kind::Activation(activation)) = layers.peek().map(|layer| &layer.kind) {
            activations.push(*activation);
            layers.next();
        }
        activations.retain(|&activation| activation != Activation::Linear);
        Some(Function {
            name: first.name.as_deref().unwrap_or(first.types().1),
            layer,
            activations,
        })
    })
}

fn compare(file: &Function, network: &Function) -> Result<(), String> {
    let name = network.name;
    let differs = |what: &str, found: &str, own: &str| {
        Err(format!(
            "{name}: the file has {what}{found}, the network {own}"
        ))
    };
    let class = |function: &Function| function.layer.map_or("Activation", |layer| layer.types().0);
    if class(file) != class(network) {
        return differs("", class(file), class(network));
    }
    if let (Some(found), Some(own)) = (file.layer, network.layer) {
        let [found, own] = [found, own].map(options);
        for (key, own) in &own {
            if let Some(found) = found.get(key).filter(|&found| found != own) {
                return differs(&format!("{key} "), &plain(found), &plain(own));
            }
        }
    }
    if file.activations != network.activations {
        let [found, own] = [file, network].map(|function| named(&function.activations));
        return differs("activation ", &found, &own);
    }
    Ok(())
}

/// What a prediction depends on, but for the activation.
fn options(layer: &Layer) -> Map<String, Value> {
    let mut options = layer.config();
    // Weights go by their layer's name.
    let has_weights = matches!(
        layer.kind,
        Kind::Dense { .. }
            | Kind::Conv2d { .. }
            | Kind::Normalization(_)
            | Kind::BatchNormalization { .. }
            | Kind::LayerNormalization { .. }
    );
    options.retain(|key, _| {
        let counts = key != "name" || has_weights;
        counts && key != "activation" && !TRAINING.contains(&&key[..])
    });
    options
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// One after the other, with their constants: `elu(alpha 0.5)`.
fn named(activations: &[Activation]) -> String {
    if activations.is_empty() {
        return "linear".into();
    }
    let names = activations.iter().map(|activation| {
        let constants = activation.config();
        let name = config::activation_name(activation);
        if constants.is_empty() {
            return name.to_owned();
        }
        let constants = constants
            .iter()
            .map(|(key, value)| format!("{key} {value}"));
        format!("{name}({})", constants.collect::<Vec<_>>().join(", "))
    });
    names.collect::<Vec<_>>().join(", then ")
}
