//! The kernels that compute a product's sums: the tiles and the files of each.

use super::ProductParams;
use crate::gpu::cooperative::CooperativeMatrices;
use crate::shader::files::{self, File};

/// The kernel that computes a product's sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tile {
    /// 64 x 64 sums per workgroup, from tiles in workgroup memory; values are loaded one at a time or in
    /// fours.
    Workgroup { in_fours: bool, multiply: Multiply },
    /// 16 x 16 sums per invocation, in registers; or 8 x 8, which compile several times as fast.
    Own { loads: Loads, small: bool },
    /// 32 x 8 sums per invocation; `by` invocations in a row share what they load of left. A
    /// workgroup is a subgroup.
    Shared {
        loads: Loads,
        subgroup: u32,
        by: u32,
    },
    /// Adds up the sums of another kernel's chunks, one lane per invocation.
    Chunks,
}

/// What multiplies the operands in workgroup memory, and as what they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Multiply {
    F32,
    /// As 16-bit floats, whose products are f32s.
    F16,
    /// As 16-bit floats, by cooperative matrices.
    Cooperative(CooperativeMatrices),
}

/// How values that are neighbours in memory are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loads {
    /// One at a time.
    Values,
    /// Eight at a time.
    Octets,
    /// Eight at a time, as four 64-bit integers.
    OctetsByTwos,
}

/// A tile's extents, the invocations of a workgroup, and how many of them compute a tile.
pub(super) struct Shape {
    pub rows: u32,
    pub columns: u32,
    pub invocations: u32,
    pub shared_by: u32,
}

impl Loads {
    const ALL: [Self; 3] = [Self::Values, Self::Octets, Self::OctetsByTwos];

    fn files(self) -> Vec<&'static File> {
        match self {
            Self::Values => vec![&files::VALUES],
            Self::Octets => vec![&files::OCTETS, &files::RUN_F32],
            Self::OctetsByTwos => vec![&files::OCTETS, &files::RUN_U64],
        }
    }

    /// How a subgroup shares what it loads.
    fn shared(self) -> &'static File {
        match self {
            Self::Values => &files::SHARED_VALUES,
            Self::Octets | Self::OctetsByTwos => &files::SHARED_OCTETS,
        }
    }
}

/// The subgroups of a workgroup that multiplies by cooperative matrices, and the matrices in a row of its tile.
const SUBGROUPS: u32 = 4;
const MATRICES: u32 = 4;

impl Multiply {
    const ALL: [Self; 4] = [
        Self::F32,
        Self::F16,
        Self::Cooperative(CooperativeMatrices {
            side: 8,
            subgroup: 8,
        }),
        Self::Cooperative(CooperativeMatrices {
            side: 16,
            subgroup: 32,
        }),
    ];

    fn files(self) -> Vec<&'static File> {
        match self {
            Self::F32 => vec![&files::PART_F32, &files::SUMS_OWN],
            Self::F16 => vec![&files::PART_F16, &files::SUMS_OWN],
            Self::Cooperative(matrices) => vec![
                match matrices.side {
                    8 => &files::MATRIX_8,
                    _ => &files::MATRIX_16,
                },
                &files::PART_F16,
                &files::SUMS_COOPERATIVE,
            ],
        }
    }
}

impl Tile {
    pub fn shape(self) -> Shape {
        let [rows, columns, invocations, shared_by] = match self {
            Self::Workgroup {
                multiply: Multiply::Cooperative(CooperativeMatrices { side, subgroup }),
                ..
            } => {
                let [side, invocations] = [MATRICES * side, SUBGROUPS * subgroup];
                [side, side, invocations, invocations]
            }
            Self::Workgroup { .. } => [64, 64, 128, 128],
            Self::Own { small: false, .. } => [16, 16, 8, 1],
            Self::Own { small: true, .. } => [8, 8, 8, 1],
            Self::Shared { subgroup, by, .. } => [32, 8 * by, subgroup, by],
            Self::Chunks => [1, 4, 64, 1],
        };
        Shape {
            rows,
            columns,
            invocations,
            shared_by,
        }
    }

    pub fn files(self) -> Vec<&'static File> {
        match self {
            Self::Workgroup { in_fours, multiply } => {
                let block = match in_fours {
                    false => &files::BLOCK_VALUES,
                    true => &files::BLOCK_FOURS,
                };
                let mut workgroup = vec![block, &files::WORKGROUP];
                workgroup.extend(multiply.files());
                workgroup
            }
            Self::Own { loads, .. } => {
                let mut own = loads.files();
                own.extend([&files::REGISTERS, &files::LEFT_OWN]);
                own
            }
            Self::Shared { loads, .. } => {
                let mut shared = loads.files();
                shared.extend([&files::REGISTERS, &files::LEFT_SHARED, loads.shared()]);
                shared
            }
            Self::Chunks => vec![&files::CHUNKS],
        }
    }

    /// Every tile whose WGSL differs from the others'.
    pub fn all() -> impl Iterator<Item = Self> {
        let by = |by| {
            move |loads| Self::Shared {
                loads,
                subgroup: 2 * MIN_SHARED_BY,
                by,
            }
        };
        let own = |small| Loads::ALL.map(|loads| Self::Own { loads, small });
        let workgroup =
            |in_fours| Multiply::ALL.map(|multiply| Self::Workgroup { in_fours, multiply });
        workgroup(false)
            .into_iter()
            .chain(workgroup(true))
            .chain(own(false))
            .chain(own(true))
            .chain(Loads::ALL.map(by(MIN_SHARED_BY)))
            .chain(Loads::ALL.map(by(2 * MIN_SHARED_BY)))
            .chain([Self::Chunks])
    }

    pub fn tiles(self, params: &ProductParams) -> u64 {
        let Shape { rows, columns, .. } = self.shape();
        u64::from(params.rows.div_ceil(rows)) * u64::from(params.columns.div_ceil(columns))
    }

    /// The number of workgroups of a product in `chunks` chunks.
    pub fn groups(self, params: &ProductParams, chunks: u32) -> u64 {
        let shape = self.shape();
        let tiles = shape.invocations / shape.shared_by;
        self.tiles(params).div_ceil(tiles.into()) * u64::from(chunks)
    }
}

/// The fewest invocations of a subgroup that share: each loads two of eight pieces.
pub(super) const MIN_SHARED_BY: u32 = 4;
