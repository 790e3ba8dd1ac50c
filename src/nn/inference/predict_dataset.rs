//! Predictions from and to the host, and of data sets.

use super::predict::{Gathered, Input};
use crate::gpu::platform;
use crate::gpu::transfer;
use crate::nn::losses::Ending;
use crate::nn::{Dataset, Sequential};
use crate::{Error, Result, Tensor};

fn wrong<T>(op: &'static str, detail: impl Into<String>) -> Result<T> {
    let detail = detail.into();
    Err(Error::Data { op, detail })
}

impl Sequential {
    /// The outputs for samples on the host, one after the other, as the host's. Does not block.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if the last sample is not complete; [`Error::TooLarge`], [`Error::OutOfMemory`],
    /// [`Error::DeviceLost`].
    pub async fn predict_floats_async(&self, samples: &[f32]) -> Result<Vec<f32>> {
        self.predict_floats_by(samples, &platform::wait_aside).await
    }

    pub(in crate::nn) async fn predict_floats_by(
        &self,
        samples: &[f32],
        progress: &impl transfer::Progress,
    ) -> Result<Vec<f32>> {
        let shape = self.input_shape();
        let each: usize = shape.iter().product();
        if each == 0 || !samples.len().is_multiple_of(each) {
            return wrong(
                "predict_floats",
                format!(
                    "{} values are no whole number of samples of shape {shape:?}",
                    samples.len()
                ),
            );
        }
        let shape = [&[samples.len() / each], shape].concat();
        let x = self.gpu.tensor(samples, shape)?;
        let y = self.predict_by(&x, progress).await?;
        y.read_by(progress).await
    }

    /// The outputs for the samples of a data set, [n, output shape], in its order; a selection's are those of
    /// the selected samples. It needs no targets. Does not block.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if the samples are not of the input shape, [`Error::Parameter`] if
    /// [`scaled`](Dataset::scaled) has numbers that are not finite, [`Error::OtherGpu`];
    /// [`Error::TooLarge`], [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub async fn predict_dataset_async(&self, data: &Dataset) -> Result<Tensor> {
        self.predict_dataset_by("predict_dataset", data, &platform::wait_aside)
            .await
    }

    pub(in crate::nn) async fn predict_dataset_by(
        &self,
        op: &'static str,
        data: &Dataset,
        progress: &impl transfer::Progress,
    ) -> Result<Tensor> {
        data.check_inputs(self.expected(op, None))?;
        let prepare = |prediction: &_| {
            let gathered = Gathered::new(self, op, data, prediction)?;
            Ok(Input::Gathered(gathered.into()))
        };
        self.predict_from(data.len(), prepare, progress).await
    }

    /// The class of each sample of a data set, or of each position where the output has more than one axis:
    /// that of the largest output, or the first of them if there are several; for a single sigmoid, 1 if the
    /// output is above ½, and else 0. Does not block.
    ///
    /// # Errors
    ///
    /// As [`predict_dataset_async`](Self::predict_dataset_async), and [`Error::Data`] if the network has a
    /// single output that is no sigmoid, or an output is NaN.
    pub async fn predict_classes_async(&self, data: &Dataset) -> Result<Vec<usize>> {
        self.predict_classes_by(data, &platform::wait_aside).await
    }

    pub(in crate::nn) async fn predict_classes_by(
        &self,
        data: &Dataset,
        progress: &impl transfer::Progress,
    ) -> Result<Vec<usize>> {
        const OP: &str = "predict_classes";
        let classes = self.network.classes();
        if classes == 1 && self.network.ending() != Ending::Sigmoid {
            return wrong(
                OP,
                "the network has one output without a sigmoid, which tells no class; predict_dataset has its values",
            );
        }
        let y = self.predict_dataset_by(OP, data, progress).await?;
        let values = y.read_by(progress).await?;
        if let Some(i) = values.iter().position(|value| value.is_nan()) {
            let sample = i / (values.len() / data.len());
            return wrong(OP, format!("an output of sample {sample} is NaN"));
        }
        Ok(values.chunks(classes).map(class).collect())
    }
}

/// The class that a row of outputs tells.
fn class(row: &[f32]) -> usize {
    if let [value] = row {
        return usize::from(*value > 0.5);
    }
    let mut largest = 0;
    for (i, value) in row.iter().enumerate() {
        if *value > row[largest] {
            largest = i;
        }
    }
    largest
}
