//! One file per op: its parameters, its checks, its dispatch.

pub(crate) mod alpha_dropout;
pub(crate) mod conv2d;
mod dense;
pub(crate) mod elementwise;
mod elu;
mod gelu;
pub(crate) mod image;
pub(crate) mod initializers;
pub(crate) mod layer;
mod leaky_relu;
pub(crate) mod network;
mod relu;
pub(crate) mod rows;
pub(crate) mod selu;
mod sigmoid;
mod silu;
mod sine;
mod softmax;
mod softplus;
mod tanh;

use crate::shader::module::Module;
use crate::{Error, Result, Tensor};

static MODULES: &[&Module] = &[
    &elementwise::MODULE,
    &alpha_dropout::MODULE,
    &initializers::MODULE,
    &rows::MODULE,
    &image::READ_MODULE,
    &image::WRITE_MODULE,
];

/// Every module of the crate.
pub(crate) fn modules() -> impl Iterator<Item = &'static Module> {
    MODULES.iter().copied().chain(network::modules())
}

/// `value` if `allowed`, or an error that states the rule.
pub(crate) fn require(
    op: &'static str,
    name: &'static str,
    value: f64,
    allowed: bool,
    rule: &'static str,
) -> Result<f64> {
    if allowed {
        Ok(value)
    } else {
        Err(Error::Parameter {
            op,
            name,
            value,
            rule,
        })
    }
}

/// An error unless a kernel can bind the tensor and number its elements.
fn check_size(tensor: &Tensor) -> Result<()> {
    let range = tensor.range();
    let bytes = range.end - range.start;
    let max = tensor.gpu().limits().max_binding_bytes;
    // Shaders count in i32.
    if bytes > max || tensor.len() > i32::MAX as usize {
        return Err(Error::TooLarge {
            shape: tensor.shape().into(),
            limit: format!(
                "it takes {bytes} bytes, the device binds {max} at most, and elements are counted in 31 bits; work on parts of it"
            ),
        });
    }
    Ok(())
}

/// The low and the high word, as the shaders take them.
fn words(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

/// The random block that begins with element `offset` of a stream.
fn first_block(op: &'static str, offset: u64) -> Result<[u32; 2]> {
    let value = offset as f64;
    require(
        op,
        "offset",
        value,
        offset.is_multiple_of(4),
        "a multiple of 4",
    )?;
    // So that the end fits in a u64, whatever the length.
    require(op, "offset", value, offset <= 1 << 63, "at most 2^63")?;
    Ok(words(offset / 4))
}
