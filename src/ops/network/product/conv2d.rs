//! Two-dimensional convolutions and their gradients, as products of patches that are never stored.

use bytemuck::Zeroable;

use super::{End, Kind, Layout, PRODUCT, Precision, Product, ProductParams, module};
use crate::gpu::region::Region;
use crate::shader::files;
use crate::shader::module::{Kernel, Module};

pub(super) static MODULE: Module = module("conv2d", &files::CONV2D);

const KERNEL: Kernel = MODULE.kernel(PRODUCT);

/// A convolution of `batch` images. x is [batch, input, channels], w [kernel, channels, filters]
/// followed by the biases, y [batch, output, filters].
#[derive(Clone, Copy, Debug, Hash)]
pub(crate) struct Conv2d {
    pub batch: usize,
    pub channels: usize,
    pub filters: usize,
    pub window: Window,
    pub bias: bool,
}

/// How a window slides over an image; each pair is (height, width).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Window {
    pub input: [usize; 2],
    pub output: [usize; 2],
    pub size: [usize; 2],
    pub strides: [usize; 2],
    /// The padding in front.
    pub padding: [usize; 2],
}

/// How a window treats the border of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// The window stays inside: ⌊(n − k) / s⌋ + 1 positions.
    #[default]
    Valid,
    /// ⌈n / s⌉ positions, with as much padding before as after, or one more after.
    Same,
    /// As much as is given, in height and width, which is less than the window: ⌊(before + n + after − k) / s⌋ + 1
    /// positions. PyTorch's `padding=p` is p before and after.
    Explicit {
        /// Above, and to the left.
        before: [usize; 2],
        /// Below, and to the right.
        after: [usize; 2],
    },
}

impl Padding {
    /// The positions of a window along the height, which is axis 0, or the width, and the padding in front.
    pub(crate) fn along(
        self,
        axis: usize,
        extent: usize,
        size: usize,
        stride: usize,
    ) -> Option<(usize, usize)> {
        if size == 0 || stride == 0 || extent == 0 {
            return None;
        }
        match self {
            Self::Valid => Some((extent.checked_sub(size)? / stride + 1, 0)),
            Self::Same => {
                let positions = extent.div_ceil(stride);
                let needed = ((positions - 1) * stride).saturating_add(size);
                Some((positions, needed.saturating_sub(extent) / 2))
            }
            Self::Explicit { before, after } => {
                let padded = extent.checked_add(before[axis].checked_add(after[axis])?)?;
                Some((padded.checked_sub(size)? / stride + 1, before[axis]))
            }
        }
    }

    /// A padding that some window of this size would be all of, and the rule that it breaks.
    pub(crate) fn beyond(self, size: [usize; 2]) -> Option<(usize, &'static str)> {
        let Self::Explicit { before, after } = self else {
            return None;
        };
        let most = [0, 1].map(|d| before[d].max(after[d]));
        let d = (0..2).find(|&d| most[d] > 0 && most[d] >= size[d])?;
        Some((most[d], "less than the window"))
    }
}

impl Conv2d {
    fn taps(&self) -> usize {
        self.window.size.iter().product::<usize>() * self.channels
    }

    fn positions(&self) -> usize {
        self.batch * self.window.output.iter().product::<usize>()
    }

    fn params(&self) -> ProductParams {
        let pair = |pair: [usize; 2]| pair.map(|extent| extent as u32);
        ProductParams {
            bias: (self.taps() * self.filters) as u32,
            ones: self.taps() as u32,
            channels: self.channels as u32,
            filters: self.filters as u32,
            input: pair(self.window.input),
            output: pair(self.window.output),
            kernel: pair(self.window.size),
            strides: pair(self.window.strides),
            padding: pair(self.window.padding),
            ..ProductParams::zeroed()
        }
    }

    fn padded(&self) -> bool {
        let Window {
            input,
            output,
            size,
            strides,
            padding,
        } = self.window;
        let beyond = |d: usize| (output[d] - 1) * strides[d] + size[d] > input[d];
        padding != [0, 0] || beyond(0) || beyond(1)
    }

    /// sums = x ∗ w + b
    pub fn forward(&self, x: &Region, w: &Region, sums: &Region, end: End) -> Product {
        Product {
            kernel: KERNEL,
            precision: Precision::F32,
            layout: Layout {
                kind: Kind::Forward,
                biased: self.bias,
                along_inner: [true, false],
                padded: self.padded(),
                ones: false,
                extents: [self.channels, self.filters],
            },
            params: ProductParams {
                rows: self.positions() as u32,
                inner: self.taps() as u32,
                columns: self.filters as u32,
                ..self.params()
            },
            left: x.clone(),
            right: w.clone(),
            sums: sums.clone(),
            end,
        }
    }

    /// dw, followed by the biases' gradient.
    pub fn kernel_gradient(&self, x: &Region, dz: &Region, dw: &Region) -> Product {
        Product {
            kernel: KERNEL,
            precision: Precision::F32,
            layout: Layout {
                kind: Kind::KernelGradient,
                biased: false,
                along_inner: [false, false],
                padded: self.padded(),
                ones: self.bias,
                extents: [self.channels, self.filters],
            },
            params: ProductParams {
                rows: (self.taps() + usize::from(self.bias)) as u32,
                inner: self.positions() as u32,
                columns: self.filters as u32,
                ..self.params()
            },
            left: x.clone(),
            right: dz.clone(),
            sums: dw.clone(),
            end: End::Nothing,
        }
    }

    /// dx, with `end` applied to it.
    pub fn input_gradient(&self, dz: &Region, w: &Region, dx: &Region, end: End) -> Product {
        let [height, width] = self.window.input;
        let [kernel_height, kernel_width] = self.window.size;
        Product {
            kernel: KERNEL,
            precision: Precision::F32,
            layout: Layout {
                kind: Kind::InputGradient,
                biased: false,
                along_inner: [true, true],
                padded: true,
                ones: false,
                extents: [self.channels, self.filters],
            },
            params: ProductParams {
                rows: (self.batch * height * width) as u32,
                inner: (kernel_height * kernel_width * self.filters) as u32,
                columns: self.channels as u32,
                ..self.params()
            },
            left: dz.clone(),
            right: w.clone(),
            sums: dx.clone(),
            end,
        }
    }
}
