//! The messages of an ONNX file that say what its network is. Their fields have the numbers of onnx.proto.

use std::collections::BTreeMap;

use super::super::float::Float;
use super::constant::elements;
use super::proto::{Field, Malformed, Message};

type Result<T> = std::result::Result<T, String>;

fn malformed(problem: Malformed) -> String {
    problem.to_string()
}

/// A model's graph, and the operators that it is written in.
#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    /// Of the standard operators.
    pub opset: i64,
    pub nodes: Vec<Node<'a>>,
    pub initializers: Vec<Tensor<'a>>,
    pub inputs: Vec<ValueInfo<'a>>,
    pub outputs: Vec<ValueInfo<'a>>,
    /// What made the model, and strings of its maker's.
    pub metadata: BTreeMap<&'a str, &'a str>,
}

/// It refers to the file. The smallest takes 25 times its bytes.
#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    pub name: &'a str,
    pub operator: &'a str,
    pub domain: &'a str,
    pub inputs: Vec<&'a str>,
    pub outputs: Vec<&'a str>,
    attributes: Vec<Message<'a>>,
}

#[derive(Clone, Debug)]
pub(super) struct Tensor<'a> {
    pub name: &'a str,
    pub shape: Vec<usize>,
    data_type: i64,
    message: Message<'a>,
}

/// An input or output of the graph.
#[derive(Debug, Default)]
pub(super) struct ValueInfo<'a> {
    pub name: &'a str,
    /// What it is if it is a tensor.
    pub data_type: Option<i64>,
    /// None is an extent that is open. None of all if it is not said.
    pub shape: Option<Vec<Option<usize>>>,
}

/// The keys in a network's metadata of what has made its file.
pub(super) const PRODUCER: [&str; 2] = ["producer_name", "producer_version"];

pub(super) const FLOAT: i64 = 1;
pub(super) const INT64: i64 = 7;
const INT32: i64 = 6;
const BOOL: i64 = 9;
const FLOAT16: i64 = 10;
const DOUBLE: i64 = 11;
const BFLOAT16: i64 = 16;

/// The operators' versions that are read: 26 is that of ONNX 1.21.
const MIN_OPSET: i64 = 7;

pub(super) fn is_float(data_type: i64) -> bool {
    [FLOAT, FLOAT16, DOUBLE, BFLOAT16].contains(&data_type)
}

/// The graph of a model.
pub(super) fn read(bytes: &[u8]) -> Result<Graph<'_>> {
    let mut graph = None;
    let mut opset = None;
    let mut metadata = BTreeMap::new();
    for field in Message(bytes) {
        match field.map_err(malformed)? {
            (number @ (2 | 3), field) => {
                let [name, version] = PRODUCER;
                let key = if number == 2 { name } else { version };
                metadata.insert(key, field.text().map_err(malformed)?);
            }
            (14, field) => {
                let (key, value) = entry(field).map_err(malformed)?;
                metadata.insert(key, value);
            }
            (7, field) if graph.is_none() => graph = Some(field.message().map_err(malformed)?),
            (7, _) => return Err("not an ONNX file: it has two graphs".into()),
            (8, field) => {
                let (mut domain, mut version) = ("", 0);
                for field in field.message().map_err(malformed)? {
                    match field.map_err(malformed)? {
                        (1, field) => domain = field.text().map_err(malformed)?,
                        (2, field) => version = field.number().map_err(malformed)?,
                        _ => {}
                    }
                }
                if is_standard(domain) {
                    opset = Some(version);
                }
            }
            _ => {}
        }
    }
    let (Some(graph), Some(opset)) = (graph, opset) else {
        return Err("not an ONNX model: it has no graph, or no version of operators".into());
    };
    if opset < MIN_OPSET {
        return Err(format!(
            "its operators are those of opset {opset}; from {MIN_OPSET} on they can be read"
        ));
    }
    let graph = Graph::read(graph, opset).map_err(malformed)?;
    Ok(Graph { metadata, ..graph })
}

/// A string and its key.
fn entry(field: Field<'_>) -> std::result::Result<(&str, &str), Malformed> {
    let (mut key, mut value) = ("", "");
    for field in field.message()? {
        match field? {
            (1, field) => key = field.text()?,
            (2, field) => value = field.text()?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// Whether operators of this domain are ONNX's own.
pub(super) fn is_standard(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

impl<'a> Graph<'a> {
    fn read(message: Message<'a>, opset: i64) -> std::result::Result<Self, Malformed> {
        let mut graph = Self {
            opset,
            ..Self::default()
        };
        for field in message {
            let (number, field) = field?;
            match number {
                1 => graph.nodes.push(Node::read(field.message()?)?),
                5 => graph.initializers.push(Tensor::read(field.message()?)?),
                11 => graph.inputs.push(ValueInfo::read(field.message()?)?),
                12 => graph.outputs.push(ValueInfo::read(field.message()?)?),
                _ => {}
            }
        }
        let names = graph
            .inputs
            .iter()
            .chain(&graph.outputs)
            .map(|info| info.name);
        let mut names = names.chain(graph.initializers.iter().map(|tensor| tensor.name));
        match names.any(str::is_empty) {
            true => Err(Malformed),
            false => Ok(graph),
        }
    }
}

impl<'a> Node<'a> {
    fn read(message: Message<'a>) -> std::result::Result<Self, Malformed> {
        let mut node = Self::default();
        for field in message {
            let (number, field) = field?;
            match number {
                1 => node.inputs.push(field.text()?),
                2 => node.outputs.push(field.text()?),
                3 => node.name = field.text()?,
                4 => node.operator = field.text()?,
                5 => node.attributes.push(field.message()?),
                7 => node.domain = field.text()?,
                _ => {}
            }
        }
        match (node.operator, &node.outputs[..]) {
            ("", _) | (_, []) => Err(Malformed),
            _ => Ok(node),
        }
    }

    /// An input that is there.
    pub fn input(&self, position: usize) -> Option<&'a str> {
        let name = self.inputs.get(position).copied();
        name.filter(|name| !name.is_empty())
    }

    /// The value of an attribute that is there.
    pub fn attribute(&self, name: &str) -> Result<Option<Attribute<'a>>> {
        for &message in &self.attributes {
            let attribute = Attribute::read(message).map_err(malformed)?;
            if attribute.name == name {
                return Ok(Some(attribute));
            }
        }
        Ok(None)
    }

    pub fn int(&self, name: &str, default: i64) -> Result<i64> {
        match self.attribute(name)? {
            None => Ok(default),
            Some(attribute) => attribute.int.ok_or_else(|| format!("{name} is no int")),
        }
    }

    pub fn float(&self, name: &str, default: f32) -> Result<f32> {
        match self.attribute(name)? {
            None => Ok(default),
            Some(attribute) => attribute.float.ok_or_else(|| format!("{name} is no float")),
        }
    }

    pub fn text(&self, name: &str, default: &'a str) -> Result<&'a str> {
        match self.attribute(name)? {
            None => Ok(default),
            Some(attribute) => attribute.text.ok_or_else(|| format!("{name} is no text")),
        }
    }

    /// None if there is no such attribute.
    pub fn ints(&self, name: &str) -> Result<Option<Vec<i64>>> {
        Ok(self.attribute(name)?.map(|attribute| attribute.ints))
    }
}

/// Of whichever type it is.
#[derive(Debug, Default)]
pub(super) struct Attribute<'a> {
    name: &'a str,
    pub int: Option<i64>,
    pub float: Option<f32>,
    pub text: Option<&'a str>,
    pub tensor: Option<Tensor<'a>>,
    pub ints: Vec<i64>,
    pub floats: Vec<f32>,
}

impl<'a> Attribute<'a> {
    fn read(message: Message<'a>) -> std::result::Result<Self, Malformed> {
        let mut attribute = Self::default();
        let mut data_type = 0;
        for field in message {
            let (number, field) = field?;
            match number {
                1 => attribute.name = field.text()?,
                2 => attribute.float = Some(field.float()?),
                3 => attribute.int = Some(field.number()?),
                4 => attribute.text = field.text().ok(),
                5 => attribute.tensor = Some(Tensor::read(field.message()?)?),
                7 => field.extend_floats(&mut attribute.floats)?,
                8 => field.extend_numbers(&mut attribute.ints)?,
                20 => data_type = field.number()?,
                _ => {}
            }
        }
        // Some writers leave out zeros.
        match data_type {
            1 => attribute.float = attribute.float.or(Some(0.0)),
            2 => attribute.int = attribute.int.or(Some(0)),
            3 => attribute.text = attribute.text.or(Some("")),
            _ => {}
        }
        Ok(attribute)
    }
}

/// Where the values of a tensor are if they are in another file.
#[derive(Debug, Default)]
pub(super) struct External<'a> {
    pub location: &'a str,
    pub offset: u64,
    pub len: u64,
}

impl<'a> Tensor<'a> {
    fn read(message: Message<'a>) -> std::result::Result<Self, Malformed> {
        let mut tensor = Self {
            name: "",
            shape: Vec::new(),
            data_type: 0,
            message,
        };
        let mut shape = Vec::new();
        for field in message {
            let (number, field) = field?;
            match number {
                1 => field.extend_numbers(&mut shape)?,
                2 => tensor.data_type = field.number()?,
                8 => tensor.name = field.text()?,
                _ => {}
            }
        }
        let extents = shape.into_iter().map(usize::try_from);
        tensor.shape = extents
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| Malformed)?;
        Ok(tensor)
    }

    pub fn len(&self) -> Result<usize> {
        elements(&self.shape)
            .ok_or_else(|| format!("{:?} has a shape of {:?}", self.name, self.shape))
    }

    /// The bytes of its message.
    pub fn size(&self) -> usize {
        self.message.0.len()
    }

    pub fn is_float(&self) -> bool {
        is_float(self.data_type)
    }

    /// The bytes of an element, in raw data.
    fn element(&self) -> Result<usize> {
        match self.data_type {
            FLOAT | INT32 => Ok(4),
            DOUBLE | INT64 => Ok(8),
            FLOAT16 | BFLOAT16 => Ok(2),
            BOOL => Ok(1),
            other => Err(format!(
                "{:?} is of data type {other}; floats (1, 10, 11, 16) can be read, integers (6, 7) and bools (9)",
                self.name
            )),
        }
    }

    /// Where its values are if they are elsewhere.
    pub fn external(&self) -> Result<Option<External<'a>>> {
        let mut external = External::default();
        let mut is_external = false;
        let mut len = None;
        for field in self.message {
            match field.map_err(malformed)? {
                (14, field) => is_external = field.number().map_err(malformed)? == 1,
                (13, field) => {
                    let (key, value) = entry(field).map_err(malformed)?;
                    let number = || {
                        let wrong = |_| format!("{:?} has {key} {value:?}", self.name);
                        value.parse().map_err(wrong)
                    };
                    match key {
                        "location" => external.location = value,
                        "offset" => external.offset = number()?,
                        "length" => len = Some(number()?),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        if !is_external {
            return Ok(None);
        }
        let wrong = || format!("{:?} has a shape of {:?}", self.name, self.shape);
        let needed = self.len()?.checked_mul(self.element()?).ok_or_else(wrong)? as u64;
        if len.is_some_and(|len| len != needed) {
            return Err(format!(
                "{:?} has {needed} bytes by its shape {:?}, and a length of {} in {:?}",
                self.name,
                self.shape,
                len.unwrap_or_default(),
                external.location
            ));
        }
        external.len = needed;
        Ok(Some(external))
    }

    /// Its values as f32s; raw is what another file has of it.
    pub fn floats(&self, raw: Option<&[u8]>) -> Result<Vec<f32>> {
        let mut found = Vec::new();
        let mut bits = Vec::new();
        let mut bytes = raw;
        for field in self.message {
            match field.map_err(malformed)? {
                (4, field) => field.extend_floats(&mut found).map_err(malformed)?,
                (5, field) => field.extend_numbers(&mut bits).map_err(malformed)?,
                (10, field) => field.extend_doubles(&mut found).map_err(malformed)?,
                (9, field) if raw.is_none() => bytes = Some(field.bytes().map_err(malformed)?),
                _ => {}
            }
        }
        let element = self.element()?;
        let float = match self.data_type {
            FLOAT16 => Float::F16,
            BFLOAT16 => Float::Bf16,
            DOUBLE => Float::F64,
            _ => Float::F32,
        };
        if let Some(bytes) = bytes {
            self.check(bytes.len() / element, bytes.len() % element)?;
            return Ok(float.f32s(bytes));
        }
        // 16 bits of each.
        let halves: Vec<_> = bits
            .iter()
            .flat_map(|&bits| (bits as u16).to_le_bytes())
            .collect();
        found.extend(float.f32s(&halves));
        self.check(found.len(), 0)?;
        Ok(found)
    }

    /// Its values if they are integers.
    pub fn ints(&self, raw: Option<&[u8]>) -> Result<Vec<i64>> {
        let element = self.element()?;
        if self.is_float() {
            return Err(format!("{:?} has floats, in place of integers", self.name));
        }
        let mut found = Vec::new();
        let mut bytes = raw;
        for field in self.message {
            match field.map_err(malformed)? {
                (5 | 7, field) => field.extend_numbers(&mut found).map_err(malformed)?,
                (9, field) if raw.is_none() => bytes = Some(field.bytes().map_err(malformed)?),
                _ => {}
            }
        }
        if let Some(bytes) = bytes {
            self.check(bytes.len() / element, bytes.len() % element)?;
            return Ok(match self.data_type {
                BOOL => bytes.iter().map(|&byte| byte.into()).collect(),
                INT32 => chunks(bytes)
                    .map(|b| i32::from_le_bytes(b).into())
                    .collect(),
                _ => chunks(bytes).map(i64::from_le_bytes).collect(),
            });
        }
        self.check(found.len(), 0)?;
        Ok(found)
    }

    fn check(&self, found: usize, rest: usize) -> Result<()> {
        if (found, rest) == (self.len()?, 0) {
            return Ok(());
        }
        Err(format!(
            "{:?} has {found} values, its shape is {:?}",
            self.name, self.shape
        ))
    }
}

fn chunks<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks().0.iter().copied()
}

impl<'a> ValueInfo<'a> {
    fn read(message: Message<'a>) -> std::result::Result<Self, Malformed> {
        let mut info = Self::default();
        for field in message {
            match field? {
                (1, field) => info.name = field.text()?,
                (2, field) => {
                    for field in field.message()? {
                        if let (1, field) = field? {
                            info.read_tensor(field.message()?)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(info)
    }

    fn read_tensor(&mut self, message: Message<'a>) -> std::result::Result<(), Malformed> {
        for field in message {
            match field? {
                (1, field) => self.data_type = Some(field.number()?),
                (2, field) => {
                    let mut shape = Vec::new();
                    for field in field.message()? {
                        let (1, field) = field? else { continue };
                        let mut extent = None;
                        for field in field.message()? {
                            if let (1, field) = field? {
                                // Negative ones, and 0, stand for any.
                                let value = usize::try_from(field.number()?).ok();
                                extent = value.filter(|&value| value > 0);
                            }
                        }
                        shape.push(extent);
                    }
                    self.shape = Some(shape);
                }
                _ => {}
            }
        }
        Ok(())
    }
}
