//! Matrix products, which layers consist of. An op's shader describes its operands; how they are
//! cut into tiles depends on the device.

mod conv2d;
mod dense;
mod tile;

pub use conv2d::Padding;
pub(crate) use conv2d::{Conv2d, Window};
pub(crate) use dense::Dense;
use tile::{Loads, MIN_SHARED_BY, Multiply, Tile};

use super::epilogue::{Epilogue, EpilogueParams};
use super::{dispatch, lane_values};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::elementwise::Elementwise;
use crate::shader::files::{self, File};
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::{params, vec2u};
use crate::{Gpu, Result};

/// How products are cut into tiles.
///
/// Tiles that suit a GPU, whose workgroups share fast memory, are slow on a software device, and
/// vice versa.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tiling {
    /// 64 × 64 sums per workgroup, from tiles in workgroup memory: for GPUs.
    Workgroup,
    /// 16 × 16 sums per invocation, in registers: for software devices.
    Registers,
    /// 32 × 8 sums per invocation, where the invocations of a subgroup share what they load: for
    /// software devices with subgroups of 8 or more. Without `SUBGROUP`, or with subgroups of
    /// several sizes, it is [`Registers`](Self::Registers).
    Subgroups,
}

/// How exactly a network's products are computed. Weights, sums and everything else are 32-bit floats either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// Operands are 32-bit floats.
    #[default]
    F32,
    /// Operands are rounded to 16-bit floats, products of them are exact, and sums 32-bit floats: Keras's
    /// `mixed_float16`. On a GPU with cooperative matrices, which
    /// [`GpuOptions::cooperative_matrices`](crate::GpuOptions::cooperative_matrices) asks for, these multiply them.
    ///
    /// A sum of `n` products is off by no more than Σ (|x| ε(w) + |w| ε(x) + ε(x) ε(w)) + n 2⁻²² Σ |x w|, where ε(v), the
    /// error of an operand, is 2⁻¹⁰ |v|, or |v| where that is smaller than 2⁻¹⁴. Operands above 65,504 become infinite.
    F16,
}

/// For SwiftShader's four invocations, sharing costs more than it saves.
const WIDE_SUBGROUP: u32 = 8;

impl Tiling {
    /// The tiling for the kind of device.
    pub fn of(gpu: &Gpu) -> Self {
        if gpu.adapter_info().device_type != wgpu::DeviceType::Cpu {
            Self::Workgroup
        } else if subgroup(gpu).is_some_and(|subgroup| subgroup >= WIDE_SUBGROUP) {
            Self::Subgroups
        } else {
            Self::Registers
        }
    }
}

/// The number of invocations in a subgroup, if the device has subgroups and all are of one size.
pub(super) fn subgroup(gpu: &Gpu) -> Option<u32> {
    let [least, most] = gpu.limits().subgroup;
    let has_subgroups = gpu.link().has(wgpu::Features::SUBGROUP);
    (has_subgroups && least == most).then_some(least)
}

params! {
    pub(super) struct ProductParams {
        rows: u32,
        inner: u32,
        columns: u32,
        /// inner is cut into this many chunks of length `chunk`, a multiple of 8, whose sums
        /// another kernel adds up
        chunks: u32,
        chunk: u32,
        /// where the biases begin in right
        bias: u32,
        /// the line of left that is all ones
        ones: u32,
        /// for a dense layer: inputs
        channels: u32,
        filters: u32,
        gap: u32,
        input: vec2u,
        output: vec2u,
        kernel: vec2u,
        strides: vec2u,
        padding: vec2u,
        epilogue: EpilogueParams,
    }
}

/// Values are loaded eight at a time if the extents are multiples of this.
const RUN: usize = 8;
/// For [`Tile::Workgroup`] they are loaded four at a time.
const FOUR: usize = 4;

/// The name of every product's entry point.
const PRODUCT: &str = "product";

pub(super) static MODULES: &[&Module] = &[&dense::MODULE, &conv2d::MODULE];

/// The module of an op whose operands this `file` describes.
const fn module(name: &'static str, file: &'static File) -> Module {
    Module::new(name, file, ProductParams::LAYOUT)
        .entry_points(&[PRODUCT])
        .forms(forms)
        .step()
}

/// Which of a layer's three products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Forward = 0,
    KernelGradient = 1,
    InputGradient = 2,
}

/// What follows the sums.
#[derive(Clone, Debug)]
pub(crate) enum End<R = Region> {
    Nothing,
    /// The activations y of the sums.
    Forward(Epilogue, R),
    /// The gradient through the epilogue that made the op's input from z.
    Backward(Epilogue, R),
    /// Their activation in place of them, after biases that are in a region of their own.
    Output(Elementwise, Option<R>),
}

impl<R> End<R> {
    fn form(&self) -> Form {
        let (files, form) = match self {
            Self::Nothing => (vec![&files::END_SUMS], Form::default()),
            Self::Forward(epilogue, _) => (vec![&files::END_FORWARD], epilogue.form()),
            Self::Backward(epilogue, _) => (vec![&files::END_BACKWARD], epilogue.form()),
            Self::Output(activation, biases) => {
                let biases = match biases {
                    Some(_) => &files::OWN_BIASES,
                    None => &files::NO_BIASES,
                };
                let form = Form {
                    activation: Some(activation.file),
                    ..Form::default()
                };
                (vec![&files::END_OUTPUT, biases], form)
            }
        };
        Form { files, ..form }
    }
}

/// A product of an op.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    kernel: Kernel,
    layout: Layout,
    precision: Precision,
    /// Its operands' extents, and whatever else the op's shader needs.
    params: ProductParams,
    pub left: Region,
    pub right: Region,
    pub sums: Region,
    pub end: End,
}

/// The properties that a product's kernel is built for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub kind: Kind,
    /// Whether biases are added.
    pub biased: bool,
    /// Whether neighbours along the inner axis are neighbours in memory, left and right.
    pub along_inner: [bool; 2],
    /// Whether left has padding.
    pub padded: bool,
    /// Whether the last line of left is all ones.
    pub ones: bool,
    /// The two extents along which values are neighbours in memory.
    pub extents: [usize; 2],
}

/// All forms that differ by their files, or by the product. What follows the sums is the same text behind
/// each tile: every activation with one of them, and the longest epilogue with the others.
fn forms() -> Vec<Form> {
    let layout = |kind| Layout {
        kind,
        biased: kind == Kind::Forward,
        along_inner: [kind != Kind::KernelGradient, kind == Kind::InputGradient],
        padded: true,
        ones: kind == Kind::KernelGradient,
        extents: [1, 1],
    };
    let with = |tile, epilogue| {
        [
            (Kind::Forward, End::Forward(epilogue, ())),
            (Kind::KernelGradient, End::Nothing),
            (Kind::InputGradient, End::Backward(epilogue, ())),
        ]
        .map(|(kind, end)| layout(kind).form(tile, end.form()))
    };
    let output = |tile, epilogue: Epilogue, biases| {
        let end = End::Output(epilogue.activation, biases);
        let layout = Layout {
            biased: false,
            ..layout(Kind::Forward)
        };
        layout.form(tile, end.form())
    };
    let longest = Tile::all().flat_map(|tile| {
        let epilogue = Epilogue::longest();
        let output = output(tile, epilogue, Some(()));
        with(tile, epilogue).into_iter().chain([output])
    });
    let others = files::ACTIVATIONS
        .iter()
        .filter(|file| ***file != files::ELU);
    let others = others.flat_map(|file| {
        let epilogue = Epilogue::of(file);
        let [forward, _, backward] = with(Tile::Chunks, epilogue);
        [forward, backward, output(Tile::Chunks, epilogue, None)]
    });
    longest.chain(others).collect()
}

impl Layout {
    fn form(&self, tile: Tile, end: Form) -> Form {
        let shape = tile.shape();
        let mut constants = vec![
            ("PRODUCT", self.kind as u32),
            ("PRODUCT_KERNEL_GRADIENT", Kind::KernelGradient as u32),
            ("PRODUCT_INPUT_GRADIENT", Kind::InputGradient as u32),
            ("PRODUCT_WORKGROUP", shape.invocations),
            ("PRODUCT_ROWS", shape.rows),
            ("PRODUCT_COLUMNS", shape.columns),
            ("SHARED_BY", shape.shared_by),
            ("LEFT_ALONG_INNER", self.along_inner[0].into()),
            ("RIGHT_ALONG_INNER", self.along_inner[1].into()),
            ("LEFT_IS_WHOLE", (!self.padded && !self.ones).into()),
            ("IS_UNPADDED", (!self.padded).into()),
            ("BIAS", self.biased.into()),
        ];
        constants.extend(&end.constants);
        let mut files = tile.files();
        files.extend(&end.files);
        Form {
            files,
            constants,
            ..end
        }
    }
}

/// Sums of no more than this many values are not cut into chunks.
const MIN_CHUNK: u64 = 64;
/// On a GPU the kernel that adds up takes as long as a few hundred inners of a tile.
const MIN_CHUNK_IN_WORKGROUP: u64 = 256;
/// Sums of no more than this many are cut only if the device would not be busy otherwise.
const MIN_CACHED: u64 = 512;
/// 1 MiB of a core's level-2 cache.
const CACHED_VALUES: u64 = 1 << 18;
/// 16 MiB.
const MAX_SCRATCH_VALUES: u64 = 1 << 22;

/// The number of chunks for which the operands of one stay in a core's cache from tile to tile, but
/// each long enough to pay for adding them up, with no more sums than scratch memory should hold.
fn cached_chunks(params: &ProductParams) -> u64 {
    let [rows, columns, inner] = [params.rows, params.columns, params.inner].map(u64::from);
    let chunk = (CACHED_VALUES / (rows + columns)).max(MIN_CACHED);
    (inner / chunk).min(MAX_SCRATCH_VALUES / (rows * columns))
}

/// Below so many multiplications, SwiftShader's compiler takes longer for large tiles than they save in a
/// hundred products.
const MANY: u64 = 1 << 25;

impl Product {
    /// The product in another precision than f32.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Only one tiling has 16-bit floats.
    fn tiling(&self, tiling: Tiling) -> Tiling {
        match self.precision {
            Precision::F32 => tiling,
            Precision::F16 => Tiling::Workgroup,
        }
    }

    fn multiplications(&self) -> u64 {
        let params = &self.params;
        [params.rows, params.inner, params.columns]
            .map(u64::from)
            .into_iter()
            .fold(1, u64::saturating_mul)
    }

    /// Whether values that are neighbours in memory can be loaded so many at a time.
    fn comes_in(&self, values: usize) -> bool {
        let bytes = (values * size_of::<f32>()) as u64;
        let mut extents = self.layout.extents.iter();
        // Of a line of ones alone there may be fewer values than that.
        extents.all(|&extent| extent > 0 && extent.is_multiple_of(values))
            && self.left.offset.is_multiple_of(bytes)
            && self.right.offset.is_multiple_of(bytes)
    }

    fn multiply(&self, gpu: &Gpu) -> Multiply {
        match (self.precision, gpu.link().cooperative_matrices()) {
            (Precision::F32, _) => Multiply::F32,
            (Precision::F16, None) => Multiply::F16,
            (Precision::F16, Some(matrices)) => Multiply::Cooperative(matrices),
        }
    }

    fn tile(&self, gpu: &Gpu, tiling: Tiling) -> Tile {
        // A kernel's gradient sums over rows, of which a run must not lack some either.
        let inner_in_runs = self.layout.kind != Kind::KernelGradient || {
            self.params.inner.is_multiple_of(RUN as u32)
        };
        let loads = if !self.comes_in(RUN) || !inner_in_runs {
            Loads::Values
        } else if gpu.link().has(wgpu::Features::SHADER_INT64) {
            Loads::OctetsByTwos
        } else {
            Loads::Octets
        };
        match (self.tiling(tiling), subgroup(gpu)) {
            (Tiling::Workgroup, _) => Tile::Workgroup {
                in_fours: self.comes_in(FOUR),
                multiply: self.multiply(gpu),
            },
            (Tiling::Subgroups, Some(subgroup)) if subgroup >= MIN_SHARED_BY => {
                let wide = self.params.columns.div_ceil(8).next_power_of_two();
                let by = wide.clamp(MIN_SHARED_BY, subgroup);
                Tile::Shared {
                    loads,
                    subgroup,
                    by,
                }
            }
            _ => Tile::Own {
                loads,
                small: gpu.limits().subgroup[1] < WIDE_SUBGROUP && self.multiplications() < MANY,
            },
        }
    }

    /// (the number of chunks that the inner axis is cut into, the length of one)
    fn chunks(&self, tiling: Tiling) -> (u32, u32) {
        // `wanted` tiles keep the device busy. None of this depends on the size of subgroups, so that sums are
        // added in the same order on every device.
        let own = Tile::Own {
            loads: Loads::Values,
            small: false,
        };
        let tiling = self.tiling(tiling);
        let (wanted, least, tile) = match tiling {
            Tiling::Workgroup => (
                512,
                MIN_CHUNK_IN_WORKGROUP,
                Tile::Workgroup {
                    in_fours: false,
                    multiply: Multiply::F32,
                },
            ),
            Tiling::Registers | Tiling::Subgroups => (64, MIN_CHUNK, own),
        };
        let inner = u64::from(self.params.inner);
        let busy = (wanted / tile.tiles(&self.params)).clamp(1, (inner / least).max(1));
        let chunks = match tiling {
            Tiling::Workgroup => busy,
            Tiling::Registers | Tiling::Subgroups => busy.max(cached_chunks(&self.params)),
        };
        let chunk = inner.div_ceil(chunks).next_multiple_of(RUN as u64);
        (inner.div_ceil(chunk) as u32, chunk as u32)
    }

    /// The bytes of scratch memory that it needs.
    pub fn scratch_bytes(&self, tiling: Tiling) -> u64 {
        let (chunks, _) = self.chunks(tiling);
        if chunks == 1 {
            return 0;
        }
        let values = u64::from(self.params.rows) * u64::from(self.params.columns);
        u64::from(chunks) * values * size_of::<f32>() as u64
    }

    /// Its dispatches. Only one product at a time may use `scratch`.
    pub fn prepare(&self, gpu: &Gpu, tiling: Tiling, scratch: &Region) -> Result<Vec<Dispatch>> {
        let tile = self.tile(gpu, tiling);
        let (chunks, chunk) = self.chunks(tiling);
        let mut product = self.clone();
        (product.params.chunks, product.params.chunk) = (chunks, chunk);
        let groups = tile.groups(&self.params, chunks);
        if chunks == 1 {
            return Ok(vec![product.dispatch(gpu, tile, groups)?]);
        }
        let mut partial = product.clone();
        partial.layout.biased = false;
        partial.sums = scratch.clone();
        partial.end = End::Nothing;
        product.left = scratch.clone();
        let values = u64::from(self.params.rows) * u64::from(self.params.columns);
        let lanes = values / self.lane_values();
        let lane_groups = lanes.div_ceil(Tile::Chunks.shape().invocations.into());
        Ok(vec![
            partial.dispatch(gpu, tile, groups)?,
            product.dispatch(gpu, Tile::Chunks, lane_groups)?,
        ])
    }

    fn lane_values(&self) -> u64 {
        lane_values(self.params.columns).into()
    }

    fn dispatch(&self, gpu: &Gpu, tile: Tile, groups: u64) -> Result<Dispatch> {
        let mut regions = vec![&self.left, &self.right, &self.sums];
        let epilogue = match &self.end {
            End::Nothing => Epilogue::default(),
            End::Forward(epilogue, other) | End::Backward(epilogue, other) => {
                regions.push(other);
                *epilogue
            }
            End::Output(activation, biases) => {
                regions.extend(biases);
                Epilogue {
                    activation: *activation,
                    dropout: None,
                }
            }
        };
        let params = ProductParams {
            epilogue: epilogue.params(),
            ..self.params
        };
        let form = self.layout.form(tile, self.end.form());
        let wide_lanes = self.lane_values() == 4;
        dispatch(
            gpu,
            self.kernel,
            form,
            wide_lanes,
            &regions,
            &params,
            groups,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_for_the_cache_take_no_more_than_16_mib_of_scratch_memory() {
        for (rows, inner, columns, expected) in [
            // The tutorial's dense layer: 1 MiB holds 512 times 256 + 256 values.
            (256, 21_632, 256, 42),
            // A convolution's kernel gradient, 1,153 taps of 131,072 positions: 28 would fit.
            (1153, 131_072, 128, 28),
            // The sums of one chunk are 16 MiB.
            (4096, 8192, 1024, 1),
            (4096, 4096, 4096, 0),
            (256, 256, 21_632, 0),
        ] {
            let params = ProductParams {
                rows,
                inner,
                columns,
                ..bytemuck::Zeroable::zeroed()
            };
            assert_eq!(
                cached_chunks(&params),
                expected,
                "{rows} x {inner} x {columns}"
            );
        }
    }
}
