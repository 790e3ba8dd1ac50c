//! Activation and dropout that are layers of their own.

use super::epilogue::{self, Epilogue, EpilogueParams};
use super::step::StepParams;
use super::{lane_values, per_item};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::memory::Region;
use crate::shader::files;
use crate::shader::module::{Kernel, Module};
use crate::shader::params::{params, vec2u};
use crate::{Gpu, Result};

pub(crate) static MODULE: Module =
    Module::new("activation", &files::ACTIVATION, ActivationParams::LAYOUT)
        .entry_points(&[
            "activation_forward",
            "activation_backward",
            "activation_backward_in_place",
        ])
        .forms(epilogue::forms)
        .step(&[EpilogueParams::LAYOUT, StepParams::LAYOUT]);

const FORWARD: Kernel = MODULE.kernel("activation_forward");
const BACKWARD: Kernel = MODULE.kernel("activation_backward");
const BACKWARD_IN_PLACE: Kernel = MODULE.kernel("activation_backward_in_place");

params! {
    struct ActivationParams {
        lanes: u32,
        padding: u32,
        more_padding: vec2u,
        epilogue: EpilogueParams,
    }
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
