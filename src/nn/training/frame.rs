//! Training in an application's encoder: nothing is submitted, and nobody waits.

use super::Score;
use super::score::Sums;
use super::step::{Flight, Outcome, Parts, Training};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::transfer::Arrival;
use crate::nn::Sequential;
use crate::nn::workspace::F32;
use crate::ops::network::copy::copy;
use crate::ops::network::loss::{Loss, SCORES, score_batch};
use crate::pass::{Hint, read, write};
use crate::{Error, Pass, Result, Tensor};

const OP: &str = "train_on_batch";

/// A step in an encoder, and what of it is on its way.
#[derive(Debug)]
pub(in crate::nn) struct Recorded {
    flight: Flight,
    /// The network's step, counted from 0.
    step: u64,
    generation: u32,
    loss: Loss,
}

impl Training {
    /// Records a step after what `begin` records; `gather` has the dispatches that fetch each part of its
    /// batch. Its outcome comes back by `flight`.
    pub(super) fn record<'a>(
        &'a self,
        pass: &mut Pass,
        gather: impl Fn(usize) -> &'a [Dispatch],
        parts: &Parts,
        begin: impl FnOnce(&mut wgpu::CommandEncoder),
        flight: &Flight,
    ) -> Result<()> {
        begin(pass.encoder(OP)?);
        for (i, part) in parts.before.iter().enumerate() {
            let step = self.frame.bound(part.record);
            pass.record_all(self.dispatches(gather(i), &[]), Some(step))?;
        }
        let step = self.frame.bound(parts.last.record);
        let last = self.dispatches(gather(parts.before.len()), &self.update);
        pass.record_all(last, Some(step))?;
        let back = [&self.evaluation.losses.totals, self.slots.guard.state()];
        flight.record(pass.encoder(OP)?, &back);
        Ok(())
    }

    /// Has what steps in frames need compiled.
    pub(super) fn prepare_frame(&self) -> Result<()> {
        let (input, targets) = (
            &self.evaluation.forward.input,
            &self.evaluation.losses.targets,
        );
        let count = self.rows().min(self.batch) as u64;
        for region in [input, targets] {
            let row = region.bytes / self.rows() as u64;
            copy(&self.gpu, &region.part(0, count * row), region)?;
        }
        let totals = &self.evaluation.losses.totals;
        score_batch(&self.gpu, totals, totals)?;
        Ok(())
    }

    /// The dispatches that fetch the parts of x and y, as many for each.
    fn fetch(&self, x: &Tensor, y: &Tensor) -> Result<Vec<Dispatch>> {
        let (forward, losses) = (&self.evaluation.forward, &self.evaluation.losses);
        let n = x.shape().first().copied().unwrap_or(0);
        let mut fetch = Vec::new();
        for first in (0..n).step_by(self.rows()) {
            let count = self.rows().min(n - first);
            let part = |tensor: &Tensor| {
                let row = (tensor.len() / n) as u64 * F32;
                tensor.region().part(first as u64 * row, count as u64 * row)
            };
            fetch.push(copy(&self.gpu, &part(x), &forward.input)?);
            fetch.push(copy(&self.gpu, &part(y), &losses.targets)?);
            fetch.push(losses.plain_weights.clone());
        }
        Ok(fetch)
    }
}

impl Pass<'_> {
    /// Records a training step on x, [n, input shape], and the targets y, [n, output shape], as
    /// [`Sequential::train_on_batch`] does it. Nobody waits, and nothing is submitted: the step runs when
    /// the caller submits the encoder, and what is recorded after it finds the new weights.
    ///
    /// From the second step with the same tensors on, nothing is compiled, and no GPU memory is allocated, but
    /// for some steps that are under way at the same time. (The first submits what was uploaded for it.
    /// A network keeps what it needs for batches of one size: another makes it anew.) x and y are copied
    /// to where the network computes.
    ///
    /// The score stays on the GPU: [`Sequential::score_into`] gives it to a tensor there, and
    /// [`Sequential::try_score`] is what has arrived here. A step whose loss or gradient is not finite
    /// changes nothing, nor do those after it that were recorded before the error is returned: by
    /// `try_score`, by this or by the next blocking training. An encoder that is dropped takes its steps
    /// with it; the network has counted them.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::nn::{Activation::Selu, Adam, Dense, Loss, Sequential};
    ///
    /// let gpu = selfnorm::Gpu::new()?;
    /// let mut model = Sequential::new([2])
    ///     .add(Dense::new(8).activation(Selu))
    ///     .add(Dense::new(1))
    ///     .build(&gpu, 42)?;
    /// model.compile(Adam::new(0.01), Loss::MeanSquaredError)?;
    /// let x = gpu.tensor(&[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0], [4, 2])?;
    /// let y = gpu.tensor(&[0.0, 1.0, 1.0, 0.0], [4, 1])?;
    ///
    /// // Each frame:
    /// let mut encoder = gpu.device().create_command_encoder(&Default::default());
    /// let mut pass = gpu.pass(&mut encoder);
    /// pass.train_on_batch(&mut model, &x, &y)?;
    /// drop(pass);
    /// gpu.queue().submit([encoder.finish()]);
    /// if let Some(score) = model.try_score()? {
    ///     println!("{:.4}", score.loss);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Shape`], [`Error::NoBatchAxis`], [`Error::OtherGpu`], [`Error::Data`] if the loss does not fit
    /// the network or the batch is empty; [`Error::NeedsEncoder`] in an open compute pass, [`Error::EncoderLocked`];
    /// [`Error::TooLarge`], [`Error::OutOfMemory`].
    pub fn train_on_batch(&mut self, model: &mut Sequential, x: &Tensor, y: &Tensor) -> Result<()> {
        model.check_pass(OP, self)?;
        let n = model.batch_of(OP, x, y)?;
        self.check(OP, &[read("x", x), read("y", y)], Hint::None)?;
        self.encoder(OP)?;
        // So that what comes back does not pile up if nobody asks for it.
        model.land_recorded()?;
        let loss = model.loss_for(OP, None, None)?;
        let optimizer = model.optimizer.clone();
        let training = model.prepare_training(n, &optimizer, loss)?;
        // What the first step needs comes before the application's submission.
        model.gpu.link().flush()?;
        let owners = [x.id(), y.id(), training.id];
        let fetch = || Ok(training.fetch(x, y)?.into());
        let fetch = model.gpu.dispatches().get(&owners, 0, fetch)?;
        let mut records = Vec::new();
        let parts = training.plan(model.record(model.step)?, 0, 0..n, &mut records);
        let fetch = |part| {
            let each = fetch.len() / records.len();
            &fetch[part * each..(part + 1) * each]
        };
        let records = training.frame.stage(&model.gpu, &records)?;
        let flight = Flight::new(&model.gpu, size_of::<Outcome>() as u64)?;
        model.adopt(model.compiled(&training, optimizer, None));
        let begin = |encoder: &mut wgpu::CommandEncoder| {
            training.frame.replace(records, encoder);
        };
        training.record(self, fetch, &parts, begin, &flight)?;
        model.recorded.push_back(Recorded {
            flight,
            step: model.step,
            generation: model.generation,
            loss,
        });
        model.leave_unseen();
        model.step += 1;
        Ok(())
    }
}

impl Sequential {
    /// The score of the last step in an encoder, see [`Pass::train_on_batch`], that the GPU has finished,
    /// if there is one that has not been returned yet. Does not wait.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] if the loss or a gradient of a step was NaN or infinite, and
    /// [`Error::Data`] if the loss does not take its targets: that step and those recorded after it have
    /// changed nothing. [`Error::DeviceLost`].
    pub fn try_score(&mut self) -> Result<Option<Score>> {
        let is_awaited = !self.recorded.is_empty();
        if is_awaited {
            self.gpu.link().progress()?;
        }
        self.land_recorded()?;
        Ok(self.latest.take())
    }

    /// Looks at the steps in encoders that have come back.
    fn land_recorded(&mut self) -> Result<()> {
        while let Some(recorded) = self.recorded.front_mut() {
            let mut outcome = Outcome::default();
            let (step, loss, generation) = (recorded.step, recorded.loss, recorded.generation);
            let arrival = recorded.flight.poll(&self.gpu, Some(step), &mut outcome)?;
            if arrival == Arrival::Later {
                break;
            }
            self.recorded.pop_front();
            if self.recorded.is_empty() {
                self.unseen = None;
            }
            if arrival == Arrival::Here {
                self.latest = Some(self.see_recorded(OP, loss, step, generation, &outcome)?);
            }
        }
        Ok(())
    }

    /// Looks at what a step in an encoder has done.
    pub(super) fn see_recorded(
        &mut self,
        op: &'static str,
        loss: Loss,
        step: u64,
        generation: u32,
        outcome: &Outcome,
    ) -> Result<Score> {
        let mut sums = Sums::default();
        sums.add(&outcome.totals);
        if let Some(halted) = outcome.guard.halted_by(generation) {
            let invalid = sums.check(op, loss).err().filter(|_| halted == step);
            let error = invalid.unwrap_or(Error::NotFinite { step: halted + 1 });
            // Of a training that is over nothing is taken back.
            return Err(match generation == self.generation {
                true => self.halt(halted, error),
                false => error,
            });
        }
        if outcome.totals.is_finite == 0.0 {
            self.skips.push(step);
        }
        Ok(sums.score(loss))
    }

    /// The number of steps in encoders that the GPU has not finished, as far as
    /// [`try_score`](Self::try_score) knows. An application that records more than the GPU can do waits
    /// until there are fewer.
    pub fn unfinished_steps(&self) -> usize {
        self.recorded.len()
    }

    /// Records the score of the last training step before this into `score` \[2\]: the loss, and the
    /// accuracy or for losses of regression the mean absolute error. It is of the batch, before the
    /// step changed the weights. (If the network has evaluated since, it is that of the batch evaluated last.)
    ///
    /// # Errors
    ///
    /// [`Error::Shape`], [`Error::OtherGpu`]; [`Error::Data`] if the network has not been trained yet;
    /// [`Error::OutOfMemory`].
    pub fn score_into(&self, pass: &mut Pass, score: &Tensor) -> Result<()> {
        const OP: &str = "score_into";
        self.check_pass(OP, pass)?;
        pass.check(OP, &[write("score", score)], Hint::None)?;
        if score.shape() != [SCORES] {
            return Err(Error::Shape {
                op: OP,
                operand: "score",
                expected: vec![SCORES],
                actual: score.shape().into(),
            });
        }
        let training = self.buffers().training.clone();
        let Some(training) = training.filter(|_| self.step > 0) else {
            let detail = "the network has not been trained yet".into();
            return Err(Error::Data { op: OP, detail });
        };
        let make = || {
            let totals = &training.evaluation.losses.totals;
            Ok([score_batch(&self.gpu, totals, &score.region())?].into())
        };
        let owners = [score.id(), training.id];
        let dispatches = self.gpu.dispatches().get(&owners, 0, make)?;
        pass.record_all(&*dispatches, None)
    }

    /// An error if a pass is of another device.
    pub(in crate::nn) fn check_pass(&self, op: &'static str, pass: &Pass) -> Result<()> {
        if pass.gpu().is(&self.gpu) {
            return Ok(());
        }
        let operand = "the network";
        Err(Error::OtherGpu { op, operand })
    }
}
