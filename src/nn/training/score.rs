//! What training and evaluation report.

use crate::nn::Precision;
use crate::ops::network::loss::{Loss, Metric, Totals};
use crate::{Error, Result};

/// Loss and accuracy or mean absolute error, averaged over the rows that count, see [`Loss`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Score {
    /// The mean of weight · loss, and the penalties of [regularized](crate::nn::Regularizer) kernels; 0 if all rows
    /// are void.
    pub loss: f64,
    /// The share of rows, or for binary cross-entropy of outputs, that are classified right. None for
    /// losses of regression, and if all rows are void.
    pub accuracy: Option<f64>,
    /// The mean of |y − t|, for losses of regression.
    pub mean_absolute_error: Option<f64>,
}

/// The sums that a [`Score`] is the mean of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    loss: f64,
    metric: f64,
    counted: f64,
    invalid: f64,
}

impl Sums {
    pub fn add(&mut self, totals: &Totals) {
        self.loss += f64::from(totals.loss);
        self.metric += f64::from(totals.metric);
        self.counted += f64::from(totals.counted);
        self.invalid += f64::from(totals.invalid);
    }

    /// Of a step that has changed nothing. In 16-bit floats only its scaled gradients may have overflowed: then its
    /// loss is as good as any.
    pub fn add_skipped(&mut self, totals: &Totals, precision: Precision) {
        if precision == Precision::F16 && totals.loss.is_finite() {
            self.add(totals);
        }
    }

    /// An error if there were targets that the loss does not take.
    pub fn check(&self, op: &'static str, loss: Loss) -> Result<()> {
        if self.invalid == 0.0 {
            return Ok(());
        }
        let (rows, name, rule) = (self.invalid, loss.name(), loss.allowed_targets());
        Err(Error::Data {
            op,
            detail: format!(
                "{rows} {} targets that {name} does not take; they must be {rule}",
                if rows == 1.0 { "row has" } else { "rows have" }
            ),
        })
    }

    fn is_empty(&self) -> bool {
        self.counted == 0.0
    }

    /// An error if all targets were void.
    pub fn check_any(&self, op: &'static str) -> Result<()> {
        if !self.is_empty() {
            return Ok(());
        }
        let detail = "all targets are void, there is nothing to average".into();
        Err(Error::Data { op, detail })
    }

    /// The means.
    pub fn score(&self, loss: Loss) -> Score {
        let measured = |metric| {
            let is_measured = loss.metric() == metric && !self.is_empty();
            is_measured.then(|| self.metric / self.counted)
        };
        Score {
            loss: self.loss / self.counted.max(1.0),
            accuracy: measured(Metric::Accuracy),
            mean_absolute_error: measured(Metric::MeanAbsoluteError),
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
    /// [`Fit::skip_non_finite`](super::Fit::skip_non_finite); and those whose scaled gradients overflowed, see
    /// [`SequentialBuilder::precision`](crate::nn::SequentialBuilder::precision).
    pub skipped: Vec<u64>,
    /// Whether a callback, or [`Run::stop`](super::Run::stop), has ended the training before its last
    /// epoch was over.
    pub stopped: bool,
    /// What is probably not meant, such as a class that no validation score tells about.
    pub warnings: Vec<String>,
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
