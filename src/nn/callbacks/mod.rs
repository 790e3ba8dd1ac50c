//! What may happen between the steps of a training, with Keras's names.

mod csv_logger;
mod early_stopping;
#[cfg(not(target_family = "wasm"))]
mod model_checkpoint;
mod monitor;
#[cfg(all(feature = "progress-bar", not(target_family = "wasm")))]
mod progress_bar;
mod reduce_lr_on_plateau;

use std::ops::ControlFlow;

pub use csv_logger::CsvLogger;
pub use early_stopping::EarlyStopping;
#[cfg(not(target_family = "wasm"))]
pub use model_checkpoint::ModelCheckpoint;
pub use monitor::Monitor;
#[cfg(all(feature = "progress-bar", not(target_family = "wasm")))]
pub use progress_bar::ProgressBar;
pub use reduce_lr_on_plateau::ReduceLrOnPlateau;

use super::training::{BatchEnd, EpochEnd, Progress};
use crate::Result;

/// What is called after each step and each epoch of a training, and may end it with
/// [`ControlFlow::Break`].
///
/// ```
/// # fn main() -> selfnorm::Result<()> {
/// # let gpu = selfnorm::Gpu::new()?;
/// use selfnorm::nn::{Activation::Softmax, Dataset, Dense, EarlyStopping, Fit, ReduceLrOnPlateau, Sequential};
///
/// # let data = Dataset::from_floats(&gpu, &[0.0, 1.0, 1.0, 0.0], [2])?.classes(&[0, 1])?;
/// let mut model = Sequential::new([2]).add(Dense::new(2).activation(Softmax)).build(&gpu, 42)?;
/// let mut stopping = EarlyStopping::new().patience(20).restore_best_weights(true);
/// let mut plateau = ReduceLrOnPlateau::new();
/// let fit = Fit::default().epochs(50).validation_data(&data);
/// model.fit_with(&data, &fit, |mut progress| progress.notify(&mut [&mut stopping, &mut plateau]))?;
///
/// // Where nothing may wait, such as in a browser:
/// # pollster::block_on(async {
/// let mut run = model.train(&data, &fit)?;
/// while let Some(mut progress) = run.next().await? {
///     if progress.notify(&mut [&mut EarlyStopping::new()])?.is_break() {
///         run.stop();
///     }
/// }
/// # Ok(())
/// # })
/// # }
/// ```
pub trait Callback {
    /// After a step. By default it does nothing.
    ///
    /// # Errors
    ///
    /// Those of the callback; they end the training.
    fn on_batch_end(&mut self, end: &mut BatchEnd) -> Result<ControlFlow<()>> {
        let _ = end;
        Ok(ControlFlow::Continue(()))
    }

    /// After an epoch. By default it does nothing.
    ///
    /// # Errors
    ///
    /// Those of the callback; they end the training.
    fn on_epoch_end(&mut self, end: &mut EpochEnd) -> Result<ControlFlow<()>> {
        let _ = end;
        Ok(ControlFlow::Continue(()))
    }

    /// After the last epoch, or when a callback ends the training, but not after an error: what is open can be closed.
    /// By default it does nothing.
    ///
    /// # Errors
    ///
    /// Those of the callback; they end the training.
    fn on_train_end(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Progress<'_> {
    /// Calls all of the callbacks, in order, and breaks if one of them does. With the last epoch or a break comes
    /// each [`on_train_end`](Callback::on_train_end).
    ///
    /// # Errors
    ///
    /// The first error of a callback; those after it are not called.
    pub fn notify(&mut self, callbacks: &mut [&mut dyn Callback]) -> Result<ControlFlow<()>> {
        let mut flow = ControlFlow::Continue(());
        for callback in callbacks.iter_mut() {
            let wish = match self {
                Self::Batch(end) => callback.on_batch_end(end)?,
                Self::Epoch(end) => callback.on_epoch_end(end)?,
            };
            if wish.is_break() {
                flow = wish;
            }
        }
        let is_last = matches!(self, Self::Epoch(end) if end.epoch == end.epochs);
        if is_last || flow.is_break() {
            for callback in callbacks {
                callback.on_train_end()?;
            }
        }
        Ok(flow)
    }
}

#[cfg(test)]
mod tests;
