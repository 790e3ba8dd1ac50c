//! Files of models, by their names.

use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use safetensors::tensor::Metadata;
use selfnorm::Gpu;
use selfnorm::nn::{Mapping, Optimizer, Sequential, keras, onnx};

use crate::Result;

/// The format's limit.
const MAX_HEADER: u64 = 100_000_000;

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
            "pt" | "pth" | "bin" => Err(format!(
                "{}: PyTorch's own files are programs; write safetensors.torch.save_file(module.state_dict(), …), or \
                 torch.onnx.export(…) for the layers, too",
                path.display()
            )
            .into()),
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
    if let Some(why) = model.metadata().get("keras_training") {
        eprintln!("selfnorm: the training {why}");
    }
    match (Format::of(path)?, mapping) {
        (Format::Onnx, _) => {
            eprintln!("selfnorm: ONNX has no dropout, penalties, optimizer or loss");
            model.save_onnx(path)?;
        }
        (Format::Safetensors, Some(mapping)) => model.save_with(path, mapping)?,
        (Format::Safetensors, None) => model.save_checkpoint(path)?,
        _ => model.save_keras(path)?,
    }
    Ok(())
}

/// What is in a file.
pub fn inspect(path: &Path) -> Result<String> {
    let format = Format::of(path)?;
    let named = |problem| format!("{}: {problem}", path.display());
    let bytes = std::fs::metadata(path).map_err(named)?.len();
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
        let steps = model.step();
        match model.optimizer() {
            Optimizer::Adam(adam) => writeln!(text, "trained for {steps} steps: {adam:?}")?,
            Optimizer::Sgd(sgd) => writeln!(text, "trained for {steps} steps: {sgd:?}")?,
            _ => writeln!(text, "trained for {steps} steps")?,
        }
    }
    let input: Vec<_> = model.input_shape().iter().map(usize::to_string).collect();
    writeln!(text, "input: [n, {}]", input.join(", "))?;
    Ok(text + &model.summary())
}

/// The tensors of a file that has no layers.
fn tensors(path: &Path) -> Result<Option<String>> {
    let named = |problem| format!("{}: {problem}", path.display());
    let mut file = std::fs::File::open(path).map_err(named)?;
    let len = file.metadata().map_err(named)?.len();
    let mut prefix = [0; 8];
    let has_prefix = file.read_exact(&mut prefix).is_ok();
    let announced = u64::from_le_bytes(prefix);
    // What is no such file, `open` says.
    if !has_prefix || announced > MAX_HEADER.min(len - 8) {
        return Ok(None);
    }
    let mut header = Vec::new();
    file.take(announced)
        .read_to_end(&mut header)
        .map_err(named)?;
    let Ok(metadata) = serde_json::from_slice::<Metadata>(&header) else {
        return Ok(None);
    };
    let entries = metadata.metadata().iter().flatten();
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    if entries.iter().any(|(key, _)| *key == "model_config") {
        return Ok(None);
    }
    let mut text = String::from(
        "no layers: build the network, then Sequential::load, or load_with for PyTorch's names\n",
    );
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
