//! The sum of the rows of a loss.

use super::per_item;
use super::step::STEP;
use crate::gpu::memory::Region;
use crate::gpu::pipelines::{Form, Kernel, Module};
use crate::params::params;
use crate::pass::Dispatch;
use crate::{Gpu, Result, shaders};

pub(crate) static MODULE: Module =
    Module::new("sum_losses", &shaders::SUM_LOSSES, SumLossesParams::LAYOUT)
        .entry_points(&["sum_losses"])
        .step(&[&STEP]);

const KERNEL: Kernel = MODULE.kernel("sum_losses");

params! {
    struct SumLossesParams {
        rows: u32,
    }
}

/// The step's result in totals [results, 2] = the sum of sums [rows, 2].
pub(crate) fn sum_losses(gpu: &Gpu, sums: &Region, totals: &Region, rows: u32) -> Result<Dispatch> {
    let params = SumLossesParams { rows };
    // One workgroup has them all.
    per_item(gpu, KERNEL, Form::default(), 1, &[sums, totals], &params, 1)
}
