//! Functions of numbers: activations, whole or in parts, and products and sums with constants.

use std::rc::Rc;

use super::chain::{Affine, Flow, Made, Numbers, Order, reciprocal};
use super::constant::Constant;
use super::model::Node;
use super::read::{Input, Reader, Result, Value};
use super::shapes;
use super::term::{Binary, Kind as TermKind, Term, decimal};
use super::values::{self, term_of};
use crate::Selu;
use crate::nn::Activation;
use crate::nn::layers::Kind;

pub(super) fn activation<'a>(
    reader: &mut Reader<'a>,
    node: &Node<'a>,
) -> Result<Option<Activation>> {
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
            let slope =
                slope.ok_or("its slopes differ, or are unknown; only one is possible here")?;
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
pub(super) fn affine(
    known: Affine,
    binary: Binary,
    numbers: &Numbers,
    is_first: bool,
) -> Result<Affine> {
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

pub(super) fn combined<'a>(
    reader: &mut Reader<'a>,
    node: &Node<'a>,
    binary: Binary,
) -> Result<Input> {
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
            reader
                .with_constant(binary, flow, &constant, false)
                .map(Some)
        }
        (Value::Constant(constant), Value::Flow(flow)) => {
            let flow = reader.current(flow);
            reader
                .with_constant(binary, flow, &constant, true)
                .map(Some)
        }
        (Value::Constant(_), Value::Constant(_)) => Err("these constants can't be computed".into()),
    }
}

/// x − mean, divided by max(√variance, 10⁻⁷): what is written for a normalization.
fn normalization(reader: &mut Reader, flow: Flow, variance: &Constant) -> Result<Flow> {
    let affine = match &flow.made {
        Made::Affine(affine) => Some(affine.clone()),
        Made::Term(term) => values::affine(term),
        _ => None,
    };
    let affine =
        affine.ok_or("it divides by the root of a variance, and no mean is subtracted before")?;
    let mean = affine
        .minus_only()
        .ok_or("more than a mean is subtracted before")?;
    let variance = reader.numbers(&flow, variance)?;
    let len = mean.len().max(variance.len());
    let all = |numbers: &Numbers| -> Vec<f32> {
        let all = numbers.iter().cycle().take(len);
        all.map(|&value| value as f32).collect()
    };
    let moments = [all(&mean), all(&variance)];
    Ok(reader.made(flow, Made::Normalized(moments)))
}

pub(super) fn scaler<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let flow = reader.flow(node, 0)?;
    let floats = |name| -> Result<Constant> {
        let floats = node
            .attribute(name)?
            .ok_or_else(|| format!("it has no {name}"))?
            .floats;
        Ok(Constant::floats(vec![floats.len()], floats))
    };
    let (offset, scale) = (floats("offset")?, floats("scale")?);
    reader.chain.take(offset.len() + scale.len())?;
    let Some(flow) = flow else { return Ok(None) };
    let flow = reader.with_constant(Binary::Sub, flow, &offset, false)?;
    reader
        .with_constant(Binary::Mul, flow, &scale, false)
        .map(Some)
}

pub(super) fn clip<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let bounds = [
        ("min", 1, f32::MIN, Binary::Max),
        ("max", 2, f32::MAX, Binary::Min),
    ];
    let mut input = reader.flow(node, 0)?;
    for (name, position, none, binary) in bounds {
        let bound = match reader.floats(node, position)? {
            Some(bound) => {
                let wrong = || {
                    format!(
                        "{name} has the shape {:?}, it must be one number",
                        bound.shape
                    )
                };
                bound.scalar().ok_or_else(wrong)?
            }
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

pub(super) fn select<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let mut flows: Vec<Flow> = Vec::new();
    let mut terms = Vec::new();
    let mut rank = 0;
    for position in 0..3 {
        let name = node.input(position).ok_or("it needs three inputs")?;
        match reader.lookup(name)? {
            Value::Unknown => return Ok(None),
            Value::Constant(constant) => {
                let number = constant
                    .scalar()
                    .ok_or("it takes different constants for features")?;
                rank = rank.max(constant.shape.len());
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
    if rank > first.shape.len() + 1 {
        return Err("a constant has more axes than its input".into());
    }
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

/// 1 − p and p, where p is a sigmoid: what scikit-learn has of two classes. They are a softmax of 0 and what p is of.
pub(super) fn probabilities<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
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
