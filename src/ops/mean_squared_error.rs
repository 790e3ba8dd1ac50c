//! The loss of regressions.

use super::per_item;
use super::step::STEP;
use crate::gpu::memory::Region;
use crate::gpu::pipelines::{Form, Kernel, Module};
use crate::params::params;
use crate::pass::Dispatch;
use crate::{Gpu, Result, shaders};

params! {
    struct MeanSquaredErrorParams {
        rows: u32,
        outputs: u32,
    }
}

pub(crate) static MODULE: Module = Module::new(
    "mean_squared_error",
    &shaders::MEAN_SQUARED_ERROR,
    MeanSquaredErrorParams::LAYOUT,
)
.entry_points(&["mean_squared_error"])
.step(&[&STEP]);

const KERNEL: Kernel = MODULE.kernel("mean_squared_error");

/// Of y and targets [rows, outputs]: dy [as y] = the gradient of the mean loss of the step's batch;
/// sums [rows, 2] = each row's loss and 0.
pub(crate) fn mean_squared_error(
    gpu: &Gpu,
    y: &Region,
    targets: &Region,
    dy: &Region,
    sums: &Region,
    rows: u32,
    outputs: u32,
) -> Result<Dispatch> {
    let params = MeanSquaredErrorParams { rows, outputs };
    let regions = [y, targets, dy, sums];
    per_item(gpu, KERNEL, Form::default(), 1, &regions, &params, rows)
}
