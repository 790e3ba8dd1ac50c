//! Whether a step changes anything, and by how much its gradients are scaled.

use super::{Clip, Guard, INITIAL_LOSS_SCALE_LOG2, MAX_LOSS_SCALE_LOG2};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::network::per_item;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

pub(super) static MODULE: Module = Module::new("judge", &files::JUDGE, JudgeParams::LAYOUT)
    .entry_points(&["judge"])
    .constants(&[
        ("INITIAL_LOSS_SCALE_LOG2", INITIAL_LOSS_SCALE_LOG2),
        ("MAX_LOSS_SCALE_LOG2", MAX_LOSS_SCALE_LOG2),
    ])
    .guarded()
    .step();

const KERNEL: Kernel = MODULE.kernel("judge");

params! {
    struct JudgeParams {
        pieces: u32,
        /// variables that are clipped by their own norm: all or none
        clipped: u32,
        /// the largest norms allowed
        clipnorm: f32,
        global_clipnorm: f32,
        /// 1 if the gradients were those of a scaled loss
        is_scaled: u32,
    }
}

/// Judges the step of these totals.
pub(super) fn dispatch(
    gpu: &Gpu,
    guard: &Guard,
    totals: &Region,
    clip: Clip,
    is_scaled: bool,
) -> Result<Dispatch> {
    let mut params = JudgeParams {
        pieces: guard.pieces(clip).count,
        clipped: 0,
        clipnorm: f32::MAX,
        global_clipnorm: f32::MAX,
        is_scaled: is_scaled.into(),
    };
    match clip {
        Clip::None | Clip::Value(_) => {}
        Clip::Norm(limit) => {
            params.clipnorm = limit;
            params.clipped = guard.variable_count;
        }
        Clip::GlobalNorm(limit) => params.global_clipnorm = limit,
    }
    let regions = [&guard.norms, &guard.variables, totals, &guard.state];
    // One workgroup judges.
    per_item(gpu, KERNEL, Form::default(), 1, &regions, &params, 1)
}
