use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hashbrown::HashSet;

use super::inference::Packing;
use super::inference::Predictions;
use super::layers::{Initializer, Layer};
use super::network::{BuiltLayer, Initial, Network, Weight};
use super::summary;
use super::training::{Buffers, History, Recorded, Score};
use super::workspace::{Backward, F32, Forward, Plan, Slots, Ticks, fill};
use super::{Precision, Tiling};
use crate::gpu::device::Owner;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::platform;
use crate::gpu::recording::begin_pass;
use crate::gpu::region::Region;
use crate::gpu::transfer;
use crate::ops::network::loss::Loss;
use crate::ops::network::moments;
use crate::ops::network::optimizer::{Adam, Optimizer};
use crate::ops::network::step::{Step, Steps};
use crate::{
    Error, GlorotNormal, GlorotUniform, Gpu, HeNormal, HeUniform, LecunNormal, LecunUniform, Pass,
    Result, Tensor,
};

/// The layers of a network that is yet to be built.
#[derive(Clone, Debug)]
#[must_use]
pub struct SequentialBuilder {
    pub(super) input_shape: Vec<usize>,
    pub(super) layers: Vec<Layer>,
    pub(super) tiling: Option<Tiling>,
    pub(super) precision: Precision,
}

impl SequentialBuilder {
    /// Adds a layer, whose input is the output of the one before. It returns the network with the layer, so
    /// a loop assigns it:
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::nn::{Activation::Selu, Dense, Sequential};
    ///
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let mut model = Sequential::new([4]);
    /// for units in [64, 32, 16] {
    ///     model = model.add(Dense::new(units).activation(Selu));
    /// }
    /// let model = model.add(Dense::new(1)).build(&gpu, 42)?;
    /// assert_eq!(model.output_shape(), [1]);
    /// # Ok(())
    /// # }
    /// ```
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

    /// How exactly products are computed; [`Precision::F32`] by default.
    ///
    /// With [`Precision::F16`], training scales the loss: gradients are computed times 2¹⁵ and divided by it again, so
    /// that small ones are not lost as 16-bit floats. A step whose gradients overflow by it changes nothing, is listed
    /// in [`History::skipped`], and the next one's scale is half of it; after 2,000 steps without one it doubles. A
    /// prediction by one dispatch, as of small dense layers, stays in f32, and so does what [`Sequential::wgsl`] emits.
    /// [`Sequential::gradient`] takes its caller's dy as it is.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// The layers so far.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The layers with their shapes; for no device in particular.
    pub(super) fn network(&self) -> Result<Network> {
        Network::new(&self.input_shape, &self.layers, 0, 1, true)
    }

    /// Infers all shapes, and makes the weights on the GPU from `seed`.
    ///
    /// # Errors
    ///
    /// [`Error::Layer`] names the layers that do not fit together, and their shapes;
    /// [`Error::UnsupportedDevice`] for [`Precision::F16`] on a device without 16-bit floats;
    /// [`Error::Parameter`] for a rate or α that is not allowed; [`Error::TooLarge`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn build(&self, gpu: &Gpu, seed: u64) -> Result<Sequential> {
        let model = self.allocate(gpu, self.network_for(gpu, seed)?, seed)?;
        model.initialize()?;
        // A pass of an application's may read the weights next.
        gpu.link().flush()?;
        Ok(model)
    }

    /// The layers with their shapes, as the device can bind them.
    pub(super) fn network_for(&self, gpu: &Gpu, seed: u64) -> Result<Network> {
        Network::new(&self.input_shape, &self.layers, seed, alignment(gpu), true)
    }

    /// The network on a device, with no weights yet.
    pub(super) fn allocate(&self, gpu: &Gpu, network: Network, seed: u64) -> Result<Sequential> {
        if self.precision == Precision::F16 && !gpu.supports_f16() {
            let detail = "Precision::F16 needs 16-bit floats, wgpu's feature SHADER_F16; the same layers in Precision::F32 load its weights";
            return Err(Error::UnsupportedDevice(detail.into()));
        }
        let bytes = network.parameters.max(1) as u64 * F32;
        let limits = gpu.limits();
        let max = limits.max_binding_bytes.min(limits.max_buffer_bytes);
        if bytes > max {
            return Err(Error::TooLarge {
                shape: vec![network.parameters],
                limit: format!("the parameters take {bytes} bytes, the device binds {max} at most"),
            });
        }
        let mut builder = self.clone();
        for (layer, built) in builder.layers.iter_mut().zip(&network.layers) {
            layer.name = Some(built.name.clone());
        }
        Ok(Sequential {
            gpu: gpu.clone(),
            tiling: self.tiling.unwrap_or_else(|| Tiling::of(gpu)),
            builder,
            weights: gpu.memory().region(bytes)?,
            network,
            seed,
            optimizer: Adam::default().into(),
            loss: None,
            metadata: BTreeMap::new(),
            slots: None,
            step: 0,
            epoch: 0,
            optimized_from: 0,
            skips: Vec::new(),
            unseen: None,
            generation: 0,
            latest: None,
            recorded: VecDeque::new(),
            history: History::default(),
            buffers: Mutex::default(),
            predictions: Mutex::default(),
            packing: OnceLock::new(),
        })
    }
}

/// The parameters of a layer begin where the device can bind them, and where any other can that has WebGPU's default:
/// ranks of a training on several devices have their gradients in the same places.
fn alignment(gpu: &Gpu) -> usize {
    const DEFAULT: u64 = 256;
    (gpu.limits().offset_alignment.max(DEFAULT) / F32) as usize
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
/// The targets and their gradient take 8 bytes per element, and each row of them 20 bytes. A batch
/// that comes in parts takes what its largest part takes, and 4 T bytes more. All of it is allocated
/// by the end of the first step. A prediction takes, for each row of its batch ([`Predict::batch`]),
/// the largest two outputs that lie between its layers, and nothing for a chain of small dense layers.
/// An inspection, which is [`statistics_async`](Self::statistics_async) or
/// [`layer_output`](Self::layer_output), keeps for each sample the input, each layer's sums and activations
/// until one of another number of samples. [`Sequential::memory`] is the sum.
///
/// [`Predict::batch`]: super::Predict::batch
pub struct Sequential {
    pub(super) gpu: Gpu,
    tiling: Tiling,
    /// What it was built from, with the names of all layers.
    pub(super) builder: SequentialBuilder,
    pub(super) network: Network,
    pub(super) weights: Region,
    pub(super) seed: u64,
    pub(super) optimizer: Optimizer,
    pub(super) loss: Option<Loss>,
    /// The user's own, for files.
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) slots: Option<Arc<Slots>>,
    /// The numbers of training steps done, and of epochs begun.
    pub(super) step: u64,
    pub(super) epoch: u64,
    /// The step that the optimizer's state begins at.
    pub(super) optimized_from: u64,
    /// Steps that were skipped, and that the optimizer has counted so far.
    pub(super) skips: Vec<u64>,
    /// The guard that knows of steps whose results nobody has looked at.
    pub(super) unseen: Option<Unseen>,
    /// Starts of the guard: at each error, and at each training that allows other steps.
    pub(super) generation: u32,
    /// The score of the last step in a frame that has come back, if nobody has asked for it.
    pub(super) latest: Option<Score>,
    /// Steps in frames whose results are on their way.
    pub(super) recorded: VecDeque<Recorded>,
    pub(super) history: History,
    buffers: Mutex<Buffers>,
    pub(super) predictions: Mutex<Predictions>,
    /// How the weights are packed, once they are.
    pub(super) packing: OnceLock<Packing>,
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Sequential")
            .field("input_shape", &self.input_shape())
            .field("layers", &self.builder.layers)
            .field("seed", &self.seed)
            .field("optimizer", &self.optimizer)
            .field("loss", &self.loss)
            .field("step", &self.step)
            .field("epoch", &self.epoch)
            .field("metadata", &self.metadata)
            .finish_non_exhaustive()
    }
}

/// Where the guard of steps is, and their generation.
pub(super) type Unseen = (Arc<Slots>, u32);

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
            precision: Precision::default(),
        }
    }

    /// The device that the network is on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// What it was built from, with the names of all layers.
    pub fn builder(&self) -> &SequentialBuilder {
        &self.builder
    }

    /// The shape of a sample.
    pub fn input_shape(&self) -> &[usize] {
        &self.network.input_shape
    }

    /// The shape of a sample's output.
    pub fn output_shape(&self) -> &[usize] {
        self.network.output_shape()
    }

    /// The number of training steps done since the network was built, over all calls.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The number of epochs begun since the network was built, over all calls.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The results of the last training, also of one that has ended with an error.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Layers, output shapes and parameters, as Keras prints them, and the precision if it is not f32.
    pub fn summary(&self) -> String {
        summary::summary(&self.network, self.builder.precision)
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
            ..Memory::default()
        };
        if let Some(slots) = &self.slots {
            memory.optimizer = sum(&mut slots.regions());
        }
        memory.forward = sum(&mut self.predictions().regions());
        let buffers = self.buffers();
        for forward in buffers.forwards() {
            memory.forward += sum(&mut forward.regions());
        }
        if let Some(inspection) = &buffers.inspection {
            memory.forward += sum(&mut inspection.regions()) + inspection.steps.bytes();
        }
        for evaluation in buffers.evaluations() {
            memory.backward += sum(&mut evaluation.losses.regions());
        }
        if let Some(training) = &buffers.training {
            memory.backward += sum(&mut training.regions());
            memory.backward += training.steps.bytes() + training.frame.bytes();
        }
        memory
    }

    /// The output y for x, [n, input shape], and the gradients of Σ y · dy, for dy [n, output shape].
    /// With `training`, dropout drops what it would drop in the next training step.
    ///
    /// Allocates buffers for the call; training has its own.
    ///
    /// # Errors
    ///
    /// As [`predict_async`](Self::predict_async).
    pub fn gradient(&self, x: &Tensor, dy: &Tensor, training: bool) -> Result<Gradient> {
        const OP: &str = "gradient";
        let n = self.copied_samples(OP, "x", x, self.input_shape())?;
        let rows = self.copied_samples(OP, "dy", dy, self.output_shape())?;
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
        let from = self.network.output();
        let backward = Backward::new(plan, &forward, from, &start, &gradients, true)?;
        let steps = Steps::new(&self.gpu, 1)?;
        let step = Step {
            training,
            count: n as u32,
            call: self.step,
            ..Step::default()
        };
        steps.write(&self.gpu, &[step])?;
        let owner = Owner::of(x.is_private() && dy.is_private());
        self.gpu.link().submit(owner, |encoder| {
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
                .trained_weights()
                .map(|weight| self.named(&gradients, weight))
                .collect::<Result<_>>()?,
        })
    }

    /// Mean and variance of the output of every layer for x, [n, input shape]. Dropout is the identity.
    /// Does not block.
    ///
    /// Allocates buffers, unless the last inspection was of as many samples.
    ///
    /// # Errors
    ///
    /// As [`predict_async`](Self::predict_async).
    pub async fn statistics_async(&self, x: &Tensor) -> Result<Vec<LayerStatistics>> {
        self.measure(x, false, &platform::wait_aside).await
    }

    /// As [`statistics_async`](Self::statistics_async), with the dropout of the next training step.
    ///
    /// # Errors
    ///
    /// As [`predict_async`](Self::predict_async).
    pub async fn statistics_in_training_async(&self, x: &Tensor) -> Result<Vec<LayerStatistics>> {
        self.measure(x, true, &platform::wait_aside).await
    }

    pub(super) async fn measure(
        &self,
        x: &Tensor,
        training: bool,
        progress: &impl transfer::Progress,
    ) -> Result<Vec<LayerStatistics>> {
        let mut inspection = self.inspect("statistics", x, training, true)?;
        let partials: Vec<[f32; 4]> = read(&self.gpu, &inspection.partials, progress).await?;
        let statistics = inspection.network.layers.iter().zip(&inspection.places);
        let statistics = statistics
            .map(|(layer, &(start, bytes))| {
                let [first, count] = [start, bytes].map(|bytes| (bytes / PARTIAL) as usize);
                let (mean, variance) = moments::merge(&partials[first..][..count]);
                LayerStatistics {
                    name: layer.name.clone(),
                    mean,
                    variance,
                }
            })
            .collect();
        inspection.is_proven = true;
        self.buffers().inspection = Some(inspection);
        Ok(statistics)
    }

    /// The output of the layer `name` for x, [n, input shape]: its shape is [n, the layer's output shape].
    /// With `training`, dropout drops what it would drop in the next training step.
    ///
    /// Allocates buffers, unless the last [`statistics`](Self::statistics_async) were of as many samples.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::nn::{Activation::Selu, Dense, Sequential};
    ///
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let model = Sequential::new([4])
    ///     .add(Dense::new(8).activation(Selu).name("hidden"))
    ///     .add(Dense::new(3))
    ///     .build(&gpu, 42)?;
    /// let x = gpu.tensor(&[0.5; 8], [2, 4])?;
    /// assert_eq!(model.layer_output("hidden", &x, false)?.shape(), [2, 8]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if there is no such layer; as [`predict_async`](Self::predict_async).
    pub fn layer_output(&self, name: &str, x: &Tensor, training: bool) -> Result<Tensor> {
        const OP: &str = "layer_output";
        let layers = &self.network.layers;
        let names = layers.iter().map(|layer| &layer.name);
        let index = position(OP, "layer", name, names)?;
        let inspection = self.inspect(OP, x, training, false)?;
        let layer = &inspection.network.layers[index];
        let shape = [&[inspection.rows], &layer.output_shape[..]].concat();
        let output = self.copied(inspection.forward.value(layer.output), &shape)?;
        if inspection.is_proven {
            self.buffers().inspection = Some(inspection);
        }
        Ok(output)
    }

    /// Submits every layer's output for x, and its statistics if `measures`. Errors name `op`.
    fn inspect(
        &self,
        op: &'static str,
        x: &Tensor,
        training: bool,
        measures: bool,
    ) -> Result<Inspection> {
        let rows = self.copied_samples(op, "x", x, self.input_shape())?;
        // Whoever calls at the same time makes another.
        let kept = self.buffers().inspection.take();
        let inspection = match kept.filter(|kept| kept.rows == rows) {
            Some(kept) => kept,
            None => self.inspection(rows)?,
        };
        let step = Step {
            training,
            count: rows as u32,
            call: self.step,
            ..Step::default()
        };
        inspection.steps.write(&self.gpu, &[step])?;
        let moments = match measures {
            true => &inspection.moments[..],
            false => &[],
        };
        let owner = Owner::of(x.is_private());
        self.gpu.link().submit(owner, |encoder| {
            fill(encoder, x, 0, rows, &inspection.forward.input);
            let mut pass = begin_pass(encoder);
            for dispatch in inspection.forward.to_output().chain(moments) {
                dispatch.record(&mut pass, Some(inspection.steps.bound(0)));
            }
            Ok(())
        })?;
        Ok(inspection)
    }

    fn inspection(&self, rows: usize) -> Result<Inspection> {
        // Every layer's output is stored, whereas training stores only what it needs.
        let network = Network::new(
            &self.network.input_shape,
            &self.builder.layers,
            self.seed,
            alignment(&self.gpu),
            false,
        )?;
        let plan = Plan {
            network: &network,
            ..self.plan()
        };
        let forward = Forward::new(plan, rows)?;
        let len = |layer: &BuiltLayer| (rows * network.len(layer.output)) as u32;
        let alignment = self.gpu.limits().offset_alignment;
        let mut places = Vec::new();
        let mut end = 0;
        for layer in &network.layers {
            let bytes = u64::from(moments::partials(len(layer))) * PARTIAL;
            places.push((end, bytes));
            end += bytes.next_multiple_of(alignment);
        }
        let partials = self.gpu.memory().region(end)?;
        let measured = network.layers.iter().zip(&places);
        let moments = measured.map(|(layer, &(start, bytes))| {
            let out = partials.part(start, bytes);
            moments::moments(&self.gpu, forward.value(layer.output), &out, len(layer))
        });
        Ok(Inspection {
            moments: moments.collect::<Result<_>>()?,
            steps: Steps::new(&self.gpu, 1)?,
            network,
            forward,
            rows,
            is_proven: false,
            partials,
            places,
        })
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

    /// A copy of the weight of this name, such as `dense/kernel`.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if there is no such weight; [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn weight(&self, name: &str) -> Result<Tensor> {
        let weight = self.find("weight", name)?;
        Ok(self.named(&self.weights, weight)?.1)
    }

    fn find(&self, op: &'static str, name: &str) -> Result<&Weight> {
        let weights: Vec<_> = self.network.weights().collect();
        let names = weights.iter().map(|weight| &weight.name);
        Ok(weights[position(op, "weight", name, names)?])
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
            let weight = self.find(OP, name.as_ref())?;
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
        let owner = Owner::of(copies.iter().all(|(tensor, _)| tensor.is_private()));
        self.gpu.link().submit(owner, |encoder| {
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
            let given = |values: &[f32]| {
                let bytes = bytemuck::cast_slice(values);
                let (memory, alignment) = (self.gpu.memory(), transfer::COPY_ALIGNMENT);
                transfer::write(memory, &self.weights.buffer, start, bytes, alignment)
            };
            let (kind, seed) = match &weight.initial {
                Initial::Given(values) => {
                    given(values)?;
                    continue;
                }
                Initial::Ones => {
                    given(&vec![1.0; weight.len])?;
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
                Initializer::HeNormal => pass.he_normal(&HeNormal::for_kernel(shape).seed(seed), w),
                Initializer::HeUniform => {
                    pass.he_uniform(&HeUniform::for_kernel(shape).seed(seed), w)
                }
                Initializer::GlorotNormal => {
                    pass.glorot_normal(&GlorotNormal::for_kernel(shape).seed(seed), w)
                }
                Initializer::Zeros => pass.zeros(w),
            };
            let bytes = weight.len as u64 * F32;
            let place = self.weights.buffer.slice(start..start + bytes);
            if start.is_multiple_of(self.gpu.limits().offset_alignment) {
                let w = self.gpu.wrap(place, shape)?;
                self.gpu.link().submit(Owner::Crate, |encoder| {
                    fill(&mut Pass::new(&self.gpu, encoder), &w)
                })?;
            } else {
                let w = Tensor::create(&self.gpu, shape, fill)?;
                self.gpu.link().submit(Owner::Crate, |encoder| {
                    let to = &self.weights.buffer;
                    encoder.copy_buffer_to_buffer(w.buffer(), 0, to, start, bytes);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// Nobody has looked at the results of the steps that follow.
    pub(super) fn leave_unseen(&mut self) {
        let slots = self.slots.clone();
        self.unseen = slots.map(|slots| (slots, self.generation));
    }

    pub(super) fn plan(&self) -> Plan<'_> {
        self.plan_with(Ticks(&|| {}))
    }

    pub(super) fn plan_with<'a>(&'a self, ticks: Ticks<'a>) -> Plan<'a> {
        Plan {
            ticks,
            gpu: &self.gpu,
            tiling: self.tiling,
            precision: self.builder.precision,
            network: &self.network,
            weights: &self.weights,
        }
    }

    /// Every change leaves the buffers consistent, so a panic elsewhere does no harm.
    pub(super) fn buffers(&self) -> MutexGuard<'_, Buffers> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many samples of `shape` x has, which will be copied.
    pub(super) fn copied_samples(
        &self,
        op: &'static str,
        operand: &'static str,
        x: &Tensor,
        shape: &[usize],
    ) -> Result<usize> {
        self.check_source(op, operand, x)?;
        self.samples(op, operand, x, shape)
    }

    /// How many samples of `shape` x has.
    pub(super) fn samples(
        &self,
        op: &'static str,
        operand: &'static str,
        x: &Tensor,
        shape: &[usize],
    ) -> Result<usize> {
        if !x.gpu().is(&self.gpu) {
            return Err(Error::OtherGpu { op, operand });
        }
        match x.shape() {
            [n, sample @ ..] if sample == shape => Ok(*n),
            // [28, 28] for [28, 28, 1] would be taken for 28 samples.
            actual if actual.len() <= shape.len() => Err(Error::NoBatchAxis {
                op,
                operand,
                sample: shape.into(),
                actual: actual.into(),
            }),
            actual => Err(Error::Shape {
                op,
                operand,
                expected: [&actual[..1], shape].concat(),
                actual: actual.into(),
            }),
        }
    }

    pub(super) fn check_source(
        &self,
        op: &'static str,
        operand: &'static str,
        x: &Tensor,
    ) -> Result<()> {
        if !x.gpu().is(&self.gpu) {
            return Err(Error::OtherGpu { op, operand });
        }
        if !x.buffer().usage().contains(wgpu::BufferUsages::COPY_SRC) {
            let usage = "COPY_SRC";
            return Err(Error::MissingUsage { op, usage });
        }
        Ok(())
    }

    /// A tensor with a copy of the first elements of a region.
    fn copied(&self, region: &Region, shape: &[usize]) -> Result<Tensor> {
        let tensor = Tensor::uninitialized(&self.gpu, shape)?;
        let bytes = tensor.len() as u64 * F32;
        self.gpu.link().submit(Owner::Crate, |encoder| {
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

/// What computes every layer's output, and its statistics.
#[derive(Debug)]
pub(super) struct Inspection {
    network: Network,
    forward: Forward,
    steps: Steps,
    rows: usize,
    /// Whether something has come back from it, so there was memory for it.
    is_proven: bool,
    moments: Vec<Dispatch>,
    /// Of all layers, so that they come back at once.
    partials: Region,
    /// For each layer, the first byte and the bytes of its partials.
    places: Vec<(u64, u64)>,
}

impl Inspection {
    fn regions(&self) -> impl Iterator<Item = &Region> {
        self.forward.regions().chain([&self.partials])
    }
}

/// The bytes of a share of a layer's statistics.
const PARTIAL: u64 = size_of::<[f32; 4]>() as u64;

/// Where `name` is among the names of things of a kind.
fn position<'a>(
    op: &'static str,
    kind: &str,
    name: &str,
    names: impl Iterator<Item = &'a String> + Clone,
) -> Result<usize> {
    names
        .clone()
        .position(|found| found == name)
        .ok_or_else(|| {
            let names: Vec<_> = names.collect();
            Error::Data {
                op,
                detail: format!("there is no {kind} {name:?}, only {names:?}"),
            }
        })
}

/// The elements of a region.
pub(super) async fn read<T: bytemuck::Pod>(
    gpu: &Gpu,
    region: &Region,
    progress: &impl transfer::Progress,
) -> Result<Vec<T>> {
    let mut values = vec![T::zeroed(); region.bytes as usize / size_of::<T>()];
    let bytes = bytemuck::cast_slice_mut(&mut values);
    let source = transfer::Source::of(region);
    transfer::read(gpu.memory(), source, bytes, progress).await?;
    Ok(values)
}
