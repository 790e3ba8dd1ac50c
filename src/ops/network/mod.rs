//! The building blocks of networks: kernels over regions of the crate's own memory, bound once and
//! recorded for each batch.

pub(crate) mod activation;
pub(crate) mod epilogue;
pub(crate) mod gather;
pub(crate) mod guard;
pub(crate) mod inspect;
pub(crate) mod loss;
pub(crate) mod max_pool2d;
pub(crate) mod moments;
pub(crate) mod optimizer;
pub(crate) mod product;
pub(crate) mod softmax;
pub(crate) mod step;
pub(crate) mod weights;

use bytemuck::Pod;

use crate::element::ElementType;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::shader::module::{Form, Kernel, Module, WORKGROUP_SIZE};
use crate::{Gpu, Result};

static MODULES: &[&Module] = &[
    &gather::MODULE,
    &weights::MODULE,
    &inspect::MODULE,
    &epilogue::MODULE,
    &max_pool2d::MODULE,
    &softmax::MODULE,
    &moments::MODULE,
];

pub(super) fn modules() -> impl Iterator<Item = &'static Module> {
    [
        MODULES,
        product::MODULES,
        loss::MODULES,
        guard::MODULES,
        optimizer::MODULES,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The number of values in a lane, for tensors with rows of this length.
fn lane_values(row: u32) -> u32 {
    if row.is_multiple_of(4) { 4 } else { 1 }
}

/// A dispatch with an invocation for each of `items`, and lanes of `lane_values` values.
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
