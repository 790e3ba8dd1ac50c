//! Files on disk.

use std::io::{Cursor, Read};
use std::path::Path;

use super::atomic;
use super::contents::Contents;
use super::mapping::{Loaded, Mapping};
use super::safetensors::{File, open, read, read_with, write};
use crate::gpu::platform;
use crate::nn::Sequential;
use crate::{Error, Gpu, Result};

impl Sequential {
    /// Writes the network to a safetensors file, atomically: its weights by their names, and in the file's metadata
    /// the layers, as JSON in the shape of Keras's, the seed, the optimizer with its settings, the loss if it was
    /// named, and [the strings of your own](Self::set_metadata). [`open`](Self::open) needs nothing else.
    ///
    /// ```no_run
    /// # fn main() -> selfnorm::Result<()> {
    /// # use selfnorm::{Gpu, nn::{Dense, Sequential}};
    /// # let gpu = Gpu::new()?;
    /// # let mut model = Sequential::new([4]).add(Dense::new(3)).build(&gpu, 42)?;
    /// model.set_metadata("classes", "setosa,versicolor,virginica")?;
    /// model.save("iris.safetensors")?;
    /// let model = Sequential::open(&gpu, "iris.safetensors")?; // elsewhere
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::OutOfMemory`], [`Error::DeviceLost`]. The file is then unchanged.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        save(self, path.as_ref(), Contents::Model, &Mapping::default())
    }

    /// Writes what [`save`](Self::save) writes, and the state of the training: the optimizer's moments, and the
    /// counts of steps and epochs.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub fn save_checkpoint(&self, path: impl AsRef<Path>) -> Result<()> {
        save(
            self,
            path.as_ref(),
            Contents::Checkpoint,
            &Mapping::default(),
        )
    }

    /// The network that [`save`](Self::save) or [`save_checkpoint`](Self::save_checkpoint) has written, on a device;
    /// see [`from_bytes`](Self::from_bytes).
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes), and [`Error::File`] if the file can't be read.
    pub fn open(gpu: &Gpu, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut file = open_file(path)?;
        pollster::block_on(open(gpu, &path.display().to_string(), &mut file))
    }

    /// Reads the weights of a file into this network, and the strings of its metadata; nothing else changes. The
    /// file is one of [`save`](Self::save), or any safetensors file of exactly this network's names, shapes and
    /// types, such as those that earlier versions wrote.
    ///
    /// A file of `save` must be of a network that computes the same function of its weights:
    /// `dense_1: the file has activation selu, the network relu`. So all layers must be the same, with their
    /// constants, but for what a prediction does not depend on: dropout, `trainable`, initializers, penalties, the momentum of
    /// moving averages, whether an activation is in a layer or behind it, the seed, tiling, optimizer and loss, and
    /// the input's shape as far as the weights allow another.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if it can't be read, or is not such a file; [`Error::OutOfMemory`], [`Error::DeviceLost`].
    /// The network is then unchanged.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        load(self, path.as_ref(), Contents::Model)
    }

    /// Reads what [`save_checkpoint`](Self::save_checkpoint) has written, into a network that is compiled with the
    /// same kind of optimizer (a new network is, with Adam), and that [`load`](Self::load) would take. Seed,
    /// optimizer and loss are then the file's.
    ///
    /// Given the same layers, data and batches, training with [`Fit::default`](crate::nn::Fit::default) continues
    /// from the end of an epoch as if it had never stopped. An epoch that was saved midway is not finished: the
    /// next begins.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_checkpoint(&mut self, path: impl AsRef<Path>) -> Result<()> {
        load(self, path.as_ref(), Contents::Checkpoint)
    }

    /// Reads the weights of a safetensors file from elsewhere, by other names and in other layouts; nothing else
    /// changes. What layers the file's network had, nobody can check.
    ///
    /// ```no_run
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::nn::{Mapping, Origin, Sequential};
    ///
    /// # let gpu = selfnorm::Gpu::new()?;
    /// # let mut model = Sequential::new([4]).build(&gpu, 42)?;
    /// // safetensors.torch.save_file(module.state_dict(), "module.safetensors")
    /// model.load_with("module.safetensors", &Mapping::new(Origin::PyTorch))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load). What a [`partial`](Mapping::partial) mapping can't load is no error, and in the report.
    pub fn load_with(&mut self, path: impl AsRef<Path>, mapping: &Mapping) -> Result<Loaded> {
        let path = path.as_ref();
        let mut file = open_file(path)?;
        let name = path.display().to_string();
        pollster::block_on(read_with(self, &name, &mut file, mapping))
    }

    /// Writes the weights for elsewhere: a file that [`load_with`](Self::load_with) reads with the same mapping. One
    /// of [`Origin::PyTorch`](super::Origin::PyTorch) is the `state_dict` of an `nn.Sequential` with a module for each layer, and one
    /// behind it for the activation of a layer with weights: `load_state_dict` takes it. With
    /// [`Origin::Keras`](super::Origin::Keras) and no renamed layers it is what [`save`](Self::save) writes, in the mapping's type.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save), and [`Error::File`] if there is no layer that is renamed.
    pub fn save_with(&self, path: impl AsRef<Path>, mapping: &Mapping) -> Result<()> {
        save(self, path.as_ref(), Contents::Model, mapping)
    }
}

fn save(model: &Sequential, path: &Path, contents: Contents, mapping: &Mapping) -> Result<()> {
    let name = path.display().to_string();
    let progress = &platform::wait_for_answer;
    let bytes = pollster::block_on(write(model, &name, contents, mapping, progress))?;
    replace(path, &bytes)
}

/// The bytes of a file, and its name in errors.
#[cfg(any(feature = "keras", feature = "onnx"))]
pub(super) fn file(path: &Path) -> Result<(Vec<u8>, String)> {
    let bytes = std::fs::read(path).map_err(|problem| error(path, problem))?;
    Ok((bytes, path.display().to_string()))
}

/// Writes a file, all of it or nothing.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    atomic::write(path, bytes).map_err(|problem| error(path, problem))
}

/// A file of known length; what has none, such as a pipe, is read first.
fn open_file(path: &Path) -> Result<File<Box<dyn Read>>> {
    let open = || {
        let mut file = std::fs::File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_file() {
            return Ok(File::new(Box::new(file) as Box<dyn Read>, metadata.len()));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let len = bytes.len() as u64;
        Ok(File::new(
            Box::new(Cursor::new(bytes)) as Box<dyn Read>,
            len,
        ))
    };
    open().map_err(|problem| error(path, problem))
}

fn load(model: &mut Sequential, path: &Path, contents: Contents) -> Result<()> {
    let mut file = open_file(path)?;
    let name = path.display().to_string();
    pollster::block_on(read(model, &name, &mut file, Some(contents)))
}

fn error(path: &Path, problem: std::io::Error) -> Error {
    Error::File {
        path: path.display().to_string(),
        detail: problem.to_string(),
    }
}
