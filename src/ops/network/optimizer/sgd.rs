//! The optimizer stochastic gradient descent.

use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::network::{lane_values, per_item};
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

pub(super) static MODULE: Module = Module::new("sgd", &files::SGD, SgdParams::LAYOUT)
    .entry_points(&["sgd", "sgd_momentum", "sgd_nesterov"])
    .step();

const SGD: Kernel = MODULE.kernel("sgd");
const MOMENTUM: Kernel = MODULE.kernel("sgd_momentum");
const NESTEROV: Kernel = MODULE.kernel("sgd_nesterov");

params! {
    struct SgdParams {
        lanes: u32,
        momentum: f32,
    }
}

/// Stochastic gradient descent with momentum, with Keras's defaults.
///
/// velocity = momentum · velocity − η g, w += velocity; with Nesterov's momentum
/// w += momentum · velocity − η g.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// η, 0.01.
    pub learning_rate: f64,
    /// The momentum, 0.
    pub momentum: f64,
    /// Whether the momentum is Nesterov's, `false`.
    pub nesterov: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            learning_rate: 0.01,
            momentum: 0.0,
            nesterov: false,
        }
    }
}

impl Sgd {
    /// With this learning rate and the default for everything else.
    pub fn new(learning_rate: f64) -> Self {
        Self {
            learning_rate,
            ..Self::default()
        }
    }

    /// With this momentum.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// With Nesterov's momentum, or without.
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }
}

impl Sgd {
    /// See [`Optimizer::step`](super::Optimizer::step); the slot is the velocity, if there is momentum.
    pub(super) fn step(
        &self,
        gpu: &Gpu,
        w: &Region,
        g: &Region,
        slots: &[Region],
        len: u32,
    ) -> Result<Dispatch> {
        let kernel = match (slots, self.nesterov) {
            ([], _) => SGD,
            (_, false) => MOMENTUM,
            (_, true) => NESTEROV,
        };
        let lane = lane_values(len);
        let lanes = len / lane;
        let params = SgdParams {
            lanes,
            momentum: self.momentum as f32,
        };
        let regions: Vec<_> = [w, g].into_iter().chain(slots).collect();
        per_item(gpu, kernel, Form::default(), lane, &regions, &params, lanes)
    }
}
