//! The order of a weight's values here and elsewhere.
//!
//! Here, and in Keras, channels come last: kernels are [inputs, units] and [height, width, channels, filters].
//! PyTorch and ONNX have them first, behind the batch: [units, inputs], [filters, channels, height, width].

use crate::nn::layers::Kind;
use crate::nn::network::Network;
use crate::nn::{Layer, SequentialBuilder};

/// Where the values of an array of `shape` are, in the order of one whose axis `i` is axis `order[i]` of it.
pub(super) fn places(shape: &[usize], order: &[usize]) -> impl Iterator<Item = usize> + use<> {
    // An array of no values may have any extents.
    let product = |extents: &[usize]| -> usize {
        let multiply = |product: usize, &extent: &usize| product.saturating_mul(extent);
        extents.iter().fold(1, multiply)
    };
    let stride = |&axis: &usize| product(&shape[axis + 1..]);
    let strides: Vec<_> = order.iter().map(stride).collect();
    let extents: Vec<_> = order.iter().map(|&axis| shape[axis]).collect();
    let len = product(shape);
    let (mut digits, mut next) = (vec![0; order.len()], 0);
    (0..len).map(move |_| {
        let place = next;
        for axis in (0..digits.len()).rev() {
            digits[axis] += 1;
            next += strides[axis];
            if digits[axis] < extents[axis] {
                break;
            }
            next -= strides[axis] * extents[axis];
            digits[axis] = 0;
        }
        place
    })
}

/// For each layer, the image [height, width, channels] whose values its input's last axis has in a row, if a
/// [`Flatten`](crate::nn::Flatten) has put them there: elsewhere they are in the order [channels, height, width].
pub(super) fn flattened(builder: &SequentialBuilder, network: &Network) -> Vec<Option<[usize; 3]>> {
    let mut shape = &network.input_shape[..];
    let mut image = None;
    let mut all = Vec::new();
    for (layer, built) in builder.layers.iter().zip(&network.layers) {
        all.push(image);
        image = match (shape, flattens(layer)) {
            (&[height, width, channels], true) => Some([height, width, channels]),
            (_, true) => image,
            _ if keeps_order(layer) => image,
            _ => None,
        };
        shape = &built.output_shape;
    }
    all
}

/// The first layer that takes an image apart in another way than a [`Flatten`](crate::nn::Flatten), or makes one: with the
/// channels first it would be another function.
pub(super) fn reorders<'a>(builder: &SequentialBuilder, network: &'a Network) -> Option<&'a str> {
    let has_order = |[height, width, channels]: [usize; 3]| channels > 1 && height * width > 1;
    let is_image = |shape: &[usize]| <[usize; 3]>::try_from(shape).is_ok_and(has_order);
    let mut shape = &network.input_shape[..];
    let images = flattened(builder, network);
    for ((layer, built), image) in builder.layers.iter().zip(&network.layers).zip(images) {
        let output = &built.output_shape[..];
        let is_mixed = is_image(shape) || is_image(output) || image.is_some_and(has_order);
        let is_reshape = matches!(layer.kind, Kind::Reshape(_)) && shape != output;
        if is_reshape && is_mixed && !flattens(layer) {
            return Some(&built.name);
        }
        shape = output;
    }
    None
}

/// Whether it puts all of a sample in a row.
fn flattens(layer: &Layer) -> bool {
    match &layer.kind {
        Kind::Flatten => true,
        Kind::Reshape(shape) => shape.len() == 1,
        _ => false,
    }
}

/// Whether its output has the order of its input.
fn keeps_order(layer: &Layer) -> bool {
    match layer.kind {
        Kind::Activation(_) | Kind::AlphaDropout(..) | Kind::Dropout(..) => true,
        Kind::Normalization(_) | Kind::BatchNormalization { .. } => true,
        Kind::LayerNormalization { .. } => true,
        Kind::Dense { .. } | Kind::Conv2d { .. } | Kind::MaxPool2d(_) => false,
        Kind::AveragePooling2d(_) | Kind::GlobalAveragePooling2d => false,
        Kind::Flatten | Kind::Reshape(_) => false,
    }
}
