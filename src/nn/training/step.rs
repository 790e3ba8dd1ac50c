//! The order of a step.

use std::ops::Range;
use std::sync::Arc;

use crate::gpu::device::Owner;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::kept::Id;
use crate::gpu::memory::Purpose;
use crate::gpu::recording::begin_pass;
use crate::gpu::region::Region;
use crate::gpu::transfer::{self, Arrival, Readback, Source, Upload};
use crate::nn::data::Places;
use crate::nn::workspace::{Backward, Forward, Losses, Slots, fill};
use crate::ops::network::guard::GuardState;
use crate::ops::network::loss::{Loss, Totals};
use crate::ops::network::optimizer::Optimizer;
use crate::ops::network::step::{Step, Steps};
use crate::{Error, Gpu, Result, Tensor};

/// Steps that may be submitted before the GPU has finished the first of them.
pub(in crate::nn) const AHEAD: usize = 4;

/// The forward pass and the loss of a batch.
#[derive(Debug)]
pub(in crate::nn) struct Evaluation {
    pub forward: Arc<Forward>,
    pub losses: Losses,
    pub loss: Loss,
}

impl Evaluation {
    /// Where a batch goes.
    pub fn places(&self) -> Places<'_> {
        Places {
            rows: self.forward.rows,
            inputs: &self.forward.input,
            targets: &self.losses.targets,
            weights: &self.losses.rows.weights,
        }
    }

    /// All but the penalties of weights, which in a training step come with their gradient.
    fn of_rows(&self) -> impl Iterator<Item = &Dispatch> {
        self.forward
            .to_losses(&self.losses)
            .chain(&self.losses.dispatches)
    }

    /// The whole loss of a batch that does not train.
    pub fn dispatches(&self) -> impl Iterator<Item = &Dispatch> {
        let penalties = self.losses.penalties.iter();
        self.of_rows()
            .chain(penalties.flat_map(|penalties| &penalties.dispatches))
    }
}

/// Everything that a training step needs.
#[derive(Debug)]
pub(in crate::nn) struct Training {
    /// The samples of a batch, which may come in parts.
    pub batch: usize,
    pub evaluation: Arc<Evaluation>,
    /// Scales the gradient of the loss, if that is needed.
    pub scale: Option<Dispatch>,
    pub backward: Backward,
    /// The gradients of a part, if a batch comes in several, and what adds them up.
    pub part: Option<Region>,
    pub accumulate: Option<Dispatch>,
    pub update: Vec<Dispatch>,
    /// The records of the next steps.
    pub steps: Steps,
    /// Those of a step in a frame, whose encoder replaces them.
    pub frame: Steps,
    /// The owner of what is bound for frames.
    pub id: Id,
    pub gpu: Gpu,
    /// What it is made for.
    pub slots: Arc<Slots>,
    pub optimizer: Optimizer,
}

/// Where a batch comes from.
pub(in crate::nn) enum Batch<'a> {
    /// Dispatches that gather it, from whose buffers.
    Gathered(&'a [Dispatch], Owner),
    /// x, y, and what fills the weights.
    Tensors(&'a Tensor, &'a Tensor, &'a Dispatch),
}

impl Batch<'_> {
    fn owner(&self) -> Owner {
        match self {
            Self::Gathered(_, owner) => *owner,
            Self::Tensors(x, y, _) => Owner::of(x.is_private() && y.is_private()),
        }
    }

    fn copy(&self, encoder: &mut wgpu::CommandEncoder, evaluation: &Evaluation, part: Part) {
        if let Self::Tensors(x, y, _) = self {
            let (forward, losses) = (&evaluation.forward, &evaluation.losses);
            fill(encoder, x, part.row, part.count, &forward.input);
            fill(encoder, y, part.row, part.count, &losses.targets);
        }
    }

    fn dispatches(&self) -> &[Dispatch] {
        match self {
            Self::Gathered(dispatches, _) => dispatches,
            Self::Tensors(.., weights) => std::slice::from_ref(weights),
        }
    }
}

/// A part of a batch that is computed at once.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::nn) struct Part {
    /// Its first row in the batch.
    pub row: usize,
    pub count: usize,
    /// The position of its record.
    pub record: usize,
}

/// A batch, as the parts that are computed one by one.
#[derive(Clone, Debug)]
pub(in crate::nn) struct Parts {
    pub before: Vec<Part>,
    pub last: Part,
}

impl Drop for Training {
    fn drop(&mut self) {
        self.gpu.forget(self.id);
    }
}

impl Training {
    /// The most rows that are computed at once.
    pub fn rows(&self) -> usize {
        self.evaluation.forward.rows
    }

    /// The number of parts that so many samples are computed in.
    pub fn parts(&self, count: usize) -> usize {
        count.div_ceil(self.rows())
    }

    /// Adds the records of a step on these rows of a batch whose samples begin at `first`, like `record`: one at
    /// least, without rows if there are none.
    pub fn plan(
        &self,
        record: Step,
        first: usize,
        rows: Range<usize>,
        records: &mut Vec<Step>,
    ) -> Parts {
        let mut part = |row: usize| {
            let part = Part {
                row,
                count: self.rows().min(rows.end - row),
                record: records.len(),
            };
            records.push(Step {
                first: (first + row) as u32,
                count: part.count as u32,
                row: row as u32,
                ..record
            });
            part
        };
        let starts = rows.clone().step_by(self.rows());
        let mut before: Vec<_> = starts.map(&mut part).collect();
        let last = before.pop().unwrap_or_else(|| part(rows.start));
        Parts { before, last }
    }

    /// A part of a step. The optimizer's `update` follows the last part.
    pub fn dispatches<'a>(
        &'a self,
        gather: &'a [Dispatch],
        update: &'a [Dispatch],
    ) -> impl Iterator<Item = &'a Dispatch> {
        gather
            .iter()
            .chain(self.evaluation.of_rows())
            .chain(&self.scale)
            .chain(&self.backward.dispatches)
            .chain(&self.accumulate)
            .chain(update)
    }

    /// What the ranks of a training add up: the gradients, and (Σ loss, Σ metric, rows that count, rows with
    /// invalid targets).
    pub(super) fn summed(&self) -> [Region; 2] {
        let Slots { gradients, .. } = &*self.slots;
        let of_weights = gradients.bytes - self.slots.guard.state().bytes;
        let totals = &self.evaluation.losses.totals;
        [gradients.part(0, of_weights), totals.part(0, 16)]
    }

    /// Submits the parts of a step that are a rank's, but not its update, which comes once the sums are those of all
    /// ranks.
    pub fn submit_share(&self, gpu: &Gpu, batch: &Batch, parts: &Parts) -> Result<()> {
        let all = parts.before.iter().chain([&parts.last]);
        for (i, &part) in all.enumerate() {
            gpu.link().enqueue(batch.owner(), |encoder| {
                if i == 0 {
                    // Sums begin with the first row of a batch, which may be another rank's.
                    for region in self.summed().iter().filter(|region| region.bytes > 0) {
                        encoder.clear_buffer(&region.buffer, region.offset, Some(region.bytes));
                    }
                }
                batch.copy(encoder, &self.evaluation, part);
                let mut pass = begin_pass(encoder);
                for dispatch in self.dispatches(batch.dispatches(), &[]) {
                    dispatch.record(&mut pass, Some(self.steps.bound(part.record)));
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Submits the update of a step whose sums are those of all ranks.
    pub fn submit_update(&self, gpu: &Gpu, parts: &Parts) -> Result<Flight> {
        let totals = &self.evaluation.losses.totals;
        Flight::submit(gpu, Owner::Crate, totals, |encoder| {
            let mut pass = begin_pass(encoder);
            for dispatch in &self.update {
                dispatch.record(&mut pass, Some(self.steps.bound(parts.last.record)));
            }
        })
    }

    /// Submits a step, each part of its batch by itself. The optimizer follows the last part. `records`
    /// replace those of the steps before the first, if they are not there yet.
    pub fn submit(
        &self,
        gpu: &Gpu,
        batch: &Batch,
        parts: &Parts,
        mut records: Option<Upload>,
    ) -> Result<Flight> {
        let mut record = |encoder: &mut wgpu::CommandEncoder, part: Part, update: &[Dispatch]| {
            if let Some(records) = records.take() {
                self.steps.replace(records, encoder);
            }
            batch.copy(encoder, &self.evaluation, part);
            let mut pass = begin_pass(encoder);
            for dispatch in self.dispatches(batch.dispatches(), update) {
                dispatch.record(&mut pass, Some(self.steps.bound(part.record)));
            }
        };
        for &part in &parts.before {
            gpu.link().enqueue(batch.owner(), |encoder| {
                record(encoder, part, &[]);
                Ok(())
            })?;
        }
        let totals = &self.evaluation.losses.totals;
        Flight::submit(gpu, batch.owner(), totals, |encoder| {
            record(encoder, parts.last, &self.update);
        })
    }
}

impl Evaluation {
    /// The records of the batches that `count` samples from `start` on are evaluated in.
    pub fn records(&self, start: usize, count: usize) -> Vec<Step> {
        let rows = self.forward.rows;
        let record = |first: usize| Step {
            first: (start + first) as u32,
            count: rows.min(count - first) as u32,
            ..Step::default()
        };
        (0..count).step_by(rows).map(record).collect()
    }

    /// Submits a batch that does not train.
    pub fn submit(
        &self,
        gpu: &Gpu,
        owner: Owner,
        gather: &[Dispatch],
        step: (&wgpu::BindGroup, u32),
    ) -> Result<Flight> {
        Flight::submit(gpu, owner, &self.losses.totals, |encoder| {
            let mut pass = begin_pass(encoder);
            for dispatch in gather.iter().chain(self.dispatches()) {
                dispatch.record(&mut pass, Some(step));
            }
        })
    }
}

/// A batch whose totals are on their way.
#[derive(Debug)]
pub(in crate::nn) struct Flight {
    readback: Readback,
    staging: wgpu::Buffer,
}

/// What a training step in a frame brings back.
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(in crate::nn) struct Outcome {
    pub totals: Totals,
    pub guard: GuardState,
}

impl Flight {
    /// Made before the batch is recorded, so that none fails for lack of it.
    pub fn new(gpu: &Gpu, bytes: u64) -> Result<Self> {
        let staging = transfer::readback_staging(gpu.memory(), bytes)?;
        let readback = Readback::new(staging.clone(), bytes);
        Ok(Self { readback, staging })
    }

    /// Makes what the flights under way at once need, so that a training which has begun does not fail for lack of it.
    pub fn reserve(gpu: &Gpu, bytes: u64) -> Result<()> {
        let make = |_| transfer::readback_staging(gpu.memory(), bytes);
        let made = (0..AHEAD).map(make).collect::<Result<Vec<_>>>()?;
        made.into_iter()
            .for_each(|staging| gpu.memory().give(Purpose::Readback, staging));
        Ok(())
    }

    /// Submits what `record` records, after which the region comes back.
    pub fn submit(
        gpu: &Gpu,
        owner: Owner,
        region: &Region,
        record: impl FnOnce(&mut wgpu::CommandEncoder),
    ) -> Result<Self> {
        let mut flight = Self::new(gpu, region.bytes)?;
        gpu.link().enqueue(owner, |encoder| {
            record(encoder);
            flight.record(encoder, &[region]);
            Ok(())
        })?;
        flight.readback.submitted(gpu.link());
        Ok(flight)
    }

    /// Records that these come back.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder, regions: &[&Region]) {
        let sources = regions.iter();
        let sources: Vec<_> = sources
            .map(|region| (Source::of(region), region.bytes))
            .collect();
        self.readback.record(encoder, &sources);
    }

    /// Waits for the totals. A wait that is given up may begin again.
    pub async fn land(&mut self, gpu: &Gpu, progress: &impl transfer::Progress) -> Result<Totals> {
        let mut totals = Totals::default();
        self.bring(gpu, bytemuck::bytes_of_mut(&mut totals), progress)
            .await?;
        Ok(totals)
    }

    /// Waits for the bytes. A wait that is given up may begin again.
    pub async fn bring(
        &mut self,
        gpu: &Gpu,
        bytes: &mut [u8],
        progress: &impl transfer::Progress,
    ) -> Result<()> {
        let device = gpu.memory().device();
        self.readback.finish(device, bytes, progress).await?;
        gpu.memory().give(Purpose::Readback, self.staging.clone());
        Ok(())
    }

    /// What comes back, of the step of this number if it is of one, once it has. Does not wait.
    pub fn poll(&mut self, gpu: &Gpu, step: Option<u64>, back: &mut Outcome) -> Result<Arrival> {
        let arrival = self.readback.poll(bytemuck::bytes_of_mut(back))?;
        if arrival == Arrival::Never && gpu.link().is_lost() {
            return Err(Error::DeviceLost);
        }
        if arrival != Arrival::Here {
            return Ok(arrival);
        }
        gpu.memory().give(Purpose::Readback, self.staging.clone());
        // wgpu maps the buffer of a submission that it has refused, too.
        let is_it = step.is_none_or(|step| back.guard.judged == step as u32);
        Ok(match is_it {
            true => Arrival::Here,
            false => Arrival::Never,
        })
    }
}

/// The most records of steps that are written at once.
const WINDOW: usize = 64;

/// The records of the batches of an evaluation, of which there may be any number.
#[derive(Debug)]
pub(in crate::nn) struct Records {
    steps: Steps,
    all: Vec<Step>,
}

impl Records {
    pub fn new(gpu: &Gpu, all: Vec<Step>) -> Result<Self> {
        let steps = Steps::new(gpu, all.len().clamp(1, WINDOW))?;
        Ok(Self { steps, all })
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn get(&self, index: usize) -> Step {
        self.all[index]
    }

    /// The bind group and offset of record `index`; they are asked for in order.
    pub fn bound(&self, gpu: &Gpu, index: usize) -> Result<(&wgpu::BindGroup, u32)> {
        let place = index % WINDOW;
        if place == 0 {
            let end = self.all.len().min(index + WINDOW);
            self.steps.write(gpu, &self.all[index..end])?;
        }
        Ok(self.steps.bound(place))
    }
}
