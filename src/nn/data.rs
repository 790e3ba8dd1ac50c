use super::losses::TargetKind;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::gpu::transfer;
use crate::ops::network::gather::{self, Affine};
use crate::tensor::count;
use crate::{Error, Gpu, Result};

/// Samples on the GPU, with the outputs that a network should give for them.
///
/// They are uploaded once; batches are gathered on the GPU. Bytes stay bytes there.
///
/// ```
/// # fn main() -> selfnorm::Result<()> {
/// use selfnorm::{Gpu, nn::Dataset};
///
/// let gpu = Gpu::new()?;
/// let pixels = [0, 128, 255, 0, 7, 9, 255, 255u8]; // two images of 2 × 2
/// let labels = [3, 1u8];
/// let data = Dataset::from_bytes(&gpu, &pixels, [2, 2, 1])?.classes(&labels)?;
/// assert_eq!(data.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Dataset {
    gpu: Gpu,
    len: usize,
    shape: Vec<usize>,
    inputs: Inputs,
    targets: Option<Targets>,
    target_kind: Option<TargetKind>,
}

#[derive(Debug)]
enum Inputs {
    Floats(Region),
    Bytes(Region, Affine),
}

#[derive(Debug)]
enum Targets {
    /// The class numbers, how many a sample has, and the highest.
    Classes(Region, usize, u32),
    /// f32s, of this shape per sample.
    Values(Region, Vec<usize>),
}

impl Dataset {
    /// A data set of f32s: samples of `shape`, one after the other.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if the last sample is not complete, or samples have no elements;
    /// [`Error::TooLarge`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn from_floats(gpu: &Gpu, values: &[f32], shape: impl AsRef<[usize]>) -> Result<Self> {
        let region = upload(gpu, bytemuck::cast_slice(values))?;
        Self::new(gpu, values.len(), shape.as_ref(), Inputs::Floats(region))
    }

    /// A data set of bytes, such as images; the network sees byte / 255, unless
    /// [`scaled`](Self::scaled) says otherwise.
    ///
    /// # Errors
    ///
    /// As [`from_floats`](Self::from_floats).
    pub fn from_bytes(gpu: &Gpu, bytes: &[u8], shape: impl AsRef<[usize]>) -> Result<Self> {
        let region = upload(gpu, bytes)?;
        let affine = Affine {
            scale: 1.0 / 255.0,
            shift: 0.0,
        };
        let inputs = Inputs::Bytes(region, affine);
        Self::new(gpu, bytes.len(), shape.as_ref(), inputs)
    }

    fn new(gpu: &Gpu, values: usize, shape: &[usize], inputs: Inputs) -> Result<Self> {
        let sample = count(shape)? as usize;
        if sample == 0 || !values.is_multiple_of(sample) {
            return error(format!(
                "{values} values are no whole number of samples of shape {shape:?}"
            ));
        }
        Ok(Self {
            gpu: gpu.clone(),
            len: values / sample,
            shape: shape.into(),
            inputs,
            targets: None,
            target_kind: None,
        })
    }

    /// The network sees byte · `scale` + `shift`. Floats are left as they are.
    pub fn scaled(mut self, scale: f32, shift: f32) -> Self {
        if let Inputs::Bytes(_, affine) = &mut self.inputs {
            *affine = Affine { scale, shift };
        }
        self
    }

    /// The class number of each sample, from 0 on. For networks whose output has more than one
    /// axis, of each position; the last axis is the classes.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if there are not equally many class numbers for every sample;
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub fn classes<C: Copy + Into<u32>>(mut self, classes: &[C]) -> Result<Self> {
        let classes: Vec<u32> = classes.iter().map(|&class| class.into()).collect();
        let positions = self.per_sample(classes.len(), "classes")?;
        let highest = classes.iter().copied().max().unwrap_or(0);
        let region = upload(&self.gpu, bytemuck::cast_slice(&classes))?;
        self.targets = Some(Targets::Classes(region, positions, highest));
        self.target_kind = Some(TargetKind::Classes);
        Ok(self)
    }

    /// The network's target outputs, of `shape` per sample: probabilities (one-hot), or any values.
    ///
    /// # Errors
    ///
    /// As [`classes`](Self::classes).
    pub fn targets(mut self, values: &[f32], shape: impl AsRef<[usize]>) -> Result<Self> {
        let shape = shape.as_ref();
        if values.len() as u64 != (self.len as u64).saturating_mul(count(shape)?) {
            return error(format!(
                "{} targets are not one of shape {shape:?} for each of {} samples",
                values.len(),
                self.len
            ));
        }
        let region = upload(&self.gpu, bytemuck::cast_slice(values))?;
        self.targets = Some(Targets::Values(region, shape.into()));
        let outputs = shape.last().copied().unwrap_or(1);
        self.target_kind = Some(TargetKind::of(values, outputs));
        Ok(self)
    }

    /// What the targets are, for the loss that follows from them, of a network that puts out `output`.
    pub(super) fn target_kind(&self, output: &[usize]) -> Option<TargetKind> {
        match &self.targets {
            // Another error, which is found later.
            Some(Targets::Values(_, shape)) if shape != output => None,
            _ => self.target_kind,
        }
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The shape of a sample.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn per_sample(&self, values: usize, what: &str) -> Result<usize> {
        if self.len == 0 || values == 0 || !values.is_multiple_of(self.len) {
            return error(format!(
                "{values} {what} are no whole number for each of {} samples",
                self.len
            ));
        }
        Ok(values / self.len)
    }
}

fn error<T>(detail: String) -> Result<T> {
    Err(Error::Data {
        op: "dataset",
        detail,
    })
}

fn upload(gpu: &Gpu, bytes: &[u8]) -> Result<Region> {
    let limits = gpu.limits();
    let max = limits.max_binding_bytes.min(limits.max_buffer_bytes);
    let taken = (bytes.len() as u64).next_multiple_of(transfer::COPY_ALIGNMENT);
    if taken > max || taken > u32::MAX.into() {
        return Err(Error::TooLarge {
            shape: vec![bytes.len()],
            limit: format!(
                "a data set of so many bytes; the device binds {max} at most, and they are counted in 32 bits"
            ),
        });
    }
    let region = gpu.memory().region(taken)?;
    transfer::write(
        gpu.memory(),
        &region.buffer,
        0,
        bytes,
        transfer::COPY_ALIGNMENT,
    )?;
    Ok(region)
}

/// The device and shapes that a data set must have for a network.
pub(super) struct Expected<'a> {
    pub op: &'static str,
    pub gpu: &'a Gpu,
    pub input: &'a [usize],
    pub output: &'a [usize],
}

/// A data set's batches, in an order that can change.
#[derive(Debug)]
pub(super) struct Feed {
    /// The samples' indices.
    pub order: Region,
    pub dispatches: [Dispatch; 2],
}

impl Feed {
    /// Feeds batches of `rows` samples to `inputs` and `targets`.
    pub fn new(
        data: &Dataset,
        expected: Expected,
        rows: usize,
        inputs: &Region,
        targets: &Region,
    ) -> Result<Self> {
        let Expected {
            op,
            gpu,
            input,
            output,
        } = expected;
        let wrong = |detail| Err(Error::Data { op, detail });
        if !data.gpu.is(gpu) {
            return Err(Error::OtherGpu {
                op,
                operand: "the data set",
            });
        }
        if data.shape != input {
            return wrong(format!(
                "samples are of shape {:?}, the network takes {input:?}",
                data.shape
            ));
        }
        // No larger than the targets, which fit.
        let order = || gpu.memory().region((data.len * size_of::<u32>()) as u64);
        let len = data.shape.iter().product::<usize>() as u32;
        let rows = rows as u32;
        let classes = output.last().copied().unwrap_or(1);
        let positions = output.iter().product::<usize>() / classes;
        let (order, target) = match &data.targets {
            None => return wrong("the data set has no targets; add classes or targets".into()),
            Some(Targets::Values(_, shape)) if shape != output => {
                return wrong(format!(
                    "targets are of shape {shape:?}, the network puts out {output:?}"
                ));
            }
            Some(Targets::Values(values, _)) => {
                let order = order()?;
                let len = (positions * classes) as u32;
                let target = gather::floats(gpu, values, &order, targets, rows, len)?;
                (order, target)
            }
            Some(Targets::Classes(_, given, highest))
                if *given != positions || *highest as usize >= classes =>
            {
                return wrong(format!(
                    "there are {given} classes a sample, up to class {highest}; the network puts out {output:?}, that is {positions} of {classes} classes"
                ));
            }
            Some(Targets::Classes(numbers, ..)) => {
                let order = order()?;
                let (positions, classes) = (positions as u32, classes as u32);
                let target =
                    gather::classes(gpu, numbers, &order, targets, rows, positions, classes)?;
                (order, target)
            }
        };
        let sample = match &data.inputs {
            Inputs::Floats(values) => gather::floats(gpu, values, &order, inputs, rows, len)?,
            Inputs::Bytes(bytes, affine) => {
                gather::bytes(gpu, bytes, &order, inputs, rows, len, *affine)?
            }
        };
        Ok(Self {
            order,
            dispatches: [sample, target],
        })
    }

    /// Sets the order.
    pub fn write(&self, gpu: &Gpu, order: &[u32]) -> Result<()> {
        let bytes = bytemuck::cast_slice(order);
        transfer::write(
            gpu.memory(),
            &self.order.buffer,
            0,
            bytes,
            transfer::COPY_ALIGNMENT,
        )
    }
}
