//! The optimizer stochastic gradient descent.

use bytemuck::{Pod, Zeroable};

use super::step::STEP;
use super::{lane_values, per_item};
use crate::memory::Region;
use crate::pass::Dispatch;
use crate::pipelines::{Form, Kernel, Module, SINGLE_FORM, Struct};
use crate::tensor::ElementType;
use crate::{Gpu, Result};

pub(crate) static MODULE: Module = Module {
    name: "sgd",
    sources: &[
        include_str!("../../shaders/sgd.wgsl"),
        include_str!("../../shaders/shared/item.wgsl"),
    ],
    constants: &[],
    entry_points: &["sgd", "sgd_momentum", "sgd_nesterov"],
    params: Struct {
        name: "SgdParams",
        fields: &[
            ("lanes", std::mem::offset_of!(SgdParams, lanes)),
            ("momentum", std::mem::offset_of!(SgdParams, momentum)),
        ],
        size: size_of::<SgdParams>(),
    },
    elements: &[ElementType::F32],
    alternatives: &[],
    forms: SINGLE_FORM,
    step: true,
    structs: &[&STEP],
};

const SGD: Kernel = Kernel {
    module: &MODULE,
    entry_point: 0,
};

const MOMENTUM: Kernel = Kernel {
    module: &MODULE,
    entry_point: 1,
};

const NESTEROV: Kernel = Kernel {
    module: &MODULE,
    entry_point: 2,
};

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct SgdParams {
    lanes: u32,
    momentum: f32,
}

/// w −= rate · g, of `len` weights.
pub(crate) fn sgd(gpu: &Gpu, w: &Region, g: &Region, len: u32) -> Result<Dispatch> {
    dispatch(gpu, SGD, &[w, g], len, 0.0)
}

/// velocity = momentum · velocity − rate · g and w += velocity, or momentum · velocity − rate · g with
/// Nesterov's.
pub(crate) fn momentum(
    gpu: &Gpu,
    w: &Region,
    g: &Region,
    velocity: &Region,
    len: u32,
    momentum: f32,
    nesterov: bool,
) -> Result<Dispatch> {
    let kernel = if nesterov { NESTEROV } else { MOMENTUM };
    dispatch(gpu, kernel, &[w, g, velocity], len, momentum)
}

fn dispatch(
    gpu: &Gpu,
    kernel: Kernel,
    regions: &[&Region],
    len: u32,
    momentum: f32,
) -> Result<Dispatch> {
    let lane = lane_values(len);
    let lanes = len / lane;
    let params = SgdParams { lanes, momentum };
    per_item(gpu, kernel, Form::default(), lane, regions, &params, lanes)
}
