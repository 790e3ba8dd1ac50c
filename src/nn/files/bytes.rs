//! Files as bytes, where there are no others.

use super::BYTES;
use super::contents::Contents;
use super::mapping::{Loaded, Mapping};
use super::safetensors::{File, open, read, read_with, write};
use crate::gpu::platform;
use crate::nn::Sequential;
use crate::{Gpu, Result};

fn file(bytes: &[u8]) -> File<&[u8]> {
    File::new(bytes, bytes.len() as u64)
}

impl Sequential {
    /// The network with the state of its training, as a safetensors file: what `save_checkpoint` writes. Does not
    /// block.
    ///
    /// The bytes need nothing else to be a network again, with the same predictions and the same further training,
    /// bit for bit. The same network is the same bytes.
    ///
    /// The optimizer's state takes as much as the weights, for each of its moments. There is none of a network that
    /// has not been trained, nor after [`reset_optimizer`](Self::reset_optimizer).
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
    /// [`Error::File`](crate::Error::File) if layers and metadata are more than the 100 MB that the format allows;
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub async fn to_bytes(&self) -> Result<Vec<u8>> {
        let as_here = Mapping::default();
        write(
            self,
            BYTES,
            Contents::Checkpoint,
            &as_here,
            &platform::wait_aside,
        )
        .await
    }

    /// The weights as a safetensors file, by the names, in the layouts and of the type that a mapping says: what
    /// `save_with` writes. Does not block.
    ///
    /// # Errors
    ///
    /// As [`to_bytes`](Self::to_bytes), and [`Error::File`](crate::Error::File) if there is no layer that is renamed.
    pub async fn to_bytes_with(&self, mapping: &Mapping) -> Result<Vec<u8>> {
        write(self, BYTES, Contents::Model, mapping, &platform::wait_aside).await
    }

    /// The network of a file, on a device: what `open` reads. Does not block.
    ///
    /// A checkpoint, which [`to_bytes`](Self::to_bytes) writes, goes on training as the network did that wrote it.
    /// From a file of `save` training begins anew, with the same seed, optimizer and loss. A learning rate that was
    /// a function is in no file: [`set_learning_rate`](Self::set_learning_rate) before you train.
    ///
    /// Everything is checked against the file before anything is allocated on the device, so memory and time
    /// are bounded by the file's size.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File) if it is not such a file, such as one of weights alone; it lists all layers
    /// and options that this version does not have, with their places.
    /// [`Error::TooLarge`](crate::Error::TooLarge) if the device can't bind the weights;
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
    pub async fn from_bytes(gpu: &Gpu, bytes: &[u8]) -> Result<Self> {
        open(gpu, BYTES, &mut file(bytes)).await
    }

    /// Reads a file into this network: a checkpoint as `load_checkpoint` does, any other as `load`. Does not block.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File) if it is not a safetensors file of this network, or a checkpoint of another
    /// kind of optimizer; [`Error::OutOfMemory`](crate::Error::OutOfMemory),
    /// [`Error::DeviceLost`](crate::Error::DeviceLost). The network is then unchanged.
    pub async fn load_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        read(self, BYTES, &mut file(bytes), None).await
    }

    /// Reads the weights of a safetensors file from elsewhere, as `load_with` does. Does not block.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File), [`Error::OutOfMemory`](crate::Error::OutOfMemory),
    /// [`Error::DeviceLost`](crate::Error::DeviceLost). The network is then unchanged.
    pub async fn load_bytes_with(&mut self, bytes: &[u8], mapping: &Mapping) -> Result<Loaded> {
        read_with(self, BYTES, &mut file(bytes), mapping).await
    }
}
