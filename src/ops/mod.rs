//! One file per op: its parameters, its checks, its dispatch.

pub(crate) mod activation;
pub(crate) mod alpha_dropout;
mod elu;
pub(crate) mod epilogue;
pub(crate) mod gather;
mod gelu;
pub(crate) mod initializers;
mod leaky_relu;
pub(crate) mod loss;
pub(crate) mod max_pool2d;
pub(crate) mod moments;
pub(crate) mod optimizer;
pub(crate) mod product;
mod relu;
pub(crate) mod selu;
mod sigmoid;
mod silu;
pub(crate) mod softmax;
mod softplus;
pub(crate) mod step;
mod tanh;

use bytemuck::Pod;

use crate::element::ElementType;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::memory::Region;
use crate::shader::module::{Form, Kernel, Module, WORKGROUP_SIZE};
use crate::{Error, Gpu, Result};

/// The modules of the ops that are a file each.
static MODULES: &[&Module] = &[
    &activation::MODULE,
    &alpha_dropout::MODULE,
    &initializers::MODULE,
    &gather::MODULE,
    &epilogue::MODULE,
    &max_pool2d::MODULE,
    &softmax::MODULE,
    &moments::MODULE,
];

/// Every module of the crate.
pub(crate) fn modules() -> impl Iterator<Item = &'static Module> {
    [MODULES, product::MODULES, loss::MODULES, optimizer::MODULES]
        .into_iter()
        .flatten()
        .copied()
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

/// The low and the high word, as the shaders take them.
fn words(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

/// The random block that the element `offset` of a stream begins.
fn first_block(op: &'static str, offset: u64) -> Result<[u32; 2]> {
    let value = offset as f64;
    require(
        op,
        "offset",
        value,
        offset.is_multiple_of(4),
        "a multiple of 4",
    )?;
    // Whatever the length, the end is a u64.
    require(op, "offset", value, offset <= 1 << 63, "at most 2^63")?;
    Ok(words(offset / 4))
}

/// The values in a lane of tensors with rows of this length.
fn lane_values(row: u32) -> u32 {
    if row.is_multiple_of(4) { 4 } else { 1 }
}

/// A dispatch with an invocation for each of `items`, of lanes of so many values.
fn per_item<P: Pod>(
    gpu: &Gpu,
    kernel: Kernel,
    form: Form,
    lane_values: u32,
    regions: &[&Region],
    params: &P,
    items: u32,
) -> Result<Dispatch> {
    let wide_lanes = lane_values == 4;
    let groups = items.div_ceil(WORKGROUP_SIZE).into();
    dispatch(gpu, kernel, form, wide_lanes, regions, params, groups)
}

/// A dispatch of `groups` workgroups over f32s.
fn dispatch<P: Pod>(
    gpu: &Gpu,
    kernel: Kernel,
    form: Form,
    wide_lanes: bool,
    regions: &[&Region],
    params: &P,
    groups: u64,
) -> Result<Dispatch> {
    let pipelines = gpu.pipelines();
    let variant = pipelines.variant(kernel.module, ElementType::F32, wide_lanes, form);
    let pipeline = pipelines.get(kernel, variant, regions.len())?;
    let buffers: Vec<_> = regions.iter().map(|region| region.binding()).collect();
    let tensors = pipelines.bind(&pipeline, &buffers)?;
    pipelines.dispatch(pipeline, tensors, params, groups)
}
