//! Products of matrices, which layers are made of: what an op's shader says of its operands, cut into
//! tiles as suits the device.

use bytemuck::{Pod, Zeroable};

use super::epilogue::{self, EPILOGUE, Epilogue, EpilogueParams};
use super::lane_values;
use super::step::STEP;
use crate::memory::Region;
use crate::pass::Dispatch;
use crate::pipelines::{Form, Kernel, Module, Struct};
use crate::tensor::ElementType;
use crate::{Gpu, Result};

/// How products are cut into tiles.
///
/// What suits a GPU, whose workgroups share fast memory, is slow on a software device, and the other
/// way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tiling {
    /// 64 × 64 sums a workgroup, or 128 × 128 where there are as many rows and columns, from tiles in
    /// workgroup memory: for GPUs.
    Workgroup,
    /// 16 × 16 sums an invocation, in registers: for software devices.
    Registers,
    /// 32 × 8 sums an invocation, where those of a subgroup take from each other what they load: for
    /// software devices with subgroups of 8 or more. Without `SUBGROUP`, or with subgroups of several sizes, it is
    /// [`Registers`](Self::Registers).
    Subgroups,
}

/// SwiftShader's four invocations pay more for taking than they save.
const WIDE_SUBGROUP: u32 = 8;

impl Tiling {
    /// The one for the kind of the device.
    pub fn of(gpu: &Gpu) -> Self {
        let limits = gpu.limits();
        if !limits.software {
            Self::Workgroup
        } else if limits
            .subgroup
            .is_some_and(|subgroup| subgroup >= WIDE_SUBGROUP)
        {
            Self::Subgroups
        } else {
            Self::Registers
        }
    }
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(crate) struct ProductParams {
    pub rows: u32,
    pub inner: u32,
    pub columns: u32,
    pub chunks: u32,
    pub chunk: u32,
    pub bias: u32,
    pub ones: u32,
    pub channels: u32,
    pub filters: u32,
    pub gap: u32,
    pub input: [u32; 2],
    pub output: [u32; 2],
    pub kernel: [u32; 2],
    pub strides: [u32; 2],
    pub padding: [u32; 2],
    pub epilogue: EpilogueParams,
}

const PARAMS: Struct = Struct {
    name: "ProductParams",
    fields: &[
        ("rows", std::mem::offset_of!(ProductParams, rows)),
        ("inner", std::mem::offset_of!(ProductParams, inner)),
        ("columns", std::mem::offset_of!(ProductParams, columns)),
        ("chunks", std::mem::offset_of!(ProductParams, chunks)),
        ("chunk", std::mem::offset_of!(ProductParams, chunk)),
        ("bias", std::mem::offset_of!(ProductParams, bias)),
        ("ones", std::mem::offset_of!(ProductParams, ones)),
        ("channels", std::mem::offset_of!(ProductParams, channels)),
        ("filters", std::mem::offset_of!(ProductParams, filters)),
        ("input", std::mem::offset_of!(ProductParams, input)),
        ("output", std::mem::offset_of!(ProductParams, output)),
        ("kernel", std::mem::offset_of!(ProductParams, kernel)),
        ("strides", std::mem::offset_of!(ProductParams, strides)),
        ("padding", std::mem::offset_of!(ProductParams, padding)),
        ("epilogue", std::mem::offset_of!(ProductParams, epilogue)),
    ],
    size: size_of::<ProductParams>(),
};

macro_rules! shared {
    ($file:literal) => {
        include_str!(concat!("../../shaders/shared/", $file))
    };
}

const OCTETS: usize = 0;
const OCTETS_BY_TWOS: usize = 1;
const VALUES: usize = 2;
const TILED: usize = 3;
const CHUNKS: usize = 4;
const COMMON: usize = 5;
const SUMS: usize = 6;
const FORWARD: usize = 7;
const BACKWARD: usize = 8;
const OWN: usize = 9;
const SHARED_OCTETS: usize = 10;
const SHARED_VALUES: usize = 11;

const ALTERNATIVES: &[(&str, &[&str])] = &[
    (
        "octets",
        &[
            shared!("product_registers.wgsl"),
            shared!("slices_octets.wgsl"),
            shared!("run_f32.wgsl"),
        ],
    ),
    (
        "octets u64",
        &[
            shared!("product_registers.wgsl"),
            shared!("slices_octets.wgsl"),
            shared!("run_u64.wgsl"),
        ],
    ),
    (
        "values",
        &[
            shared!("product_registers.wgsl"),
            shared!("slices_values.wgsl"),
        ],
    ),
    (
        "tiled",
        &[
            shared!("product_tiled.wgsl"),
            shared!("finish_tile.wgsl"),
            shared!("operands_f32.wgsl"),
            shared!("right_f32.wgsl"),
        ],
    ),
    (
        "chunks",
        &[shared!("product_chunks.wgsl"), shared!("right_f32.wgsl")],
    ),
    (
        "",
        &[
            shared!("product.wgsl"),
            epilogue::SOURCES[0],
            epilogue::SOURCES[1],
            epilogue::SOURCES[2],
            epilogue::SOURCES[3],
            epilogue::SOURCES[4],
        ],
    ),
    ("sums", &[shared!("finish_sums.wgsl")]),
    ("forward", &[shared!("finish_forward.wgsl")]),
    ("backward", &[shared!("finish_backward.wgsl")]),
    ("", &[shared!("left_own.wgsl")]),
    (
        "subgroups",
        &[shared!("left_shared.wgsl"), shared!("shared_octets.wgsl")],
    ),
    (
        "subgroups",
        &[shared!("left_shared.wgsl"), shared!("shared_values.wgsl")],
    ),
];

/// How a product is cut into tiles.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// Of [`ALTERNATIVES`], the kernel, and how left is loaded where that is an own question.
    kernel: usize,
    left: Option<usize>,
    /// The invocations of a workgroup, and how many of them make a tile.
    invocations: u32,
    shared_by: u32,
    /// The rows and columns of a tile.
    tile: [u32; 2],
}

impl Cut {
    const TILED: Self = Self {
        kernel: TILED,
        left: None,
        invocations: 256,
        shared_by: 256,
        tile: [64, 64],
    };
    /// With half as many loads for a sum.
    const LARGE_TILED: Self = Self {
        tile: [128, 128],
        ..Self::TILED
    };
    /// A lane an invocation.
    const CHUNKS: Self = Self {
        kernel: CHUNKS,
        left: None,
        invocations: 64,
        shared_by: 1,
        tile: [1, 4],
    };

    /// Of [`Tiling::Workgroup`]. Sides of less than a large tile would leave some of the sums of each of its
    /// invocations empty.
    fn tiled(params: &ProductParams) -> Self {
        let [rows, columns] = Self::LARGE_TILED.tile;
        if params.rows >= rows && params.columns >= columns {
            Self::LARGE_TILED
        } else {
            Self::TILED
        }
    }

    /// Each invocation with a tile of its own.
    fn own(kernel: usize) -> Self {
        Self {
            kernel,
            left: Some(OWN),
            invocations: 8,
            shared_by: 1,
            tile: [16, 16],
        }
    }

    /// Workgroups of a subgroup each, of which `shared_by` make a tile.
    fn shared(kernel: usize, subgroup: u32, shared_by: u32) -> Self {
        let left = if kernel == VALUES {
            SHARED_VALUES
        } else {
            SHARED_OCTETS
        };
        Self {
            kernel,
            left: Some(left),
            invocations: subgroup,
            shared_by,
            tile: [32, 8 * shared_by],
        }
    }

    /// Of a tile.
    fn sums(self) -> u64 {
        self.tile.map(u64::from).iter().product()
    }

    fn tiles(self, params: &ProductParams) -> u64 {
        let [rows, columns] = self.tile;
        u64::from(params.rows.div_ceil(rows)) * u64::from(params.columns.div_ceil(columns))
    }

    /// The workgroups of a product in so many chunks.
    fn groups(self, params: &ProductParams, chunks: u32) -> u64 {
        let tiles = self.invocations / self.shared_by;
        self.tiles(params).div_ceil(tiles.into()) * u64::from(chunks)
    }
}

/// A subgroup has at least so many invocations that share: each loads two of eight pieces.
const MIN_SHARED_BY: u32 = 4;

/// Extents must be multiples of it for values to be loaded eight at a time.
pub(crate) const RUN: usize = 8;

static STRUCTS: &[&Struct] = &[&EPILOGUE, &STEP];

/// The module of an op whose operands these `sources` describe.
pub(crate) const fn module(name: &'static str, sources: &'static [&'static str]) -> Module {
    Module {
        name,
        sources,
        constants: &[],
        entry_points: &["product"],
        params: PARAMS,
        elements: &[ElementType::F32],
        alternatives: ALTERNATIVES,
        forms,
        step: true,
        structs: STRUCTS,
    }
}

/// Which of a layer's three products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Forward = 0,
    KernelGradient = 1,
    InputGradient = 2,
}

/// What follows the sums.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Nothing,
    /// The activations y of the sums.
    Forward(Epilogue, Region),
    /// The gradient through the epilogue that made the op's input from z.
    Backward(Epilogue, Region),
}

/// A product of the op `module`.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    pub module: &'static Module,
    pub layout: Layout,
    /// Its operands' extents, and what else the op's shader goes by.
    pub params: ProductParams,
    pub left: Region,
    pub right: Region,
    pub sums: Region,
    pub end: End,
}

/// What a product's kernel is built for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub kind: Kind,
    /// Whether biases are added.
    pub biased: bool,
    /// Whether neighbours along the inner axis are neighbours in memory, left and right.
    pub along_inner: [bool; 2],
    /// Whether left has padding.
    pub padded: bool,
    /// Whether its last line is of ones.
    pub ones: bool,
    /// Whether neighbours in memory come in runs of eight.
    pub in_runs: bool,
}

/// All forms that differ by their files, or by the product.
fn forms() -> Vec<Form> {
    let layout = |kind| Layout {
        kind,
        biased: kind == Kind::Forward,
        along_inner: [kind != Kind::KernelGradient, kind == Kind::InputGradient],
        padded: true,
        ones: kind == Kind::KernelGradient,
        in_runs: false,
    };
    let epilogue = [("ACTIVATION", 1), ("DROPOUT", 1)];
    let registers = [OCTETS, OCTETS_BY_TWOS, VALUES];
    let shared = |kernel| Cut::shared(kernel, 2 * MIN_SHARED_BY, MIN_SHARED_BY);
    let by_more = Cut::shared(OCTETS, 2 * MIN_SHARED_BY, 2 * MIN_SHARED_BY);
    registers
        .map(Cut::own)
        .into_iter()
        .chain(registers.map(shared))
        .chain([by_more, Cut::TILED, Cut::LARGE_TILED, Cut::CHUNKS])
        .flat_map(|cut| {
            [
                (Kind::Forward, FORWARD),
                (Kind::KernelGradient, SUMS),
                (Kind::InputGradient, BACKWARD),
            ]
            .map(|(kind, end)| layout(kind).form(cut, end, epilogue))
        })
        .collect()
}

impl Layout {
    fn form(&self, cut: Cut, end: usize, epilogue: [(&'static str, u32); 2]) -> Form {
        let mut constants = vec![
            ("PRODUCT", self.kind as u32),
            ("PRODUCT_KERNEL_GRADIENT", Kind::KernelGradient as u32),
            ("PRODUCT_INPUT_GRADIENT", Kind::InputGradient as u32),
            ("PRODUCT_WORKGROUP", cut.invocations),
            ("PRODUCT_ROWS", cut.tile[0]),
            ("PRODUCT_COLUMNS", cut.tile[1]),
            ("SHARED_BY", cut.shared_by),
            ("LEFT_ALONG_INNER", self.along_inner[0].into()),
            ("RIGHT_ALONG_INNER", self.along_inner[1].into()),
            ("LEFT_IS_WHOLE", (!self.padded && !self.ones).into()),
            ("IS_UNPADDED", (!self.padded).into()),
            ("BIAS", self.biased.into()),
        ];
        constants.extend(epilogue);
        let alternatives = [cut.kernel].into_iter().chain(cut.left);
        Form {
            alternatives: alternatives.chain([COMMON, end]).collect(),
            constants,
        }
    }
}

/// Sums of no more than this many values are not cut into chunks.
const MIN_CHUNK: u64 = 64;
/// And so many only if the device is not busy otherwise.
const MIN_CACHED: u64 = 512;
/// 1 MiB, of a level-2 cache of a core.
const CACHED_VALUES: u64 = 1 << 18;
/// 16 MiB.
const MAX_SCRATCH_VALUES: u64 = 1 << 22;

/// So many that the operands of one stay in a core's cache, from tile to tile; but as long as pays for
/// adding them up, and with no more sums than scratch memory should have.
fn cached_chunks(params: &ProductParams) -> u64 {
    let [rows, columns, inner] = [params.rows, params.columns, params.inner].map(u64::from);
    let chunk = (CACHED_VALUES / (rows + columns)).max(MIN_CACHED);
    (inner / chunk).min(MAX_SCRATCH_VALUES / (rows * columns))
}

impl Product {
    fn cut(&self, gpu: &Gpu, tiling: Tiling) -> Cut {
        let kernel = if !self.layout.in_runs {
            VALUES
        } else if gpu.supports_int64() {
            OCTETS_BY_TWOS
        } else {
            OCTETS
        };
        match (tiling, gpu.limits().subgroup) {
            (Tiling::Workgroup, _) => Cut::tiled(&self.params),
            (Tiling::Subgroups, Some(subgroup)) if subgroup >= MIN_SHARED_BY => {
                let wide = self.params.columns.div_ceil(8).next_power_of_two();
                Cut::shared(kernel, subgroup, wide.clamp(MIN_SHARED_BY, subgroup))
            }
            _ => Cut::own(kernel),
        }
    }

    /// (the number of chunks that the inner axis is cut into, the length of one)
    fn chunks(&self, tiling: Tiling) -> (u32, u32) {
        // So many tiles keep the device busy; a large one counts as four. They don't depend on the subgroups'
        // size, so that sums are added in the same order on every device.
        let (wanted, cut) = match tiling {
            Tiling::Workgroup => {
                let cut = Cut::tiled(&self.params);
                (512 * Cut::TILED.sums() / cut.sums(), cut)
            }
            Tiling::Registers | Tiling::Subgroups => (64, Cut::own(VALUES)),
        };
        let inner = u64::from(self.params.inner);
        let busy = (wanted / cut.tiles(&self.params)).clamp(1, (inner / MIN_CHUNK).max(1));
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

    /// Its dispatches, with `scratch` to be used by one product at a time.
    pub fn prepare(&self, gpu: &Gpu, tiling: Tiling, scratch: &Region) -> Result<Vec<Dispatch>> {
        let cut = self.cut(gpu, tiling);
        let (chunks, chunk) = self.chunks(tiling);
        let mut product = self.clone();
        (product.params.chunks, product.params.chunk) = (chunks, chunk);
        let groups = cut.groups(&self.params, chunks);
        if chunks == 1 {
            return Ok(vec![product.dispatch(gpu, cut, groups)?]);
        }
        let mut partial = product.clone();
        partial.layout.biased = false;
        partial.sums = scratch.clone();
        partial.end = End::Nothing;
        product.left = scratch.clone();
        let values = u64::from(self.params.rows) * u64::from(self.params.columns);
        let lanes = values / self.lane_values();
        let lane_groups = lanes.div_ceil(Cut::CHUNKS.invocations.into());
        Ok(vec![
            partial.dispatch(gpu, cut, groups)?,
            product.dispatch(gpu, Cut::CHUNKS, lane_groups)?,
        ])
    }

    fn lane_values(&self) -> u64 {
        lane_values(self.params.columns).into()
    }

    fn dispatch(&self, gpu: &Gpu, cut: Cut, groups: u64) -> Result<Dispatch> {
        let mut buffers = vec![
            self.left.binding(),
            self.right.binding(),
            self.sums.binding(),
        ];
        let (end, epilogue) = match &self.end {
            End::Nothing => (SUMS, Epilogue::default()),
            End::Forward(epilogue, y) => {
                buffers.push(y.binding());
                (FORWARD, *epilogue)
            }
            End::Backward(epilogue, z) => {
                buffers.push(z.binding());
                (BACKWARD, *epilogue)
            }
        };
        let params = ProductParams {
            epilogue: epilogue.params(),
            ..self.params
        };
        let form = self.layout.form(cut, end, epilogue.constants());
        let kernel = Kernel {
            module: self.module,
            entry_point: 0,
        };
        let wide_lanes = self.lane_values() == 4;
        let variant = gpu
            .pipelines()
            .variant(self.module, ElementType::F32, wide_lanes, form);
        Dispatch::new(gpu, kernel, variant, &buffers, &params, groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_for_the_cache_take_no_more_than_16_mib_of_scratch_memory() {
        for (rows, inner, columns, expected) in [
            // The tutorial's dense layer: 1 MiB are 512 of 256 + 256 values.
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
                ..Zeroable::zeroed()
            };
            assert_eq!(
                cached_chunks(&params),
                expected,
                "{rows} x {inner} x {columns}"
            );
        }
    }
}
