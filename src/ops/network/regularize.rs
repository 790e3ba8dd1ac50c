//! The penalties of weights: in a loss, and in its gradient.
//!
//! One pass over the weights that have any, after the backward pass and before the guard, so that a penalty's
//! gradient is clipped, judged and divided by the rows with the rest. A loss without a gradient has a pass, too.

use std::ops::Range;

use super::guard::cut;
use super::{dispatch as groups, per_item};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::gpu::transfer;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::{params, vec4u};
use crate::{Gpu, Result};

pub(super) static MODULE: Module =
    Module::new("regularize", &files::REGULARIZE, RegularizeParams::LAYOUT)
        .entry_points(&["penalize", "regularize", "add_penalties"])
        .pieced();

const PENALIZE: Kernel = MODULE.kernel("penalize");
const REGULARIZE: Kernel = MODULE.kernel("regularize");
const ADD: Kernel = MODULE.kernel("add_penalties");

params! {
    struct RegularizeParams {
        pieces: u32,
    }
}

params! {
    struct Piece {
        /// first value, end
        start: u32,
        end: u32,
        l1: f32,
        l2: f32,
        /// its own, once it is summed
        penalty: f32,
    }
}

impl Module {
    /// The module, with a tensor of pieces.
    const fn pieced(mut self) -> Self {
        self.shared = &[Piece::LAYOUT];
        self
    }
}

/// l1 Σ|w| + l2 Σw² of some weights.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Penalty {
    /// Their places, in f32s. No two penalties share a lane of four.
    pub weights: Range<u32>,
    pub l1: f32,
    pub l2: f32,
}

/// The penalties of weights w in the totals of a loss.
#[derive(Debug)]
pub(crate) struct Penalties {
    /// Adds them to the totals' loss, once the rows are summed.
    pub dispatches: [Dispatch; 2],
    /// \[pieces\].
    pub table: Region,
    count: u32,
    w: Region,
    totals: Region,
}

impl Penalties {
    /// `None` if there are none.
    pub fn new(
        gpu: &Gpu,
        penalties: &[Penalty],
        w: &Region,
        totals: &Region,
    ) -> Result<Option<Self>> {
        let places: Vec<_> = penalties.iter().map(|p| p.weights.clone()).collect();
        let (pieces, _) = cut(&places);
        let piece = |[start, end, number, _]: vec4u| {
            let Penalty { l1, l2, .. } = penalties[number as usize];
            Piece {
                start,
                end,
                l1,
                l2,
                penalty: 0.0,
            }
        };
        let pieces: Vec<_> = pieces.into_iter().map(piece).collect();
        if pieces.is_empty() {
            return Ok(None);
        }
        let (bytes, count) = (bytemuck::cast_slice(&pieces), pieces.len() as u32);
        let table = gpu.memory().region(bytes.len() as u64)?;
        let alignment = transfer::COPY_ALIGNMENT;
        transfer::write(gpu.memory(), &table.buffer, 0, bytes, alignment)?;
        let penalize = piecewise(gpu, PENALIZE, &[&table, totals, w], count)?;
        Ok(Some(Self {
            dispatches: [penalize, add(gpu, &table, totals, count)?],
            table,
            count,
            w: w.clone(),
            totals: totals.clone(),
        }))
    }

    /// Adds them to the totals' loss, and their gradient to g, both times the rows that count.
    pub fn with_gradient(&self, gpu: &Gpu, g: &Region) -> Result<[Dispatch; 2]> {
        let regions = [&self.table, &self.totals, &self.w, g];
        let regularize = piecewise(gpu, REGULARIZE, &regions, self.count)?;
        Ok([regularize, add(gpu, &self.table, &self.totals, self.count)?])
    }
}

/// A workgroup for each piece.
fn piecewise(gpu: &Gpu, kernel: Kernel, regions: &[&Region], pieces: u32) -> Result<Dispatch> {
    let params = RegularizeParams { pieces };
    let form = Form::default();
    groups(gpu, kernel, form, true, regions, &params, pieces.into())
}

fn add(gpu: &Gpu, table: &Region, totals: &Region, pieces: u32) -> Result<Dispatch> {
    let params = RegularizeParams { pieces };
    // One workgroup sums them all.
    per_item(gpu, ADD, Form::default(), 1, &[table, totals], &params, 1)
}
