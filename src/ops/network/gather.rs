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
    .entry_points(&["gather_floats", "gather_bytes", "gather_classes"])
    .step();

const FLOATS: Kernel = MODULE.kernel("gather_floats");
const BYTES: Kernel = MODULE.kernel("gather_bytes");
const CLASSES: Kernel = MODULE.kernel("gather_classes");

params! {
    struct GatherParams {
        /// lanes of out, and of one of its rows
        lanes: u32,
        row_lanes: u32,
        /// class numbers per sample, and lanes of each in out
        positions: u32,
        class_lanes: u32,
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

/// The same for data [samples, values] of packed bytes.
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

/// The same for class numbers, data [samples, positions] of u32, as one-hot vectors in
/// out [rows, positions, classes].
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
