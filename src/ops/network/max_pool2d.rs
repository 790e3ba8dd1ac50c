//! The maxima of windows that slide over images.

use super::epilogue::{self, Epilogue, EpilogueParams};
use super::per_item;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::shader::files;
use crate::shader::module::{Kernel, Module};
use crate::shader::params::{params, vec2u};
use crate::{Gpu, Result};

pub(super) static MODULE: Module =
    Module::new("max_pool2d", &files::MAX_POOL2D, MaxPool2dParams::LAYOUT)
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

params! {
    struct MaxPool2dParams {
        /// (height, width)
        input: vec2u,
        output: vec2u,
        pool: vec2u,
        strides: vec2u,
        /// in front of the input
        padding: vec2u,
        channels: u32,
        /// the number of values written
        len: u32,
        epilogue: EpilogueParams,
    }
}

/// A pooling of x [batch, input height, input width, channels] to y [batch, output height, output
/// width, channels]. Every window has a position that is not padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaxPool2d {
    pub batch: u32,
    pub channels: u32,
    /// Height and width.
    pub input: [u32; 2],
    pub output: [u32; 2],
    pub pool: [u32; 2],
    pub strides: [u32; 2],
    /// In front of the input.
    pub padding: [u32; 2],
}

impl MaxPool2d {
    fn len(&self, extent: [u32; 2]) -> u32 {
        self.batch * extent[0] * extent[1] * self.channels
    }

    fn params(&self, len: u32, epilogue: &Epilogue) -> MaxPool2dParams {
        MaxPool2dParams {
            input: self.input,
            output: self.output,
            pool: self.pool,
            strides: self.strides,
            padding: self.padding,
            channels: self.channels,
            len,
            epilogue: epilogue.params(),
        }
    }
}

/// y = the maxima of x; maxima [as y] of u32 = their positions in x.
pub(crate) fn forward(
    gpu: &Gpu,
    x: &Region,
    y: &Region,
    maxima: &Region,
    p: &MaxPool2d,
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
    p: &MaxPool2d,
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
