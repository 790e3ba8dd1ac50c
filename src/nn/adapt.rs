//! Means and variances of a data set's features.

use super::data::{Expected, Feed};
use super::sequential::read;
use super::training::ordered;
use super::{Dataset, Normalization};
use crate::gpu::platform;
use crate::gpu::recording::begin_pass;
use crate::gpu::transfer::Progress;
use crate::ops::network::moments;
use crate::ops::network::normalization::{self, Normalization as Columns};
use crate::ops::network::step::{Step, Steps};
use crate::{Error, Result};

/// The values that are measured at once: 16 MiB of them.
const BATCH_VALUES: usize = 1 << 22;

impl Normalization {
    /// With the mean and the variance of each feature of `data`, as the network sees it. They are computed on the
    /// GPU, in one pass; targets do not count, nor do weights. Does not block.
    ///
    /// Adapt to the samples that are trained on, not to those that tell how good the network is.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # pollster::block_on(async {
    /// use selfnorm::nn::{Dataset, Dense, Normalization, Sequential};
    ///
    /// # let gpu = selfnorm::Gpu::new()?;
    /// // Metres and grams.
    /// let data = Dataset::from_floats(&gpu, &[1.62, 58_000.0, 1.80, 82_000.0], [2])?;
    /// let model = Sequential::new([2])
    ///     .add(Normalization::adapt_async(&data).await?)
    ///     .add(Dense::new(1))
    ///     .build(&gpu, 42)?;
    /// # let _ = model;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if there are no samples, or they are no vectors; [`Error::TooLarge`],
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub async fn adapt_async(data: &Dataset) -> Result<Self> {
        Self::adapt_by(data, &platform::wait_aside).await
    }

    pub(super) async fn adapt_by(data: &Dataset, progress: &impl Progress) -> Result<Self> {
        const OP: &str = "normalization";
        let expected = Expected {
            op: OP,
            gpu: &data.gpu,
            input: data.shape(),
            output: &[],
            probabilities: false,
        };
        data.check_inputs(expected)?;
        if data.is_empty() {
            let detail = "the data set has no samples".into();
            return Err(Error::Data { op: OP, detail });
        }
        let [axes @ .., columns] = data.shape() else {
            let detail = "samples of shape [] have no axis of features".into();
            return Err(Error::Data { op: OP, detail });
        };
        let (positions, columns) = (axes.iter().product::<usize>(), *columns);
        let gpu = &data.gpu;
        let sample = positions * columns;
        let samples = (BATCH_VALUES / sample).clamp(1, data.len());
        let batch = Columns {
            kind: normalization::Kind::Batch { frozen: false },
            samples,
            positions,
            columns,
            epsilon: 1.0,
        };
        let bytes = (samples * sample * size_of::<f32>()) as u64;
        let [x, pieces] = [bytes, batch.piece_bytes()].map(|bytes| gpu.memory().region(bytes));
        let (x, pieces) = (x?, pieces?);
        let measure = batch.measure(gpu, &x, &pieces)?;
        let feed = Feed::of_inputs(data, expected, samples, &x)?;
        feed.write(gpu, &ordered(data.len()))?;
        let steps = Steps::new(gpu, 1)?;
        let mut shares = Vec::new();
        for first in (0..data.len()).step_by(samples) {
            let step = Step {
                first: first as u32,
                count: samples.min(data.len() - first) as u32,
                training: true,
                ..Step::default()
            };
            steps.write(gpu, &[step])?;
            gpu.link().submit(feed.owner, |encoder| {
                let mut pass = begin_pass(encoder);
                for dispatch in feed.dispatches.iter().chain([&measure]) {
                    dispatch.record(&mut pass, Some(steps.bound(0)));
                }
                Ok(())
            })?;
            shares.extend(read::<[f32; 4]>(gpu, &pieces, progress).await?);
        }
        let (mut means, mut variances) = (Vec::new(), Vec::new());
        for column in 0..columns {
            let shares = shares.iter().skip(column).step_by(columns);
            let (mean, variance) = moments::merge(&shares.copied().collect::<Vec<_>>());
            means.push(mean as f32);
            variances.push(variance as f32);
        }
        Ok(Self::new().moments(means, variances))
    }
}
