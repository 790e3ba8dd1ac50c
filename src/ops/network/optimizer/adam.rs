//! The optimizer Adam.

use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::network::{lane_values, per_item};
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

pub(super) static MODULE: Module = Module::new("adam", &files::ADAM, AdamParams::LAYOUT)
    .entry_points(&["adam"])
    .step();

const KERNEL: Kernel = MODULE.kernel("adam");

params! {
    struct AdamParams {
        lanes: u32,
        /// 1 - beta_1, 1 - beta_2
        mean_rate: f32,
        square_rate: f32,
        epsilon: f32,
    }
}

/// Adam (Kingma and Ba 2015, arXiv 1412.6980), with Keras's defaults.
///
/// m += (g − m)(1 − β₁), v += (g² − v)(1 − β₂), w −= η √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε), with
/// t = 1 in the first step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// η, 0.001.
    pub learning_rate: f64,
    /// β₁, 0.9.
    pub beta_1: f64,
    /// β₂, 0.999.
    pub beta_2: f64,
    /// ε, 10⁻⁷.
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            learning_rate: 0.001,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-7,
        }
    }
}

impl Adam {
    /// With this learning rate and the default for everything else.
    pub fn new(learning_rate: f64) -> Self {
        Self {
            learning_rate,
            ..Self::default()
        }
    }
}

impl Adam {
    /// See [`Optimizer::step`](super::Optimizer::step); the slots are running means of g and of g².
    pub(super) fn step(
        &self,
        gpu: &Gpu,
        w: &Region,
        g: &Region,
        slots: &[Region],
        len: u32,
    ) -> Result<Dispatch> {
        let lane = lane_values(len);
        let params = AdamParams {
            lanes: len / lane,
            mean_rate: (1.0 - self.beta_1) as f32,
            square_rate: (1.0 - self.beta_2) as f32,
            epsilon: self.epsilon as f32,
        };
        let (form, lanes) = (Form::default(), params.lanes);
        let regions: Vec<_> = [w, g].into_iter().chain(slots).collect();
        per_item(gpu, KERNEL, form, lane, &regions, &params, lanes)
    }
}
