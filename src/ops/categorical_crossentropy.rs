//! The loss of classes.

use bytemuck::{Pod, Zeroable};

use super::per_item;
use super::step::STEP;
use crate::memory::Region;
use crate::pass::Dispatch;
use crate::pipelines::{Form, Kernel, Module, SINGLE_FORM, Struct};
use crate::tensor::ElementType;
use crate::{Gpu, Result};

pub(crate) static MODULE: Module = Module {
    name: "categorical_crossentropy",
    sources: &[
        include_str!("../../shaders/categorical_crossentropy.wgsl"),
        include_str!("../../shaders/shared/item.wgsl"),
        include_str!("../../shaders/shared/exp.wgsl"),
        include_str!("../../shaders/shared/expm1.wgsl"),
        include_str!("../../shaders/shared/ln.wgsl"),
        include_str!("../../shaders/shared/is_nan.wgsl"),
    ],
    constants: &[],
    entry_points: &["categorical_crossentropy"],
    params: Struct {
        name: "CategoricalCrossentropyParams",
        fields: &[
            (
                "rows",
                std::mem::offset_of!(CategoricalCrossentropyParams, rows),
            ),
            (
                "classes",
                std::mem::offset_of!(CategoricalCrossentropyParams, classes),
            ),
            (
                "positions",
                std::mem::offset_of!(CategoricalCrossentropyParams, positions),
            ),
        ],
        size: size_of::<CategoricalCrossentropyParams>(),
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
struct CategoricalCrossentropyParams {
    rows: u32,
    classes: u32,
    positions: u32,
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
