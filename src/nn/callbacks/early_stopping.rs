use std::ops::ControlFlow;

use super::{Callback, Monitor};
use crate::nn::training::EpochEnd;
use crate::ops::require;
use crate::{Result, Tensor};

/// Ends the training when a number has stopped to improve, as Keras's `EarlyStopping`.
///
/// One is for one training.
#[derive(Debug, Default)]
#[must_use]
pub struct EarlyStopping {
    monitor: Monitor,
    min_delta: f64,
    patience: usize,
    baseline: Option<f64>,
    restore_best_weights: bool,
    start_from_epoch: usize,
    best: Option<f64>,
    best_epoch: usize,
    wait: usize,
    weights: Option<Vec<(String, Tensor)>>,
}

impl EarlyStopping {
    /// Keras's defaults: of the loss on the validation samples, after the first epoch that is no better than
    /// the best before.
    pub fn new() -> Self {
        Self::default()
    }

    /// What must improve. The loss on the validation samples by default.
    pub fn monitor(mut self, monitor: Monitor) -> Self {
        self.monitor = monitor;
        self
    }

    /// The change beyond which it counts as improved. 0 by default.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.min_delta = min_delta.abs();
        self
    }

    /// The epochs in a row without improvement after which the training ends. 0 by default, which is the same
    /// as 1.
    pub fn patience(mut self, patience: usize) -> Self {
        self.patience = patience;
        self
    }

    /// What must be reached: until it is better than this, an improvement does not begin the patience anew.
    pub fn baseline(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self
    }

    /// Whether the network gets the weights of the best epoch back when the training ends, at the last epoch,
    /// too. `false` by default. The weights are copied on the GPU at each best epoch.
    pub fn restore_best_weights(mut self, restore: bool) -> Self {
        self.restore_best_weights = restore;
        self
    }

    /// The epochs at the beginning that are not looked at. 0 by default.
    pub fn start_from_epoch(mut self, epochs: usize) -> Self {
        self.start_from_epoch = epochs;
        self
    }

    /// The best number so far.
    pub fn best(&self) -> Option<f64> {
        self.best
    }

    /// The epoch that it is of, counted from 1 as in [`EpochEnd::epoch`]; 0 before the first.
    pub fn best_epoch(&self) -> usize {
        self.best_epoch
    }

    /// The weights of the best epoch, if they are to be restored: what
    /// [`set_weights`](crate::nn::Sequential::set_weights) takes, where something else has ended the training.
    pub fn best_weights(&self) -> Option<&[(String, Tensor)]> {
        self.weights.as_deref()
    }

    /// Whether the training is to end after epoch `epoch`, counted from 1; and whether this is the best epoch.
    pub(super) fn judge(&mut self, epoch: usize, value: f64) -> (bool, bool) {
        self.wait += 1;
        if self.monitor.improves(value, self.best, self.min_delta) {
            self.best = Some(value);
            self.best_epoch = epoch;
            let reached = self.baseline.is_none_or(|baseline| {
                self.monitor.improves(value, Some(baseline), self.min_delta)
            });
            if reached {
                self.wait = 0;
            }
            return (false, true);
        }
        (self.wait >= self.patience && epoch > 1, false)
    }
}

impl Callback for EarlyStopping {
    fn on_epoch_end(&mut self, end: &mut EpochEnd) -> Result<ControlFlow<()>> {
        const OP: &str = "early stopping";
        let rule = "finite";
        require(
            OP,
            "min_delta",
            self.min_delta,
            self.min_delta.is_finite(),
            rule,
        )?;
        let value = self.monitor.require(OP, &end.scores)?;
        let mut ends = false;
        if end.epoch > self.start_from_epoch {
            let (is_over, is_best) = self.judge(end.epoch, value);
            ends = is_over;
            if self.restore_best_weights && is_best {
                self.weights = Some(end.model().weights()?);
            }
        }
        let is_last = ends || end.epoch == end.epochs;
        if let (true, Some(weights)) = (is_last, &self.weights) {
            end.set_weights(weights)?;
        }
        Ok(match ends {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    }
}
