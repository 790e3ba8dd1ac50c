//! Normalizations by column and by row: their moments, their outputs, and their gradients.

use super::per_item;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

/// The rows of a column that an invocation takes.
const CHUNK_ROWS: u32 = 128;

pub(super) static MODULE: Module = Module::new(
    "normalization",
    &files::NORMALIZATION,
    NormalizationParams::LAYOUT,
)
.entry_points(&[
    "measure_columns",
    "merge_columns",
    "fix_columns",
    "normalize_columns",
    "standardize_columns",
    "normalize_rows",
    "sum_gradients",
    "merge_gradients",
    "factor_columns",
    "factor_standardized",
    "differentiate_columns",
    "differentiate_rows",
])
.constants(&[("CHUNK_ROWS", CHUNK_ROWS)])
.step();

const MEASURE_COLUMNS: Kernel = MODULE.kernel("measure_columns");
const MERGE_COLUMNS: Kernel = MODULE.kernel("merge_columns");
const FIX_COLUMNS: Kernel = MODULE.kernel("fix_columns");
const NORMALIZE_COLUMNS: Kernel = MODULE.kernel("normalize_columns");
const STANDARDIZE_COLUMNS: Kernel = MODULE.kernel("standardize_columns");
const NORMALIZE_ROWS: Kernel = MODULE.kernel("normalize_rows");
const SUM_GRADIENTS: Kernel = MODULE.kernel("sum_gradients");
const MERGE_GRADIENTS: Kernel = MODULE.kernel("merge_gradients");
const FACTOR_COLUMNS: Kernel = MODULE.kernel("factor_columns");
const FACTOR_STANDARDIZED: Kernel = MODULE.kernel("factor_standardized");
const DIFFERENTIATE_COLUMNS: Kernel = MODULE.kernel("differentiate_columns");
const DIFFERENTIATE_ROWS: Kernel = MODULE.kernel("differentiate_rows");

params! {
    struct NormalizationParams {
        /// of a whole batch, and of a sample
        rows: u32,
        positions: u32,
        columns: u32,
        /// pieces of CHUNK_ROWS rows
        chunks: u32,
        epsilon: f32,
        /// whether epsilon is the least deviation, and not added to the variance
        floors: u32,
        /// whether statistics are those of rows
        by_row: u32,
        /// whether the batch's moments never count
        frozen: u32,
    }
}

/// What is normalized, and by what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Columns, by stored moments, without weights.
    Given,
    /// Columns: in training by the batch's moments, unless it is frozen, and else by stored ones.
    Batch { frozen: bool },
    /// Rows, by their own moments.
    Layer,
}

/// A normalization of x [samples, positions, columns].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Normalization {
    pub kind: Kind,
    pub samples: usize,
    pub positions: usize,
    pub columns: usize,
    pub epsilon: f32,
}

/// What is kept from the forward pass, in one region.
struct Places {
    /// Of each column or row.
    statistics: Region,
    /// Of a batch: its moments, and those or sums of pieces of columns.
    batch: Region,
    pieces: Region,
    /// Of each column, for the gradient.
    factors: Region,
}

impl Normalization {
    fn rows(&self) -> usize {
        self.samples * self.positions
    }

    fn chunks(&self) -> usize {
        self.rows().div_ceil(CHUNK_ROWS as usize)
    }

    fn params(&self) -> NormalizationParams {
        NormalizationParams {
            rows: self.rows() as u32,
            positions: self.positions as u32,
            columns: self.columns as u32,
            chunks: self.chunks() as u32,
            epsilon: self.epsilon,
            floors: (self.kind == Kind::Given).into(),
            by_row: (self.kind == Kind::Layer).into(),
            frozen: (self.kind != Kind::Batch { frozen: false }).into(),
        }
    }

    /// The bytes of each of the [`Places`]; an inference needs the first only.
    fn bytes(&self) -> [u64; 4] {
        let columns = self.columns as u64;
        let statistics = match self.kind {
            Kind::Layer => self.rows() as u64,
            Kind::Given | Kind::Batch { .. } => columns,
        };
        [
            statistics * 8,
            columns * 8,
            self.chunks() as u64 * columns * 16,
            columns * 16,
        ]
    }

    /// The f32s of the region that [`forward`](Self::forward) and [`backward`](Self::backward) need, or that
    /// [`infer`](Self::infer) does.
    pub fn kept(&self, gpu: &Gpu, infers: bool) -> usize {
        let alignment = gpu.limits().offset_alignment;
        let parts = if infers { 1 } else { 4 };
        let bytes: u64 = self.bytes()[..parts]
            .iter()
            .map(|bytes| bytes.next_multiple_of(alignment))
            .sum();
        bytes as usize / size_of::<f32>()
    }

    fn places(&self, gpu: &Gpu, kept: &Region) -> Places {
        let alignment = gpu.limits().offset_alignment;
        let mut end = 0;
        let [statistics, batch, pieces, factors] = self.bytes().map(|bytes| {
            let part = kept.part(end, bytes);
            end += bytes.next_multiple_of(alignment);
            part
        });
        Places {
            statistics,
            batch,
            pieces,
            factors,
        }
    }

    fn dispatch(
        &self,
        gpu: &Gpu,
        kernel: Kernel,
        regions: &[&Region],
        items: usize,
    ) -> Result<Dispatch> {
        let form = Form::default();
        per_item(gpu, kernel, form, 1, regions, &self.params(), items as u32)
    }

    /// y = the normalized x, outside of training. `weights` are gamma and beta, `stored` the moments.
    pub fn infer(
        &self,
        gpu: &Gpu,
        x: &Region,
        [weights, stored]: [&Region; 2],
        y: &Region,
        kept: &Region,
    ) -> Result<Vec<Dispatch>> {
        let [statistics, ..] = self.bytes();
        let statistics = kept.part(0, statistics);
        if self.kind == Kind::Layer {
            let regions = [x, weights, y, &statistics];
            return Ok(vec![self.dispatch(
                gpu,
                NORMALIZE_ROWS,
                &regions,
                self.rows(),
            )?]);
        }
        let fixed = self.dispatch(gpu, FIX_COLUMNS, &[stored, &statistics], self.columns)?;
        Ok(vec![
            fixed,
            self.normalize(gpu, x, &statistics, weights, y)?,
        ])
    }

    fn normalize(
        &self,
        gpu: &Gpu,
        x: &Region,
        statistics: &Region,
        weights: &Region,
        y: &Region,
    ) -> Result<Dispatch> {
        let len = self.rows() * self.columns;
        match self.kind {
            Kind::Given => self.dispatch(gpu, STANDARDIZE_COLUMNS, &[x, statistics, y], len),
            _ => self.dispatch(gpu, NORMALIZE_COLUMNS, &[x, statistics, weights, y], len),
        }
    }

    /// y = the normalized x, in training or not.
    pub fn forward(
        &self,
        gpu: &Gpu,
        x: &Region,
        [weights, stored]: [&Region; 2],
        y: &Region,
        kept: &Region,
    ) -> Result<Vec<Dispatch>> {
        if self.kind != (Kind::Batch { frozen: false }) {
            return self.infer(gpu, x, [weights, stored], y, kept);
        }
        let places = self.places(gpu, kept);
        let pieces = &places.pieces;
        let merged = [pieces, stored, &places.statistics, &places.batch];
        Ok(vec![
            self.measure(gpu, x, pieces)?,
            self.dispatch(gpu, MERGE_COLUMNS, &merged, self.columns)?,
            self.normalize(gpu, x, &places.statistics, weights, y)?,
        ])
    }

    /// The gradients of gamma and beta, if they are trained, and of x, if it is wanted, from dy.
    pub fn backward(
        &self,
        gpu: &Gpu,
        x: &Region,
        dy: &Region,
        weights: &Region,
        kept: &Region,
        [gradients, dx]: [Option<&Region>; 2],
    ) -> Result<Vec<Dispatch>> {
        let places = self.places(gpu, kept);
        let (columns, len) = (self.columns, self.rows() * self.columns);
        let mut dispatches = Vec::new();
        if let Some(gradients) = gradients {
            let sums = [x, dy, &places.statistics, &places.pieces];
            let items = self.chunks() * columns;
            dispatches.push(self.dispatch(gpu, SUM_GRADIENTS, &sums, items)?);
            let merged = [&places.pieces, gradients];
            dispatches.push(self.dispatch(gpu, MERGE_GRADIENTS, &merged, columns)?);
        }
        let Some(dx) = dx else { return Ok(dispatches) };
        match self.kind {
            Kind::Layer => {
                let regions = [x, dy, weights, dx];
                dispatches.push(self.dispatch(gpu, DIFFERENTIATE_ROWS, &regions, self.rows())?);
                return Ok(dispatches);
            }
            Kind::Given => {
                let regions = [&places.statistics, &places.factors];
                dispatches.push(self.dispatch(gpu, FACTOR_STANDARDIZED, &regions, columns)?);
            }
            Kind::Batch { .. } => {
                // Frozen columns have no sums, and need none.
                let sums = gradients.unwrap_or(&places.batch);
                let regions = [sums, weights, &places.statistics, &places.factors];
                dispatches.push(self.dispatch(gpu, FACTOR_COLUMNS, &regions, columns)?);
            }
        }
        let regions = [x, dy, &places.factors, dx];
        dispatches.push(self.dispatch(gpu, DIFFERENTIATE_COLUMNS, &regions, len)?);
        Ok(dispatches)
    }

    /// pieces [chunks, columns, 4] = (count, mean, sum of squared deviations, 0) of a training step's x.
    pub fn measure(&self, gpu: &Gpu, x: &Region, pieces: &Region) -> Result<Dispatch> {
        let items = self.chunks() * self.columns;
        self.dispatch(gpu, MEASURE_COLUMNS, &[x, pieces], items)
    }

    /// The bytes of the pieces that [`measure`](Self::measure) writes.
    pub fn piece_bytes(&self) -> u64 {
        let [_, _, pieces, _] = self.bytes();
        pieces
    }

    /// The moments of a batch, [2, columns], which its stored ones move to.
    pub fn batch(&self, gpu: &Gpu, kept: &Region) -> Region {
        self.places(gpu, kept).batch
    }
}
