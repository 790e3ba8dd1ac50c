//! The guard of training: a step whose loss or gradient is not finite changes nothing.
//!
//! After the backward pass it sums the squares of the gradients, and judges: [`Guard::dispatches`]. The
//! update that follows reads the guard's state, which stands behind the gradients, and changes weights
//! and moments only if it says so. The squares are f32s: a gradient beyond 1.8 · 10¹⁹ counts as not
//! finite.

mod accumulate;
mod clip_gradients;
mod gradient_norm;
mod judge;

pub(crate) use accumulate::accumulate;

use std::ops::Range;

use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::gpu::transfer;
use crate::shader::module::Module;
use crate::shader::params::{params, vec2u, vec4u};
use crate::{Gpu, Result};

pub(super) static MODULES: &[&Module] = &[
    &accumulate::MODULE,
    &clip_gradients::MODULE,
    &gradient_norm::MODULE,
    &judge::MODULE,
];

params! {
    /// All 0 to begin with.
    pub(super) struct GuardState {
        /// what the update multiplies gradients by, and 1 if it changes anything, else 0
        scale: f32,
        update: f32,
        /// 1 after more non-finite steps than are allowed, and how many there were
        halted: u32,
        bad: u32,
        allowed: u32,
        padding: u32,
        more_padding: vec2u,
    }
}

/// The values of a piece: enough work for a workgroup to be worth its barriers.
const PIECE: u32 = 1 << 14;

/// How gradients are clipped, with Keras's names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Clip {
    None,
    /// The norm of each variable's gradient.
    Norm(f32),
    /// The norm of all.
    GlobalNorm(f32),
    /// Each value, by the update.
    Value(f32),
}

/// Judges the steps of a network's training.
#[derive(Debug)]
pub(crate) struct Guard {
    gradients: Region,
    state: Region,
    /// \[pieces, 4\]: first value, end, variable.
    pieces: Region,
    /// \[variables, 2\]: first piece, end.
    variables: Region,
    /// The sums of the pieces' squares, and the variables' factors.
    norms: Region,
    piece_count: u32,
    variable_count: u32,
}

impl Guard {
    /// The f32s behind the gradients in which it keeps its state.
    pub const VALUES: usize = size_of::<GuardState>() / size_of::<f32>();

    /// Of `gradients`, a region of [`VALUES`](Self::VALUES) f32s more than there are gradients, these a
    /// multiple of what the device can bind. `variables` are the places of the variables in it, in f32s.
    pub fn new(gpu: &Gpu, gradients: &Region, variables: &[Range<u32>]) -> Result<Self> {
        let mut pieces: Vec<vec4u> = Vec::new();
        let mut runs: Vec<vec2u> = Vec::new();
        for (variable, values) in (0..).zip(variables) {
            let first = pieces.len() as u32;
            // Pieces end where lanes do.
            let starts = (values.start / PIECE * PIECE..values.end).step_by(PIECE as usize);
            pieces.extend(starts.map(|start| {
                let end = values.end.min(start + PIECE);
                [values.start.max(start), end, variable, 0]
            }));
            runs.push([first, pieces.len() as u32]);
        }
        // A table without entries is bound all the same.
        let bytes = |values: usize| (values * size_of::<u32>()).max(size_of::<vec4u>()) as u64;
        let region = |values: usize| gpu.memory().region(bytes(values));
        let table = |words: &[u32]| {
            let region = region(words.len())?;
            let bytes = bytemuck::cast_slice(words);
            transfer::write(
                gpu.memory(),
                &region.buffer,
                0,
                bytes,
                transfer::COPY_ALIGNMENT,
            )?;
            Ok(region)
        };
        let state = size_of::<GuardState>() as u64;
        Ok(Self {
            gradients: gradients.clone(),
            state: gradients.part(gradients.bytes - state, state),
            pieces: table(pieces.as_flattened())?,
            variables: table(runs.as_flattened())?,
            norms: region(pieces.len() + runs.len())?,
            piece_count: pieces.len() as u32,
            variable_count: runs.len() as u32,
        })
    }

    /// Starts over. Steps that are not finite are skipped; after more than `allowed` of them, or one with
    /// invalid targets, all are.
    pub fn reset(&self, gpu: &Gpu, allowed: u32) -> Result<()> {
        let state = GuardState {
            allowed,
            ..bytemuck::Zeroable::zeroed()
        };
        let (buffer, offset) = (&self.state.buffer, self.state.offset);
        let bytes = bytemuck::bytes_of(&state);
        transfer::write(
            gpu.memory(),
            buffer,
            offset,
            bytes,
            transfer::COPY_ALIGNMENT,
        )
    }

    /// What comes between the backward pass and the update. In `totals` [results, 2, 4] the loss has
    /// written (Σ loss, Σ hits, rows that count, rows with invalid targets) of the step's result; this
    /// adds (norm of the mean gradient before it is clipped, 1 if all is finite, 1 if weights change,
    /// non-finite steps so far).
    pub fn dispatches(&self, gpu: &Gpu, totals: &Region, clip: Clip) -> Result<Vec<Dispatch>> {
        let mut dispatches = vec![
            gradient_norm::dispatch(gpu, self)?,
            judge::dispatch(gpu, self, totals, clip)?,
        ];
        if matches!(clip, Clip::Norm(_)) {
            dispatches.push(clip_gradients::dispatch(gpu, self)?);
        }
        Ok(dispatches)
    }

    /// The buffers besides the gradients'.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        [&self.pieces, &self.variables, &self.norms].into_iter()
    }
}
