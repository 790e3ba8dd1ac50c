//! Optimizers, with Keras's names and defaults: what they store for each weight, and a step.

mod adam;
mod json;
mod learning_rate;
mod settings;
mod sgd;

pub use adam::{Adam, AdamW};
pub use learning_rate::{
    CosineDecay, CustomLearningRate, ExponentialDecay, LearningRate, PiecewiseConstantDecay,
};
pub use sgd::Sgd;

use settings::{Settings, settings};

use super::guard::Clip;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::shader::module::Module;
use crate::{Error, Gpu, Result};

pub(super) static MODULES: &[&Module] = &[&adam::MODULE, &sgd::MODULE];

/// How gradients change weights.
///
/// A step whose loss or gradient is NaN or infinite changes neither weights nor moments. Whether the
/// gradient is finite is seen from its norm, a sum of squares in f32: a value beyond 1.8 · 10¹⁹ counts as
/// infinite.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Optimizer {
    /// Adam, and AdamW.
    Adam(Adam),
    /// Stochastic gradient descent.
    Sgd(Sgd),
}

impl From<Adam> for Optimizer {
    fn from(adam: Adam) -> Self {
        Self::Adam(adam)
    }
}

impl From<AdamW> for Optimizer {
    fn from(adamw: AdamW) -> Self {
        Self::Adam(adamw.into())
    }
}

impl From<Sgd> for Optimizer {
    fn from(sgd: Sgd) -> Self {
        Self::Sgd(sgd)
    }
}

impl Optimizer {
    /// The learning rate, or how it follows from the step.
    pub fn learning_rate(&self) -> &LearningRate {
        self.settings().learning_rate
    }

    /// Sets the learning rate. Nothing else changes: moments and steps go on.
    pub fn set_learning_rate(&mut self, learning_rate: impl Into<LearningRate>) {
        let place = match self {
            Self::Adam(adam) => &mut adam.learning_rate,
            Self::Sgd(sgd) => &mut sgd.learning_rate,
        };
        *place = learning_rate.into();
    }

    fn settings(&self) -> Settings<'_> {
        match self {
            Self::Adam(adam) => adam.settings(),
            Self::Sgd(sgd) => sgd.settings(),
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
        let mut other = other.clone();
        other.set_learning_rate(self.learning_rate().clone());
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

    /// The learning rate of step `iteration`, counted from 0, with Adam's corrections, and the share of a
    /// weight that decays.
    pub(crate) fn rates(&self, iteration: u64) -> Result<(f32, f32)> {
        let schedule = self.learning_rate();
        let rate = schedule.at(iteration);
        let correction = match self {
            Self::Adam(adam) => adam.correction(iteration),
            Self::Sgd(_) => 1.0,
        };
        let decay = (rate * self.settings().weight_decay) as f32;
        let corrected = (rate * correction) as f32;
        if rate >= 0.0 && corrected.is_finite() && decay.is_finite() {
            return Ok((corrected, decay));
        }
        let op = self.name();
        if schedule.is_lost() {
            let detail = "the learning rate was a function of the step, which a file can't hold; set_learning_rate before you train".into();
            return Err(Error::Data { op, detail });
        }
        let detail = format!(
            "the learning rate ({}) of the optimizer's step {} is {rate:?}, must be at least 0, and a finite f32",
            schedule.name(),
            iteration + 1
        );
        Err(Error::Data { op, detail })
    }

    /// An error if a parameter is not allowed.
    pub(crate) fn check(&self) -> Result<()> {
        self.settings().check(self.name())?;
        match self {
            Self::Adam(adam) => adam.check(),
            Self::Sgd(sgd) => sgd.check(),
        }
    }

    /// How gradients are clipped.
    pub(crate) fn clip(&self) -> Clip {
        self.settings().clip()
    }

    /// One step of `len` weights w with their [`slots`](Self::slots), by the gradients g and the state of
    /// the [`Guard`](super::guard::Guard) behind them.
    pub(crate) fn update(
        &self,
        gpu: &Gpu,
        w: &Region,
        g: &Region,
        slots: &[Region],
        len: u32,
    ) -> Result<Dispatch> {
        match self {
            Self::Adam(adam) => adam.update(gpu, w, g, slots, len),
            Self::Sgd(sgd) => sgd.update(gpu, w, g, slots, len),
        }
    }
}
