//! What each operator is here.

use super::chain::{Flow, Made, Numbers, Order};
use super::constant::{Constant, Int};
use super::model::{self, Node, is_float};
use super::norm::{Features, Norm};
use super::read::{Input, Reader, Result, Value};
use super::term::{Binary, Kind as TermKind, Unary, decimal};
use super::{elementwise, shapes, windows};
use crate::nn::{Activation, BatchNormalization, Dense, GlobalAveragePooling2d, Layer};

/// Whether an operator says if images come with their channels first.
pub(super) fn says_order(node: &Node) -> bool {
    matches!(
        node.operator,
        "Conv"
            | "MaxPool"
            | "AveragePool"
            | "GlobalAveragePool"
            | "GlobalMaxPool"
            | "BatchNormalization"
            | "ReduceMean"
            | "Transpose"
            | "Reshape"
            | "Flatten"
            | "MatMul"
            | "Gemm"
            | "Squeeze"
            | "Unsqueeze"
            | "LayerNormalization"
            | "Softmax"
    )
}

/// What it says.
pub(super) fn is_channels_first<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> bool {
    match node.operator {
        "Conv" | "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool"
        | "BatchNormalization" => true,
        "ReduceMean" => {
            let rank = reader.chain.shape.len();
            let axes = axes_of(reader, node).ok().flatten().unwrap_or_default();
            rank == 3 && shapes::sample_axes(&axes, rank) == Some(vec![1, 2])
        }
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
    for (name, is_list) in [
        ("value_int", false),
        ("value_ints", true),
        ("value_float", false),
        ("value_floats", true),
    ] {
        let Some(attribute) = node.attribute(name)? else {
            continue;
        };
        let ints: Vec<_> = attribute
            .ints
            .into_iter()
            .chain(attribute.int)
            .map(Int::Known)
            .collect();
        let floats: Vec<_> = attribute
            .floats
            .into_iter()
            .chain(attribute.float)
            .collect();
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
            ("ai.onnx.ml", "Scaler") => elementwise::scaler(reader, node),
            ("ai.onnx.ml", "ZipMap") => reader.flow(node, 0),
            _ => Err("there is no such layer".into()),
        };
    }
    if let Some(activation) = elementwise::activation(reader, node)? {
        let flow = reader.flow(node, 0)?;
        let apply = |flow| reader.apply(flow, |term| TermKind::Activation(activation, term));
        return flow.map(apply).transpose();
    }
    if let Some(unary) = Unary::of(node.operator) {
        let flow = reader.flow(node, 0)?;
        return flow.map(|flow| reader.unary(flow, unary)).transpose();
    }
    if let Some(binary) = Binary::of(node.operator) {
        return elementwise::combined(reader, node, binary);
    }
    match node.operator {
        "Identity" => reader.flow(node, 0),
        "Cast" => cast(reader, node),
        "Dropout" => dropout(reader, node),
        "Pad" => windows::pad(reader, node),
        "Clip" => elementwise::clip(reader, node),
        "Where" => elementwise::select(reader, node),
        "Gemm" => gemm(reader, node),
        "MatMul" => matmul(reader, node),
        "Conv" => windows::conv(reader, node),
        "MaxPool" | "AveragePool" => windows::pool(reader, node),
        "GlobalMaxPool" => windows::global_max_pool(reader, node),
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
        "Concat" => elementwise::probabilities(reader, node),
        "Transpose" => shapes::transpose(reader, node),
        "Reshape" => shapes::reshape(reader, node),
        "Flatten" => shapes::flatten(reader, node),
        "Squeeze" => shapes::squeeze(reader, node),
        "Unsqueeze" => shapes::unsqueeze(reader, node),
        _ => Err("there is no such layer".into()),
    }
}

fn cast<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    match node.int("to", 0)? {
        to if is_float(to) => reader.flow(node, 0),
        to => Err(format!(
            "it gives the data type {to}; all values here are floats"
        )),
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

pub(super) fn named(layer: impl Into<Layer>, node: &Node) -> Layer {
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
        return Err(format!(
            "its input must have one axis, it is {:?}",
            flow.shape
        ));
    }
    let mut kernel = match is_transposed && kernel.shape.len() == 2 {
        true => kernel.transposed(&[1, 0]),
        false => (*kernel).clone(),
    };
    if alpha != 1.0 {
        let floats = kernel.as_floats().unwrap_or_default();
        kernel = Constant::floats(
            kernel.shape.clone(),
            floats.iter().map(|w| w * alpha).collect(),
        );
    }
    let flow = dense(reader, node, flow, &kernel)?;
    let Some(bias) = bias else {
        return Ok(Some(flow));
    };
    let floats = bias.as_floats().unwrap_or_default();
    let bias = match beta == 1.0 {
        true => (*bias).clone(),
        false => Constant::floats(
            bias.shape.clone(),
            floats.iter().map(|b| b * beta).collect(),
        ),
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
        return Err(format!(
            "its second input has the shape {:?}, and needs two axes",
            kernel.shape
        ));
    };
    let rank = flow.shape.len();
    if rank == 0 || flow.shape.last() != Some(inputs) {
        return Err(format!(
            "its input is {:?}, its kernel {:?}",
            flow.shape, kernel.shape
        ));
    }
    if flow.order == Order::ChannelsFirst {
        return Err(format!(
            "its input {:?} has the channels first; the last axis is multiplied",
            flow.shape
        ));
    }
    reader.chain.features(&flow, rank - 1, rank)?;
    reader.chain.take(values.len())?;
    let rows: Vec<_> = reader.chain.arranged(&flow, (0..*inputs).collect());
    let values = match flow.order {
        Order::Same => values.to_vec(),
        _ => rows
            .iter()
            .flat_map(|row| &values[row * units..][..*units])
            .copied()
            .collect(),
    };
    let mut shape = reader.chain.shape.clone();
    if let Some(last) = shape.last_mut() {
        *last = *units;
    }
    let layer = named(Dense::new(*units).use_bias(false), node);
    reader.chain.push(layer, vec![("kernel", values)], shape)?;
    let mut shape = flow.shape.clone();
    shape[rank - 1] = *units;
    Ok(reader.pushed(flow, shape, Order::Same))
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
    let Some(flow) = reader.flow(node, 0)? else {
        return Ok(None);
    };
    let axes = shapes::sample_axes(&axes.unwrap_or_default(), flow.shape.len())
        .filter(|axes| !axes.is_empty())
        .ok_or("it takes the mean over samples, or of no axis")?;
    mean(reader, flow, &axes, keeps).map(Some)
}

/// Over the height and the width of an image, or as a part of a layer normalization.
fn mean(reader: &mut Reader, mut flow: Flow, axes: &[usize], keeps: bool) -> Result<Flow> {
    if flow.shape.len() == 3
        && axes == [1, 2]
        && flow.order == Order::Same
        && shapes::is_trivial(&flow.shape)
    {
        flow = reader.realize(flow)?;
        windows::image(reader, &mut flow)?;
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
        if flow.merged {
            return Err("its input has values of several samples in a row".into());
        }
        let flow = reader.realize(flow)?;
        let channels = match flow.order {
            Order::ChannelsFirst => flow.shape[0],
            _ => flow.shape[2],
        };
        reader.chain.settle(&flow)?;
        reader
            .chain
            .push(GlobalAveragePooling2d::new(), Vec::new(), vec![channels])?;
        let shape = if keeps { reduced } else { vec![channels] };
        return Ok(reader.pushed(flow, shape, Order::Same));
    }
    if !keeps {
        return Err("it takes a mean that is no global average of an image".into());
    }
    let (from, to) = axes
        .first()
        .zip(axes.last())
        .map_or((0, 0), |(&from, &to)| (from, to + 1));
    if to - from != axes.len() {
        return Err("its axes are not next to each other".into());
    }
    let (flow, norm, features) = match &flow.made {
        Made::Norm(norm, features) => {
            let norm = norm.clone().mean();
            let norm = norm.filter(|_| (features.from, features.to) == (from, to));
            let norm = norm.ok_or("this mean is no layer")?;
            let features = features.clone();
            (flow, norm, features)
        }
        _ => {
            let flow = reader.realize(flow)?;
            reader.chain.features(&flow, from, to)?;
            let shape = flow.shape.clone();
            (flow, Norm::Mean, Features { shape, from, to })
        }
    };
    let flow = reader.made(flow, Made::Norm(norm, features));
    Ok(Flow {
        shape: reduced,
        ..flow
    })
}

fn softmax<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    // Before opset 13 all axes from this one on were one.
    let is_old = reader.graph.opset < 13;
    let axis = node.int("axis", if is_old { 1 } else { -1 })?;
    let Some(flow) = reader.output(node, 0)? else {
        return Ok(None);
    };
    let rank = flow.shape.len();
    let axes =
        shapes::sample_axes(&[axis], rank).ok_or("its axis is that of the samples, or none")?;
    let from = axes.first().copied().unwrap_or_default();
    let to = if is_old { rank } else { from + 1 };
    let ones = flow.shape[from..to]
        .iter()
        .filter(|&&extent| extent != 1)
        .count();
    let last = (from..to)
        .rfind(|&axis| flow.shape[axis] != 1)
        .unwrap_or(from);
    let (from, to) = if ones < 2 {
        (last, last + 1)
    } else {
        (from, to)
    };
    reader.chain.features(&flow, from, to)?;
    reader.chain.activate(Activation::Softmax)?;
    let (shape, order) = (flow.shape.clone(), flow.order.clone());
    Ok(Some(reader.pushed(flow, shape, order)))
}

fn batch_normalization<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    if node.int("training_mode", 0)? != 0 || node.int("spatial", 1)? != 1 {
        return Err("training_mode is 1, or spatial is 0".into());
    }
    // Before there was an attribute for it, statistics as outputs said so.
    let gives_statistics = node.outputs.iter().skip(1).any(|name| !name.is_empty());
    if reader.graph.opset < 14 && gives_statistics {
        return Err("it gives statistics, too, as in training".into());
    }
    let epsilon = decimal(node.float("epsilon", 1e-5)?).max(f32::MIN_POSITIVE.into());
    let momentum = decimal(node.float("momentum", 0.9)?);
    let input = reader.output(node, 0);
    let mut all = Vec::new();
    for (position, name) in ["gamma", "beta", "moving_mean", "moving_variance"]
        .into_iter()
        .enumerate()
    {
        let Some(values) = reader.floats(node, position + 1)? else {
            return Ok(None);
        };
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
            return Err(format!(
                "it has {} values of {name} for {features} channels",
                values.len()
            ));
        }
        reader.chain.take(features)?;
        weights.push((name, reader.chain.arranged(&flow, values.to_vec())));
    }
    let layer = BatchNormalization::new()
        .epsilon(epsilon)
        .momentum(momentum);
    let shape = reader.chain.shape.clone();
    reader.chain.push(named(layer, node), weights, shape)?;
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
    let axes =
        shapes::sample_axes(&[axis], rank).ok_or("its axis is that of the samples, or none")?;
    let from = axes.first().copied().unwrap_or_default();
    let features = reader.chain.features(&flow, from, rank)?;
    let mut scales = [None, None];
    for (scale, constant) in scales.iter_mut().zip(&constants) {
        let Some(values) = constant.as_ref().and_then(|constant| constant.as_floats()) else {
            continue;
        };
        if values.len() != features && values.len() != 1 {
            return Err(format!(
                "it has {} constants for {features} features",
                values.len()
            ));
        }
        reader.chain.take(values.len())?;
        let values = values.iter().map(|&value| f64::from(value)).collect();
        *scale = Some(Numbers::from(reader.chain.arranged(&flow, values)));
    }
    let name = Some(node.name.to_owned());
    reader
        .chain
        .layer_normalize(features, epsilon, scales, name)?;
    let (shape, order) = (flow.shape.clone(), flow.order.clone());
    Ok(Some(reader.pushed(flow, shape, order)))
}

/// Constants that are computed of others, which are floats.
pub(super) fn of_floats(node: &Node, floats: &[f32]) -> Option<Vec<f32>> {
    let unary = Unary::of(node.operator)?;
    Some(
        floats
            .iter()
            .map(|&x| unary.apply(x.into()) as f32)
            .collect(),
    )
}
