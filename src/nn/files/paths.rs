//! Files on disk.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::safetensors::{Contents, open, read, write};
use crate::gpu::platform;
use crate::nn::Sequential;
use crate::{Error, Gpu, Result};

impl Sequential {
    /// Writes the weights to a safetensors file, by their names, atomically.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::OutOfMemory`], [`Error::DeviceLost`]. The file is then unchanged.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        save(self, path.as_ref(), Contents::Weights)
    }

    /// Reads the weights of a safetensors file.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if it can't be read, or is not a safetensors file of exactly this network's
    /// names, shapes and types, as a checkpoint and a whole model are not; [`Error::OutOfMemory`],
    /// [`Error::DeviceLost`]. The network is then unchanged.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        load(self, path.as_ref(), Contents::Weights)
    }

    /// Writes everything needed to continue training: the weights, the optimizer with its state, the
    /// loss if it was named, the counts of steps and epochs, and the seed.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub fn save_checkpoint(&self, path: impl AsRef<Path>) -> Result<()> {
        save(self, path.as_ref(), Contents::Checkpoint)
    }

    /// Reads what [`save_checkpoint`](Self::save_checkpoint) or [`save_model`](Self::save_model) has
    /// written, into a network that is compiled with the same kind of optimizer (a new network is, with
    /// Adam). Given the same data and
    /// batches, training with [`Fit::default`](crate::nn::Fit::default) continues from the end of an
    /// epoch as if it had never stopped. An epoch that was saved midway is not finished: the next
    /// begins.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_checkpoint(&mut self, path: impl AsRef<Path>) -> Result<()> {
        load(self, path.as_ref(), Contents::Checkpoint)
    }

    /// Writes the whole model, from which [`load_model`](Self::load_model) makes it again: its layers, its
    /// weights, and what a checkpoint has; see [`to_bytes`](Self::to_bytes). Atomically.
    ///
    /// ```no_run
    /// # fn main() -> selfnorm::Result<()> {
    /// # use selfnorm::{Gpu, nn::{Dense, Sequential}};
    /// # let gpu = Gpu::new()?;
    /// # let model = Sequential::new([4]).add(Dense::new(3)).build(&gpu, 42)?;
    /// model.save_model("model.safetensors")?;
    /// let model = Sequential::load_model(&gpu, "model.safetensors")?; // elsewhere
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`to_bytes`](Self::to_bytes), and [`Error::File`] if it can't be written. The file is then
    /// unchanged.
    pub fn save_model(&self, path: impl AsRef<Path>) -> Result<()> {
        save(self, path.as_ref(), Contents::Model)
    }

    /// The network that [`save_model`](Self::save_model) has written, on a device.
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes), and [`Error::File`] if the file can't be read.
    pub fn load_model(gpu: &Gpu, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut file = File::open(path).map_err(|problem| error(path, problem))?;
        pollster::block_on(open(gpu, &path.display().to_string(), &mut file))
    }
}

fn save(model: &Sequential, path: &Path, contents: Contents) -> Result<()> {
    let name = path.display().to_string();
    let progress = &platform::wait_for_answer;
    let bytes = pollster::block_on(write(model, &name, contents, progress))?;
    write_atomically(path, &bytes).map_err(|problem| error(path, problem))
}

fn load(model: &mut Sequential, path: &Path, contents: Contents) -> Result<()> {
    let mut file = File::open(path).map_err(|problem| error(path, problem))?;
    let name = path.display().to_string();
    pollster::block_on(read(model, &name, &mut file, contents))
}

fn error(path: &Path, problem: std::io::Error) -> Error {
    Error::File {
        path: path.display().to_string(),
        detail: problem.to_string(),
    }
}

/// Writes a file of another name and renames it when complete.
fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    // The permissions of any other file; by default only the owner can read a temporary one.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
