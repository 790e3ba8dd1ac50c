//! The optimizer stochastic gradient descent.

use super::{LearningRate, Settings, settings};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::network::{lane_values, per_item};
use crate::ops::require;
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
        /// the largest value of a gradient
        clipvalue: f32,
    }
}

/// Stochastic gradient descent with momentum, with Keras's defaults.
///
/// velocity = momentum · velocity − η g, w += velocity; with Nesterov's momentum
/// w += momentum · velocity − η g. Before that g, the mean gradient of the batch, is clipped, and w
/// decays: w −= η · weight_decay · w.
#[derive(Clone, Debug, PartialEq)]
pub struct Sgd {
    /// η, 0.01.
    pub learning_rate: LearningRate,
    /// The momentum, 0.
    pub momentum: f64,
    /// Whether the momentum is Nesterov's, `false`.
    pub nesterov: bool,
    /// The share of each weight, and bias, that decays in a step, divided by η: 0.
    pub weight_decay: f64,
    /// The largest norm of a kernel's or a bias's gradient: none. At most one of the three clips.
    pub clipnorm: Option<f64>,
    /// The largest norm of the gradient of all weights: none.
    pub global_clipnorm: Option<f64>,
    /// The largest magnitude of a gradient's value: none.
    pub clipvalue: Option<f64>,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            learning_rate: 0.01.into(),
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
            clipnorm: None,
            global_clipnorm: None,
            clipvalue: None,
        }
    }
}

impl Sgd {
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

settings!(Sgd);

impl Sgd {
    pub(super) fn settings(&self) -> Settings<'_> {
        Settings {
            learning_rate: &self.learning_rate,
            weight_decay: self.weight_decay,
            clipnorm: self.clipnorm,
            global_clipnorm: self.global_clipnorm,
            clipvalue: self.clipvalue,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let allowed = (0.0..1.0).contains(&self.momentum);
        let rule = "at least 0 and below 1";
        require("sgd", "momentum", self.momentum, allowed, rule)?;
        Ok(())
    }

    /// See [`Optimizer::update`](super::Optimizer::update); the slot is the velocity, if there is
    /// momentum.
    pub(super) fn update(
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
            clipvalue: self.settings().largest_value(),
        };
        let regions: Vec<_> = [w, g].into_iter().chain(slots).collect();
        per_item(gpu, kernel, Form::default(), lane, &regions, &params, lanes)
    }
}
