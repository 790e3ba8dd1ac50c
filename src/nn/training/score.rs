//! What training and evaluation report.

use crate::ops::network::loss::{Loss, Totals};

/// Loss and metrics, averaged over samples (or positions) that are not void.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Score {
    /// The mean loss.
    pub loss: f64,
    /// For losses of classes: the share of samples (or positions) whose largest output is where
    /// the largest target is; for binary cross-entropy the share of outputs on the right side of
    /// one half.
    pub accuracy: Option<f64>,
    /// For losses of numbers: the mean of |y − t|.
    pub mean_absolute_error: Option<f64>,
}

/// The sums that a [`Score`] is the mean of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    loss: f64,
    metric: f64,
    counted: f64,
}

impl Sums {
    pub fn add(&mut self, totals: &Totals) {
        self.loss += f64::from(totals.loss);
        self.metric += f64::from(totals.metric);
        self.counted += f64::from(totals.counted);
    }

    /// Whether all targets were void.
    pub fn is_empty(&self) -> bool {
        self.counted == 0.0
    }

    /// The means; of nothing they are 0.
    pub fn score(&self, loss: Loss) -> Score {
        let counted = self.counted.max(1.0);
        let metric = Some(self.metric / counted);
        Score {
            loss: self.loss / counted,
            accuracy: metric.filter(|_| loss.has_accuracy()),
            mean_absolute_error: metric.filter(|_| !loss.has_accuracy()),
        }
    }
}

/// The results of training.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct History {
    /// The scores of each epoch.
    pub epochs: Vec<EpochScores>,
    /// The loss of each step.
    pub losses: Vec<f64>,
    /// The steps that were not finite and changed nothing, by the network's count, see
    /// [`Fit::skip_non_finite`](super::Fit::skip_non_finite).
    pub skipped: Vec<u64>,
    /// Whether the training was stopped before its last epoch was over.
    pub stopped: bool,
}

/// The scores of an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct EpochScores {
    /// Averaged over the epoch's steps, with dropout, each before it changes the weights.
    pub training: Score,
    /// On the validation samples, after the epoch.
    pub validation: Option<Score>,
}
