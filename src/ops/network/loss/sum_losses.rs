//! The sum of a loss over its rows.

use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::network::per_item;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

pub(super) static MODULE: Module =
    Module::new("sum_losses", &files::SUM_LOSSES, SumLossesParams::LAYOUT)
        .entry_points(&["sum_losses"])
        .step();

const KERNEL: Kernel = MODULE.kernel("sum_losses");

params! {
    struct SumLossesParams {
        rows: u32,
    }
}

/// The first of totals [2, 4] = the sum of sums [rows, 4], added to the parts of the batch before this one.
pub(crate) fn sum_losses(gpu: &Gpu, sums: &Region, totals: &Region, rows: u32) -> Result<Dispatch> {
    let params = SumLossesParams { rows };
    // One workgroup sums them all.
    per_item(gpu, KERNEL, Form::default(), 1, &[sums, totals], &params, 1)
}
