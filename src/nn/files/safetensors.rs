//! Weights, checkpoints and whole models in the safetensors format.

use std::collections::HashMap;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashSet;
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorView};

use super::config;
use crate::gpu::device::Owner;
use crate::gpu::transfer;
use crate::nn::network::{Network, Weight};
use crate::nn::sequential::{self, Sequential};
use crate::nn::training::{Buffers, MAX_COUNT};
use crate::nn::workspace::{F32, Slots};
use crate::ops::network::loss::Loss;
use crate::ops::network::optimizer::{LearningRate, Optimizer};
use crate::{Error, Gpu, Result};

const STEP: &str = "step";
const EPOCH: &str = "epoch";
/// The step that the optimizer's state begins at.
const OPTIMIZED_FROM: &str = "optimized_from";
const SEED: &str = "seed";
const OPTIMIZER: &str = "optimizer";
/// Unless it follows from the data.
const LOSS: &str = "loss";
/// The layers of a whole model; Keras's HDF5 files call it so.
const MODEL_CONFIG: &str = "model_config";

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
    /// A checkpoint, and the layers.
    Model,
}

/// A tensor of a file.
struct Stored<'a> {
    name: String,
    weight: &'a Weight,
    /// What of the optimizer's it is, or the weight itself.
    slot: Option<usize>,
}

/// The weights, and what an optimizer stores for them.
fn tensors<'a>(network: &'a Network, optimizer: Option<&Optimizer>) -> Vec<Stored<'a>> {
    let mut tensors: Vec<_> = network
        .weights()
        .map(|weight| Stored {
            name: weight.name.clone(),
            weight,
            slot: None,
        })
        .collect();
    if let Some(optimizer) = optimizer {
        for weight in network.trained_weights() {
            for (slot, kind) in optimizer.slots().iter().enumerate() {
                tensors.push(Stored {
                    name: format!("{}/{}/{kind}", optimizer.name(), weight.name),
                    weight,
                    slot: Some(slot),
                });
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
    let is_custom = matches!(model.optimizer.learning_rate(), LearningRate::Custom(_));
    if contents == Contents::Model && is_custom {
        let detail = "the learning rate is a function of the step, which a file can't hold; set_learning_rate before, or save a checkpoint, for a network that is compiled with the function";
        return Err(error(name, detail));
    }
    // In a checkpoint there are zeros for a state that is yet to come, in a whole model there are none.
    let optimizer = match (contents, &model.slots) {
        (Contents::Weights, _) | (Contents::Model, None) => None,
        _ => Some(&model.optimizer),
    };
    // A buffer comes back at once, with all the tensors in it.
    let read = async |region| sequential::read(&model.gpu, region, progress).await;
    let mut buffers: Vec<Vec<u8>> = vec![read(&model.weights).await?];
    for slot in 0..optimizer.map_or(0, |optimizer| optimizer.slots().len()) {
        buffers.push(match &model.slots {
            Some(slots) => read(&slots.slots[slot]).await?,
            None => vec![0; buffers[0].len()],
        });
    }
    let tensors = tensors(&model.network, optimizer);
    let views = tensors.iter().map(|tensor| {
        let buffer = &buffers[tensor.slot.map_or(0, |slot| slot + 1)];
        let [start, len] = [tensor.weight.offset, tensor.weight.len].map(|n| n * F32 as usize);
        let values = &buffer[start..][..len];
        let view = TensorView::new(Dtype::F32, tensor.weight.shape.clone(), values);
        view.map(|view| (&tensor.name, view))
            .map_err(|problem| error(name, problem))
    });
    let metadata = match contents {
        Contents::Weights => None,
        Contents::Checkpoint | Contents::Model => {
            let mut entries = metadata(model, progress).await?;
            if contents == Contents::Model {
                entries.insert(MODEL_CONFIG.into(), config::write(&model.builder));
            }
            Some(entries)
        }
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
fn read_header<'a>(name: &'a str, file: &mut impl Read) -> Result<Header<'a>> {
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
    let metadata =
        serde_json::from_slice(&header).map_err(|problem| not_one(problem.to_string()))?;
    Ok(Header { name, metadata })
}

/// A file whose header has been read.
struct Header<'a> {
    /// In errors.
    name: &'a str,
    metadata: Metadata,
}

impl Header<'_> {
    fn entry(&self, key: &str) -> Option<&String> {
        self.metadata.metadata().as_ref()?.get(key)
    }

    fn needs(&self, key: &str) -> Result<&String> {
        let missing = || self.error(format!("not a checkpoint: it has no {key}"));
        self.entry(key).ok_or_else(missing)
    }

    fn number(&self, key: &str) -> Result<u64> {
        let value = self.needs(key)?;
        let wrong = |_| self.error(format!("{key} is {value:?}, not a number"));
        value.parse().map_err(wrong)
    }

    fn error(&self, detail: impl ToString) -> Error {
        error(self.name, detail)
    }
}

/// What training goes on from, beside the weights.
struct State {
    step: u64,
    epoch: u64,
    optimized_from: u64,
    seed: u64,
    optimizer: Optimizer,
    loss: Option<Loss>,
}

impl State {
    /// Of a checkpoint, for a network that is `compiled`, or for a new one.
    fn read(header: &Header, compiled: Option<&Optimizer>) -> Result<Self> {
        let optimizer = Optimizer::from_json(header.needs(OPTIMIZER)?, compiled)
            .map_err(|problem| header.error(problem))?;
        // One that was not named follows from the data again.
        let loss = match header.entry(LOSS) {
            None => None,
            Some(text) => Some(
                Loss::from_text(text)
                    .ok_or_else(|| header.error(format!("its loss is {text:?}, which is none")))?,
            ),
        };
        let state = Self {
            step: header.number(STEP)?,
            epoch: header.number(EPOCH)?,
            optimized_from: header.number(OPTIMIZED_FROM)?,
            seed: header.number(SEED)?,
            optimizer,
            loss,
        };
        let (step, epoch, begin) = (state.step, state.epoch, state.optimized_from);
        if step.max(epoch) > MAX_COUNT {
            let detail = format!("{step} steps in {epoch} epochs are more than there can be");
            return Err(header.error(detail));
        }
        if begin > step {
            let detail = format!("its optimizer begins at step {begin}, of {step}");
            return Err(header.error(detail));
        }
        Ok(state)
    }
}

/// The tensors of a file that fits a network.
struct Found {
    data: Vec<u8>,
    /// The slot, or else the weights; the first byte there; the bytes of the data.
    places: Vec<(Option<usize>, u64, Range<usize>)>,
}

/// Reads what is behind the header, if all of it is the network's.
fn find(
    header: &Header,
    file: &mut impl Read,
    network: &Network,
    state: Option<&State>,
) -> Result<Found> {
    if let Some(loss) = state.and_then(|state| state.loss) {
        let checked = network.check_loss("its loss", loss);
        checked.map_err(|problem| header.error(problem))?;
    }
    let metadata = &header.metadata;
    let mut tensors = tensors(network, state.map(|state| &state.optimizer));
    // A whole model may have none of the optimizer's, which then begins without.
    let is_there = |tensor: &Stored| tensor.slot.is_some() && metadata.info(&tensor.name).is_some();
    if header.entry(MODEL_CONFIG).is_some() && !tensors.iter().any(is_there) {
        tensors.retain(|tensor| tensor.slot.is_none());
    }
    let mut places = Vec::new();
    for Stored { name, weight, slot } in &tensors {
        let tensor = metadata
            .info(name)
            .ok_or_else(|| header.error(format!("it has no {name}")))?;
        if tensor.dtype != Dtype::F32 || tensor.shape != weight.shape {
            let detail = format!(
                "{name} is {:?} {:?}, the network has F32 {:?}",
                tensor.dtype, tensor.shape, weight.shape
            );
            return Err(header.error(detail));
        }
        let (from, to) = tensor.data_offsets;
        places.push((*slot, weight.offset as u64 * F32, from..to));
    }
    let known: HashSet<_> = tensors.iter().map(|tensor| &tensor.name).collect();
    if let Some(key) = metadata
        .offset_keys()
        .iter()
        .find(|key| !known.contains(key))
    {
        return Err(header.error(format!("it has {key}, which the network has not")));
    }
    // The tensors are contiguous and all the network's, so `len` is at most their total length.
    let len = metadata.data_len() as u64;
    let data = read_bytes(file, len + 1).map_err(|problem| header.error(problem))?;
    if data.len() as u64 != len {
        let amount = if (data.len() as u64) < len {
            "fewer"
        } else {
            "more"
        };
        let detail = format!("not a safetensors file: {amount} than {len} bytes of tensors follow");
        return Err(header.error(detail));
    }
    Ok(Found { data, places })
}

/// Everything that can fail comes before the first change: the weights are staged elsewhere.
async fn put(model: &mut Sequential, found: Found, state: Option<State>) -> Result<()> {
    let staged = model.gpu.memory().region(model.weights.bytes)?;
    let has_slots = found.places.iter().any(|(slot, ..)| slot.is_some());
    let slots = match &state {
        Some(state) if has_slots => Some(Slots::new(model.plan(), &state.optimizer)?),
        _ => None,
    };
    for (slot, start, range) in found.places {
        let region = match (slot, &slots) {
            (Some(slot), Some(slots)) => &slots.slots[slot],
            _ => &staged,
        };
        transfer::write(
            model.gpu.memory(),
            &region.buffer,
            start,
            &found.data[range],
            transfer::COPY_ALIGNMENT,
        )?;
    }
    let link = model.gpu.link();
    link.settle(link.calls()).await?;
    link.submit(Owner::Crate, |encoder| {
        let to = &model.weights.buffer;
        encoder.copy_buffer_to_buffer(&staged.buffer, 0, to, 0, staged.bytes);
        Ok(())
    })?;
    if let Some(state) = state {
        model.slots = slots.map(Arc::new);
        model.optimizer = state.optimizer;
        (model.step, model.epoch) = (state.step, state.epoch);
        model.optimized_from = state.optimized_from;
        model.start_over();
        model.skips.clear();
        model.loss = state.loss;
        model.seed = state.seed;
        *model.buffers() = Buffers::default();
    }
    Ok(())
}

/// Reads a file, of this name in errors, into a network.
pub(super) async fn read(
    model: &mut Sequential,
    name: &str,
    file: &mut impl Read,
    contents: Contents,
) -> Result<()> {
    let header = read_header(name, file)?;
    let state = if contents == Contents::Weights {
        if header.entry(MODEL_CONFIG).is_some() {
            let detail = "it is a whole model; use load_model, or load_checkpoint";
            return Err(header.error(detail));
        }
        if header.entry(OPTIMIZED_FROM).is_some() {
            return Err(header.error("it is a checkpoint; use load_checkpoint"));
        }
        None
    } else {
        Some(State::read(&header, Some(&model.optimizer))?)
    };
    let seed = state.as_ref().map_or(model.seed, |state| state.seed);
    let network = model.builder.network_for(&model.gpu, seed)?;
    let found = find(&header, file, &network, state.as_ref())?;
    put(model, found, state).await?;
    model.network = network;
    Ok(())
}

/// Reads a whole model, of this name in errors.
pub(super) async fn open(gpu: &Gpu, name: &str, file: &mut impl Read) -> Result<Sequential> {
    let header = read_header(name, file)?;
    let config = header.entry(MODEL_CONFIG).ok_or_else(|| {
        header.error(
            "not a whole model: it has no model_config; build the network, then load or load_checkpoint",
        )
    })?;
    let problem = |problem: &dyn std::fmt::Display| {
        header.error(format!("not a model that can be built: {problem}"))
    };
    let builder = config::read(config, MODEL_CONFIG).map_err(|error| problem(&error))?;
    let state = State::read(&header, None)?;
    let seed = state.seed;
    let network = builder
        .network_for(gpu, seed)
        .map_err(|error| problem(&error))?;
    let found = find(&header, file, &network, Some(&state))?;
    let mut model = builder.allocate(gpu, network, seed)?;
    put(&mut model, found, Some(state)).await?;
    Ok(model)
}
