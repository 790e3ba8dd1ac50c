//! The metadata of a safetensors file, which are strings by name: this crate's, and the user's own.

use std::collections::BTreeMap;

use crate::nn::Sequential;
use crate::{Error, Result};

/// The layers, as Keras's HDF5 files call them.
pub(super) const MODEL_CONFIG: &str = "model_config";
pub(super) const SEED: &str = "seed";
pub(super) const OPTIMIZER: &str = "optimizer";
/// Unless it follows from the data.
pub(super) const LOSS: &str = "loss";
pub(super) const STEP: &str = "step";
pub(super) const EPOCH: &str = "epoch";
/// The step that the optimizer's state begins at.
pub(super) const OPTIMIZED_FROM: &str = "optimized_from";

/// The loss scale of a training in 16-bit floats, and the steps since it changed.
pub(super) const LOSS_SCALE: &str = "loss_scale";
pub(super) const LOSS_SCALE_STEPS: &str = "loss_scale_steps";

/// The state of a training.
pub(super) const STATE: [&str; 3] = [STEP, EPOCH, OPTIMIZED_FROM];

const OWN: [&str; 9] = [
    MODEL_CONFIG,
    SEED,
    OPTIMIZER,
    LOSS,
    STEP,
    EPOCH,
    OPTIMIZED_FROM,
    LOSS_SCALE,
    LOSS_SCALE_STEPS,
];

/// Whether a key is the user's to choose.
pub(super) fn is_users(key: &str) -> bool {
    !OWN.contains(&key)
}

impl Sequential {
    /// The strings that are saved with the network: those of [`set_metadata`](Self::set_metadata), and those of
    /// the file that it comes from.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Sets a string that is saved with the network, such as the names of its classes. It is an entry of the
    /// safetensors file's metadata, where other programs find it, too.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # pollster::block_on(async {
    /// # use selfnorm::{Gpu, nn::{Dense, Sequential}};
    /// # let gpu = Gpu::new()?;
    /// let mut model = Sequential::new([4]).add(Dense::new(2)).build(&gpu, 42)?;
    /// model.set_metadata("classes", "cat,dog")?;
    /// let again = Sequential::from_bytes(&gpu, &model.to_bytes().await?).await?;
    /// assert_eq!(again.metadata()["classes"], "cat,dog");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Data`] for the keys that are the file's own: `model_config`, `seed`, `optimizer`, `loss`, `step`,
    /// `epoch`, `optimized_from`.
    pub fn set_metadata(&mut self, key: impl Into<String>, value: impl Into<String>) -> Result<()> {
        let key = key.into();
        if !is_users(&key) {
            return Err(Error::Data {
                op: "set_metadata",
                detail: format!(
                    "{key:?} is the file's own, as {} are; take another",
                    OWN.join(", ")
                ),
            });
        }
        self.metadata.insert(key, value.into());
        Ok(())
    }
}
