//! Weights and checkpoints in the safetensors format.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorView};

use crate::gpu::device::Owner;
use crate::gpu::platform;
use crate::gpu::region::Region;
use crate::gpu::transfer;
use crate::nn::network::Weight;
use crate::nn::sequential::{self, Sequential};
use crate::nn::training::{Buffers, MAX_COUNT};
use crate::nn::workspace::{F32, Slots};
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

fn error(name: &str, detail: impl ToString) -> Error {
    Error::File {
        path: name.into(),
        detail: detail.to_string(),
    }
}

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    Weights,
    /// The weights, and everything else that training goes on from.
    Checkpoint,
}

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
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`].
    pub async fn weights_to_bytes(&self) -> Result<Vec<u8>> {
        write(self, BYTES, Contents::Weights, &platform::wait_aside).await
    }

    /// Reads the weights of a safetensors file: what `load` reads. Does not block.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if it is not a safetensors file of exactly this network's names, shapes and types;
    /// [`Error::OutOfMemory`], [`Error::DeviceLost`]. The network is then unchanged.
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

/// The file; `name` is its name in errors.
pub(super) async fn write(
    model: &Sequential,
    name: &str,
    contents: Contents,
    progress: &impl transfer::Progress,
) -> Result<Vec<u8>> {
    let empty;
    let slots = match (contents, &model.slots) {
        (Contents::Weights, _) => None,
        (Contents::Checkpoint, Some(slots)) => Some(&**slots),
        (Contents::Checkpoint, None) => {
            empty = Slots::new(model.plan(), &model.optimizer)?;
            Some(&empty)
        }
    };
    let mut read = Vec::new();
    for (tensor, weight, region) in tensors(model, &model.weights, slots) {
        let start = weight.offset as u64 * F32;
        let part = region.part(start, weight.len as u64 * F32);
        let values: Vec<u8> = sequential::read(&model.gpu, &part, progress).await?;
        read.push((tensor, weight.shape, values));
    }
    let views = read.iter().map(|(tensor, shape, values)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), values);
        view.map(|view| (tensor, view))
            .map_err(|problem| error(name, problem))
    });
    let metadata = match contents {
        Contents::Checkpoint => Some(metadata(model, progress).await?),
        Contents::Weights => None,
    };
    safetensors::serialize(views.collect::<Result<Vec<_>>>()?, metadata)
        .map_err(|problem| error(name, problem))
}

async fn metadata(
    model: &Sequential,
    progress: &impl transfer::Progress,
) -> Result<HashMap<String, String>> {
    // Steps under way from one on that is not finite have changed nothing.
    let step = model.halted(progress).await?;
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

/// `len` bytes, or all there are: memory grows with what is read, not with what a header announces.
fn read_bytes(file: &mut impl Read, len: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The header of a safetensors file. `SafeTensors::deserialize` overflows if the tensors that a
/// header announces end at the last byte that a number can count.
fn read_header(name: &str, file: &mut impl Read) -> Result<Metadata> {
    let not_one = |detail: String| error(name, format!("not a safetensors file: {detail}"));
    let mut read = |len| read_bytes(file, len).map_err(|problem| error(name, problem));
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

/// Reads a file, of this name in errors.
pub(super) async fn read(
    model: &mut Sequential,
    name: &str,
    file: &mut impl Read,
    contents: Contents,
) -> Result<()> {
    let header = read_header(name, file)?;
    let checkpoint = contents == Contents::Checkpoint;
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
        let entry = |key: &str| {
            let missing = || error(name, format!("not a checkpoint: it has no {key}"));
            metadata
                .and_then(|entries| entries.get(key))
                .ok_or_else(missing)
        };
        let number = |key: &str| {
            let value = entry(key)?;
            let wrong = |_| error(name, format!("{key} is {value:?}, not a number"));
            value.parse::<u64>().map_err(wrong)
        };
        optimizer = Optimizer::from_json(entry(OPTIMIZER)?, &model.optimizer)
            .map_err(|problem| error(name, problem))?;
        // One that was not named follows from the data again.
        loss = None;
        if let Some(text) = metadata.and_then(|entries| entries.get(LOSS)) {
            let found = Loss::from_text(text)
                .ok_or_else(|| error(name, format!("its loss is {text:?}, which is none")))?;
            model.network.check_loss("load_checkpoint", found)?;
            loss = Some(found);
        }
        (step, epoch, seed) = (number(STEP)?, number(EPOCH)?, number(SEED)?);
        optimized_from = number(OPTIMIZED_FROM)?;
        if step.max(epoch) > MAX_COUNT {
            let detail = format!("{step} steps in {epoch} epochs are more than there can be");
            return Err(error(name, detail));
        }
        if optimized_from > step {
            let detail = format!("its optimizer begins at step {optimized_from}, of {step}");
            return Err(error(name, detail));
        }
    }
    // Everything that can fail comes before the first change: the weights are staged elsewhere.
    let staged = model.gpu.memory().region(model.weights.bytes)?;
    let tensors = tensors(model, &staged, slots.as_ref());
    let mut values = Vec::new();
    for (known, weight, region) in &tensors {
        let tensor = header
            .info(known)
            .ok_or_else(|| error(name, format!("it has no {known}")))?;
        if tensor.dtype != Dtype::F32 || tensor.shape != weight.shape {
            let detail = format!(
                "{known} is {:?} {:?}, the network has F32 {:?}",
                tensor.dtype, tensor.shape, weight.shape
            );
            return Err(error(name, detail));
        }
        let start = weight.offset as u64 * F32;
        let (from, to) = tensor.data_offsets;
        values.push((region.clone(), start, from..to));
    }
    let is_known = |key: &str| tensors.iter().any(|(known, ..)| known == key);
    if let Some(key) = header.offset_keys().into_iter().find(|key| !is_known(key)) {
        let is_checkpoint = header
            .metadata()
            .as_ref()
            .is_some_and(|m| m.contains_key(STEP));
        let detail = match is_checkpoint && !checkpoint {
            true => "it is a checkpoint; use load_checkpoint".into(),
            false => format!("it has {key}, which the network has not"),
        };
        return Err(error(name, detail));
    }
    // The tensors are contiguous and all the network's, so `len` is at most their total length.
    let len = header.data_len() as u64;
    let data = read_bytes(file, len + 1).map_err(|problem| error(name, problem))?;
    if data.len() as u64 != len {
        let amount = if (data.len() as u64) < len {
            "fewer"
        } else {
            "more"
        };
        let detail = format!("not a safetensors file: {amount} than {len} bytes of tensors follow");
        return Err(error(name, detail));
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
    let link = model.gpu.link();
    link.settle(link.calls()).await?;
    link.submit(Owner::Crate, |encoder| {
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
