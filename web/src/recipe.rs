//! What a network is made of.

use selfnorm::nn::{
    Activation, Adam, AlphaDropout, BatchNormalization, Dense, Dropout, Initializer, Layer, Optimizer, Sequential,
    SequentialBuilder, Sgd,
};
use wasm_bindgen::prelude::*;

use crate::failure::{Failure, refused};

/// The units of a hidden layer.
const UNITS: usize = 64;

const MAX_DEPTH: u32 = 64;

/// Dense layers, all alike, and how they are trained.
#[wasm_bindgen]
pub struct Recipe {
    depth: usize,
    activation: Activation,
    initializer: Initializer,
    is_normalized: bool,
    dropout: f64,
    optimizer: Optimizer,
}

#[wasm_bindgen]
impl Recipe {
    /// `depth` hidden layers, from 1 to 64; activation, initializer and optimizer have Keras's names, such
    /// as `"selu"`, `"lecun_normal"` and `"sgd"`. A `dropout` of 0 is none.
    #[wasm_bindgen(constructor)]
    pub fn new(
        depth: u32,
        activation: &str,
        initializer: &str,
        normalization: &str,
        dropout: f64,
        optimizer: &str,
        learning_rate: f64,
    ) -> Result<Self, Failure> {
        if !(1..=MAX_DEPTH).contains(&depth) {
            return Err(refused(format!(
                "{depth} hidden layers; 1 to {MAX_DEPTH} are possible"
            )));
        }
        let unknown = |kind: &str, name: &str| refused(format!("there is no {kind} {name:?}"));
        Ok(Self {
            depth: depth as usize,
            activation: match activation {
                "elu" => Activation::Elu(1.0),
                "gelu" => Activation::Gelu { approximate: false },
                "leaky_relu" => Activation::LeakyRelu(0.2),
                "linear" => Activation::Linear,
                "relu" => Activation::Relu,
                "selu" => Activation::Selu,
                "sigmoid" => Activation::Sigmoid,
                "silu" => Activation::Silu,
                "softplus" => Activation::Softplus,
                "tanh" => Activation::Tanh,
                name => return Err(unknown("activation", name)),
            },
            initializer: match initializer {
                "glorot_normal" => Initializer::GlorotNormal,
                "glorot_uniform" => Initializer::GlorotUniform,
                "he_normal" => Initializer::HeNormal,
                "he_uniform" => Initializer::HeUniform,
                "lecun_normal" => Initializer::LecunNormal,
                "lecun_uniform" => Initializer::LecunUniform,
                name => return Err(unknown("initializer", name)),
            },
            is_normalized: match normalization {
                "none" => false,
                "batch" => true,
                name => return Err(unknown("normalization", name)),
            },
            dropout,
            optimizer: match optimizer {
                "adam" => Adam::new(learning_rate).into(),
                "sgd" => Sgd::new(learning_rate).into(),
                name => return Err(unknown("optimizer", name)),
            },
        })
    }
}

impl Recipe {
    pub fn depth(&self) -> usize {
        self.depth
    }

    pub fn optimizer(&self) -> Optimizer {
        self.optimizer.clone()
    }

    /// The layers, for images of so many pixels.
    pub fn network(&self, pixels: usize) -> SequentialBuilder {
        let mut network = Sequential::new([pixels]);
        for layer in 1..=self.depth {
            let dense = Dense::new(UNITS)
                .kernel_initializer(self.initializer)
                .name(hidden(layer));
            network = match self.is_normalized {
                false => network.add(dense.activation(self.activation)),
                true => network
                    .add(dense.use_bias(false))
                    .add(BatchNormalization::new())
                    .add(Layer::from(self.activation).name(activated(layer))),
            };
            if self.has_dropout() {
                network = network.add(self.dropout(layer));
            }
        }
        network.add(Dense::new(10).activation(Activation::Softmax))
    }

    /// The name of what hands the output of hidden layer `layer` on, counted from 1.
    pub fn output(&self, layer: usize) -> String {
        match (self.has_dropout(), self.is_normalized) {
            (true, _) => dropout(layer),
            (false, true) => activated(layer),
            (false, false) => hidden(layer),
        }
    }

    fn has_dropout(&self) -> bool {
        self.dropout != 0.0
    }

    /// The dropout that goes with the activation.
    fn dropout(&self, layer: usize) -> Layer {
        let name = dropout(layer);
        match self.activation {
            Activation::Selu => AlphaDropout::new(self.dropout).name(name).into(),
            _ => Dropout::new(self.dropout).name(name).into(),
        }
    }
}

/// The name of the kernel that sees the pixels.
pub fn first_kernel() -> String {
    format!("{}/kernel", hidden(1))
}

fn hidden(layer: usize) -> String {
    format!("hidden_{layer}")
}

fn activated(layer: usize) -> String {
    format!("activation_{layer}")
}

fn dropout(layer: usize) -> String {
    format!("dropout_{layer}")
}
