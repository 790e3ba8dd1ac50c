use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::data::Feed;
use super::sequential::{Sequential, Training};
use super::workspace::Slots;
use super::{Dataset, files};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::recording::begin_pass;
use crate::ops::network::loss::Loss;
use crate::ops::network::optimizer::Optimizer;
use crate::ops::network::step::Step;
use crate::{Error, Result, random};

/// Loss and accuracy, averaged over samples.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Score {
    /// The mean loss.
    pub loss: f64,
    /// The share of samples (or positions) whose largest output is where the largest target is; NaN
    /// for losses that are not for classes.
    pub accuracy: f64,
}

impl Score {
    /// From the sums of steps with `terms` terms in all.
    pub(super) fn new(loss: Loss, totals: &[[f32; 2]], terms: usize) -> Self {
        let sum = |i: usize| totals.iter().map(|total| f64::from(total[i])).sum::<f64>();
        Self {
            loss: sum(0) / terms as f64,
            accuracy: if loss.has_accuracy() {
                sum(1) / terms as f64
            } else {
                f64::NAN
            },
        }
    }
}

/// How to train.
///
/// By default as in Keras: batches of 32, one epoch, shuffled.
#[derive(Clone, Debug)]
#[must_use]
pub struct Fit<'a> {
    optimizer: Optimizer,
    loss: Option<Loss>,
    batch_size: usize,
    epochs: usize,
    initial_epoch: usize,
    shuffle: bool,
    seed: Option<u64>,
    validation_split: f64,
    validation_data: Option<&'a Dataset>,
}

impl<'a> Fit<'a> {
    /// Trains with this optimizer. If the network has been trained with one of the same kind, which
    /// stores the same for each weight, it continues with that state and the count of steps.
    pub fn new(optimizer: impl Into<Optimizer>) -> Self {
        Self {
            optimizer: optimizer.into(),
            loss: None,
            batch_size: 32,
            epochs: 1,
            initial_epoch: 0,
            shuffle: true,
            seed: None,
            validation_split: 0.0,
            validation_data: None,
        }
    }

    /// The loss to minimize. By default the one the network was compiled with.
    pub fn loss(mut self, loss: Loss) -> Self {
        self.loss = Some(loss);
        self
    }

    /// Samples per batch; the last batch of an epoch may have fewer.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// The epoch to stop after, counted from 1.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// The number of epochs already trained, as in Keras; the order of samples continues there.
    pub fn initial_epoch(mut self, initial_epoch: usize) -> Self {
        self.initial_epoch = initial_epoch;
        self
    }

    /// Whether each epoch takes the samples in another order.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// The seed of the order. By default the network's.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The share of the samples, from the end, that is not trained on but evaluated after each
    /// epoch.
    pub fn validation_split(mut self, validation_split: f64) -> Self {
        self.validation_split = validation_split;
        self
    }

    /// Samples to evaluate after each epoch, in place of a split.
    pub fn validation_data(mut self, data: &'a Dataset) -> Self {
        self.validation_data = Some(data);
        self
    }

    fn check(&self, samples: usize) -> Result<usize> {
        let wrong = |detail: String| Err(Error::Data { op: "fit", detail });
        if self.batch_size == 0 {
            return wrong("batch_size must be at least 1".into());
        }
        if !(0.0..1.0).contains(&self.validation_split) {
            return wrong(format!(
                "validation_split is {}, must be at least 0 and below 1",
                self.validation_split
            ));
        }
        let split = match self.validation_data {
            Some(_) => 0.0,
            None => self.validation_split,
        };
        let trained = (samples as f64 * (1.0 - split)).floor() as usize;
        if trained == 0 {
            return wrong(format!(
                "of {samples} samples, a validation_split of {split} leaves none to train on"
            ));
        }
        Ok(trained)
    }
}

/// The results of training.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct History {
    /// The scores of each epoch.
    pub epochs: Vec<EpochScores>,
    /// The loss of each step.
    pub losses: Vec<f64>,
    /// Whether a callback has stopped the training.
    pub stopped: bool,
}

/// The scores of an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct EpochScores {
    /// Averaged over the epoch's steps, with dropout, each before it changes the weights.
    pub training: Score,
    /// On the validation samples, after the epoch.
    pub validation: Option<Score>,
}

/// The events that a callback receives.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A step has been submitted.
    Batch(BatchEnd<'a>),
    /// An epoch is over.
    Epoch(EpochEnd<'a>),
}

/// A step of an epoch.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchEnd<'a> {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The last epoch.
    pub epochs: usize,
    /// The step in the epoch, counted from 1.
    pub batch: usize,
    /// The steps of the epoch.
    pub batches: usize,
    model: &'a Sequential,
    training: &'a Training,
    samples: usize,
}

impl BatchEnd<'_> {
    /// The mean so far in this epoch; waits for the GPU.
    ///
    /// # Errors
    ///
    /// [`Error::NotANumber`], [`Error::DeviceLost`].
    pub fn score(&self) -> Result<Score> {
        let totals = self.training.losses.read(&self.model.gpu, self.batch)?;
        let before = self.model.step - self.batch as u64;
        finite(&totals, before)?;
        let terms = self.samples * self.training.losses.positions;
        Ok(Score::new(self.model.loss, &totals, terms))
    }
}

/// The end of an epoch.
#[derive(Debug)]
#[non_exhaustive]
pub struct EpochEnd<'a> {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// The last epoch.
    pub epochs: usize,
    /// Its scores.
    pub scores: EpochScores,
    /// The network, to save it for instance.
    pub model: &'a Sequential,
}

/// The optimizer and the loss that a network was compiled with.
struct Compiled {
    optimizer: Optimizer,
    loss: Loss,
    /// The moments and the step, if another optimizer starts afresh.
    restarted: Option<(Option<Arc<Slots>>, u64)>,
}

/// Steps that may be submitted before the GPU has finished the first of them.
const AHEAD: usize = 4;

impl Sequential {
    /// Trains on `data`.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if the data does not have the network's shapes, or has no targets;
    /// [`Error::Parameter`]; [`Error::NotANumber`] after the epoch in which the loss became NaN;
    /// [`Error::OtherGpu`], [`Error::TooLarge`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn fit(&mut self, data: &Dataset, fit: &Fit) -> Result<History> {
        self.fit_with(data, fit, |_| ControlFlow::Continue(()))
    }

    /// Trains on `data`; `callback` is called after each batch and epoch, and may stop the training
    /// with [`ControlFlow::Break`].
    ///
    /// # Errors
    ///
    /// As [`fit`](Self::fit).
    pub fn fit_with(
        &mut self,
        data: &Dataset,
        fit: &Fit,
        mut callback: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<History> {
        let trained = fit.check(data.len())?;
        fit.optimizer.check()?;
        let loss = fit.loss.unwrap_or(self.loss);
        let validated = match fit.validation_data {
            Some(validation) => validation.len(),
            None => data.len() - trained,
        };
        let batch = fit.batch_size.min(trained.max(validated));
        let batches = trained.div_ceil(batch);
        let steps = batches + validated.div_ceil(batch);
        let mut before = self.take_over(fit.optimizer, loss)?;
        let (training, feed, validation) = match self.prepare_fit(data, fit, batch, steps) {
            Ok(feeds) => feeds,
            Err(error) => {
                self.restore(before);
                return Err(error);
            }
        };
        let mut order = ordered(data.len());
        let mut history = History::default();
        for epoch in fit.initial_epoch..fit.epochs {
            if fit.shuffle {
                let seed = fit.seed.unwrap_or(self.seed);
                random::shuffle(&mut order[..trained], seed, epoch as u64);
            }
            let steps = self.records(batch, trained, validated, fit.validation_data.is_some());
            let written = feed.write(&self.gpu, &order);
            if let Err(error) = written.and_then(|()| self.steps.write(&self.gpu, &steps)) {
                self.restore(before);
                return Err(error);
            }
            let mut under_way = VecDeque::new();
            let (mut done, mut samples) = (0, 0);
            for (i, step) in steps[..batches].iter().enumerate() {
                match self.submit_step(i, &feed, training.step()) {
                    Ok(submission) => under_way.push_back(submission),
                    Err(error) => {
                        self.restore(before);
                        return Err(error);
                    }
                }
                // From here on there is no way back.
                before = None;
                if under_way.len() > AHEAD {
                    self.gpu.link().wait(under_way.pop_front());
                }
                self.step += 1;
                done += 1;
                samples += step.count as usize;
                let end = BatchEnd {
                    epoch: epoch + 1,
                    epochs: fit.epochs,
                    batch: done,
                    batches,
                    model: self,
                    training: &training,
                    samples,
                };
                if callback(Progress::Batch(end)).is_break() {
                    history.stopped = true;
                    break;
                }
            }
            if !history.stopped {
                let feed = validation.as_ref().unwrap_or(&feed);
                for i in batches..steps.len() {
                    under_way.push_back(self.submit_step(i, feed, training.evaluation())?);
                    if under_way.len() > AHEAD {
                        self.gpu.link().wait(under_way.pop_front());
                    }
                }
            }
            let totals = training.losses.read(&self.gpu, steps.len())?;
            finite(&totals[..done], self.step - done as u64)?;
            let positions = training.losses.positions;
            let losses = totals[..done].iter().zip(&steps);
            history.losses.extend(losses.map(|(total, step)| {
                f64::from(total[0]) / (step.count as usize * positions) as f64
            }));
            let scores = EpochScores {
                training: Score::new(self.loss, &totals[..done], samples * positions),
                validation: (!history.stopped && validated > 0)
                    .then(|| Score::new(self.loss, &totals[batches..], validated * positions)),
            };
            history.epochs.push(scores);
            if history.stopped {
                break;
            }
            let end = EpochEnd {
                epoch: epoch + 1,
                epochs: fit.epochs,
                scores,
                model: self,
            };
            if callback(Progress::Epoch(end)).is_break() {
                history.stopped = true;
                break;
            }
        }
        Ok(history)
    }

    /// Switches to this optimizer and this loss; returns what was there before, if that differs.
    fn take_over(&mut self, optimizer: Optimizer, loss: Loss) -> Result<Option<Compiled>> {
        if (optimizer, loss) == (self.optimizer, self.loss) {
            return Ok(None);
        }
        self.check_loss(loss)?;
        let mut before = Compiled {
            optimizer: self.optimizer,
            loss: self.loss,
            restarted: None,
        };
        let kept = |optimizer: &Optimizer| (optimizer.name(), optimizer.slots());
        if kept(&optimizer) != kept(&self.optimizer) {
            before.restarted = Some((self.slots.take(), self.step));
            self.step = 0;
        }
        (self.optimizer, self.loss) = (optimizer, loss);
        self.training = None;
        Ok(Some(before))
    }

    fn restore(&mut self, before: Option<Compiled>) {
        let Some(before) = before else { return };
        (self.optimizer, self.loss) = (before.optimizer, before.loss);
        if let Some(restarted) = before.restarted {
            (self.slots, self.step) = restarted;
        }
        self.training = None;
    }

    /// The batches to train on, and those to validate with if they come from other data.
    fn prepare_fit(
        &mut self,
        data: &Dataset,
        fit: &Fit,
        batch: usize,
        steps: usize,
    ) -> Result<(Arc<Training>, Feed, Option<Feed>)> {
        let training = self.prepare_training(batch, steps)?;
        let feed = self.feed("fit", data, &training)?;
        let validation = match fit.validation_data {
            Some(validation) => {
                let feed = self.feed("fit: validation data", validation, &training)?;
                feed.write(&self.gpu, &ordered(validation.len()))?;
                Some(feed)
            }
            None => None,
        };
        Ok((training, feed, validation))
    }

    /// Loss and accuracy on `data`. Dropout is the identity.
    ///
    /// # Errors
    ///
    /// As [`fit`](Self::fit), except for NaN, which is a loss like any other here.
    pub fn evaluate(&mut self, data: &Dataset) -> Result<Score> {
        const OP: &str = "evaluate";
        if data.is_empty() {
            return Err(Error::Data {
                op: OP,
                detail: "the data set has no samples".into(),
            });
        }
        let forward = self.prepare_evaluation(data.len())?;
        let rows = forward.rows;
        let batches = data.len().div_ceil(rows);
        let training = self.prepare_losses(forward, batches)?;
        let feed = self.feed(OP, data, &training)?;
        feed.write(&self.gpu, &ordered(data.len()))?;
        let record = |i: usize| Step {
            first: (i * rows) as u32,
            count: rows.min(data.len() - i * rows) as u32,
            result: i as u32,
            ..Step::default()
        };
        let steps: Vec<_> = (0..batches).map(record).collect();
        self.steps.write(&self.gpu, &steps)?;
        let mut under_way = VecDeque::new();
        for i in 0..batches {
            under_way.push_back(self.submit_step(i, &feed, training.evaluation())?);
            if under_way.len() > AHEAD {
                self.gpu.link().wait(under_way.pop_front());
            }
        }
        let totals = training.losses.read(&self.gpu, batches)?;
        let terms = data.len() * training.losses.positions;
        Ok(Score::new(self.loss, &totals, terms))
    }

    /// The records of an epoch: its steps, then those of the validation.
    fn records(&self, batch: usize, trained: usize, validated: usize, apart: bool) -> Vec<Step> {
        let count = |first: usize, of: usize| batch.min(of - first);
        let mut steps: Vec<_> = (0..trained)
            .step_by(batch)
            .enumerate()
            .map(|(i, first)| self.next_step(i, first, count(first, trained)))
            .collect();
        // The validation samples are a data set of their own, or the last of the same.
        let start = if apart { 0 } else { trained };
        for first in (0..validated).step_by(batch) {
            steps.push(Step {
                first: (start + first) as u32,
                count: count(first, validated) as u32,
                result: steps.len() as u32,
                ..Step::default()
            });
        }
        steps
    }

    fn submit_step<'a>(
        &self,
        record: usize,
        feed: &'a Feed,
        dispatches: impl Iterator<Item = &'a Dispatch>,
    ) -> Result<wgpu::SubmissionIndex> {
        self.gpu.link().enqueue(|encoder| {
            let mut pass = begin_pass(encoder);
            for dispatch in feed.dispatches.iter().chain(dispatches) {
                dispatch.record(&mut pass, Some(self.steps.bound(record)));
            }
            Ok(())
        })
    }

    /// Writes the weights to a safetensors file, by their names, atomically.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::OutOfMemory`], [`Error::DeviceLost`]. The file is then unchanged.
    pub fn save(&self, path: impl AsRef<std::path::Path>) -> Result<()> {
        files::save(self, path.as_ref(), false)
    }

    /// Reads the weights of a safetensors file.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if it can't be read, or is not a safetensors file of exactly this network's
    /// names, shapes and types; [`Error::OutOfMemory`], [`Error::DeviceLost`]. The network is then
    /// unchanged.
    pub fn load(&mut self, path: impl AsRef<std::path::Path>) -> Result<()> {
        files::load(self, path.as_ref(), false)
    }

    /// Writes everything needed to continue training: the weights, the optimizer's moments, the
    /// number of the step and the seed.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub fn save_checkpoint(&self, path: impl AsRef<std::path::Path>) -> Result<()> {
        files::save(self, path.as_ref(), true)
    }

    /// Reads what [`save_checkpoint`](Self::save_checkpoint) has written. Given the same optimizer,
    /// data and batches, and [`Fit::initial_epoch`], training continues as if it had never stopped.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_checkpoint(&mut self, path: impl AsRef<std::path::Path>) -> Result<()> {
        files::load(self, path.as_ref(), true)
    }
}

/// An error if a loss is NaN; `before` steps came before these.
fn finite(totals: &[[f32; 2]], before: u64) -> Result<()> {
    match totals.iter().position(|total| total[0].is_nan()) {
        Some(i) => Err(Error::NotANumber {
            step: before + i as u64 + 1,
        }),
        None => Ok(()),
    }
}

fn ordered(len: usize) -> Vec<u32> {
    (0..len as u32).collect()
}
