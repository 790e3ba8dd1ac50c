use std::borrow::Cow;
use std::sync::Arc;

use super::targets::Weighing;
use super::{Dataset, Expected};
use crate::gpu::device::Owner;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::gpu::transfer::{self, Upload};
use crate::ops::network::gather::{Affine, Gather, Part};
use crate::{Error, Gpu, Result};

/// Where a batch is computed: the places of its inputs, its targets and the weights of its rows, and
/// for how many samples they have room.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn) struct Places<'a> {
    pub rows: usize,
    pub inputs: &'a Region,
    pub targets: &'a Region,
    pub weights: &'a Region,
}

/// The arrays that batches are gathered from.
pub(super) struct Arrays<'a> {
    pub inputs: &'a [Part],
    /// Of inputs that are bytes.
    pub affine: Option<Affine>,
    pub targets: &'a [Part],
    pub are_labels: bool,
    /// How many a sample has, too.
    pub weights: Option<(&'a [Part], usize)>,
}

impl Arrays<'_> {
    /// The dispatches that gather the inputs of a batch, as many values of each sample.
    fn gather_inputs(&self, gather: Gather, inputs: usize, out: &Region) -> Result<Vec<Dispatch>> {
        let part = |part| match self.affine {
            None => gather.floats(part, out, inputs as u32),
            Some(affine) => gather.bytes(part, out, inputs as u32, affine),
        };
        self.inputs.iter().map(part).collect()
    }

    /// The dispatches that gather a batch.
    pub fn gather(
        &self,
        expected: Expected,
        weighing: &Weighing,
        class_weights: Option<&Region>,
        order: &Region,
        places: Places,
    ) -> Result<Vec<Dispatch>> {
        let rows = places.rows as u32;
        let gpu = expected.gpu;
        let gather = Gather { gpu, order, rows };
        let classes = expected.classes(weighing);
        let inputs = expected.input.iter().product();
        let outputs = classes.positions * classes.outputs;
        let mut dispatches = self.gather_inputs(gather, inputs, places.inputs)?;
        for part in self.targets {
            dispatches.push(match self.are_labels {
                true => gather.classes(part, places.targets, classes)?,
                false => gather.floats(part, places.targets, outputs)?,
            });
        }
        match self.weights {
            None => dispatches.push(expected.rows(rows).fill_weights(gpu, places.weights)?),
            Some((parts, each)) => {
                for part in parts {
                    let (out, positions) = (places.weights, classes.positions);
                    dispatches.push(gather.weights(part, out, each as u32, positions)?);
                }
            }
        }
        if let Some(class_weights) = class_weights {
            let (targets, weights) = (places.targets, places.weights);
            let rows = expected.rows(rows);
            let are_labels = self.are_labels;
            dispatches.push(rows.weigh_classes(
                gpu,
                targets,
                class_weights,
                weights,
                are_labels,
            )?);
        }
        Ok(dispatches)
    }
}

/// A data set's batches, in an order that can change.
#[derive(Debug)]
pub(in crate::nn) struct Feed {
    /// The samples' indices.
    order: Region,
    /// The uploaded samples that the data set has, unless it has all.
    selected: Option<Arc<[u32]>>,
    pub dispatches: Vec<Dispatch>,
    /// Whose the samples' buffers are.
    pub owner: Owner,
}

impl Feed {
    /// Feeds batches to `places`.
    pub fn new(data: &Dataset, expected: Expected, places: Places) -> Result<Self> {
        let gpu = expected.gpu;
        data.check(expected)?;
        let (arrays, class_weights) = data.meet(expected)?;
        let order = order(gpu, data.len())?;
        let class_weights = class_weights.as_ref();
        Ok(Self {
            dispatches: arrays.gather(expected, &data.weighing, class_weights, &order, places)?,
            order,
            selected: data.selected.clone(),
            owner: data.owner,
        })
    }

    /// Feeds the samples alone, in batches of up to `rows`, to a place.
    pub fn of_inputs(
        data: &Dataset,
        expected: Expected,
        rows: usize,
        inputs: &Region,
    ) -> Result<Self> {
        let gpu = expected.gpu;
        data.check_inputs(expected)?;
        let order = order(gpu, data.len())?;
        let gather = Gather {
            gpu,
            order: &order,
            rows: rows as u32,
        };
        let len = expected.input.iter().product();
        Ok(Self {
            dispatches: data.inputs().gather_inputs(gather, len, inputs)?,
            order,
            selected: data.selected.clone(),
            owner: data.owner,
        })
    }

    /// An order of the data set's samples, as one of those uploaded.
    fn uploaded<'a>(&self, order: &'a [u32]) -> Cow<'a, [u32]> {
        match &self.selected {
            None => order.into(),
            Some(selected) => order.iter().map(|&i| selected[i as usize]).collect(),
        }
    }

    /// Sets the order.
    pub fn write(&self, gpu: &Gpu, order: &[u32]) -> Result<()> {
        let order = self.uploaded(order);
        let bytes = bytemuck::cast_slice(&order);
        let buffer = &self.order.buffer;
        transfer::write(gpu.memory(), buffer, 0, bytes, transfer::COPY_ALIGNMENT)
    }
}

impl Feed {
    /// An order, to be set in an encoder by [`replace`](Self::replace).
    pub fn stage(&self, gpu: &Gpu, order: &[u32]) -> Result<Vec<Upload>> {
        let order = self.uploaded(order);
        let pieces = bytemuck::cast_slice(&order).chunks(transfer::STAGING_BYTES as usize);
        let upload = |piece: &[u8]| Upload::new(gpu.memory(), piece, transfer::COPY_ALIGNMENT);
        pieces.map(upload).collect()
    }

    /// Sets the staged order, if any.
    pub fn replace(&self, staged: Vec<Upload>, encoder: &mut wgpu::CommandEncoder) {
        for (piece, staged) in (0..).zip(staged) {
            staged.record(encoder, &self.order.buffer, piece * transfer::STAGING_BYTES);
        }
    }
}

/// A place for an order of `samples`.
pub(super) fn order(gpu: &Gpu, samples: usize) -> Result<Region> {
    gpu.memory().region(order_bytes(gpu, samples)?)
}

/// What an order of `samples` takes, or an error if the device can't bind so much.
pub(in crate::nn) fn order_bytes(gpu: &Gpu, samples: usize) -> Result<u64> {
    let limits = gpu.limits();
    let max = limits.max_binding_bytes.min(limits.max_buffer_bytes);
    let bytes = (samples as u64).saturating_mul(size_of::<u32>() as u64);
    if bytes > max {
        return Err(Error::TooLarge {
            shape: vec![samples],
            limit: format!(
                "the order of so many samples takes {bytes} bytes; the device binds {max} at most"
            ),
        });
    }
    Ok(bytes)
}
