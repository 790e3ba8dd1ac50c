//! Activation and dropout that are layers of their own.

use bytemuck::{Pod, Zeroable};

use super::epilogue::{self, EPILOGUE, Epilogue, EpilogueParams};
use super::step::STEP;
use super::{lane_values, per_item};
use crate::memory::Region;
use crate::pass::Dispatch;
use crate::pipelines::{Kernel, Module, Struct};
use crate::tensor::ElementType;
use crate::{Gpu, Result};

pub(crate) static MODULE: Module = Module {
    name: "activation",
    sources: &[
        include_str!("../../shaders/activation.wgsl"),
        include_str!("../../shaders/shared/item.wgsl"),
    ],
    constants: &[],
    entry_points: &[
        "activation_forward",
        "activation_backward",
        "activation_backward_in_place",
    ],
    params: Struct {
        name: "ActivationParams",
        fields: &[
            ("lanes", std::mem::offset_of!(ActivationParams, lanes)),
            ("padding", std::mem::offset_of!(ActivationParams, padding)),
            (
                "more_padding",
                std::mem::offset_of!(ActivationParams, more_padding),
            ),
            ("epilogue", std::mem::offset_of!(ActivationParams, epilogue)),
        ],
        size: size_of::<ActivationParams>(),
    },
    elements: &[ElementType::F32],
    alternatives: epilogue::ALTERNATIVES,
    forms: epilogue::forms,
    step: true,
    structs: &[&EPILOGUE, &STEP],
};

const FORWARD: Kernel = Kernel {
    module: &MODULE,
    entry_point: 0,
};

const BACKWARD: Kernel = Kernel {
    module: &MODULE,
    entry_point: 1,
};

const BACKWARD_IN_PLACE: Kernel = Kernel {
    module: &MODULE,
    entry_point: 2,
};

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ActivationParams {
    lanes: u32,
    padding: u32,
    more_padding: [u32; 2],
    epilogue: EpilogueParams,
}

/// y = epilogue(x), of `len` values.
pub(crate) fn forward(
    gpu: &Gpu,
    x: &Region,
    y: &Region,
    len: u32,
    epilogue: &Epilogue,
) -> Result<Dispatch> {
    dispatch(gpu, FORWARD, &[x, y], len, epilogue)
}

/// dx = dy through the epilogue of z, the forward input; dx may be dy.
pub(crate) fn backward(
    gpu: &Gpu,
    z: &Region,
    dy: &Region,
    dx: &Region,
    len: u32,
    epilogue: &Epilogue,
) -> Result<Dispatch> {
    if dy.buffer == dx.buffer && dy.offset == dx.offset {
        dispatch(gpu, BACKWARD_IN_PLACE, &[z, dx], len, epilogue)
    } else {
        dispatch(gpu, BACKWARD, &[z, dy, dx], len, epilogue)
    }
}

fn dispatch(
    gpu: &Gpu,
    kernel: Kernel,
    regions: &[&Region],
    len: u32,
    epilogue: &Epilogue,
) -> Result<Dispatch> {
    let lane = lane_values(len);
    let params = ActivationParams {
        lanes: len / lane,
        padding: 0,
        more_padding: [0; 2],
        epilogue: epilogue.params(),
    };
    let form = epilogue.form();
    per_item(gpu, kernel, form, lane, regions, &params, params.lanes)
}
