//! The optimizers Adam and AdamW.

use super::{LearningRate, Settings, settings};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::network::{lane_values, per_item};
use crate::ops::require;
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
        /// the largest value of a gradient
        clipvalue: f32,
    }
}

/// Adam (Kingma and Ba 2015, arXiv 1412.6980), with Keras's defaults.
///
/// m += (g − m)(1 − β₁), v += (g² − v)(1 − β₂), w −= η √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε), with
/// t = 1 in the first step. Before that g, the mean gradient of the batch, is clipped, and w decays:
/// w −= η · weight_decay · w.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// η, 0.001.
    pub learning_rate: LearningRate,
    /// β₁, 0.9.
    pub beta_1: f64,
    /// β₂, 0.999.
    pub beta_2: f64,
    /// ε, 10⁻⁷.
    pub epsilon: f64,
    /// The share of each weight, and bias, that decays in a step, divided by η: 0.
    pub weight_decay: f64,
    /// The largest norm of a kernel's or a bias's gradient: none. At most one of the three clips.
    pub clipnorm: Option<f64>,
    /// The largest norm of the gradient of all weights: none.
    pub global_clipnorm: Option<f64>,
    /// The largest magnitude of a gradient's value: none.
    pub clipvalue: Option<f64>,
}

/// [`Adam`] with a weight decay, by default 0.004 (Loshchilov and Hutter 2019, arXiv 1711.05101), as in
/// Keras.
///
/// ```
/// use selfnorm::nn::{Adam, AdamW, Optimizer};
///
/// let adam = Adam::new(0.001).weight_decay(0.004);
/// assert_eq!(Optimizer::from(AdamW::default()), adam.into());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AdamW {
    /// η, 0.001.
    pub learning_rate: LearningRate,
    /// The share of each weight, and bias, that decays in a step, divided by η: 0.004.
    pub weight_decay: f64,
    /// β₁, 0.9.
    pub beta_1: f64,
    /// β₂, 0.999.
    pub beta_2: f64,
    /// ε, 10⁻⁷.
    pub epsilon: f64,
    /// As [`Adam::clipnorm`].
    pub clipnorm: Option<f64>,
    /// As [`Adam::global_clipnorm`].
    pub global_clipnorm: Option<f64>,
    /// As [`Adam::clipvalue`].
    pub clipvalue: Option<f64>,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            learning_rate: 0.001.into(),
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-7,
            weight_decay: 0.0,
            clipnorm: None,
            global_clipnorm: None,
            clipvalue: None,
        }
    }
}

impl Default for AdamW {
    fn default() -> Self {
        let adam = Adam::default();
        Self {
            learning_rate: adam.learning_rate,
            weight_decay: 0.004,
            beta_1: adam.beta_1,
            beta_2: adam.beta_2,
            epsilon: adam.epsilon,
            clipnorm: adam.clipnorm,
            global_clipnorm: adam.global_clipnorm,
            clipvalue: adam.clipvalue,
        }
    }
}

impl From<AdamW> for Adam {
    fn from(adamw: AdamW) -> Self {
        Self {
            learning_rate: adamw.learning_rate,
            beta_1: adamw.beta_1,
            beta_2: adamw.beta_2,
            epsilon: adamw.epsilon,
            weight_decay: adamw.weight_decay,
            clipnorm: adamw.clipnorm,
            global_clipnorm: adamw.global_clipnorm,
            clipvalue: adamw.clipvalue,
        }
    }
}

settings!(Adam, AdamW);

impl Adam {
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
        for (name, value) in [("beta_1", self.beta_1), ("beta_2", self.beta_2)] {
            let allowed = (0.0..1.0).contains(&value);
            require("adam", name, value, allowed, "at least 0 and below 1")?;
        }
        let allowed = (f32::MIN_POSITIVE..=f32::MAX).contains(&(self.epsilon as f32));
        let rule = "above 0, and a normal f32";
        require("adam", "epsilon", self.epsilon, allowed, rule)?;
        Ok(())
    }

    /// What the learning rate of step `step`, counted from 0, is multiplied by: m and v begin with 0.
    pub(super) fn correction(&self, step: u64) -> f64 {
        let t = (step + 1) as f64;
        (1.0 - self.beta_2.powf(t)).sqrt() / (1.0 - self.beta_1.powf(t))
    }

    /// See [`Optimizer::update`](super::Optimizer::update); the slots are running means of g and of g².
    pub(super) fn update(
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
            clipvalue: self.settings().largest_value(),
        };
        let (form, lanes) = (Form::default(), params.lanes);
        let regions: Vec<_> = [w, g].into_iter().chain(slots).collect();
        per_item(gpu, KERNEL, form, lane, &regions, &params, lanes)
    }
}
