//! The loss for regression.

use super::Regions;
use crate::gpu::dispatch::Dispatch;
use crate::ops::network::per_item;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

params! {
    struct MeanSquaredErrorParams {
        rows: u32,
        outputs: u32,
    }
}

pub(super) static MODULE: Module = Module::new(
    "mean_squared_error",
    &files::MEAN_SQUARED_ERROR,
    MeanSquaredErrorParams::LAYOUT,
)
.entry_points(&["mean_squared_error"])
.step();

const KERNEL: Kernel = MODULE.kernel("mean_squared_error");

/// Every row is a sample.
pub(super) fn dispatch(gpu: &Gpu, regions: Regions, rows: u32, outputs: u32) -> Result<Dispatch> {
    let params = MeanSquaredErrorParams { rows, outputs };
    per_item(
        gpu,
        KERNEL,
        Form::default(),
        1,
        &regions.bound(),
        &params,
        rows,
    )
}
