//! Operators of shapes: of values, which change no element, and of constants.

use super::chain::{Flow, Made, Order};
use super::constant::{self, Constant, Int};
use super::model::{Node, is_float, is_standard};
use super::operators;
use super::read::{Input, Reader, Result, Value};

/// The least deviation of a normalization.
pub(super) const FLOOR: f32 = 1e-7;

/// Axes that count that of the batch, and may count from the end, without it; sorted. None if it is among them, or
/// there is no such axis.
pub(super) fn sample_axes(axes: &[i64], rank: usize) -> Option<Vec<usize>> {
    let axis = |&axis: &i64| constant::from_end(axis, rank + 1)?.checked_sub(1);
    let mut axes: Vec<_> = axes.iter().map(axis).collect::<Option<_>>()?;
    axes.sort_unstable();
    axes.dedup();
    Some(axes)
}

pub(super) fn transpose<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let Some(flow) = reader.flow(node, 0)? else {
        return Ok(None);
    };
    // Its axes are those of a normalization, too.
    let flow = match flow.made {
        Made::Norm(..) => reader.realize(flow)?,
        _ => flow,
    };
    let rank = flow.shape.len();
    let order = node
        .ints("perm")?
        .unwrap_or_else(|| (0..=rank as i64).rev().collect());
    let order: Vec<_> = order
        .iter()
        .filter_map(|&axis| usize::try_from(axis).ok())
        .collect();
    let first: Vec<_> = [0, rank].into_iter().chain(1..rank).collect();
    let last: Vec<_> = [0].into_iter().chain(2..=rank).chain([1]).collect();
    let same: Vec<_> = (0..=rank).collect();
    let (mut shape, mut made) = (flow.shape.clone(), flow.made.clone());
    let trivial = is_trivial(&flow.shape);
    let order = match &flow.order {
        _ if order == same || rank == 0 => return Ok(Some(flow)),
        _ if flow.merged => Err(()),
        Order::Same if order == first => {
            shape.rotate_right(1);
            rotate(&mut made, <[usize]>::rotate_right);
            Ok(Order::ChannelsFirst)
        }
        Order::ChannelsFirst if order == last => {
            shape.rotate_left(1);
            rotate(&mut made, <[usize]>::rotate_left);
            Ok(Order::Same)
        }
        // Nothing is moved.
        Order::Same if order == last && trivial => {
            shape.rotate_left(1);
            rotate(&mut made, <[usize]>::rotate_left);
            Ok(Order::Same)
        }
        _ => Err(()),
    };
    let Ok(order) = order else {
        return Err(
            "only channels can be moved, from the last place to the first behind the batch, or back"
                .into(),
        );
    };
    Ok(Some(Flow {
        shape,
        order,
        made,
        ..flow
    }))
}

/// The padding along each axis goes with the axis.
fn rotate(made: &mut Made, by_one: fn(&mut [usize], usize)) {
    if let Made::Padded(pads) = made {
        pads.iter_mut().for_each(|pads| by_one(pads, 1));
    }
}

/// Whether channels in the first place are where they are in the last.
pub(super) fn is_trivial(shape: &[usize]) -> bool {
    let rest: usize = shape.iter().skip(1).product();
    rest == 1 || shape.first() == Some(&1)
}

pub(super) fn reshape<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let target = match node.ints("shape")? {
        Some(shape) => Some(shape.into_iter().map(Int::Known).collect()),
        None => reader
            .constant(node, 1)?
            .map(|target| {
                target
                    .as_ints()
                    .map(<[Int]>::to_vec)
                    .ok_or("its shape is no integers")
            })
            .transpose()?,
    };
    let zeros_are_extents = node.int("allowzero", 0)? != 0;
    let input = reader.flow(node, 0)?;
    let (Some(flow), Some(mut target)) = (input, target) else {
        return Ok(None);
    };
    for (i, extent) in target.iter_mut().enumerate() {
        if *extent == Int::Known(0) && !zeros_are_extents {
            *extent = match i.checked_sub(1) {
                None => Int::Batches(1),
                Some(i) => {
                    let extent = flow.shape.get(i).ok_or("its shape has a 0 for no axis")?;
                    Int::Known(*extent as i64)
                }
            };
        }
    }
    to(reader, flow, &target).map(Some)
}

/// Another shape of as many elements, that of the batch first.
fn to(reader: &mut Reader, flow: Flow, target: &[Int]) -> Result<Flow> {
    let wrong = || {
        let extent = |extent: &Int| match extent {
            Int::Known(value) => value.to_string(),
            Int::Batches(1) => "batch".into(),
            Int::Batches(factor) => format!("{factor} batch"),
        };
        let target = target.iter().map(extent).collect::<Vec<_>>().join(", ");
        format!(
            "samples of the shape {:?} can't become [{target}]",
            flow.shape
        )
    };
    let total: usize = match flow.merged {
        true => reader.chain.shape.iter().product(),
        false => flow.shape.iter().product(),
    };
    let (first, rest) = target.split_first().ok_or_else(wrong)?;
    if rest.len() > 8 {
        return Err(wrong());
    }
    let open = rest
        .iter()
        .filter(|extent| **extent == Int::Known(-1))
        .count();
    let known: Vec<Option<usize>> = rest
        .iter()
        .map(|extent| {
            extent
                .known()
                .and_then(|extent| usize::try_from(extent).ok())
        })
        .collect();
    let product = known
        .iter()
        .flatten()
        .try_fold(1usize, |product, &extent| product.checked_mul(extent));
    let product = product.filter(|&product| product > 0).ok_or_else(wrong)?;
    if known.iter().filter(|extent| extent.is_none()).count() != open || open > 1 {
        return Err(wrong());
    }
    let is_batch = match *first {
        Int::Batches(factor) => factor == 1,
        Int::Known(-1) => open == 0 && product == total,
        Int::Known(known) => reader.batch.is_some_and(|batch| batch as i64 == known),
    };
    let per_sample = match *first {
        _ if is_batch => 1,
        Int::Batches(factor) => usize::try_from(factor).map_err(|_| wrong())?,
        Int::Known(-1) if total.is_multiple_of(product) => total / product,
        Int::Known(known) => match reader.batch {
            Some(batch) if batch > 0 => {
                let known = usize::try_from(known).map_err(|_| wrong())?;
                if known % batch != 0 {
                    return Err(wrong());
                }
                known / batch
            }
            _ => return Err(wrong()),
        },
    };
    let all = product
        .checked_mul(per_sample)
        .filter(|&all| all > 0)
        .ok_or_else(wrong)?;
    if !total.is_multiple_of(all) || (open == 0 && total != all) {
        return Err(wrong());
    }
    let shape: Vec<_> = known
        .iter()
        .map(|extent| extent.unwrap_or(total / all))
        .collect();
    reshaped(reader, flow, shape, !is_batch)
}

fn reshaped(reader: &mut Reader, flow: Flow, shape: Vec<usize>, merged: bool) -> Result<Flow> {
    if (&shape, merged) == (&flow.shape, flow.merged) {
        return Ok(flow);
    }
    let is_term = matches!(flow.made, Made::Output | Made::Term(_));
    let mut flow = if is_term { flow } else { reader.realize(flow)? };
    flow.order = match &flow.order {
        Order::Same => Order::Same,
        Order::ChannelsFirst if is_trivial(&flow.shape) => Order::Same,
        Order::ChannelsFirst if shape.len() == 1 && !merged => {
            let mut image = flow.shape.clone();
            image.rotate_left(1);
            Order::Flattened(image)
        }
        Order::Flattened(image) if !merged => {
            let mut image = image.clone();
            image.rotate_right(1);
            if image != shape {
                return Err(format!(
                    "an image of the shape {image:?}, which has been flattened with its channels first, can't become {shape:?}"
                ));
            }
            Order::ChannelsFirst
        }
        _ => {
            return Err(format!(
                "an image of the shape {:?}, with its channels first, can't become {shape:?}; here they come last",
                flow.shape
            ));
        }
    };
    flow.shape = shape;
    flow.merged = merged;
    Ok(flow)
}

pub(super) fn flatten<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let axis = node.int("axis", 1)?;
    let Some(flow) = reader.flow(node, 0)? else {
        return Ok(None);
    };
    let total = match flow.merged {
        true => return Err("its input has values of several samples in a row".into()),
        false => flow.shape.iter().product(),
    };
    let axis = if axis < 0 {
        axis.saturating_add(flow.shape.len() as i64 + 1)
    } else {
        axis
    };
    if axis == flow.shape.len() as i64 && axis > 0 {
        let last = flow.shape.last().copied().unwrap_or(1);
        let is_one = flow.shape.len() == 1;
        return reshaped(reader, flow, vec![last], !is_one).map(Some);
    }
    if axis != 1 {
        return Err(format!("axis is {axis}: samples would be joined"));
    }
    reshaped(reader, flow, vec![total], false).map(Some)
}

pub(super) fn squeeze<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let axes = operators::axes_of(reader, node)?;
    let Some(flow) = reader.flow(node, 0)? else {
        return Ok(None);
    };
    let rank = flow.shape.len();
    let axes = match axes {
        Some(axes) => {
            sample_axes(&axes, rank).ok_or("it takes away the axis of the samples, or none")?
        }
        None => (0..rank).filter(|&axis| flow.shape[axis] == 1).collect(),
    };
    if axes.iter().any(|&axis| flow.shape[axis] != 1) {
        return Err(format!(
            "the axes {axes:?} of {:?} are not all 1",
            flow.shape
        ));
    }
    let shape = flow
        .shape
        .iter()
        .enumerate()
        .filter(|(axis, _)| !axes.contains(axis));
    let shape = shape.map(|(_, &extent)| extent).collect();
    let merged = flow.merged;
    reshaped(reader, flow, shape, merged).map(Some)
}

pub(super) fn unsqueeze<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let axes = operators::axes_of(reader, node)?;
    let Some(flow) = reader.flow(node, 0)? else {
        return Ok(None);
    };
    let axes = axes.unwrap_or_default();
    let rank = flow.shape.len() + axes.len();
    let axes = sample_axes(&axes, rank).filter(|_| rank <= 8);
    let axes = axes.ok_or("it adds an axis before the samples, or too many")?;
    let mut shape = flow.shape.clone();
    for axis in axes {
        if axis > shape.len() {
            return Err("it adds an axis that is none".into());
        }
        shape.insert(axis, 1);
    }
    let merged = flow.merged;
    reshaped(reader, flow, shape, merged).map(Some)
}

/// Whether it can be computed of constants alone.
pub(super) fn is_of_constants(node: &Node) -> bool {
    let is_one = matches!(
        node.operator,
        "Identity"
            | "Cast"
            | "Gather"
            | "Slice"
            | "Concat"
            | "Squeeze"
            | "Unsqueeze"
            | "Reshape"
            | "Transpose"
            | "Add"
            | "Sub"
            | "Mul"
            | "Div"
            | "Mod"
            | "Pow"
            | "Max"
            | "Min"
            | "Sqrt"
            | "Neg"
            | "Reciprocal"
            | "Exp"
            | "ReduceProd"
            | "ConstantOfShape"
            | "Shape"
    );
    is_one && is_standard(node.domain)
}

/// What a node gives if that is known before the network runs.
pub(super) fn constant<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Option<Constant>> {
    if node.operator == "Shape" {
        return shape(reader, node);
    }
    if !is_of_constants(node) || node.inputs.is_empty() {
        return Ok(None);
    }
    let mut inputs = Vec::new();
    for position in 0..node.inputs.len() {
        let Some(name) = node.input(position) else {
            continue;
        };
        let value = match reader.known_value(name) {
            Some(value) => value,
            None => return Ok(None),
        };
        inputs.push(value?);
    }
    let input = inputs.first().filter(|_| node.input(0).is_some());
    let input = input.ok_or("it has no first input")?;
    let axes = |reader: &mut Reader<'a>| operators::axes_of(reader, node);
    reader.chain.take(
        inputs
            .iter()
            .map(|input| input.len() + input.shape.len())
            .sum(),
    )?;
    Ok(Some(match node.operator {
        "Identity" => (**input).clone(),
        "Cast" => {
            let to = node.int("to", 0)?;
            match (input.as_floats(), is_float(to)) {
                (Some(_), true) | (None, false) => (**input).clone(),
                (Some(_), false) => return Err("it makes integers of floats".into()),
                (None, true) => {
                    let floats = input.known()?.iter().map(|&value| value as f32).collect();
                    Constant::floats(input.shape.clone(), floats)
                }
            }
        }
        "Gather" => {
            let places = reader.constant(node, 1)?.ok_or("it has no indices")?;
            let values = input.as_ints().filter(|_| input.shape.len() == 1);
            let values = values.and_then(|values| constant::gather(values, &places.known().ok()?));
            let values = values.ok_or("its indices are not in its input")?;
            Constant::ints(places.shape.clone(), values)?
        }
        "ConstantOfShape" => {
            let value = node
                .attribute("value")?
                .and_then(|attribute| attribute.tensor);
            let value = value.map(|value| reader.tensor(&value)).transpose()?;
            let values = value.as_ref().and_then(|value| value.as_ints());
            let &[value] = values.ok_or("it gives floats")? else {
                return Err("its value is not one number".into());
            };
            let &[len] = &input.known()?[..] else {
                return Err("it gives more than a list".into());
            };
            let len = usize::try_from(len).ok().filter(|&len| len <= 64);
            let len = len.ok_or("its list is too long")?;
            Constant::ints(vec![len], vec![value; len])?
        }
        "Slice" => sliced(reader, node, input)?,
        "Concat" => {
            if inputs.len() != node.inputs.len() {
                return Err("one of its inputs is not there".into());
            }
            let mut all = Vec::new();
            for input in &inputs {
                let values = input.as_ints().filter(|_| input.shape.len() == 1);
                all.extend(values.ok_or("it joins floats, or more than lists")?);
            }
            Constant::ints(vec![all.len()], all)?
        }
        "Squeeze" | "Unsqueeze" => {
            let axes = axes(reader)?;
            let shape = with_ones(&input.shape, axes.as_deref(), node.operator == "Squeeze");
            input.reshaped(shape.ok_or("its axes are none of its input")?)?
        }
        "Reshape" => {
            let target = reader.known(node, 1)?.unwrap_or_default();
            input.reshaped(of_constant(&target, &input.shape).ok_or("its shape can't be that")?)?
        }
        "Transpose" => {
            let rank = input.shape.len();
            let order = node
                .ints("perm")?
                .unwrap_or_else(|| (0..rank as i64).rev().collect());
            let order: Option<Vec<_>> = order
                .iter()
                .map(|&axis| constant::from_end(axis, rank))
                .collect();
            let is_order = |order: &Vec<usize>| {
                order.len() == rank && (0..rank).all(|axis| order.contains(&axis))
            };
            input.transposed(
                &order
                    .filter(is_order)
                    .ok_or("perm is no order of its axes")?,
            )
        }
        "ReduceProd" => {
            let values = input.as_ints().ok_or("it takes the product of floats")?;
            let product = constant::product(values).ok_or("its product is too large")?;
            let shape = if node.int("keepdims", 1)? == 0 {
                Vec::new()
            } else {
                vec![1; input.shape.len()]
            };
            Constant::ints(shape, vec![product])?
        }
        _ if inputs.len() != node.inputs.len() => {
            return Err("one of its inputs is not there".into());
        }
        operator => match &inputs[..] {
            [_, _, _, ..] => return Err("of more than two constants it can't be computed".into()),
            [_, other] => {
                if let ("Max", Some(name), Some(&result)) =
                    (operator, node.input(0), node.outputs.first())
                    && other.scalar() == Some(FLOOR.into())
                    && let Some(variance) = reader.roots.get(name)
                {
                    reader.variances.insert(result, variance.clone());
                }
                constant::combine(operator, input, other)?
            }
            _ => {
                let floats = input.as_floats().ok_or("it takes floats")?;
                let values = operators::of_floats(node, floats).ok_or("it needs two inputs")?;
                if let ("Sqrt", Some(&result)) = (operator, node.outputs.first()) {
                    reader.roots.insert(result, input.clone());
                }
                Constant::floats(input.shape.clone(), values)
            }
        },
    }))
}

fn shape<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Option<Constant>> {
    let name = node.input(0).ok_or("it has no input")?;
    let all: Vec<_> = match reader.lookup(name)? {
        Value::Unknown => return Ok(None),
        Value::Constant(constant) => constant
            .shape
            .iter()
            .map(|&extent| Int::Known(extent as i64))
            .collect(),
        Value::Flow(flow) => {
            let batch = match (flow.merged, flow.shape.iter().product::<usize>()) {
                (false, _) => 1,
                (true, 0) => return Err("its input has no elements".into()),
                (true, each) => reader.chain.shape.iter().product::<usize>() / each,
            };
            let rest = flow.shape.iter().map(|&extent| Int::Known(extent as i64));
            [Int::Batches(batch as i64)]
                .into_iter()
                .chain(rest)
                .collect()
        }
    };
    let (start, end) = (node.int("start", 0)?, node.int("end", i64::MAX)?);
    let all = Constant::ints(vec![all.len()], all)?;
    Ok(all.slice(start, end, 1))
}

fn sliced<'a>(reader: &mut Reader<'a>, node: &Node<'a>, input: &Constant) -> Result<Constant> {
    let mut one = |name: &str, position: usize, default: i64| -> Result<i64> {
        let values = match node.ints(name)? {
            Some(values) => Some(values),
            None => reader.known(node, position)?,
        };
        match values.as_deref() {
            None => Ok(default),
            Some(&[value]) => Ok(value),
            Some(_) => Err(format!("{name} is not one number")),
        }
    };
    let (start, end) = (one("starts", 1, 0)?, one("ends", 2, i64::MAX)?);
    let (axis, step) = (one("axes", 3, 0)?, one("steps", 4, 1)?);
    let is_first = constant::from_end(axis, input.shape.len()) == Some(0);
    let slice = input.slice(start, end, step).filter(|_| is_first);
    slice.ok_or_else(|| "it is no part of a shape".into())
}

/// A shape without some extents of 1, or with more.
fn with_ones(shape: &[usize], axes: Option<&[i64]>, less: bool) -> Option<Vec<usize>> {
    let rank = match less {
        true => shape.len(),
        false => shape.len() + axes?.len(),
    };
    if rank > 8 {
        return None;
    }
    let axes: Vec<usize> = match axes {
        None => (0..rank).filter(|&axis| shape[axis] == 1).collect(),
        Some(axes) => axes
            .iter()
            .map(|&axis| constant::from_end(axis, rank))
            .collect::<Option<_>>()?,
    };
    let mut rest = shape.iter().copied();
    let all = (0..rank).map(|axis| match (axes.contains(&axis), less) {
        (true, true) => rest.next().filter(|&extent| extent == 1).map(|_| None),
        (true, false) => Some(Some(1)),
        (false, _) => rest.next().map(Some),
    });
    Some(
        all.collect::<Option<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect(),
    )
}

/// The shape that a constant gets, of which one extent may be open.
fn of_constant(target: &[i64], shape: &[usize]) -> Option<Vec<usize>> {
    let total = shape
        .iter()
        .try_fold(1usize, |total, &extent| total.checked_mul(extent))?;
    let mut all = Vec::new();
    for (axis, &extent) in target.iter().enumerate() {
        all.push(match extent {
            0 => Some(*shape.get(axis)?),
            -1 => None,
            extent => Some(usize::try_from(extent).ok()?),
        });
    }
    let known = all
        .iter()
        .flatten()
        .try_fold(1usize, |known, &extent| known.checked_mul(extent))?;
    let open = total.checked_div(known);
    (all.len() <= 8).then_some(())?;
    all.into_iter().map(|extent| extent.or(open)).collect()
}
