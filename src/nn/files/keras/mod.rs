//! Models of Keras, as files: `.keras` of Keras 3, whole `.h5` models of Keras 2 and 3, and `.weights.h5` of both.
//!
//! ```no_run
//! # fn main() -> selfnorm::Result<()> {
//! use selfnorm::{Gpu, nn::keras};
//!
//! let gpu = Gpu::new()?;
//! let mut model = keras::load("model.keras", &gpu)?; // model.save("model.keras") there
//! # let (x, y) = (gpu.tensor(&[0.5; 8], [2, 4])?, gpu.tensor(&[0.0; 2], [2, 1])?);
//! model.train_on_batch(&x, &y)?; // goes on where Keras has stopped
//! model.save_keras("more.keras")?; // keras.models.load_model("more.keras")
//! # Ok(())
//! # }
//! ```
//!
//! # What is read
//!
//! A `Sequential` model, or a functional one in which each layer's output is the input of one other, and such models
//! within one another, which become one network. All layers and activations that this crate has are read, however
//! Keras 2 and Keras 3 write them, a `ZeroPadding2D` before a valid `Conv2D`, of less than its window, as
//! [`Padding::Explicit`](crate::nn::Padding::Explicit), `SpatialDropout2D` as [`Dropout`](crate::nn::Dropout). Everything
//! else is an error, which lists all of it with its places: other layers and functions, custom classes, a layer that
//! is called twice, constraints, penalties of biases. (A legacy `.h5` file does not say of a class whose it is, and of a loss
//! that is a function no file does: they go by their names, as in Keras.)
//!
//! Predictions are within 10⁻⁵ of what Keras predicts in float64, of the root mean square of the outputs if that is
//! above 1. Weights and computations of another type (`float16`, `bfloat16`, `float64`, mixed) are f32 here.
//!
//! [`metadata`](crate::nn::Sequential::metadata) has `keras_version` and `date_saved`, if the file has.
//!
//! What means nothing for a network that is trained already is left out: seeds, and initializers that this crate
//! does not have. (The default stands for them.) So is `training=False` of a call.
//!
//! # Training that goes on
//!
//! Of a compiled model, optimizer, schedule, loss, moments and the number of steps are read if this crate has them:
//! Adam, AdamW and SGD, with [`CosineDecay`](crate::nn::CosineDecay), [`ExponentialDecay`](crate::nn::ExponentialDecay) or
//! [`PiecewiseConstantDecay`](crate::nn::PiecewiseConstantDecay). The weights after ten more steps are within 10⁻⁵ of
//! Keras's in float64. Otherwise the model is loaded as one that has not been trained, and
//! [`metadata`](crate::nn::Sequential::metadata) says why under `keras_training`: another optimizer or loss, `amsgrad`,
//! moving averages of weights, accumulated gradients, the scaling of losses in mixed precision. Metrics and seeds of
//! dropout are not read: masks are this crate's. Keras 3 saves neither which variables an optimizer
//! excludes from decay nor the δ of a `Huber` loss: there are none, and it is 1, as when Keras loads the file.
//!
//! # What is written
//!
//! `.keras`, as of a `Sequential` model of Keras 3, with the state of the optimizer if the network has been trained.
//! Keras's predictions are within 10⁻⁶ of the network's, of the root mean square of the outputs if that is above 1.
//! A categorical cross-entropy is written as `CategoricalCrossentropy`: compile it again for class numbers. Neither
//! [`metadata`](crate::nn::Sequential::metadata) nor the seed nor the number of epochs is in the file.

mod archive;
mod config;
mod hdf5;
mod training;
mod weights;
mod write;

use std::collections::BTreeMap;
#[cfg(not(target_family = "wasm"))]
use std::path::Path;

use serde_json::Value;

use self::hdf5::Group;
use super::contents::{Placed, put};
use super::imported::{Imported, Values};
use super::{BYTES, error, scan};
use crate::gpu::platform;
use crate::nn::Sequential;
use crate::nn::layers::Kind;
use crate::{Gpu, Result};

const CONFIG: &str = "config.json";
const METADATA: &str = "metadata.json";
const WEIGHTS: &str = "model.weights.h5";

/// Why a network's training does not go on.
const TRAINING: &str = "keras_training";

/// What is wrong with a file.
type Outcome<T> = std::result::Result<T, String>;

/// The model of a `.keras` file, or of a legacy `.h5` file of a whole model; see [`from_bytes`].
///
/// # Errors
///
/// As [`from_bytes`], and [`Error::File`](crate::Error::File) if the file can't be read.
#[cfg(not(target_family = "wasm"))]
pub fn load(path: impl AsRef<Path>, gpu: &Gpu) -> Result<Sequential> {
    let (bytes, name) = super::paths::file(path.as_ref())?;
    pollster::block_on(open(gpu, &name, &bytes))
}

/// The model of the bytes of a `.keras` file, or of a legacy `.h5` file of a whole model. Does not block.
///
/// Everything is checked against the file before anything is allocated on the device, so memory and time are bounded
/// by the file's size. Nothing outside of it is read, and nothing in it is run.
///
/// # Errors
///
/// [`Error::File`](crate::Error::File) if it is not such a file; it lists all layers and options that this version
/// does not have, with their places. [`Error::TooLarge`](crate::Error::TooLarge) if the device can't bind the
/// weights; [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
pub async fn from_bytes(gpu: &Gpu, bytes: &[u8]) -> Result<Sequential> {
    open(gpu, BYTES, bytes).await
}

/// The network as a `.keras` file: what [`save_keras`](Sequential::save_keras) writes. Does not block.
///
/// # Errors
///
/// [`Error::File`](crate::Error::File) lists all that Keras does not have: [`Activation::Sine`], other constants of
/// SELU, the approximate GELU, explicit padding of pools, the fixed point of an alpha dropout, a learning rate that
/// is a function. [`Error::OutOfMemory`](crate::Error::OutOfMemory), [`Error::DeviceLost`](crate::Error::DeviceLost).
///
/// [`Activation::Sine`]: crate::nn::Activation::Sine
pub async fn to_bytes(model: &Sequential) -> Result<Vec<u8>> {
    write::write(model, BYTES, &platform::wait_aside).await
}

impl Sequential {
    /// Writes the network to a `.keras` file, atomically: layers, weights, and, if it has been trained, what training
    /// goes on from. `keras.models.load_model` of Keras 3 needs nothing else. See [`nn::keras`](self).
    ///
    /// # Errors
    ///
    /// As [`keras::to_bytes`](to_bytes), and [`Error::File`](crate::Error::File) if it can't be written, or has a name that
    /// ends in `.h5`, by which Keras expects another format. The file is then unchanged.
    #[cfg(not(target_family = "wasm"))]
    pub fn save_keras(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let is_legacy = |extension: &std::ffi::OsStr| extension == "h5" || extension == "hdf5";
        if path.extension().is_some_and(is_legacy) {
            return Err(error(
                &name,
                "what is written is no HDF5; give it a name that ends in .keras",
            ));
        }
        let bytes = pollster::block_on(write::write(self, &name, &platform::wait_for_answer))?;
        super::paths::replace(path, &bytes)
    }

    /// Reads the weights of a file of Keras's into this network; nothing else changes. The file is what
    /// `model.save_weights("x.weights.h5")` has written, in Keras 2 or 3, or that of a whole model.
    ///
    /// As in Keras, layers go by their classes and order, whatever their names. All of the network's weights must be
    /// there, with their shapes.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File), [`Error::OutOfMemory`](crate::Error::OutOfMemory),
    /// [`Error::DeviceLost`](crate::Error::DeviceLost). The network is then unchanged.
    #[cfg(not(target_family = "wasm"))]
    pub fn load_keras_weights(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let (bytes, name) = super::paths::file(path.as_ref())?;
        pollster::block_on(load_weights(self, &name, &bytes))
    }

    /// Reads the weights of the bytes of a file of Keras's, as `load_keras_weights` does. Does not block.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::Error::File), [`Error::OutOfMemory`](crate::Error::OutOfMemory),
    /// [`Error::DeviceLost`](crate::Error::DeviceLost). The network is then unchanged.
    pub async fn load_keras_weights_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        load_weights(self, BYTES, bytes).await
    }
}

/// The parts of a file.
struct Parts<'a> {
    /// The model, and where it is in the file.
    model: Option<(Value, &'static str)>,
    compiled: Option<Value>,
    weights: Group<'a>,
    /// The version of Keras that wrote it, and when.
    provenance: BTreeMap<String, String>,
}

const PROVENANCE: [&str; 2] = ["keras_version", "date_saved"];

fn parts(bytes: &[u8]) -> Outcome<Parts<'_>> {
    if bytes.starts_with(archive::SIGNATURE) {
        let [config, metadata, weights] = archive::read(bytes, [CONFIG, METADATA, WEIGHTS])?;
        let config = config.ok_or_else(|| format!("it has no {CONFIG}"))?;
        let config =
            std::str::from_utf8(config).map_err(|problem| format!("{CONFIG}: {problem}"))?;
        let mut model = json(config, CONFIG)?;
        let weights = weights.ok_or_else(|| format!("it has no {WEIGHTS}"))?;
        let weights = Group::open(weights).map_err(|problem| format!("{WEIGHTS}: {problem}"))?;
        let compiled = model.get_mut("compile_config").map(Value::take);
        let metadata = metadata.and_then(|metadata| std::str::from_utf8(metadata).ok());
        let metadata = metadata.and_then(|metadata| json(metadata, METADATA).ok());
        let metadata = metadata.unwrap_or_default();
        return Ok(Parts {
            model: Some((model, CONFIG)),
            compiled,
            weights,
            provenance: provenance(|key| metadata[key].as_str()),
        });
    }
    if !bytes.starts_with(hdf5::SIGNATURE) {
        return Err(
            "neither a .keras nor an .h5 file: its first bytes are of no zip or HDF5 file".into(),
        );
    }
    let weights = Group::open(bytes)?;
    let attribute = |key| match weights.attributes.get(key) {
        None => Ok(None),
        Some(value) => {
            let text = value.text().ok_or_else(|| format!("{key} is no text"))?;
            json(text, key).map(Some)
        }
    };
    Ok(Parts {
        model: attribute(MODEL_CONFIG)?.map(|model| (model, MODEL_CONFIG)),
        compiled: attribute("training_config")?,
        provenance: provenance(|key| weights.attributes.get(key)?.text()),
        weights,
    })
}

fn provenance<'a>(find: impl Fn(&str) -> Option<&'a str>) -> BTreeMap<String, String> {
    let entry = |key: &str| Some((key.to_owned(), find(key)?.to_owned()));
    PROVENANCE.into_iter().filter_map(entry).collect()
}

const MODEL_CONFIG: &str = "model_config";

fn json(text: &str, name: &str) -> Outcome<Value> {
    let parsed = scan::check(text).and_then(|()| {
        let value = serde_json::from_str(text);
        value.map_err(|problem| problem.to_string())
    });
    parsed.map_err(|problem| format!("{name}: {problem}"))
}

async fn open(gpu: &Gpu, name: &str, bytes: &[u8]) -> Result<Sequential> {
    let imported = import(bytes).map_err(|problem| error(name, problem))?;
    imported.build(gpu, name).await
}

/// The network of a file.
fn import(bytes: &[u8]) -> Outcome<Imported> {
    let parts = parts(bytes)?;
    let mut metadata = parts.provenance;
    let (model, at) = parts.model.ok_or_else(|| {
        format!("it has weights and no layers, which are its {MODEL_CONFIG}; build the network, then load_keras_weights")
    })?;
    let config::Model { builder, places } = config::read(model, at, bytes.len())?;
    let not_one = |problem| format!("not a network that can be built: {problem}");
    let network = builder.network().map_err(not_one)?;
    let mut given = Values::new();
    for (layer, built) in builder.layers.iter().zip(&network.layers) {
        if let Kind::Normalization(Some(moments)) = &layer.kind {
            let names = built.weights.iter().map(|weight| weight.name.clone());
            given.extend(names.zip(moments.clone()));
        }
    }
    let mut weights = weights::read(&parts.weights, &network, &places, &given)?;
    weights.extend(given);
    let compiled = parts.compiled.filter(|compiled| {
        let is_empty = compiled
            .as_object()
            .is_some_and(|compiled| compiled.is_empty());
        !compiled.is_null() && !is_empty
    });
    let training = compiled.map(|compiled| {
        let compiled = training::read(&compiled, &network)?;
        weights::training(
            &parts.weights,
            &network,
            compiled.optimizer,
            compiled.loss,
            compiled.is_older,
        )
    });
    let training = training.transpose().unwrap_or_else(|why| {
        metadata.insert(TRAINING.into(), format!("does not go on: {why}"));
        None
    });
    Ok(Imported {
        builder,
        weights,
        training,
        metadata,
    })
}

async fn load_weights(model: &mut Sequential, name: &str, bytes: &[u8]) -> Result<()> {
    let placed = place(model, bytes).map_err(|problem| error(name, problem))?;
    put(model, placed, None).await
}

/// The values of a network's weights in a file.
fn place(model: &Sequential, bytes: &[u8]) -> Outcome<Vec<Placed>> {
    let weights = match bytes.starts_with(archive::SIGNATURE) {
        true => {
            let [weights] = archive::read(bytes, [WEIGHTS])?;
            weights.ok_or_else(|| format!("it has no {WEIGHTS}"))?
        }
        false => bytes,
    };
    let file = Group::open(weights)?;
    let places = config::places(&model.builder.layers);
    let mut values = weights::read(&file, &model.network, &places, &Values::new())?;
    let weights = model.network.weights();
    Ok(weights
        .filter_map(|weight| {
            Some(Placed {
                slot: None,
                start: weight.offset,
                values: values.remove(&weight.name)?,
            })
        })
        .collect())
}
