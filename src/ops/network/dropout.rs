//! Dropout with a mask that is broadcast. One with a mask element for each element of its tensor is part
//! of an [`epilogue`](super::epilogue).

use super::{lane_values, per_item};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::alpha_dropout::{Broadcast, BroadcastParams, Dropout};
use crate::ops::words;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::{params, vec2u};
use crate::{Gpu, Result};

pub(super) static MODULE: Module = Module::new("dropout", &files::DROPOUT, DropoutParams::LAYOUT)
    .entry_points(&["drop_out"])
    .step();

const KERNEL: Kernel = MODULE.kernel("drop_out");

params! {
    struct DropoutParams {
        lanes: u32,
        /// an element is dropped if its random word is below this
        threshold: u32,
        keep_scale: f32,
        keep_shift: f32,
        dropped: f32,
        /// the mask's elements for a row of the batch
        row: u32,
        seed: vec2u,
        broadcast: BroadcastParams,
    }
}

/// y = dropout(x), of `len` values.
pub(crate) fn forward(
    gpu: &Gpu,
    x: &Region,
    y: &Region,
    len: u32,
    dropout: &Dropout,
    broadcast: &Broadcast,
) -> Result<Dispatch> {
    let lane = lane_values(len);
    let params = DropoutParams {
        lanes: len / lane,
        threshold: dropout.threshold,
        keep_scale: dropout.scale,
        keep_shift: dropout.shift,
        dropped: dropout.dropped,
        row: dropout.row,
        seed: words(dropout.seed),
        broadcast: broadcast.params(),
    };
    per_item(
        gpu,
        KERNEL,
        Form::default(),
        lane,
        &[x, y],
        &params,
        params.lanes,
    )
}

/// dx = dy through the dropout.
pub(crate) fn backward(
    gpu: &Gpu,
    dy: &Region,
    dx: &Region,
    len: u32,
    dropout: &Dropout,
    broadcast: &Broadcast,
) -> Result<Dispatch> {
    forward(gpu, dy, dx, len, &dropout.gradient(), broadcast)
}
