//! Moving averages that a step changes.

use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::network::per_item;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

use super::Guard;

pub(super) static MODULE: Module = Module::new(
    "move_averages",
    &files::MOVE_AVERAGES,
    MoveAveragesParams::LAYOUT,
)
.entry_points(&["move_averages"])
.guarded();

const KERNEL: Kernel = MODULE.kernel("move_averages");

params! {
    struct MoveAveragesParams {
        len: u32,
        /// the share of the batch in the new averages
        rate: f32,
    }
}

impl Guard {
    /// averages += (batch − averages) · (1 − momentum), of `len` values, if the step that was judged last
    /// changes anything.
    pub fn move_averages(
        &self,
        gpu: &Gpu,
        averages: &Region,
        batch: &Region,
        len: usize,
        momentum: f64,
    ) -> Result<Dispatch> {
        let params = MoveAveragesParams {
            len: len as u32,
            rate: (1.0 - momentum) as f32,
        };
        let regions = [averages, batch, &self.state];
        let form = Form::default();
        per_item(gpu, KERNEL, form, 1, &regions, &params, params.len)
    }
}
