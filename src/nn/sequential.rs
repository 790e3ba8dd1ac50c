use std::sync::Arc;

use hashbrown::HashSet;

use super::data::{Expected, Places};
use super::layers::{Initializer, Layer};
use super::network::{BuiltLayer, Initial, Network, Weight};
use super::summary;
use super::workspace::{Backward, F32, Forward, Losses, Plan, Slots};
use super::{Score, Tiling};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::platform;
use crate::gpu::recording::begin_pass;
use crate::gpu::region::Region;
use crate::gpu::transfer;
use crate::ops::network::loss::Loss;
use crate::ops::network::moments;
use crate::ops::network::optimizer::{Adam, Optimizer};
use crate::ops::network::step::{Step, Steps};
use crate::{Error, GlorotUniform, Gpu, LecunNormal, LecunUniform, Pass, Result, Tensor};

/// The largest batch for predictions and evaluations before anything has been trained.
const EVALUATION_BATCH: usize = 256;

/// Buffers for batches of at least this size are not replaced by larger ones.
const ENOUGH: usize = 32;

/// The layers of a network that is yet to be built.
#[derive(Clone, Debug)]
#[must_use]
pub struct SequentialBuilder {
    input_shape: Vec<usize>,
    layers: Vec<Layer>,
    tiling: Option<Tiling>,
}

impl SequentialBuilder {
    /// Adds a layer, whose input is the output of the one before.
    #[allow(clippy::should_implement_trait)]
    pub fn add(mut self, layer: impl Into<Layer>) -> Self {
        self.layers.push(layer.into());
        self
    }

    /// How products are cut into tiles. By default the kind of device decides.
    pub fn tiling(mut self, tiling: Tiling) -> Self {
        self.tiling = Some(tiling);
        self
    }

    /// Infers all shapes, and makes the weights on the GPU from `seed`.
    ///
    /// # Errors
    ///
    /// [`Error::Layer`] names the layers that do not fit together, and their shapes;
    /// [`Error::Parameter`] for a rate or α that is not allowed; [`Error::TooLarge`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn build(&self, gpu: &Gpu, seed: u64) -> Result<Sequential> {
        let network = Network::new(&self.input_shape, &self.layers, seed, alignment(gpu), true)?;
        let bytes = network.parameters.max(1) as u64 * F32;
        let limits = gpu.limits();
        let max = limits.max_binding_bytes.min(limits.max_buffer_bytes);
        if bytes > max {
            return Err(Error::TooLarge {
                shape: vec![network.parameters],
                limit: format!("the parameters take {bytes} bytes, the device binds {max} at most"),
            });
        }
        let loss = if network.ends_with_softmax() {
            Loss::CategoricalCrossentropy
        } else {
            Loss::MeanSquaredError
        };
        let model = Sequential {
            gpu: gpu.clone(),
            tiling: self.tiling.unwrap_or_else(|| Tiling::of(gpu)),
            layers: self.layers.clone(),
            weights: gpu.memory().region(bytes)?,
            network,
            seed,
            optimizer: Adam::default().into(),
            loss,
            slots: None,
            step: 0,
            forward: None,
            training: None,
            steps: Steps::new(gpu, 1)?,
        };
        model.initialize()?;
        Ok(model)
    }
}

/// The parameters of a layer begin where the device can bind them.
fn alignment(gpu: &Gpu) -> usize {
    (gpu.limits().offset_alignment / F32).max(8) as usize
}

/// A network of layers, one after the other, on a GPU.
///
/// ```
/// # fn main() -> selfnorm::Result<()> {
/// use selfnorm::Gpu;
/// use selfnorm::nn::{Activation::{Selu, Softmax}, Dense, Initializer::LecunNormal, Sequential};
///
/// let gpu = Gpu::new()?;
/// let mut model = Sequential::new([4])
///     .add(Dense::new(8).kernel_initializer(LecunNormal).activation(Selu))
///     .add(Dense::new(3).activation(Softmax))
///     .build(&gpu, 42)?;
/// let x = gpu.tensor(&[0.5; 8], [2, 4])?;
/// assert_eq!(model.predict(&x)?.shape(), [2, 3]);
/// # Ok(())
/// # }
/// ```
///
/// # Memory
///
/// A network of P parameters, of which T are trained with Adam, takes 4 P + 12 T bytes for weights,
/// gradients and moments. A batch, rounded up to a multiple of 8 samples, takes for each sample the
/// input, each layer's sums and activations, and their gradient (except for layers below the first
/// with weights), 4 bytes per element; pools also take an index. A layer without an activation has
/// no activations of its own, and an activation or a dropout after a layer with weights belongs to
/// that layer. Products whose inner axis is cut into chunks share scratch memory for the largest.
/// All of it is allocated by the end of the first step. [`Sequential::memory`] is the sum.
#[derive(Debug)]
pub struct Sequential {
    pub(super) gpu: Gpu,
    tiling: Tiling,
    layers: Vec<Layer>,
    pub(super) network: Network,
    pub(super) weights: Region,
    pub(super) seed: u64,
    pub(super) optimizer: Optimizer,
    pub(super) loss: Loss,
    pub(super) slots: Option<Arc<Slots>>,
    /// The number of training steps done.
    pub(super) step: u64,
    pub(super) forward: Option<Arc<Forward>>,
    pub(super) training: Option<Arc<Training>>,
    pub(super) steps: Steps,
}

/// Everything a training step needs, including the forward pass.
#[derive(Debug)]
pub(super) struct Training {
    pub forward: Arc<Forward>,
    pub losses: Losses,
    pub backward: Backward,
    pub update: Vec<Dispatch>,
}

/// Mean and variance of the elements of a layer's output.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LayerStatistics {
    /// The layer's name.
    pub name: String,
    /// The mean.
    pub mean: f64,
    /// The variance, of the population.
    pub variance: f64,
}

/// A network's output, and gradients.
#[derive(Debug)]
#[non_exhaustive]
pub struct Gradient {
    /// The output.
    pub y: Tensor,
    /// The gradient of the input.
    pub dx: Tensor,
    /// The gradients of the trained weights, by name.
    pub weights: Vec<(String, Tensor)>,
}

/// The bytes that a network takes on the GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// The weights.
    pub weights: u64,
    /// Their gradients, and the optimizer's moments.
    pub optimizer: u64,
    /// The batch, the layers' sums and activations.
    pub forward: u64,
    /// The gradients of these, the targets, and the losses.
    pub backward: u64,
}

impl Memory {
    /// The sum of all.
    pub fn total(&self) -> u64 {
        self.weights + self.optimizer + self.forward + self.backward
    }
}

impl Sequential {
    /// A network whose input is samples of `input_shape`; add layers, then build it.
    #[allow(clippy::new_ret_no_self)]
    pub fn new(input_shape: impl AsRef<[usize]>) -> SequentialBuilder {
        SequentialBuilder {
            input_shape: input_shape.as_ref().into(),
            layers: Vec::new(),
            tiling: None,
        }
    }

    /// Sets the optimizer, whose moments and steps start afresh, and the loss. By default they are
    /// `Adam::default()`, and categorical cross-entropy for a network that ends with a softmax, mean
    /// squared error for any other.
    ///
    /// # Errors
    ///
    /// [`Error::Parameter`] if a parameter of the optimizer is not allowed, [`Error::Data`] if the
    /// loss does not fit the network's output.
    pub fn compile(&mut self, optimizer: impl Into<Optimizer>, loss: Loss) -> Result<()> {
        let optimizer = optimizer.into();
        optimizer.check()?;
        self.check_loss(loss)?;
        self.optimizer = optimizer;
        self.loss = loss;
        self.slots = None;
        self.step = 0;
        self.training = None;
        Ok(())
    }

    pub(super) fn check_loss(&self, loss: Loss) -> Result<()> {
        if loss.is_of_logits() && !self.network.ends_with_logits() {
            return Err(Error::Data {
                op: "compile",
                detail: "categorical cross-entropy is computed from logits: the last activation must be softmax, or linear".into(),
            });
        }
        Ok(())
    }

    /// The device that the network is on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The shape of a sample.
    pub fn input_shape(&self) -> &[usize] {
        &self.network.input_shape
    }

    /// The shape of a sample's output.
    pub fn output_shape(&self) -> &[usize] {
        self.network.output_shape()
    }

    /// The number of training steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Layers, output shapes and parameters, as Keras prints them.
    pub fn summary(&self) -> String {
        summary::summary(&self.network)
    }

    /// The bytes that the network takes on the GPU so far.
    pub fn memory(&self) -> Memory {
        let mut seen = HashSet::new();
        let mut sum = |regions: &mut dyn Iterator<Item = &Region>| {
            regions
                .filter(|region| seen.insert(region.buffer.clone()))
                .map(|region| region.buffer.size())
                .sum::<u64>()
        };
        let mut memory = Memory {
            weights: sum(&mut [&self.weights].into_iter()),
            backward: self.steps.bytes(),
            ..Memory::default()
        };
        if let Some(slots) = &self.slots {
            memory.optimizer = sum(&mut slots.regions());
        }
        if let Some(forward) = &self.forward {
            memory.forward = sum(&mut forward.regions());
        }
        if let Some(training) = &self.training {
            memory.backward += sum(&mut training.losses.regions());
            memory.backward += sum(&mut training.backward.regions());
        }
        memory
    }

    /// The output, [n, output shape], for x, [n, input shape]. Dropout is the identity.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`], [`Error::OtherGpu`]; [`Error::MissingUsage`] for a wrapped buffer without
    /// `COPY_SRC`; [`Error::TooLarge`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn predict(&mut self, x: &Tensor) -> Result<Tensor> {
        let n = self.samples("predict", "x", x, self.input_shape())?;
        let forward = self.prepare_evaluation(n)?;
        self.steps.write(&self.gpu, &[Step::default()])?;
        self.run(&forward, x, n)
    }

    /// One training step on x, [n, input shape], and the targets y, [n, output shape]: one-hot for a
    /// network that ends with a softmax.
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict); [`Error::NotANumber`].
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
        let training = self.prepare_training(n, 1)?;
        self.steps.write(&self.gpu, &[self.next_step(0, 0, n)])?;
        self.gpu.link().submit(|encoder| {
            fill(encoder, x, 0, n, &training.forward.input);
            fill(encoder, y, 0, n, &training.losses.targets);
            let mut pass = begin_pass(encoder);
            for dispatch in [&training.losses.plain_weights]
                .into_iter()
                .chain(training.step())
            {
                dispatch.record(&mut pass, Some(self.steps.bound(0)));
            }
            Ok(())
        })?;
        self.step += 1;
        let totals = training.losses.read(&self.gpu, 1)?;
        let score = Score::new(self.loss, &totals, n * training.losses.positions);
        if score.loss.is_nan() {
            return Err(Error::NotANumber { step: self.step });
        }
        Ok(score)
    }

    /// The output y for x, [n, input shape], and the gradients of Σ y · dy, for dy [n, output shape].
    /// With `training`, dropout drops what it would drop in the next training step.
    ///
    /// Allocates buffers for the call; training has its own.
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict).
    pub fn gradient(&self, x: &Tensor, dy: &Tensor, training: bool) -> Result<Gradient> {
        const OP: &str = "gradient";
        let n = self.samples(OP, "x", x, self.input_shape())?;
        let rows = self.samples(OP, "dy", dy, self.output_shape())?;
        if rows != n || n == 0 {
            return Err(Error::Shape {
                op: OP,
                operand: "dy",
                expected: [&[n.max(1)], self.output_shape()].concat(),
                actual: dy.shape().into(),
            });
        }
        let plan = self.plan();
        let forward = Forward::new(plan, n)?;
        let gradients = self.gpu.memory().region(self.weights.bytes)?;
        let output = forward.value(self.network.output());
        let start = self.gpu.memory().region(output.bytes)?;
        let stages = self.network.stages.len();
        let backward = Backward::new(plan, &forward, stages, &start, &gradients, true)?;
        let steps = Steps::new(&self.gpu, 1)?;
        let step = Step {
            training,
            ..self.next_step(0, 0, n)
        };
        steps.write(&self.gpu, &[step])?;
        self.gpu.link().submit(|encoder| {
            fill(encoder, x, 0, n, &forward.input);
            fill(encoder, dy, 0, n, &start);
            let mut pass = begin_pass(encoder);
            for dispatch in forward.to_output().chain(&backward.dispatches) {
                dispatch.record(&mut pass, Some(steps.bound(0)));
            }
            Ok(())
        })?;
        let dx = backward.input.as_ref().unwrap_or(&start);
        Ok(Gradient {
            y: self.copied(output, &[&[n], self.output_shape()].concat())?,
            dx: self.copied(dx, &[&[n], self.input_shape()].concat())?,
            weights: self
                .network
                .layers
                .iter()
                .filter(|layer| layer.trainable)
                .flat_map(|layer| &layer.weights)
                .map(|weight| self.named(&gradients, weight))
                .collect::<Result<_>>()?,
        })
    }

    /// Mean and variance of the output of every layer for x, [n, input shape]. Dropout is the identity.
    ///
    /// Allocates buffers for the call.
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict).
    pub fn statistics(&self, x: &Tensor) -> Result<Vec<LayerStatistics>> {
        self.measure(x, false)
    }

    /// As [`statistics`](Self::statistics), with the dropout of the next training step.
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict).
    pub fn statistics_in_training(&self, x: &Tensor) -> Result<Vec<LayerStatistics>> {
        self.measure(x, true)
    }

    fn measure(&self, x: &Tensor, training: bool) -> Result<Vec<LayerStatistics>> {
        let n = self.samples("statistics", "x", x, self.input_shape())?;
        // Every layer's output is stored, whereas training stores only what it needs.
        let alignment = alignment(&self.gpu);
        let network = Network::new(
            &self.network.input_shape,
            &self.layers,
            self.seed,
            alignment,
            false,
        )?;
        let plan = Plan {
            network: &network,
            ..self.plan()
        };
        let forward = Forward::new(plan, n)?;
        let steps = Steps::new(&self.gpu, 1)?;
        let step = Step {
            training,
            ..self.next_step(0, 0, n)
        };
        steps.write(&self.gpu, &[step])?;
        let mut measured = Vec::new();
        for layer in &network.layers {
            let len = (n * network.len(layer.output)) as u32;
            let bytes = u64::from(moments::partials(len)) * size_of::<[f32; 4]>() as u64;
            let partials = self.gpu.memory().region(bytes)?;
            let value = forward.value(layer.output);
            let dispatch = moments::moments(&self.gpu, value, &partials, len)?;
            measured.push((layer, partials, dispatch));
        }
        let moments = measured.iter().map(|(_, _, dispatch)| dispatch);
        self.gpu.link().submit(|encoder| {
            fill(encoder, x, 0, n, &forward.input);
            let mut pass = begin_pass(encoder);
            for dispatch in forward.to_output().chain(moments) {
                dispatch.record(&mut pass, Some(steps.bound(0)));
            }
            Ok(())
        })?;
        let statistics = |(layer, partials, _): &(&BuiltLayer, Region, Dispatch)| {
            let partials: Vec<[f32; 4]> = read(&self.gpu, partials)?;
            let (mean, variance) = moments::merge(&partials);
            Ok(LayerStatistics {
                name: layer.name.clone(),
                mean,
                variance,
            })
        };
        measured.iter().map(statistics).collect()
    }

    /// Copies of the weights by name, in Keras's order: for each layer the kernel
    /// (`dense_1/kernel`), then the biases (`dense_1/bias`).
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn weights(&self) -> Result<Vec<(String, Tensor)>> {
        self.network
            .weights()
            .map(|weight| self.named(&self.weights, weight))
            .collect()
    }

    /// Sets weights by name; the others stay as they are.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if there is no such weight, [`Error::Shape`], [`Error::OtherGpu`],
    /// [`Error::MissingUsage`] for a wrapped buffer without `COPY_SRC`; then none has changed.
    pub fn set_weights(&mut self, weights: &[(impl AsRef<str>, Tensor)]) -> Result<()> {
        const OP: &str = "set_weights";
        let mut copies = Vec::new();
        for (name, tensor) in weights {
            let name = name.as_ref();
            let Some(weight) = self.network.weights().find(|weight| weight.name == name) else {
                let names: Vec<_> = self.network.weights().map(|weight| &weight.name).collect();
                return Err(Error::Data {
                    op: OP,
                    detail: format!("there is no weight {name:?}, only {names:?}"),
                });
            };
            self.check_source(OP, "a weight", tensor)?;
            if tensor.shape() != weight.shape {
                return Err(Error::Shape {
                    op: OP,
                    operand: "a weight",
                    expected: weight.shape.clone(),
                    actual: tensor.shape().into(),
                });
            }
            copies.push((tensor, weight.offset));
        }
        self.gpu.link().submit(|encoder| {
            for (tensor, offset) in copies {
                let range = tensor.range();
                encoder.copy_buffer_to_buffer(
                    tensor.buffer(),
                    range.start,
                    &self.weights.buffer,
                    offset as u64 * F32,
                    range.end - range.start,
                );
            }
            Ok(())
        })?;
        Ok(())
    }

    fn initialize(&self) -> Result<()> {
        for weight in self.network.weights() {
            let start = weight.offset as u64 * F32;
            let (kind, seed) = match &weight.initial {
                Initial::Given(values) => {
                    let bytes = bytemuck::cast_slice(values);
                    let alignment = transfer::COPY_ALIGNMENT;
                    transfer::write(
                        self.gpu.memory(),
                        &self.weights.buffer,
                        start,
                        bytes,
                        alignment,
                    )?;
                    continue;
                }
                Initial::Random(kind, seed) => (*kind, *seed),
            };
            let shape = &weight.shape;
            let fill = |pass: &mut Pass, w: &Tensor| match kind {
                Initializer::GlorotUniform => {
                    pass.glorot_uniform(&GlorotUniform::for_kernel(shape).seed(seed), w)
                }
                Initializer::LecunNormal => {
                    pass.lecun_normal(&LecunNormal::for_kernel(shape).seed(seed), w)
                }
                Initializer::LecunUniform => {
                    pass.lecun_uniform(&LecunUniform::for_kernel(shape).seed(seed), w)
                }
                Initializer::Zeros => pass.zeros(w),
            };
            let bytes = weight.len as u64 * F32;
            let place = self.weights.buffer.slice(start..start + bytes);
            if start.is_multiple_of(self.gpu.limits().offset_alignment) {
                let w = self.gpu.wrap(place, shape)?;
                self.gpu
                    .link()
                    .submit(|encoder| fill(&mut Pass::new(&self.gpu, encoder), &w))?;
            } else {
                let w = Tensor::create(&self.gpu, shape, fill)?;
                self.gpu.link().submit(|encoder| {
                    let to = &self.weights.buffer;
                    encoder.copy_buffer_to_buffer(w.buffer(), 0, to, start, bytes);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// The same layers, with random numbers from another seed.
    pub(super) fn network_of(&self, seed: u64) -> Result<Network> {
        let shape = &self.network.input_shape;
        Network::new(shape, &self.layers, seed, alignment(&self.gpu), true)
    }

    pub(super) fn plan(&self) -> Plan<'_> {
        Plan {
            gpu: &self.gpu,
            tiling: self.tiling,
            network: &self.network,
            weights: &self.weights,
        }
    }

    /// The buffers for batches of `batch`, created if they are not there yet.
    fn prepare_forward(&mut self, batch: usize) -> Result<Arc<Forward>> {
        if let Some(forward) = &self.forward
            && forward.rows == Forward::rows_of(batch)
        {
            return Ok(forward.clone());
        }
        self.training = None;
        self.forward = None;
        let forward = Arc::new(Forward::new(self.plan(), batch)?);
        self.forward = Some(forward.clone());
        Ok(forward)
    }

    /// The buffers for `samples` samples: those of training, if they will do.
    pub(super) fn prepare_evaluation(&mut self, samples: usize) -> Result<Arc<Forward>> {
        match &self.forward {
            Some(forward) if forward.rows >= samples.min(ENOUGH) => Ok(forward.clone()),
            _ => self.prepare_forward(samples.min(EVALUATION_BATCH)),
        }
    }

    /// Everything for training in batches of `batch`, with `steps` between two readbacks, created
    /// if it is not there yet.
    pub(super) fn prepare_training(&mut self, batch: usize, steps: usize) -> Result<Arc<Training>> {
        let forward = self.prepare_forward(batch)?;
        self.prepare_losses(forward, steps)
    }

    /// The losses, and what follows them, for a forward pass.
    pub(super) fn prepare_losses(
        &mut self,
        forward: Arc<Forward>,
        steps: usize,
    ) -> Result<Arc<Training>> {
        if self.steps.capacity() < steps {
            self.steps = Steps::new(&self.gpu, steps)?;
        }
        let slots = match &self.slots {
            Some(slots) => slots.clone(),
            None => Arc::new(Slots::new(self.plan(), &self.optimizer)?),
        };
        self.slots = Some(slots.clone());
        if let Some(training) = &self.training
            && training.losses.totals.bytes >= steps as u64 * 2 * F32
        {
            return Ok(training.clone());
        }
        self.training = None;
        let plan = self.plan();
        let losses = Losses::new(plan, &forward, self.loss, steps)?;
        let (gradient, gradients) = (&losses.gradient, &slots.gradients);
        let backward = Backward::new(plan, &forward, losses.stages, gradient, gradients, false)?;
        let training = Arc::new(Training {
            update: slots.update(plan, &self.optimizer)?,
            forward,
            losses,
            backward,
        });
        self.training = Some(training.clone());
        Ok(training)
    }

    /// What data must be like.
    pub(super) fn expected(&self, op: &'static str) -> Expected<'_> {
        Expected {
            op,
            gpu: &self.gpu,
            input: self.input_shape(),
            output: self.output_shape(),
            probabilities: self.loss.is_of_logits(),
        }
    }

    /// The record of the training step that is `ahead` steps after the next.
    pub(super) fn next_step(&self, ahead: usize, first: usize, count: usize) -> Step {
        let call = self.step + ahead as u64;
        Step {
            first: first as u32,
            count: count as u32,
            call,
            training: true,
            result: ahead as u32,
            rate: self.optimizer.rate(call),
            ..Step::default()
        }
    }

    /// How many samples of `shape` x has.
    fn samples(
        &self,
        op: &'static str,
        operand: &'static str,
        x: &Tensor,
        shape: &[usize],
    ) -> Result<usize> {
        self.check_source(op, operand, x)?;
        match x.shape() {
            [n, sample @ ..] if sample == shape => Ok(*n),
            actual => Err(Error::Shape {
                op,
                operand,
                expected: [&[actual.first().copied().unwrap_or(1)], shape].concat(),
                actual: actual.into(),
            }),
        }
    }

    fn check_source(&self, op: &'static str, operand: &'static str, x: &Tensor) -> Result<()> {
        if !x.gpu().is(&self.gpu) {
            return Err(Error::OtherGpu { op, operand });
        }
        if !x.buffer().usage().contains(wgpu::BufferUsages::COPY_SRC) {
            let usage = "COPY_SRC";
            return Err(Error::MissingUsage { op, usage });
        }
        Ok(())
    }

    /// The output for the n samples of x, in as many batches as it takes.
    fn run(&self, forward: &Forward, x: &Tensor, n: usize) -> Result<Tensor> {
        let shape = self.output_shape();
        let result = Tensor::uninitialized(&self.gpu, &[&[n], shape].concat())?;
        let sample_bytes = shape.iter().product::<usize>() as u64 * F32;
        let y = forward.value(self.network.output());
        self.gpu.link().submit(|encoder| {
            result.clear_rest(encoder);
            for first in (0..n).step_by(forward.rows) {
                let count = forward.rows.min(n - first);
                fill(encoder, x, first, count, &forward.input);
                let mut pass = begin_pass(encoder);
                for dispatch in forward.to_output() {
                    dispatch.record(&mut pass, Some(self.steps.bound(0)));
                }
                drop(pass);
                encoder.copy_buffer_to_buffer(
                    &y.buffer,
                    y.offset,
                    result.buffer(),
                    first as u64 * sample_bytes,
                    count as u64 * sample_bytes,
                );
            }
            Ok(())
        })?;
        Ok(result)
    }

    /// A tensor with a copy of the first elements of a region.
    fn copied(&self, region: &Region, shape: &[usize]) -> Result<Tensor> {
        let tensor = Tensor::uninitialized(&self.gpu, shape)?;
        let bytes = tensor.len() as u64 * F32;
        self.gpu.link().submit(|encoder| {
            tensor.clear_rest(encoder);
            encoder.copy_buffer_to_buffer(&region.buffer, region.offset, tensor.buffer(), 0, bytes);
            Ok(())
        })?;
        Ok(tensor)
    }

    fn named(&self, of: &Region, weight: &Weight) -> Result<(String, Tensor)> {
        let start = weight.offset as u64 * F32;
        let region = of.part(start, weight.len as u64 * F32);
        Ok((weight.name.clone(), self.copied(&region, &weight.shape)?))
    }
}

impl Training {
    /// Where a batch goes.
    pub fn places(&self) -> Places<'_> {
        Places {
            rows: self.forward.rows,
            inputs: &self.forward.input,
            targets: &self.losses.targets,
            weights: &self.losses.weights,
        }
    }

    /// All dispatches of a training step once its batch is there, in order.
    pub fn step(&self) -> impl Iterator<Item = &Dispatch> {
        self.evaluation()
            .chain(&self.backward.dispatches)
            .chain(&self.update)
    }

    /// All dispatches of a step that does not train.
    pub fn evaluation(&self) -> impl Iterator<Item = &Dispatch> {
        let losses = &self.losses;
        self.forward.to_losses(losses).chain(&losses.dispatches)
    }
}

/// Copies `count` samples of x, from `first` on, to the beginning of `region`; the rest becomes 0.
fn fill(
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

/// The elements of a region.
pub(super) fn read<T: bytemuck::Pod>(gpu: &Gpu, region: &Region) -> Result<Vec<T>> {
    let mut values = vec![T::zeroed(); region.bytes as usize / size_of::<T>()];
    let bytes = bytemuck::cast_slice_mut(&mut values);
    let read = transfer::read(
        gpu.memory(),
        transfer::Source::of(region),
        bytes,
        platform::wait_for_answer,
    );
    pollster::block_on(read)?;
    Ok(values)
}
