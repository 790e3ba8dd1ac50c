//! Files of models, by their names.

use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use safetensors::tensor::Metadata;
use selfnorm::Gpu;
use selfnorm::nn::{Mapping, Sequential, keras, onnx};

use crate::Result;

enum Format {
    Keras,
    LegacyKeras,
    Onnx,
    Safetensors,
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        match &extension.to_lowercase()[..] {
            "keras" => Ok(Self::Keras),
            "h5" | "hdf5" => Ok(Self::LegacyKeras),
            "onnx" => Ok(Self::Onnx),
            "safetensors" => Ok(Self::Safetensors),
            _ => Err(format!(
                "{}: not the name of a model, which ends in .keras, .h5, .onnx or .safetensors",
                path.display()
            )
            .into()),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Keras => "Keras",
            Self::LegacyKeras => "Keras, HDF5",
            Self::Onnx => "ONNX",
            Self::Safetensors => "safetensors",
        }
    }
}

/// The model of a file.
pub fn open(gpu: &Gpu, path: &Path) -> Result<Sequential> {
    Ok(match Format::of(path)? {
        Format::Keras | Format::LegacyKeras => keras::load(path, gpu)?,
        Format::Onnx => onnx::load(path, gpu)?,
        Format::Safetensors => Sequential::open(gpu, path)?,
    })
}

/// An error if there is no such file to be written.
pub fn check_target(path: &Path, mapping: Option<&Mapping>) -> Result<()> {
    match (Format::of(path)?, mapping) {
        (Format::Safetensors, _) | (Format::Keras | Format::Onnx, None) => Ok(()),
        (Format::LegacyKeras, _) => Err("an .h5 is read only; write a .keras".into()),
        (_, Some(_)) => Err("--dtype and --pytorch are for .safetensors".into()),
    }
}

/// Writes a model, with the state of its training where the format has one.
pub fn save(model: &Sequential, path: &Path, mapping: Option<&Mapping>) -> Result<()> {
    match (Format::of(path)?, mapping) {
        (Format::Onnx, _) => model.save_onnx(path)?,
        (Format::Safetensors, Some(mapping)) => model.save_with(path, mapping)?,
        (Format::Safetensors, None) => model.save_checkpoint(path)?,
        _ => model.save_keras(path)?,
    }
    Ok(())
}

/// What is in a file.
pub fn inspect(path: &Path) -> Result<String> {
    let format = Format::of(path)?;
    let bytes = std::fs::metadata(path)
        .map_err(|problem| format!("{}: {problem}", path.display()))?
        .len();
    let mut text = format!("{}: {}, {bytes} bytes\n", path.display(), format.name());
    if let Format::Safetensors = format
        && let Some(tensors) = tensors(path)?
    {
        return Ok(text + &tensors);
    }
    let model = open(&Gpu::new()?, path)?;
    for (key, value) in model.metadata() {
        writeln!(text, "{key}: {value}")?;
    }
    if model.step() > 0 {
        writeln!(
            text,
            "trained for {} steps: {:?}",
            model.step(),
            model.optimizer()
        )?;
    }
    Ok(text + &model.summary())
}

/// The tensors of a file that has no layers.
fn tensors(path: &Path) -> Result<Option<String>> {
    let mut file = std::fs::File::open(path)?;
    let mut prefix = [0; 8];
    file.read_exact(&mut prefix)?;
    let mut header = Vec::new();
    file.take(u64::from_le_bytes(prefix))
        .read_to_end(&mut header)?;
    // What is no such file, `open` says.
    let Ok(metadata) = serde_json::from_slice::<Metadata>(&header) else {
        return Ok(None);
    };
    let entries = metadata.metadata().iter().flatten();
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    if entries.iter().any(|(key, _)| *key == "model_config") {
        return Ok(None);
    }
    let mut text = String::from("no layers: build the network, then load or load_with\n");
    for (key, value) in entries {
        writeln!(text, "{key}: {value}")?;
    }
    for name in metadata.offset_keys() {
        if let Some(info) = metadata.info(&name) {
            writeln!(text, "{name}: {:?} {:?}", info.dtype, info.shape)?;
        }
    }
    Ok(Some(text))
}
