//! A run in an application's encoders: nothing is submitted, and nobody waits.

use super::{EpochEnd, OP, Progress, Run, Source, VALIDATION};
use crate::gpu::transfer::Arrival;
use crate::nn::training::score::EpochScores;
use crate::nn::training::step::{Flight, Outcome};
use crate::ops::network::step::Step;
use crate::{Error, Pass, Result, random};

/// What is recorded, in order.
#[derive(Debug)]
pub(super) enum Recorded {
    /// Of the network's step and the epoch, both counted from 0.
    Step(Flight, u64, usize),
    Validation(Flight),
    /// The end of an epoch, counted from 1, and whether it was not stopped before.
    Epoch(usize, bool),
}

impl Run<'_> {
    /// Records the next piece of the training into a pass over an application's encoder: a step, or a
    /// batch of the validation. Returns whether there was one. Nothing is submitted, and nobody waits; see
    /// [`Pass::train_on_batch`]. The data must be a [`Dataset`](crate::nn::Dataset), which the GPU has.
    ///
    /// [`try_next`](Self::try_next) gives the epochs that are over. A step that is skipped, see
    /// [`Fit::skip_non_finite`](super::Fit::skip_non_finite), is none to a schedule from when its result
    /// has come back. A run that has begun with `record`
    /// goes on with it, not with [`next`](Self::next).
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::Gpu;
    /// use selfnorm::nn::{Activation::Softmax, Adam, Dataset, Dense, Fit, Progress, Sequential};
    ///
    /// let gpu = Gpu::new()?;
    /// let mut model = Sequential::new([2]).add(Dense::new(2).activation(Softmax)).build(&gpu, 42)?;
    /// let data = Dataset::from_floats(&gpu, &[0.0, 1.0, 1.0, 0.0], [2])?.classes(&[0, 1])?;
    /// let mut run = model.train(&data, &Fit::new(Adam::default()).epochs(3))?;
    /// loop {
    ///     // Each frame:
    ///     let mut encoder = gpu.device().create_command_encoder(&Default::default());
    ///     let has_more = run.record(&mut gpu.pass(&mut encoder))?;
    ///     gpu.queue().submit([encoder.finish()]);
    ///     while let Some(progress) = run.try_next()? {
    ///         if let Progress::Epoch(end) = progress {
    ///             println!("{}: {:.4}", end.epoch, end.scores.training.loss);
    ///         }
    ///     }
    ///     if !has_more && run.unfinished() == 0 {
    ///         break;
    ///     }
    /// }
    /// assert_eq!(run.finish().epochs.len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Pass::train_on_batch`]; [`Error::Data`] for batches from the host, and for a run that has
    /// begun with [`next`](Self::next).
    pub fn record(&mut self, pass: &mut Pass) -> Result<bool> {
        self.model.check_pass("record", pass)?;
        pass.encoder("record")?;
        let refused = |detail: &str| {
            let detail = detail.into();
            Err(Error::Data { op: OP, detail })
        };
        let has_begun = self.state.compiled.is_none() || self.state.over;
        if has_begun && !self.state.is_recorded {
            return refused("a run that has begun with next goes on with next, not with record");
        }
        if self.exchange.is_some() {
            return refused("a step of several ranks waits for their gradients: call next");
        }
        let Source::Resident(data) = &self.source else {
            return refused(
                "only a Dataset, which is on the GPU, can be recorded; call next for batches from the host",
            );
        };
        if self.state.over || self.epoch == self.epochs {
            return Ok(false);
        }
        let batches = data.batches();
        self.land_recorded()?;
        if self.state.stopped {
            if self.batch > 0 {
                self.end_recorded_epoch(false);
            }
            self.state.is_recorded = true;
            self.state.over = true;
            return Ok(false);
        }
        if self.batch < batches {
            self.record_step(pass)?;
        } else {
            self.record_validation(pass)?;
        }
        let validated = self.validation.as_ref();
        let validated = validated.is_none_or(|data| self.state.validation == data.records.len());
        if self.batch == batches && validated {
            self.end_recorded_epoch(true);
        }
        Ok(true)
    }

    fn record_step(&mut self, pass: &mut Pass) -> Result<()> {
        if !self.state.is_recorded {
            // What the run was prepared with comes before the application's submissions.
            self.model.gpu.link().flush()?;
        }
        let Some(compiled) = self.state.compiled.take() else {
            return self.record_trained(pass);
        };
        let before = self.model.adopt(compiled);
        self.model.generation += 1;
        let recorded = self.record_trained(pass);
        match recorded {
            Ok(()) => self.state.is_recorded = true,
            Err(_) => self.state.compiled = Some(self.model.adopt(before)),
        }
        recorded
    }

    fn record_trained(&mut self, pass: &mut Pass) -> Result<()> {
        let Source::Resident(data) = &mut self.source else {
            return Ok(());
        };
        let model = &mut *self.model;
        let training = self.state.training.clone();
        let epoch = Some(self.epoch);
        if self.state.shuffled != epoch
            && let Some(seed) = data.shuffle
        {
            random::shuffle(&mut data.order[..data.trained], seed, model.epoch);
        }
        self.state.shuffled = epoch;
        let mut order = Vec::new();
        // Until a step of the epoch has come back, for the encoder before may be dropped.
        if self.state.ordered != epoch {
            order = data.feed.stage(&model.gpu, &data.order)?;
        }
        let first = self.batch * data.batch_size;
        let count = data.batch_size.min(data.trained - first);
        let mut records = Vec::new();
        let record = Step {
            allowed: self.state.allowed,
            ..model.record(model.step)?
        };
        let parts = training.plan(record, first, 0..count, &mut records);
        let records = training.frame.stage(&model.gpu, &records)?;
        let flight = Flight::new(&model.gpu, size_of::<Outcome>() as u64)?;
        let feed = &data.feed;
        let begin = |encoder: &mut wgpu::CommandEncoder| {
            feed.replace(order, encoder);
            training.frame.replace(records, encoder);
        };
        training.record(pass, |_| &feed.dispatches, &parts, begin, &flight)?;
        let recorded = Recorded::Step(flight, model.step, self.epoch);
        self.state.recorded.push_back(recorded);
        model.leave_unseen();
        if self.batch == 0 {
            model.epoch += 1;
        }
        self.batch += 1;
        model.step += 1;
        Ok(())
    }

    fn record_validation(&mut self, pass: &mut Pass) -> Result<()> {
        let (Some(validation), Source::Resident(data)) = (&self.validation, &self.source) else {
            return Ok(());
        };
        let training = &self.state.training;
        let feed = validation.feed.as_ref().unwrap_or(&data.feed);
        let record = validation.records.get(self.state.validation);
        let records = training.frame.stage(&self.model.gpu, &[record])?;
        let flight = Flight::new(&self.model.gpu, size_of::<Outcome>() as u64)?;
        training.frame.replace(records, pass.encoder(OP)?);
        let dispatches = feed.dispatches.iter();
        let dispatches = dispatches.chain(training.evaluation.dispatches());
        pass.record_all(dispatches, Some(training.frame.bound(0)))?;
        let back = [
            &training.evaluation.losses.totals,
            training.slots.guard.state(),
        ];
        flight.record(pass.encoder(OP)?, &back);
        self.state.recorded.push_back(Recorded::Validation(flight));
        self.state.validation += 1;
        Ok(())
    }

    fn end_recorded_epoch(&mut self, is_complete: bool) {
        self.epoch += 1;
        self.batch = 0;
        self.state.validation = 0;
        let end = Recorded::Epoch(self.epoch, is_complete);
        self.state.recorded.push_back(end);
    }

    /// The next epoch of those that [`record`](Self::record) has recorded that the GPU has finished.
    /// Does not wait.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next); the training is then over.
    pub fn try_next(&mut self) -> Result<Option<Progress<'_>>> {
        let is_awaited = !self.state.recorded.is_empty();
        let progress = match is_awaited {
            true => self.model.gpu.link().progress(),
            false => Ok(()),
        };
        let landed = progress.and_then(|()| self.land_recorded());
        self.state.over |= landed.is_err();
        landed?;
        let epochs = self.epochs;
        let (model, state) = (&mut *self.model, &mut self.state);
        let ended = state.ended.pop_front();
        Ok(ended.map(|(epoch, scores)| {
            Progress::Epoch(EpochEnd {
                epoch,
                epochs,
                scores,
                model,
                state,
            })
        }))
    }

    /// The number of steps and batches that are recorded and that the GPU has not finished, as far as
    /// [`try_next`](Self::try_next) knows.
    pub fn unfinished(&self) -> usize {
        self.state.recorded.len()
    }

    /// Looks at what has come back.
    fn land_recorded(&mut self) -> Result<()> {
        let loss = self.state.training.evaluation.loss;
        let generation = self.model.generation;
        loop {
            let (model, state) = (&mut *self.model, &mut self.state);
            let mut outcome = Outcome::default();
            let (flight, step) = match state.recorded.front_mut() {
                None => return Ok(()),
                Some(Recorded::Epoch(epoch, is_complete)) => {
                    let (epoch, is_complete) = (*epoch, *is_complete);
                    state.recorded.pop_front();
                    let scores = self.recorded_scores(is_complete)?;
                    self.state.ended.push_back((epoch, scores));
                    continue;
                }
                Some(Recorded::Step(flight, step, epoch)) => (flight, Some((*step, *epoch))),
                Some(Recorded::Validation(flight)) => (flight, None),
            };
            let arrival = flight.poll(&model.gpu, step.map(|(step, _)| step), &mut outcome)?;
            if arrival == Arrival::Later {
                return Ok(());
            }
            state.recorded.pop_front();
            if state.recorded.is_empty() {
                model.unseen = None;
            }
            match (arrival, step) {
                (Arrival::Here, None) => state.validated.add(&outcome.totals),
                (Arrival::Here, Some((step, epoch))) => {
                    state.ordered = Some(epoch);
                    let score = model.see_recorded(OP, loss, step, generation, &outcome);
                    if score.is_err() {
                        // The steps after it have done nothing.
                        state.recorded.clear();
                        state.over = true;
                    }
                    model.history.losses.push(score?.loss);
                    if model.skips.last() == Some(&step) {
                        model.history.skipped.push(step + 1);
                        let precision = model.builder.precision;
                        state.sums.add_skipped(&outcome.totals, precision);
                    } else {
                        state.sums.add(&outcome.totals);
                    }
                }
                _ => {}
            }
        }
    }

    /// The scores of an epoch whose steps have all landed.
    fn recorded_scores(&mut self, is_complete: bool) -> Result<EpochScores> {
        let loss = self.state.training.evaluation.loss;
        let sums = std::mem::take(&mut self.state.sums);
        let validated = std::mem::take(&mut self.state.validated);
        let mut validation = None;
        if is_complete {
            if self.model.history.skipped.is_empty() {
                sums.check_any(OP)?;
            }
            if self.validation.is_some() {
                validated.check(VALIDATION, loss)?;
                validated.check_any(VALIDATION)?;
                validation = Some(validated.score(loss));
            }
        }
        let scores = EpochScores {
            training: sums.score(loss),
            validation,
        };
        self.model.history.epochs.push(scores);
        Ok(scores)
    }
}
