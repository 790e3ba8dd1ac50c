//! The loss of regressions.

use bytemuck::{Pod, Zeroable};

use super::per_item;
use super::step::STEP;
use crate::memory::Region;
use crate::pass::Dispatch;
use crate::pipelines::{Form, Kernel, Module, SINGLE_FORM, Struct};
use crate::tensor::ElementType;
use crate::{Gpu, Result};

pub(crate) static MODULE: Module = Module {
    name: "mean_squared_error",
    sources: &[
        include_str!("../../shaders/mean_squared_error.wgsl"),
        include_str!("../../shaders/shared/item.wgsl"),
    ],
    constants: &[],
    entry_points: &["mean_squared_error"],
    params: Struct {
        name: "MeanSquaredErrorParams",
        fields: &[
            ("rows", std::mem::offset_of!(MeanSquaredErrorParams, rows)),
            (
                "outputs",
                std::mem::offset_of!(MeanSquaredErrorParams, outputs),
            ),
        ],
        size: size_of::<MeanSquaredErrorParams>(),
    },
    elements: &[ElementType::F32],
    alternatives: &[],
    forms: SINGLE_FORM,
    step: true,
    structs: &[&STEP],
};

const KERNEL: Kernel = Kernel {
    module: &MODULE,
    entry_point: 0,
};

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct MeanSquaredErrorParams {
    rows: u32,
    outputs: u32,
}

/// Of y and targets [rows, outputs]: dy [as y] = the gradient of the mean loss of the step's batch;
/// sums [rows, 2] = each row's loss and 0.
pub(crate) fn mean_squared_error(
    gpu: &Gpu,
    y: &Region,
    targets: &Region,
    dy: &Region,
    sums: &Region,
    rows: u32,
    outputs: u32,
) -> Result<Dispatch> {
    let params = MeanSquaredErrorParams { rows, outputs };
    let regions = [y, targets, dy, sums];
    per_item(gpu, KERNEL, Form::default(), 1, &regions, &params, rows)
}
