//! The weights of a batch's rows in its loss.

use super::per_item;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

pub(super) static MODULE: Module = Module::new("weights", &files::WEIGHTS, WeightsParams::LAYOUT)
    .entry_points(&["fill_weights", "weigh_classes"])
    .step();

const FILL: Kernel = MODULE.kernel("fill_weights");
const WEIGH: Kernel = MODULE.kernel("weigh_classes");

params! {
    struct WeightsParams {
        rows: u32,
        /// rows per sample
        positions: u32,
        outputs: u32,
        /// whether targets come from labels
        are_labels: u32,
    }
}

/// The rows of a batch of targets: `samples` of `positions`, each of `outputs`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub samples: u32,
    pub positions: u32,
    pub outputs: u32,
}

impl Rows {
    /// weights [rows] = 1, and 0 from the step's count of samples on.
    pub fn fill_weights(self, gpu: &Gpu, weights: &Region) -> Result<Dispatch> {
        self.dispatch(gpu, FILL, &[weights], false)
    }

    /// Multiplies weights [rows] by the weight of each row's class: the first of the largest targets,
    /// or a single one rounded. With `are_labels`, a row of −1 is of no class, and gets the weight −1.
    pub fn weigh_classes(
        self,
        gpu: &Gpu,
        targets: &Region,
        class_weights: &Region,
        weights: &Region,
        are_labels: bool,
    ) -> Result<Dispatch> {
        let regions = [targets, class_weights, weights];
        self.dispatch(gpu, WEIGH, &regions, are_labels)
    }

    fn dispatch(
        self,
        gpu: &Gpu,
        kernel: Kernel,
        regions: &[&Region],
        are_labels: bool,
    ) -> Result<Dispatch> {
        let params = WeightsParams {
            rows: self.samples * self.positions,
            positions: self.positions,
            outputs: self.outputs,
            are_labels: are_labels.into(),
        };
        let form = Form::default();
        per_item(gpu, kernel, form, 1, regions, &params, params.rows)
    }
}
