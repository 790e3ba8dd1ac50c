//! What training does to a network: its optimizer, its counts, and what it has learned of a step.

use super::prepare::Buffers;
use super::step::Batch;
use super::{Score, score::Sums};
use std::sync::Arc;

use crate::gpu::device::Owner;
use crate::gpu::platform;
use crate::gpu::region::Region;
use crate::gpu::transfer;
use crate::nn::data::refuse_target;
use crate::nn::workspace::Slots;
use crate::nn::{Precision, Sequential};
use crate::ops::network::guard::LossScale;
use crate::ops::network::loss::{Loss, Totals};
use crate::ops::network::optimizer::{LearningRate, Optimizer};
use crate::ops::require;
use crate::{Error, Result, Tensor};

/// Counts go on, and become f64s.
pub(in crate::nn) const MAX_COUNT: u64 = 1 << 53;

fn require_count(op: &'static str, name: &'static str, count: u64) -> Result<()> {
    require(op, name, count as f64, count <= MAX_COUNT, "at most 2^53").map(drop)
}

/// An error that names the first of the targets that a loss does not take.
async fn check_targets(
    op: &'static str,
    loss: Loss,
    y: &Tensor,
    progress: &impl transfer::Progress,
) -> Result<()> {
    let values = y.read_by(progress).await?;
    let shape = y.shape().get(1..).unwrap_or_default();
    let are_probabilities = loss.link().is_some();
    let is_wrong = |t: &f32| !t.is_finite() || are_probabilities && !(0.0..=1.0).contains(t);
    match values.iter().position(is_wrong) {
        Some(index) => refuse_target(op, index, values[index], shape),
        None => Ok(()),
    }
}

impl Sequential {
    /// Sets the optimizer and the loss. An optimizer of another kind starts with no state; one of
    /// the same kind, which stores the same for each weight, continues with that of the one before.
    /// The network's counts of steps and epochs go on.
    ///
    /// By default the optimizer is `Adam::default()`, and the loss follows from the network and its
    /// targets, where there is one answer:
    ///
    /// | the network ends with | targets | loss |
    /// | --- | --- | --- |
    /// | a softmax | class numbers, one-hot rows, probabilities | [`Loss::CategoricalCrossentropy`] |
    /// | a sigmoid | 0 and 1 | [`Loss::BinaryCrossentropy`] |
    /// | anything else | values that are not one-hot rows | [`Loss::MeanSquaredError`] |
    ///
    /// Anything else is an error that says which losses there are. The targets of
    /// [`train_on_batch`](Self::train_on_batch) are taken to be of the kind in this table.
    ///
    /// [`Fit::default()`](crate::nn::Fit::default) trains with what was compiled, as Keras's `fit` does;
    /// [`Fit::new`](crate::nn::Fit::new) names the optimizer, and needs no `compile` before it.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::nn::{Activation::Softmax, Adam, Dataset, Dense, Fit, Loss, Sequential};
    ///
    /// # let gpu = selfnorm::Gpu::new()?;
    /// # let data = Dataset::from_floats(&gpu, &[0.0, 1.0, 1.0, 0.0], [2])?.classes(&[0, 1])?;
    /// let mut model = Sequential::new([2]).add(Dense::new(2).activation(Softmax)).build(&gpu, 42)?;
    /// model.compile(Adam::new(1e-2), Loss::CategoricalCrossentropy)?;
    /// model.fit(&data, &Fit::default().epochs(5))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Parameter`] if a parameter of the optimizer or the loss is not allowed,
    /// [`Error::Data`] if the loss does not fit the network's output.
    pub fn compile(&mut self, optimizer: impl Into<Optimizer>, loss: Loss) -> Result<()> {
        let optimizer = optimizer.into();
        optimizer.check()?;
        self.network.check_loss("compile", loss)?;
        if !self.optimizer.is_same_kind(&optimizer) {
            self.reset_optimizer();
        }
        self.optimizer = optimizer;
        self.loss = Some(loss);
        Ok(())
    }

    /// Another network like this, on the same device: with its layers, weights, seed, counts, metadata and the
    /// optimizer's state, so that the same training follows, bit for bit. Both are then trained independently. Nobody
    /// waits; steps that an application has recorded and not submitted yet are not in the copy's weights.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # let gpu = selfnorm::Gpu::new()?;
    /// # use selfnorm::nn::{Activation::Softmax, Dataset, Dense, Fit, Sequential};
    /// # let data = Dataset::from_floats(&gpu, &[0.0, 1.0, 1.0, 0.0], [2])?.classes(&[0, 1])?;
    /// let mut model = Sequential::new([2]).add(Dense::new(2).activation(Softmax)).build(&gpu, 42)?;
    /// let before = model.duplicate()?;
    /// model.fit(&data, &Fit::default())?;
    /// assert_ne!(model.evaluate(&data)?, before.evaluate(&data)?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn duplicate(&self) -> Result<Self> {
        let mut copy = self
            .builder
            .allocate(&self.gpu, self.network.clone(), self.seed)?;
        copy.optimizer = self.optimizer.clone();
        copy.loss = self.loss;
        copy.metadata = self.metadata.clone();
        (copy.step, copy.epoch) = (self.step, self.epoch);
        copy.optimized_from = self.optimized_from;
        copy.skips = self.skips.clone();
        copy.generation = self.generation;
        copy.history = self.history.clone();
        copy.slots = match &self.slots {
            None => None,
            Some(_) => Some(Arc::new(Slots::new(self.plan(), &self.optimizer)?)),
        };
        if self.unseen.is_some() {
            copy.leave_unseen();
        }
        self.gpu.link().submit(Owner::Crate, |encoder| {
            let mut record = |from: &Region, to: &Region| {
                let [source, destination] =
                    [from, to].map(|region| (&region.buffer, region.offset));
                encoder.copy_buffer_to_buffer(
                    source.0,
                    source.1,
                    destination.0,
                    destination.1,
                    from.bytes,
                );
            };
            record(&self.weights, &copy.weights);
            if let (Some(from), Some(to)) = (&self.slots, &copy.slots) {
                // Behind the gradients is what the guard knows.
                record(&from.gradients, &to.gradients);
                for (from, to) in from.slots.iter().zip(&to.slots) {
                    record(from, to);
                }
            }
            Ok(())
        })?;
        Ok(copy)
    }

    /// Forgets the optimizer's state, such as Adam's moments, and its count of steps, by which
    /// schedules go.
    pub fn reset_optimizer(&mut self) {
        self.slots = None;
        self.skips.clear();
        self.optimized_from = self.step;
        // With it goes its guard.
        self.generation += 1;
    }

    /// The optimizer that the network was compiled with, or trained with last.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// Sets the learning rate, or its schedule, from the next step on.
    ///
    /// # Errors
    ///
    /// [`Error::Parameter`] if it is negative or not finite.
    pub fn set_learning_rate(&mut self, rate: impl Into<LearningRate>) -> Result<()> {
        self.optimizer = self.optimizer.with_learning_rate(rate)?;
        Ok(())
    }

    /// Sets the number of steps done, at most 2⁵³. The masks of the next step are those of this
    /// number, and a schedule's learning rate, unless the optimizer has begun later.
    ///
    /// # Errors
    ///
    /// [`Error::Parameter`].
    pub fn set_step(&mut self, step: u64) -> Result<()> {
        require_count("set_step", "step", step)?;
        self.optimized_from = self.optimized_from.min(step);
        self.skips.clear();
        self.step = step;
        Ok(())
    }

    /// Sets the number of epochs begun, at most 2⁵³. The order of the next epoch is that of this
    /// number.
    ///
    /// # Errors
    ///
    /// [`Error::Parameter`].
    pub fn set_epoch(&mut self, epoch: u64) -> Result<()> {
        require_count("set_epoch", "epoch", epoch)?;
        self.epoch = epoch;
        Ok(())
    }

    /// One training step on x, [n, input shape], and the targets y, [n, output shape]: one-hot for a
    /// network that ends with a softmax. Does not block.
    ///
    /// # Errors
    ///
    /// As [`predict_async`](Self::predict_async); [`Error::NotFinite`] and [`Error::Data`] if the loss, a
    /// gradient or a target is not allowed: the step has then changed nothing.
    pub async fn train_on_batch_async(&mut self, x: &Tensor, y: &Tensor) -> Result<Score> {
        self.train_on_batch_by(x, y, &platform::wait_aside).await
    }

    pub(in crate::nn) async fn train_on_batch_by(
        &mut self,
        x: &Tensor,
        y: &Tensor,
        progress: &impl transfer::Progress,
    ) -> Result<Score> {
        const OP: &str = "train_on_batch";
        self.check_source(OP, "x", x)?;
        self.check_source(OP, "y", y)?;
        let n = self.batch_of(OP, x, y)?;
        self.look(progress).await?;
        let loss = self.loss_for(OP, None, None)?;
        let optimizer = self.optimizer.clone();
        let training = &*self.prepare_training(n, &optimizer, loss)?;
        self.adopt(self.compiled(training, optimizer, None));
        let step = self.step;
        let mut records = Vec::new();
        let parts = training.plan(self.record(step)?, 0, 0..n, &mut records);
        let records = training.steps.stage(&self.gpu, &records)?;
        let batch = Batch::Tensors(x, y, &training.evaluation.losses.plain_weights);
        let mut flight = training.submit(&self.gpu, &batch, &parts, Some(records))?;
        self.step += 1;
        self.leave_unseen();
        let totals = match flight.land(&self.gpu, progress).await {
            Ok(totals) => totals,
            Err(error) => return Err(self.refused(step, error)),
        };
        let seen = self.see(OP, loss, step, &totals, 0);
        self.unseen = None;
        if totals.invalid > 0.0 {
            // The error that says which.
            check_targets(OP, loss, y, progress).await?;
        }
        seen?;
        self.count_skips();
        let mut sums = Sums::default();
        sums.add(&totals);
        Ok(sums.score(loss))
    }

    /// How many samples a batch has.
    pub(super) fn batch_of(&self, op: &'static str, x: &Tensor, y: &Tensor) -> Result<usize> {
        let n = self.samples(op, "x", x, self.input_shape())?;
        if self.samples(op, "y", y, self.output_shape())? != n {
            return Err(Error::Shape {
                op,
                operand: "y",
                expected: [&[n], self.output_shape()].concat(),
                actual: y.shape().into(),
            });
        }
        if n == 0 {
            let detail = "the batch has no samples".into();
            return Err(Error::Data { op, detail });
        }
        Ok(n)
    }

    /// The step, counted from 0, from which on nothing has changed, if nobody has looked at it yet.
    pub(in crate::nn) async fn halted(
        &self,
        progress: &impl transfer::Progress,
    ) -> Result<Option<u64>> {
        match &self.unseen {
            Some((slots, generation)) => slots.guard.halted(&self.gpu, *generation, progress).await,
            None => Ok(None),
        }
    }

    /// Of a network whose precision needs one, once it has trained.
    pub(in crate::nn) async fn loss_scale(
        &self,
        progress: &impl transfer::Progress,
    ) -> Result<Option<LossScale>> {
        match (self.builder.precision, &self.slots) {
            (Precision::F16, Some(slots)) => {
                slots.guard.loss_scale(&self.gpu, progress).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Looks at what the last training has left unseen.
    pub(super) async fn look(&mut self, progress: &impl transfer::Progress) -> Result<()> {
        let halted = self.halted(progress).await?;
        self.unseen = None;
        match halted {
            Some(step) => Err(self.halt(step, Error::NotFinite { step: step + 1 })),
            None => Ok(()),
        }
    }

    /// Starts over: no step from before has anything to say about those to come.
    pub(in crate::nn) fn start_over(&mut self) {
        self.generation += 1;
        self.unseen = None;
        self.recorded.clear();
    }

    /// Goes back to before the step, from which on nothing has changed.
    pub(super) fn halt(&mut self, step: u64, error: Error) -> Error {
        self.step = step;
        self.optimized_from = self.optimized_from.min(step);
        self.skips.retain(|&skipped| skipped < step);
        self.start_over();
        error
    }

    /// Goes back to before a step that the device has refused.
    pub(super) fn refused(&mut self, step: u64, error: Error) -> Error {
        if error == Error::DeviceLost {
            return error;
        }
        self.forget_buffers();
        let error = self.halt(step, error);
        if self.step == self.optimized_from {
            // Nothing is in them yet, and they may be none.
            self.slots = None;
        }
        error
    }

    /// Makes them anew when they are needed: some may be none.
    pub(super) fn forget_buffers(&mut self) {
        *self.buffers() = Buffers::default();
    }

    /// From here on, where the host knows of all steps before, the optimizer counts those that are not skipped: a
    /// checkpoint goes on with the same count.
    pub(super) fn count_skips(&mut self) {
        self.optimized_from += self.skips.len() as u64;
        self.skips.clear();
    }

    /// Looks at what a step has done; returns whether it is finite.
    pub(super) fn see(
        &mut self,
        op: &'static str,
        loss: Loss,
        step: u64,
        totals: &Totals,
        allowed: u32,
    ) -> Result<bool> {
        let is_finite = totals.is_finite != 0.0;
        let mut sums = Sums::default();
        sums.add(totals);
        if let Err(error) = sums.check(op, loss) {
            return Err(self.halt(step, error));
        }
        if !is_finite && totals.bad > allowed as f32 {
            return Err(self.halt(step, Error::NotFinite { step: step + 1 }));
        }
        if !is_finite {
            self.skips.push(step);
        }
        Ok(is_finite)
    }
}
