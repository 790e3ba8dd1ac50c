//! What comes next in a training.

mod record;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::Range;
use std::sync::Arc;

use record::Recorded;

use super::exchange::{self, Exchange, Sharing};
use super::fit::Fit;
use super::prepare::Compiled;
use super::score::{EpochScores, History, Score, Sums};
use super::step::{AHEAD, Batch, Flight, Parts, Records, Training};
use crate::gpu::device::Owner;
use crate::gpu::platform;
use crate::gpu::transfer;
use crate::nn::Sequential;
use crate::nn::data::{Data, Feed, Staged, Stream};
use crate::ops::network::optimizer::LearningRate;
use crate::ops::network::step::Step;
use crate::{Error, Result, Tensor, random};

const OP: &str = "fit";
const VALIDATION: &str = "fit: validation data";

/// The events of a training.
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
    /// The epoch, counted from 1 in this training.
    pub epoch: usize,
    /// The last epoch.
    pub epochs: usize,
    /// The step in the epoch, counted from 1.
    pub batch: usize,
    /// The steps of the epoch; `None` if batches come from the host that can't say how many.
    pub batches: Option<usize>,
    model: &'a mut Sequential,
    state: &'a mut State,
}

impl BatchEnd<'_> {
    /// The mean so far in this epoch, once the GPU has finished what is under way.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`], [`Error::DeviceLost`].
    pub async fn score_async(&mut self) -> Result<Score> {
        self.score_by(&platform::wait_aside).await
    }

    pub(in crate::nn) async fn score_by(
        &mut self,
        progress: &impl transfer::Progress,
    ) -> Result<Score> {
        self.state.land(self.model, progress).await?;
        Ok(self.state.sums.score(self.state.training.evaluation.loss))
    }

    /// The network, after this step.
    pub fn model(&self) -> &Sequential {
        self.model
    }

    /// Sets the learning rate from the next step on.
    ///
    /// # Errors
    ///
    /// As [`Sequential::set_learning_rate`].
    pub fn set_learning_rate(&mut self, rate: impl Into<LearningRate>) -> Result<()> {
        self.state.set_learning_rate(self.model, rate.into())
    }
}

/// The end of an epoch.
#[derive(Debug)]
#[non_exhaustive]
pub struct EpochEnd<'a> {
    /// The epoch, counted from 1 in this training.
    pub epoch: usize,
    /// The last epoch.
    pub epochs: usize,
    /// Its scores.
    pub scores: EpochScores,
    model: &'a mut Sequential,
    state: &'a mut State,
}

impl EpochEnd<'_> {
    /// The network, after this epoch: to save it, for instance.
    pub fn model(&self) -> &Sequential {
        self.model
    }

    /// Sets weights by name, before the next step.
    ///
    /// # Errors
    ///
    /// As [`Sequential::set_weights`].
    pub fn set_weights(&mut self, weights: &[(impl AsRef<str>, Tensor)]) -> Result<()> {
        self.model.set_weights(weights)
    }

    /// Sets the learning rate from the next step on.
    ///
    /// # Errors
    ///
    /// As [`Sequential::set_learning_rate`].
    pub fn set_learning_rate(&mut self, rate: impl Into<LearningRate>) -> Result<()> {
        self.state.set_learning_rate(self.model, rate.into())
    }
}

/// A training that is asked for its next event, and submits nothing before.
///
/// For where nothing may wait, as in a browser or between two frames:
///
/// ```
/// # fn main() -> selfnorm::Result<()> {
/// # pollster::block_on(async {
/// use selfnorm::Gpu;
/// use selfnorm::nn::{Activation::Softmax, Adam, Dataset, Dense, Fit, Progress, Sequential};
///
/// let gpu = Gpu::new()?;
/// let mut model = Sequential::new([2]).add(Dense::new(2).activation(Softmax)).build(&gpu, 42)?;
/// let data = Dataset::from_floats(&gpu, &[0.0, 1.0, 1.0, 0.0], [2])?.classes(&[0, 1])?;
///
/// let mut run = model.train(&data, &Fit::new(Adam::default()).epochs(3))?;
/// while let Some(progress) = run.next().await? {
///     if let Progress::Epoch(end) = progress {
///         println!("{}: {:.4}", end.epoch, end.scores.training.loss);
///     }
/// }
/// let history = run.finish();
/// assert_eq!(history.epochs.len(), 3);
/// # Ok(())
/// # })
/// # }
/// ```
///
/// A run that is dropped leaves a network that goes on from the last step that was submitted. If one of
/// its last steps was not finite, the next training returns the error, once. The epoch that it was
/// in is not finished: the next training begins another.
#[derive(Debug)]
pub struct Run<'a> {
    model: &'a mut Sequential,
    source: Source<'a>,
    validation: Option<Validation>,
    /// With the other ranks.
    exchange: Option<&'a dyn Exchange>,
    epochs: usize,
    /// The epochs that are over, and the batches of the current one that are submitted.
    epoch: usize,
    batch: usize,
    state: State,
}

/// Where batches come from.
#[derive(Debug)]
enum Source<'a> {
    Resident(Resident),
    Streamed(Streamed<'a>),
}

/// Batches from the host.
#[derive(Debug)]
struct Streamed<'a> {
    stream: Stream<'a>,
    batch_size: usize,
    /// Those on the GPU that are yet to be submitted.
    staged: VecDeque<Staged>,
    /// Whether the epoch has no more.
    has_ended: bool,
    /// The epoch that was begun last, counted from 0 in this training.
    begun: Option<usize>,
}

impl Streamed<'_> {
    /// Begins an epoch: the network's, and that of this training.
    fn begin(&mut self, epoch: u64, own: usize) -> Result<()> {
        if self.begun == Some(own) {
            return Ok(());
        }
        self.staged.clear();
        self.has_ended = false;
        self.stream.start(epoch)?;
        self.begun = Some(own);
        Ok(())
    }

    /// Asks for batches until as many are there as are staged ahead of the GPU.
    async fn fill(&mut self) -> Result<()> {
        while self.staged.len() < Stream::READY && !self.has_ended {
            poll_fn(|context| self.stream.poll_ready(context)).await?;
            match self.stream.stage()? {
                Some(batch) => self.staged.push_back(batch),
                None => self.has_ended = true,
            }
        }
        Ok(())
    }
}

/// The batches of a data set.
#[derive(Debug)]
struct Resident {
    feed: Feed,
    /// The samples that are trained on, the first of the data.
    trained: usize,
    batch_size: usize,
    order: Vec<u32>,
    /// The seed of the order.
    shuffle: Option<u64>,
}

impl Resident {
    fn batches(&self) -> usize {
        self.trained.div_ceil(self.batch_size)
    }
}

impl Source<'_> {
    /// The batches of an epoch, if that is known.
    fn batches(&self) -> Option<usize> {
        match self {
            Self::Resident(data) => Some(data.batches()),
            Self::Streamed(data) => data.stream.batches(),
        }
    }

    /// Whether an epoch has more than so many batches.
    fn has_more(&self, batches: usize) -> bool {
        match self {
            Self::Resident(data) => batches < data.batches(),
            // An epoch without any is an error of its first step.
            Self::Streamed(data) => batches == 0 || !data.staged.is_empty(),
        }
    }
}

/// What the events of a run need of it.
#[derive(Debug)]
pub(super) struct State {
    training: Arc<Training>,
    /// The next steps, whose records are written.
    planned: VecDeque<Planned>,
    /// What the network trains with from the first step on.
    compiled: Option<Compiled>,
    /// The step whose gradients other ranks wait for.
    shared: Option<(Planned, Sharing)>,
    /// What is under way, in order.
    flights: VecDeque<(Flight, Landing)>,
    /// What is in encoders of an application, in order.
    recorded: VecDeque<Recorded>,
    /// The scores of recorded epochs that are over.
    ended: VecDeque<(usize, EpochScores)>,
    /// The epochs that the order was last drawn for, and is known to be on the GPU for.
    shuffled: Option<usize>,
    ordered: Option<usize>,
    /// Whether the run is recorded into those.
    is_recorded: bool,
    sums: Sums,
    /// The batches of the validation that are submitted, and their sums.
    validation: usize,
    validated: Sums,
    /// Steps that may be skipped.
    allowed: u32,
    /// What has ended the training, until the run has returned it.
    failure: Option<Error>,
    over: bool,
    stopped: bool,
}

/// A step whose record is written.
#[derive(Debug)]
struct Planned {
    parts: Parts,
    step: u64,
    /// Where a batch from the host is.
    slot: usize,
}

/// What a batch was submitted for.
#[derive(Debug)]
enum Landing {
    /// The network's step, counted from 0.
    Step(u64),
    Validation,
}

/// The batches to evaluate after each epoch.
#[derive(Debug)]
struct Validation {
    /// Unless they are the last of the data to train on.
    feed: Option<Feed>,
    records: Records,
}

/// What an event is about.
enum Event {
    Batch,
    Epoch(EpochScores),
}

impl Sequential {
    /// Prepares to train on `data`, and submits nothing: the run that it returns does, step by step.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if the data does not have the network's shapes, has no targets, or targets
    /// that the loss can't have; [`Error::Parameter`]; [`Error::Layer`] and [`Error::Exchange`] if several
    /// ranks can't train the network; [`Error::OtherGpu`], [`Error::TooLarge`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`]. The network is then unchanged.
    pub fn train<'a>(&'a mut self, data: impl Into<Data<'a>>, fit: &Fit<'a>) -> Result<Run<'a>> {
        let data = data.into();
        let exchange = fit.exchange.filter(|exchange| exchange.size() != 1);
        if let Some(exchange) = exchange {
            self.check_exchange(exchange)?;
        }
        if let Data::Dataset(data) = data {
            data.check(self.expected(OP, fit.loss))?;
        }
        if let Some(data) = fit.validation_data {
            data.check(self.expected(VALIDATION, fit.loss))?;
        }
        let (trained, warning) = fit.check(&self.gpu, &data)?;
        let optimizer = match &fit.optimizer {
            Some(optimizer) => optimizer.clone(),
            None => self.optimizer.clone(),
        };
        optimizer.check()?;
        let loss = self.loss_on(OP, fit.loss, &data)?;
        let (validated, start) = match (fit.validation_data, &data) {
            (Some(validation), _) => (validation.len(), 0),
            (None, Data::Dataset(data)) => (data.len() - trained, trained),
            (None, Data::Batches(_)) => (0, 0),
        };
        let batch_size = match data {
            Data::Dataset(_) => fit.batch_size.min(trained.max(validated)),
            Data::Batches(_) => fit.batch_size,
        };
        let rows = match exchange {
            Some(exchange) => exchange::largest_share(batch_size, exchange.size()),
            None => batch_size,
        };
        let training = self.prepare_training(rows, &optimizer, loss)?;
        let evaluation = &training.evaluation;
        Flight::reserve(&self.gpu, evaluation.losses.totals.bytes)?;
        let (expected, places) = (self.expected(OP, Some(loss)), evaluation.places());
        let source = match data {
            Data::Dataset(data) => Source::Resident(Resident {
                feed: Feed::new(data, expected, places)?,
                trained,
                batch_size,
                order: ordered(data.len()),
                shuffle: fit.shuffle.then_some(fit.seed.unwrap_or(self.seed)),
            }),
            Data::Batches(batches) => {
                let stream = Stream::new(batches, expected, batch_size, places)?;
                Source::Streamed(Streamed {
                    stream,
                    batch_size,
                    staged: VecDeque::new(),
                    has_ended: false,
                    begun: None,
                })
            }
        };
        let feed = match fit.validation_data {
            None => None,
            Some(data) => {
                let feed = Feed::new(data, self.expected(VALIDATION, Some(loss)), places)?;
                feed.write(&self.gpu, &ordered(data.len()))?;
                Some(feed)
            }
        };
        let validation = if validated == 0 {
            None
        } else {
            let records = evaluation.records(start, validated);
            let records = Records::new(&self.gpu, records)?;
            Some(Validation { feed, records })
        };
        self.history = History {
            warnings: warning.into_iter().collect(),
            ..History::default()
        };
        let compiled = self.compiled(&training, optimizer, fit.loss);
        Ok(Run {
            source,
            validation,
            exchange,
            epochs: fit.epochs,
            epoch: 0,
            batch: 0,
            state: State {
                training,
                planned: VecDeque::new(),
                shared: None,
                flights: VecDeque::new(),
                recorded: VecDeque::new(),
                ended: VecDeque::new(),
                shuffled: None,
                ordered: None,
                is_recorded: false,
                compiled: Some(compiled),
                sums: Sums::default(),
                validation: 0,
                validated: Sums::default(),
                allowed: fit.skip_non_finite,
                failure: None,
                over: false,
                stopped: false,
            },
            model: self,
        })
    }
}

impl<'a> Run<'a> {
    /// Submits the next step and returns its event, or `None` when the training is over. Waits
    /// only when four steps are under way, with batches from the host when one is, at the end of
    /// an epoch, and with other ranks for each step's gradients; [`Exchange::sum`] blocks the thread. A wait that is given up, as by a timeout, goes on with the next call.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] if the loss or a gradient of a step became NaN or infinite: that step
    /// and those after it have changed nothing; [`Error::Data`] for a learning rate that a schedule
    /// gives, targets that the loss does not take, and batches from the host that do not fit, and
    /// their own errors; [`Error::Exchange`] if the ranks of a training differ, or one is gone;
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`]. The training is then over.
    pub async fn next(&mut self) -> Result<Option<Progress<'_>>> {
        self.next_by(&platform::wait_aside).await
    }

    pub(in crate::nn) async fn next_by(
        &mut self,
        progress: &impl transfer::Progress,
    ) -> Result<Option<Progress<'_>>> {
        let event = self.advance(progress).await;
        self.state.over |= !matches!(event, Ok(Some(_)));
        let (epoch, epochs) = (self.epoch, self.epochs);
        let (model, state) = (&mut *self.model, &mut self.state);
        Ok(event?.map(|event| match event {
            Event::Batch => Progress::Batch(BatchEnd {
                epoch: epoch + 1,
                epochs,
                batch: self.batch,
                batches: self.source.batches(),
                model,
                state,
            }),
            Event::Epoch(scores) => Progress::Epoch(EpochEnd {
                epoch,
                epochs,
                scores,
                model,
                state,
            }),
        }))
    }

    async fn advance(&mut self, progress: &impl transfer::Progress) -> Result<Option<Event>> {
        self.refuse_if_recorded()?;
        if self.state.over {
            return Ok(None);
        }
        if self.state.shared.is_some() {
            self.share(progress).await?;
            return Ok(Some(Event::Batch));
        }
        if let Some(error) = self.state.failure.clone() {
            // What was submitted before counts.
            self.state.land_beyond(0, self.model, progress).await?;
            return Err(error);
        }
        if self.state.stopped {
            // What was trained of the epoch counts.
            self.state.land(self.model, progress).await?;
            if self.batch > 0 {
                self.end_epoch(None);
            }
            return Ok(None);
        }
        if self.epoch == self.epochs {
            return Ok(None);
        }
        if let Err(error) = self.stage(progress).await {
            // What was submitted before counts.
            self.state.land_beyond(0, self.model, progress).await?;
            return Err(error);
        }
        if self.source.has_more(self.batch) {
            if self.state.compiled.is_some() {
                self.model.look(progress).await?;
                // Whether everything is there that was prepared.
                let link = self.model.gpu.link();
                if let Err(error) = link.settle(link.calls()).await {
                    self.model.forget_buffers();
                    return Err(error);
                }
            }
            self.state
                .land_beyond(AHEAD - 1, self.model, progress)
                .await?;
            if let (Some(exchange), Some(compiled)) = (self.exchange, &self.state.compiled) {
                let settings = self.settings(compiled);
                self.model
                    .compare_ranks(exchange, settings, progress)
                    .await?;
            }
            match self.state.compiled.take() {
                None => self.step()?,
                Some(compiled) => {
                    let before = self.model.adopt(compiled);
                    self.model.generation += 1;
                    if let Err(error) = self.step() {
                        self.model.adopt(before);
                        return Err(error);
                    }
                }
            }
            self.share(progress).await?;
            return Ok(Some(Event::Batch));
        }
        let validation = self.validate(progress).await?;
        if self.model.history.skipped.is_empty() {
            self.state.sums.check_any(OP)?;
        }
        Ok(Some(Event::Epoch(self.end_epoch(validation))))
    }

    /// Stops the training: the next event is its end.
    pub fn stop(&mut self) {
        self.state.stopped = true;
        self.model.history.stopped = self.epoch < self.epochs;
    }

    /// The network, after the last step that was submitted.
    pub fn model(&self) -> &Sequential {
        self.model
    }

    /// Sets the learning rate from the next step on.
    ///
    /// # Errors
    ///
    /// As [`Sequential::set_learning_rate`].
    pub fn set_learning_rate(&mut self, rate: impl Into<LearningRate>) -> Result<()> {
        self.state.set_learning_rate(self.model, rate.into())
    }

    /// The mean so far in this epoch, once the GPU has finished what is under way.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub async fn score(&mut self) -> Result<Score> {
        self.refuse_if_recorded()?;
        self.state.land(self.model, &platform::wait_aside).await?;
        Ok(self.state.sums.score(self.state.training.evaluation.loss))
    }

    /// The results so far, also after an error.
    pub fn history(&self) -> &History {
        &self.model.history
    }

    /// The results.
    pub fn finish(self) -> History {
        self.model.history.clone()
    }

    fn refuse_if_recorded(&self) -> Result<()> {
        if !self.state.is_recorded {
            return Ok(());
        }
        let detail = "a run that has begun with record goes on with it, and with try_next".into();
        Err(Error::Data { op: OP, detail })
    }

    /// Uploads the next batches from the host, while the GPU trains with the one before.
    async fn stage(&mut self, progress: &impl transfer::Progress) -> Result<()> {
        if let Source::Streamed(data) = &mut self.source {
            data.begin(self.model.epoch, self.epoch)?;
            self.state
                .land_beyond(Stream::AHEAD, self.model, progress)
                .await?;
            data.fill().await?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<()> {
        if self.batch == 0 {
            self.begin_epoch()?;
        }
        if self.state.planned.is_empty() {
            self.plan()?;
        }
        let Some(planned) = self.state.planned.front() else {
            return Err(Error::Data {
                op: OP,
                detail: format!("epoch {} has no batches", self.epoch + 1),
            });
        };
        let batch = match &self.source {
            Source::Resident(data) => Batch::Gathered(&data.feed.dispatches, data.feed.owner),
            Source::Streamed(data) => {
                Batch::Gathered(data.stream.dispatches(planned.slot), Owner::Crate)
            }
        };
        let (training, gpu) = (&self.state.training, &self.model.gpu);
        if self.exchange.is_some() {
            training.submit_share(gpu, &batch, &planned.parts)?;
            let sharing = Sharing::new(training);
            let planned = self.state.planned.pop_front();
            self.state.shared = planned.map(|planned| (planned, sharing));
            return Ok(());
        }
        let flight = training.submit(gpu, &batch, &planned.parts, None)?;
        let landing = Landing::Step(planned.step);
        self.state.planned.pop_front();
        self.submitted(flight, landing);
        Ok(())
    }

    /// A step with its update is under way.
    fn submitted(&mut self, flight: Flight, landing: Landing) {
        self.state.flights.push_back((flight, landing));
        self.model.leave_unseen();
        if self.batch == 0 {
            self.model.epoch += 1;
        }
        self.batch += 1;
        self.model.step += 1;
    }

    /// Exchanges the gradients of the step that was submitted last, and submits its update.
    async fn share(&mut self, progress: &impl transfer::Progress) -> Result<()> {
        let (Some(exchange), Some((planned, sharing))) = (self.exchange, &mut self.state.shared)
        else {
            return Ok(());
        };
        let (gpu, step) = (&self.model.gpu, planned.step);
        let shared = sharing.share(gpu, exchange, progress).await;
        let update = || self.state.training.submit_update(gpu, &planned.parts);
        let flight = shared.and_then(|()| update());
        self.state.shared = None;
        match flight {
            Ok(flight) => {
                self.submitted(flight, Landing::Step(step));
                Ok(())
            }
            Err(error) => {
                // The steps before it count.
                self.state.failure = Some(self.model.refused(step, error));
                self.state.land(self.model, progress).await
            }
        }
    }

    /// What else than the network decides about its steps, and how many there are.
    fn settings(&self, compiled: &Compiled) -> [(&'static str, u32); 6] {
        let (batch_size, samples, shuffle) = match &self.source {
            Source::Resident(data) => (data.batch_size, data.trained, data.shuffle),
            Source::Streamed(data) => {
                let batches = data.stream.batches().unwrap_or_default();
                (data.batch_size, batches, None)
            }
        };
        let loss = format!("{:?}", self.state.training.evaluation.loss);
        [
            ("batch size", exchange::hashed(batch_size)),
            ("number of samples", exchange::hashed(samples)),
            ("order of the samples", exchange::hashed(shuffle)),
            ("optimizer", exchange::hashed(compiled.optimizer.to_json())),
            ("loss", exchange::hashed(loss)),
            (
                "number of epochs, or of steps to skip",
                exchange::hashed((self.epochs, self.state.allowed)),
            ),
        ]
    }

    /// The rows of a batch of so many that are computed here.
    fn rows(exchange: Option<&dyn Exchange>, count: usize) -> Range<usize> {
        match exchange {
            Some(exchange) => exchange::share(count, exchange.rank(), exchange.size()),
            None => 0..count,
        }
    }

    fn begin_epoch(&mut self) -> Result<()> {
        if let Source::Resident(data) = &mut self.source {
            if let Some(seed) = data.shuffle {
                let epoch = self.model.epoch;
                random::shuffle(&mut data.order[..data.trained], seed, epoch);
            }
            data.feed.write(&self.model.gpu, &data.order)?;
        }
        self.state.sums = Sums::default();
        self.state.validation = 0;
        self.state.validated = Sums::default();
        Ok(())
    }

    /// Writes the records of the next steps, as many as are known and there is room for.
    fn plan(&mut self) -> Result<()> {
        let training = self.state.training.clone();
        let mut records = Vec::new();
        let (model, allowed) = (&*self.model, self.state.allowed);
        let record_of = |step| {
            let record = model.record(step)?;
            Ok::<_, Error>(Step { allowed, ..record })
        };
        match &mut self.source {
            Source::Streamed(data) => {
                if let Some(Staged { slot, count }) = data.staged.pop_front() {
                    let step = self.model.step;
                    let record = record_of(step)?;
                    let rows = Self::rows(self.exchange, count);
                    let parts = training.plan(record, 0, rows, &mut records);
                    self.state.planned.push_back(Planned { parts, step, slot });
                }
            }
            Source::Resident(data) => {
                for batch in self.batch..data.batches() {
                    let first = batch * data.batch_size;
                    let count = data.batch_size.min(data.trained - first);
                    let rows = Self::rows(self.exchange, count);
                    let needed = records.len() + training.parts(rows.len()).max(1);
                    if !records.is_empty() && needed > training.steps.capacity() {
                        break;
                    }
                    let step = self.model.step + (batch - self.batch) as u64;
                    let record = match record_of(step) {
                        // The steps before it come first.
                        Err(_) if !records.is_empty() => break,
                        record => record?,
                    };
                    let parts = training.plan(record, first, rows, &mut records);
                    let slot = 0;
                    self.state.planned.push_back(Planned { parts, step, slot });
                }
            }
        }
        training.steps.write(&self.model.gpu, &records)
    }

    async fn validate(&mut self, progress: &impl transfer::Progress) -> Result<Option<Score>> {
        let evaluation = &self.state.training.evaluation.clone();
        if let Some(validation) = &self.validation {
            let (gather, owner) = match (&validation.feed, &self.source) {
                (Some(feed), _) | (None, Source::Resident(Resident { feed, .. })) => {
                    (&feed.dispatches[..], feed.owner)
                }
                (None, Source::Streamed(_)) => (&[][..], Owner::Crate),
            };
            while self.state.validation < validation.records.len() {
                self.state
                    .land_beyond(AHEAD - 1, self.model, progress)
                    .await?;
                let records = &validation.records;
                let step = records.bound(&self.model.gpu, self.state.validation)?;
                let flight = evaluation.submit(&self.model.gpu, owner, gather, step)?;
                self.state.validation += 1;
                self.state.flights.push_back((flight, Landing::Validation));
            }
        }
        self.state.land(self.model, progress).await?;
        if self.validation.is_none() {
            return Ok(None);
        }
        let (sums, loss) = (&self.state.validated, evaluation.loss);
        sums.check(VALIDATION, loss)?;
        sums.check_any(VALIDATION)?;
        Ok(Some(sums.score(loss)))
    }

    fn end_epoch(&mut self, validation: Option<Score>) -> EpochScores {
        let scores = EpochScores {
            training: self.state.sums.score(self.state.training.evaluation.loss),
            validation,
        };
        self.model.history.epochs.push(scores);
        self.model.count_skips();
        self.epoch += 1;
        self.batch = 0;
        scores
    }
}

impl State {
    /// Waits for everything under way.
    async fn land(
        &mut self,
        model: &mut Sequential,
        progress: &impl transfer::Progress,
    ) -> Result<()> {
        self.land_beyond(0, model, progress).await
    }

    /// Waits for the first under way while there are more than `ahead`.
    async fn land_beyond(
        &mut self,
        ahead: usize,
        model: &mut Sequential,
        progress: &impl transfer::Progress,
    ) -> Result<()> {
        // A flight stays until it has landed, since a wait may be given up.
        while self.flights.len() > ahead
            && let Some((flight, landing)) = self.flights.front_mut()
        {
            let landed = flight.land(&model.gpu, progress).await;
            let totals = match landed {
                Ok(totals) => totals,
                Err(error) => {
                    self.failure = Some(match *landing {
                        Landing::Step(step) => model.refused(step, error),
                        Landing::Validation => {
                            if error != Error::DeviceLost {
                                model.forget_buffers();
                            }
                            error
                        }
                    });
                    self.flights.clear();
                    break;
                }
            };
            let loss = self.training.evaluation.loss;
            let seen = match *landing {
                Landing::Validation => None,
                Landing::Step(step) => {
                    let seen = model.see(OP, loss, step, &totals, self.allowed);
                    if let Ok(is_finite) = seen {
                        let mut sums = Sums::default();
                        sums.add(&totals);
                        model.history.losses.push(sums.score(loss).loss);
                        let skipped = (!is_finite).then_some(step + 1);
                        model.history.skipped.extend(skipped);
                    }
                    Some(seen)
                }
            };
            self.flights.pop_front();
            match seen {
                None => self.validated.add(&totals),
                Some(Ok(true)) => self.sums.add(&totals),
                Some(Ok(false)) => {
                    self.sums.add_skipped(&totals, model.builder.precision);
                    // The records of the next steps count it.
                    self.planned.clear();
                }
                Some(Err(error)) => {
                    // The steps after it have done nothing.
                    self.flights.clear();
                    self.failure = Some(error);
                }
            }
        }
        if self.flights.is_empty() {
            model.unseen = None;
        }
        // A callback may have seen and ignored it.
        match &self.failure {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    fn set_learning_rate(&mut self, model: &mut Sequential, rate: LearningRate) -> Result<()> {
        match &mut self.compiled {
            Some(compiled) => compiled.optimizer = compiled.optimizer.with_learning_rate(rate)?,
            None => model.set_learning_rate(rate)?,
        }
        // Their records have the rate of before.
        self.planned.clear();
        Ok(())
    }
}

/// 0, 1, 2, …
pub(in crate::nn) fn ordered(len: usize) -> Vec<u32> {
    (0..len as u32).collect()
}
