//! The loss for classes.

use super::Regions;
use crate::gpu::dispatch::Dispatch;
use crate::ops::network::per_item;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

pub(super) static MODULE: Module = Module::new(
    "categorical_crossentropy",
    &files::CATEGORICAL_CROSSENTROPY,
    CategoricalCrossentropyParams::LAYOUT,
)
.entry_points(&["categorical_crossentropy"])
.step();

const KERNEL: Kernel = MODULE.kernel("categorical_crossentropy");

params! {
    struct CategoricalCrossentropyParams {
        rows: u32,
        classes: u32,
        /// rows per sample
        positions: u32,
    }
}

/// Takes logits; every `positions` rows are a sample.
pub(super) fn dispatch(
    gpu: &Gpu,
    regions: Regions,
    rows: u32,
    classes: u32,
    positions: u32,
) -> Result<Dispatch> {
    let params = CategoricalCrossentropyParams {
        rows,
        classes,
        positions,
    };
    per_item(
        gpu,
        KERNEL,
        Form::default(),
        1,
        &regions.bound(),
        &params,
        rows,
    )
}
