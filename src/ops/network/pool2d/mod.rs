//! Windows that slide over images: their maxima, and their means.

pub(crate) mod average;
pub(crate) mod max;

use crate::ops::network::epilogue::{Epilogue, EpilogueParams};
use crate::shader::module::Module;
use crate::shader::params::{params, vec2u};

pub(super) static MODULES: &[&Module] = &[&average::MODULE, &max::MODULE];

params! {
    struct Pool2dParams {
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
pub(crate) struct Pool2d {
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

impl Pool2d {
    fn len(&self, extent: [u32; 2]) -> u32 {
        self.batch * extent[0] * extent[1] * self.channels
    }

    fn params(&self, len: u32, epilogue: &Epilogue) -> Pool2dParams {
        Pool2dParams {
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
