//! The means of windows that slide over images.

use super::{Pool2d, Pool2dParams};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::network::epilogue::{self, Epilogue};
use crate::ops::network::per_item;
use crate::shader::files;
use crate::shader::module::{Kernel, Module};
use crate::{Gpu, Result};

pub(super) static MODULE: Module = Module::new(
    "average_pool2d",
    &files::AVERAGE_POOL2D,
    Pool2dParams::LAYOUT,
)
.entry_points(&[
    "average_pool2d_forward",
    "average_pool2d_backward",
    "average_pool2d_backward_through",
])
.forms(epilogue::forms)
.step();

const FORWARD: Kernel = MODULE.kernel("average_pool2d_forward");
const BACKWARD: Kernel = MODULE.kernel("average_pool2d_backward");
const BACKWARD_THROUGH: Kernel = MODULE.kernel("average_pool2d_backward_through");

/// y = the means of x.
pub(crate) fn forward(gpu: &Gpu, x: &Region, y: &Region, p: &Pool2d) -> Result<Dispatch> {
    let len = p.len(p.output);
    let epilogue = Epilogue::default();
    let params = p.params(len, &epilogue);
    per_item(gpu, FORWARD, epilogue.form(), 1, &[x, y], &params, len)
}

/// dx = for each value, the sum of dy over its windows, each divided by the window's pixels, and `through` the
/// epilogue of z if x came from it.
pub(crate) fn backward(
    gpu: &Gpu,
    dy: &Region,
    dx: &Region,
    p: &Pool2d,
    through: Option<(&Region, &Epilogue)>,
) -> Result<Dispatch> {
    let len = p.len(p.input);
    match through.filter(|(_, epilogue)| !epilogue.is_identity()) {
        None => {
            let epilogue = Epilogue::default();
            let params = p.params(len, &epilogue);
            per_item(gpu, BACKWARD, epilogue.form(), 1, &[dy, dx], &params, len)
        }
        Some((z, epilogue)) => {
            let params = p.params(len, epilogue);
            let regions = [dy, dx, z];
            per_item(
                gpu,
                BACKWARD_THROUGH,
                epilogue.form(),
                1,
                &regions,
                &params,
                len,
            )
        }
    }
}
