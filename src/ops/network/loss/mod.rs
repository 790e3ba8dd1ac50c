//! Losses: the loss of a row, its gradient, and the sum over rows.

mod binary_crossentropy;
mod categorical_crossentropy;
mod regression;
mod score;
mod sum_losses;

pub(crate) use score::{SCORES, score_batch};
pub(crate) use sum_losses::sum_losses;

use super::per_item;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::require;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

pub(super) static MODULES: &[&Module] = &[
    &binary_crossentropy::MODULE,
    &categorical_crossentropy::MODULE,
    &regression::MODULE,
    &score::MODULE,
    &sum_losses::MODULE,
];

params! {
    struct LossParams {
        rows: u32,
        outputs: u32,
        /// rows per sample
        positions: u32,
        /// where the sums begin, in f32s
        sums: u32,
        /// what label smoothing leaves of a target, and what it adds
        kept: f32,
        added: f32,
        /// Huber's
        delta: f32,
    }
}

/// The quantity that training minimizes, as Keras defines it.
///
/// A row is a sample, or one of its positions if the output has more than one axis. Its loss is over
/// the last axis, of the outputs y and the targets t. The loss of a batch, or of a data set, is
/// Σ weight · loss / number of rows, Keras's `sum_over_batch_size`: a row of weight 0 is among them,
/// a void row is not. A row is void if its class is to be ignored, or its targets for
/// [`CategoricalCrossentropy`](Self::CategoricalCrossentropy) are all 0. Accuracy and mean absolute
/// error are means over the same rows, without weights, as Keras's `metrics`.
///
/// Cross-entropies are computed from logits z, the inputs of the softmax or sigmoid that the network
/// ends with, or its outputs if its last activation is linear. So they are finite for logits of any
/// size below 10³⁸. Their targets are from 0 to 1. `label_smoothing` ε, at least 0 and below 1, replaces a
/// target: t becomes t(1 − ε) + ε / classes, for binary cross-entropy t(1 − ε) + ε / 2.
///
/// The bounds are those of a row of weight 1 in f32, for outputs that are exact.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Loss {
    /// −Σ t ln softmax(z): one class of several. The targets are class numbers or probabilities; rows
    /// that do not sum to 1 count as much as their sum. The accuracy is the share of rows whose first
    /// largest output is where the first largest target is.
    ///
    /// The loss is within 2 · 10⁻⁷ Σ t + 2 · 10⁻⁶ of itself, the gradient within 10⁻⁶.
    CategoricalCrossentropy,
    /// [`CategoricalCrossentropy`](Self::CategoricalCrossentropy) with label smoothing.
    CategoricalCrossentropyWith {
        /// ε, 0 in Keras.
        label_smoothing: f64,
    },
    /// The mean of −t ln s − (1 − t) ln(1 − s), s = sigmoid(z): each output is a yes or no of its own.
    /// The accuracy is the share of outputs with s > ½ where t > ½.
    ///
    /// The loss is within 10⁻⁶ of itself, the gradient within 3 · 10⁻⁷ / outputs.
    BinaryCrossentropy,
    /// [`BinaryCrossentropy`](Self::BinaryCrossentropy) with label smoothing.
    BinaryCrossentropyWith {
        /// ε, 0 in Keras.
        label_smoothing: f64,
    },
    /// The mean of (y − t)². Loss and gradient are within 10⁻⁶ of themselves.
    MeanSquaredError,
    /// The mean of |y − t|, whose gradient at 0 is 0. Loss and gradient are within 10⁻⁶ of themselves.
    MeanAbsoluteError,
    /// The mean of e² / 2 for |e| ≤ δ, δ(|e| − δ / 2) beyond, with e = y − t. δ is above 0, 1 in
    /// Keras. Loss and gradient are within 10⁻⁶ of themselves.
    Huber(f64),
}

/// What a loss measures beside itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    Accuracy,
    MeanAbsoluteError,
}

/// The function that turns logits into what a network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Softmax,
    Sigmoid,
}

/// What the host learns of a step.
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct Totals {
    /// The sums over rows of the weighted loss and of the metric.
    pub loss: f32,
    pub metric: f32,
    /// The numbers of rows that count, and of those whose target is no target.
    pub counted: f32,
    pub invalid: f32,
    /// The norm of the mean gradient, before it is clipped.
    pub norm: f32,
    /// Whether loss and norm are finite, and whether the weights have changed.
    pub is_finite: f32,
    pub updated: f32,
    /// The number of steps that were not finite since the host has last seen to it.
    pub bad: f32,
}

/// The regions of a loss: the outputs y and the targets [rows, outputs], the gradient [as y] of the
/// sum of weight · loss, and what there is of each row.
#[derive(Clone, Copy)]
pub(crate) struct Regions<'a> {
    pub y: &'a Region,
    pub targets: &'a Region,
    pub gradient: &'a Region,
    pub rows: &'a RowRegions,
}

/// The weights [rows], below 0 for a void row, and the sums [rows, 4] of each row: weight · loss, the
/// metric, 1 if it counts, 1 if its targets are not allowed. They are one region, since a kernel can
/// bind no more than four on every device.
#[derive(Clone, Debug)]
pub(crate) struct RowRegions {
    pub all: Region,
    pub weights: Region,
    pub sums: Region,
}

impl RowRegions {
    /// The f32s that it takes, and where the sums begin.
    pub fn extent(gpu: &Gpu, rows: usize) -> (usize, usize) {
        let alignment = gpu.limits().offset_alignment as usize / size_of::<f32>();
        let sums = rows.next_multiple_of(alignment.max(4));
        (sums + 4 * rows, sums)
    }

    /// In a region of so many.
    pub fn new(gpu: &Gpu, all: Region, rows: usize) -> Self {
        let bytes = |values: usize| (values * size_of::<f32>()) as u64;
        let (_, sums) = Self::extent(gpu, rows);
        Self {
            weights: all.part(0, bytes(rows)),
            sums: all.part(bytes(sums), bytes(4 * rows)),
            all,
        }
    }
}

/// The size of a batch: samples, rows of each, outputs of each row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub samples: u32,
    pub positions: u32,
    pub outputs: u32,
}

impl Loss {
    /// An error if a parameter is not allowed.
    pub(crate) fn check(self) -> Result<()> {
        let (name, value, is_allowed, rule) = match self {
            Self::CategoricalCrossentropyWith { label_smoothing }
            | Self::BinaryCrossentropyWith { label_smoothing } => {
                let is_allowed = (0.0..1.0).contains(&label_smoothing);
                let rule = "at least 0 and below 1";
                ("label_smoothing", label_smoothing, is_allowed, rule)
            }
            Self::Huber(delta) => {
                let is_allowed = delta > 0.0 && (delta as f32).is_normal();
                ("delta", delta, is_allowed, "above 0, and a normal f32")
            }
            _ => return Ok(()),
        };
        require(self.name(), name, value, is_allowed, rule)?;
        Ok(())
    }

    /// As Keras calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CategoricalCrossentropy | Self::CategoricalCrossentropyWith { .. } => {
                "categorical_crossentropy"
            }
            Self::BinaryCrossentropy | Self::BinaryCrossentropyWith { .. } => "binary_crossentropy",
            Self::MeanSquaredError => "mean_squared_error",
            Self::MeanAbsoluteError => "mean_absolute_error",
            Self::Huber(_) => "huber",
        }
    }

    /// Its name, and its parameter, which reads back exactly.
    pub(crate) fn to_text(self) -> String {
        let name = self.name();
        match self {
            Self::CategoricalCrossentropyWith {
                label_smoothing: number,
            }
            | Self::BinaryCrossentropyWith {
                label_smoothing: number,
            }
            | Self::Huber(number) => format!("{name} {number}"),
            _ => name.into(),
        }
    }

    /// The loss of [`to_text`](Self::to_text), if it is one.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let (name, number) = match text.split_once(' ') {
            Some((name, number)) => (name, Some(number.parse::<f64>().ok()?)),
            None => (text, None),
        };
        let loss = match (name, number) {
            ("categorical_crossentropy", None) => Self::CategoricalCrossentropy,
            ("categorical_crossentropy", Some(label_smoothing)) => {
                Self::CategoricalCrossentropyWith { label_smoothing }
            }
            ("binary_crossentropy", None) => Self::BinaryCrossentropy,
            ("binary_crossentropy", Some(label_smoothing)) => {
                Self::BinaryCrossentropyWith { label_smoothing }
            }
            ("mean_squared_error", None) => Self::MeanSquaredError,
            ("mean_absolute_error", None) => Self::MeanAbsoluteError,
            ("huber", Some(delta)) => Self::Huber(delta),
            _ => return None,
        };
        loss.check().ok().map(|()| loss)
    }

    /// The function that it computes the loss without, if it takes logits.
    pub(crate) fn link(self) -> Option<Link> {
        match self {
            Self::CategoricalCrossentropy | Self::CategoricalCrossentropyWith { .. } => {
                Some(Link::Softmax)
            }
            Self::BinaryCrossentropy | Self::BinaryCrossentropyWith { .. } => Some(Link::Sigmoid),
            Self::MeanSquaredError | Self::MeanAbsoluteError | Self::Huber(_) => None,
        }
    }

    pub(crate) fn metric(self) -> Metric {
        match self.link() {
            Some(_) => Metric::Accuracy,
            None => Metric::MeanAbsoluteError,
        }
    }

    /// What targets must be.
    pub(crate) fn allowed_targets(self) -> &'static str {
        match self.link() {
            Some(_) => "from 0 to 1",
            None => "finite",
        }
    }

    /// The loss of a batch.
    pub(crate) fn dispatch(self, gpu: &Gpu, regions: Regions, extent: Extent) -> Result<Dispatch> {
        let (kernel, form): (Kernel, Form) = match self {
            Self::CategoricalCrossentropy | Self::CategoricalCrossentropyWith { .. } => {
                (categorical_crossentropy::KERNEL, Form::default())
            }
            Self::BinaryCrossentropy | Self::BinaryCrossentropyWith { .. } => {
                (binary_crossentropy::KERNEL, Form::default())
            }
            Self::MeanSquaredError => {
                let form = regression::form(&files::MEAN_SQUARED_ERROR);
                (regression::KERNEL, form)
            }
            Self::MeanAbsoluteError => {
                let form = regression::form(&files::MEAN_ABSOLUTE_ERROR);
                (regression::KERNEL, form)
            }
            Self::Huber(_) => (regression::KERNEL, regression::form(&files::HUBER)),
        };
        let (smoothing, choices) = match self {
            Self::CategoricalCrossentropyWith { label_smoothing } => {
                (label_smoothing, extent.outputs.into())
            }
            Self::BinaryCrossentropyWith { label_smoothing } => (label_smoothing, 2.0),
            _ => (0.0, 1.0),
        };
        let Regions {
            y,
            targets,
            gradient,
            rows,
        } = regions;
        let params = LossParams {
            rows: extent.samples * extent.positions,
            outputs: extent.outputs,
            positions: extent.positions,
            sums: ((rows.sums.offset - rows.all.offset) / size_of::<f32>() as u64) as u32,
            kept: (1.0 - smoothing) as f32,
            added: (smoothing / choices) as f32,
            delta: match self {
                Self::Huber(delta) => delta as f32,
                _ => 0.0,
            },
        };
        let bound = [y, targets, gradient, &rows.all];
        per_item(gpu, kernel, form, 1, &bound, &params, params.rows)
    }
}

#[cfg(test)]
mod tests;
