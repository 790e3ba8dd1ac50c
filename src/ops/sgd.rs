//! The optimizer stochastic gradient descent.

use super::step::STEP;
use super::{lane_values, per_item};
use crate::gpu::memory::Region;
use crate::gpu::pipelines::{Form, Kernel, Module};
use crate::params::params;
use crate::pass::Dispatch;
use crate::{Gpu, Result, shaders};

pub(crate) static MODULE: Module = Module::new("sgd", &shaders::SGD, SgdParams::LAYOUT)
    .entry_points(&["sgd", "sgd_momentum", "sgd_nesterov"])
    .step(&[&STEP]);

const SGD: Kernel = MODULE.kernel("sgd");
const MOMENTUM: Kernel = MODULE.kernel("sgd_momentum");
const NESTEROV: Kernel = MODULE.kernel("sgd_nesterov");

params! {
    struct SgdParams {
        lanes: u32,
        momentum: f32,
    }
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
