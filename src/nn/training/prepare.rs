//! The buffers of trainings and evaluations: made when they are first needed.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::step::{AHEAD, Evaluation, Training};
use crate::gpu::kept::Id;
use crate::gpu::region::Region;
use crate::nn::Data;
use crate::nn::Sequential;
use crate::nn::data::{Expected, TargetKind};
use crate::nn::layers;
use crate::nn::losses::Ending;
use crate::nn::sequential::Inspection;
use crate::nn::workspace::{Backward, Forward, Losses, Plan, Slots, Ticks};
use crate::ops::network::loss::Loss;
use crate::ops::network::optimizer::Optimizer;
use crate::ops::network::step::{Step, Steps};
use crate::{Error, Result};

/// The largest batch of evaluations of a network that does not train.
const EVALUATION_BATCH: usize = 256;

/// The buffers of a training in batches of at least this size serve evaluations, too.
const ENOUGH: usize = 32;

/// The records that are written at once.
const RECORDS: usize = 64;

/// The buffers that a network keeps between calls.
#[derive(Debug, Default)]
pub(in crate::nn) struct Buffers {
    pub training: Option<Arc<Training>>,
    /// Unless that of the training will do.
    evaluation: Option<Arc<Evaluation>>,
    pub inspection: Option<Inspection>,
}

impl Buffers {
    /// Makes those of an evaluation anew when they are needed: some may be none.
    pub fn forget_evaluation(&mut self) {
        self.evaluation = None;
    }

    pub fn evaluations(&self) -> impl Iterator<Item = &Arc<Evaluation>> {
        let trained = self.training.iter().map(|training| &training.evaluation);
        trained.chain(&self.evaluation)
    }

    pub fn forwards(&self) -> impl Iterator<Item = &Arc<Forward>> {
        self.evaluations().map(|evaluation| &evaluation.forward)
    }
}

impl Training {
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.backward.regions().chain(&self.part)
    }
}

/// What a network trains with.
#[derive(Debug)]
pub(super) struct Compiled {
    pub optimizer: Optimizer,
    pub loss: Option<Loss>,
    pub slots: Option<Arc<Slots>>,
    pub optimized_from: u64,
}

impl Sequential {
    /// The buffers for the loss of so many samples: those of training, if they will do.
    pub(super) fn evaluation(&self, samples: usize, loss: Loss) -> Result<Arc<Evaluation>> {
        let mut buffers = self.buffers();
        let is_it = |evaluation: &&Arc<Evaluation>| {
            evaluation.loss == loss && evaluation.forward.rows >= samples.min(ENOUGH)
        };
        if let Some(evaluation) = buffers.evaluations().find(is_it) {
            return Ok(evaluation.clone());
        }
        buffers.evaluation = None;
        let found = buffers
            .forwards()
            .max_by_key(|forward| forward.rows)
            .cloned();
        let make = |rows| {
            let forward = match &found {
                Some(forward) if forward.rows == rows => forward.clone(),
                _ => Arc::new(Forward::new(self.plan(), rows)?),
            };
            self.losses(self.plan(), forward, loss)
        };
        let rows = found.as_ref().map_or(0, |forward| forward.rows);
        let rows = rows.max(samples.min(EVALUATION_BATCH));
        let evaluation = Arc::new(within(rows, make)?);
        buffers.evaluation = Some(evaluation.clone());
        Ok(evaluation)
    }

    fn losses(&self, plan: Plan, forward: Arc<Forward>, loss: Loss) -> Result<Evaluation> {
        Ok(Evaluation {
            losses: Losses::new(plan, &forward, loss)?,
            forward,
            loss,
        })
    }

    /// Everything for training in batches of `batch`, made if it is not there yet.
    pub(super) fn prepare_training(
        &self,
        batch: usize,
        optimizer: &Optimizer,
        loss: Loss,
    ) -> Result<Arc<Training>> {
        self.prepare_training_with(self.plan(), batch, optimizer, loss)
    }

    fn prepare_training_with(
        &self,
        plan: Plan,
        batch: usize,
        optimizer: &Optimizer,
        loss: Loss,
    ) -> Result<Arc<Training>> {
        let slots = match &self.slots {
            Some(slots) if self.optimizer.is_same_kind(optimizer) => slots.clone(),
            _ => Arc::new(Slots::new(plan, optimizer)?),
        };
        let mut buffers = self.buffers();
        let found = buffers.training.take();
        let is_it = |training: &Arc<Training>| {
            training.batch == batch
                && training.evaluation.loss == loss
                && Arc::ptr_eq(&training.slots, &slots)
                && training.optimizer.has_same_kernels(optimizer)
        };
        let training = match found.filter(is_it) {
            Some(training) => training,
            None => {
                // Those of the training before, or soon of this one.
                buffers.evaluation = None;
                let make = |rows| self.training(plan, batch, rows, optimizer, loss, &slots);
                Arc::new(within(batch, make)?)
            }
        };
        buffers.training = Some(training.clone());
        Ok(training)
    }

    /// Makes everything that steps on batches of `rows` need, in a frame or not: buffers and pipelines, on
    /// any thread; it submits nothing. `progress` is called with the share that is done, and at the end
    /// with 1. The first step then compiles nothing.
    ///
    /// # Errors
    ///
    /// As [`train_on_batch`](Self::train_on_batch).
    pub fn prepare_train_on_batch(
        &mut self,
        rows: usize,
        mut progress: impl FnMut(f32),
    ) -> Result<()> {
        const OP: &str = "prepare_train_on_batch";
        if rows == 0 {
            let detail = "a batch has at least one sample".into();
            return Err(Error::Data { op: OP, detail });
        }
        let loss = self.loss_for(OP, None, None)?;
        let optimizer = self.optimizer.clone();
        // A layer with weights has three products.
        let total = 3 * self.network.stages.len();
        let training = {
            let (done, progress) = (Cell::new(0), RefCell::new(&mut progress));
            let tick = || {
                (progress.borrow_mut())((done.get() as f32 / total as f32).min(1.0));
                done.set(done.get() + 1);
            };
            let plan = self.plan_with(Ticks(&tick));
            self.prepare_training_with(plan, rows, &optimizer, loss)?
        };
        training.prepare_frame()?;
        self.adopt(self.compiled(&training, optimizer, None));
        progress(1.0);
        Ok(())
    }

    /// What the network trains with if this is its optimizer, and its loss unless that follows from
    /// the data.
    pub(super) fn compiled(
        &self,
        training: &Training,
        optimizer: Optimizer,
        loss: Option<Loss>,
    ) -> Compiled {
        let is_new = !self.optimizer.is_same_kind(&optimizer);
        Compiled {
            loss: loss.or(self.loss),
            slots: Some(training.slots.clone()),
            optimized_from: if is_new {
                self.step
            } else {
                self.optimized_from
            },
            optimizer,
        }
    }

    fn training(
        &self,
        plan: Plan,
        batch: usize,
        rows: usize,
        optimizer: &Optimizer,
        loss: Loss,
        slots: &Arc<Slots>,
    ) -> Result<Training> {
        let forward = Arc::new(Forward::new(plan, rows)?);
        let evaluation = Arc::new(self.losses(plan, forward, loss)?);
        let (forward, losses) = (&evaluation.forward, &evaluation.losses);
        let parts = batch.div_ceil(forward.rows);
        if parts > 1
            && let Some(layer) = plan.network.measures_batches()
        {
            let detail = format!(
                "it normalizes by the whole batch, and the device takes {} of {batch} samples at once; make batches smaller",
                forward.rows
            );
            return layers::error(layer, detail);
        }
        let (part, accumulate) = match parts {
            1 => (None, None),
            _ => {
                let part = self.gpu.memory().region(slots.gradients.bytes)?;
                let accumulate = slots.accumulate(plan, &part)?;
                (Some(part), accumulate)
            }
        };
        let gradients = part.as_ref().unwrap_or(&slots.gradients);
        let start = &losses.gradient;
        let backward = Backward::new(plan, forward, losses.scored, start, gradients, false)?;
        Ok(Training {
            batch,
            scale: slots.scale(plan, losses)?,
            backward,
            accumulate,
            part,
            update: slots.update(plan, optimizer, forward, losses)?,
            steps: Steps::new(&self.gpu, parts.max(RECORDS))?,
            frame: Steps::new(&self.gpu, parts)?,
            id: Id::new(),
            gpu: self.gpu.clone(),
            slots: slots.clone(),
            optimizer: optimizer.clone(),
            evaluation,
        })
    }

    /// Trains with these from now on; returns what it has trained with before.
    pub(super) fn adopt(&mut self, compiled: Compiled) -> Compiled {
        if compiled.optimized_from != self.optimized_from {
            self.skips.clear();
        }
        Compiled {
            optimizer: std::mem::replace(&mut self.optimizer, compiled.optimizer),
            loss: std::mem::replace(&mut self.loss, compiled.loss),
            slots: std::mem::replace(&mut self.slots, compiled.slots),
            optimized_from: std::mem::replace(&mut self.optimized_from, compiled.optimized_from),
        }
    }

    /// The record of a step, counted from 0, but for its samples.
    pub(super) fn record(&self, step: u64) -> Result<Step> {
        // The host knows by then, and no sooner, however early it looks.
        let is_known = |skipped: &&u64| **skipped + AHEAD as u64 <= step;
        let skipped = self.skips.iter().filter(is_known).count() as u64;
        let (rate, decay) = self.optimizer.rates(step - self.optimized_from - skipped)?;
        Ok(Step {
            call: step,
            training: true,
            rate,
            decay,
            generation: self.generation,
            ..Step::default()
        })
    }

    /// The loss that is named, or else compiled, or else implied by this data.
    pub(super) fn loss_on(
        &self,
        op: &'static str,
        named: Option<Loss>,
        data: &Data,
    ) -> Result<Loss> {
        let kind = data.target_kind();
        let is_named = named.or(self.loss).is_some();
        let is_open = matches!(self.network.ending(), Ending::Linear | Ending::Other);
        if matches!(data, Data::Batches(_)) && kind.is_none() && !is_named && is_open {
            let detail = "which loss? nobody has looked at the targets of batches from the host; name Loss::MeanSquaredError for numbers, or Loss::CategoricalCrossentropy (from logits) for classes".into();
            return Err(Error::Data { op, detail });
        }
        self.loss_for(op, named, kind)
    }

    /// The loss that is named, or else compiled, or else implied.
    pub(super) fn loss_for(
        &self,
        op: &'static str,
        named: Option<Loss>,
        targets: Option<TargetKind>,
    ) -> Result<Loss> {
        match named.or(self.loss) {
            Some(loss) => {
                self.network.check_loss(op, loss)?;
                Ok(loss)
            }
            None => self.network.implied_loss(op, targets),
        }
    }

    /// What data must be like, for a loss if it is known.
    pub(in crate::nn) fn expected(&self, op: &'static str, loss: Option<Loss>) -> Expected<'_> {
        Expected {
            op,
            gpu: &self.gpu,
            input: self.input_shape(),
            output: self.output_shape(),
            probabilities: match loss.or(self.loss) {
                Some(loss) => loss.link().is_some(),
                None => self.network.ending() == Ending::Softmax,
            },
        }
    }
}

/// What `make` makes for a batch, or for as many of its rows as the device binds.
fn within<T>(batch: usize, make: impl Fn(usize) -> Result<T>) -> Result<T> {
    let mut parts = 1;
    loop {
        let rows = Forward::rows_of(batch.div_ceil(parts));
        match make(rows) {
            Err(Error::TooLarge { .. }) if rows > Forward::rows_of(1) => parts += parts.div_ceil(4),
            made => return made,
        }
    }
}
