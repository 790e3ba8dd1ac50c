//! The sum of the rows of a loss.

use bytemuck::{Pod, Zeroable};

use super::per_item;
use super::step::STEP;
use crate::memory::Region;
use crate::pass::Dispatch;
use crate::pipelines::{Form, Kernel, Module, SINGLE_FORM, Struct};
use crate::tensor::ElementType;
use crate::{Gpu, Result};

pub(crate) static MODULE: Module = Module {
    name: "sum_losses",
    sources: &[include_str!("../../shaders/sum_losses.wgsl")],
    constants: &[],
    entry_points: &["sum_losses"],
    params: Struct {
        name: "SumLossesParams",
        fields: &[("rows", std::mem::offset_of!(SumLossesParams, rows))],
        size: size_of::<SumLossesParams>(),
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
struct SumLossesParams {
    rows: u32,
}

/// The step's result in totals [results, 2] = the sum of sums [rows, 2].
pub(crate) fn sum_losses(gpu: &Gpu, sums: &Region, totals: &Region, rows: u32) -> Result<Dispatch> {
    let params = SumLossesParams { rows };
    // One workgroup has them all.
    per_item(gpu, KERNEL, Form::default(), 1, &[sums, totals], &params, 1)
}
