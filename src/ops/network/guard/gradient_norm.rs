//! The squares of the gradients, summed.

use super::{Guard, Pieces};
use crate::gpu::dispatch::Dispatch;
use crate::ops::network::dispatch as groups;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

pub(super) static MODULE: Module = Module::new(
    "gradient_norm",
    &files::GRADIENT_NORM,
    GradientNormParams::LAYOUT,
)
.entry_points(&["gradient_norm"]);

const KERNEL: Kernel = MODULE.kernel("gradient_norm");

params! {
    struct GradientNormParams {
        pieces: u32,
    }
}

/// The guard's norms = the sum of the squares of each piece.
pub(super) fn dispatch(gpu: &Gpu, guard: &Guard, pieces: &Pieces) -> Result<Dispatch> {
    let count = pieces.count;
    let params = GradientNormParams { pieces: count };
    let regions = [&guard.gradients, &pieces.table, &guard.norms];
    groups(
        gpu,
        KERNEL,
        Form::default(),
        true,
        &regions,
        &params,
        count.into(),
    )
}
