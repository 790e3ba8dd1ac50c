//! Softmax over the last axis.

use super::epilogue::{self, Epilogue, EpilogueParams};
use super::per_item;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::shader::files;
use crate::shader::module::{Kernel, Module};
use crate::shader::params::{params, vec2u};
use crate::{Gpu, Result};

pub(super) static MODULE: Module = Module::new("softmax", &files::SOFTMAX, SoftmaxParams::LAYOUT)
    .entry_points(&[
        "softmax_forward",
        "softmax_in_place",
        "softmax_backward",
        "softmax_backward_in_place",
        "softmax_backward_through",
    ])
    .forms(epilogue::forms)
    .step();

const FORWARD: Kernel = MODULE.kernel("softmax_forward");
const IN_PLACE: Kernel = MODULE.kernel("softmax_in_place");
const BACKWARD: Kernel = MODULE.kernel("softmax_backward");
const BACKWARD_IN_PLACE: Kernel = MODULE.kernel("softmax_backward_in_place");
const BACKWARD_THROUGH: Kernel = MODULE.kernel("softmax_backward_through");

params! {
    struct SoftmaxParams {
        rows: u32,
        classes: u32,
        padding: vec2u,
        epilogue: EpilogueParams,
    }
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

/// x = softmax(x), of [rows, classes].
pub(crate) fn in_place(gpu: &Gpu, x: &Region, rows: u32, classes: u32) -> Result<Dispatch> {
    dispatch(gpu, IN_PLACE, &[x], [rows, classes], &Epilogue::default())
}

/// dy = y (dy − Σ dy y)
pub(crate) fn backward_in_place(
    gpu: &Gpu,
    y: &Region,
    dy: &Region,
    rows: u32,
    classes: u32,
) -> Result<Dispatch> {
    let shape = [rows, classes];
    dispatch(
        gpu,
        BACKWARD_IN_PLACE,
        &[y, dy],
        shape,
        &Epilogue::default(),
    )
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
