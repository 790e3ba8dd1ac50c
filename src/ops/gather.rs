//! The rows of a batch, out of a data set on the GPU.

use bytemuck::{Pod, Zeroable};

use super::step::STEP;
use super::{lane_values, per_item};
use crate::memory::Region;
use crate::pass::Dispatch;
use crate::pipelines::{Form, Kernel, Module, SINGLE_FORM, Struct};
use crate::tensor::ElementType;
use crate::{Gpu, Result};

pub(crate) static MODULE: Module = Module {
    name: "gather",
    sources: &[
        include_str!("../../shaders/gather.wgsl"),
        include_str!("../../shaders/shared/item.wgsl"),
    ],
    constants: &[],
    entry_points: &["gather_floats", "gather_bytes", "gather_classes"],
    params: Struct {
        name: "GatherParams",
        fields: &[
            ("lanes", std::mem::offset_of!(GatherParams, lanes)),
            ("row_lanes", std::mem::offset_of!(GatherParams, row_lanes)),
            ("positions", std::mem::offset_of!(GatherParams, positions)),
            (
                "class_lanes",
                std::mem::offset_of!(GatherParams, class_lanes),
            ),
            ("scale", std::mem::offset_of!(GatherParams, scale)),
            ("shift", std::mem::offset_of!(GatherParams, shift)),
        ],
        size: size_of::<GatherParams>(),
    },
    elements: &[ElementType::F32],
    alternatives: &[],
    forms: SINGLE_FORM,
    step: true,
    structs: &[&STEP],
};

const FLOATS: Kernel = Kernel {
    module: &MODULE,
    entry_point: 0,
};

const BYTES: Kernel = Kernel {
    module: &MODULE,
    entry_point: 1,
};

const CLASSES: Kernel = Kernel {
    module: &MODULE,
    entry_point: 2,
};

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct GatherParams {
    lanes: u32,
    row_lanes: u32,
    positions: u32,
    class_lanes: u32,
    scale: f32,
    shift: f32,
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
