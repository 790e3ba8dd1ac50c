//! The blocking drivers of training and evaluation.

use std::ops::ControlFlow;

use super::fit::Fit;
use super::run::Progress;
use super::score::{History, Score};
use crate::Result;
use crate::gpu::platform;
use crate::nn::{Data, Dataset, Sequential};

impl Sequential {
    /// Trains on `data`: a [`Dataset`], or `&mut` [`Batches`](crate::nn::Batches) from the host.
    ///
    /// # Errors
    ///
    /// As [`train`](Self::train) and [`Run::next`](super::Run::next).
    pub fn fit<'a>(&'a mut self, data: impl Into<Data<'a>>, fit: &Fit) -> Result<History> {
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
        fit: &Fit,
        mut callback: impl FnMut(Progress) -> Result<ControlFlow<()>>,
    ) -> Result<History> {
        let mut run = self.train(data, fit)?;
        while let Some(progress) = pollster::block_on(run.next_by(&platform::wait_for_answer))? {
            if callback(progress)?.is_break() {
                run.stop();
            }
        }
        Ok(run.finish())
    }

    /// The score on `data`. Dropout is the identity.
    ///
    /// # Errors
    ///
    /// As [`train`](Self::train); [`Error::Data`](crate::Error::Data) if all targets are void. A NaN
    /// is a loss like any other here.
    pub fn evaluate(&self, data: &Dataset) -> Result<Score> {
        pollster::block_on(self.evaluate_by(data, &platform::wait_for_answer))
    }
}
