//! The maxima of windows that slide over images.

use super::{Pool2d, Pool2dParams};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::network::epilogue::{self, Epilogue};
use crate::ops::network::per_item;
use crate::shader::files;
use crate::shader::module::{Kernel, Module};
use crate::{Gpu, Result};

pub(super) static MODULE: Module =
    Module::new("max_pool2d", &files::MAX_POOL2D, Pool2dParams::LAYOUT)
        .entry_points(&[
            "max_pool2d_forward",
            "max_pool2d_backward",
            "max_pool2d_backward_through",
        ])
        .forms(epilogue::forms)
        .step();

const FORWARD: Kernel = MODULE.kernel("max_pool2d_forward");
const BACKWARD: Kernel = MODULE.kernel("max_pool2d_backward");
const BACKWARD_THROUGH: Kernel = MODULE.kernel("max_pool2d_backward_through");

/// y = the maxima of x; maxima [as y] of u32 = their positions in x.
pub(crate) fn forward(
    gpu: &Gpu,
    x: &Region,
    y: &Region,
    maxima: &Region,
    p: &Pool2d,
) -> Result<Dispatch> {
    let len = p.len(p.output);
    let epilogue = Epilogue::default();
    let params = p.params(len, &epilogue);
    let form = epilogue.form();
    per_item(gpu, FORWARD, form, 1, &[x, y, maxima], &params, len)
}

/// dx = for each value, the sum of dy over the windows whose maximum it is, and `through` the
/// epilogue of z if x came from it.
pub(crate) fn backward(
    gpu: &Gpu,
    dy: &Region,
    maxima: &Region,
    dx: &Region,
    p: &Pool2d,
    through: Option<(&Region, &Epilogue)>,
) -> Result<Dispatch> {
    let len = p.len(p.input);
    match through.filter(|(_, epilogue)| !epilogue.is_identity()) {
        None => {
            let epilogue = Epilogue::default();
            let params = p.params(len, &epilogue);
            let form = epilogue.form();
            per_item(gpu, BACKWARD, form, 1, &[dy, maxima, dx], &params, len)
        }
        Some((z, epilogue)) => {
            let params = p.params(len, epilogue);
            let form = epilogue.form();
            let regions = [dy, maxima, dx, z];
            per_item(gpu, BACKWARD_THROUGH, form, 1, &regions, &params, len)
        }
    }
}
