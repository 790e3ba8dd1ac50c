//! What each operator is here.

use std::rc::Rc;

use super::super::layout::places;
use super::chain::{Affine, Flow, Made, Numbers, Order, reciprocal};
use super::constant::{Constant, Int};
use super::model::{self, Node, is_float};
use super::norm::Norm;
use super::read::{Input, Reader, Result, Value, term_of};
use super::shapes;
use super::term::{Binary, Kind as TermKind, Term, Unary, decimal};
use crate::Selu;
use crate::nn::layers::{Kind, Sliding};
use crate::nn::{
    Activation, AveragePooling2d, BatchNormalization, Conv2d, Dense, GlobalAveragePooling2d, Layer,
    MaxPool2d, Padding,
};

/// Whether an operator says if images come with their channels first.
pub(super) fn says_order(node: &Node) -> bool {
    matches!(
        node.operator,
        "Conv" | "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool"
            | "BatchNormalization" | "ReduceMean" | "Transpose" | "Reshape" | "Flatten" | "MatMul"
            | "Gemm" | "Squeeze" | "Unsqueeze" | "LayerNormalization" | "Softmax"
    )
}

/// What it says.
pub(super) fn is_channels_first<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> bool {
    match node.operator {
        "Conv" | "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool"
        | "BatchNormalization" => true,
        "ReduceMean" => axes_of(reader, node).is_ok_and(|axes| axes == Some(vec![2, 3])),
        _ => false,
    }
}

/// What a node gives.
pub(super) fn value<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Value> {
    if node.operator == "Constant" {
        return constant_node(reader, node).map(|constant| Value::Constant(constant.into()));
    }
    if let Some(constant) = shapes::constant(reader, node)? {
        return Ok(Value::Constant(constant.into()));
    }
    if let ("CastLike", Some(name)) = (node.operator, node.input(0)) {
        return reader.lookup(name);
    }
    // What it needs is in the list already.
    if reader.lacks_constants(node) {
        return Ok(Value::Unknown);
    }
    let flow = flow(reader, node)?;
    Ok(flow.map_or(Value::Unknown, Value::Flow))
}

fn constant_node<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Constant> {
    if let Some(attribute) = node.attribute("value")? {
        let tensor = attribute.tensor.ok_or("value is no tensor")?;
        return reader.tensor(&tensor);
    }
    for (name, is_list) in [("value_int", false), ("value_ints", true), ("value_float", false), ("value_floats", true)] {
        let Some(attribute) = node.attribute(name)? else { continue };
        let ints: Vec<_> = attribute.ints.into_iter().chain(attribute.int).map(Int::Known).collect();
        let floats: Vec<_> = attribute.floats.into_iter().chain(attribute.float).collect();
        let is_int = name.starts_with("value_int");
        let len = if is_int { ints.len() } else { floats.len() };
        reader.chain.take(len)?;
        let shape = match is_list {
            true => vec![len],
            false if len == 1 => Vec::new(),
            false => return Err(format!("{name} is not one number")),
        };
        return match is_int {
            true => Constant::ints(shape, ints),
            false => Ok(Constant::floats(shape, floats)),
        };
    }
    Err("only constants that are numbers can be read".into())
}

fn flow<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    if !model::is_standard(node.domain) {
        return match (node.domain, node.operator) {
            ("ai.onnx.ml", "Scaler") => scaler(reader, node),
            ("ai.onnx.ml", "ZipMap") => reader.flow(node, 0),
            _ => Err("there is no such layer".into()),
        };
    }
    if let Some(activation) = activation(reader, node)? {
        let flow = reader.flow(node, 0)?;
        let apply = |flow| reader.apply(flow, |term| TermKind::Activation(activation, term));
        return flow.map(apply).transpose();
    }
    if let Some(unary) = Unary::of(node.operator) {
        let flow = reader.flow(node, 0)?;
        return flow.map(|flow| reader.unary(flow, unary)).transpose();
    }
    if let Some(binary) = Binary::of(node.operator) {
        return combined(reader, node, binary);
    }
    match node.operator {
        "Identity" => reader.flow(node, 0),
        "Cast" => cast(reader, node),
        "Dropout" => dropout(reader, node),
        "Pad" => pad(reader, node),
        "Clip" => clip(reader, node),
        "Where" => select(reader, node),
        "Gemm" => gemm(reader, node),
        "MatMul" => matmul(reader, node),
        "Conv" => conv(reader, node),
        "MaxPool" | "AveragePool" => pool(reader, node),
        "GlobalMaxPool" => global_max_pool(reader, node),
        "GlobalAveragePool" => {
            let flow = reader.flow(node, 0)?;
            flow.map(|flow| {
                let axes: Vec<_> = (1..flow.shape.len()).collect();
                mean(reader, flow, &axes, true)
            })
            .transpose()
        }
        "ReduceMean" => reduce_mean(reader, node),
        "Softmax" => softmax(reader, node),
        "BatchNormalization" => batch_normalization(reader, node),
        "LayerNormalization" => layer_normalization(reader, node),
        "Concat" => probabilities(reader, node),
        "Transpose" => shapes::transpose(reader, node),
        "Reshape" => shapes::reshape(reader, node),
        "Flatten" => shapes::flatten(reader, node),
        "Squeeze" => shapes::squeeze(reader, node),
        "Unsqueeze" => shapes::unsqueeze(reader, node),
        _ => Err("there is no such layer".into()),
    }
}

fn activation<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Option<Activation>> {
    Ok(Some(match node.operator {
        "Selu" => {
            let usual = Selu::default();
            let alpha = node.float("alpha", usual.alpha as f32)?;
            let scale = node.float("gamma", usual.scale as f32)?;
            match (alpha == usual.alpha as f32, scale == usual.scale as f32) {
                (true, true) => Activation::Selu,
                _ => Activation::SeluWith(Selu {
                    alpha: decimal(alpha),
                    scale: decimal(scale),
                }),
            }
        }
        "Elu" => Activation::Elu(decimal(node.float("alpha", 1.0)?)),
        "Relu" => Activation::Relu,
        "LeakyRelu" => Activation::LeakyRelu(decimal(node.float("alpha", 0.01)?)),
        "PRelu" => {
            let slope = reader.floats(node, 1)?.and_then(|slope| slope.scalar());
            let slope = slope.ok_or("its slopes differ, or are unknown; only one is possible here")?;
            Activation::LeakyRelu(decimal(slope as f32))
        }
        "Sigmoid" => Activation::Sigmoid,
        "Tanh" => Activation::Tanh,
        "Softplus" => Activation::Softplus,
        "Swish" if node.float("alpha", 1.0)? == 1.0 => Activation::Silu,
        "Gelu" => Activation::Gelu {
            approximate: match node.text("approximate", "none")? {
                "none" => false,
                "tanh" => true,
                other => return Err(format!("approximate is {other:?}")),
            },
        },
        _ => return Ok(None),
    }))
}

/// An affine function that is followed by an operator with constants, which come first or not.
pub(super) fn affine(known: Affine, binary: Binary, numbers: &Numbers, is_first: bool) -> Result<Affine> {
    let minus_one = Numbers::from([-1.0]);
    Ok(match (binary, is_first) {
        (Binary::Add, _) => known.add(numbers),
        (Binary::Mul, _) => known.multiply(numbers),
        (Binary::Sub, false) => known.subtract(numbers),
        (Binary::Sub, true) => known.multiply(&minus_one).add(numbers),
        (Binary::Div, false) => known.multiply(&reciprocal(numbers)),
        _ => return Err("this of different constants for features is no layer".into()),
    })
}

fn combined<'a>(reader: &mut Reader<'a>, node: &Node<'a>, binary: Binary) -> Result<Input> {
    let (Some(a), Some(b)) = (node.input(0), node.input(1)) else {
        return Err("it needs two inputs".into());
    };
    if node.inputs.len() > 2 {
        return Err("of more than two inputs there is no such layer".into());
    }
    match (reader.lookup(a)?, reader.lookup(b)?) {
        (Value::Unknown, _) | (_, Value::Unknown) => Ok(None),
        (Value::Flow(a), Value::Flow(b)) => {
            let (a, b) = (reader.current(a), reader.current(b));
            reader.binary(binary, a, b).map(Some)
        }
        (Value::Flow(flow), Value::Constant(constant)) => {
            let flow = reader.current(flow);
            let variance = reader.variances.get(b).cloned();
            if let (Binary::Div, Some(variance)) = (binary, variance) {
                return normalization(reader, flow, &variance).map(Some);
            }
            reader.with_constant(binary, flow, &constant, false).map(Some)
        }
        (Value::Constant(constant), Value::Flow(flow)) => {
            let flow = reader.current(flow);
            reader.with_constant(binary, flow, &constant, true).map(Some)
        }
        (Value::Constant(_), Value::Constant(_)) => Err("these constants can't be computed".into()),
    }
}

/// x − mean, divided by max(√variance, 10⁻⁷): what is written for a normalization.
fn normalization(reader: &mut Reader, flow: Flow, variance: &Constant) -> Result<Flow> {
    let Made::Affine(affine) = &flow.made else {
        return Err("it divides by the root of a variance, and no mean is subtracted before".into());
    };
    let mean = affine.minus_only().ok_or("more than a mean is subtracted before")?;
    let variance = reader.numbers(&flow, variance)?;
    let len = mean.len().max(variance.len());
    let all = |numbers: &Numbers| -> Vec<f32> {
        let all = numbers.iter().cycle().take(len);
        all.map(|&value| value as f32).collect()
    };
    let moments = [all(&mean), all(&variance)];
    Ok(reader.made(flow, Made::Normalized(moments)))
}

fn scaler<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let flow = reader.flow(node, 0)?;
    let floats = |name| -> Result<Constant> {
        let floats = node.attribute(name)?.ok_or_else(|| format!("it has no {name}"))?.floats;
        Ok(Constant::floats(vec![floats.len()], floats))
    };
    let (offset, scale) = (floats("offset")?, floats("scale")?);
    reader.chain.take(offset.len() + scale.len())?;
    let Some(flow) = flow else { return Ok(None) };
    let flow = reader.with_constant(Binary::Sub, flow, &offset, false)?;
    reader.with_constant(Binary::Mul, flow, &scale, false).map(Some)
}

fn cast<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    match node.int("to", 0)? {
        to if is_float(to) => reader.flow(node, 0),
        to => Err(format!("it gives the data type {to}; all values here are floats")),
    }
}

fn dropout<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    if let Some(name) = node.input(2) {
        let is_off = |raw: &Value| matches!(raw, Value::Constant(c) if c.as_ints() == Some(&[Int::Known(0)]));
        // It is a bool, which nothing else here is.
        if let Ok(value) = reader.lookup(name)
            && !is_off(&value)
        {
            return Err("training_mode is on".into());
        }
    }
    reader.flow(node, 0)
}

/// Zeros around an image, which belong to the convolution behind.
fn pad<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let pads = match node.ints("pads")? {
        Some(pads) => Some(pads),
        None => reader.known(node, 1)?,
    };
    let value = match reader.floats(node, 2)? {
        Some(value) => value.scalar().unwrap_or(f64::NAN),
        None => node.float("value", 0.0)?.into(),
    };
    let mode = node.text("mode", "constant")?;
    let input = reader.output(node, 0)?;
    let (Some(flow), Some(pads)) = (input, pads) else { return Ok(None) };
    if pads.iter().all(|&pad| pad == 0) {
        return Ok(Some(flow));
    }
    let pads: Option<Vec<usize>> = pads.iter().map(|&pad| usize::try_from(pad).ok()).collect();
    let spatial = match (&flow.order, flow.shape.len(), pads.as_deref()) {
        (Order::ChannelsFirst, 3, Some(&[0, 0, top, left, 0, 0, bottom, right])) => {
            Some(([top, left], [bottom, right], [1, 2]))
        }
        (Order::Same, 3, Some(&[0, top, left, 0, 0, bottom, right, 0])) => {
            Some(([top, left], [bottom, right], [0, 1]))
        }
        _ => None,
    };
    let spatial = spatial.filter(|_| value == 0.0 && mode == "constant" && !flow.merged);
    let (before, after, axes) = spatial.ok_or("here there are only zeros around an image")?;
    let mut shape = flow.shape.clone();
    for (i, axis) in axes.into_iter().enumerate() {
        let extent = shape[axis].checked_add(before[i]).and_then(|sum| sum.checked_add(after[i]));
        shape[axis] = extent.ok_or("its padding is too large")?;
    }
    let flow = reader.made(flow, Made::Padded([before, after]));
    Ok(Some(Flow { shape, ..flow }))
}

/// An image without the zeros around it, and those.
fn unpadded(reader: &mut Reader, mut flow: Flow) -> Result<(Flow, [[usize; 2]; 2])> {
    let Made::Padded([before, after]) = flow.made else {
        return Ok((reader.realize(flow)?, [[0; 2]; 2]));
    };
    let axes = match flow.order {
        Order::ChannelsFirst => [1, 2],
        _ => [0, 1],
    };
    for (i, axis) in axes.into_iter().enumerate() {
        flow.shape[axis] -= before[i] + after[i];
    }
    flow.made = Made::Output;
    Ok((reader.realize(flow)?, [before, after]))
}

fn clip<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let bounds = [("min", 1, f32::MIN, Binary::Max), ("max", 2, f32::MAX, Binary::Min)];
    let mut input = reader.flow(node, 0)?;
    for (name, position, none, binary) in bounds {
        let given = reader.floats(node, position)?.and_then(|bound| bound.scalar());
        let bound = match given {
            Some(bound) => bound,
            None => node.float(name, none)?.into(),
        };
        let is_one = bound.abs() < f32::MAX.into();
        if let (Some(flow), true) = (input.clone(), is_one) {
            let bound = Constant::floats(Vec::new(), vec![bound as f32]);
            input = Some(reader.with_constant(binary, flow, &bound, false)?);
        }
    }
    Ok(input)
}

fn select<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let mut flows = Vec::new();
    let mut terms = Vec::new();
    for position in 0..3 {
        let name = node.input(position).ok_or("it needs three inputs")?;
        match reader.lookup(name)? {
            Value::Unknown => return Ok(None),
            Value::Constant(constant) => {
                let number = constant.scalar().ok_or("it takes different constants for features")?;
                terms.push(Term::new(TermKind::Constant(number)));
            }
            Value::Flow(flow) => {
                let flow = reader.current(flow);
                terms.push(term_of(&flow)?);
                flows.push(flow);
            }
        }
    }
    let first = flows.first().cloned().ok_or("it has no input")?;
    for flow in flows {
        let (a, b) = reader.terms(first.clone(), flow)?;
        if a.shape != b.shape || a.order != b.order {
            return Err("its inputs have different shapes".into());
        }
    }
    let terms = <[_; 3]>::try_from(terms).map_err(|_| "it needs three inputs")?;
    let term = Term::new(TermKind::Where(terms));
    if term.is_too_large() {
        return Err("no activation here is this function".into());
    }
    Ok(Some(reader.made(first, Made::Term(term))))
}

fn named(layer: impl Into<Layer>, node: &Node) -> Layer {
    let layer = layer.into();
    layer.name(node.name)
}

fn gemm<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
    if node.int("transA", 0)? != 0 {
        return Err("transA is 1: samples would be features".into());
    }
    let is_transposed = node.int("transB", 0)? != 0;
    let input = reader.output(node, 0);
    let kernel = reader.floats(node, 1)?;
    let bias = reader.floats(node, 2)?;
    let (Some(flow), Some(kernel)) = (input?, kernel) else {
        return Ok(None);
    };
    if flow.shape.len() != 1 {
        return Err(format!("its input must have one axis, it is {:?}", flow.shape));
    }
    let mut kernel = match is_transposed && kernel.shape.len() == 2 {
        true => kernel.transposed(&[1, 0]),
        false => (*kernel).clone(),
    };
    if alpha != 1.0 {
        let floats = kernel.as_floats().unwrap_or_default();
        kernel = Constant::floats(kernel.shape.clone(), floats.iter().map(|w| w * alpha).collect());
    }
    let flow = dense(reader, node, flow, &kernel)?;
    let Some(bias) = bias else { return Ok(Some(flow)) };
    let floats = bias.as_floats().unwrap_or_default();
    let bias = match beta == 1.0 {
        true => (*bias).clone(),
        false => Constant::floats(bias.shape.clone(), floats.iter().map(|b| b * beta).collect()),
    };
    let flow = reader.with_constant(Binary::Add, flow, &bias, false)?;
    reader.realize(flow).map(Some)
}

fn matmul<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let input = reader.output(node, 0);
    let kernel = reader.floats(node, 1)?;
    let (Some(flow), Some(kernel)) = (input?, kernel) else {
        return Ok(None);
    };
    dense(reader, node, flow, &kernel).map(Some)
}

/// A dense layer without biases.
fn dense(reader: &mut Reader, node: &Node, flow: Flow, kernel: &Constant) -> Result<Flow> {
    let ([inputs, units], Some(values)) = (&kernel.shape[..], kernel.as_floats()) else {
        return Err(format!("its second input has the shape {:?}, and needs two axes", kernel.shape));
    };
    let rank = flow.shape.len();
    if rank == 0 || flow.shape.last() != Some(inputs) {
        return Err(format!("its input is {:?}, its kernel {:?}", flow.shape, kernel.shape));
    }
    if flow.order == Order::ChannelsFirst {
        return Err(format!("its input {:?} has the channels first; the last axis is multiplied", flow.shape));
    }
    reader.chain.features(&flow, rank - 1, rank)?;
    reader.chain.take(values.len())?;
    let rows: Vec<_> = reader.chain.arranged(&flow, (0..*inputs).collect());
    let values = match flow.order {
        Order::Same => values.to_vec(),
        _ => rows.iter().flat_map(|row| &values[row * units..][..*units]).copied().collect(),
    };
    let mut shape = reader.chain.shape.clone();
    if let Some(last) = shape.last_mut() {
        *last = *units;
    }
    let layer = named(Dense::new(*units).use_bias(false), node);
    reader.chain.push(layer, vec![("kernel", values)], shape);
    let mut shape = flow.shape.clone();
    shape[rank - 1] = *units;
    Ok(reader.pushed(flow, shape, Order::Same))
}

/// Strides and padding of a window, and what of its attributes is not possible here.
struct Windowed {
    strides: [usize; 2],
    padding: Pads,
    ceil: bool,
    problems: Vec<String>,
}

#[derive(Clone, Copy)]
enum Pads {
    Explicit([[usize; 2]; 2]),
    SameUpper,
    SameLower,
}

fn pair(values: &[i64]) -> Option<[usize; 2]> {
    match values {
        &[a, b] => Some([usize::try_from(a).ok()?, usize::try_from(b).ok()?]),
        _ => None,
    }
}

fn windowed(node: &Node) -> Result<Windowed> {
    let mut problems = Vec::new();
    let mut two = |name: &str| -> Result<[usize; 2]> {
        let Some(values) = node.ints(name)? else { return Ok([1, 1]) };
        Ok(pair(&values).unwrap_or_else(|| {
            problems.push(format!("{name} is {values:?}, here there are two"));
            [1, 1]
        }))
    };
    let strides = two("strides")?;
    let dilations = two("dilations")?;
    if dilations != [1, 1] {
        problems.push(format!("dilations is {dilations:?}, only 1 is possible here"));
    }
    let pads = node.ints("pads")?.unwrap_or(vec![0; 4]);
    let explicit = match &pads[..] {
        [top, left, bottom, right] => pair(&[*top, *left]).zip(pair(&[*bottom, *right])),
        _ => None,
    };
    if explicit.is_none() {
        problems.push(format!("pads is {pads:?}, here there are four, from 0"));
    }
    let (before, after) = explicit.unwrap_or_default();
    let padding = match node.text("auto_pad", "NOTSET")? {
        "NOTSET" | "" => Pads::Explicit([before, after]),
        "VALID" => Pads::Explicit([[0; 2]; 2]),
        "SAME_UPPER" => Pads::SameUpper,
        "SAME_LOWER" => Pads::SameLower,
        other => {
            problems.push(format!("auto_pad is {other:?}"));
            Pads::SameUpper
        }
    };
    let ceil = node.int("ceil_mode", 0)? != 0;
    Ok(Windowed {
        strides,
        padding,
        ceil,
        problems,
    })
}

impl Windowed {
    fn check(&self) -> Result<()> {
        match self.problems[..] {
            [] => Ok(()),
            _ => Err(self.problems.join(", and ")),
        }
    }

    /// With more zeros around the image.
    fn pad(&mut self, zeros: [[usize; 2]; 2]) -> Result<()> {
        let Pads::Explicit(pads) = &mut self.padding else {
            return match zeros == [[0; 2]; 2] {
                true => Ok(()),
                false => Err("its input is padded, and auto_pad is not VALID".into()),
            };
        };
        for (pad, zeros) in pads.iter_mut().flatten().zip(zeros.iter().flatten()) {
            *pad = pad.saturating_add(*zeros);
        }
        Ok(())
    }

    /// The window over an image, and the extents of what it gives.
    fn over(&self, image: [usize; 2], size: [usize; 2]) -> Result<(Sliding, [usize; 2])> {
        let wrong = || {
            format!(
                "a window of {size:?} with strides of {:?} does not fit an image of {image:?}",
                self.strides
            )
        };
        let padding = self.padding(image, size).ok_or_else(wrong)?;
        if let Some((found, rule)) = padding.beyond(size) {
            return Err(format!("a padding of {found} around a window of {size:?}; it must be {rule}"));
        }
        let sliding = Sliding {
            size,
            strides: self.strides,
            padding,
        };
        let along = |axis| sliding.along(axis, image[axis]).map(|(positions, _)| positions);
        let output = along(0).zip(along(1)).ok_or_else(wrong)?;
        Ok((sliding, output.into()))
    }

    fn padding(&self, image: [usize; 2], size: [usize; 2]) -> Option<Padding> {
        let (before, mut after) = match self.padding {
            Pads::SameUpper => return Some(Padding::Same),
            Pads::SameLower => {
                let mut pads = [[0; 2]; 2];
                for axis in 0..2 {
                    let positions = image[axis].checked_add(self.strides[axis])?.checked_sub(1)?;
                    let positions = positions.checked_div(self.strides[axis])?;
                    let needed = positions.checked_sub(1)?.checked_mul(self.strides[axis])?;
                    let needed = needed.checked_add(size[axis])?.saturating_sub(image[axis]);
                    pads[0][axis] = needed.div_ceil(2);
                    pads[1][axis] = needed / 2;
                }
                (pads[0], pads[1])
            }
            Pads::Explicit([before, after]) => (before, after),
        };
        // A last window that is cut off, if it begins in front of the padding behind.
        for axis in 0..if self.ceil { 2 } else { 0 } {
            let front = image[axis].checked_add(before[axis])?;
            let span = front.checked_add(after[axis])?.checked_sub(size[axis])?;
            let stride = self.strides[axis];
            let start = span.checked_add(stride)?.checked_sub(1)?.checked_div(stride)?.checked_mul(stride)?;
            if start < front {
                let needed = start.checked_add(size[axis])?.saturating_sub(front);
                after[axis] = after[axis].max(needed);
            }
        }
        Some(match [before, after] == [[0; 2]; 2] {
            true => Padding::Valid,
            false => Padding::Explicit { before, after },
        })
    }
}

/// Makes the layer's output the image that a value is, and gives its shape here.
fn image(reader: &mut Reader, flow: &mut Flow) -> Result<[usize; 3]> {
    let &[channels, height, width] = &flow.shape[..] else {
        return Err(format!(
            "its input is {:?}, without the batch; here it is an image, of channels, height and width",
            flow.shape
        ));
    };
    let order = &flow.order;
    if flow.merged || matches!(order, Order::Flattened(_)) {
        return Err("its input is no image".into());
    }
    if *order == Order::Same {
        if channels != 1 && (height, width) != (1, 1) {
            return Err(format!(
                "its input {:?} has the channels first, where the layer before has them last",
                flow.shape
            ));
        }
        flow.order = Order::ChannelsFirst;
    }
    reader.chain.settle(flow)?;
    Ok([height, width, channels])
}

fn conv<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let mut windowed = windowed(node)?;
    let group = node.int("group", 1)?;
    if group != 1 {
        windowed.problems.insert(0, format!("group is {group}, only 1 is possible here"));
    }
    let input = reader.flow(node, 0);
    windowed.check()?;
    let (kernel, bias) = (reader.floats(node, 1)?, reader.floats(node, 2)?);
    let (Some(flow), Some(kernel)) = (input?, kernel) else {
        return Ok(None);
    };
    let (mut flow, zeros) = unpadded(reader, flow)?;
    windowed.pad(zeros)?;
    let [height, width, channels] = image(reader, &mut flow)?;
    let (&[filters, inputs, rows, columns], Some(values)) = (&kernel.shape[..], kernel.as_floats()) else {
        return Err(format!("its kernel has the shape {:?}, and needs four axes", kernel.shape));
    };
    let size = [rows, columns];
    if inputs != channels {
        return Err(format!("its input has {channels} channels, its kernel {:?}", kernel.shape));
    }
    let given = node.ints("kernel_shape")?;
    if given.is_some_and(|given| pair(&given) != Some(size)) {
        return Err(format!("kernel_shape is not that of its kernel, {:?}", kernel.shape));
    }
    let (sliding, output) = windowed.over([height, width], size)?;
    reader.chain.take(values.len())?;
    let values = places(&kernel.shape, &[2, 3, 1, 0]).map(|place| values[place]).collect();
    let mut weights = vec![("kernel", values)];
    if let Some(bias) = &bias {
        let values = bias.as_floats().unwrap_or_default();
        if values.len() != filters {
            return Err(format!("it has {} biases for {filters} filters", values.len()));
        }
        reader.chain.take(filters)?;
        weights.push(("bias", values.to_vec()));
    }
    let layer = Conv2d::new(filters, size)
        .strides(sliding.strides)
        .padding(sliding.padding)
        .use_bias(bias.is_some());
    let [height, width] = output;
    reader.chain.push(named(layer, node), weights, vec![height, width, filters]);
    Ok(Some(reader.pushed(flow, vec![filters, height, width], Order::ChannelsFirst)))
}

fn pool<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let mut windowed = windowed(node)?;
    let size = node.ints("kernel_shape")?.unwrap_or_default();
    let size = pair(&size).unwrap_or_else(|| {
        windowed.problems.push(format!("kernel_shape is {size:?}, here there are two"));
        [1, 1]
    });
    let is_max = node.operator == "MaxPool";
    let counts_padding = !is_max && node.int("count_include_pad", 0)? != 0;
    let input = reader.output(node, 0);
    windowed.check()?;
    let Some(mut flow) = input? else { return Ok(None) };
    let [height, width, channels] = image(reader, &mut flow)?;
    let (sliding, [down, across]) = windowed.over([height, width], size)?;
    if counts_padding && sliding.padding != Padding::Valid {
        return Err("count_include_pad is 1, and there is padding; here it is no part of an average".into());
    }
    let layer = match is_max {
        true => Layer::from(MaxPool2d::new(size).strides(sliding.strides).padding(sliding.padding)),
        false => AveragePooling2d::new(size).strides(sliding.strides).padding(sliding.padding).into(),
    };
    reader.chain.push(named(layer, node), Vec::new(), vec![down, across, channels]);
    Ok(Some(reader.pushed(flow, vec![channels, down, across], Order::ChannelsFirst)))
}

fn global_max_pool<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let Some(mut flow) = reader.output(node, 0)? else { return Ok(None) };
    let [height, width, channels] = image(reader, &mut flow)?;
    let layer = MaxPool2d::new([height, width]);
    reader.chain.push(named(layer, node), Vec::new(), vec![1, 1, channels]);
    Ok(Some(reader.pushed(flow, vec![channels, 1, 1], Order::ChannelsFirst)))
}

/// Axes that are given, by an attribute or an input.
pub(super) fn axes_of<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Option<Vec<i64>>> {
    match node.ints("axes")? {
        Some(axes) => Ok(Some(axes)),
        None => reader.known(node, 1),
    }
}

fn reduce_mean<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let axes = axes_of(reader, node)?;
    let keeps = node.int("keepdims", 1)? != 0;
    let Some(flow) = reader.flow(node, 0)? else { return Ok(None) };
    let axes = shapes::sample_axes(&axes.unwrap_or_default(), flow.shape.len())
        .filter(|axes| !axes.is_empty())
        .ok_or("it takes the mean over samples, or of no axis")?;
    mean(reader, flow, &axes, keeps).map(Some)
}

/// Over the height and the width of an image, or as a part of a layer normalization.
fn mean(reader: &mut Reader, mut flow: Flow, axes: &[usize], keeps: bool) -> Result<Flow> {
    if flow.shape.len() == 3 && axes == [1, 2] && flow.order == Order::Same && shapes::is_trivial(&flow.shape) {
        flow = reader.realize(flow)?;
        image(reader, &mut flow)?;
    }
    let mut reduced = flow.shape.clone();
    for &axis in axes {
        if let Some(extent) = reduced.get_mut(axis) {
            *extent = 1;
        }
    }
    let spatial: &[usize] = match flow.order {
        Order::ChannelsFirst => &[1, 2],
        _ => &[0, 1],
    };
    if flow.shape.len() == 3 && axes == spatial && !matches!(flow.order, Order::Flattened(_)) {
        let flow = reader.realize(flow)?;
        let channels = match flow.order {
            Order::ChannelsFirst => flow.shape[0],
            _ => flow.shape[2],
        };
        reader.chain.settle(&flow)?;
        reader.chain.push(GlobalAveragePooling2d::new(), Vec::new(), vec![channels]);
        let shape = if keeps { reduced } else { vec![channels] };
        return Ok(reader.pushed(flow, shape, Order::Same));
    }
    if !keeps {
        return Err("it takes a mean that is no global average of an image".into());
    }
    if let Made::Norm(norm) = &flow.made {
        let norm = norm.clone().mean().ok_or("this mean is no layer")?;
        let flow = reader.made(flow, Made::Norm(norm));
        return Ok(Flow { shape: reduced, ..flow });
    }
    let flow = reader.realize(flow)?;
    let (from, to) = axes.first().zip(axes.last()).map_or((0, 0), |(&from, &to)| (from, to + 1));
    if to - from != axes.len() {
        return Err("its axes are not next to each other".into());
    }
    reader.chain.features(&flow, from, to)?;
    let flow = reader.made(flow, Made::Norm(Norm::Mean));
    Ok(Flow { shape: reduced, ..flow })
}

fn softmax<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    // Before opset 13 all axes from this one on were one.
    let is_old = reader.graph.opset < 13;
    let axis = node.int("axis", if is_old { 1 } else { -1 })?;
    let Some(flow) = reader.output(node, 0)? else { return Ok(None) };
    let rank = flow.shape.len();
    let axes = shapes::sample_axes(&[axis], rank).ok_or("its axis is that of the samples, or none")?;
    let from = axes.first().copied().unwrap_or_default();
    let to = if is_old { rank } else { from + 1 };
    let ones = flow.shape[from..to].iter().filter(|&&extent| extent != 1).count();
    let last = (from..to).rfind(|&axis| flow.shape[axis] != 1).unwrap_or(from);
    let (from, to) = if ones < 2 { (last, last + 1) } else { (from, to) };
    reader.chain.features(&flow, from, to)?;
    reader.chain.activate(Activation::Softmax);
    let (shape, order) = (flow.shape.clone(), flow.order.clone());
    Ok(Some(reader.pushed(flow, shape, order)))
}

fn batch_normalization<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    if node.int("training_mode", 0)? != 0 || node.int("spatial", 1)? != 1 {
        return Err("training_mode is 1, or spatial is 0".into());
    }
    let epsilon = decimal(node.float("epsilon", 1e-5)?).max(f32::MIN_POSITIVE.into());
    let momentum = decimal(node.float("momentum", 0.9)?);
    let input = reader.output(node, 0);
    let mut all = Vec::new();
    for (position, name) in ["gamma", "beta", "moving_mean", "moving_variance"].into_iter().enumerate() {
        let Some(values) = reader.floats(node, position + 1)? else { return Ok(None) };
        all.push((name, values));
    }
    let Some(flow) = input? else { return Ok(None) };
    if flow.shape.is_empty() {
        return Err("its input has no axis but that of the batch".into());
    }
    let features = reader.chain.features(&flow, 0, 1)?;
    let mut weights = Vec::new();
    for (name, values) in all {
        let values = values.as_floats().unwrap_or_default();
        if values.len() != features {
            return Err(format!("it has {} values of {name} for {features} channels", values.len()));
        }
        reader.chain.take(features)?;
        weights.push((name, reader.chain.arranged(&flow, values.to_vec())));
    }
    let layer = BatchNormalization::new().epsilon(epsilon).momentum(momentum);
    let shape = reader.chain.shape.clone();
    reader.chain.push(named(layer, node), weights, shape);
    let (shape, order) = (flow.shape.clone(), flow.order.clone());
    Ok(Some(reader.pushed(flow, shape, order)))
}

fn layer_normalization<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let axis = node.int("axis", -1)?;
    let epsilon = decimal(node.float("epsilon", 1e-5)?).max(f32::MIN_POSITIVE.into());
    let input = reader.output(node, 0);
    let constants = [reader.floats(node, 1)?, reader.floats(node, 2)?];
    let Some(flow) = input? else { return Ok(None) };
    let rank = flow.shape.len();
    let axes = shapes::sample_axes(&[axis], rank).ok_or("its axis is that of the samples, or none")?;
    let from = axes.first().copied().unwrap_or_default();
    let features = reader.chain.features(&flow, from, rank)?;
    let mut scales = [None, None];
    for (scale, constant) in scales.iter_mut().zip(&constants) {
        let Some(values) = constant.as_ref().and_then(|constant| constant.as_floats()) else { continue };
        if values.len() != features && values.len() != 1 {
            return Err(format!("it has {} constants for {features} features", values.len()));
        }
        reader.chain.take(values.len())?;
        let values = values.iter().map(|&value| f64::from(value)).collect();
        *scale = Some(Numbers::from(reader.chain.arranged(&flow, values)));
    }
    let name = Some(node.name.to_owned());
    reader.chain.layer_normalize(epsilon, scales, name)?;
    let (shape, order) = (flow.shape.clone(), flow.order.clone());
    Ok(Some(reader.pushed(flow, shape, order)))
}

/// 1 − p and p, where p is a sigmoid: what scikit-learn has of two classes. They are a softmax of 0 and what p is of.
fn probabilities<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let no_layer = "it joins values, and there is no such layer";
    let axis = node.int("axis", 1)?;
    if node.inputs.len() != 2 {
        return Err(no_layer.into());
    }
    let (Some(rest), Some(p)) = (reader.flow(node, 0)?, reader.flow(node, 1)?) else {
        return Ok(None);
    };
    let (rest_term, p_term) = (term_of(&rest)?, term_of(&p)?);
    let is_rest = match &rest_term.kind {
        TermKind::Binary(Binary::Sub, one, inner) => {
            matches!(one.kind, TermKind::Constant(1.0)) && Rc::ptr_eq(inner, &p_term)
        }
        _ => false,
    };
    let TermKind::Activation(Activation::Sigmoid, sums) = &p_term.kind else {
        return Err(no_layer.into());
    };
    if !is_rest || shapes::sample_axes(&[axis], 1) != Some(vec![0]) {
        return Err(no_layer.into());
    }
    let (_, flow) = reader.terms(rest, p)?;
    reader.realize_term(sums)?;
    let last = reader.chain.layers.last_mut();
    let Some((planned, [1])) = last.zip(Some(&flow.shape[..])) else {
        return Err(no_layer.into());
    };
    let Kind::Dense { units, weighted } = &mut planned.layer.kind else {
        return Err(no_layer.into());
    };
    if (*units, weighted.activation) != (1, Activation::Linear) {
        return Err(no_layer.into());
    }
    *units = 2;
    weighted.activation = Activation::Softmax;
    let more: usize = planned.weights.iter().map(|(_, values)| values.len()).sum();
    for (_, values) in &mut planned.weights {
        *values = values.iter().flat_map(|&value| [0.0, value]).collect();
    }
    reader.chain.take(more)?;
    reader.chain.shape = vec![2];
    reader.chain.version += 1;
    Ok(Some(reader.pushed(flow, vec![2], Order::Same)))
}

/// Constants that are computed of others, which are floats.
pub(super) fn of_floats(node: &Node, floats: &[f32]) -> Option<Vec<f32>> {
    let unary = Unary::of(node.operator)?;
    Some(floats.iter().map(|&x| unary.apply(x.into()) as f32).collect())
}

