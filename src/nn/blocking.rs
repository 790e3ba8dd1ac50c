//! What waits for the GPU on the calling thread. Browsers can't; each has an async form for there.

use std::ops::ControlFlow;

use pollster::block_on;

use super::{
    BatchEnd, Data, Dataset, Fit, History, LayerStatistics, Normalization, Predict, Progress,
    Score, Sequential,
};
use crate::gpu::platform::wait_for_answer;
use crate::{Result, Tensor};

impl Sequential {
    /// Trains on `data`: a [`Dataset`], or `&mut` [`Batches`](crate::nn::Batches) from the host. Browsers
    /// have [`train`](Self::train) and [`Run::next`](super::Run::next).
    ///
    /// # Errors
    ///
    /// As [`train`](Self::train) and [`Run::next`](super::Run::next).
    pub fn fit<'a>(&'a mut self, data: impl Into<Data<'a>>, fit: &Fit<'a>) -> Result<History> {
        self.fit_with(data, fit, |_| Ok(ControlFlow::Continue(())))
    }

    /// Trains on `data`; `callback` is called after each batch and epoch, and may stop the training
    /// with [`ControlFlow::Break`] or an error.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use std::ops::ControlFlow;
    /// use selfnorm::nn::{Activation::Softmax, Adam, Dataset, Dense, Fit, Progress, Sequential};
    ///
    /// # let gpu = selfnorm::Gpu::new()?;
    /// # let data = Dataset::from_floats(&gpu, &[0.0, 1.0, 1.0, 0.0], [2])?.classes(&[0, 1])?;
    /// let mut model = Sequential::new([2]).add(Dense::new(2).activation(Softmax)).build(&gpu, 42)?;
    /// let history = model.fit_with(&data, &Fit::new(Adam::default()).epochs(50), |progress| {
    ///     if let Progress::Epoch(mut end) = progress {
    ///         if end.scores.training.loss < 0.5 {
    ///             return Ok(ControlFlow::Break(()));
    ///         }
    ///         if end.epoch == 25 {
    ///             end.set_learning_rate(1e-2)?;
    ///         }
    ///     }
    ///     Ok(ControlFlow::Continue(()))
    /// })?;
    /// # assert!(history.epochs.len() <= 50);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`fit`](Self::fit), and those of the callback.
    pub fn fit_with<'a>(
        &'a mut self,
        data: impl Into<Data<'a>>,
        fit: &Fit<'a>,
        mut callback: impl FnMut(Progress) -> Result<ControlFlow<()>>,
    ) -> Result<History> {
        let mut run = self.train(data, fit)?;
        while let Some(progress) = block_on(run.next_by(&wait_for_answer))? {
            if callback(progress)?.is_break() {
                run.stop();
            }
        }
        Ok(run.finish())
    }

    /// The score on `data`. Dropout is the identity. Browsers have
    /// [`evaluate_async`](Self::evaluate_async).
    ///
    /// # Errors
    ///
    /// As [`evaluate_async`](Self::evaluate_async).
    pub fn evaluate(&self, data: &Dataset) -> Result<Score> {
        block_on(self.evaluate_by(data, &wait_for_answer))
    }

    /// The output, [n, output shape], for x, [n, input shape]. Dropout is the identity. Browsers have
    /// [`predict_async`](Self::predict_async).
    ///
    /// Each batch is a submission of its own, so that other work comes between; see
    /// [`Predict::batch`](super::Predict::batch). It waits only when there are four batches more to do than
    /// the GPU has done. In an encoder of your own, see [`Pass::predict`](crate::Pass::predict).
    ///
    /// # Errors
    ///
    /// As [`predict_async`](Self::predict_async).
    pub fn predict(&self, x: &Tensor) -> Result<Tensor> {
        block_on(self.predict_by(x, &wait_for_answer))
    }

    /// The outputs for samples on the host, one after the other, as the host's. Browsers have
    /// [`predict_floats_async`](Self::predict_floats_async).
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::nn::{Activation::Softmax, Dense, Sequential};
    ///
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let model = Sequential::new([4]).add(Dense::new(3).activation(Softmax)).build(&gpu, 42)?;
    /// let probabilities = model.predict_floats(&[0.5, 1.0, 2.0, -1.0])?; // of one sample
    /// assert_eq!(probabilities.len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`predict_floats_async`](Self::predict_floats_async).
    pub fn predict_floats(&self, samples: &[f32]) -> Result<Vec<f32>> {
        block_on(self.predict_floats_by(samples, &wait_for_answer))
    }

    /// The outputs for the samples of a data set, [n, output shape], in its order; a selection's are those of
    /// the selected samples. It needs no targets. Browsers have
    /// [`predict_dataset_async`](Self::predict_dataset_async).
    ///
    /// # Errors
    ///
    /// As [`predict_dataset_async`](Self::predict_dataset_async).
    pub fn predict_dataset(&self, data: &Dataset) -> Result<Tensor> {
        block_on(self.predict_dataset_by("predict_dataset", data, &wait_for_answer))
    }

    /// The class of each sample of a data set, or of each position where the output has more than one axis:
    /// that of the largest output, or the first of them if there are several; for a single sigmoid, 1 if the
    /// output is above ½, and else 0. Browsers have
    /// [`predict_classes_async`](Self::predict_classes_async).
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::nn::{Activation::Softmax, Dataset, Dense, Sequential, metrics};
    ///
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let model = Sequential::new([2]).add(Dense::new(3).activation(Softmax)).build(&gpu, 42)?;
    /// let labels = [0, 2, 1];
    /// let test = Dataset::from_floats(&gpu, &[0.5, 1.0, 2.0, -1.0, 0.0, 3.0], [2])?;
    /// let matrix = metrics::confusion_matrix(&labels, &model.predict_classes(&test)?, 3)?;
    /// println!("{matrix}{:?}", matrix.f1());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`predict_classes_async`](Self::predict_classes_async).
    pub fn predict_classes(&self, data: &Dataset) -> Result<Vec<usize>> {
        block_on(self.predict_classes_by(data, &wait_for_answer))
    }

    /// Makes everything that predictions of so many rows need, in a frame or not: buffers and pipelines,
    /// on any thread; it submits nothing. `progress` is called with the share that is done, and at the
    /// end with 1. The first prediction then compiles nothing.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::nn::{Dense, Predict, Sequential};
    ///
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let model = Sequential::new([2]).add(Dense::new(3)).build(&gpu, 42)?;
    /// model.prepare_predict(Predict::rows(65_536).batch(4096), |done| println!("{:.0} %", 100.0 * done))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`prepare_predict_async`](Self::prepare_predict_async).
    pub fn prepare_predict(&self, predict: Predict, progress: impl FnMut(f32)) -> Result<()> {
        block_on(self.prepare_predict_async(predict, progress))
    }

    /// One training step on x, [n, input shape], and the targets y, [n, output shape]: one-hot for a
    /// network that ends with a softmax. Browsers have
    /// [`train_on_batch_async`](Self::train_on_batch_async).
    ///
    /// # Errors
    ///
    /// As [`train_on_batch_async`](Self::train_on_batch_async).
    pub fn train_on_batch(&mut self, x: &Tensor, y: &Tensor) -> Result<Score> {
        block_on(self.train_on_batch_by(x, y, &wait_for_answer))
    }

    /// Mean and variance of the output of every layer for x, [n, input shape]. Dropout is the identity.
    /// Browsers have [`statistics_async`](Self::statistics_async).
    ///
    /// Allocates buffers, unless the last inspection was of as many samples.
    ///
    /// # Errors
    ///
    /// As [`predict_async`](Self::predict_async).
    pub fn statistics(&self, x: &Tensor) -> Result<Vec<LayerStatistics>> {
        block_on(self.measure(x, false, &wait_for_answer))
    }

    /// As [`statistics`](Self::statistics), with the dropout of the next training step. Browsers have
    /// [`statistics_in_training_async`](Self::statistics_in_training_async).
    ///
    /// # Errors
    ///
    /// As [`predict_async`](Self::predict_async).
    pub fn statistics_in_training(&self, x: &Tensor) -> Result<Vec<LayerStatistics>> {
        block_on(self.measure(x, true, &wait_for_answer))
    }
}

impl BatchEnd<'_> {
    /// The mean so far in this epoch; waits for the GPU. Browsers have
    /// [`score_async`](Self::score_async).
    ///
    /// # Errors
    ///
    /// As [`score_async`](Self::score_async).
    pub fn score(&mut self) -> Result<Score> {
        block_on(self.score_by(&wait_for_answer))
    }
}

impl Normalization {
    /// With the mean and the variance of each feature of `data`; waits for the GPU. Browsers have
    /// [`adapt_async`](Self::adapt_async).
    ///
    /// # Errors
    ///
    /// As [`adapt_async`](Self::adapt_async).
    pub fn adapt(data: &Dataset) -> Result<Self> {
        block_on(Self::adapt_by(data, &wait_for_answer))
    }
}

impl Dataset {
    /// A data set of the samples of a tensor, [n, sample shape], where they are: nothing is copied.
    /// Browsers have [`from_tensor_async`](Self::from_tensor_async).
    ///
    /// The data set keeps the buffer alive, also after the tensor is dropped. What it finds in the values
    /// now, for which it waits, is not looked for again: whoever writes to the buffer afterwards trains on
    /// the values that are there when a step runs, in the order of submissions. A NaN or an infinity
    /// then is an [`Error::NotFinite`](crate::Error::NotFinite) of the step, which changes nothing.
    ///
    /// # Errors
    ///
    /// As [`from_tensor_async`](Self::from_tensor_async).
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::{Gpu, nn::Dataset};
    ///
    /// let gpu = Gpu::new()?;
    /// let x = gpu.tensor(&[0.5, 1.0, 2.0, -1.0], [2, 2])?; // or gpu.wrap(my_buffer.slice(..), [2, 2])?
    /// let data = Dataset::from_tensor(&x)?.classes(&[1, 0])?;
    /// assert_eq!((data.len(), data.shape()), (2, &[2][..]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_tensor(x: &Tensor) -> Result<Self> {
        block_on(Self::from_tensor_by(x, &wait_for_answer))
    }

    /// A data set of the samples of x, [n, sample shape], with the targets y, [n, target shape]: as
    /// [`from_tensor`](Self::from_tensor) and [`target_tensor`](Self::target_tensor).
    ///
    /// # Errors
    ///
    /// As these two.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::{Gpu, nn::Dataset};
    ///
    /// let gpu = Gpu::new()?;
    /// let x = gpu.tensor(&[0.0, 1.0, 2.0], [3, 1])?;
    /// let y = x.tanh()?; // computed where it is needed
    /// let data = Dataset::from_tensors(&x, &y)?;
    /// assert_eq!(data.len(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_tensors(x: &Tensor, y: &Tensor) -> Result<Self> {
        Self::from_tensor(x)?.target_tensor(y)
    }

    /// The network's target outputs, of a tensor [n, target shape], where they are: see
    /// [`from_tensor`](Self::from_tensor). Which loss follows from the values is decided now. Browsers have
    /// [`target_tensor_async`](Self::target_tensor_async).
    ///
    /// # Errors
    ///
    /// As [`target_tensor_async`](Self::target_tensor_async).
    pub fn target_tensor(self, y: &Tensor) -> Result<Self> {
        block_on(self.target_tensor_by(y, &wait_for_answer))
    }
}
