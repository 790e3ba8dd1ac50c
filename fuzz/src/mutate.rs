//! Bytes that are changed at random are hardly ever JSON, so the header is changed as what it is: the
//! numbers, types and names in it, and what it has of each. The file stays one of safetensors: the
//! header's length, the header, the data.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// Where sums and products leave 32 or 64 bits, and around.
const NUMBERS: [u64; 20] = [
    0,
    1,
    2,
    3,
    7,
    8,
    100_000_000,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 53,
    1 << 60,
    (1 << 61) - 1,
    1 << 61,
    1 << 62,
    1 << 63,
    u64::MAX - 8,
    u64::MAX - 1,
    u64::MAX,
];

const TEXTS: [&str; 34] = [
    "F32",
    "U8",
    "F16",
    "F64",
    "F4",
    "BOOL",
    "__metadata__",
    "dense/kernel",
    "dense/bias",
    "dense_1/kernel",
    "adam/dense/kernel/m",
    "step",
    "seed",
    "18446744073709551615",
    "9007199254740993",
    "-1",
    "model_config",
    "class_name",
    "config",
    "layers",
    "activation",
    "Flatten",
    "Activation",
    "LeakyReLU",
    "LecunNormal",
    "selu",
    "loss",
    "huber 0.5",
    "relu",
    "ReLU",
    "Dropout",
    "units",
    "optimized_from",
    "classes",
];

/// libFuzzer's own change.
type Bytes = fn(&mut [u8], usize, usize) -> usize;

struct File {
    header: Map<String, Value>,
    data: Vec<u8>,
}

/// Changes the first `size` bytes of `input`, and says how many they are then.
pub fn mutate(input: &mut [u8], size: usize, max: usize, seed: u32, bytes: Bytes) -> usize {
    let mut random = Rng::with_seed(seed.into());
    let file = match random.u8(..4) {
        0 => None,
        _ => File::parse(&input[..size]),
    };
    let Some(mut file) = file else {
        return bytes(input, size, max);
    };
    for _ in 0..random.usize(1..4) {
        file.change(&mut random);
    }
    if random.bool() {
        let end = file.lay_out(max);
        if random.u8(..8) == 0 {
            file.fill(end, NUMBERS[random.usize(..NUMBERS.len())]);
        }
    }
    let mutated = file.bytes(&mut random);
    if mutated.len() > max {
        return bytes(input, size, max);
    }
    input[..mutated.len()].copy_from_slice(&mutated);
    mutated.len()
}

impl File {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk()?;
        let (header, data) = rest.split_at_checked(u64::from_le_bytes(*len).try_into().ok()?)?;
        Some(Self {
            header: serde_json::from_slice(header).ok()?,
            data: data.into(),
        })
    }

    fn bytes(&self, random: &mut Rng) -> Vec<u8> {
        let header = Value::from(self.header.clone()).to_string();
        let len = match random.u8(..32) {
            0 => NUMBERS[random.usize(..NUMBERS.len())],
            1 => header.len() as u64 + self.data.len() as u64,
            _ => header.len() as u64,
        };
        [&len.to_le_bytes(), header.as_bytes(), &self.data].concat()
    }

    fn change(&mut self, random: &mut Rng) {
        if random.bool() && self.change_json(random).is_some() {
            return;
        }
        let text = TEXTS[random.usize(..TEXTS.len())];
        let number = NUMBERS[random.usize(..NUMBERS.len())];
        let name = random.choice(self.header.keys()).cloned();
        match random.u8(..12) {
            0..=3 => {
                let mut numbers = Vec::new();
                leaves(self.header.values_mut(), Value::is_number, &mut numbers);
                if let Some(found) = random.choice(numbers) {
                    let near = found.as_u64().unwrap_or_default();
                    *found = match random.u8(..4) {
                        0 => near.wrapping_add(1).into(),
                        1 => near.wrapping_sub(1).into(),
                        _ => number.into(),
                    };
                }
            }
            4 => {
                let mut texts = Vec::new();
                leaves(self.header.values_mut(), Value::is_string, &mut texts);
                if let Some(found) = random.choice(texts) {
                    *found = text.into();
                }
            }
            // Another name for what there is, beside it or instead.
            5 | 6 => {
                if let Some(name) = name {
                    let value = match random.bool() {
                        true => self.header.get(&name).cloned(),
                        false => self.header.remove(&name),
                    };
                    let other = match random.bool() {
                        true => text.into(),
                        false => format!("{name}{}", random.u8(..10)),
                    };
                    self.header.insert(other, value.unwrap_or_default());
                }
            }
            7 => {
                if let Some(name) = name {
                    self.header.remove(&name);
                }
            }
            8 => {
                let dtype = TEXTS[random.usize(..6)];
                let tensor =
                    json!({"dtype": dtype, "shape": [number], "data_offsets": [0, number]});
                self.header.insert(text.into(), tensor);
            }
            // An axis more or fewer.
            9 => {
                let shape = name.and_then(|name| self.header.get_mut(&name)?.get_mut("shape"));
                if let Some(Value::Array(shape)) = shape {
                    match random.bool() {
                        true => shape.push(number.into()),
                        false => drop(shape.pop()),
                    }
                }
            }
            10 => {
                let mut all = Vec::new();
                leaves(self.header.values_mut(), |_| true, &mut all);
                let kinds = [
                    json!(null),
                    json!([]),
                    json!({}),
                    json!(-1),
                    json!(0.5),
                    json!([[[]]]),
                ];
                if let (Some(found), Some(kind)) = (random.choice(all), random.choice(kinds)) {
                    *found = kind;
                }
            }
            _ => {
                let len = random.usize(..64);
                match random.bool() {
                    true => self.data.resize(len, 0),
                    false => self.data.iter_mut().for_each(|byte| *byte = random.u8(..)),
                }
            }
        }
    }

    /// Changes an entry of the metadata that is JSON itself, somewhere in it.
    fn change_json(&mut self, random: &mut Rng) -> Option<()> {
        let entries = self.header.get_mut("__metadata__")?.as_object_mut()?;
        let entry = random.choice(entries.values_mut())?;
        let mut json: Value = serde_json::from_str(entry.as_str()?).ok()?;
        change_within(&mut json, random);
        *entry = json.to_string().into();
        Some(())
    }

    /// Lays the tensors one behind the other, as long as their shapes say, so that a shape comes
    /// further than to the first check. Says where they end.
    fn lay_out(&mut self, max: usize) -> u64 {
        let begin = |tensor: &&mut Value| tensor["data_offsets"][0].as_u64();
        let mut tensors: Vec<_> = (self.header.iter_mut())
            .filter(|(name, value)| *name != "__metadata__" && value.is_object())
            .map(|(_, value)| value)
            .collect();
        tensors.sort_by_key(begin);
        let mut end = 0u64;
        for tensor in tensors {
            let bits = match tensor["dtype"].as_str() {
                Some("U8" | "BOOL") => 8,
                Some("F16") => 16,
                Some("F64") => 64,
                Some("F4") => 4,
                _ => 32,
            };
            let shape = tensor["shape"].as_array();
            let elements = shape
                .into_iter()
                .flatten()
                .try_fold(1u64, |product, axis| product.checked_mul(axis.as_u64()?));
            let Some(bits) = elements.and_then(|elements| elements.checked_mul(bits)) else {
                continue;
            };
            let start = end;
            end = end.wrapping_add(bits / 8);
            tensor["data_offsets"] = json!([start, end]);
        }
        if end <= max as u64 {
            self.data.resize(end as usize, 1);
        }
        end
    }

    /// Adds tensors up to `end`. None of them can have more bytes than there are numbers of bits.
    fn fill(&mut self, mut start: u64, end: u64) {
        while start < end {
            let len = (end - start).min(u64::MAX / 8);
            let tensor =
                json!({"dtype": "U8", "shape": [len], "data_offsets": [start, start + len]});
            self.header.insert(format!("{start}"), tensor);
            start += len;
        }
    }
}

fn change_within(value: &mut Value, random: &mut Rng) {
    let within: Vec<_> = match value {
        Value::Array(values) => values.iter_mut().collect(),
        Value::Object(entries) => entries.values_mut().collect(),
        _ => Vec::new(),
    };
    let containers = within.into_iter();
    let containers: Vec<_> = containers
        .filter(|value| value.is_array() || value.is_object())
        .collect();
    if random.u8(..4) > 0
        && let Some(container) = random.choice(containers)
    {
        return change_within(container, random);
    }
    match value {
        Value::Object(entries) => {
            let header = std::mem::take(entries);
            let mut inner = File {
                header,
                data: Vec::new(),
            };
            inner.change(random);
            *entries = inner.header;
        }
        Value::Array(values) if !values.is_empty() => {
            let index = random.usize(..values.len());
            match random.bool() {
                true => values.insert(index, values[index].clone()),
                false => drop(values.remove(index)),
            }
        }
        _ => {}
    }
}

/// The values without others in them that are such, wherever they are.
fn leaves<'a>(
    values: impl IntoIterator<Item = &'a mut Value>,
    are: fn(&Value) -> bool,
    found: &mut Vec<&'a mut Value>,
) {
    for value in values {
        match value {
            Value::Array(values) => leaves(values, are, found),
            Value::Object(entries) => leaves(entries.values_mut(), are, found),
            leaf if are(leaf) => found.push(leaf),
            _ => {}
        }
    }
}
