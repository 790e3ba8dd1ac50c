//! Which loss fits a network and its targets.

use super::data::TargetKind;
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

    /// The loss that is the only one for this output and such targets, which may be unknown.
    pub fn implied_loss(&self, op: &'static str, targets: Option<TargetKind>) -> Result<Loss> {
        use Ending::*;
        use TargetKind::*;
        let outputs = self.classes();
        let choice = match (self.ending(), targets) {
            (Softmax, None | Some(Classes | OneHot | Probabilities)) => {
                return Ok(Loss::CategoricalCrossentropy);
            }
            (Softmax, Some(Binary | Floats)) => {
                "the network ends with a softmax, but the targets' rows are no probabilities; name Loss::CategoricalCrossentropy, Loss::MeanSquaredError or another loss"
            }
            // Class numbers 0 and 1 are the targets themselves.
            (Sigmoid, Some(Classes)) if outputs == 1 => return Ok(Loss::BinaryCrossentropy),
            (Sigmoid, None | Some(OneHot | Binary)) => return Ok(Loss::BinaryCrossentropy),
            (Sigmoid, Some(Classes)) => {
                "the network ends with sigmoids, and each sample has one class; end it with a softmax, or name Loss::BinaryCrossentropy to learn each class by itself"
            }
            (Sigmoid, Some(Probabilities | Floats)) => {
                "the network ends with a sigmoid, but some targets are neither 0 nor 1; name Loss::BinaryCrossentropy for probabilities, or Loss::MeanSquaredError"
            }
            (Linear, Some(Classes)) if outputs == 1 => {
                "the targets are classes, the network has one output without a sigmoid; add one, or name Loss::BinaryCrossentropy (from logits) or Loss::MeanSquaredError (of class numbers)"
            }
            (Other, Some(Classes)) if outputs == 1 => {
                "the targets are classes, the network has one output without a sigmoid; end it with one, or name Loss::MeanSquaredError (of class numbers)"
            }
            (Linear, Some(Classes | OneHot)) => {
                "the targets are classes, the network ends without a softmax; add one, or name Loss::CategoricalCrossentropy (from logits) or Loss::MeanSquaredError (of one-hot rows)"
            }
            (Other, Some(Classes | OneHot)) => {
                "the targets are classes, the network ends without a softmax; end it with one, or name Loss::MeanSquaredError (of one-hot rows)"
            }
            (Linear | Other, None | Some(Binary | Probabilities | Floats)) => {
                return Ok(Loss::MeanSquaredError);
            }
        };
        let detail = format!("which loss? {choice}");
        Err(Error::Data { op, detail })
    }
}

/// Its loss is 0 whatever the network puts out.
pub(super) const ONE_CLASS: &str = "a softmax over one class is always 1, so nothing can be learned; use two units with softmax, or one with sigmoid and Loss::BinaryCrossentropy";
