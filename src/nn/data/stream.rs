use std::borrow::Cow;
use std::task::{Context, Poll};

use super::dataset::TargetKind;
use super::feed::{self, Arrays};
use super::targets::{Labels, Weighing, not_finite, place, refuse_target};
use super::{Expected, Places, allocate, check_weights, write, wrong};
use crate::gpu::dispatch::Dispatch;
use crate::gpu::transfer;
use crate::ops::network::gather::{Affine, Part};
use crate::{Error, Gpu, Result};

const OP: &str = "batch";
const F32: usize = size_of::<f32>();

/// Batches that the host supplies one after the other: data that do not fit into the GPU's memory, or
/// are made as they are needed.
///
/// At most three batches are on the GPU. The next is asked for and uploaded while the GPU trains.
/// From the same batches in the same order, training is the same as from a [`Dataset`], bit for
/// bit.
///
/// [`Dataset`]: super::Dataset
///
/// ```
/// # fn main() -> selfnorm::Result<()> {
/// use selfnorm::nn::{Activation::Softmax, Batch, Batches, Dense, Fit, Samples, Sequential, Sgd};
/// use selfnorm::{Gpu, Result};
///
/// /// Points of the plane, and whether they are above the diagonal.
/// struct Points {
///     left: usize,
///     values: Vec<f32>,
/// }
///
/// impl Batches for Points {
///     fn samples(&self) -> Samples {
///         Samples::floats([2]).classes()
///     }
///
///     fn batches(&self) -> Option<usize> {
///         Some(10)
///     }
///
///     fn start(&mut self, _epoch: u64) -> Result<()> {
///         self.left = 10;
///         Ok(())
///     }
///
///     fn next_batch(&mut self) -> Result<Option<Batch<'_>>> {
///         if self.left == 0 {
///             return Ok(None);
///         }
///         self.left -= 1;
///         for value in &mut self.values {
///             *value = (*value * 7.3 + 0.1).fract();
///         }
///         let labels: Vec<_> = self.values.chunks(2).map(|at| at[1] > at[0]).collect();
///         Batch::floats(&self.values).classes(&labels).map(Some)
///     }
/// }
///
/// let gpu = Gpu::new()?;
/// let mut points = Points { left: 0, values: (0..64).map(|i| i as f32 / 64.0).collect() };
/// let network = Sequential::new([2]).add(Dense::new(2).activation(Softmax));
/// let mut model = network.build(&gpu, 42)?;
/// let history = model.fit(&mut points, &Fit::new(Sgd::new(0.1)).epochs(2))?;
/// assert_eq!(history.losses.len(), 20);
/// # Ok(())
/// # }
/// ```
pub trait Batches {
    /// What the samples of all batches are.
    fn samples(&self) -> Samples;

    /// How many batches an epoch has, if that is known: what progress is shown by. The epoch ends
    /// where [`next_batch`](Self::next_batch) returns `None`.
    fn batches(&self) -> Option<usize> {
        None
    }

    /// Begins an epoch, by the network's count from 0: the next batch is its first. Batches may be in an order of the
    /// epoch's own, drawn from its number.
    ///
    /// # Errors
    ///
    /// Any; training ends with it.
    fn start(&mut self, epoch: u64) -> Result<()>;

    /// The next batch of the epoch, or `None` at its end.
    ///
    /// # Errors
    ///
    /// Any; training ends with it.
    fn next_batch(&mut self) -> Result<Option<Batch<'_>>>;

    /// Whether [`next_batch`](Self::next_batch) has an answer: [`Run::next`](crate::nn::Run::next) waits for
    /// that before each call, for batches that come over a network, say. As in
    /// [`Future::poll`], who is pending wakes `context`'s waker later.
    ///
    /// # Errors
    ///
    /// Any; training ends with it.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        let _ = context;
        Poll::Ready(Ok(()))
    }
}

/// Batches of any kind. In a browser, where there is one thread, they may hold what JavaScript owns.
#[cfg(not(target_family = "wasm"))]
pub(super) type DynBatches<'a> = dyn Batches + Send + 'a;
#[cfg(target_family = "wasm")]
pub(super) type DynBatches<'a> = dyn Batches + 'a;

/// What the samples of [`Batches`] are, and how their classes count.
///
/// ```
/// use selfnorm::nn::Samples;
///
/// // Pixels from −1 to 1; a label a pixel, 255 where there is none.
/// let images = Samples::bytes([64, 64, 3])
///     .scaled(2.0 / 255.0, -1.0)
///     .classes()
///     .ignore_class(255);
/// // Rows of a table, and a number to predict.
/// let rows = Samples::floats([12]).targets();
/// # let _ = (images, rows);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Samples {
    shape: Vec<usize>,
    /// Of bytes.
    affine: Option<Affine>,
    are_labels: bool,
    weighing: Weighing,
}

impl Samples {
    fn new(shape: &[usize], affine: Option<Affine>) -> Self {
        Self {
            shape: shape.into(),
            affine,
            are_labels: true,
            weighing: Weighing::default(),
        }
    }

    /// Samples of f32s of `shape`, with class numbers.
    pub fn floats(shape: impl AsRef<[usize]>) -> Self {
        Self::new(shape.as_ref(), None)
    }

    /// Samples of bytes of `shape`, with class numbers; the network sees byte / 255, unless
    /// [`scaled`](Self::scaled) says otherwise.
    pub fn bytes(shape: impl AsRef<[usize]>) -> Self {
        Self::new(shape.as_ref(), Some(Affine::UNIT))
    }

    /// The network sees byte · `scale` + `shift`. Floats are left as they are.
    ///
    /// Training with numbers that are not finite is an
    /// [`Error::Parameter`](crate::Error::Parameter).
    pub fn scaled(mut self, scale: f32, shift: f32) -> Self {
        if let Some(affine) = &mut self.affine {
            *affine = Affine { scale, shift };
        }
        self
    }

    /// Each batch has [`classes`](Batch::classes), as by default.
    pub fn classes(mut self) -> Self {
        self.are_labels = true;
        self
    }

    /// Each batch has [`targets`](Batch::targets).
    pub fn targets(mut self) -> Self {
        self.are_labels = false;
        self
    }

    /// What kind of targets there are, if that is known beforehand.
    pub(in crate::nn) fn target_kind(&self) -> Option<TargetKind> {
        self.are_labels.then_some(TargetKind::Classes)
    }

    /// As [`Dataset::ignore_class`](super::Dataset::ignore_class).
    pub fn ignore_class(mut self, class: i64) -> Self {
        self.weighing.ignored = Some(class);
        self
    }

    /// As [`Dataset::class_weights`](super::Dataset::class_weights); training with a weight that is
    /// negative or not finite is an [`Error::Data`](crate::Error::Data).
    pub fn class_weights(mut self, weights: &[f32]) -> Self {
        self.weighing.class_weights = weights.into();
        self
    }
}

/// A batch of [`Batches`]: samples one after the other, and the outputs that a network should give for
/// them. The arrays are borrowed or owned.
///
/// ```
/// # fn main() -> selfnorm::Result<()> {
/// use selfnorm::nn::Batch;
///
/// let pixels = [0, 128, 255, 0, 7, 9, 255, 255u8]; // two images of 2 × 2
/// let batch = Batch::bytes(&pixels).classes(&[3, 1])?.sample_weights(vec![1.0, 0.5]);
/// # let _ = batch;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Batch<'a> {
    inputs: Inputs<'a>,
    targets: Option<Targets<'a>>,
    weights: Option<Cow<'a, [f32]>>,
}

#[derive(Debug)]
enum Inputs<'a> {
    Floats(Cow<'a, [f32]>),
    Bytes(Cow<'a, [u8]>),
}

#[derive(Debug)]
enum Targets<'a> {
    Labels(Labels),
    Values(Cow<'a, [f32]>),
}

impl<'a> Batch<'a> {
    fn new(inputs: Inputs<'a>) -> Self {
        Self {
            inputs,
            targets: None,
            weights: None,
        }
    }

    /// Samples of f32s.
    pub fn floats(values: impl Into<Cow<'a, [f32]>>) -> Self {
        Self::new(Inputs::Floats(values.into()))
    }

    /// Samples of bytes.
    pub fn bytes(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self::new(Inputs::Bytes(bytes.into()))
    }

    /// The class numbers, as of [`Dataset::classes`](super::Dataset::classes).
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) if one does not fit into an `i64`.
    pub fn classes<C: Copy + TryInto<i64>>(mut self, classes: &[C]) -> Result<Self> {
        self.targets = Some(Targets::Labels(Labels::new(OP, classes)?));
        Ok(self)
    }

    /// The network's target outputs.
    pub fn targets(mut self, values: impl Into<Cow<'a, [f32]>>) -> Self {
        self.targets = Some(Targets::Values(values.into()));
        self
    }

    /// A weight for each sample, or for each position; 1 by default. As of
    /// [`Dataset::sample_weights`](super::Dataset::sample_weights).
    pub fn sample_weights(mut self, weights: impl Into<Cow<'a, [f32]>>) -> Self {
        self.weights = Some(weights.into());
        self
    }
}

/// A batch that is ready to be gathered.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn) struct Staged {
    pub slot: usize,
    pub count: usize,
}

/// The batches on the GPU: one that it trains on, one that is ready, and one on its way.
const SLOTS: usize = 3;

/// Brings the host's batches to where they are computed: [`start`](Self::start) an epoch,
/// [`stage`](Self::stage) [two batches](Self::READY), and after each step that has the
/// [`dispatches`](Self::dispatches) of its slot in front, stage the next.
///
/// Uploads come after what is submitted before them, so the order of these calls is all that a batch
/// needs to be right. With no more than [`AHEAD`](Self::AHEAD) steps under way when a batch is
/// staged, there is memory for three.
pub(in crate::nn) struct Stream<'a> {
    gpu: Gpu,
    batches: &'a mut DynBatches<'a>,
    samples: Samples,
    op: &'static str,
    output: Vec<usize>,
    probabilities: bool,
    size: usize,
    slots: Vec<Slot>,
    /// The slot of the next batch, and its number in the epoch.
    slot: usize,
    batch: usize,
}

#[derive(Debug)]
struct Slot {
    inputs: Vec<Part>,
    targets: Vec<Part>,
    weights: Vec<Part>,
    dispatches: Vec<Dispatch>,
}

impl std::fmt::Debug for Stream<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("Stream")
            .field("samples", &self.samples)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

impl<'a> Stream<'a> {
    /// The batches that are staged before the first step.
    pub const READY: usize = SLOTS - 1;
    /// The steps under way, at most, when another batch is staged.
    pub const AHEAD: usize = SLOTS - Self::READY;

    /// Streams batches of up to `size` samples to `places`.
    pub fn new(
        batches: &'a mut DynBatches<'a>,
        expected: Expected,
        size: usize,
        places: Places,
    ) -> Result<Self> {
        let Expected { op, gpu, .. } = expected;
        let samples = batches.samples();
        expected.check_samples(&samples.shape)?;
        if let Some(affine) = samples.affine {
            affine.check()?;
        }
        let weighing = &samples.weighing;
        if !samples.are_labels {
            expected.check_shape(expected.output, weighing)?;
        }
        check_weights(op, "class weight", &weighing.class_weights)?;
        let class_weights = expected.class_weights(weighing)?;
        // Steps take rows of a slot in their order.
        let order = feed::order(gpu, size)?;
        let indices: Vec<_> = (0..size as u32).collect();
        let bytes = bytemuck::cast_slice(&indices);
        let buffer = &order.buffer;
        transfer::write(gpu.memory(), buffer, 0, bytes, transfer::COPY_ALIGNMENT)?;
        let positions = expected.classes(weighing).positions as usize;
        let lens = Lens::of(&samples, expected.output, positions);
        let slot = || {
            let part = |bytes| allocate(gpu, size, bytes);
            let (inputs, targets, weights) =
                (part(lens.input)?, part(lens.target)?, part(lens.weights)?);
            let arrays = Arrays {
                inputs: &inputs,
                affine: samples.affine,
                targets: &targets,
                are_labels: samples.are_labels,
                weights: Some((&weights, positions)),
            };
            let class_weights = class_weights.as_ref();
            Ok(Slot {
                dispatches: arrays.gather(expected, weighing, class_weights, &order, places)?,
                inputs,
                targets,
                weights,
            })
        };
        Ok(Self {
            gpu: gpu.clone(),
            op,
            output: expected.output.into(),
            probabilities: expected.probabilities,
            size,
            slots: (0..SLOTS).map(|_| slot()).collect::<Result<_>>()?,
            slot: 0,
            batch: 0,
            samples,
            batches,
        })
    }

    /// How many batches an epoch has, if that is known.
    pub fn batches(&self) -> Option<usize> {
        self.batches.batches()
    }

    /// Begins an epoch.
    pub fn start(&mut self, epoch: u64) -> Result<()> {
        self.batch = 0;
        self.batches.start(epoch)
    }

    /// Whether the next batch, or the end of the epoch, is there.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.batches.poll_ready(context)
    }

    /// Uploads the next batch; `None` at the end of the epoch.
    pub fn stage(&mut self) -> Result<Option<Staged>> {
        let expected = Expected {
            op: self.op,
            gpu: &self.gpu,
            input: &self.samples.shape,
            output: &self.output,
            probabilities: self.probabilities,
        };
        let Some(batch) = self.batches.next_batch()? else {
            return Ok(None);
        };
        let slot = &self.slots[self.slot];
        let count = batch
            .write(expected, &self.samples, self.size, slot)
            .map_err(|error| match error {
                Error::Data { op, detail } => Error::Data {
                    op,
                    detail: format!("batch {}: {detail}", self.batch),
                },
                other => other,
            })?;
        let staged = Staged {
            slot: self.slot,
            count,
        };
        self.slot = (self.slot + 1) % SLOTS;
        self.batch += 1;
        Ok(Some(staged))
    }

    /// What gathers a staged batch: its samples are numbered from 0 on.
    pub fn dispatches(&self, slot: usize) -> &[Dispatch] {
        &self.slots[slot].dispatches
    }
}

/// The bytes of a sample in each array.
struct Lens {
    input: usize,
    target: usize,
    weights: usize,
}

impl Lens {
    fn of(samples: &Samples, output: &[usize], positions: usize) -> Self {
        let input = samples.shape.iter().product::<usize>();
        let outputs = output.iter().product::<usize>();
        Self {
            input: input * if samples.affine.is_some() { 1 } else { F32 },
            target: F32
                * if samples.are_labels {
                    positions
                } else {
                    outputs
                },
            weights: F32 * positions,
        }
    }
}

impl Batch<'_> {
    /// Writes the batch to a slot, if everything fits; returns the number of samples.
    fn write(
        &self,
        expected: Expected,
        samples: &Samples,
        size: usize,
        slot: &Slot,
    ) -> Result<usize> {
        let Expected {
            op, gpu, output, ..
        } = expected;
        let positions = expected.classes(&samples.weighing).positions as usize;
        let lens = Lens::of(samples, output, positions);
        let inputs: &[u8] = match (&self.inputs, samples.affine) {
            (Inputs::Floats(values), None) => bytemuck::cast_slice(values),
            (Inputs::Bytes(bytes), Some(_)) => bytes,
            (Inputs::Floats(_), Some(_)) => return wrong(op, "has floats, expected bytes"),
            (Inputs::Bytes(_), None) => return wrong(op, "has bytes, expected floats"),
        };
        let count = inputs.len() / lens.input;
        if count == 0 || !inputs.len().is_multiple_of(lens.input) {
            let values = inputs.len() / if samples.affine.is_some() { 1 } else { F32 };
            let shape = &samples.shape;
            return wrong(
                op,
                format!(
                    "{values} values are no whole number of samples of shape {shape:?}, or none"
                ),
            );
        }
        if count > size {
            return wrong(op, format!("has {count} samples, the batch_size is {size}"));
        }
        if let Inputs::Floats(values) = &self.inputs
            && let Some(index) = values.iter().position(|x| !x.is_finite())
        {
            let (sample, at) = place(index, &samples.shape);
            let what = not_finite(values[index]);
            return wrong(op, format!("sample {sample} has {what} at {at:?}"));
        }
        let targets: &[u8] = match (&self.targets, samples.are_labels) {
            (None, true) => return wrong(op, "has no classes"),
            (Some(Targets::Labels(_)), false) | (None, false) => {
                return wrong(op, "has no targets");
            }
            (Some(Targets::Values(_)), true) => {
                return wrong(op, "has targets, expected classes");
            }
            (Some(Targets::Labels(labels)), true) => {
                let given = labels.numbers.len();
                if !given.is_multiple_of(count) {
                    return wrong(
                        op,
                        format!("{given} classes are no whole number for each of {count} samples"),
                    );
                }
                expected.check_labels(&labels.first, count, given / count, &samples.weighing)?;
                bytemuck::cast_slice(&labels.numbers)
            }
            (Some(Targets::Values(values)), false) => {
                if values.len() * F32 != count * lens.target {
                    return wrong(
                        op,
                        format!(
                            "{} targets are not one of shape {output:?} for each of {count} samples",
                            values.len()
                        ),
                    );
                }
                let is_wrong =
                    |t: &f32| !t.is_finite() || expected.probabilities && !(0.0..=1.0).contains(t);
                if let Some(index) = values.iter().position(is_wrong) {
                    return refuse_target(op, index, values[index], output);
                }
                bytemuck::cast_slice(values)
            }
        };
        let weights = self.weights(expected, count, positions)?;
        write(gpu, &slot.inputs, inputs, lens.input)?;
        write(gpu, &slot.targets, targets, lens.target)?;
        write(
            gpu,
            &slot.weights,
            bytemuck::cast_slice(&weights),
            lens.weights,
        )?;
        Ok(count)
    }

    /// The weight of each position.
    fn weights(
        &self,
        expected: Expected,
        count: usize,
        positions: usize,
    ) -> Result<Cow<'_, [f32]>> {
        let op = expected.op;
        let Some(weights) = &self.weights else {
            return Ok(vec![1.0; count * positions].into());
        };
        check_weights(op, "sample weight", weights)?;
        if weights.is_empty() || !weights.len().is_multiple_of(count) {
            return wrong(
                op,
                format!(
                    "{} sample weights are no whole number for each of {count} samples",
                    weights.len()
                ),
            );
        }
        let each = weights.len() / count;
        expected.check_sample_weights(each)?;
        if each == positions {
            return Ok(Cow::Borrowed(weights));
        }
        let repeated = weights
            .iter()
            .flat_map(|&w| std::iter::repeat_n(w, positions));
        Ok(repeated.collect())
    }
}
