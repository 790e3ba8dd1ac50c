//! From layers to a graph.
//!
//! Images are [N, H, W, C] outside, and [N, C, H, W] where operators need it: they are transposed as late as possible.

use super::super::contents::{Contents, Snapshot};
use super::super::error;
use super::super::layout::places;
use super::model::{FLOAT, INT64, PRODUCER};
use super::proto::Writer;
use super::shapes::FLOOR;
use crate::Result;
use crate::gpu::transfer;
use crate::nn::layers::{Kind, Sliding};
use crate::nn::network::BuiltLayer;
use crate::nn::{Activation, Padding, Sequential};

const INPUT: &str = "input";
const OUTPUT: &str = "output";

/// What protocol buffers may be.
const MAX_BYTES: usize = i32::MAX as usize;

/// The file of a network, of this name in errors.
pub(super) async fn write(
    model: &Sequential,
    name: &str,
    progress: &impl transfer::Progress,
) -> Result<Vec<u8>> {
    let snapshot = Snapshot::of(model, Contents::Model, progress).await?;
    let mut graph = Graph {
        nodes: Vec::new(),
        initializers: Vec::new(),
        opset: 13,
        value: INPUT.into(),
        shape: model.input_shape(),
        is_channels_first: false,
        layer: "",
        transposes: 0,
    };
    for (layer, built) in model.builder.layers.iter().zip(&model.network.layers) {
        graph.layer = &built.name;
        graph.add(&layer.kind, built, &snapshot);
    }
    graph.channels_last();
    let bytes = graph.finish(model);
    match bytes.len() > MAX_BYTES {
        true => Err(error(name, "an ONNX file has 2 GiB at most")),
        false => Ok(bytes),
    }
}

struct Node {
    operator: &'static str,
    name: String,
    inputs: Vec<String>,
    output: String,
    attributes: Vec<Writer>,
}

struct Graph<'a> {
    nodes: Vec<Node>,
    initializers: Vec<Writer>,
    opset: i64,
    /// The name of the last value, and the shape that it has here.
    value: String,
    shape: &'a [usize],
    is_channels_first: bool,
    layer: &'a str,
    transposes: usize,
}

fn int(name: &str, value: i64) -> Writer {
    Writer::default()
        .text(1, name)
        .number(3, value)
        .number(20, 2)
}

fn float(name: &str, value: f64) -> Writer {
    Writer::default()
        .text(1, name)
        .float(2, value as f32)
        .number(20, 1)
}

fn text(name: &str, value: &str) -> Writer {
    Writer::default().text(1, name).text(4, value).number(20, 3)
}

fn ints(name: &str, values: impl IntoIterator<Item = usize>) -> Writer {
    let add = |message: Writer, value| message.number(8, value as i64);
    Writer::default()
        .text(1, name)
        .all(values, add)
        .number(20, 7)
}

fn floats(name: &str, shape: &[usize], values: impl IntoIterator<Item = f32>) -> Writer {
    let raw: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
    tensor(name, shape, FLOAT).bytes(9, &raw)
}

fn tensor(name: &str, shape: &[usize], data_type: i64) -> Writer {
    let add = |message: Writer, extent: &usize| message.number(1, *extent as i64);
    Writer::default()
        .all(shape, add)
        .number(2, data_type)
        .text(8, name)
}

/// An input or output [N, …].
fn value_info(name: &str, shape: &[usize]) -> Writer {
    let batch = Writer::default().text(2, "N");
    let extent = |&extent| Writer::default().number(1, extent as i64);
    let extents = [batch].into_iter().chain(shape.iter().map(extent));
    let shape = Writer::default().all(extents, |shape, extent| shape.message(1, extent));
    let tensor = Writer::default().number(1, FLOAT).message(2, shape);
    let value_type = Writer::default().message(1, tensor);
    Writer::default().text(1, name).message(2, value_type)
}

impl<'a> Graph<'a> {
    /// A node of the last value and others.
    fn node(&mut self, operator: &'static str, others: Vec<String>, attributes: Vec<Writer>) {
        let inputs = [self.value.clone()].into_iter().chain(others).collect();
        self.node_of(operator, inputs, attributes);
    }

    fn node_of(&mut self, operator: &'static str, inputs: Vec<String>, attributes: Vec<Writer>) {
        let output = format!("{}/{operator}", self.layer);
        self.value.clone_from(&output);
        self.nodes.push(Node {
            operator,
            name: output.clone(),
            inputs,
            output,
            attributes,
        });
    }

    /// The node that the layer is, which has its name.
    fn name_last(&mut self) {
        if let Some(node) = self.nodes.last_mut() {
            node.name = self.layer.into();
        }
    }

    fn constant(
        &mut self,
        name: &str,
        shape: &[usize],
        values: impl IntoIterator<Item = f32>,
    ) -> String {
        let name = format!("{}/{name}", self.layer);
        self.initializers.push(floats(&name, shape, values));
        name
    }

    fn transpose(&mut self, order: Vec<usize>) {
        let output = format!("transpose/{}", self.transposes);
        self.transposes += 1;
        self.nodes.push(Node {
            operator: "Transpose",
            name: output.clone(),
            inputs: vec![std::mem::replace(&mut self.value, output.clone())],
            output,
            attributes: vec![ints("perm", order)],
        });
        self.is_channels_first = !self.is_channels_first;
    }

    fn channels_first(&mut self) {
        let rank = self.shape.len();
        if !self.is_channels_first && rank > 1 {
            self.transpose([0, rank].into_iter().chain(1..rank).collect());
        }
    }

    fn channels_last(&mut self) {
        if self.is_channels_first {
            let rank = self.shape.len();
            self.transpose([0].into_iter().chain(2..=rank).chain([1]).collect());
        }
    }

    fn add(&mut self, kind: &Kind, built: &'a BuiltLayer, snapshot: &Snapshot) {
        let values = |kind: &str| {
            let weight = built.weights.iter().find(|weight| weight.kind() == kind)?;
            Some((&weight.shape[..], snapshot.values(weight, None)))
        };
        let weight = |graph: &mut Self, kind: &str| {
            let (shape, values) = values(kind)?;
            Some(graph.constant(kind, shape, values.iter().copied()))
        };
        match kind {
            Kind::Dense { weighted, .. } => {
                self.channels_last();
                let kernel = weight(self, "kernel");
                let bias = weight(self, "bias");
                if self.shape.len() == 1 {
                    self.node("Gemm", kernel.into_iter().chain(bias).collect(), Vec::new());
                    self.name_last();
                } else {
                    self.node("MatMul", kernel.into_iter().collect(), Vec::new());
                    self.name_last();
                    if let Some(bias) = bias {
                        self.node("Add", vec![bias], Vec::new());
                    }
                }
                self.activate(weighted.activation);
            }
            Kind::Conv2d {
                weighted, window, ..
            } => {
                self.channels_first();
                let kernel = values("kernel").map(|(shape, values)| {
                    let first = [3, 2, 0, 1];
                    let extents = first.map(|axis| shape[axis]);
                    let places = places(shape, &first);
                    self.constant("kernel", &extents, places.map(|place| values[place]))
                });
                let bias = weight(self, "bias");
                self.node(
                    "Conv",
                    kernel.into_iter().chain(bias).collect(),
                    windowed(window),
                );
                self.name_last();
                self.activate(weighted.activation);
            }
            Kind::MaxPool2d(window) => {
                self.channels_first();
                let window = explicit(window, self.shape);
                self.node("MaxPool", Vec::new(), windowed(&window));
                self.name_last();
            }
            Kind::AveragePooling2d(window) => {
                self.channels_first();
                let window = explicit(window, self.shape);
                self.node("AveragePool", Vec::new(), windowed(&window));
                self.name_last();
            }
            Kind::GlobalAveragePooling2d => {
                self.channels_first();
                self.node("GlobalAveragePool", Vec::new(), Vec::new());
                self.name_last();
                self.node("Flatten", Vec::new(), vec![int("axis", 1)]);
                self.is_channels_first = false;
            }
            Kind::Flatten => {
                self.channels_last();
                self.node("Flatten", Vec::new(), vec![int("axis", 1)]);
                self.name_last();
            }
            Kind::Reshape(shape) => {
                self.channels_last();
                // 0 is the input's extent.
                let extents = [0]
                    .into_iter()
                    .chain(shape.iter().map(|&extent| extent as i64));
                let raw: Vec<u8> = extents.flat_map(i64::to_le_bytes).collect();
                let name = format!("{}/shape", self.layer);
                let message = tensor(&name, &[shape.len() + 1], INT64).bytes(9, &raw);
                self.initializers.push(message);
                self.node("Reshape", vec![name], Vec::new());
                self.name_last();
            }
            Kind::Normalization(_) => {
                self.channels_last();
                let x = self.value.clone();
                let variance = weight(self, "variance");
                self.node_of("Sqrt", variance.into_iter().collect(), Vec::new());
                let floor = self.constant("least", &[], [FLOOR]);
                self.node("Max", vec![floor], Vec::new());
                let deviation = std::mem::replace(&mut self.value, x);
                let mean = weight(self, "mean");
                self.node("Sub", mean.into_iter().collect(), Vec::new());
                self.node("Div", vec![deviation], Vec::new());
                self.name_last();
            }
            Kind::BatchNormalization { momentum, epsilon } => {
                self.channels_first();
                let names = ["gamma", "beta", "moving_mean", "moving_variance"];
                let weights = names
                    .into_iter()
                    .filter_map(|name| weight(self, name))
                    .collect();
                let attributes = vec![float("epsilon", *epsilon), float("momentum", *momentum)];
                self.node("BatchNormalization", weights, attributes);
                self.name_last();
            }
            Kind::LayerNormalization { epsilon } => {
                self.channels_last();
                self.opset = self.opset.max(17);
                let weights = ["gamma", "beta"]
                    .into_iter()
                    .filter_map(|name| weight(self, name))
                    .collect();
                let attributes = vec![int("axis", -1), float("epsilon", *epsilon)];
                self.node("LayerNormalization", weights, attributes);
                self.name_last();
            }
            Kind::Activation(activation) => self.activate(*activation),
            Kind::AlphaDropout(..) | Kind::Dropout(..) => {}
        }
        self.shape = &built.output_shape;
    }

    fn activate(&mut self, activation: Activation) {
        let (operator, attributes) = match activation {
            Activation::Linear => return,
            Activation::Selu => ("Selu", Vec::new()),
            Activation::SeluWith(selu) => (
                "Selu",
                vec![float("alpha", selu.alpha), float("gamma", selu.scale)],
            ),
            Activation::Elu(alpha) => ("Elu", vec![float("alpha", alpha)]),
            Activation::Relu => ("Relu", Vec::new()),
            Activation::LeakyRelu(slope) => ("LeakyRelu", vec![float("alpha", slope)]),
            Activation::Sigmoid => ("Sigmoid", Vec::new()),
            Activation::Tanh => ("Tanh", Vec::new()),
            Activation::Silu => {
                let x = self.value.clone();
                self.node("Sigmoid", Vec::new(), Vec::new());
                self.node("Mul", vec![x], Vec::new());
                return;
            }
            Activation::Gelu { approximate } => {
                self.opset = self.opset.max(20);
                let form = if approximate { "tanh" } else { "none" };
                ("Gelu", vec![text("approximate", form)])
            }
            Activation::Softplus => ("Softplus", Vec::new()),
            Activation::Sine(frequency) => {
                let frequency = self.constant("frequency", &[], [frequency as f32]);
                self.node("Mul", vec![frequency], Vec::new());
                ("Sin", Vec::new())
            }
            Activation::Softmax => {
                self.channels_last();
                ("Softmax", vec![int("axis", -1)])
            }
        };
        self.node(operator, Vec::new(), attributes);
    }

    fn finish(mut self, model: &Sequential) -> Vec<u8> {
        self.layer = OUTPUT;
        match self.nodes.last_mut() {
            Some(node) => node.output = OUTPUT.into(),
            None => {
                self.node("Identity", Vec::new(), Vec::new());
                self.nodes
                    .iter_mut()
                    .for_each(|node| node.output = OUTPUT.into());
            }
        }
        let node = |node: Node| {
            Writer::default()
                .all(node.inputs, |message, input| message.text(1, &input))
                .text(2, &node.output)
                .text(3, &node.name)
                .text(4, node.operator)
                .all(node.attributes, |message, attribute| {
                    message.message(5, attribute)
                })
        };
        let graph = Writer::default()
            .all(self.nodes, |graph, one| graph.message(1, node(one)))
            .text(2, "selfnorm")
            .all(self.initializers, |graph, tensor| graph.message(5, tensor))
            .message(11, value_info(INPUT, model.input_shape()))
            .message(12, value_info(OUTPUT, model.output_shape()));
        // Of what the network came from: now it comes from here.
        let entries = model.metadata.iter();
        let entries = entries.filter(|(key, _)| !PRODUCER.contains(&&key[..]));
        let version = match self.opset {
            13 => 7,
            17 => 8,
            _ => 9,
        };
        Writer::default()
            .number(1, version)
            .text(2, "selfnorm")
            .text(3, env!("CARGO_PKG_VERSION"))
            .message(7, graph)
            .message(8, Writer::default().text(1, "").number(2, self.opset))
            .all(entries, |file, (key, value)| {
                file.message(14, Writer::default().text(1, key).text(2, value))
            })
            .0
    }
}

fn windowed(window: &Sliding) -> Vec<Writer> {
    let mut attributes = vec![
        ints("kernel_shape", window.size),
        ints("strides", window.strides),
    ];
    match window.padding {
        Padding::Valid => {}
        Padding::Same => attributes.push(text("auto_pad", "SAME_UPPER")),
        Padding::Explicit { before, after } => {
            attributes.push(ints("pads", before.into_iter().chain(after)));
        }
    }
    attributes
}

/// With its padding in numbers: for pools, what others make of SAME_UPPER differs.
fn explicit(window: &Sliding, shape: &[usize]) -> Sliding {
    let mut window = *window;
    if window.padding != Padding::Same {
        return window;
    }
    let (mut before, mut after) = ([0; 2], [0; 2]);
    for (axis, &extent) in shape.iter().take(2).enumerate() {
        if let Some((positions, front)) = window.along(axis, extent) {
            let span = (positions - 1) * window.strides[axis] + window.size[axis];
            before[axis] = front;
            after[axis] = span.saturating_sub(extent + front);
        }
    }
    window.padding = match (before, after) {
        ([0, 0], [0, 0]) => Padding::Valid,
        _ => Padding::Explicit { before, after },
    };
    window
}
