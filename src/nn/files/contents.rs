//! What of a network and its training is in files, in any format.

use std::sync::Arc;

use crate::Result;
use crate::gpu::device::Owner;
use crate::gpu::transfer;
use crate::nn::network::Weight;
use crate::nn::sequential::{self, Sequential};
use crate::nn::training::{Buffers, MAX_COUNT};
use crate::nn::workspace::{F32, Slots};
use crate::nn::{Loss, Optimizer};
use crate::ops::network::guard::LossScale;

/// What of a network is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// The network, with the settings of its training; of a file from elsewhere, the weights.
    Model,
    /// All that, and the state of its training.
    Checkpoint,
}

/// A network's weights, and what an optimizer stores for them, on the host.
pub(super) struct Snapshot {
    weights: Vec<f32>,
    /// One for each of [`Optimizer::slots`]; none at the beginning.
    slots: Vec<Vec<f32>>,
    /// What a training goes on from.
    pub step: u64,
    pub optimized_from: u64,
    /// Of a network whose precision needs one.
    pub loss_scale: Option<LossScale>,
}

impl Snapshot {
    /// Each buffer comes back at once.
    pub async fn of(
        model: &Sequential,
        contents: Contents,
        progress: &impl transfer::Progress,
    ) -> Result<Self> {
        let read = async |region| sequential::read(&model.gpu, region, progress).await;
        let weights = read(&model.weights).await?;
        let mut snapshot = Self {
            weights,
            slots: Vec::new(),
            step: 0,
            optimized_from: 0,
            loss_scale: None,
        };
        if contents == Contents::Model {
            return Ok(snapshot);
        }
        for region in model.slots.iter().flat_map(|slots| &slots.slots) {
            snapshot.slots.push(read(region).await?);
        }
        // An optimizer begins with zeros: while it has done no step, there are none in the file.
        if snapshot
            .slots
            .iter()
            .flatten()
            .all(|value| value.to_bits() == 0)
        {
            snapshot.slots.clear();
        }
        snapshot.loss_scale = model.loss_scale(progress).await?;
        // Steps under way from one on that is not finite have changed nothing.
        snapshot.step = model.halted(progress).await?.unwrap_or(model.step);
        let begin = model.optimized_from + model.skips.len() as u64;
        snapshot.optimized_from = begin.min(snapshot.step);
        Ok(snapshot)
    }

    /// Whether it has what an optimizer stores.
    pub fn has_slots(&self) -> bool {
        !self.slots.is_empty()
    }

    /// The values of a weight, or of what an optimizer stores for it.
    pub fn values(&self, weight: &Weight, slot: Option<usize>) -> &[f32] {
        let buffer = match slot {
            Some(slot) => &self.slots[slot],
            None => &self.weights,
        };
        &buffer[weight.offset..][..weight.len]
    }
}

/// What training goes on from, beside the weights.
pub(super) struct State {
    pub step: u64,
    pub epoch: u64,
    pub optimized_from: u64,
    pub seed: u64,
    pub optimizer: Optimizer,
    pub loss: Option<Loss>,
    pub loss_scale: Option<LossScale>,
}

impl State {
    /// An error if there can be no such state.
    pub fn checked(self) -> std::result::Result<Self, String> {
        let (step, epoch, begin) = (self.step, self.epoch, self.optimized_from);
        if step.max(epoch) > MAX_COUNT {
            return Err(format!(
                "{step} steps in {epoch} epochs are more than there can be"
            ));
        }
        if begin > step {
            return Err(format!("its optimizer begins at step {begin}, of {step}"));
        }
        Ok(self)
    }
}

/// Values of a file, and where they go.
pub(super) struct Placed {
    /// What of the optimizer's they are, or else weights.
    pub slot: Option<usize>,
    /// In f32s.
    pub start: usize,
    pub values: Vec<f32>,
}

/// Everything that can fail comes before the first change: the weights are staged elsewhere. What is not
/// placed stays as it is.
pub(super) async fn put(
    model: &mut Sequential,
    placed: Vec<Placed>,
    state: Option<State>,
) -> Result<()> {
    let staged = model.gpu.memory().region(model.weights.bytes)?;
    let has_slots = placed.iter().any(|placed| placed.slot.is_some());
    let slots = match &state {
        Some(state) if has_slots || state.loss_scale.is_some() => {
            Some(Slots::new(model.plan(), &state.optimizer)?)
        }
        _ => None,
    };
    if let (Some(slots), Some(scale)) = (&slots, state.as_ref().and_then(|state| state.loss_scale))
    {
        slots.guard.set_loss_scale(&model.gpu, scale)?;
    }
    let mut weights = Vec::new();
    for Placed {
        slot,
        start,
        values,
    } in placed
    {
        let region = match (slot, &slots) {
            (Some(slot), Some(slots)) => &slots.slots[slot],
            _ => &staged,
        };
        let (start, bytes) = (start as u64 * F32, values.len() as u64 * F32);
        if slot.is_none() {
            weights.push((start, bytes));
        }
        transfer::write(
            model.gpu.memory(),
            &region.buffer,
            start,
            bytemuck::cast_slice(&values),
            transfer::COPY_ALIGNMENT,
        )?;
    }
    let link = model.gpu.link();
    link.settle(link.calls()).await?;
    link.submit(Owner::Crate, |encoder| {
        let to = &model.weights.buffer;
        for (start, bytes) in weights {
            encoder.copy_buffer_to_buffer(&staged.buffer, start, to, start, bytes);
        }
        Ok(())
    })?;
    if let Some(state) = state {
        model.slots = slots.map(Arc::new);
        model.optimizer = state.optimizer;
        (model.step, model.epoch) = (state.step, state.epoch);
        model.optimized_from = state.optimized_from;
        model.start_over();
        model.skips.clear();
        model.loss = state.loss;
        model.seed = state.seed;
        *model.buffers() = Buffers::default();
    }
    Ok(())
}
