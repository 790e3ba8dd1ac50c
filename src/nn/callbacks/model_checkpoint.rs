use std::ops::ControlFlow;
use std::path::PathBuf;

use super::{Callback, Monitor};
use crate::Result;
use crate::nn::training::EpochEnd;

/// Saves the network after each epoch, or after those that are the best so far, as Keras's `ModelCheckpoint`, with the
/// state of its training: [`Sequential::open`](crate::nn::Sequential::open) reads it.
#[derive(Clone, Debug)]
#[must_use]
pub struct ModelCheckpoint {
    path: PathBuf,
    monitor: Monitor,
    save_best_only: bool,
    save_weights_only: bool,
    best: Option<f64>,
}

impl ModelCheckpoint {
    /// To this path, atomically, after each epoch.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            monitor: Monitor::default(),
            save_best_only: false,
            save_weights_only: false,
            best: None,
        }
    }

    /// What makes an epoch the best. The loss on the validation samples by default.
    pub fn monitor(mut self, monitor: Monitor) -> Self {
        self.monitor = monitor;
        self
    }

    /// Whether only the best epoch so far is saved. `false` by default.
    pub fn save_best_only(mut self, best: bool) -> Self {
        self.save_best_only = best;
        self
    }

    /// Whether the state of the training is left out, as [`save`](crate::nn::Sequential::save) does. `false` by default.
    pub fn save_weights_only(mut self, weights: bool) -> Self {
        self.save_weights_only = weights;
        self
    }

    /// What an epoch must be better than to be saved, such as the best of an earlier training.
    pub fn initial_value_threshold(mut self, best: f64) -> Self {
        self.best = Some(best);
        self
    }

    /// The best number so far.
    pub fn best(&self) -> Option<f64> {
        self.best
    }
}

impl Callback for ModelCheckpoint {
    fn on_epoch_end(&mut self, end: &mut EpochEnd) -> Result<ControlFlow<()>> {
        if self.save_best_only {
            let value = self.monitor.require("model checkpoint", &end.scores)?;
            if !self.monitor.improves(value, self.best, 0.0) {
                return Ok(ControlFlow::Continue(()));
            }
            self.best = Some(value);
        }
        match self.save_weights_only {
            true => end.model().save(&self.path)?,
            false => end.model().save_checkpoint(&self.path)?,
        }
        Ok(ControlFlow::Continue(()))
    }
}
