//! The buffers that batches are computed in, and the dispatches over them.

use super::network::{Network, Normalized, Parameters, Stage, StageKind, Sums, Value};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::network::fused::{self, Chain};
use crate::ops::network::guard::{Guard, accumulate};
use crate::ops::network::loss::{Extent, Loss, Regions, RowRegions, Totals, sum_losses};
use crate::ops::network::optimizer::Optimizer;
use crate::ops::network::pool2d::{self, Pool2d};
use crate::ops::network::product::{Conv2d, Dense, End, Precision, Product, Tiling, Window};
use crate::ops::network::regularize::Penalties;
use crate::ops::network::weights::Rows;
use crate::ops::network::{dropout, epilogue, softmax};
use crate::{Error, Gpu, Result, Tensor};

pub(super) const F32: u64 = size_of::<f32>() as u64;

/// Batches are rounded up to multiples of this, so that products can be cut evenly.
const ROWS: usize = 8;

/// The parameters of a network, and where and how it is computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<'a> {
    pub gpu: &'a Gpu,
    pub tiling: Tiling,
    pub precision: Precision,
    pub network: &'a Network,
    pub weights: &'a Region,
    pub ticks: Ticks<'a>,
}

/// Called for each piece of work that is prepared.
#[derive(Clone, Copy)]
pub(super) struct Ticks<'a>(pub &'a dyn Fn());

impl std::fmt::Debug for Ticks<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("Ticks")
    }
}

impl Plan<'_> {
    /// The bytes of `rows` rows of `len` f32s, if the device can bind as many.
    pub fn bytes(&self, rows: usize, len: usize) -> Result<u64> {
        let limits = self.gpu.limits();
        let max = limits.max_binding_bytes.min(limits.max_buffer_bytes);
        let bytes = (rows as u64)
            .checked_mul(len as u64)
            .and_then(|values| values.checked_mul(F32))
            .unwrap_or(u64::MAX);
        // Shaders count in i32.
        if bytes > max || bytes / F32 > i32::MAX as u64 {
            return Err(Error::TooLarge {
                shape: vec![rows, len],
                limit: format!(
                    "a batch takes {bytes} bytes there, the device binds {max} at most, and elements are counted in 31 bits; make batches smaller"
                ),
            });
        }
        Ok(bytes)
    }

    /// A new region of `rows` rows of `len` f32s.
    pub fn region(&self, rows: usize, len: usize) -> Result<Region> {
        self.gpu.memory().region(self.bytes(rows, len)?)
    }

    /// A stage's work on a batch of `rows`.
    pub fn stage(&self, stage: &Stage, rows: usize, at: At, end: End) -> Result<Vec<Work>> {
        let (gpu, At { x, y, kept, infers }) = (self.gpu, at);
        let len = (rows * stage.len) as u32;
        let work = match stage.kind {
            StageKind::Normalization(normalized) => {
                let parameters = self.normalized(&normalized);
                let kept = kept.unwrap_or(y);
                let normalization = normalized.of(rows);
                let dispatches = match infers {
                    true => normalization.infer(gpu, x, parameters.each_ref(), y, kept)?,
                    false => normalization.forward(gpu, x, parameters.each_ref(), y, kept)?,
                };
                return Ok(dispatches.into_iter().map(Work::from).collect());
            }
            StageKind::Weighted(op, parameters) => {
                let weights = self.part(self.weights, parameters);
                self.product(match op.of(rows, parameters) {
                    Op::Dense(dense) => dense.forward(x, &weights, y, end),
                    Op::Conv2d(conv2d) => conv2d.forward(x, &weights, y, end),
                })
            }
            StageKind::MaxPool2d { window, channels } => {
                let pool = pool(window, rows, channels);
                pool2d::max::forward(gpu, x, y, kept.unwrap_or(y), &pool)?.into()
            }
            StageKind::AveragePool2d { window, channels } => {
                pool2d::average::forward(gpu, x, y, &pool(window, rows, channels))?.into()
            }
            StageKind::Epilogue => {
                let (epilogue, y) = match &end {
                    End::Forward(epilogue, activations) => (*epilogue, activations),
                    _ => (stage.epilogue.without_dropout(), y),
                };
                epilogue::forward(gpu, x, y, len, &epilogue)?.into()
            }
            StageKind::Softmax {
                rows: positions,
                classes,
            } => softmax::forward(gpu, x, y, (rows * positions) as u32, classes as u32)?.into(),
            StageKind::Dropout(dropout, broadcast) => {
                dropout::forward(gpu, x, y, len, &dropout, &broadcast)?.into()
            }
        };
        Ok(vec![work])
    }

    /// A product, in the network's precision.
    fn product(&self, product: Product) -> Work {
        Work::Product(Box::new(product.precision(self.precision)))
    }

    /// Gamma and beta, and the moments; anything where there are none.
    fn normalized(&self, normalized: &Normalized) -> [Region; 2] {
        normalized.parameters.map(|parameters| match parameters {
            Some(parameters) => self.part(self.weights, parameters),
            None => self.weights.clone(),
        })
    }

    /// The f32s that a stage keeps of a batch, or that an inference writes.
    pub fn kept(&self, stage: &Stage, rows: usize, infers: bool) -> Option<usize> {
        match stage.kind {
            StageKind::MaxPool2d { .. } => Some(rows * stage.len),
            StageKind::Normalization(normalized) => {
                Some(normalized.of(rows).kept(self.gpu, infers))
            }
            _ => None,
        }
    }

    /// Whether the network is a chain that one dispatch predicts faster.
    pub fn fuses(&self) -> bool {
        let chain = self.network.chain();
        chain.is_some_and(|chain| fused::pays(self.gpu, self.tiling, &chain))
    }

    /// The output y of a chain for x.
    pub fn chain(&self, chain: &Chain, rows: usize, x: &Region, y: &Region) -> Result<Dispatch> {
        let (gpu, weights) = (self.gpu, self.weights);
        fused::forward(gpu, self.tiling, chain, x, weights, y, rows as u32)
    }

    fn part(&self, of: &Region, parameters: Parameters) -> Region {
        of.part(parameters.offset as u64 * F32, parameters.len as u64 * F32)
    }

    /// The dispatches of products, with scratch memory for the largest.
    fn prepare(&self, steps: Vec<Work>) -> Result<(Vec<Dispatch>, Option<Region>)> {
        let scratch = self.scratch(self.scratch_bytes(&steps))?;
        Ok((self.dispatches(steps, scratch.as_ref())?, scratch))
    }

    /// The scratch memory that products need, one at a time.
    pub fn scratch_bytes(&self, steps: &[Work]) -> u64 {
        let bytes = steps.iter().map(|work| match work {
            Work::Product(product) => product.scratch_bytes(self.tiling),
            Work::Dispatch(_) => 0,
        });
        bytes.max().unwrap_or(0)
    }

    pub fn scratch(&self, bytes: u64) -> Result<Option<Region>> {
        match bytes {
            0 => Ok(None),
            bytes => self.region(1, bytes.div_ceil(F32) as usize).map(Some),
        }
    }

    pub fn dispatches(&self, steps: Vec<Work>, scratch: Option<&Region>) -> Result<Vec<Dispatch>> {
        let mut dispatches = Vec::new();
        for work in steps {
            self.ticks.0();
            match work {
                Work::Dispatch(dispatch) => dispatches.push(dispatch),
                Work::Product(product) => {
                    let scratch = scratch.unwrap_or(&product.sums);
                    dispatches.extend(product.prepare(self.gpu, self.tiling, scratch)?);
                }
            }
        }
        Ok(dispatches)
    }
}

/// The regions of a stage: its input, its sums, and what it keeps for its gradient.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub x: &'a Region,
    pub y: &'a Region,
    pub kept: Option<&'a Region>,
    /// Whether there will be none.
    pub infers: bool,
}

/// What a stage does: products are cut into dispatches once it is known how much scratch memory they need.
pub(super) enum Work {
    Product(Box<Product>),
    Dispatch(Dispatch),
}

impl From<Dispatch> for Work {
    fn from(dispatch: Dispatch) -> Self {
        Self::Dispatch(dispatch)
    }
}

/// The forward pass, from a batch to the network's output.
#[derive(Debug)]
pub(super) struct Forward {
    /// The most rows of a batch.
    pub rows: usize,
    pub input: Region,
    /// For each stage.
    sums: Vec<Region>,
    activations: Vec<Region>,
    /// What a stage keeps for its gradient: where a pool's maxima come from, and a batch's moments.
    kept: Vec<Option<Region>>,
    scratch: Option<Region>,
    /// All but a softmax at the end.
    dispatches: Vec<Dispatch>,
    /// The softmax at the end, which cross-entropy does without.
    softmax: Option<Dispatch>,
}

impl Forward {
    /// For batches of up to `batch` samples.
    pub fn new(plan: Plan, batch: usize) -> Result<Self> {
        let network = plan.network;
        let rows = Self::rows_of(batch);
        let mut forward = Self {
            rows,
            input: plan.region(rows, network.len(Value::Input))?,
            sums: Vec::new(),
            activations: Vec::new(),
            kept: Vec::new(),
            scratch: None,
            dispatches: Vec::new(),
            softmax: None,
        };
        let mut work: Vec<Work> = Vec::new();
        for (i, stage) in network.stages.iter().enumerate() {
            let input = forward.value(stage.input).clone();
            let sums = match stage.kind {
                StageKind::Epilogue => input.clone(),
                _ => plan.region(rows, stage.len)?,
            };
            let activations = if stage.epilogue.is_identity() {
                sums.clone()
            } else {
                plan.region(rows, stage.len)?
            };
            let end = if stage.epilogue.is_identity() {
                End::Nothing
            } else {
                End::Forward(stage.epilogue, activations.clone())
            };
            let kept = match plan.kept(stage, rows, false) {
                Some(len) => Some(plan.region(1, len)?),
                None => None,
            };
            let at = At {
                x: &input,
                y: &sums,
                kept: kept.as_ref(),
                infers: false,
            };
            for done in plan.stage(stage, rows, at, end)? {
                match (stage.kind, done) {
                    (StageKind::Softmax { .. }, Work::Dispatch(dispatch))
                        if i + 1 == network.stages.len() =>
                    {
                        forward.softmax = Some(dispatch);
                    }
                    (_, done) => work.push(done),
                }
            }
            forward.sums.push(sums);
            forward.activations.push(activations);
            forward.kept.push(kept);
        }
        (forward.dispatches, forward.scratch) = plan.prepare(work)?;
        Ok(forward)
    }

    /// The size that a batch is rounded up to.
    pub fn rows_of(batch: usize) -> usize {
        batch.max(1).checked_next_multiple_of(ROWS).unwrap_or(batch)
    }

    /// All dispatches, from the input to the output.
    pub fn to_output(&self) -> impl Iterator<Item = &Dispatch> + Clone {
        self.dispatches.iter().chain(&self.softmax)
    }

    /// The dispatches from the input to the values that `losses` are computed from.
    pub fn to_losses(&self, losses: &Losses) -> impl Iterator<Item = &Dispatch> {
        let softmax = self.softmax.iter();
        let is_needed = losses.scored.stages() == self.sums.len();
        self.dispatches
            .iter()
            .chain(softmax.filter(move |_| is_needed))
    }

    pub fn value(&self, value: Value) -> &Region {
        match value {
            Value::Input => &self.input,
            Value::Sums(stage) => &self.sums[stage],
            Value::Activations(stage) => &self.activations[stage],
        }
    }

    /// The distinct buffers, for the sum of their sizes.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        [&self.input]
            .into_iter()
            .chain(&self.sums)
            .chain(&self.activations)
            .chain(self.kept.iter().flatten())
            .chain(&self.scratch)
    }
}

enum Op {
    Dense(Dense),
    Conv2d(Conv2d),
}

impl Sums {
    /// The op of a batch.
    fn of(self, batch: usize, parameters: Parameters) -> Op {
        let bias = parameters.bias;
        match self {
            Self::Dense {
                rows,
                inputs,
                outputs,
            } => Op::Dense(Dense {
                rows: batch * rows,
                inputs,
                outputs,
                bias,
            }),
            Self::Conv2d {
                window,
                channels,
                filters,
            } => Op::Conv2d(Conv2d {
                batch,
                channels,
                filters,
                window,
                bias,
            }),
        }
    }
}

fn pool(window: Window, batch: usize, channels: usize) -> Pool2d {
    let pair = |pair: [usize; 2]| pair.map(|extent| extent as u32);
    Pool2d {
        batch: batch as u32,
        channels: channels as u32,
        input: pair(window.input),
        output: pair(window.output),
        pool: pair(window.size),
        strides: pair(window.strides),
        padding: pair(window.padding),
    }
}

/// The backward pass, from the gradient of a value to those of the weights, and of the network's
/// input if it is wanted.
#[derive(Debug)]
pub(super) struct Backward {
    pub dispatches: Vec<Dispatch>,
    /// The gradient of the network's input.
    pub input: Option<Region>,
    buffers: Vec<Region>,
}

impl Backward {
    /// Starts from `dy`, the gradient of `from`, and overwrites it.
    pub fn new(
        plan: Plan,
        forward: &Forward,
        from: Value,
        dy: &Region,
        gradients: &Region,
        input_gradient: bool,
    ) -> Result<Self> {
        let Plan { gpu, network, .. } = plan;
        let stages = &network.stages[..from.stages()];
        let trained = |kind: &StageKind| match kind {
            StageKind::Weighted(_, parameters) => parameters.trainable,
            StageKind::Normalization(normalized) => {
                normalized.parameters[0].is_some_and(|parameters| parameters.trainable)
            }
            _ => false,
        };
        let first_trained = stages.iter().position(|stage| trained(&stage.kind));
        let lowest = if input_gradient {
            0
        } else {
            first_trained.unwrap_or(stages.len())
        };
        let rows = forward.rows;
        let mut work: Vec<Work> = Vec::new();
        let mut buffers = Vec::new();
        // The gradient of a stage's sums.
        let mut dz = dy.clone();
        if let (Value::Activations(_), Some((last, z))) =
            (from, stages.iter().zip(&forward.sums).next_back())
        {
            work.push(
                epilogue::backward(gpu, z, dy, dy, (rows * last.len) as u32, &last.epilogue)?
                    .into(),
            );
        }
        for (i, stage) in stages.iter().enumerate().skip(lowest).rev() {
            let input = forward.value(stage.input);
            if let StageKind::Weighted(op, parameters) = stage.kind
                && parameters.trainable
            {
                let dw = plan.part(gradients, parameters);
                let product = match op.of(rows, parameters) {
                    Op::Dense(dense) => dense.kernel_gradient(input, &dz, &dw),
                    Op::Conv2d(conv2d) => conv2d.kernel_gradient(input, &dz, &dw),
                };
                work.push(plan.product(product));
            }
            let is_lowest = i == lowest && !input_gradient;
            if let (StageKind::Normalization(normalized), true) = (stage.kind, is_lowest) {
                work.extend(normalize_back(
                    plan, forward, i, normalized, &dz, gradients, None,
                )?);
            }
            if is_lowest {
                break;
            }
            // Through the epilogue that the input comes from.
            let below = i
                .checked_sub(1)
                .map(|below| (&forward.sums[below], &network.stages[below].epilogue));
            let below = below.filter(|(_, epilogue)| !epilogue.is_identity());
            if matches!(stage.kind, StageKind::Epilogue) && below.is_none() {
                continue;
            }
            let dx = plan.region(rows, network.len(stage.input))?;
            buffers.push(dx.clone());
            match stage.kind {
                StageKind::Weighted(op, parameters) => {
                    let weights = plan.part(plan.weights, parameters);
                    let end = match below {
                        None => End::Nothing,
                        Some((z, epilogue)) => End::Backward(*epilogue, z.clone()),
                    };
                    let product = match op.of(rows, parameters) {
                        Op::Dense(dense) => dense.input_gradient(&dz, &weights, &dx, end),
                        Op::Conv2d(conv2d) => conv2d.input_gradient(&dz, &weights, &dx, end),
                    };
                    work.push(plan.product(product));
                }
                StageKind::MaxPool2d { window, channels } => {
                    let Some(maxima) = &forward.kept[i] else {
                        continue;
                    };
                    let pool = pool(window, rows, channels);
                    let dispatch = pool2d::max::backward(gpu, &dz, maxima, &dx, &pool, below)?;
                    work.push(dispatch.into());
                }
                StageKind::AveragePool2d { window, channels } => {
                    let pool = pool(window, rows, channels);
                    work.push(pool2d::average::backward(gpu, &dz, &dx, &pool, below)?.into());
                }
                StageKind::Normalization(normalized) => {
                    let dx = Some(&dx);
                    work.extend(normalize_back(
                        plan, forward, i, normalized, &dz, gradients, dx,
                    )?);
                    if let (Some((z, epilogue)), Some(dx)) = (below, dx) {
                        let len = (rows * stage.len) as u32;
                        work.push(epilogue::backward(gpu, z, dx, dx, len, epilogue)?.into());
                    }
                }
                StageKind::Epilogue => {
                    if let Some((z, epilogue)) = below {
                        let len = (rows * network.len(stage.input)) as u32;
                        work.push(epilogue::backward(gpu, z, &dz, &dx, len, epilogue)?.into());
                    }
                }
                StageKind::Softmax {
                    rows: positions,
                    classes,
                } => {
                    let y = &forward.sums[i];
                    work.push(
                        softmax::backward(
                            gpu,
                            y,
                            &dz,
                            &dx,
                            (rows * positions) as u32,
                            classes as u32,
                            below,
                        )?
                        .into(),
                    );
                }
                StageKind::Dropout(dropout, broadcast) => {
                    let len = (rows * stage.len) as u32;
                    work.push(dropout::backward(gpu, &dz, &dx, len, &dropout, &broadcast)?.into());
                    if let Some((z, epilogue)) = below {
                        work.push(epilogue::backward(gpu, z, &dx, &dx, len, epilogue)?.into());
                    }
                }
            }
            dz = dx;
        }
        let (dispatches, scratch) = plan.prepare(work)?;
        buffers.extend(scratch);
        Ok(Self {
            dispatches,
            input: input_gradient.then_some(dz),
            buffers,
        })
    }

    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.buffers.iter()
    }
}

/// The gradients of a normalization, stage `i`: of its weights, and of its input.
fn normalize_back(
    plan: Plan,
    forward: &Forward,
    i: usize,
    normalized: Normalized,
    dy: &Region,
    gradients: &Region,
    dx: Option<&Region>,
) -> Result<Vec<Work>> {
    let Some(kept) = &forward.kept[i] else {
        return Ok(Vec::new());
    };
    let x = forward.value(plan.network.stages[i].input);
    let [weights, _] = plan.normalized(&normalized);
    let trained = normalized.parameters[0].filter(|parameters| parameters.trainable);
    let gradients = trained.map(|parameters| plan.part(gradients, parameters));
    let normalization = normalized.of(forward.rows);
    let results = [gradients.as_ref(), dx];
    let dispatches = normalization.backward(plan.gpu, x, dy, &weights, kept, results)?;
    Ok(dispatches.into_iter().map(Work::from).collect())
}

/// From a batch's output and targets to its loss, and the gradient of what the loss is computed from.
#[derive(Debug)]
pub(super) struct Losses {
    pub targets: Region,
    /// Fills the weights of a batch that comes without.
    pub plain_weights: Dispatch,
    /// What the loss is computed from, and its gradient.
    pub scored: Value,
    pub gradient: Region,
    /// The weight of each row, below 0 where it is void, and its sums.
    pub rows: RowRegions,
    /// The totals of a batch.
    pub totals: Region,
    /// The loss of each row, and their totals.
    pub dispatches: [Dispatch; 2],
    /// What weights add to the totals.
    pub penalties: Option<Penalties>,
}

impl Losses {
    pub fn new(plan: Plan, forward: &Forward, loss: Loss) -> Result<Self> {
        let Plan { gpu, network, .. } = plan;
        let scored = network.scored(loss);
        let len = network.len(scored);
        let positions = len / network.classes();
        let batch = forward.rows;
        let targets = plan.region(batch, len)?;
        let gradient = plan.region(batch, len)?;
        let (values, _) = RowRegions::extent(gpu, batch * positions);
        let rows = RowRegions::new(gpu, plan.region(1, values)?, batch * positions);
        let regions = Regions {
            y: forward.value(scored),
            targets: &targets,
            gradient: &gradient,
            rows: &rows,
        };
        let extent = Extent {
            samples: batch as u32,
            positions: positions as u32,
            outputs: network.classes() as u32,
        };
        let row = Rows {
            samples: extent.samples,
            positions: extent.positions,
            outputs: extent.outputs,
        };
        let totals = gpu.memory().region(size_of::<Totals>() as u64)?;
        let sum = sum_losses(gpu, &rows.sums, &totals, (batch * positions) as u32)?;
        Ok(Self {
            dispatches: [loss.dispatch(gpu, regions, extent)?, sum],
            penalties: Penalties::new(gpu, &network.penalties(), plan.weights, &totals)?,
            totals,
            plain_weights: row.fill_weights(gpu, &rows.weights)?,
            targets,
            scored,
            gradient,
            rows,
        })
    }

    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        let all = [&self.targets, &self.gradient, &self.rows.all, &self.totals];
        let tables = self.penalties.iter().map(|penalties| &penalties.table);
        all.into_iter().chain(tables)
    }
}

/// Copies `count` samples of x, from `first` on, to the beginning of `region`; the rest becomes 0.
pub(super) fn fill(
    encoder: &mut wgpu::CommandEncoder,
    x: &Tensor,
    first: usize,
    count: usize,
    region: &Region,
) {
    let samples = x.shape().first().copied().unwrap_or(1).max(1);
    let sample_bytes = (x.len() / samples) as u64 * F32;
    let start = x.range().start + first as u64 * sample_bytes;
    let bytes = count as u64 * sample_bytes;
    encoder.copy_buffer_to_buffer(x.buffer(), start, &region.buffer, region.offset, bytes);
    if bytes < region.bytes {
        let rest = region.bytes - bytes;
        encoder.clear_buffer(&region.buffer, region.offset + bytes, Some(rest));
    }
}

/// The gradients of the trained weights, and what the optimizer stores for each.
#[derive(Debug)]
pub(super) struct Slots {
    pub gradients: Region,
    pub slots: Vec<Region>,
    pub guard: Guard,
}

impl Slots {
    pub fn new(plan: Plan, optimizer: &Optimizer) -> Result<Self> {
        let region = || plan.region(1, plan.network.trainable.max(1));
        let gradients = plan.region(1, plan.network.trainable + Guard::VALUES)?;
        let variables: Vec<_> = plan
            .network
            .trained_weights()
            .map(|weight| weight.offset as u32..(weight.offset + weight.len) as u32)
            .collect();
        Ok(Self {
            guard: Guard::new(plan.gpu, &gradients, &variables)?,
            gradients,
            slots: optimizer
                .slots()
                .iter()
                .map(|_| region())
                .collect::<Result<_>>()?,
        })
    }

    /// One step of the optimizer, which the guard judges by the totals, penalties among them, and of moving
    /// averages.
    pub fn update(
        &self,
        plan: Plan,
        optimizer: &Optimizer,
        forward: &Forward,
        losses: &Losses,
    ) -> Result<Vec<Dispatch>> {
        let (gpu, slots) = (plan.gpu, &self.slots);
        let mut dispatches = Vec::new();
        let len = plan.network.trainable;
        let is_scaled = plan.precision == Precision::F16 && len > 0;
        if is_scaled {
            let gradients = self.gradients.part(0, len as u64 * F32);
            dispatches.push(self.guard.unscale(gpu, &gradients, len as u32)?);
        }
        if let Some(penalties) = &losses.penalties {
            dispatches.extend(penalties.with_gradient(gpu, &self.gradients)?);
        }
        let clip = optimizer.clip();
        let guard = self
            .guard
            .dispatches(gpu, &losses.totals, clip, is_scaled)?;
        dispatches.extend(guard);
        if len > 0 {
            let weights = plan.weights.part(0, len as u64 * F32);
            dispatches.push(optimizer.update(gpu, &weights, &self.gradients, slots, len as u32)?);
        }
        for (stage, kept) in plan.network.stages.iter().zip(&forward.kept) {
            if let (StageKind::Normalization(normalized), Some(kept)) = (stage.kind, kept)
                && normalized.moves()
            {
                let [_, averages] = plan.normalized(&normalized);
                let batch = normalized.of(forward.rows).batch(gpu, kept);
                let (len, momentum) = (2 * normalized.columns, normalized.momentum);
                let moved = self
                    .guard
                    .move_averages(gpu, &averages, &batch, len, momentum)?;
                dispatches.push(moved);
            }
        }
        Ok(dispatches)
    }

    /// Multiplies the gradient of a loss by the loss scale, if the network's precision needs one.
    pub fn scale(&self, plan: Plan, losses: &Losses) -> Result<Option<Dispatch>> {
        let len = losses.gradient.bytes / F32;
        match plan.precision {
            Precision::F16 => self
                .guard
                .scale(plan.gpu, &losses.gradient, len as u32)
                .map(Some),
            _ => Ok(None),
        }
    }

    /// Adds the gradients of a part of a batch to those of the batch.
    pub fn accumulate(&self, plan: Plan, part: &Region) -> Result<Option<Dispatch>> {
        let len = plan.network.trainable as u32;
        if len == 0 {
            return Ok(None);
        }
        accumulate(plan.gpu, part, &self.gradients, len).map(Some)
    }

    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        [&self.gradients]
            .into_iter()
            .chain(&self.slots)
            .chain(self.guard.regions())
    }
}
