//! Gradients times the loss scale: as 16-bit floats, small ones would be zeros.

use super::{Guard, INITIAL_LOSS_SCALE_LOG2};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::network::{lane_values, per_item};
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

pub(super) static MODULE: Module =
    Module::new("loss_scale", &files::LOSS_SCALE, LossScaleParams::LAYOUT)
        .entry_points(&["scale_gradients"])
        .constants(&[("INITIAL_LOSS_SCALE_LOG2", INITIAL_LOSS_SCALE_LOG2)])
        .guarded();

const KERNEL: Kernel = MODULE.kernel("scale_gradients");

params! {
    struct LossScaleParams {
        lanes: u32,
        /// 1, or -1 to divide
        sign: f32,
    }
}

impl Guard {
    /// values *= the loss scale: `len` of them.
    pub fn scale(&self, gpu: &Gpu, values: &Region, len: u32) -> Result<Dispatch> {
        self.scaled(gpu, values, len, 1.0)
    }

    /// values /= the loss scale.
    pub fn unscale(&self, gpu: &Gpu, values: &Region, len: u32) -> Result<Dispatch> {
        self.scaled(gpu, values, len, -1.0)
    }

    fn scaled(&self, gpu: &Gpu, values: &Region, len: u32, sign: f32) -> Result<Dispatch> {
        let lane = lane_values(len);
        let lanes = len / lane;
        let params = LossScaleParams { lanes, sign };
        let regions = [values, &self.state];
        let form = Form::default();
        per_item(gpu, KERNEL, form, lane, &regions, &params, lanes)
    }
}
