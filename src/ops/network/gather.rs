//! Gathers the rows of a batch from a data set on the GPU.

use bytemuck::Zeroable;

use super::{lane_values, per_item};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

pub(super) static MODULE: Module = Module::new("gather", &files::GATHER, GatherParams::LAYOUT)
    .entry_points(&[
        "gather_floats",
        "gather_bytes",
        "gather_classes",
        "gather_weights",
    ])
    .step();

const FLOATS: Kernel = MODULE.kernel("gather_floats");
const BYTES: Kernel = MODULE.kernel("gather_bytes");
const CLASSES: Kernel = MODULE.kernel("gather_classes");
const WEIGHTS: Kernel = MODULE.kernel("gather_weights");

/// The label of what is no class.
pub(crate) const NO_CLASS: u32 = u32::MAX;

params! {
    struct GatherParams {
        /// the samples of data: as many, from this one on
        first: u32,
        samples: u32,
        /// lanes of out, and of one of its rows
        lanes: u32,
        row_lanes: u32,
        /// labels per sample, and lanes of each in out
        positions: u32,
        class_lanes: u32,
        /// labels from `classes` on don't count, nor does this one
        classes: u32,
        ignored: u32,
        /// the class of the first output
        first_class: u32,
        /// weights per sample
        sample_weights: u32,
        /// applied to bytes
        scale: f32,
        shift: f32,
    }
}

/// Maps a byte to byte · scale + shift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Affine {
    pub scale: f32,
    pub shift: f32,
}

/// Samples of a data set that are in one buffer: as many, from the one numbered `first` on.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub region: Region,
    pub first: u32,
    pub samples: u32,
}

/// What labels stand for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Classes {
    /// The labels of a sample.
    pub positions: u32,
    /// The outputs for each: one of a class, or one that is 1 for class 1 and 0 for class 0.
    pub outputs: u32,
    /// The class that doesn't count, or [`NO_CLASS`].
    pub ignored: u32,
}

impl Classes {
    pub fn count(&self) -> u32 {
        self.outputs.max(2)
    }
}

/// Batches of up to `rows` samples, in this order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gather<'a> {
    pub gpu: &'a Gpu,
    pub order: &'a Region,
    pub rows: u32,
}

impl Gather<'_> {
    /// out [rows, values] = those of the samples of data [samples, values] that are next in the
    /// order, and 0 from the step's count on.
    pub fn floats(&self, data: &Part, out: &Region, values: u32) -> Result<Dispatch> {
        let lane = lane_values(values);
        let params = self.params(data, values / lane);
        self.dispatch(FLOATS, lane, data, out, params)
    }

    /// The same for data [samples, values] of packed bytes.
    pub fn bytes(
        &self,
        data: &Part,
        out: &Region,
        values: u32,
        affine: Affine,
    ) -> Result<Dispatch> {
        let lane = lane_values(values);
        let params = GatherParams {
            scale: affine.scale,
            shift: affine.shift,
            ..self.params(data, values / lane)
        };
        self.dispatch(BYTES, lane, data, out, params)
    }

    /// The same for labels, data [samples, positions] of u32, as one-hot vectors in
    /// out [rows, positions, outputs], or vectors of −1 for labels that don't count.
    pub fn classes(&self, data: &Part, out: &Region, classes: Classes) -> Result<Dispatch> {
        let Classes {
            positions,
            outputs,
            ignored,
        } = classes;
        let lane = lane_values(outputs);
        let params = GatherParams {
            positions,
            class_lanes: outputs / lane,
            classes: classes.count(),
            ignored,
            first_class: u32::from(outputs == 1),
            ..self.params(data, positions * (outputs / lane))
        };
        self.dispatch(CLASSES, lane, data, out, params)
    }

    /// The same for weights, data [samples, sample_weights], in out [rows, positions]: of a sample, or
    /// of each of its positions.
    pub fn weights(
        &self,
        data: &Part,
        out: &Region,
        sample_weights: u32,
        positions: u32,
    ) -> Result<Dispatch> {
        let params = GatherParams {
            sample_weights,
            ..self.params(data, positions)
        };
        self.dispatch(WEIGHTS, 1, data, out, params)
    }

    fn params(&self, data: &Part, row_lanes: u32) -> GatherParams {
        GatherParams {
            first: data.first,
            samples: data.samples,
            lanes: self.rows * row_lanes,
            row_lanes,
            ..GatherParams::zeroed()
        }
    }

    fn dispatch(
        &self,
        kernel: Kernel,
        lane: u32,
        data: &Part,
        out: &Region,
        params: GatherParams,
    ) -> Result<Dispatch> {
        let regions = [&data.region, self.order, out];
        let form = Form::default();
        per_item(
            self.gpu,
            kernel,
            form,
            lane,
            &regions,
            &params,
            params.lanes,
        )
    }
}
