use std::fmt;

use crate::nn::training::EpochScores;
use crate::{Error, Result};

/// A number of an epoch, by which callbacks go. Of accuracies the largest is the best, of everything else
/// the smallest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Monitor {
    /// The loss on what is trained on.
    Loss,
    /// The accuracy there.
    Accuracy,
    /// The mean absolute error there.
    MeanAbsoluteError,
    /// The loss on the validation samples: Keras's default.
    #[default]
    ValidationLoss,
    /// The accuracy there.
    ValidationAccuracy,
    /// The mean absolute error there.
    ValidationMeanAbsoluteError,
}

/// Keras's names.
impl fmt::Display for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Loss => "loss",
            Self::Accuracy => "accuracy",
            Self::MeanAbsoluteError => "mean_absolute_error",
            Self::ValidationLoss => "val_loss",
            Self::ValidationAccuracy => "val_accuracy",
            Self::ValidationMeanAbsoluteError => "val_mean_absolute_error",
        })
    }
}

impl Monitor {
    /// What an epoch may have, in Keras's order.
    pub(super) const ALL: [Self; 6] = [
        Self::Accuracy,
        Self::Loss,
        Self::MeanAbsoluteError,
        Self::ValidationAccuracy,
        Self::ValidationLoss,
        Self::ValidationMeanAbsoluteError,
    ];

    pub(super) fn of(self, scores: &EpochScores) -> Option<f64> {
        let validation = scores.validation.as_ref();
        match self {
            Self::Loss => Some(scores.training.loss),
            Self::Accuracy => scores.training.accuracy,
            Self::MeanAbsoluteError => scores.training.mean_absolute_error,
            Self::ValidationLoss => validation.map(|score| score.loss),
            Self::ValidationAccuracy => validation?.accuracy,
            Self::ValidationMeanAbsoluteError => validation?.mean_absolute_error,
        }
    }

    /// The number, or an error that says which there are.
    pub(super) fn require(self, op: &'static str, scores: &EpochScores) -> Result<f64> {
        self.of(scores).ok_or_else(|| {
            let all = Self::ALL.iter();
            let names: Vec<_> = all
                .filter(|monitor| monitor.of(scores).is_some())
                .map(Self::to_string)
                .collect();
            let hint = match scores.validation {
                None if self.is_validation() => {
                    "; for the others give validation_data, or a validation_split"
                }
                _ => "",
            };
            Error::Data {
                op,
                detail: format!("there is no {self}, only {}{hint}", names.join(" and ")),
            }
        })
    }

    fn is_validation(self) -> bool {
        matches!(
            self,
            Self::ValidationLoss | Self::ValidationAccuracy | Self::ValidationMeanAbsoluteError
        )
    }

    /// Whether `value` is better than `best` by more than `min_delta`. Anything is better than nothing, and
    /// nothing better than NaN, as in Keras.
    pub(super) fn improves(self, value: f64, best: Option<f64>, min_delta: f64) -> bool {
        let Some(best) = best else { return true };
        match self {
            Self::Accuracy | Self::ValidationAccuracy => value - min_delta > best,
            _ => value + min_delta < best,
        }
    }
}
