//! Networks and their training in the safetensors format.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::Read;

use half::{bf16, f16};
use hashbrown::HashSet;
use safetensors::Dtype as Stored;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::{Map, Value, json};

use super::contents::{Contents, Placed, Snapshot, State, put};
use super::float::Float;
use super::mapping::{self, Dtype, Elsewhere, Loaded, Mapping, Origin};
use super::metadata::{
    EPOCH, LOSS, LOSS_SCALE, LOSS_SCALE_STEPS, MODEL_CONFIG, OPTIMIZED_FROM, OPTIMIZER, SEED,
    STATE, STEP,
};
use super::{architecture, config, error, metadata, scan};
use crate::gpu::transfer;
use crate::nn::SequentialBuilder;
use crate::nn::network::Network;
use crate::nn::sequential::Sequential;
use crate::ops::network::guard::LossScale;
use crate::ops::network::loss::Loss;
use crate::ops::network::optimizer::Optimizer;
use crate::{Error, Gpu, Result};

/// The format's limit.
const MAX_HEADER: u64 = 100_000_000;

/// What the format aligns the tensors to.
const ALIGNMENT: usize = 8;

/// The bytes that are read at once, a multiple of any value's.
const PIECE: usize = 1 << 16;

/// A tensor of a file: a weight, or what an optimizer stores for one.
struct Tensor<'a> {
    there: Elsewhere<'a>,
    slot: Option<usize>,
}

/// The weights, and what an optimizer stores for them.
fn tensors<'a>(
    weights: Vec<Elsewhere<'a>>,
    network: &'a Network,
    optimizer: Option<&Optimizer>,
) -> Vec<Tensor<'a>> {
    let tensor = |there, slot| Tensor { there, slot };
    let mut tensors: Vec<_> = weights
        .into_iter()
        .map(|there| tensor(there, None))
        .collect();
    if let Some(optimizer) = optimizer {
        for weight in network.trained_weights() {
            for (slot, kind) in optimizer.slots().iter().enumerate() {
                let name = format!("{}/{}/{kind}", optimizer.name(), weight.name);
                tensors.push(tensor(Elsewhere::same(name, weight), Some(slot)));
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
    mapping: &Mapping,
    progress: &impl transfer::Progress,
) -> Result<Vec<u8>> {
    let snapshot = Snapshot::of(model, contents, progress).await?;
    let weights = mapping::names(mapping, &model.builder, &model.network);
    let weights = weights.map_err(|problem| error(name, problem))?;
    let optimizer = snapshot.has_slots().then_some(&model.optimizer);
    let mut tensors = tensors(weights, &model.network, optimizer);
    tensors.sort_by(|a, b| a.there.name.cmp(&b.there.name));
    // Layers are this network's own only by its own names.
    let entries = match (mapping.origin, mapping.has_renames()) {
        (Origin::Keras, false) => entries(model, contents, &snapshot),
        (Origin::Keras, true) => model.metadata.clone(),
        // Which some readers ask for.
        (Origin::PyTorch, _) => BTreeMap::from_iter([("format".to_owned(), "pt".to_owned())]),
    };
    serialize(&entries, &tensors, &snapshot, mapping.dtype).map_err(|problem| error(name, problem))
}

/// The same network is the same bytes: the format's own crate writes the metadata in any order.
fn serialize(
    entries: &BTreeMap<String, String>,
    tensors: &[Tensor],
    snapshot: &Snapshot,
    dtype: Dtype,
) -> std::result::Result<Vec<u8>, String> {
    let mut header = Map::from_iter([("__metadata__".to_owned(), json!(entries))]);
    let mut end = 0;
    for Tensor { there, .. } in tensors {
        let begin = end;
        end += there.weight.len * dtype.bytes();
        let info = json!({
            "dtype": dtype.name(),
            "shape": there.shape,
            "data_offsets": [begin, end],
        });
        header.insert(there.name.clone(), info);
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
    for Tensor { there, slot } in tensors {
        let values = snapshot.values(there.weight, *slot);
        match there.places() {
            None => dtype.write(values.iter().copied(), &mut file),
            Some(places) => dtype.write(places.map(|place| values[place]), &mut file),
        }
    }
    Ok(file)
}

fn entries(
    model: &Sequential,
    contents: Contents,
    snapshot: &Snapshot,
) -> BTreeMap<String, String> {
    let mut entries = model.metadata.clone();
    let mut set = |key: &str, value: String| entries.insert(key.into(), value);
    set(MODEL_CONFIG, config::write(&model.builder));
    set(SEED, model.seed.to_string());
    set(OPTIMIZER, model.optimizer.to_json());
    if let Some(loss) = model.loss {
        set(LOSS, loss.to_text());
    }
    if contents == Contents::Checkpoint {
        set(STEP, snapshot.step.to_string());
        set(EPOCH, model.epoch.to_string());
        set(OPTIMIZED_FROM, snapshot.optimized_from.to_string());
        if let Some(loss_scale) = snapshot.loss_scale {
            set(LOSS_SCALE, loss_scale.scale().to_string());
            set(LOSS_SCALE_STEPS, loss_scale.steps.to_string());
        }
    }
    entries
}

impl Dtype {
    fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    fn write(self, values: impl Iterator<Item = f32>, file: &mut Vec<u8>) {
        match self {
            Self::F32 => file.extend(values.flat_map(f32::to_le_bytes)),
            Self::F16 => file.extend(values.flat_map(|x| f16::from_f32(x).to_le_bytes())),
            Self::Bf16 => file.extend(values.flat_map(|x| bf16::from_f32(x).to_le_bytes())),
        }
    }
}

/// A type that is read.
fn float(stored: Stored) -> Option<Float> {
    match stored {
        Stored::F16 => Some(Float::F16),
        Stored::BF16 => Some(Float::Bf16),
        Stored::F32 => Some(Float::F32),
        Stored::F64 => Some(Float::F64),
        _ => None,
    }
}

/// What is read, and how much of it there is: whatever a header announces, memory is for what is there.
pub(super) struct File<R> {
    reader: R,
    left: u64,
}

impl<R: Read> File<R> {
    pub fn new(reader: R, len: u64) -> Self {
        Self { reader, left: len }
    }

    /// The next `len` bytes, or all that are left.
    fn read(&mut self, len: u64) -> std::io::Result<Vec<u8>> {
        let len = len.min(self.left);
        let mut bytes = vec![0; len as usize];
        self.reader.read_exact(&mut bytes)?;
        self.left -= len;
        Ok(bytes)
    }
}

/// The header of a safetensors file. `SafeTensors::deserialize` overflows if the tensors that a
/// header announces end at the last byte that a number can count.
fn read_header<'a>(name: &'a str, file: &mut File<impl Read>) -> Result<Header<'a>> {
    let not_one = |detail: String| error(name, format!("not a safetensors file: {detail}"));
    let mut read = |len| file.read(len).map_err(|problem| error(name, problem));
    let prefix = <[u8; 8]>::try_from(read(8)?)
        .map_err(|prefix| not_one(format!("it has {} bytes", prefix.len())))?;
    if prefix.starts_with(b"PK\x03\x04") {
        return Err(not_one(
            "a zip file, as torch.save and Keras write; see safetensors.torch.save_file, or nn::keras".into(),
        ));
    }
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

impl State {
    /// For a network that is `compiled`, or for a new one: at its beginning, unless the file is a checkpoint.
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
            loss_scale: LossScale::read(header)?,
        };
        state.checked().map_err(|problem| header.error(problem))
    }
}

impl LossScale {
    /// That of a checkpoint that has one.
    fn read(header: &Header) -> Result<Option<Self>> {
        if !header.is_checkpoint() || header.entry(LOSS_SCALE).is_none() {
            return Ok(None);
        }
        let [scale, steps] = [header.number(LOSS_SCALE)?, header.number(LOSS_SCALE_STEPS)?];
        let few = u32::try_from(steps).map_err(|_| {
            header.error(format!(
                "{LOSS_SCALE_STEPS} is {steps}, more than there can be"
            ))
        })?;
        let small = u32::try_from(scale).ok();
        let read = small.and_then(|scale| Self::new(scale, few));
        let wrong = || {
            header.error(format!(
                "{LOSS_SCALE} is {scale}, not a power of two up to 2^24"
            ))
        };
        read.ok_or_else(wrong).map(Some)
    }
}

/// Reads what is behind the header, if all of it is the network's, or as much as a mapping asks for.
fn find(
    header: &Header,
    file: &mut File<impl Read>,
    model: (&SequentialBuilder, &Network),
    mapping: &Mapping,
    state: Option<&State>,
) -> Result<(Vec<Placed>, Loaded)> {
    let (builder, network) = model;
    if let Some(loss) = state.and_then(|state| state.loss) {
        let checked = network.check_loss("its loss", loss);
        checked.map_err(|problem| header.error(problem))?;
    }
    let metadata = &header.metadata;
    let all = metadata.tensors();
    let shapes = all.iter().map(|(name, info)| (&name[..], &info.shape[..]));
    let weights = mapping::find(mapping, builder, network, &shapes.collect());
    let weights = weights.map_err(|problem| header.error(problem))?;
    let optimizer = state.filter(|_| header.is_checkpoint());
    let mut tensors = tensors(weights, network, optimizer.map(|state| &state.optimizer));
    // It may have none of the optimizer's, which then begins without; zeros stood for them before there were
    // layers in files.
    let is_there =
        |tensor: &Tensor| tensor.slot.is_some() && metadata.info(&tensor.there.name).is_some();
    if header.entry(MODEL_CONFIG).is_some() && !tensors.iter().any(is_there) {
        tensors.retain(|tensor| tensor.slot.is_none());
    }
    let (wanted, loaded) = select(header, tensors, network, mapping)?;
    if let Some(key) = loaded.left_over.first().filter(|_| !mapping.is_partial) {
        return Err(header.error(format!("it has {key}, which the network has not")));
    }
    let placed = read_tensors(header, file, wanted)?;
    Ok((placed, loaded))
}

/// A tensor that is read, with its place and type in the file.
type Wanted<'a> = (&'a TensorInfo, Float, Tensor<'a>);

/// The tensors that the file has as they are needed; of a layer all or none.
fn select<'a>(
    header: &'a Header,
    tensors: Vec<Tensor<'a>>,
    network: &Network,
    mapping: &Mapping,
) -> Result<(Vec<Wanted<'a>>, Loaded)> {
    let mut loaded = Loaded::default();
    // Of layers that the file has nothing for.
    let named = tensors.iter().map(|tensor| &tensor.there.weight.name);
    let named: HashSet<_> = named.collect();
    let nameless = network.weights().map(|weight| &weight.name);
    let nameless = nameless.filter(|name| !named.contains(name));
    loaded.missing.extend(nameless.cloned());
    let mut found = Vec::new();
    let mut unfit = HashSet::new();
    for tensor in tensors {
        let there = &tensor.there;
        let weight = there.weight;
        let info = header.metadata.info(&there.name);
        let fits = |info: &&TensorInfo| info.shape == there.shape;
        let float = info.filter(fits).and_then(|info| float(info.dtype));
        match (info, float) {
            (Some(info), Some(float)) => {
                found.push((info, float, tensor));
                continue;
            }
            _ if !mapping.is_partial => return Err(header.error(misfit(there, info, mapping))),
            (None, _) => loaded.missing.push(weight.name.clone()),
            (Some(_), None) => loaded.mismatched.push(weight.name.clone()),
        }
        unfit.insert(weight.layer());
    }
    let mut wanted = Vec::new();
    for (info, float, tensor) in found {
        let Elsewhere { name, weight, .. } = &tensor.there;
        if unfit.contains(weight.layer()) {
            loaded.mismatched.push(weight.name.clone());
        } else {
            loaded.loaded.push((weight.name.clone(), name.clone()));
            wanted.push((info, float, tensor));
        }
    }
    // PyTorch counts batches, and needs the count only for averages that this crate has not.
    let is_counter =
        |key: &str| mapping.origin == Origin::PyTorch && key.ends_with("num_batches_tracked");
    let read: HashSet<_> = loaded.loaded.iter().map(|(_, key)| key).collect();
    let keys = header.metadata.offset_keys().into_iter();
    let left_over = keys.filter(|key| !read.contains(key) && !is_counter(key));
    let left_over = left_over.collect();
    drop(read);
    loaded.left_over = left_over;
    Ok((wanted, loaded))
}

/// Why a tensor can't be read.
fn misfit(there: &Elsewhere, info: Option<&TensorInfo>, mapping: &Mapping) -> String {
    let name = &there.name;
    let Some(TensorInfo { dtype, shape, .. }) = info else {
        return format!("it has no {name}");
    };
    let (own, weight) = (&there.shape, &there.weight.name);
    match mapping.origin {
        Origin::Keras => format!("{name} is {dtype:?} {shape:?}, the network has F32 {own:?}"),
        Origin::PyTorch => format!(
            "{name} is {dtype:?} {shape:?}, {weight} needs F32 {own:?}; give modules their layers by Mapping::rename"
        ),
    }
}

/// One after the other, so that no more than the values and a piece of the file are in memory.
fn read_tensors(
    header: &Header,
    file: &mut File<impl Read>,
    mut wanted: Vec<Wanted>,
) -> Result<Vec<Placed>> {
    let len = header.metadata.data_len() as u64;
    let amount = match file.left.cmp(&len) {
        Ordering::Less => Some("fewer"),
        Ordering::Equal => None,
        Ordering::Greater => Some("more"),
    };
    if let Some(amount) = amount {
        let detail = format!("not a safetensors file: {amount} than {len} bytes of tensors follow");
        return Err(header.error(detail));
    }
    wanted.sort_by_key(|(info, ..)| info.data_offsets);
    let mut placed = Vec::new();
    for (info, float, Tensor { there, slot }) in wanted {
        let (from, to) = info.data_offsets;
        // No two are one: their names are several.
        let behind = from.saturating_sub((len - file.left) as usize);
        pieces(header, file, behind, |_| {})?;
        let mut values = vec![0.0; there.weight.len];
        let mut next = 0..values.len();
        let mut places = there.places();
        pieces(header, file, to - from, |bytes| {
            let read = float.f32s(bytes).into_iter();
            match &mut places {
                None => read
                    .zip(&mut next)
                    .for_each(|(value, place)| values[place] = value),
                Some(places) => read
                    .zip(places)
                    .for_each(|(value, place)| values[place] = value),
            }
        })?;
        placed.push(Placed {
            slot,
            start: there.weight.offset,
            values,
        });
    }
    Ok(placed)
}

/// Reads `len` bytes, piece by piece.
fn pieces(
    header: &Header,
    file: &mut File<impl Read>,
    mut len: usize,
    mut read: impl FnMut(&[u8]),
) -> Result<()> {
    while len > 0 {
        let bytes = file.read(len.min(PIECE) as u64);
        let bytes = bytes.map_err(|problem| header.error(problem))?;
        if bytes.is_empty() {
            return Err(header.error("it has become shorter"));
        }
        len -= bytes.len();
        read(&bytes);
    }
    Ok(())
}

/// Reads a file, of this name in errors, into a network: these contents, or all that there are.
pub(super) async fn read(
    model: &mut Sequential,
    name: &str,
    file: &mut File<impl Read>,
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
    let as_here = Mapping::default();
    let parts = (&model.builder, &network);
    let (placed, _) = find(&header, file, parts, &as_here, state.as_ref())?;
    put(model, placed, state).await?;
    model.metadata.extend(header.users_entries());
    model.network = network;
    Ok(())
}

/// Reads the weights of a file, of this name in errors, as a mapping says.
pub(super) async fn read_with(
    model: &mut Sequential,
    name: &str,
    file: &mut File<impl Read>,
    mapping: &Mapping,
) -> Result<Loaded> {
    let header = read_header(name, file)?;
    let parts = (&model.builder, &model.network);
    let (placed, loaded) = find(&header, file, parts, mapping, None)?;
    put(model, placed, None).await?;
    Ok(loaded)
}

/// The network of a file, of this name in errors.
pub(super) async fn open(gpu: &Gpu, name: &str, file: &mut File<impl Read>) -> Result<Sequential> {
    let header = read_header(name, file)?;
    let Some(builder) = header.builder()? else {
        let (load, or_with) = match header.is_checkpoint() {
            true => ("load_checkpoint", ""),
            false => (
                "load",
                ", or load_with for other names and layouts, as PyTorch's",
            ),
        };
        return Err(header.error(format!(
            "it has weights and no layers, which are its {MODEL_CONFIG}; build the network, then {load}{or_with}"
        )));
    };
    let state = State::read(&header, None)?;
    let seed = state.seed;
    let network = builder
        .network_for(gpu, seed)
        .map_err(|problem| header.not_to_be_built(problem))?;
    let as_here = Mapping::default();
    let (placed, _) = find(&header, file, (&builder, &network), &as_here, Some(&state))?;
    let mut model = builder.allocate(gpu, network, seed)?;
    put(&mut model, placed, Some(state)).await?;
    model.metadata.extend(header.users_entries());
    Ok(model)
}
