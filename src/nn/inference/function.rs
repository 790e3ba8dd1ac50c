//! A network as steps from one vector to the next, and the order in which a function reads its weights.

use crate::Result;
use crate::nn::layers;
use crate::nn::network::{BuiltLayer, Network, Parameters, StageKind, Sums};
use crate::ops::elementwise::Elementwise;

/// Values in a vector.
pub(super) const LANES: usize = 4;

/// The steps from a sample to its output.
#[derive(Debug)]
pub(super) struct Function {
    pub inputs: usize,
    pub outputs: usize,
    pub steps: Vec<Step>,
    /// Packed weights, in vectors.
    pub packed: usize,
}

#[derive(Debug)]
pub(super) struct Step {
    /// The layer's name.
    pub name: String,
    /// How many values it makes.
    pub len: usize,
    pub kind: StepKind,
    pub activation: Elementwise,
}

#[derive(Debug)]
pub(super) enum StepKind {
    /// With its first packed vector, and how many values it takes.
    Dense {
        first: usize,
        inputs: usize,
        parameters: Parameters,
    },
    Softmax,
    /// Nothing but the activation.
    Activation,
}

impl Function {
    /// The first packed vector has no weights, see [`Wgsl`](super::Wgsl).
    pub fn of(network: &Network) -> Result<Self> {
        refuse(network)?;
        let mut packed = 1;
        let mut steps = Vec::new();
        for (i, stage) in network.stages.iter().enumerate() {
            let kind = match stage.kind {
                StageKind::Weighted(Sums::Dense { inputs, .. }, parameters) => {
                    let first = packed;
                    packed += blocks(stage.len) * (1 + LANES * blocks(inputs));
                    StepKind::Dense {
                        first,
                        inputs,
                        parameters,
                    }
                }
                StageKind::Softmax { .. } => StepKind::Softmax,
                // A dropout is the identity here.
                _ => StepKind::Activation,
            };
            steps.push(Step {
                name: layer_of(network, i),
                len: stage.len,
                kind,
                activation: stage.epilogue.activation,
            });
        }
        Ok(Self {
            inputs: network.input_shape.iter().product(),
            outputs: network.output_shape().iter().product(),
            steps,
            packed,
        })
    }

    /// For each packed value, which of the network's parameters it is, or none where it is 0.
    pub fn places(&self) -> Vec<Option<usize>> {
        let mut places = vec![None; LANES];
        for step in &self.steps {
            let StepKind::Dense {
                inputs, parameters, ..
            } = step.kind
            else {
                continue;
            };
            let outputs = step.len;
            let bias = |n| parameters.bias.then_some(inputs * outputs + n);
            let weight = |i, n| (i < inputs).then_some(i * outputs + n);
            for block in 0..blocks(outputs) {
                let lanes = (0..LANES).map(|lane| block * LANES + lane);
                let mut vector = |place: &dyn Fn(usize) -> Option<usize>| {
                    let of = |n| place(n).filter(|_| n < outputs);
                    places.extend(lanes.clone().map(|n| Some(parameters.offset + of(n)?)));
                };
                vector(&bias);
                for i in 0..blocks(inputs) * LANES {
                    vector(&|n| weight(i, n));
                }
            }
        }
        places
    }
}

/// How many vectors hold `len` values.
pub(super) fn blocks(len: usize) -> usize {
    len.div_ceil(LANES)
}

/// The name of the layer that has a stage.
fn layer_of(network: &Network, stage: usize) -> String {
    let has = |layer: &&BuiltLayer| layer.output.stages() > stage;
    let layer = network.layers.iter().find(has);
    layer.map_or_else(String::new, |layer| layer.name.clone())
}

/// The error that names the first layer that is no step, and lists all of them.
fn refuse(network: &Network) -> Result<()> {
    let mut refused = Vec::new();
    for (i, stage) in network.stages.iter().enumerate() {
        let why = match stage.kind {
            StageKind::Weighted(Sums::Dense { rows: 1, .. }, _)
            | StageKind::Softmax { rows: 1, .. }
            | StageKind::Epilogue
            | StageKind::Dropout(..) => continue,
            StageKind::Weighted(Sums::Conv2d { .. }, _) => "a convolution".into(),
            StageKind::MaxPool2d { .. } | StageKind::AveragePool2d { .. } => "a pool".into(),
            StageKind::Normalization(_) => "a normalization".into(),
            StageKind::Weighted(Sums::Dense { rows, .. }, _) | StageKind::Softmax { rows, .. } => {
                format!("it takes {rows} vectors a sample, without a Flatten before it")
            }
        };
        refused.push((layer_of(network, i), why));
    }
    let Some((first, _)) = refused.first() else {
        return Ok(());
    };
    let listed: Vec<_> = refused
        .iter()
        .map(|(name, why)| format!("{name} ({why})"))
        .collect();
    let detail = format!(
        "a WGSL function has layers from one vector to the next: Dense, activations, dropout, Flatten; here it can't have {}",
        listed.join(", ")
    );
    layers::error(first, detail)
}
