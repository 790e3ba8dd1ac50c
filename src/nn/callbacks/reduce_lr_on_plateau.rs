use std::ops::ControlFlow;

use super::{Callback, Monitor};
use crate::nn::LearningRate;
use crate::nn::training::EpochEnd;
use crate::ops::require;
use crate::{Error, Result};

/// Lowers the learning rate when a number has stopped to improve, as Keras's `ReduceLROnPlateau`.
///
/// The learning rate must be a constant. One is for one training.
#[derive(Clone, Debug)]
#[must_use]
pub struct ReduceLrOnPlateau {
    monitor: Monitor,
    factor: f64,
    patience: usize,
    min_delta: f64,
    cooldown: usize,
    min_lr: f64,
    best: Option<f64>,
    wait: usize,
    cooling: usize,
}

/// Keras's: the loss on the validation samples, a factor of 0.1 after 10 epochs without an improvement of
/// more than 10⁻⁴.
impl Default for ReduceLrOnPlateau {
    fn default() -> Self {
        Self {
            monitor: Monitor::default(),
            factor: 0.1,
            patience: 10,
            min_delta: 1e-4,
            cooldown: 0,
            min_lr: 0.0,
            best: None,
            wait: 0,
            cooling: 0,
        }
    }
}

impl ReduceLrOnPlateau {
    /// With Keras's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// What must improve.
    pub fn monitor(mut self, monitor: Monitor) -> Self {
        self.monitor = monitor;
        self
    }

    /// What the learning rate is multiplied by, below 1.
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// The epochs in a row without improvement after which it is.
    pub fn patience(mut self, patience: usize) -> Self {
        self.patience = patience;
        self
    }

    /// The change beyond which the number counts as improved.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.min_delta = min_delta;
        self
    }

    /// The epochs after a reduction that are not counted.
    pub fn cooldown(mut self, cooldown: usize) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// The smallest learning rate.
    pub fn min_lr(mut self, min_lr: f64) -> Self {
        self.min_lr = min_lr;
        self
    }

    /// The learning rate after an epoch with this one.
    pub(super) fn judge(&mut self, value: f64, rate: f64) -> f64 {
        if self.cooling > 0 {
            self.cooling -= 1;
            self.wait = 0;
        }
        if self.monitor.improves(value, self.best, self.min_delta) {
            self.best = Some(value);
            self.wait = 0;
        } else if self.cooling == 0 {
            self.wait += 1;
            if self.wait >= self.patience && rate > self.min_lr {
                self.cooling = self.cooldown;
                self.wait = 0;
                return (rate * self.factor).max(self.min_lr);
            }
        }
        rate
    }
}

impl Callback for ReduceLrOnPlateau {
    fn on_epoch_end(&mut self, end: &mut EpochEnd) -> Result<ControlFlow<()>> {
        const OP: &str = "reduce learning rate on plateau";
        let is_factor = (0.0..1.0).contains(&self.factor);
        require(
            OP,
            "factor",
            self.factor,
            is_factor,
            "at least 0 and below 1",
        )?;
        let is_rate = self.min_lr.is_finite() && self.min_lr >= 0.0;
        require(OP, "min_lr", self.min_lr, is_rate, "finite and at least 0")?;
        let value = self.monitor.require(OP, &end.scores)?;
        let LearningRate::Constant(rate) = *end.model().optimizer().learning_rate() else {
            let detail = "the learning rate is a schedule, and only a constant can be reduced";
            return Err(Error::Data {
                op: OP,
                detail: detail.into(),
            });
        };
        let reduced = self.judge(value, rate);
        if reduced != rate {
            end.set_learning_rate(reduced)?;
        }
        Ok(ControlFlow::Continue(()))
    }
}
