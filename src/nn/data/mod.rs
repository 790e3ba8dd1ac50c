//! What networks are trained with: samples on the GPU, or batches that come from the host.

mod dataset;
mod feed;
mod selections;
mod stream;
mod targets;

pub use dataset::Dataset;
pub(super) use dataset::TargetKind;
pub(super) use feed::{Feed, Places, order_bytes};
use stream::DynBatches;
pub use stream::{Batch, Batches, Samples};
pub(super) use stream::{Staged, Stream};
pub(super) use targets::refuse_target;

use crate::gpu::transfer;
use crate::ops::network::gather::{Affine, Part};
use crate::ops::require;
use crate::{Error, Gpu, Result, Tensor};

/// The device and shapes that data must have for a network, and the values that its loss takes.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a> {
    pub op: &'static str,
    pub gpu: &'a Gpu,
    pub input: &'a [usize],
    pub output: &'a [usize],
    /// Whether targets must be probabilities.
    pub probabilities: bool,
}

/// What to train on: a [`Dataset`], or [`Batches`]. (A score is that of a `Dataset`.)
pub enum Data<'a> {
    /// Samples on the GPU.
    Dataset(&'a Dataset),
    /// Batches that come from the host.
    Batches(&'a mut DynBatches<'a>),
}

impl std::fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dataset(_) => "Dataset",
            Self::Batches(_) => "Batches",
        })
    }
}

impl<'a> From<&'a Dataset> for Data<'a> {
    fn from(data: &'a Dataset) -> Self {
        Self::Dataset(data)
    }
}

impl<'a, B: Batches + wgpu::WasmNotSend> From<&'a mut B> for Data<'a> {
    fn from(batches: &'a mut B) -> Self {
        Self::Batches(batches)
    }
}

impl Data<'_> {
    /// What kind of targets there are, if that is known.
    pub(super) fn target_kind(&self) -> Option<TargetKind> {
        match self {
            Self::Dataset(data) => data.target_kind(),
            Self::Batches(batches) => batches.samples().target_kind(),
        }
    }
}

fn wrong<T>(op: &'static str, detail: impl Into<String>) -> Result<T> {
    let detail = detail.into();
    Err(Error::Data { op, detail })
}

/// How many samples of `sample_bytes` the device binds at a time: a multiple of `unit`.
fn bound(gpu: &Gpu, sample_bytes: usize, unit: usize) -> Result<usize> {
    let limits = gpu.limits();
    // Shaders count bytes in 32 bits.
    let max = limits.max_binding_bytes.min(limits.max_buffer_bytes);
    let max = max.min(u32::MAX.into()) / transfer::COPY_ALIGNMENT * transfer::COPY_ALIGNMENT;
    let most = max as usize / sample_bytes / unit * unit;
    if most == 0 {
        return Err(Error::TooLarge {
            shape: vec![unit * sample_bytes],
            limit: format!(
                "a sample takes so many bytes; the device binds {max} at most, and they are counted in 32 bits"
            ),
        });
    }
    Ok(most)
}

/// The samples of a tensor, without a copy: those of the buffer that it is in, which is kept alive.
fn share(x: &Tensor) -> Result<Vec<Part>> {
    let samples = x.shape()[0];
    if x.is_empty() {
        return Ok(Vec::new());
    }
    // From here on its buffer is not taken for another tensor when it is dropped.
    x.expose();
    let gpu = x.gpu();
    let sample_bytes = x.len() / samples * size_of::<f32>();
    // Each part but the first begins where the device can bind it.
    let alignment = gpu.limits().offset_alignment as usize;
    let is_aligned = |samples: &usize| (samples * sample_bytes).is_multiple_of(alignment);
    let unit = (1..=alignment).find(is_aligned).unwrap_or(alignment);
    let bytes = samples * sample_bytes;
    let most = if bytes as u64 <= gpu.limits().max_binding_bytes {
        samples
    } else {
        bound(gpu, sample_bytes, unit)?
    };
    let part = |first: usize| {
        let held = most.min(samples - first);
        let [offset, bytes] = [first, held].map(|samples| (samples * sample_bytes) as u64);
        Part {
            region: x.region().part(offset, bytes),
            first: first as u32,
            samples: held as u32,
        }
    };
    Ok((0..samples).step_by(most).map(part).collect())
}

/// Buffers for samples of `sample_bytes`, as many in each as the device binds.
fn allocate(gpu: &Gpu, samples: usize, sample_bytes: usize) -> Result<Vec<Part>> {
    let most = bound(gpu, sample_bytes, 1)?;
    let firsts = (0..samples).step_by(most);
    let part = |first: usize| {
        let held = most.min(samples - first);
        Ok(Part {
            region: gpu.memory().region((held * sample_bytes) as u64)?,
            first: first as u32,
            samples: held as u32,
        })
    };
    firsts.map(part).collect()
}

/// Writes the first samples.
fn write(gpu: &Gpu, parts: &[Part], bytes: &[u8], sample_bytes: usize) -> Result<()> {
    let mut rest = bytes;
    for part in parts {
        let (held, after) = rest.split_at(rest.len().min(part.samples as usize * sample_bytes));
        rest = after;
        let buffer = &part.region.buffer;
        transfer::write(gpu.memory(), buffer, 0, held, transfer::COPY_ALIGNMENT)?;
    }
    Ok(())
}

fn upload(gpu: &Gpu, bytes: &[u8], sample_bytes: usize) -> Result<Vec<Part>> {
    let parts = allocate(gpu, bytes.len() / sample_bytes, sample_bytes)?;
    write(gpu, &parts, bytes, sample_bytes)?;
    Ok(parts)
}

impl Affine {
    /// Bytes from 0 to 1.
    const UNIT: Self = Self {
        scale: 1.0 / 255.0,
        shift: 0.0,
    };

    /// An error if a byte could become something else than a number.
    fn check(self) -> Result<()> {
        let Self { scale, shift } = self;
        let largest = 255.0 * scale + shift;
        for (name, value) in [
            ("scale", scale),
            ("shift", shift),
            ("255 * scale + shift", largest),
        ] {
            require("scaled", name, value.into(), value.is_finite(), "finite")?;
        }
        Ok(())
    }
}

/// An error that names the first weight below 0, or that is none.
fn check_weights(op: &'static str, what: &str, weights: &[f32]) -> Result<()> {
    let bad = |weight: &f32| !(weight.is_finite() && *weight >= 0.0);
    match weights.iter().position(bad) {
        Some(i) => wrong(
            op,
            format!(
                "{what} {i} is {:?}; weights are finite and at least 0",
                weights[i]
            ),
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
