//! Weights and checkpoints as safetensors files.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorView};

use super::network::Weight;
use super::sequential::{Sequential, read};
use super::training::{Buffers, MAX_COUNT};
use super::workspace::{F32, Slots};
use crate::gpu::device::Owner;
use crate::gpu::platform;
use crate::gpu::region::Region;
use crate::gpu::transfer;
use crate::ops::network::loss::Loss;
use crate::ops::network::optimizer::Optimizer;
use crate::{Error, Result};

const STEP: &str = "step";
const EPOCH: &str = "epoch";
/// The step that the optimizer's state begins at.
const OPTIMIZED_FROM: &str = "optimized_from";
const SEED: &str = "seed";
const OPTIMIZER: &str = "optimizer";
/// Unless it follows from the data.
const LOSS: &str = "loss";

/// The format's limit.
const MAX_HEADER: u64 = 100_000_000;

fn error(path: &Path, detail: impl ToString) -> Error {
    Error::File {
        path: path.display().to_string(),
        detail: detail.to_string(),
    }
}

impl Sequential {
    /// Writes the weights to a safetensors file, by their names, atomically.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::OutOfMemory`], [`Error::DeviceLost`]. The file is then unchanged.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        save(self, path.as_ref(), false)
    }

    /// Reads the weights of a safetensors file.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if it can't be read, or is not a safetensors file of exactly this network's
    /// names, shapes and types; [`Error::OutOfMemory`], [`Error::DeviceLost`]. The network is then
    /// unchanged.
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<()> {
        load(self, path.as_ref(), false)
    }

    /// Writes everything needed to continue training: the weights, the optimizer with its state, the
    /// loss if it was named, the counts of steps and epochs, and the seed.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub fn save_checkpoint(&self, path: impl AsRef<Path>) -> Result<()> {
        save(self, path.as_ref(), true)
    }

    /// Reads what [`save_checkpoint`](Self::save_checkpoint) has written, into a network that is
    /// compiled with the same kind of optimizer (a new network is, with Adam). Given the same data and
    /// batches, training with [`Fit::default`](crate::nn::Fit::default) continues from the end of an
    /// epoch as if it had never stopped. An epoch that was saved midway is not finished: the next
    /// begins.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_checkpoint(&mut self, path: impl AsRef<Path>) -> Result<()> {
        load(self, path.as_ref(), true)
    }
}

/// The name of what an optimizer stores for a weight.
fn slot_name(model: &Sequential, weight: &Weight, slot: &str) -> String {
    format!("{}/{}/{slot}", model.optimizer.name(), weight.name)
}

/// The tensors of a file: name, weight, and the buffer that it is part of.
fn tensors(
    model: &Sequential,
    weights: &Region,
    slots: Option<&Slots>,
) -> Vec<(String, Weight, Region)> {
    let mut tensors: Vec<_> = model
        .network
        .weights()
        .map(|weight| (weight.name.clone(), weight.clone(), weights.clone()))
        .collect();
    if let Some(slots) = slots {
        let trained = model.network.layers.iter().filter(|layer| layer.trainable);
        for weight in trained.flat_map(|layer| &layer.weights) {
            for (slot, region) in model.optimizer.slots().iter().zip(&slots.slots) {
                let name = slot_name(model, weight, slot);
                tensors.push((name, weight.clone(), region.clone()));
            }
        }
    }
    tensors
}

fn save(model: &Sequential, path: &Path, checkpoint: bool) -> Result<()> {
    let empty;
    let slots = match (&model.slots, checkpoint) {
        (_, false) => None,
        (Some(slots), true) => Some(&**slots),
        (None, true) => {
            empty = Slots::new(model.plan(), &model.optimizer)?;
            Some(&empty)
        }
    };
    let mut contents = Vec::new();
    for (name, weight, region) in tensors(model, &model.weights, slots) {
        let start = weight.offset as u64 * F32;
        let values: Vec<u8> = read(&model.gpu, &region.part(start, weight.len as u64 * F32))?;
        contents.push((name, weight.shape, values));
    }
    let views = contents.iter().map(|(name, shape, values)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), values);
        view.map(|view| (name, view))
            .map_err(|problem| error(path, problem))
    });
    let metadata = match checkpoint {
        true => Some(metadata(model)?),
        false => None,
    };
    let bytes = safetensors::serialize(views.collect::<Result<Vec<_>>>()?, metadata)
        .map_err(|problem| error(path, problem))?;
    write_atomically(path, &bytes).map_err(|problem| error(path, problem))
}

fn metadata(model: &Sequential) -> Result<HashMap<String, String>> {
    // Steps under way from one on that is not finite have changed nothing.
    let step = pollster::block_on(model.halted(&platform::wait_for_answer))?;
    let step = step.unwrap_or(model.step);
    let mut entries = HashMap::from([
        (STEP.into(), step.to_string()),
        (EPOCH.into(), model.epoch.to_string()),
        (
            OPTIMIZED_FROM.into(),
            (model.optimized_from + model.skips.len() as u64)
                .min(step)
                .to_string(),
        ),
        (SEED.into(), model.seed.to_string()),
        (OPTIMIZER.into(), model.optimizer.to_json()),
    ]);
    if let Some(loss) = model.loss {
        entries.insert(LOSS.into(), loss.to_text());
    }
    Ok(entries)
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

/// `len` bytes, or all there are: memory grows with what is read, not with what a header announces.
fn read_bytes(file: &mut File, len: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The header of a safetensors file. `SafeTensors::deserialize` overflows if the tensors that a
/// header announces end at the last byte that a number can count.
fn read_header(path: &Path, file: &mut File) -> Result<Metadata> {
    let not_one = |detail: String| error(path, format!("not a safetensors file: {detail}"));
    let mut read = |len| read_bytes(file, len).map_err(|problem| error(path, problem));
    let prefix = <[u8; 8]>::try_from(read(8)?)
        .map_err(|prefix| not_one(format!("it has {} bytes", prefix.len())))?;
    let len = u64::from_le_bytes(prefix);
    if len > MAX_HEADER {
        let detail = format!("a header of {len} bytes, {MAX_HEADER} is the most");
        return Err(not_one(detail));
    }
    let header = read(len)?;
    if (header.len() as u64) < len {
        let detail = format!("of {len} bytes of its header it has {}", header.len());
        return Err(not_one(detail));
    }
    serde_json::from_slice(&header).map_err(|problem| not_one(problem.to_string()))
}

fn load(model: &mut Sequential, path: &Path, checkpoint: bool) -> Result<()> {
    let mut file = File::open(path).map_err(|problem| error(path, problem))?;
    let header = read_header(path, &mut file)?;
    let slots = if checkpoint {
        Some(Slots::new(model.plan(), &model.optimizer)?)
    } else {
        None
    };
    let (mut step, mut epoch, mut optimized_from) = (model.step, model.epoch, model.optimized_from);
    let mut seed = model.seed;
    let mut optimizer = model.optimizer.clone();
    let mut loss = model.loss;
    if checkpoint {
        let metadata = header.metadata().as_ref();
        let entry = |name: &str| {
            let missing = || error(path, format!("not a checkpoint: it has no {name}"));
            metadata
                .and_then(|entries| entries.get(name))
                .ok_or_else(missing)
        };
        let number = |name: &str| {
            let value = entry(name)?;
            let wrong = |_| error(path, format!("{name} is {value:?}, not a number"));
            value.parse::<u64>().map_err(wrong)
        };
        optimizer = Optimizer::from_json(entry(OPTIMIZER)?, &model.optimizer)
            .map_err(|problem| error(path, problem))?;
        // One that was not named follows from the data again.
        loss = None;
        if let Some(text) = metadata.and_then(|entries| entries.get(LOSS)) {
            let found = Loss::from_text(text)
                .ok_or_else(|| error(path, format!("its loss is {text:?}, which is none")))?;
            model.network.check_loss("load_checkpoint", found)?;
            loss = Some(found);
        }
        (step, epoch, seed) = (number(STEP)?, number(EPOCH)?, number(SEED)?);
        optimized_from = number(OPTIMIZED_FROM)?;
        if step.max(epoch) > MAX_COUNT {
            let detail = format!("{step} steps in {epoch} epochs are more than there can be");
            return Err(error(path, detail));
        }
        if optimized_from > step {
            let detail = format!("its optimizer begins at step {optimized_from}, of {step}");
            return Err(error(path, detail));
        }
    }
    // Everything that can fail comes before the first change: the weights are staged elsewhere.
    let staged = model.gpu.memory().region(model.weights.bytes)?;
    let tensors = tensors(model, &staged, slots.as_ref());
    let mut values = Vec::new();
    for (name, weight, region) in &tensors {
        let tensor = header
            .info(name)
            .ok_or_else(|| error(path, format!("it has no {name}")))?;
        if tensor.dtype != Dtype::F32 || tensor.shape != weight.shape {
            let detail = format!(
                "{name} is {:?} {:?}, the network has F32 {:?}",
                tensor.dtype, tensor.shape, weight.shape
            );
            return Err(error(path, detail));
        }
        let start = weight.offset as u64 * F32;
        let (from, to) = tensor.data_offsets;
        values.push((region.clone(), start, from..to));
    }
    let known = |name: &str| tensors.iter().any(|(known, ..)| known == name);
    if let Some(name) = header.offset_keys().into_iter().find(|name| !known(name)) {
        let is_checkpoint = header
            .metadata()
            .as_ref()
            .is_some_and(|m| m.contains_key(STEP));
        let detail = match is_checkpoint && !checkpoint {
            true => "it is a checkpoint; use load_checkpoint".into(),
            false => format!("it has {name}, which the network has not"),
        };
        return Err(error(path, detail));
    }
    // The tensors are contiguous and all the network's, so `len` is at most their total length.
    let len = header.data_len() as u64;
    let data = read_bytes(&mut file, len + 1).map_err(|problem| error(path, problem))?;
    if data.len() as u64 != len {
        let amount = if (data.len() as u64) < len {
            "fewer"
        } else {
            "more"
        };
        let detail = format!("not a safetensors file: {amount} than {len} bytes of tensors follow");
        return Err(error(path, detail));
    }
    for (region, start, range) in values {
        let alignment = transfer::COPY_ALIGNMENT;
        transfer::write(
            model.gpu.memory(),
            &region.buffer,
            start,
            &data[range],
            alignment,
        )?;
    }
    let network = model.network_of(seed)?;
    model.gpu.link().submit(Owner::Crate, |encoder| {
        let to = &model.weights.buffer;
        encoder.copy_buffer_to_buffer(&staged.buffer, 0, to, 0, staged.bytes);
        Ok(())
    })?;
    if let Some(slots) = slots {
        model.slots = Some(Arc::new(slots));
        model.optimizer = optimizer;
        (model.step, model.epoch) = (step, epoch);
        model.optimized_from = optimized_from;
        model.start_over();
        model.skips.clear();
        model.loss = loss;
        model.seed = seed;
        model.network = network;
        *model.buffers() = Buffers::default();
    }
    Ok(())
}
