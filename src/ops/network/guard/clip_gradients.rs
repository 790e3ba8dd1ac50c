//! Gradients clipped by the norm of their variable.

use super::Guard;
use crate::gpu::dispatch::Dispatch;
use crate::ops::network::dispatch as groups;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

pub(super) static MODULE: Module = Module::new(
    "clip_gradients",
    &files::CLIP_GRADIENTS,
    ClipGradientsParams::LAYOUT,
)
.entry_points(&["clip_gradients"]);

const KERNEL: Kernel = MODULE.kernel("clip_gradients");

params! {
    struct ClipGradientsParams {
        pieces: u32,
    }
}

/// Multiplies the gradients by the factor that the judge has written for their variable.
pub(super) fn dispatch(gpu: &Gpu, guard: &Guard) -> Result<Dispatch> {
    let pieces = guard.own.count;
    let params = ClipGradientsParams { pieces };
    let regions = [&guard.gradients, &guard.own.table, &guard.norms];
    groups(
        gpu,
        KERNEL,
        Form::default(),
        false,
        &regions,
        &params,
        pieces.into(),
    )
}
