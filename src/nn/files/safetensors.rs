//! Networks and their training in the safetensors format.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashSet;
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde_json::{Map, Value, json};

use super::metadata::{EPOCH, LOSS, MODEL_CONFIG, OPTIMIZED_FROM, OPTIMIZER, SEED, STATE, STEP};
use super::{architecture, config, metadata, scan};
use crate::gpu::device::Owner;
use crate::gpu::transfer;
use crate::nn::SequentialBuilder;
use crate::nn::network::{Network, Weight};
use crate::nn::sequential::{self, Sequential};
use crate::nn::training::{Buffers, MAX_COUNT};
use crate::nn::workspace::{F32, Slots};
use crate::ops::network::loss::Loss;
use crate::ops::network::optimizer::Optimizer;
use crate::{Error, Gpu, Result};

/// The format's limit.
const MAX_HEADER: u64 = 100_000_000;

/// What the format aligns the tensors to.
const ALIGNMENT: usize = 8;

fn error(name: &str, detail: impl ToString) -> Error {
    Error::File {
        path: name.into(),
        detail: detail.to_string(),
    }
}

/// What of a network is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// The network, with the settings of its training; of a file from elsewhere, the weights. For paths only.
    #[cfg_attr(target_family = "wasm", expect(dead_code))]
    Model,
    /// All that, and the state of its training.
    Checkpoint,
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
    let slots = match contents {
        Contents::Model => None,
        Contents::Checkpoint => model.slots.as_ref(),
    };
    // A buffer comes back at once, with all the tensors in it.
    let read = async |region| sequential::read(&model.gpu, region, progress).await;
    let mut buffers: Vec<Vec<u8>> = vec![read(&model.weights).await?];
    for region in slots.iter().flat_map(|slots| &slots.slots) {
        buffers.push(read(region).await?);
    }
    // An optimizer begins with zeros: while it has done no step, there are none in the file.
    let has_state = buffers[1..].iter().flatten().any(|&byte| byte != 0);
    let mut tensors = tensors(&model.network, has_state.then_some(&model.optimizer));
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let entries = entries(model, contents, progress).await?;
    serialize(&entries, &tensors, &buffers).map_err(|problem| error(name, problem))
}

/// The same network is the same bytes: the format's own crate writes the metadata in any order.
fn serialize(
    entries: &BTreeMap<String, String>,
    tensors: &[Stored],
    buffers: &[Vec<u8>],
) -> std::result::Result<Vec<u8>, String> {
    let mut header = Map::from_iter([("__metadata__".to_owned(), json!(entries))]);
    let mut end = 0;
    for tensor in tensors {
        let begin = end;
        end += tensor.weight.len * F32 as usize;
        let info = json!({
            "dtype": "F32",
            "shape": tensor.weight.shape,
            "data_offsets": [begin, end],
        });
        header.insert(tensor.name.clone(), info);
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    let len = header.len() as u64;
    if len > MAX_HEADER {
        let detail = format!("layers and metadata take {len} bytes, {MAX_HEADER} is the most");
        return Err(detail);
    }
    // Allocated once: with the buffers it is twice the network.
    let mut file = Vec::with_capacity(size_of_val(&len) + header.len() + end);
    file.extend_from_slice(&len.to_le_bytes());
    file.extend_from_slice(&header);
    for tensor in tensors {
        let buffer = &buffers[tensor.slot.map_or(0, |slot| slot + 1)];
        let [start, len] = [tensor.weight.offset, tensor.weight.len].map(|n| n * F32 as usize);
        file.extend_from_slice(&buffer[start..][..len]);
    }
    Ok(file)
}

async fn entries(
    model: &Sequential,
    contents: Contents,
    progress: &impl transfer::Progress,
) -> Result<BTreeMap<String, String>> {
    let mut entries = model.metadata.clone();
    let mut set = |key: &str, value: String| entries.insert(key.into(), value);
    set(MODEL_CONFIG, config::write(&model.builder));
    set(SEED, model.seed.to_string());
    set(OPTIMIZER, model.optimizer.to_json());
    if let Some(loss) = model.loss {
        set(LOSS, loss.to_text());
    }
    if contents == Contents::Checkpoint {
        // Steps under way from one on that is not finite have changed nothing.
        let step = model.halted(progress).await?;
        let step = step.unwrap_or(model.step);
        let begin = model.optimized_from + model.skips.len() as u64;
        set(STEP, step.to_string());
        set(EPOCH, model.epoch.to_string());
        set(OPTIMIZED_FROM, begin.min(step).to_string());
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
    let parsed = scan::check_names(&header).and_then(|()| serde_json::from_slice(&header));
    let metadata = parsed.map_err(|problem| not_one(problem.to_string()))?;
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

    /// Whether it has the state of a training, or a part of it. Files from elsewhere may have an epoch, too.
    fn is_checkpoint(&self) -> bool {
        let has = |key| self.entry(key).is_some();
        has(OPTIMIZED_FROM) || has(MODEL_CONFIG) && STATE.into_iter().any(has)
    }

    fn needs(&self, key: &str) -> Result<&String> {
        let what = match self.is_checkpoint() {
            true => "not a checkpoint: ",
            false => "",
        };
        let missing = || self.error(format!("{what}it has no {key}"));
        self.entry(key).ok_or_else(missing)
    }

    /// The layers, unless the file is from elsewhere, or of an earlier version.
    fn builder(&self) -> Result<Option<SequentialBuilder>> {
        let Some(config) = self.entry(MODEL_CONFIG) else {
            return Ok(None);
        };
        let builder = config::read(config, MODEL_CONFIG);
        builder
            .map(Some)
            .map_err(|problem| self.not_to_be_built(problem))
    }

    fn not_to_be_built(&self, problem: impl ToString) -> Error {
        let problem = problem.to_string();
        self.error(format!("not a model that can be built: {problem}"))
    }

    /// The strings of a network's user; a file from elsewhere has its own.
    fn users_entries(&self) -> impl Iterator<Item = (String, String)> {
        let all = self.metadata.metadata().iter().flatten();
        let is_ours = self.entry(MODEL_CONFIG).is_some();
        all.filter(move |(key, _)| is_ours && metadata::is_users(key))
            .map(|(key, value)| (key.clone(), value.clone()))
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

/// What training goes on from, beside the weights: at its beginning, unless the file is a checkpoint.
struct State {
    step: u64,
    epoch: u64,
    optimized_from: u64,
    seed: u64,
    optimizer: Optimizer,
    loss: Option<Loss>,
}

impl State {
    /// For a network that is `compiled`, or for a new one.
    fn read(header: &Header, compiled: Option<&Optimizer>) -> Result<Self> {
        let optimizer = header.needs(OPTIMIZER)?;
        scan::check(optimizer)
            .map_err(|problem| header.error(format!("the optimizer: {problem}")))?;
        let optimizer =
            Optimizer::from_json(optimizer, compiled).map_err(|problem| header.error(problem))?;
        // One that was not named follows from the data again.
        let loss = match header.entry(LOSS) {
            None => None,
            Some(text) => Some(
                Loss::from_text(text)
                    .ok_or_else(|| header.error(format!("its loss is {text:?}, which is none")))?,
            ),
        };
        let count = |key| match header.is_checkpoint() {
            true => header.number(key),
            false => Ok(0),
        };
        let state = Self {
            step: count(STEP)?,
            epoch: count(EPOCH)?,
            optimized_from: count(OPTIMIZED_FROM)?,
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
    let optimizer = state.filter(|_| header.is_checkpoint());
    let mut tensors = tensors(network, optimizer.map(|state| &state.optimizer));
    // It may have none of the optimizer's, which then begins without; zeros stood for them before there were
    // layers in files.
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
async fn put(
    model: &mut Sequential,
    header: &Header<'_>,
    found: Found,
    state: Option<State>,
) -> Result<()> {
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
    model.metadata.extend(header.users_entries());
    Ok(())
}

/// Reads a file, of this name in errors, into a network: these contents, or all that there are.
pub(super) async fn read(
    model: &mut Sequential,
    name: &str,
    file: &mut impl Read,
    contents: Option<Contents>,
) -> Result<()> {
    let header = read_header(name, file)?;
    match (contents, header.is_checkpoint()) {
        (Some(Contents::Model), true) => {
            let detail = "it is a checkpoint; use load_checkpoint, or Sequential::open";
            return Err(header.error(detail));
        }
        (Some(Contents::Checkpoint), false) => {
            let detail = "not a checkpoint: it has no state of a training; use load";
            return Err(header.error(detail));
        }
        _ => {}
    }
    if let Some(builder) = header.builder()? {
        let checked = architecture::check(&builder, &model.builder);
        checked.map_err(|problem| header.error(problem))?;
    }
    let state = match header.is_checkpoint() {
        true => Some(State::read(&header, Some(&model.optimizer))?),
        false => None,
    };
    let seed = state.as_ref().map_or(model.seed, |state| state.seed);
    let network = model.builder.network_for(&model.gpu, seed)?;
    let found = find(&header, file, &network, state.as_ref())?;
    put(model, &header, found, state).await?;
    model.network = network;
    Ok(())
}

/// The network of a file, of this name in errors.
pub(super) async fn open(gpu: &Gpu, name: &str, file: &mut impl Read) -> Result<Sequential> {
    let header = read_header(name, file)?;
    let Some(builder) = header.builder()? else {
        let load = match header.is_checkpoint() {
            true => "load_checkpoint",
            false => "load",
        };
        return Err(header.error(format!(
            "it has weights and no layers, which are its {MODEL_CONFIG}; build the network, then {load}"
        )));
    };
    let state = State::read(&header, None)?;
    let seed = state.seed;
    let network = builder
        .network_for(gpu, seed)
        .map_err(|problem| header.not_to_be_built(problem))?;
    let found = find(&header, file, &network, Some(&state))?;
    let mut model = builder.allocate(gpu, network, seed)?;
    put(&mut model, &header, found, Some(state)).await?;
    Ok(model)
}
