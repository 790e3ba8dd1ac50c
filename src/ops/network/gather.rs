//! The rows of a batch, out of a data set on the GPU.

use bytemuck::Zeroable;

use super::{lane_values, per_item};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

pub(super) static MODULE: Module = Module::new("gather", &files::GATHER, GatherParams::LAYOUT)
    .entry_points(&["gather_floats", "gather_bytes", "gather_classes"])
    .step();

const FLOATS: Kernel = MODULE.kernel("gather_floats");
const BYTES: Kernel = MODULE.kernel("gather_bytes");
const CLASSES: Kernel = MODULE.kernel("gather_classes");

params! {
    struct GatherParams {
        /// of out, and of a row of it
        lanes: u32,
        row_lanes: u32,
        /// class numbers of a sample, and lanes of each in out
        positions: u32,
        class_lanes: u32,
        /// of bytes
        scale: f32,
        shift: f32,
    }
}

/// What becomes of a byte: byte · scale + shift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Affine {
    pub scale: f32,
    pub shift: f32,
}

/// out [rows, values] = the samples of data [samples, values] that are next in `order`, and 0 from the
/// step's count on.
pub(crate) fn floats(
    gpu: &Gpu,
    data: &Region,
    order: &Region,
    out: &Region,
    rows: u32,
    values: u32,
) -> Result<Dispatch> {
    let lane = lane_values(values);
    let params = GatherParams {
        lanes: rows * (values / lane),
        row_lanes: values / lane,
        ..GatherParams::zeroed()
    };
    dispatch(gpu, FLOATS, lane, [data, order, out], &params)
}

/// The same of data [samples, values] of bytes, packed.
pub(crate) fn bytes(
    gpu: &Gpu,
    data: &Region,
    order: &Region,
    out: &Region,
    rows: u32,
    values: u32,
    affine: Affine,
) -> Result<Dispatch> {
    let lane = lane_values(values);
    let params = GatherParams {
        lanes: rows * (values / lane),
        row_lanes: values / lane,
        scale: affine.scale,
        shift: affine.shift,
        ..GatherParams::zeroed()
    };
    dispatch(gpu, BYTES, lane, [data, order, out], &params)
}

/// out [rows, positions, classes] = the same of the numbers of classes, data [samples, positions] of
/// u32, as one-hot vectors.
pub(crate) fn classes(
    gpu: &Gpu,
    data: &Region,
    order: &Region,
    out: &Region,
    rows: u32,
    positions: u32,
    classes: u32,
) -> Result<Dispatch> {
    let lane = lane_values(classes);
    let row_lanes = positions * (classes / lane);
    let params = GatherParams {
        lanes: rows * row_lanes,
        row_lanes,
        positions,
        class_lanes: classes / lane,
        ..GatherParams::zeroed()
    };
    dispatch(gpu, CLASSES, lane, [data, order, out], &params)
}

fn dispatch(
    gpu: &Gpu,
    kernel: Kernel,
    lane: u32,
    regions: [&Region; 3],
    params: &GatherParams,
) -> Result<Dispatch> {
    let form = Form::default();
    per_item(gpu, kernel, form, lane, &regions, params, params.lanes)
}
