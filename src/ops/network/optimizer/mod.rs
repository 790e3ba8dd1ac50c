//! Optimizers, with Keras's names and defaults: what they store for each weight, and a step.

mod adam;
mod sgd;

pub use adam::Adam;
pub use sgd::Sgd;

use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::require;
use crate::shader::module::Module;
use crate::{Gpu, Result};

pub(super) static MODULES: &[&Module] = &[&adam::MODULE, &sgd::MODULE];

/// How gradients change weights.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Optimizer {
    /// Adam.
    Adam(Adam),
    /// Stochastic gradient descent.
    Sgd(Sgd),
}

impl From<Adam> for Optimizer {
    fn from(adam: Adam) -> Self {
        Self::Adam(adam)
    }
}

impl From<Sgd> for Optimizer {
    fn from(sgd: Sgd) -> Self {
        Self::Sgd(sgd)
    }
}

/// Interim.
pub type LearningRate = f64;

impl Optimizer {
    pub(crate) fn set_learning_rate(&mut self, rate: impl Into<LearningRate>) {
        match self {
            Self::Adam(adam) => adam.learning_rate = rate.into(),
            Self::Sgd(sgd) => sgd.learning_rate = rate.into(),
        }
    }

    /// The same with another learning rate.
    pub(crate) fn with_learning_rate(&self, rate: impl Into<LearningRate>) -> Result<Self> {
        let mut optimizer = self.clone();
        optimizer.set_learning_rate(rate);
        optimizer.check()?;
        Ok(optimizer)
    }

    pub(crate) fn is_same_kind(&self, other: &Self) -> bool {
        (self.name(), self.slots()) == (other.name(), other.slots())
    }

    /// Whether one differs from the other in nothing but the learning rate, which steps bring.
    pub(crate) fn has_same_kernels(&self, other: &Self) -> bool {
        let mut other = *other;
        match self {
            Self::Adam(adam) => other.set_learning_rate(adam.learning_rate),
            Self::Sgd(sgd) => other.set_learning_rate(sgd.learning_rate),
        }
        *self == other
    }

    /// What it stores for each weight, by Keras's names.
    pub(crate) fn slots(&self) -> &'static [&'static str] {
        match self {
            Self::Adam(_) => &["momentum", "velocity"],
            Self::Sgd(sgd) if sgd.momentum == 0.0 => &[],
            Self::Sgd(_) => &["momentum"],
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Adam(_) => "adam",
            Self::Sgd(_) => "sgd",
        }
    }

    /// The learning rate of step `step`, counted from 0, with Adam's corrections.
    pub(crate) fn rate(&self, step: u64) -> f32 {
        match self {
            Self::Sgd(sgd) => sgd.learning_rate as f32,
            Self::Adam(adam) => {
                let t = (step + 1) as f64;
                let correction = (1.0 - adam.beta_2.powf(t)).sqrt() / (1.0 - adam.beta_1.powf(t));
                (adam.learning_rate * correction) as f32
            }
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let op = self.name();
        let finite = |name, value: f64| require(op, name, value, value.is_finite(), "finite");
        let below_1 = |name, value: f64| {
            let allowed = (0.0..1.0).contains(&value);
            require(op, name, value, allowed, "at least 0 and below 1")
        };
        match self {
            Self::Adam(adam) => {
                finite("learning_rate", adam.learning_rate)?;
                below_1("beta_1", adam.beta_1)?;
                below_1("beta_2", adam.beta_2)?;
                let allowed = (f32::MIN_POSITIVE..=f32::MAX).contains(&(adam.epsilon as f32));
                let rule = "above 0, and a normal f32";
                require(op, "epsilon", adam.epsilon, allowed, rule)?;
            }
            Self::Sgd(sgd) => {
                finite("learning_rate", sgd.learning_rate)?;
                below_1("momentum", sgd.momentum)?;
            }
        }
        Ok(())
    }

    /// One step of `len` weights w with the gradient g and their [`slots`](Self::slots).
    pub(crate) fn step(
        &self,
        gpu: &Gpu,
        w: &Region,
        g: &Region,
        slots: &[Region],
        len: u32,
    ) -> Result<Dispatch> {
        match self {
            Self::Adam(adam) => adam.step(gpu, w, g, slots, len),
            Self::Sgd(sgd) => sgd.step(gpu, w, g, slots, len),
        }
    }
}
