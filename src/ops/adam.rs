//! The optimizer Adam.

use bytemuck::{Pod, Zeroable};

use super::step::STEP;
use super::{lane_values, per_item};
use crate::memory::Region;
use crate::pass::Dispatch;
use crate::pipelines::{Form, Kernel, Module, SINGLE_FORM, Struct};
use crate::tensor::ElementType;
use crate::{Gpu, Result};

pub(crate) static MODULE: Module = Module {
    name: "adam",
    sources: &[
        include_str!("../../shaders/adam.wgsl"),
        include_str!("../../shaders/shared/item.wgsl"),
    ],
    constants: &[],
    entry_points: &["adam"],
    params: Struct {
        name: "AdamParams",
        fields: &[
            ("lanes", std::mem::offset_of!(AdamParams, lanes)),
            ("mean_rate", std::mem::offset_of!(AdamParams, mean_rate)),
            ("square_rate", std::mem::offset_of!(AdamParams, square_rate)),
            ("epsilon", std::mem::offset_of!(AdamParams, epsilon)),
        ],
        size: size_of::<AdamParams>(),
    },
    elements: &[ElementType::F32],
    alternatives: &[],
    forms: SINGLE_FORM,
    step: true,
    structs: &[&STEP],
};

const KERNEL: Kernel = Kernel {
    module: &MODULE,
    entry_point: 0,
};

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct AdamParams {
    lanes: u32,
    mean_rate: f32,
    square_rate: f32,
    epsilon: f32,
}

/// The constants of Adam but for the learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Adam {
    pub beta_1: f64,
    pub beta_2: f64,
    pub epsilon: f64,
}

/// A step of `len` weights w with the gradient g, running means m of g and v of g².
pub(crate) fn adam(
    gpu: &Gpu,
    w: &Region,
    g: &Region,
    m: &Region,
    v: &Region,
    len: u32,
    p: &Adam,
) -> Result<Dispatch> {
    let lane = lane_values(len);
    let params = AdamParams {
        lanes: len / lane,
        mean_rate: (1.0 - p.beta_1) as f32,
        square_rate: (1.0 - p.beta_2) as f32,
        epsilon: p.epsilon as f32,
    };
    let (form, lanes) = (Form::default(), params.lanes);
    per_item(gpu, KERNEL, form, lane, &[w, g, m, v], &params, lanes)
}
