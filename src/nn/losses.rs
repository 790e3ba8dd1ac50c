//! Which loss fits a network and its targets.

use super::network::{Network, StageKind, Value};
use crate::ops::network::loss::{Link, Loss};
use crate::{Error, Result};

/// The last activation of a network, with nothing behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Over the classes of the last axis.
    Softmax,
    Sigmoid,
    /// The sums of a layer with weights, as they are.
    Linear,
    Other,
}

/// What a data set's targets are, as far as it decides about the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TargetKind {
    /// Class numbers.
    Classes,
    /// Values: in each row one 1, or none if it is void, and else 0; of two classes or more.
    OneHot,
    /// Values that are 0 or 1.
    Binary,
    /// Values from 0 to 1, whose rows sum to 1 or are void.
    Probabilities,
    /// Other values.
    Floats,
    /// Values on the GPU, that nobody has looked at.
    Unknown,
}

/// What rows of probabilities may be off 1 by.
const PROBABILITY_BOUND: f64 = 1e-3;

impl TargetKind {
    /// Of values in rows of `outputs`.
    pub fn of(values: &[f32], outputs: usize) -> Self {
        let is_void = |row: &[f32]| row.iter().all(|&t| t == 0.0);
        let is_one = |row: &[f32]| {
            let sum: f64 = row.iter().map(|&t| f64::from(t)).sum();
            (sum - 1.0).abs() <= PROBABILITY_BOUND
        };
        let rows = || values.chunks(outputs.max(1));
        let is_distribution = outputs > 1
            && rows().all(|row| is_void(row) || is_one(row))
            && values.iter().all(|t| (0.0..=1.0).contains(t))
            && !is_void(values);
        let is_binary = values.iter().all(|&t| t == 0.0 || t == 1.0);
        match (is_binary, is_distribution) {
            (true, true) => Self::OneHot,
            (true, false) => Self::Binary,
            (false, true) => Self::Probabilities,
            (false, false) => Self::Floats,
        }
    }
}

impl Network {
    pub fn ending(&self) -> Ending {
        let Some(last) = self.stages.last() else {
            return Ending::Other;
        };
        match last.kind {
            StageKind::Softmax { classes, .. } if classes == self.classes() => Ending::Softmax,
            StageKind::Weighted(..) if last.epilogue.is_identity() => Ending::Linear,
            StageKind::Weighted(..) | StageKind::Epilogue if last.epilogue.is_sigmoid() => {
                Ending::Sigmoid
            }
            _ => Ending::Other,
        }
    }

    /// The extent of the last axis.
    pub fn classes(&self) -> usize {
        self.output_shape().last().copied().unwrap_or(1)
    }

    /// What `loss`, which fits, is computed from: the output, or the logits behind it.
    pub fn scored(&self, loss: Loss) -> Value {
        let last = self.stages.len().wrapping_sub(1);
        match (loss.link(), self.ending()) {
            (Some(Link::Softmax), Ending::Softmax) => self.stages[last].input,
            (Some(Link::Sigmoid), Ending::Sigmoid) => Value::Sums(last),
            _ => self.output(),
        }
    }

    /// An error if `loss` has a parameter that is not allowed, or is not for such an output.
    pub fn check_loss(&self, op: &'static str, loss: Loss) -> Result<()> {
        loss.check()?;
        let wrong = |detail: &str| {
            let detail = detail.into();
            Err(Error::Data { op, detail })
        };
        match (loss.link(), self.ending()) {
            (Some(Link::Softmax), Ending::Softmax | Ending::Linear) if self.classes() == 1 => {
                wrong(ONE_CLASS)
            }
            (Some(Link::Softmax), Ending::Sigmoid | Ending::Other) => wrong(
                "categorical cross-entropy is computed from logits: the last activation must be softmax, or linear",
            ),
            (Some(Link::Sigmoid), Ending::Softmax | Ending::Other) => wrong(
                "binary cross-entropy is computed from logits: the last activation must be sigmoid, or linear, with no dropout after it",
            ),
            _ => Ok(()),
        }
    }

    /// The loss that is the only one for this output and such targets.
    pub fn implied_loss(&self, op: &'static str, targets: TargetKind) -> Result<Loss> {
        use Ending::*;
        use TargetKind::*;
        let outputs = self.classes();
        let name = match (self.ending(), targets) {
            (Softmax, Classes | OneHot | Probabilities | Unknown) => {
                return Ok(Loss::CategoricalCrossentropy);
            }
            (Softmax, Binary | Floats) => {
                "the network ends with a softmax, but the targets' rows are no probabilities; name Loss::CategoricalCrossentropy, Loss::MeanSquaredError or another loss"
            }
            (Sigmoid, Classes) if outputs == 1 => return Ok(Loss::BinaryCrossentropy),
            (Sigmoid, OneHot | Binary | Unknown) => return Ok(Loss::BinaryCrossentropy),
            (Sigmoid, Classes) => {
                "the network ends with sigmoids, and each sample has one class; end it with a softmax, or name Loss::BinaryCrossentropy to learn each class by itself"
            }
            (Sigmoid, Probabilities | Floats) => {
                "the network ends with a sigmoid, but some targets are neither 0 nor 1; name Loss::BinaryCrossentropy for probabilities, or Loss::MeanSquaredError"
            }
            (Linear | Other, Classes) if outputs == 1 => {
                "the targets are classes, the network has one output without a softmax or sigmoid; end it with two units with softmax, or with a sigmoid, or name Loss::BinaryCrossentropy (from logits) or Loss::MeanSquaredError (of class numbers)"
            }
            (Linear, Classes | OneHot) => {
                "the targets are classes, the network ends without a softmax; add one, or name Loss::CategoricalCrossentropy (from logits) or Loss::MeanSquaredError (of one-hot rows)"
            }
            (Other, Classes | OneHot) => {
                "the targets are classes, the network ends without a softmax; add one, or name Loss::MeanSquaredError (of one-hot rows)"
            }
            (Linear | Other, Binary | Probabilities | Floats | Unknown) => {
                return Ok(Loss::MeanSquaredError);
            }
        };
        let detail = format!("which loss? {name}");
        Err(Error::Data { op, detail })
    }
}

/// Its loss is 0 whatever the network puts out.
pub(super) const ONE_CLASS: &str = "a softmax over one class is always 1, so nothing can be learned; use two units with softmax, or one with sigmoid and Loss::BinaryCrossentropy";
