use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::feed::Arrays;
use super::targets::{Labels, Weighing, hint_at_sample, not_finite, place, refuse_target};
use super::{Expected, check_weights, share, upload, wrong};
use crate::gpu::device::Owner;
use crate::gpu::platform;
use crate::gpu::region::Region;
use crate::gpu::transfer::Progress;
use crate::ops::network::gather::{Affine, Part};
use crate::ops::network::inspect::{self, Facts};
use crate::tensor::count;
use crate::{Error, Gpu, Result, Tensor};

const OP: &str = "dataset";
const F32: usize = size_of::<f32>();

/// Samples on the GPU, with the outputs that a network should give for them.
///
/// They are uploaded once; batches are gathered on the GPU. Bytes stay bytes there. They may be
/// larger than the device's largest buffer or binding: then they are in several. Data that do not
/// fit into the GPU's memory are streamed: [`Batches`](super::Batches).
///
/// ```
/// # fn main() -> selfnorm::Result<()> {
/// use selfnorm::{Gpu, nn::Dataset};
///
/// let gpu = Gpu::new()?;
/// let pixels = [0, 128, 255, 0, 7, 9, 255, 255u8]; // two images of 2 × 2
/// let data = Dataset::from_bytes(&gpu, &pixels, [2, 2, 1])?.classes(&[3, 1])?;
/// assert_eq!(data.len(), 2);
/// # Ok(())
/// # }
/// ```
///
/// Clones and selections, such as [`split`](Self::split) and [`k_folds`](Self::k_folds), share the samples
/// on the GPU.
#[derive(Clone)]
pub struct Dataset {
    pub(in crate::nn) gpu: Gpu,
    /// The samples that are uploaded, and those of them that it has, unless it has all.
    uploaded: usize,
    pub(super) selected: Option<Arc<[u32]>>,
    shape: Vec<usize>,
    inputs: Vec<Part>,
    /// Of inputs that are bytes.
    affine: Option<Affine>,
    targets: Option<Targets>,
    /// The class of each uploaded sample, if samples have one.
    pub(super) sample_classes: Option<Arc<[i64]>>,
    /// The sample weights, and how many a sample has.
    weights: Option<(Vec<Part>, usize)>,
    pub(super) weighing: Weighing,
    /// Whose the buffers are.
    pub(super) owner: Owner,
}

#[derive(Clone)]
enum Targets {
    /// The class numbers, how many a sample has, and where each first is.
    Labels(Vec<Part>, usize, Arc<BTreeMap<i64, usize>>),
    /// f32s, of this shape per sample, and the first that is no probability.
    Values(Vec<Part>, Vec<usize>, Values),
}

/// What values a data set's targets are.
#[derive(Clone, Copy, Debug)]
struct Values {
    /// The first below 0 or above 1, and its index.
    improbable: Option<(usize, f32)>,
    kind: TargetKind,
}

/// What a data set's targets are, as far as it decides about the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::nn) enum TargetKind {
    /// Class numbers.
    Classes,
    /// Values: in each row one 1, or none if it is void, and else 0; of two classes or more.
    OneHot,
    /// Values that are 0 or 1.
    Binary,
    /// Values from 0 to 1, whose rows sum to 1 or are void.
    Probabilities,
    /// Other values.
    Floats,
}

impl TargetKind {
    /// Of rows of `outputs` values.
    fn of(facts: &Facts, outputs: usize) -> Self {
        let are_probable = facts.below_0.is_none() && facts.above_1.is_none();
        let are_distributed =
            outputs > 1 && are_probable && facts.not_distributed.is_none() && facts.not_0.is_some();
        match (facts.not_binary.is_none(), are_distributed) {
            (true, true) => Self::OneHot,
            (true, false) => Self::Binary,
            (false, true) => Self::Probabilities,
            (false, false) => Self::Floats,
        }
    }
}

impl Dataset {
    /// A data set of f32s: samples of `shape`, one after the other. The shape is that of one sample: 100
    /// samples of 4 values are 400 values of shape `[4]`, not of `[100, 4]`, as NumPy has it.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) if the last sample is not complete, samples have no
    /// elements, or one has a NaN or an infinity: the message names the first.
    /// [`Error::TooLarge`](crate::Error::TooLarge) if a single sample is;
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory),
    /// [`Error::DeviceLost`](crate::Error::DeviceLost).
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::{Gpu, nn::Dataset};
    ///
    /// let gpu = Gpu::new()?;
    /// let data = Dataset::from_floats(&gpu, &[0.5, 1.0, 2.0, -1.0], [2])?;
    /// assert_eq!(data.len(), 2);
    ///
    /// let error = Dataset::from_floats(&gpu, &[0.5, 1.0, 2.0, f32::NAN], [2]).unwrap_err();
    /// assert_eq!(error.to_string(), "dataset: sample 1 has a NaN at [1]");
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_floats(gpu: &Gpu, values: &[f32], shape: impl AsRef<[usize]>) -> Result<Self> {
        let shape = shape.as_ref();
        let sample = sample_len(values.len(), shape)?;
        if let Some(index) = values.iter().position(|x| !x.is_finite()) {
            return refuse_sample(index, values[index], shape);
        }
        let inputs = upload(gpu, bytemuck::cast_slice(values), sample * F32)?;
        Ok(Self::new(gpu, values.len() / sample, shape, inputs, None))
    }

    /// A data set of the samples of a tensor, [n, sample shape], where they are: nothing is copied. Does not
    /// block.
    ///
    /// The data set keeps the buffer alive, also after the tensor is dropped. What it finds in the values
    /// now, for which it waits, is not looked for again: whoever writes to the buffer afterwards trains on
    /// the values that are there when a step runs, in the order of submissions. A NaN or an infinity
    /// then is an [`Error::NotFinite`](crate::Error::NotFinite) of the step, which changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) if there is no axis of samples, samples have no elements, or
    /// one has a NaN or an infinity: the message names the first.
    /// [`Error::TooLarge`](crate::Error::TooLarge), [`Error::OutOfMemory`](crate::Error::OutOfMemory),
    /// [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub async fn from_tensor_async(x: &Tensor) -> Result<Self> {
        Self::from_tensor_by(x, &platform::wait_aside).await
    }

    pub(in crate::nn) async fn from_tensor_by(
        x: &Tensor,
        progress: &impl Progress,
    ) -> Result<Self> {
        let (len, shape, inputs) = samples_of(x)?;
        let sample = count(shape)? as usize;
        if let Some(index) = inspect::first_not_finite(x.gpu(), &inputs, sample, progress).await? {
            return refuse_sample(index, inspect::value(x, index, progress).await?, shape);
        }
        Ok(Self {
            owner: Owner::Application,
            ..Self::new(x.gpu(), len, shape, inputs, None)
        })
    }

    /// A data set of bytes, such as images; the network sees byte / 255, unless
    /// [`scaled`](Self::scaled) says otherwise.
    ///
    /// # Errors
    ///
    /// As [`from_floats`](Self::from_floats).
    pub fn from_bytes(gpu: &Gpu, bytes: &[u8], shape: impl AsRef<[usize]>) -> Result<Self> {
        let shape = shape.as_ref();
        let sample = sample_len(bytes.len(), shape)?;
        let inputs = upload(gpu, bytes, sample)?;
        let affine = Some(Affine::UNIT);
        Ok(Self::new(gpu, bytes.len() / sample, shape, inputs, affine))
    }

    fn new(
        gpu: &Gpu,
        len: usize,
        shape: &[usize],
        inputs: Vec<Part>,
        affine: Option<Affine>,
    ) -> Self {
        Self {
            gpu: gpu.clone(),
            uploaded: len,
            selected: None,
            shape: shape.into(),
            inputs,
            affine,
            targets: None,
            sample_classes: None,
            weights: None,
            weighing: Weighing::default(),
            owner: Owner::Crate,
        }
    }

    /// The network sees byte · `scale` + `shift`. Floats are left as they are.
    ///
    /// Training with numbers that are not finite is an
    /// [`Error::Parameter`](crate::Error::Parameter).
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # use selfnorm::{Gpu, nn::Dataset};
    /// # let gpu = Gpu::new()?;
    /// // From −1 to 1.
    /// let data = Dataset::from_bytes(&gpu, &[0, 255], [1])?.scaled(2.0 / 255.0, -1.0);
    /// # let _ = data;
    /// # Ok(())
    /// # }
    /// ```
    pub fn scaled(mut self, scale: f32, shift: f32) -> Self {
        if let Some(affine) = &mut self.affine {
            *affine = Affine { scale, shift };
        }
        self
    }

    /// The class number of each sample, from 0 on, as any type of integer. For networks whose output
    /// has more than one axis, of each position; the last axis is the classes. For a network with a
    /// single output, 0 or 1: its target.
    ///
    /// The numbers are compared with the network's classes when they meet it.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) if there are not equally many class numbers for every
    /// sample; [`Error::TooLarge`](crate::Error::TooLarge),
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory),
    /// [`Error::DeviceLost`](crate::Error::DeviceLost).
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # use selfnorm::{Gpu, nn::Dataset};
    /// # let gpu = Gpu::new()?;
    /// # let data = || Dataset::from_bytes(&gpu, &[0, 255], [1]);
    /// data()?.classes(&[2, 0])?;
    /// data()?.classes(&[2usize, 0])?;
    /// assert!(data()?.classes(&[2, 0, 1]).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn classes<C: Copy + TryInto<i64>>(mut self, classes: &[C]) -> Result<Self> {
        let positions = self.per_sample(classes.len(), "classes")?;
        let labels = Labels::new(OP, classes)?;
        let bytes = bytemuck::cast_slice(&labels.numbers);
        let parts = upload(&self.gpu, bytes, positions * size_of::<u32>())?;
        self.targets = Some(Targets::Labels(parts, positions, labels.first.into()));
        let numbers = classes.iter().filter_map(|&class| class.try_into().ok());
        self.sample_classes = (positions == 1).then(|| numbers.collect());
        Ok(self)
    }

    /// Samples or positions of this class don't count: neither in the loss nor in the accuracy. It
    /// need not be one of the network's classes: 255 and −100 are common.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # use selfnorm::{Gpu, nn::Dataset};
    /// # let gpu = Gpu::new()?;
    /// // Four pixels an image, some of them not labelled.
    /// let labels = [0u8, 1, 255, 255, 1, 1, 0, 255];
    /// let data = Dataset::from_bytes(&gpu, &[7; 8], [2, 2, 1])?
    ///     .classes(&labels)?
    ///     .ignore_class(255);
    /// # let _ = data;
    /// # Ok(())
    /// # }
    /// ```
    pub fn ignore_class(mut self, class: i64) -> Self {
        self.weighing.ignored = Some(class);
        self
    }

    /// The network's target outputs, of `shape` per sample: probabilities (one-hot), or any values.
    ///
    /// # Errors
    ///
    /// As [`classes`](Self::classes), and [`Error::Data`](crate::Error::Data) for a NaN or an
    /// infinity. Values below 0 or above 1 are an error when they meet cross-entropy.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # use selfnorm::{Gpu, nn::Dataset};
    /// # let gpu = Gpu::new()?;
    /// let data = Dataset::from_bytes(&gpu, &[0, 255], [1])?.targets(&[0.5, 20.0], [1])?;
    /// # let _ = data;
    /// # Ok(())
    /// # }
    /// ```
    pub fn targets(self, values: &[f32], shape: impl AsRef<[usize]>) -> Result<Self> {
        self.require_all("targets")?;
        let shape = shape.as_ref();
        let each = count(shape)?;
        if values.len() as u64 != (self.len() as u64).saturating_mul(each) {
            return wrong(
                OP,
                format!(
                    "{} targets are not one of shape {shape:?} for each of {} samples{}",
                    values.len(),
                    self.len(),
                    self.hint_at_whole_shape(values.len() as u64, shape, each)
                ),
            );
        }
        let each = (each as usize).max(1);
        let parts = upload(&self.gpu, bytemuck::cast_slice(values), each * F32)?;
        let outputs = shape.last().copied().unwrap_or(1).max(1);
        let facts = Facts::of(values, outputs);
        let worst = facts.worst().map_or(0.0, |index| values[index]);
        let mut data = self.set_targets(parts, shape, facts, worst)?;
        let has_classes = match data.target_kind() {
            Some(TargetKind::OneHot) => true,
            Some(TargetKind::Binary) => outputs == 1,
            _ => false,
        };
        // Of the first of the largest, as for class weights.
        let class = |row: &[f32]| match row {
            [value] => *value as i64,
            row => row.iter().position(|&value| value == 1.0).unwrap_or(0) as i64,
        };
        data.sample_classes =
            (has_classes && each == outputs).then(|| values.chunks(outputs).map(class).collect());
        Ok(data)
    }

    /// The network's target outputs, of a tensor [n, target shape], where they are: see
    /// [`from_tensor_async`](Self::from_tensor_async). Which loss follows from the values is decided now.
    /// Does not block.
    ///
    /// # Errors
    ///
    /// As [`targets`](Self::targets) and [`from_tensor_async`](Self::from_tensor_async);
    /// [`Error::OtherGpu`](crate::Error::OtherGpu).
    pub async fn target_tensor_async(self, y: &Tensor) -> Result<Self> {
        self.target_tensor_by(y, &platform::wait_aside).await
    }

    pub(in crate::nn) async fn target_tensor_by(
        self,
        y: &Tensor,
        progress: &impl Progress,
    ) -> Result<Self> {
        if !y.gpu().is(&self.gpu) {
            return Err(Error::OtherGpu {
                op: OP,
                operand: "the targets",
            });
        }
        let (len, shape, parts) = samples_of(y)?;
        self.require_all("targets")?;
        if len != self.len() {
            let detail = format!(
                "there are targets for {len} samples, not for {}",
                self.len()
            );
            return wrong(OP, detail);
        }
        let outputs = shape.last().copied().unwrap_or(1);
        let each = count(shape)? as usize;
        let facts = inspect::targets(&self.gpu, &parts, each, outputs, progress).await?;
        let value = match facts.worst() {
            Some(index) => inspect::value(y, index, progress).await?,
            None => 0.0,
        };
        let owned = Self {
            owner: Owner::Application,
            ..self
        };
        owned.set_targets(parts, shape, facts, value)
    }

    /// Targets of `shape`, and the value of the worst.
    fn set_targets(
        mut self,
        parts: Vec<Part>,
        shape: &[usize],
        facts: Facts,
        worst: f32,
    ) -> Result<Self> {
        if let Some(index) = facts.not_finite {
            return refuse_target(OP, index, worst, shape);
        }
        let outputs = shape.last().copied().unwrap_or(1).max(1);
        let found = Values {
            improbable: facts.worst().map(|index| (index, worst)),
            kind: TargetKind::of(&facts, outputs),
        };
        self.targets = Some(Targets::Values(parts, shape.into(), found));
        self.sample_classes = None;
        Ok(self)
    }

    /// A weight for each sample in the loss; for networks whose output has more than one axis, one for
    /// each sample, or one for each position.
    ///
    /// As in Keras, the loss of a batch is Σ wᵢ lossᵢ divided by the number of samples (or positions),
    /// not by the sum of the weights.
    ///
    /// # Errors
    ///
    /// As [`classes`](Self::classes), and [`Error::Data`](crate::Error::Data) for a weight that is
    /// negative or not finite.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # use selfnorm::{Gpu, nn::Dataset};
    /// # let gpu = Gpu::new()?;
    /// let data = Dataset::from_bytes(&gpu, &[0, 255], [1])?
    ///     .classes(&[2, 0])?
    ///     .sample_weights(&[1.0, 0.25])?;
    /// # let _ = data;
    /// # Ok(())
    /// # }
    /// ```
    pub fn sample_weights(mut self, weights: &[f32]) -> Result<Self> {
        let each = self.per_sample(weights.len(), "sample weights")?;
        check_weights(OP, "sample weight", weights)?;
        let parts = upload(&self.gpu, bytemuck::cast_slice(weights), each * F32)?;
        self.weights = Some((parts, each));
        Ok(self)
    }

    /// A weight for each class: that of a sample's class, or a position's, multiplies its sample weight,
    /// in training and in scores of this data set alike.
    /// The class of target values is the first of the largest, or, for a network with a single
    /// output, the value rounded: it has two classes.
    ///
    /// # Errors
    ///
    /// [`Error::Data`](crate::Error::Data) for a weight that is negative or not finite.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # use selfnorm::{Gpu, nn::Dataset};
    /// # let gpu = Gpu::new()?;
    /// let data = Dataset::from_bytes(&gpu, &[0, 255], [1])?
    ///     .classes(&[2, 0])?
    ///     .class_weights(&[1.0, 1.0, 5.0])?;
    /// # let _ = data;
    /// # Ok(())
    /// # }
    /// ```
    pub fn class_weights(mut self, weights: &[f32]) -> Result<Self> {
        check_weights(OP, "class weight", weights)?;
        self.weighing.class_weights = weights.into();
        Ok(self)
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.selected
            .as_ref()
            .map_or(self.uploaded, |selected| selected.len())
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of a sample.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What kind of targets there are, for the loss that follows from them.
    pub(in crate::nn) fn target_kind(&self) -> Option<TargetKind> {
        self.targets.as_ref().map(|targets| match targets {
            Targets::Labels(..) => TargetKind::Classes,
            Targets::Values(_, _, values) => values.kind,
        })
    }

    /// An error if a network does not take these samples.
    pub(in crate::nn) fn check_inputs(&self, expected: Expected) -> Result<()> {
        if !self.gpu.is(expected.gpu) {
            return Err(Error::OtherGpu {
                op: expected.op,
                operand: "the data set",
            });
        }
        expected.check_samples(&self.shape)?;
        match self.affine {
            Some(affine) => affine.check(),
            None => Ok(()),
        }
    }

    /// An error if this is no data for a network.
    pub(in crate::nn) fn check(&self, expected: Expected) -> Result<()> {
        let op = expected.op;
        self.check_inputs(expected)?;
        if self.is_empty() {
            return wrong(op, "the data set has no samples");
        }
        match &self.targets {
            None => {
                return wrong(op, "the data set has no targets; add classes or targets");
            }
            Some(Targets::Labels(_, positions, first)) => {
                expected.check_labels(first, self.uploaded, *positions, &self.weighing)?;
            }
            Some(Targets::Values(_, shape, found)) => {
                expected.check_shape(shape, &self.weighing)?;
                if let (true, Some((index, value))) = (expected.probabilities, found.improbable) {
                    return refuse_target(op, index, value, shape);
                }
            }
        }
        match &self.weights {
            Some((_, each)) => expected.check_sample_weights(*each),
            None => Ok(()),
        }
    }

    /// The arrays of the samples alone.
    pub(super) fn inputs(&self) -> Arrays<'_> {
        Arrays {
            inputs: &self.inputs,
            affine: self.affine,
            targets: &[],
            are_labels: false,
            weights: None,
        }
    }

    /// The arrays for a network that this is data for, and the weights of its classes.
    pub(super) fn meet(&self, expected: Expected) -> Result<(Arrays<'_>, Option<Region>)> {
        let (targets, are_labels) = match &self.targets {
            None => (&[][..], false),
            Some(Targets::Labels(parts, ..)) => (&parts[..], true),
            Some(Targets::Values(parts, ..)) => (&parts[..], false),
        };
        let weights = self.weights.as_ref();
        let arrays = Arrays {
            targets,
            are_labels,
            weights: weights.map(|(parts, each)| (&parts[..], *each)),
            ..self.inputs()
        };
        Ok((arrays, expected.class_weights(&self.weighing)?))
    }

    fn per_sample(&self, values: usize, what: &str) -> Result<usize> {
        self.require_all(what)?;
        let len = self.len();
        if len == 0 && values == 0 {
            return Ok(1);
        }
        if len == 0 {
            return wrong(
                OP,
                format!("the data set has no samples, and there are {values} {what}"),
            );
        }
        if values == 0 || !values.is_multiple_of(len) {
            return wrong(
                OP,
                format!("{values} {what} are no whole number for each of {len} samples"),
            );
        }
        Ok(values / len)
    }

    /// What to do if the shape of whole data, as NumPy has it, was given for that of a sample: for that of
    /// a target, of which so many values of `each` came, or before for that of the samples.
    fn hint_at_whole_shape(&self, values: u64, target: &[usize], each: u64) -> String {
        match (target, &self.shape[..]) {
            ([samples, target @ ..], _) if values == each && *samples == self.len() => {
                hint_at_sample(target)
            }
            (_, [samples, sample @ ..])
                if self.len() == 1 && values == each.saturating_mul(*samples as u64) =>
            {
                hint_at_sample(sample)
            }
            _ => String::new(),
        }
    }

    /// What a sample gets is uploaded for all of them.
    fn require_all(&self, what: &str) -> Result<()> {
        match &self.selected {
            None => Ok(()),
            Some(selected) => wrong(
                OP,
                format!(
                    "{what} come before a selection: this is {} of {} samples",
                    selected.len(),
                    self.uploaded
                ),
            ),
        }
    }

    /// The samples at these places of the data set, in this order.
    pub(super) fn selection(&self, samples: Vec<u32>) -> Self {
        let samples: Arc<[u32]> = match &self.selected {
            None => samples.into(),
            Some(of) => samples.iter().map(|&i| of[i as usize]).collect(),
        };
        let mut data = self.clone();
        if let (Some(classes), Some(Targets::Labels(_, _, first))) =
            (&self.sample_classes, &mut data.targets)
        {
            let mut found = BTreeMap::new();
            for (place, &i) in samples.iter().enumerate() {
                found.entry(classes[i as usize]).or_insert(place);
            }
            *first = found.into();
        }
        data.selected = Some(samples);
        data
    }

    /// The class of each sample, or `None` if it does not count; if samples have one.
    pub(in crate::nn) fn counted_classes(&self) -> Option<Vec<Option<i64>>> {
        let ignored = self.weighing.ignored;
        let classes = self.classes_of_samples()?.into_iter();
        Some(
            classes
                .map(|class| Some(class).filter(|_| Some(class) != ignored))
                .collect(),
        )
    }

    /// The class of each sample, if samples have one.
    pub(super) fn classes_of_samples(&self) -> Option<Vec<i64>> {
        let classes = self.sample_classes.as_ref()?;
        Some(match &self.selected {
            None => classes.to_vec(),
            Some(selected) => selected.iter().map(|&i| classes[i as usize]).collect(),
        })
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut data = f.debug_struct("Dataset");
        data.field("len", &self.len()).field("shape", &self.shape);
        match &self.targets {
            None => {}
            Some(Targets::Labels(_, 1, first)) => {
                data.field("classes", &first.len());
            }
            Some(Targets::Labels(_, positions, first)) => {
                data.field("classes", &first.len());
                data.field("labels_per_sample", positions);
            }
            Some(Targets::Values(_, shape, _)) => {
                data.field("target_shape", shape);
            }
        }
        data.finish_non_exhaustive()
    }
}

/// How many samples a tensor has, their shape, and where they are.
fn samples_of(x: &Tensor) -> Result<(usize, &[usize], Vec<Part>)> {
    match x.shape() {
        [len, shape @ ..] if !shape.contains(&0) => Ok((*len, shape, share(x)?)),
        shape => {
            let detail =
                format!("a tensor of shape {shape:?} has no samples; it is [n, sample shape]");
            wrong(OP, detail)
        }
    }
}

/// An error for a value of a sample of `shape`.
fn refuse_sample<T>(index: usize, value: f32, shape: &[usize]) -> Result<T> {
    let (sample, at) = place(index, shape);
    let what = not_finite(value);
    wrong(OP, format!("sample {sample} has {what} at {at:?}"))
}

/// The values of a sample.
fn sample_len(values: usize, shape: &[usize]) -> Result<usize> {
    let sample = count(shape)? as usize;
    if sample == 0 || !values.is_multiple_of(sample) {
        return wrong(
            OP,
            format!("{values} values are no whole number of samples of shape {shape:?}"),
        );
    }
    Ok(sample)
}
