//! Losses: the loss of a row, its gradient, and the sum over rows.

mod categorical_crossentropy;
mod mean_squared_error;
mod sum_losses;

pub(crate) use sum_losses::sum_losses;

use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::shader::module::Module;
use crate::{Gpu, Result};

pub(super) static MODULES: &[&Module] = &[
    &categorical_crossentropy::MODULE,
    &mean_squared_error::MODULE,
    &sum_losses::MODULE,
];

/// The quantity that training minimizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// −Σ tⱼ log pⱼ over the last axis, averaged over everything else. Computed from the logits:
    /// the inputs of the softmax that the network must end with, or its outputs if its last
    /// activation is linear.
    CategoricalCrossentropy,
    /// The mean of (y − t)².
    MeanSquaredError,
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
/// sum of the losses of the step's batch, and the sums [rows, 2], each row's loss and hits.
#[derive(Clone, Copy)]
pub(crate) struct Regions<'a> {
    pub y: &'a Region,
    pub targets: &'a Region,
    pub gradient: &'a Region,
    pub sums: &'a Region,
}

impl<'a> Regions<'a> {
    /// In the order of the bindings.
    fn bound(&self) -> [&'a Region; 4] {
        [self.y, self.targets, self.gradient, self.sums]
    }
}

impl Loss {
    /// Whether it is computed from the inputs of a softmax.
    pub(crate) fn is_of_logits(self) -> bool {
        match self {
            Self::CategoricalCrossentropy => true,
            Self::MeanSquaredError => false,
        }
    }

    /// Whether it counts hits.
    pub(crate) fn has_accuracy(self) -> bool {
        match self {
            Self::CategoricalCrossentropy => true,
            Self::MeanSquaredError => false,
        }
    }

    /// The rows of a sample of `len` outputs whose last axis has `classes`: its loss is the mean of
    /// as many terms.
    pub(crate) fn rows(self, len: usize, classes: usize) -> usize {
        match self {
            Self::CategoricalCrossentropy => len / classes,
            Self::MeanSquaredError => 1,
        }
    }

    /// The loss of `samples` samples, each of `rows` rows of `outputs` outputs.
    pub(crate) fn dispatch(
        self,
        gpu: &Gpu,
        regions: Regions,
        samples: u32,
        rows: u32,
        outputs: u32,
    ) -> Result<Dispatch> {
        match self {
            Self::CategoricalCrossentropy => {
                categorical_crossentropy::dispatch(gpu, regions, samples * rows, outputs, rows)
            }
            Self::MeanSquaredError => {
                mean_squared_error::dispatch(gpu, regions, samples * rows, outputs)
            }
        }
    }
}
