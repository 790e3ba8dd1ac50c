//! The loss of classes.

use super::per_item;
use super::step::STEP;
use crate::gpu::memory::Region;
use crate::gpu::pipelines::{Form, Kernel, Module};
use crate::params::params;
use crate::pass::Dispatch;
use crate::{Gpu, Result, shaders};

pub(crate) static MODULE: Module = Module::new(
    "categorical_crossentropy",
    &shaders::CATEGORICAL_CROSSENTROPY,
    CategoricalCrossentropyParams::LAYOUT,
)
.entry_points(&["categorical_crossentropy"])
.step(&[&STEP]);

const KERNEL: Kernel = MODULE.kernel("categorical_crossentropy");

params! {
    struct CategoricalCrossentropyParams {
        rows: u32,
        classes: u32,
        /// rows of a sample
        positions: u32,
    }
}

/// Of logits and targets [rows, classes], `positions` rows a sample: dlogits [as logits] = the gradient
/// of the mean loss of the step's batch; sums [rows, 2] = each row's loss and whether it is a hit.
#[allow(clippy::too_many_arguments)]
pub(crate) fn categorical_crossentropy(
    gpu: &Gpu,
    logits: &Region,
    targets: &Region,
    dlogits: &Region,
    sums: &Region,
    rows: u32,
    classes: u32,
    positions: u32,
) -> Result<Dispatch> {
    let params = CategoricalCrossentropyParams {
        rows,
        classes,
        positions,
    };
    let regions = [logits, targets, dlogits, sums];
    per_item(gpu, KERNEL, Form::default(), 1, &regions, &params, rows)
}
