//! The gradients of a batch that comes in parts, added up.

use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::network::{lane_values, per_item};
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

pub(super) static MODULE: Module =
    Module::new("accumulate", &files::ACCUMULATE, AccumulateParams::LAYOUT)
        .entry_points(&["accumulate"])
        .step();

const KERNEL: Kernel = MODULE.kernel("accumulate");

params! {
    struct AccumulateParams {
        lanes: u32,
    }
}

/// sum = part for the first part of a batch, and sum += part for the others: `len` values.
pub(crate) fn accumulate(gpu: &Gpu, part: &Region, sum: &Region, len: u32) -> Result<Dispatch> {
    let lane = lane_values(len);
    let lanes = len / lane;
    let params = AccumulateParams { lanes };
    per_item(
        gpu,
        KERNEL,
        Form::default(),
        lane,
        &[part, sum],
        &params,
        lanes,
    )
}
