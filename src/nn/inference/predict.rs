//! Predictions of batches, from the caller's x to the caller's y: only what lies between is stored.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, MutexGuard, PoisonError};

use crate::gpu::device::Owner;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::kept::Id;
use crate::gpu::platform;
use crate::gpu::recording::begin_pass;
use crate::gpu::region::Region;
use crate::gpu::transfer::{self, Mark};
use crate::nn::data::Feed;
use crate::nn::network::{Network, Stage, StageKind, Value};
use crate::nn::training::{AHEAD, Records, ordered};
use crate::nn::workspace::{At, F32, Plan, Work};
use crate::nn::{Dataset, Sequential};
use crate::ops::network::copy::copy;
use crate::ops::network::fused::Chain;
use crate::ops::network::product::End;
use crate::ops::network::step::Step;
use crate::pass::{Hint, read, write};
use crate::{Error, Gpu, Pass, Result, Tensor};

/// How many rows are predicted, and how many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Predict {
    rows: usize,
    batch: Option<usize>,
}

impl Predict {
    /// Predictions of so many rows.
    pub fn rows(rows: usize) -> Self {
        Self { rows, batch: None }
    }

    /// The rows that are computed at once: as many, rounded up so that each batch begins where the device
    /// can bind it, to a multiple of at most 64. By default as many as keep the output of each layer
    /// below 8 MiB, and at least 64; fewer if the device can't bind as many.
    pub fn batch(mut self, rows: usize) -> Self {
        self.batch = Some(rows);
        self
    }
}

/// The bytes of a layer's output that a batch has by default: enough to keep a GPU busy, and small enough
/// for caches and memory. See benches/NOTES.md.
const LAYER_BYTES: u64 = 8 << 20;
const MIN_BATCH: usize = 64;

/// Numbers of rows that a network keeps the preparations of.
const MAX_KEPT: usize = 8;

/// What a network has prepared for predictions.
#[derive(Debug, Default)]
pub(in crate::nn) struct Predictions(Vec<Arc<Prediction>>);

impl Predictions {
    /// The distinct buffers, for the sum of their sizes.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.0.iter().flat_map(|kept| kept.workspace.regions())
    }
}

/// The prediction of a number of rows, in batches.
#[derive(Debug)]
pub(in crate::nn) struct Prediction {
    gpu: Gpu,
    /// The owner of what is kept for it.
    id: Id,
    predict: Predict,
    batch: usize,
    workspace: Workspace,
}

/// What lies between the layers; clones share it.
#[derive(Clone, Debug)]
struct Workspace {
    rows: usize,
    is_fused: bool,
    /// Copies of a batch of x and y, if the device can't bind it in them.
    ends: Option<[Region; 2]>,
    /// The outputs of a stage and of the next take turns.
    outputs: [Option<Region>; 2],
    /// What a stage would keep for its gradient.
    kept: Option<Region>,
    scratch: Option<Region>,
}

impl Workspace {
    /// For batches of these sizes: `found`, if that will do.
    fn new(plan: Plan, batches: &[usize], is_copied: bool, found: Option<&Self>) -> Result<Self> {
        let network = plan.network;
        let rows = batches.iter().copied().max().unwrap_or(0);
        let [inputs, outputs] = [Value::Input, network.output()].map(|value| network.len(value));
        plan.bytes(rows, inputs)?;
        plan.bytes(rows, outputs)?;
        let is_fused = plan.fuses();
        let pieces = pieces(network, is_fused);
        let region = |len: Option<usize>| match len {
            None => Ok(None),
            Some(len) => plan.region(rows, len).map(Some),
        };
        let inner = || pieces[..pieces.len().saturating_sub(1)].iter().enumerate();
        let longest = |turn| {
            let outputs = inner().filter(|(i, _)| i % 2 == turn);
            outputs.map(|(_, piece)| piece.len()).max()
        };
        let kept = pieces.iter().filter_map(|piece| match piece {
            Piece::Stage(stage) => plan.kept(stage, rows, true),
            Piece::Chain(_) => None,
        });
        let fits = |found: &&Self| {
            found.rows >= rows && found.ends.is_some() == is_copied && found.is_fused == is_fused
        };
        let mut workspace = match found.filter(fits) {
            Some(found) => found.clone(),
            None => Self {
                rows,
                is_fused,
                ends: match is_copied {
                    true => Some([plan.region(rows, inputs)?, plan.region(rows, outputs)?]),
                    false => None,
                },
                outputs: [region(longest(0))?, region(longest(1))?],
                kept: match kept.max() {
                    None => None,
                    Some(len) => Some(plan.region(1, len)?),
                },
                scratch: None,
            },
        };
        let mut bytes = 0;
        for &batch in batches {
            // Any region stands for x and y here.
            let work = workspace.pieces(plan, batch, plan.weights, plan.weights)?;
            bytes = bytes.max(plan.scratch_bytes(&work));
        }
        let scratch = workspace.scratch.as_ref();
        if scratch.is_none_or(|scratch| scratch.bytes < bytes) {
            workspace.scratch = plan.scratch(bytes)?;
        }
        Ok(workspace)
    }

    /// What is done with a batch of `rows`, from x to y.
    fn work(&self, plan: Plan, rows: usize, x: &Region, y: &Region) -> Result<Vec<Work>> {
        let Some([input, output]) = &self.ends else {
            return self.pieces(plan, rows, x, y);
        };
        let [input, output] = [input.part(0, x.bytes), output.part(0, y.bytes)];
        let mut work = vec![copy(plan.gpu, x, &input)?.into()];
        work.extend(self.pieces(plan, rows, &input, &output)?);
        work.push(copy(plan.gpu, &output, y)?.into());
        Ok(work)
    }

    fn pieces(&self, plan: Plan, rows: usize, x: &Region, y: &Region) -> Result<Vec<Work>> {
        let pieces = pieces(plan.network, self.is_fused);
        if pieces.is_empty() {
            return Ok(vec![copy(plan.gpu, x, y)?.into()]);
        }
        let mut work = Vec::new();
        let mut input = x;
        for (i, piece) in pieces.iter().enumerate() {
            let output = match &self.outputs[i % 2] {
                Some(output) if i + 1 < pieces.len() => output,
                _ => y,
            };
            match piece {
                Piece::Chain(chain) => work.push(plan.chain(chain, rows, input, output)?.into()),
                Piece::Stage(stage) => {
                    let at = At {
                        x: input,
                        y: output,
                        kept: self.kept.as_ref(),
                        infers: true,
                    };
                    let end = match stage.epilogue.without_dropout() {
                        epilogue if epilogue.is_identity() => End::Nothing,
                        epilogue => End::Output(epilogue.activation, None),
                    };
                    work.extend(plan.stage(stage, rows, at, end)?);
                }
            }
            input = output;
        }
        Ok(work)
    }

    fn regions(&self) -> impl Iterator<Item = &Region> {
        let ends = self.ends.iter().flatten();
        let outputs = ends.chain(self.outputs.iter().flatten());
        outputs.chain(&self.kept).chain(&self.scratch)
    }
}

/// What is computed at once.
enum Piece<'a> {
    /// Layers that one dispatch computes.
    Chain(Chain),
    Stage(&'a Stage),
}

impl Piece<'_> {
    /// The elements of a sample's output.
    fn len(&self) -> usize {
        match self {
            Self::Chain(chain) => chain.outputs(),
            Self::Stage(stage) => stage.len,
        }
    }
}

/// The network outside of training, with its chain in one piece or layer by layer.
fn pieces(network: &Network, is_fused: bool) -> Vec<Piece<'_>> {
    let does_something = |stage: &&Stage| match stage.kind {
        StageKind::Dropout(..) => false,
        StageKind::Epilogue => !stage.epilogue.without_dropout().is_identity(),
        _ => true,
    };
    let stages = network.stages.iter().filter(does_something);
    match network.chain().filter(|_| is_fused) {
        None => stages.map(Piece::Stage).collect(),
        Some(chain) => {
            let is_softmax = |stage: &&Stage| matches!(stage.kind, StageKind::Softmax { .. });
            let softmax = stages.filter(is_softmax).map(Piece::Stage);
            [Piece::Chain(chain)].into_iter().chain(softmax).collect()
        }
    }
}

impl Prediction {
    fn new(model: &Sequential, predict: Predict, found: Option<&Workspace>) -> Result<Self> {
        let plan = model.plan();
        let rows = predict.rows;
        let mut batch = predict
            .batch
            .unwrap_or_else(|| default_batch(plan))
            .clamp(1, rows.max(1));
        let mut unit = unit(plan);
        let mut is_copied = false;
        let workspace = loop {
            if batch < rows {
                batch = batch.checked_next_multiple_of(unit).unwrap_or(rows);
            }
            match Workspace::new(plan, &sizes(rows, batch), is_copied, found) {
                Ok(workspace) => break workspace,
                Err(Error::TooLarge { .. }) if batch > unit => batch /= 2,
                // Batches that are copied may begin anywhere.
                Err(Error::TooLarge { .. }) if unit > 1 => (unit, is_copied) = (1, true),
                Err(error) => return Err(error),
            }
        };
        Ok(Self {
            gpu: plan.gpu.clone(),
            id: Id::new(),
            predict,
            batch,
            workspace,
        })
    }

    fn batches(&self) -> impl Iterator<Item = Range<usize>> {
        let (rows, batch) = (self.predict.rows, self.batch);
        (0..rows)
            .step_by(batch)
            .map(move |first| first..rows.min(first + batch))
    }

    /// Has everything compiled.
    async fn compile(&self, plan: Plan<'_>, progress: &mut impl FnMut(f32)) -> Result<()> {
        // Any region stands for x and y here.
        let (x, workspace) = (plan.weights, &self.workspace);
        let mut work = Vec::new();
        for batch in sizes(self.predict.rows, self.batch) {
            work.extend(workspace.pieces(plan, batch, x, x)?);
        }
        for end in workspace.ends.iter().flatten() {
            let row = end.bytes / workspace.rows as u64;
            for batch in sizes(self.predict.rows, self.batch) {
                let end = end.part(0, batch as u64 * row);
                work.push(copy(plan.gpu, &end, &end)?.into());
            }
        }
        let total = work.len() as f32;
        for (done, work) in work.into_iter().enumerate() {
            progress(done as f32 / total);
            plan.dispatches(vec![work], workspace.scratch.as_ref())?;
            // A browser compiles elsewhere, and draws in between.
            let link = plan.gpu.link();
            link.settle(link.calls()).await?;
        }
        Ok(())
    }

    /// Some of the rows of x or y.
    fn part(&self, tensor: &Tensor, rows: &Range<usize>) -> Region {
        let row = (tensor.len() / self.predict.rows) as u64 * F32;
        let bytes = rows.len() as u64 * row;
        tensor.region().part(rows.start as u64 * row, bytes)
    }

    /// The dispatches of a batch, whose input is x.
    fn bind(
        &self,
        plan: Plan,
        x: &Region,
        y: &Tensor,
        rows: Range<usize>,
    ) -> Result<Vec<Dispatch>> {
        let y = self.part(y, &rows);
        let work = self.workspace.work(plan, rows.len(), x, &y)?;
        plan.dispatches(work, self.workspace.scratch.as_ref())
    }
}

/// What is predicted from.
pub(super) enum Input<'a> {
    Tensor(&'a Tensor),
    Gathered(Box<Gathered>),
}

/// The samples of a data set, batch after batch in one place.
pub(super) struct Gathered {
    feed: Feed,
    records: Records,
    place: Region,
    /// What the place has room for.
    rows: usize,
}

impl Gathered {
    pub fn new(
        model: &Sequential,
        op: &'static str,
        data: &Dataset,
        prediction: &Prediction,
    ) -> Result<Self> {
        let (plan, gpu) = (model.plan(), &model.gpu);
        let rows = prediction.batch.min(data.len());
        let place = plan.region(rows, plan.network.len(Value::Input))?;
        let feed = Feed::of_inputs(data, model.expected(op, None), rows, &place)?;
        feed.write(gpu, &ordered(data.len()))?;
        let record = |batch: Range<usize>| Step {
            first: batch.start as u32,
            count: batch.len() as u32,
            ..Step::default()
        };
        let records = prediction.batches().map(record).collect();
        Ok(Self {
            feed,
            records: Records::new(gpu, records)?,
            place,
            rows,
        })
    }

    /// The place of a batch.
    fn part(&self, rows: usize) -> Region {
        let row = self.place.bytes / self.rows as u64;
        self.place.part(0, rows as u64 * row)
    }
}

impl Drop for Prediction {
    fn drop(&mut self) {
        self.gpu.forget(self.id);
    }
}

/// The numbers of rows of the batches, each once.
fn sizes(rows: usize, batch: usize) -> Vec<usize> {
    let sizes = [batch.min(rows), rows % batch.min(rows)];
    sizes.into_iter().filter(|&size| size > 0).collect()
}

/// Batches of a multiple of so many rows of x and y begin where the device can bind them.
fn unit(plan: Plan) -> usize {
    let alignment = plan.gpu.limits().offset_alignment;
    let row = |value| plan.network.len(value) as u64 * F32;
    let rows = [Value::Input, plan.network.output()].map(|value| {
        // Alignments are powers of two.
        alignment / alignment.min(1 << row(value).trailing_zeros())
    });
    rows[0].max(rows[1]) as usize
}

fn default_batch(plan: Plan) -> usize {
    let pieces = pieces(plan.network, plan.fuses());
    let longest = pieces.iter().map(Piece::len).max();
    let rows = LAYER_BYTES / (longest.unwrap_or(1).max(1) as u64 * F32);
    (rows as usize).max(MIN_BATCH)
}

impl Sequential {
    /// The output, [n, output shape], for x, [n, input shape]. Dropout is the identity. Does not block.
    ///
    /// Each batch is a submission of its own, so that other work comes between; see
    /// [`Predict::batch`]. In an encoder of your own, see [`Pass::predict`].
    ///
    /// # Errors
    ///
    /// [`Error::Shape`], [`Error::NoBatchAxis`] for a single sample of the input shape, which is
    /// [1, input shape]; [`Error::OtherGpu`]; [`Error::TooLarge`], [`Error::OutOfMemory`],
    /// [`Error::DeviceLost`].
    pub async fn predict_async(&self, x: &Tensor) -> Result<Tensor> {
        self.predict_by(x, &platform::wait_aside).await
    }

    pub(in crate::nn) async fn predict_by(
        &self,
        x: &Tensor,
        progress: &impl transfer::Progress,
    ) -> Result<Tensor> {
        let n = self.samples("predict", "x", x, self.input_shape())?;
        self.predict_from(n, |_| Ok(Input::Tensor(x)), progress)
            .await
    }

    /// Predictions of n samples, whose input `prepare` finds.
    pub(super) async fn predict_from<'a>(
        &self,
        n: usize,
        prepare: impl FnOnce(&Prediction) -> Result<Input<'a>>,
        progress: &impl transfer::Progress,
    ) -> Result<Tensor> {
        let y = Tensor::uninitialized(&self.gpu, &[&[n], self.output_shape()].concat())?;
        if n == 0 {
            y.defer_clear_rest()?;
            return Ok(y);
        }
        let prediction = self.prediction(Predict::rows(n))?;
        let link = self.gpu.link();
        let input = prepare(&prediction)?;
        let mut under_way = VecDeque::new();
        for (i, batch) in prediction.batches().enumerate() {
            let is_first = batch.start == 0;
            let (owner, x, gather) = match &input {
                Input::Tensor(x) => (Owner::of(x.is_private()), prediction.part(x, &batch), None),
                Input::Gathered(gathered) => (
                    gathered.feed.owner,
                    gathered.part(batch.len()),
                    Some((
                        &gathered.feed.dispatches,
                        gathered.records.bound(&self.gpu, i)?,
                    )),
                ),
            };
            let dispatches = prediction.bind(self.plan(), &x, &y, batch)?;
            let end = link.submit(owner, |encoder| {
                if is_first {
                    y.clear_rest(encoder);
                }
                let mut pass = begin_pass(encoder);
                if let Some((gather, step)) = gather {
                    for dispatch in gather {
                        dispatch.record(&mut pass, Some(step));
                    }
                }
                for dispatch in &dispatches {
                    dispatch.record(&mut pass, None);
                }
                drop(pass);
                Ok(Mark::end_of(encoder))
            })?;
            under_way.push_back(end);
            if under_way.len() >= AHEAD
                && let Some(end) = under_way.pop_front()
            {
                end.reached(link, progress).await;
            }
        }
        self.keep(&prediction, link.settle(link.calls()).await)?;
        Ok(y)
    }

    /// Keeps a prediction no longer that was none, or may be.
    fn keep(&self, prediction: &Arc<Prediction>, result: Result<()>) -> Result<()> {
        if result.is_err() {
            let kept = &mut self.predictions().0;
            kept.retain(|kept| !Arc::ptr_eq(kept, prediction));
        }
        result
    }

    /// Makes everything that predictions of so many rows need, in a frame or not: buffers and pipelines;
    /// it submits nothing. `progress` is called with the share that is done, and at the end with 1. The
    /// first prediction then compiles nothing. Between the pipelines a browser can draw.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub async fn prepare_predict_async(
        &self,
        predict: Predict,
        mut progress: impl FnMut(f32),
    ) -> Result<()> {
        if predict.rows > 0 {
            let prediction = self.prediction(predict)?;
            let compiled = prediction.compile(self.plan(), &mut progress).await;
            self.keep(&prediction, compiled)?;
        }
        progress(1.0);
        Ok(())
    }

    fn prediction(&self, predict: Predict) -> Result<Arc<Prediction>> {
        let found = {
            let kept = &mut self.predictions().0;
            let is_it = |kept: &Arc<Prediction>| {
                kept.predict == predict
                    || predict.batch.is_none() && kept.predict.rows == predict.rows
            };
            if let Some(place) = kept.iter().position(is_it) {
                kept[..=place].rotate_right(1);
                return Ok(kept[0].clone());
            }
            kept.first().map(|kept| kept.workspace.clone())
        };
        // Unlocked: another thread may predict while this one compiles.
        let prediction = Arc::new(Prediction::new(self, predict, found.as_ref())?);
        let kept = &mut self.predictions().0;
        kept.retain(|kept| kept.predict.rows != predict.rows);
        kept.truncate(MAX_KEPT - 1);
        kept.insert(0, prediction.clone());
        Ok(prediction)
    }

    /// Every change leaves the predictions consistent, so a panic elsewhere does no harm.
    pub(in crate::nn) fn predictions(&self) -> MutexGuard<'_, Predictions> {
        self.predictions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The network's output y, [n, output shape], for x, [n, input shape]. Dropout is the identity.
    ///
    /// The first and the last layer are bound to x and y: nothing is copied. The first call with as
    /// many rows makes what lies between the layers, and the first with these tensors binds them;
    /// after that a call allocates, submits, compiles and waits for nothing. What it has made for the
    /// eight numbers of rows used last is kept, and what is bound for as long as the tensors are. To
    /// make all of it before the first frame, see [`Sequential::prepare_predict`].
    ///
    /// The prediction is of the weights as they are when the GPU comes to it: after a training step
    /// that was recorded or submitted before, it is that of the trained network.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`], [`Error::NoBatchAxis`], [`Error::OtherGpu`], [`Error::Aliased`];
    /// [`Error::TooLarge`], [`Error::OutOfMemory`].
    pub fn predict(&mut self, model: &Sequential, x: &Tensor, y: &Tensor) -> Result<()> {
        const OP: &str = "predict";
        model.check_pass(OP, self)?;
        let n = model.samples(OP, "x", x, model.input_shape())?;
        let rows = model.samples(OP, "y", y, model.output_shape())?;
        if rows != n {
            return Err(Error::Shape {
                op: OP,
                operand: "y",
                expected: [&[n], model.output_shape()].concat(),
                actual: y.shape().into(),
            });
        }
        if n == 0 {
            return Ok(());
        }
        self.check(OP, &[read("x", x), write("y", y)], Hint::None)?;
        let prediction = model.prediction(Predict::rows(n))?;
        let plan = model.plan();
        let bind = || {
            let batches = prediction.batches();
            let bound = batches.map(|rows| {
                let x = prediction.part(x, &rows);
                prediction.bind(plan, &x, y, rows)
            });
            Ok(bound.collect::<Result<Vec<_>>>()?.concat().into())
        };
        let owners = [x.id(), y.id(), prediction.id];
        let dispatches = model.gpu.dispatches().get(&owners, 0, bind)?;
        self.record_all(&*dispatches, None)
    }
}
