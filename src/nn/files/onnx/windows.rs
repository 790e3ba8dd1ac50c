//! Windows that slide over images: convolutions and pools.

use super::super::layout::places;
use super::chain::{Flow, Made, Order, check_size};
use super::model::Node;
use super::operators;
use super::read::{Input, Reader, Result};
use crate::nn::layers::Sliding;
use crate::nn::{AveragePooling2d, Conv2d, Layer, MaxPool2d, Padding};

/// Zeros around an image, which belong to the convolution behind.
pub(super) fn pad<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
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
    let (Some(flow), Some(pads)) = (input, pads) else {
        return Ok(None);
    };
    if pads.iter().all(|&pad| pad == 0) {
        return Ok(Some(flow));
    }
    if node.input(3).is_some() {
        return Err("its axes are given; here its pads are for all of them".into());
    }
    let pads: Option<Vec<usize>> = pads.iter().map(|&pad| usize::try_from(pad).ok()).collect();
    let pads = match pads.as_deref() {
        Some(&[0, a, b, c, 0, d, e, f]) => Some([[a, b, c], [d, e, f]]),
        _ => None,
    };
    let is_image = flow.shape.len() == 3 && !flow.merged;
    let pads = pads.filter(|_| value == 0.0 && mode == "constant" && is_image);
    let pads = pads.ok_or(AROUND_AN_IMAGE)?;
    let mut shape = flow.shape.clone();
    for (axis, extent) in shape.iter_mut().enumerate() {
        let sum = extent.checked_add(pads[0][axis]);
        let sum = sum.and_then(|sum| sum.checked_add(pads[1][axis]));
        *extent = sum.ok_or("its padding is too large")?;
    }
    check_size(&shape)?;
    let flow = reader.made(flow, Made::Padded(pads));
    Ok(Some(Flow { shape, ..flow }))
}

const AROUND_AN_IMAGE: &str = "here there are only zeros around an image";

/// An image [height, width, channels] without the zeros around it, and those.
fn unpadded(reader: &mut Reader, flow: &mut Flow) -> Result<([usize; 3], [[usize; 2]; 2])> {
    let mut pads = [[0; 3]; 2];
    if let Made::Padded(found) = flow.made {
        pads = found;
        for (axis, extent) in flow.shape.iter_mut().enumerate() {
            *extent -= pads[0][axis] + pads[1][axis];
        }
        flow.made = Made::Output;
    }
    *flow = reader.realize(flow.clone())?;
    let image = image(reader, flow)?;
    // Its channels come first now.
    let [[0, top, left], [0, bottom, right]] = pads else {
        return Err(AROUND_AN_IMAGE.into());
    };
    Ok((image, [[top, left], [bottom, right]]))
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
    for (name, of_each) in [
        ("kernel_shape", 1),
        ("strides", 1),
        ("dilations", 1),
        ("pads", 2),
    ] {
        let given = node.ints(name)?;
        if given.is_some_and(|given| given.len() != 2 * of_each) {
            return Err("only images are possible here, of two dimensions".into());
        }
    }
    let mut problems = Vec::new();
    let mut two = |name: &str| -> Result<[usize; 2]> {
        let Some(values) = node.ints(name)? else {
            return Ok([1, 1]);
        };
        Ok(pair(&values).unwrap_or_else(|| {
            problems.push(format!("{name} is {values:?}, it must be from 0 on"));
            [1, 1]
        }))
    };
    let strides = two("strides")?;
    let dilations = two("dilations")?;
    if dilations != [1, 1] {
        problems.push(format!(
            "dilations is {dilations:?}, only 1 is possible here"
        ));
    }
    let pads = node.ints("pads")?.unwrap_or(vec![0; 4]);
    let explicit = match &pads[..] {
        [top, left, bottom, right] => pair(&[*top, *left]).zip(pair(&[*bottom, *right])),
        _ => None,
    };
    if explicit.is_none() {
        problems.push(format!("pads is {pads:?}, it must be from 0 on"));
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
            return Err(format!(
                "a padding of {found} around a window of {size:?}; it must be {rule}"
            ));
        }
        let sliding = Sliding {
            size,
            strides: self.strides,
            padding,
        };
        let along = |axis| {
            sliding
                .along(axis, image[axis])
                .map(|(positions, _)| positions)
        };
        let output = along(0).zip(along(1)).ok_or_else(wrong)?;
        Ok((sliding, output.into()))
    }

    fn padding(&self, image: [usize; 2], size: [usize; 2]) -> Option<Padding> {
        let (before, mut after) = match self.padding {
            Pads::SameUpper => return Some(Padding::Same),
            Pads::SameLower => {
                let mut pads = [[0; 2]; 2];
                for axis in 0..2 {
                    let positions = image[axis]
                        .checked_add(self.strides[axis])?
                        .checked_sub(1)?;
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
            let start = span
                .checked_add(stride)?
                .checked_sub(1)?
                .checked_div(stride)?
                .checked_mul(stride)?;
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
pub(super) fn image(reader: &mut Reader, flow: &mut Flow) -> Result<[usize; 3]> {
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
            let before = match reader.chain.layers[..] {
                [] => "the network's input",
                _ => "the layer before",
            };
            return Err(format!(
                "its input {:?} has the channels first, where {before} has them last",
                flow.shape
            ));
        }
        flow.order = Order::ChannelsFirst;
    }
    reader.chain.settle(flow)?;
    Ok([height, width, channels])
}

pub(super) fn conv<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let mut windowed = windowed(node)?;
    let group = node.int("group", 1)?;
    if group != 1 {
        windowed
            .problems
            .insert(0, format!("group is {group}, only 1 is possible here"));
    }
    let input = reader.flow(node, 0);
    windowed.check()?;
    let (kernel, bias) = (reader.floats(node, 1)?, reader.floats(node, 2)?);
    let (Some(mut flow), Some(kernel)) = (input?, kernel) else {
        return Ok(None);
    };
    let ([height, width, channels], zeros) = unpadded(reader, &mut flow)?;
    windowed.pad(zeros)?;
    let (&[filters, inputs, rows, columns], Some(values)) = (&kernel.shape[..], kernel.as_floats())
    else {
        return Err(format!(
            "its kernel has the shape {:?}, and needs four axes",
            kernel.shape
        ));
    };
    let size = [rows, columns];
    if inputs != channels {
        return Err(format!(
            "its input has {channels} channels, its kernel {:?}",
            kernel.shape
        ));
    }
    let given = node.ints("kernel_shape")?;
    if given.is_some_and(|given| pair(&given) != Some(size)) {
        return Err(format!(
            "kernel_shape is not that of its kernel, {:?}",
            kernel.shape
        ));
    }
    let (sliding, output) = windowed.over([height, width], size)?;
    reader.chain.take(values.len())?;
    let values = places(&kernel.shape, &[2, 3, 1, 0])
        .map(|place| values[place])
        .collect();
    let mut weights = vec![("kernel", values)];
    if let Some(bias) = &bias {
        let values = bias.as_floats().unwrap_or_default();
        if values.len() != filters {
            return Err(format!(
                "it has {} biases for {filters} filters",
                values.len()
            ));
        }
        reader.chain.take(filters)?;
        weights.push(("bias", values.to_vec()));
    }
    let layer = Conv2d::new(filters, size)
        .strides(sliding.strides)
        .padding(sliding.padding)
        .use_bias(bias.is_some());
    let [height, width] = output;
    reader.chain.push(
        operators::named(layer, node),
        weights,
        vec![height, width, filters],
    )?;
    Ok(Some(reader.pushed(
        flow,
        vec![filters, height, width],
        Order::ChannelsFirst,
    )))
}

pub(super) fn pool<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let mut windowed = windowed(node)?;
    let size = node.ints("kernel_shape")?.unwrap_or_default();
    let size = pair(&size).unwrap_or_else(|| {
        windowed.problems.push(format!(
            "kernel_shape is {size:?}, it must have two extents"
        ));
        [1, 1]
    });
    let is_max = node.operator == "MaxPool";
    let counts_padding = !is_max && node.int("count_include_pad", 0)? != 0;
    let input = reader.output(node, 0);
    windowed.check()?;
    let Some(mut flow) = input? else {
        return Ok(None);
    };
    let [height, width, channels] = image(reader, &mut flow)?;
    let (sliding, [down, across]) = windowed.over([height, width], size)?;
    if counts_padding && sliding.padding != Padding::Valid {
        return Err(
            "count_include_pad is 1, and there is padding; here it is no part of an average".into(),
        );
    }
    let layer = match is_max {
        true => Layer::from(
            MaxPool2d::new(size)
                .strides(sliding.strides)
                .padding(sliding.padding),
        ),
        false => AveragePooling2d::new(size)
            .strides(sliding.strides)
            .padding(sliding.padding)
            .into(),
    };
    reader.chain.push(
        operators::named(layer, node),
        Vec::new(),
        vec![down, across, channels],
    )?;
    Ok(Some(reader.pushed(
        flow,
        vec![channels, down, across],
        Order::ChannelsFirst,
    )))
}

pub(super) fn global_max_pool<'a>(reader: &mut Reader<'a>, node: &Node<'a>) -> Result<Input> {
    let Some(mut flow) = reader.output(node, 0)? else {
        return Ok(None);
    };
    let [height, width, channels] = image(reader, &mut flow)?;
    let layer = MaxPool2d::new([height, width]);
    reader.chain.push(
        operators::named(layer, node),
        Vec::new(),
        vec![1, 1, channels],
    )?;
    Ok(Some(reader.pushed(
        flow,
        vec![channels, 1, 1],
        Order::ChannelsFirst,
    )))
}
