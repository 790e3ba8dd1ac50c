//! Files as bytes, where there are no others.

use super::safetensors::{Contents, open, read, write};
use crate::gpu::platform;
use crate::nn::Sequential;
use crate::{Gpu, Result};

/// The name of bytes in errors.
const BYTES: &str = "the bytes";

impl Sequential {
    /// The weights as a safetensors file, by their names: what `save` writes. Does not block.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # pollster::block_on(async {
    /// use selfnorm::nn::{Dense, Sequential};
    ///
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let layers = Sequential::new([4]).add(Dense::new(3));
    /// let bytes = layers.build(&gpu, 42)?.weights_to_bytes().await?;
    /// let mut model = layers.build(&gpu, 43)?;
    /// model.weights_from_bytes(&bytes).await?;
    /// assert_eq!(model.weights_to_bytes().await?, bytes);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub async fn weights_to_bytes(&self) -> Result<Vec<u8>> {
        write(self, BYTES, Contents::Weights, &platform::wait_aside).await
    }

    /// Reads the weights of a safetensors file: what `load` reads. Does not block.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File) if it is not a safetensors file of exactly this network's names, shapes and types, as a checkpoint and a
    /// whole model are not;
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost). The network is then unchanged.
    pub async fn weights_from_bytes(&mut self, mut bytes: &[u8]) -> Result<()> {
        read(self, BYTES, &mut bytes, Contents::Weights).await
    }

    /// Everything needed to continue training, as a file: what `save_checkpoint` writes. Does not
    /// block.
    ///
    /// # Errors
    ///
    /// As [`weights_to_bytes`](Self::weights_to_bytes).
    pub async fn checkpoint_to_bytes(&self) -> Result<Vec<u8>> {
        write(self, BYTES, Contents::Checkpoint, &platform::wait_aside).await
    }

    /// Reads a checkpoint: what `load_checkpoint` reads. Does not block.
    ///
    /// # Errors
    ///
    /// As [`weights_from_bytes`](Self::weights_from_bytes).
    pub async fn checkpoint_from_bytes(&mut self, mut bytes: &[u8]) -> Result<()> {
        read(self, BYTES, &mut bytes, Contents::Checkpoint).await
    }

    /// The whole model as a safetensors file: its layers as JSON in the shape of Keras's, with everything
    /// that a checkpoint has. What `save_model` writes. Does not block.
    ///
    /// The bytes need nothing else to be a network again, with the same predictions and the same further
    /// training, bit for bit. The optimizer's state takes as much as the weights, for each of its moments; a
    /// network that has not been trained has none, nor after [`reset_optimizer`](Self::reset_optimizer).
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # pollster::block_on(async {
    /// use selfnorm::nn::{Activation::Selu, AlphaDropout, Dense, Sequential};
    ///
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let model = Sequential::new([4])
    ///     .add(Dense::new(8).activation(Selu))
    ///     .add(AlphaDropout::new(0.1))
    ///     .add(Dense::new(3))
    ///     .build(&gpu, 42)?;
    /// let bytes = model.to_bytes().await?;
    /// let again = Sequential::from_bytes(&gpu, &bytes).await?;
    /// let x = gpu.tensor(&[0.5; 8], [2, 4])?;
    /// let [y, z] = [model.predict_async(&x).await?, again.predict_async(&x).await?];
    /// assert_eq!(y.read().await?, z.read().await?);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File) if the learning rate is a function, [`LearningRate::custom`](crate::nn::LearningRate::custom), which a file can't hold;
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub async fn to_bytes(&self) -> Result<Vec<u8>> {
        write(self, BYTES, Contents::Model, &platform::wait_aside).await
    }

    /// The network of [`to_bytes`](Self::to_bytes), on a device: what `load_model` reads. Does not block.
    ///
    /// Everything is checked against the file before anything is allocated on the device, so memory and time
    /// are bounded by the file's size.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File) if it is not such a file; it lists all layers and options that this version does not
    /// have, with their places. [`Error::TooLarge`](crate::Error::TooLarge) if the device can't bind the weights;
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub async fn from_bytes(gpu: &Gpu, mut bytes: &[u8]) -> Result<Self> {
        open(gpu, BYTES, &mut bytes).await
    }
}
