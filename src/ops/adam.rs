//! The optimizer Adam.

use super::step::STEP;
use super::{lane_values, per_item};
use crate::gpu::memory::Region;
use crate::gpu::pipelines::{Form, Kernel, Module};
use crate::params::params;
use crate::pass::Dispatch;
use crate::{Gpu, Result, shaders};

pub(crate) static MODULE: Module = Module::new("adam", &shaders::ADAM, AdamParams::LAYOUT)
    .entry_points(&["adam"])
    .step(&[&STEP]);

const KERNEL: Kernel = MODULE.kernel("adam");

params! {
    struct AdamParams {
        lanes: u32,
        /// 1 - beta_1, 1 - beta_2
        mean_rate: f32,
        square_rate: f32,
        epsilon: f32,
    }
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
