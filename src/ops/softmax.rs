//! Softmax over the last axis.

use bytemuck::{Pod, Zeroable};

use super::epilogue::{self, EPILOGUE, Epilogue, EpilogueParams};
use super::per_item;
use super::step::STEP;
use crate::memory::Region;
use crate::pass::Dispatch;
use crate::pipelines::{Kernel, Module, Struct};
use crate::tensor::ElementType;
use crate::{Gpu, Result};

pub(crate) static MODULE: Module = Module {
    name: "softmax",
    sources: &[
        include_str!("../../shaders/softmax.wgsl"),
        include_str!("../../shaders/shared/item.wgsl"),
        include_str!("../../shaders/shared/exp.wgsl"),
    ],
    constants: &[],
    entry_points: &[
        "softmax_forward",
        "softmax_backward",
        "softmax_backward_through",
    ],
    params: Struct {
        name: "SoftmaxParams",
        fields: &[
            ("rows", std::mem::offset_of!(SoftmaxParams, rows)),
            ("classes", std::mem::offset_of!(SoftmaxParams, classes)),
            ("padding", std::mem::offset_of!(SoftmaxParams, padding)),
            ("epilogue", std::mem::offset_of!(SoftmaxParams, epilogue)),
        ],
        size: size_of::<SoftmaxParams>(),
    },
    elements: &[ElementType::F32],
    alternatives: epilogue::ALTERNATIVES,
    forms: epilogue::forms,
    step: true,
    structs: &[&EPILOGUE, &STEP],
};

const FORWARD: Kernel = Kernel {
    module: &MODULE,
    entry_point: 0,
};

const BACKWARD: Kernel = Kernel {
    module: &MODULE,
    entry_point: 1,
};

const BACKWARD_THROUGH: Kernel = Kernel {
    module: &MODULE,
    entry_point: 2,
};

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct SoftmaxParams {
    rows: u32,
    classes: u32,
    padding: [u32; 2],
    epilogue: EpilogueParams,
}

/// y = softmax(z), of [rows, classes].
pub(crate) fn forward(
    gpu: &Gpu,
    z: &Region,
    y: &Region,
    rows: u32,
    classes: u32,
) -> Result<Dispatch> {
    let shape = [rows, classes];
    dispatch(gpu, FORWARD, &[z, y], shape, &Epilogue::default())
}

/// dz = y (dy − Σ dy y), and `through` the epilogue of z if the logits came from it.
pub(crate) fn backward(
    gpu: &Gpu,
    y: &Region,
    dy: &Region,
    dz: &Region,
    rows: u32,
    classes: u32,
    through: Option<(&Region, &Epilogue)>,
) -> Result<Dispatch> {
    let shape = [rows, classes];
    match through.filter(|(_, epilogue)| !epilogue.is_identity()) {
        None => dispatch(gpu, BACKWARD, &[y, dy, dz], shape, &Epilogue::default()),
        Some((z, epilogue)) => dispatch(gpu, BACKWARD_THROUGH, &[y, dy, dz, z], shape, epilogue),
    }
}

fn dispatch(
    gpu: &Gpu,
    kernel: Kernel,
    regions: &[&Region],
    [rows, classes]: [u32; 2],
    epilogue: &Epilogue,
) -> Result<Dispatch> {
    let params = SoftmaxParams {
        rows,
        classes,
        padding: [0; 2],
        epilogue: epilogue.params(),
    };
    per_item(gpu, kernel, epilogue.form(), 1, regions, &params, rows)
}
