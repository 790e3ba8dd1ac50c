//! What training does to a network: its optimizer, its counts, and what it has learned of a step.

use super::step::Batch;
use super::{Score, score::Sums};
use crate::gpu::platform;
use crate::gpu::transfer;
use crate::nn::Sequential;
use crate::ops::network::loss::{Loss, Totals};
use crate::ops::network::optimizer::{LearningRate, Optimizer};
use crate::{Error, Result, Tensor};

impl Sequential {
    /// Sets the optimizer and the loss. An optimizer of another kind starts with no state; one of
    /// the same kind, which stores the same for each weight, continues with that of the one before.
    /// The network's counts of steps and epochs go on.
    ///
    /// # Errors
    ///
    /// [`Error::Parameter`] if a parameter of the optimizer or the loss is not allowed,
    /// [`Error::Data`] if the loss does not fit the network's output.
    pub fn compile(&mut self, optimizer: impl Into<Optimizer>, loss: Loss) -> Result<()> {
        let optimizer = optimizer.into();
        optimizer.check()?;
        self.check_loss("compile", loss)?;
        if !self.optimizer.is_same_kind(&optimizer) {
            self.reset_optimizer();
        }
        self.optimizer = optimizer;
        self.loss = Some(loss);
        Ok(())
    }

    /// Forgets the optimizer's state, such as Adam's moments, and its count of steps.
    pub fn reset_optimizer(&mut self) {
        self.slots = None;
        self.optimized_from = self.step;
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

    /// Sets the number of steps done. The masks of the next step are those of this number.
    pub fn set_step(&mut self, step: u64) {
        self.optimized_from = self.optimized_from.min(step);
        self.step = step;
    }

    /// Sets the number of epochs begun. The order of the next epoch is that of this number.
    pub fn set_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// One training step on x, [n, input shape], and the targets y, [n, output shape]: one-hot for a
    /// network that ends with a softmax.
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict); [`Error::NotFinite`] and [`Error::Data`] if the loss, a
    /// gradient or a target is not allowed: the step has then changed nothing.
    pub fn train_on_batch(&mut self, x: &Tensor, y: &Tensor) -> Result<Score> {
        const OP: &str = "train_on_batch";
        let n = self.samples(OP, "x", x, self.input_shape())?;
        let targets = self.samples(OP, "y", y, self.output_shape())?;
        if targets != n {
            return Err(Error::Shape {
                op: OP,
                operand: "y",
                expected: [&[n], self.output_shape()].concat(),
                actual: y.shape().into(),
            });
        }
        if n == 0 {
            return Err(Error::Data {
                op: OP,
                detail: "the batch has no samples".into(),
            });
        }
        let loss = self.loss_on_tensors(OP)?;
        let optimizer = self.optimizer.clone();
        let training = &*self.prepare_training(n, &optimizer, loss)?;
        self.adopt(self.compiled(training, optimizer, None));
        let progress = &platform::wait_for_answer;
        pollster::block_on(self.begin(0, progress))?;
        let step = self.step;
        let mut records = Vec::new();
        let parts = training.plan(self.record(step)?, 0, n, &mut records);
        training.steps.write(&self.gpu, &records)?;
        let batch = Batch::Tensors(x, y);
        let flight = training.submit(&self.gpu, &batch, &parts)?;
        self.step += 1;
        let totals = pollster::block_on(flight.land(&self.gpu, progress))?;
        self.see(step, &totals, 0)?;
        let mut sums = Sums::default();
        sums.add(&totals);
        Ok(sums.score(loss))
    }

    /// Comes before the first step of a training in which `allowed` steps may be not finite: looks
    /// at what the last training has left unseen.
    pub(super) async fn begin(
        &mut self,
        allowed: u32,
        progress: &impl transfer::Progress,
    ) -> Result<()> {
        let _ = (allowed, progress);
        Ok(())
    }

    /// Looks at what a step has done; returns whether it has trained.
    pub(super) fn see(&mut self, step: u64, totals: &Totals, allowed: u32) -> Result<bool> {
        let loss = f64::from(totals.loss) / f64::from(totals.counted.max(1.0));
        if totals.updated != 0.0 {
            self.history.losses.push(loss);
            return Ok(true);
        }
        let _ = allowed;
        self.step = step;
        Err(Error::NotFinite { step: step + 1 })
    }
}
