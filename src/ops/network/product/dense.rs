//! Dense layers: y = x w + b on the last axis, and the gradients.

use bytemuck::Zeroable;

use super::{End, Kind, Layout, PRODUCT, Precision, Product, ProductParams, module};
use crate::gpu::region::Region;
use crate::shader::files;
use crate::shader::module::{Kernel, Module};

pub(super) static MODULE: Module = module("dense", &files::DENSE);

const KERNEL: Kernel = MODULE.kernel(PRODUCT);

/// A dense layer of `rows` vectors. w is [inputs, outputs], followed by the biases.
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Dense {
    pub rows: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub bias: bool,
}

impl Dense {
    /// sums = x w + b
    pub fn forward(&self, x: &Region, w: &Region, sums: &Region, end: End) -> Product {
        let params = ProductParams {
            rows: self.rows as u32,
            inner: self.inputs as u32,
            columns: self.outputs as u32,
            bias: (self.inputs * self.outputs) as u32,
            ..ProductParams::zeroed()
        };
        Product {
            kernel: KERNEL,
            precision: Precision::F32,
            layout: Layout {
                kind: Kind::Forward,
                biased: self.bias,
                along_inner: [true, false],
                padded: false,
                ones: false,
                extents: [self.inputs, self.outputs],
            },
            params,
            left: x.clone(),
            right: w.clone(),
            sums: sums.clone(),
            end,
        }
    }

    /// dw = xᵀ dz, followed by the biases' gradient.
    pub fn kernel_gradient(&self, x: &Region, dz: &Region, dw: &Region) -> Product {
        let params = ProductParams {
            rows: (self.inputs + usize::from(self.bias)) as u32,
            inner: self.rows as u32,
            columns: self.outputs as u32,
            ones: self.inputs as u32,
            ..ProductParams::zeroed()
        };
        Product {
            kernel: KERNEL,
            precision: Precision::F32,
            layout: Layout {
                kind: Kind::KernelGradient,
                biased: false,
                along_inner: [false, false],
                padded: false,
                ones: self.bias,
                extents: [self.inputs, self.outputs],
            },
            params,
            left: x.clone(),
            right: dz.clone(),
            sums: dw.clone(),
            end: End::Nothing,
        }
    }

    /// dx = dz wᵀ, with `end` applied to it.
    pub fn input_gradient(&self, dz: &Region, w: &Region, dx: &Region, end: End) -> Product {
        let params = ProductParams {
            rows: self.rows as u32,
            inner: self.outputs as u32,
            columns: self.inputs as u32,
            ..ProductParams::zeroed()
        };
        Product {
            kernel: KERNEL,
            precision: Precision::F32,
            layout: Layout {
                kind: Kind::InputGradient,
                biased: false,
                along_inner: [true, true],
                padded: false,
                ones: false,
                extents: [self.inputs, self.outputs],
            },
            params,
            left: dz.clone(),
            right: w.clone(),
            sums: dx.clone(),
            end,
        }
    }
}
