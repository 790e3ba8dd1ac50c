//! Networks in the ONNX format, from PyTorch, Keras and scikit-learn, and for everything that runs such files.
//!
//! ```no_run
//! # fn main() -> selfnorm::Result<()> {
//! use selfnorm::{Gpu, nn::onnx};
//!
//! let gpu = Gpu::new()?;
//! let model = onnx::load("model.onnx", &gpu)?;
//! println!("{}", model.summary());
//! model.save_onnx("again.onnx")?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is read
//!
//! Models of one layer after the other, of opset 7 and later, in float32, float16, bfloat16 or float64, which become
//! f32. The layers are Gemm, MatMul, Conv (of images, without groups and dilations), MaxPool, AveragePool,
//! GlobalAveragePool, BatchNormalization, LayerNormalization, the activations of [`Activation`](crate::nn::Activation), softmax
//! over features, and whatever only changes shapes. Products and sums with constants become part of the layer before, or a
//! [`BatchNormalization`](crate::nn::BatchNormalization) that is not trainable. Activations and layer normalizations
//! that an exporter has written out of simpler operators are recognized, and shapes that a graph computes are computed.
//! Dropout is left out.
//!
//! Everything that can't be read is listed at once: `node 5 "conv2" (Conv): group is 4, only 1 is possible here; node 9
//! (Resize): there is no such layer`.
//!
//! - **Images.** In ONNX channels come first, here last. The network of a file whose input is an image `[N, C, H, W]` has an
//!   input of `[H, W, C]`, and an output that is an image has its channels last, too. Weights are transposed once,
//!   among them those of a dense layer behind a flattened image.
//! - **Batches.** The first axis is the batch, of any size, even if the file fixes one. What cuts the rows of
//!   the output in another way, as the last reshape of scikit-learn's regressors of several targets does, is left out.
//! - **Outputs.** A network has one: the only one of floats in the file. Of a classifier of scikit-learn those are the
//!   probabilities; labels are what [`predict_classes`](crate::nn::Sequential::predict_classes) says.
//! - **Metadata.** [`metadata`](crate::nn::Sequential::metadata) has `producer_name`, `producer_version` and the file's own
//!   `metadata_props`, which are written, too.
//! - **Names.** Layers are called as their nodes, if that has no `/`, and else as in Keras.
//!
//! # What is written
//!
//! Every layer, in the oldest opset that has all it needs, 13 as a rule: 17 with layer normalization, 20 with
//! GELU. Shapes are those of the network: images `[N, H, W, C]`. What is not in the file: dropout, regularizers, initializers,
//! what is trainable, optimizer and loss. The padding of pools is there in numbers. The file, read again, is a network
//! with the same weights and predictions, bit for bit.

mod chain;
mod constant;
mod elementwise;
mod model;
mod norm;
mod operators;
mod proto;
mod read;
mod shapes;
mod term;
mod values;
mod windows;
mod write;

#[cfg(not(target_family = "wasm"))]
use std::io::{Read, Seek, SeekFrom};
#[cfg(not(target_family = "wasm"))]
use std::path::{Component, Path};

use super::{BYTES, error};
use crate::gpu::platform;
use crate::nn::Sequential;
use crate::{Gpu, Result};

/// The network of a file, on a device.
///
/// Its predictions are within 10⁻⁵ of those that the file's operators have in f64; where outputs are large, within 10⁻⁵ of
/// their root mean square. Weights that the file has in other files must be in its folder.
///
/// Memory is at most 32 times the sizes of the files, and time in proportion to them.
///
/// # Errors
///
/// [`Error::File`](crate::Error::File) lists everything that can't be read;
/// [`Error::TooLarge`](crate::Error::TooLarge), [`Error::OutOfMemory`](crate::Error::OutOfMemory),
/// [`Error::DeviceLost`](crate::Error::DeviceLost).
#[cfg(not(target_family = "wasm"))]
pub fn load(path: impl AsRef<Path>, gpu: &Gpu) -> Result<Sequential> {
    let path = path.as_ref();
    let (bytes, name) = super::paths::file(path)?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let files = |location: &str, offset, len| {
        external(folder, location, offset, len)
            .map_err(|problem| format!("its external data {location:?}: {problem}"))
    };
    let imported = read::read(&bytes, &files).map_err(|problem| error(&name, problem))?;
    pollster::block_on(imported.build(gpu, &name))
}

/// A part of a file in the folder, and the length of the whole.
#[cfg(not(target_family = "wasm"))]
fn external(
    folder: &Path,
    location: &str,
    offset: u64,
    len: u64,
) -> std::result::Result<(Vec<u8>, u64), String> {
    let location = Path::new(location);
    let is_inside = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    let is_named = |component| matches!(component, Component::Normal(_));
    let folder = folder
        .canonicalize()
        .map_err(|problem| problem.to_string())?;
    if !location.components().all(is_inside) || !location.components().any(is_named) {
        return Err("it must be in the folder of the model".into());
    }
    let path = folder.join(location).canonicalize();
    let path = path.map_err(|problem| problem.to_string())?;
    if !path.starts_with(&folder) {
        return Err("it must be in the folder of the model".into());
    }
    // Opening what is no file, as a pipe, may wait for ever.
    let metadata = std::fs::metadata(&path).map_err(|problem| problem.to_string())?;
    let all = metadata.len();
    if !metadata.is_file() || offset.checked_add(len).is_none_or(|end| end > all) {
        return Err(format!("it has {all} bytes, not {len} from {offset} on"));
    }
    let mut bytes = Vec::new();
    let mut file = std::fs::File::open(path).map_err(|problem| problem.to_string())?;
    file.seek(SeekFrom::Start(offset))
        .map_err(|problem| problem.to_string())?;
    file.take(len)
        .read_to_end(&mut bytes)
        .map_err(|problem| problem.to_string())?;
    Ok((bytes, all))
}

/// The network of a file's bytes, on a device; see [`load`]. Does not block.
///
/// # Errors
///
/// As [`load`], and [`Error::File`](crate::Error::File) if the file has weights in other files.
pub async fn from_bytes(gpu: &Gpu, bytes: &[u8]) -> Result<Sequential> {
    let none = |location: &str, _, _| {
        Err(format!(
            "it has weights in another file, {location:?}, which bytes alone have not; load finds it"
        ))
    };
    let imported = read::read(bytes, &none).map_err(|problem| error(BYTES, problem))?;
    imported.build(gpu, BYTES).await
}

/// A network as an ONNX file: what [`Sequential::save_onnx`] writes. Does not block.
///
/// # Errors
///
/// [`Error::File`](crate::Error::File) if it would be larger than 2 GiB, the most that the format allows;
/// [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
pub async fn to_bytes(model: &Sequential) -> Result<Vec<u8>> {
    write::write(model, BYTES, &platform::wait_aside).await
}

impl Sequential {
    /// Writes the network to an ONNX file, atomically; see [`onnx`](crate::nn::onnx) for what is in it.
    ///
    /// ONNX Runtime's predictions of it are within 10⁻⁵ of this crate's; where outputs are large, within 10⁻⁵ of their root
    /// mean square.
    ///
    /// # Errors
    ///
    /// As [`to_bytes`], and [`Error::File`](crate::Error::File) if it can't be written. The file is then unchanged.
    #[cfg(not(target_family = "wasm"))]
    pub fn save_onnx(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let bytes = write::write(self, &name, &platform::wait_for_answer);
        super::paths::replace(path, &pollster::block_on(bytes)?)
    }
}
