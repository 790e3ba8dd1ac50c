//! The part of the HDF5 format that h5py writes for Keras: groups, attributes, and arrays in one piece.
//!
//! Everything is borrowed from the file's bytes, and what is read is counted: no more than twice the file, whatever
//! refers to whatever in it. So time and memory stay within a constant times its size.

use std::collections::BTreeMap;

use super::super::super::float::Float;

/// What is wrong with a file.
type Result<T> = std::result::Result<T, String>;

pub(in super::super) const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// Where there is nothing.
const UNDEFINED: u64 = u64::MAX;

/// Keras nests a group for each part of a weight's path, and three for each model within a model.
const MAX_DEPTH: usize = 32;

/// Of a tree with many more entries than a file has bytes.
const MAX_LEVEL: u8 = 8;

/// No name is longer in a file system, either.
const MAX_NAME: usize = 255;

/// HDF5's limit.
const MAX_AXES: usize = 32;

/// The messages of an object's header.
mod message {
    pub const DATASPACE: u16 = 0x01;
    pub const LINK_INFO: u16 = 0x02;
    pub const DATATYPE: u16 = 0x03;
    pub const LINK: u16 = 0x06;
    pub const EXTERNAL_FILES: u16 = 0x07;
    pub const LAYOUT: u16 = 0x08;
    pub const FILTERS: u16 = 0x0B;
    pub const ATTRIBUTE: u16 = 0x0C;
    pub const CONTINUATION: u16 = 0x10;
    pub const SYMBOL_TABLE: u16 = 0x11;
    pub const ATTRIBUTE_INFO: u16 = 0x15;
}

/// A group, with all that is in it.
#[derive(Debug, Default)]
pub(in super::super) struct Group<'a> {
    pub groups: BTreeMap<&'a str, Group<'a>>,
    pub arrays: BTreeMap<&'a str, Array<'a>>,
    pub attributes: BTreeMap<&'a str, Array<'a>>,
}

impl<'a> Group<'a> {
    /// All of a file, from its root on.
    pub fn open(bytes: &'a [u8]) -> Result<Self> {
        let mut file = File {
            bytes,
            left: 1024 + 2 * bytes.len() as u64,
            collections: BTreeMap::new(),
        };
        let root = file.root()?;
        match file.object(root, 0)? {
            Object::Group(group) => Ok(group),
            Object::Array(_) => Err("its root is no group".into()),
        }
    }

    /// The group at a path.
    pub fn group(&self, path: &str) -> Option<&Self> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        parts.try_fold(self, |group, part| group.groups.get(part))
    }

    /// The array at a path.
    pub fn array(&self, path: &str) -> Option<&Array<'a>> {
        match path.rsplit_once('/') {
            Some((group, name)) => self.group(group)?.arrays.get(name),
            None => self.arrays.get(path),
        }
    }
}

/// Values of a type, in an array or an attribute.
#[derive(Clone, Debug)]
pub(in super::super) struct Array<'a> {
    pub shape: Vec<u64>,
    pub values: Values<'a>,
}

#[derive(Clone, Debug)]
pub(in super::super) enum Values<'a> {
    Numbers(Number, &'a [u8]),
    Strings(Vec<&'a str>),
    /// Of a type that no weight has.
    Other,
}

/// A type of numbers, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Number {
    Float(Float),
    Integer { bytes: usize, signed: bool },
}

impl Number {
    fn bytes(self) -> usize {
        match self {
            Self::Float(float) => float.bytes(),
            Self::Integer { bytes, .. } => bytes,
        }
    }
}

impl<'a> Array<'a> {
    /// Floating-point numbers, each rounded to the nearest f32.
    pub fn f32s(&self) -> Option<Vec<f32>> {
        match self.values {
            Values::Numbers(Number::Float(float), bytes) => Some(float.f32s(bytes)),
            _ => None,
        }
    }

    /// A single whole number that is not negative.
    pub fn count(&self) -> Option<u64> {
        let Values::Numbers(Number::Integer { signed, .. }, bytes) = self.values else {
            return None;
        };
        let is_negative = signed && bytes.last().is_some_and(|&last| last > 127);
        if !self.shape.is_empty() || is_negative {
            return None;
        }
        let mut number = [0; 8];
        number.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(number))
    }

    /// A single string.
    pub fn text(&self) -> Option<&'a str> {
        match &self.values {
            Values::Strings(strings) if strings.len() == 1 => strings.first().copied(),
            _ => None,
        }
    }

    /// A list of strings. An empty one is written as one of numbers.
    pub fn texts(&self) -> Option<&[&'a str]> {
        match &self.values {
            Values::Strings(strings) => Some(strings),
            Values::Numbers(_, []) => Some(&[]),
            _ => None,
        }
    }
}

/// What an array is made of.
#[derive(Clone, Copy, Debug)]
enum Type {
    Number(Number),
    /// Of this many bytes, ended by the first zero, or padded with them or with blanks.
    FixedString(usize),
    /// In a collection somewhere else.
    String,
    Other(usize),
}

impl Type {
    fn bytes(self) -> usize {
        match self {
            Self::Number(number) => number.bytes(),
            Self::FixedString(bytes) | Self::Other(bytes) => bytes,
            // A length, an address and an index.
            Self::String => 16,
        }
    }
}

enum Object<'a> {
    Group(Group<'a>),
    Array(Array<'a>),
}

struct File<'a> {
    bytes: &'a [u8],
    /// How many more bytes may be read.
    left: u64,
    /// The strings of collections that have been read, by their numbers there.
    collections: BTreeMap<u64, BTreeMap<u16, &'a [u8]>>,
}

impl<'a> File<'a> {
    /// The address of the root's header.
    fn root(&mut self) -> Result<u64> {
        let mut cursor = Cursor(self.bytes);
        if cursor.take(8)? != SIGNATURE {
            return Err("not an HDF5 file".into());
        }
        let version = cursor.u8()?;
        let sizes = match version {
            0 | 1 => {
                cursor.take(4)?;
                let sizes = [cursor.u8()?, cursor.u8()?];
                cursor.take(if version == 0 { 9 } else { 13 })?;
                sizes
            }
            2 | 3 => {
                let sizes = [cursor.u8()?, cursor.u8()?];
                cursor.take(1)?;
                sizes
            }
            _ => return Err(format!("HDF5 with a superblock of version {version}")),
        };
        if sizes != [8, 8] {
            return Err("HDF5 whose addresses do not have 64 bits".into());
        }
        if cursor.u64()? != 0 {
            return Err("HDF5 that does not begin where its file does".into());
        }
        // What extends the superblock or is free, and the file's end; and a driver's, and the root's name.
        cursor.take(if version < 2 { 32 } else { 16 })?;
        cursor.u64()
    }

    /// Counts bytes that are read.
    fn spend(&mut self, bytes: u64) -> Result<()> {
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or("parts of it are there several times")?;
        Ok(())
    }

    /// The bytes at an address.
    fn at(&self, address: u64) -> Result<Cursor<'a>> {
        let start = usize::try_from(address).ok();
        let rest = start.and_then(|start| self.bytes.get(start..));
        rest.map(Cursor)
            .ok_or_else(|| format!("it refers to byte {address}, and has {}", self.bytes.len()))
    }

    fn range(&mut self, address: u64, len: u64) -> Result<&'a [u8]> {
        let bytes = self.at(address)?.take(len)?;
        self.spend(len)?;
        Ok(bytes)
    }

    /// What is at an address, so far within groups.
    fn object(&mut self, address: u64, depth: usize) -> Result<Object<'a>> {
        if depth > MAX_DEPTH {
            let detail = format!("groups within groups, or within themselves, {MAX_DEPTH} deep");
            return Err(detail);
        }
        let messages = self.messages(address)?;
        let mut attributes = BTreeMap::new();
        for &(kind, body) in &messages {
            match kind {
                message::ATTRIBUTE => {
                    let (name, value) = self.attribute(body)?;
                    attributes.insert(name, value);
                }
                message::ATTRIBUTE_INFO => {
                    let mut cursor = Cursor(body);
                    let flags = cursor.take(2)?.get(1).copied().unwrap_or_default();
                    cursor.take(if flags & 1 == 0 { 0 } else { 2 })?;
                    is_compact(cursor.u64()?)?;
                }
                _ => {}
            }
        }
        let find = |wanted| messages.iter().find(|(kind, _)| *kind == wanted);
        if let Some(&(_, layout)) = find(message::LAYOUT) {
            return Ok(Object::Array(self.array(&messages, layout)?));
        }
        let mut group = Group {
            attributes,
            ..Group::default()
        };
        for (kind, body) in messages {
            match kind {
                message::LINK => {
                    let (name, address) = link(body)?;
                    self.add(&mut group, name, address, depth)?;
                }
                message::LINK_INFO => {
                    let mut cursor = Cursor(body);
                    let flags = cursor.take(2)?.get(1).copied().unwrap_or_default();
                    cursor.take(if flags & 1 == 0 { 0 } else { 8 })?;
                    is_compact(cursor.u64()?)?;
                }
                message::SYMBOL_TABLE => {
                    let mut cursor = Cursor(body);
                    let (tree, heap) = (cursor.u64()?, cursor.u64()?);
                    let names = self.heap(heap)?;
                    self.tree(&mut group, tree, None, names, depth)?;
                }
                _ => {}
            }
        }
        Ok(Object::Group(group))
    }

    fn add(
        &mut self,
        group: &mut Group<'a>,
        name: &'a str,
        address: u64,
        depth: usize,
    ) -> Result<()> {
        let is_new = match self.object(address, depth + 1) {
            Ok(Object::Group(found)) => group.groups.insert(name, found).is_none(),
            Ok(Object::Array(found)) => group.arrays.insert(name, found).is_none(),
            Err(problem) => return Err(in_place(name, problem)),
        };
        match is_new {
            true => Ok(()),
            false => Err(format!("{name} is there twice")),
        }
    }

    /// The messages of an object's header, with those of its continuations.
    fn messages(&mut self, address: u64) -> Result<Vec<(u16, &'a [u8])>> {
        let mut cursor = self.at(address)?;
        let mut messages = Vec::new();
        let mut blocks = Vec::new();
        // The size of what stands before each message's type and size, and behind them.
        let (is_first_version, has_order);
        if cursor.0.starts_with(b"OHDR") {
            cursor.take(5)?;
            let flags = cursor.u8()?;
            cursor.take(if flags & 0x20 == 0 { 0 } else { 16 })?;
            cursor.take(if flags & 0x10 == 0 { 0 } else { 4 })?;
            let size = cursor.number(1 << (flags & 3))?;
            blocks.push(cursor.take(size)?);
            (is_first_version, has_order) = (false, flags & 4 != 0);
        } else {
            let mut prefix = Cursor(cursor.take(16)?);
            if prefix.u8()? != 1 {
                return Err(format!("there is no object at byte {address}"));
            }
            prefix.take(7)?;
            blocks.push(cursor.take(prefix.number(4)?)?);
            (is_first_version, has_order) = (true, false);
        }
        self.spend(16 + blocks.iter().map(|block| block.len() as u64).sum::<u64>())?;
        while let Some(block) = blocks.pop() {
            let mut cursor = Cursor(block);
            let shortest = if is_first_version { 8 } else { 4 };
            while cursor.0.len() >= shortest {
                let (kind, size, flags);
                if is_first_version {
                    (kind, size, flags) = (cursor.u16()?, cursor.u16()?, cursor.u8()?);
                    cursor.take(3)?;
                } else {
                    (kind, size, flags) = (cursor.u8()?.into(), cursor.u16()?, cursor.u8()?);
                    cursor.take(if has_order { 2 } else { 0 })?;
                }
                let body = cursor.take(size.into())?;
                if kind == message::CONTINUATION {
                    let mut at = Cursor(body);
                    let block = self.range(at.u64()?, at.u64()?)?;
                    // A signature in front, and a checksum behind.
                    let inner = block.get(4..block.len().saturating_sub(4));
                    let inner = inner.filter(|_| block.starts_with(b"OCHK"));
                    blocks.push(match is_first_version {
                        true => block,
                        false => inner.ok_or("a header goes on where there is none")?,
                    });
                } else if kind != 0 {
                    if flags & 2 != 0 {
                        return Err("its header has parts that are stored elsewhere".into());
                    }
                    messages.push((kind, body));
                }
            }
        }
        Ok(messages)
    }

    /// The names of a group, one behind the other.
    fn heap(&mut self, address: u64) -> Result<&'a [u8]> {
        let mut cursor = self.at(address)?;
        if cursor.take(8)?.get(..4) != Some(b"HEAP") {
            return Err(format!("there are no names at byte {address}"));
        }
        let len = cursor.u64()?;
        cursor.u64()?;
        self.range(cursor.u64()?, len)
    }

    /// Adds what is in a tree of a group's entries, which is below one of a level.
    fn tree(
        &mut self,
        group: &mut Group<'a>,
        address: u64,
        above: Option<u8>,
        names: &'a [u8],
        depth: usize,
    ) -> Result<()> {
        let mut cursor = self.at(address)?;
        let is_tree = cursor.take(4)? == b"TREE" && cursor.u8()? == 0;
        let level = cursor.u8()?;
        let is_below = match above {
            None => level <= MAX_LEVEL,
            Some(above) => level + 1 == above,
        };
        if !is_tree || !is_below {
            return Err(format!("there is no tree of entries at byte {address}"));
        }
        let entries = cursor.u16()?;
        cursor.take(16)?;
        self.spend(24 + 16 * u64::from(entries))?;
        for _ in 0..entries {
            cursor.u64()?;
            let child = cursor.u64()?;
            match level {
                0 => self.entries(group, child, names, depth)?,
                _ => self.tree(group, child, Some(level), names, depth)?,
            }
        }
        Ok(())
    }

    fn entries(
        &mut self,
        group: &mut Group<'a>,
        address: u64,
        names: &'a [u8],
        depth: usize,
    ) -> Result<()> {
        let mut cursor = self.at(address)?;
        if cursor.take(6)?.get(..4) != Some(b"SNOD") {
            return Err(format!("there are no entries at byte {address}"));
        }
        let entries = cursor.u16()?;
        self.spend(8 + 40 * u64::from(entries))?;
        for _ in 0..entries {
            let (name, address, kind) = (cursor.u64()?, cursor.u64()?, cursor.number(4)?);
            cursor.take(20)?;
            let rest = usize::try_from(name).ok();
            let rest = rest.and_then(|start| names.get(start..)).unwrap_or(&[]);
            let name = text(rest.get(..MAX_NAME + 1).unwrap_or(rest))?;
            if name.is_empty() || name.len() > MAX_NAME {
                return Err(format!("a name that is empty, or longer than {MAX_NAME}"));
            }
            if kind == 2 {
                return Err(in_place(name, NO_LINKS.into()));
            }
            self.add(group, name, address, depth)?;
        }
        Ok(())
    }

    fn attribute(&mut self, body: &'a [u8]) -> Result<(&'a str, Array<'a>)> {
        let mut cursor = Cursor(body);
        let (version, flags) = (cursor.u8()?, cursor.u8()?);
        let sizes = [cursor.u16()?, cursor.u16()?, cursor.u16()?];
        if !(1..=3).contains(&version) || version > 1 && flags != 0 {
            return Err(format!("an attribute of version {version}, flags {flags}"));
        }
        cursor.take(if version == 3 { 1 } else { 0 })?;
        let mut part = |size: u16| {
            let size = u64::from(size);
            let padded = if version == 1 {
                size.next_multiple_of(8)
            } else {
                size
            };
            Ok::<_, String>(
                cursor
                    .take(padded)?
                    .get(..size as usize)
                    .unwrap_or_default(),
            )
        };
        let [name, datatype, dataspace] = [part(sizes[0])?, part(sizes[1])?, part(sizes[2])?];
        let name = text(name)?;
        let value = self.value(datatype, dataspace, cursor.0);
        Ok((name, value.map_err(|problem| in_place(name, problem))?))
    }

    fn array(&mut self, messages: &[(u16, &'a [u8])], layout: &'a [u8]) -> Result<Array<'a>> {
        let find = |wanted| messages.iter().find(|(kind, _)| *kind == wanted);
        if find(message::EXTERNAL_FILES).is_some() {
            return Err("its values are in other files, which are not read".into());
        }
        if find(message::FILTERS).is_some() {
            return Err("its values are compressed, which Keras's are not".into());
        }
        let (Some((_, datatype)), Some((_, dataspace))) =
            (find(message::DATATYPE), find(message::DATASPACE))
        else {
            return Err("it has no type, or no shape".into());
        };
        let mut cursor = Cursor(layout);
        let version = cursor.u8()?;
        let class = cursor.u8()?;
        let data = match (version, class) {
            (3 | 4, 0) => {
                let len = cursor.u16()?;
                cursor.take(len.into())?
            }
            (3 | 4, 1) => match (cursor.u64()?, cursor.u64()?) {
                (UNDEFINED, _) => &[],
                (address, len) => self.range(address, len)?,
            },
            (3 | 4, 2) => return Err("its values are in chunks, which Keras's are not".into()),
            (_, 3) => return Err("its values are those of other arrays".into()),
            _ => return Err(format!("a layout of version {version}, class {class}")),
        };
        self.value(datatype, dataspace, data)
    }

    fn value(
        &mut self,
        datatype: &'a [u8],
        dataspace: &'a [u8],
        data: &'a [u8],
    ) -> Result<Array<'a>> {
        let datatype = kind_of(datatype)?;
        let shape = shape(dataspace)?;
        let product = |len: u64, &extent: &u64| len.checked_mul(extent);
        let len = shape.iter().try_fold(1, product);
        let bytes = len.and_then(|len: u64| len.checked_mul(datatype.bytes() as u64));
        let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
        let data = bytes.and_then(|bytes| data.get(..bytes)).ok_or_else(|| {
            let has = data.len();
            format!("its shape is {shape:?}, and it has {has} bytes of values")
        })?;
        let values = match datatype {
            Type::Number(number) => Values::Numbers(number, data),
            Type::FixedString(0) => Values::Other,
            Type::FixedString(bytes) => {
                let strings = data.chunks_exact(bytes).map(text);
                Values::Strings(strings.collect::<Result<_>>()?)
            }
            Type::String => {
                let mut strings = Vec::new();
                for reference in data.chunks_exact(16) {
                    strings.push(self.string(reference)?);
                }
                Values::Strings(strings)
            }
            Type::Other(_) => Values::Other,
        };
        Ok(Array { shape, values })
    }

    /// A string of a collection.
    fn string(&mut self, reference: &[u8]) -> Result<&'a str> {
        let mut cursor = Cursor(reference);
        let (len, address, index) = (cursor.number(4)?, cursor.u64()?, cursor.number(4)?);
        if len == 0 {
            return Ok("");
        }
        if !self.collections.contains_key(&address) {
            let collection = self.collection(address)?;
            self.collections.insert(address, collection);
        }
        let strings = self.collections.get(&address);
        let index = u16::try_from(index).ok();
        let string = strings.and_then(|strings| strings.get(&index?).copied());
        let string = string.and_then(|string| string.get(..usize::try_from(len).ok()?));
        let string = string.ok_or("it refers to a string that is not there")?;
        self.spend(len)?;
        text(string)
    }

    fn collection(&mut self, address: u64) -> Result<BTreeMap<u16, &'a [u8]>> {
        let mut cursor = self.at(address)?;
        if cursor.take(8)?.get(..4) != Some(b"GCOL") {
            return Err(format!("there are no strings at byte {address}"));
        }
        let size = cursor.u64()?;
        self.spend(size)?;
        let mut cursor = Cursor(cursor.take(size.saturating_sub(16))?);
        let mut strings = BTreeMap::new();
        while cursor.0.len() >= 16 {
            let index = cursor.u16()?;
            cursor.take(6)?;
            let len = cursor.u64()?;
            // What is left is free.
            if index == 0 {
                break;
            }
            let padded = len.checked_next_multiple_of(8).unwrap_or(len);
            let string = cursor.take(padded)?;
            strings.insert(index, &string[..string.len().min(len as usize)]);
        }
        Ok(strings)
    }
}

const NO_LINKS: &str = "a link to something else, which is not followed";

fn in_place(name: &str, problem: String) -> String {
    format!("{name}: {problem}")
}

/// An error unless what an object has is in its header.
fn is_compact(heap: u64) -> Result<()> {
    match heap {
        UNDEFINED => Ok(()),
        _ => {
            Err("a group of HDF5's newer kind with many entries, which Keras does not write".into())
        }
    }
}

/// The name and the address of a link.
fn link(body: &[u8]) -> Result<(&str, u64)> {
    let mut cursor = Cursor(body);
    cursor.take(1)?;
    let flags = cursor.u8()?;
    let kind = if flags & 8 == 0 { 0 } else { cursor.u8()? };
    cursor.take(if flags & 4 == 0 { 0 } else { 8 })?;
    cursor.take(if flags & 16 == 0 { 0 } else { 1 })?;
    let len = cursor.number(1 << (flags & 3))?;
    let name = text(cursor.take(len)?)?;
    match kind {
        0 if !name.is_empty() && name.len() <= MAX_NAME => Ok((name, cursor.u64()?)),
        0 => Err(format!("a name that is empty, or longer than {MAX_NAME}")),
        _ => Err(in_place(name, NO_LINKS.into())),
    }
}

fn kind_of(datatype: &[u8]) -> Result<Type> {
    let mut cursor = Cursor(datatype);
    let class = cursor.u8()? & 15;
    let bits = cursor.number(3)?;
    let size = usize::try_from(cursor.number(4)?).map_err(|problem| problem.to_string())?;
    let is_little_endian = bits & 1 == 0;
    Ok(match class {
        0 if is_little_endian && (1..=8).contains(&size) => Type::Number(Number::Integer {
            bytes: size,
            signed: bits & 8 != 0,
        }),
        1 if is_little_endian => {
            cursor.take(5)?;
            let exponent = cursor.u8()?;
            cursor.take(1)?;
            match (size, exponent, cursor.u8()?) {
                (2, 5, 10) => Type::Number(Number::Float(Float::F16)),
                (2, 8, 7) => Type::Number(Number::Float(Float::Bf16)),
                (4, 8, 23) => Type::Number(Number::Float(Float::F32)),
                (8, 11, 52) => Type::Number(Number::Float(Float::F64)),
                _ => Type::Other(size),
            }
        }
        3 => Type::FixedString(size),
        // NumPy has no such type: it writes the bytes.
        5 if size == 2 => Type::Number(Number::Float(Float::Bf16)),
        9 if bits & 15 == 1 && size == 16 => Type::String,
        _ => Type::Other(size),
    })
}

fn shape(dataspace: &[u8]) -> Result<Vec<u64>> {
    let mut cursor = Cursor(dataspace);
    let (version, axes, _) = (cursor.u8()?, cursor.u8()?, cursor.u8()?);
    if usize::from(axes) > MAX_AXES {
        return Err(format!("a shape of {axes} axes"));
    }
    let kind = cursor.u8()?;
    match version {
        1 => cursor.take(4).map(drop)?,
        // No values at all.
        2 if kind == 2 => return Ok(vec![0]),
        2 => {}
        _ => return Err(format!("a shape of version {version}")),
    }
    (0..axes).map(|_| cursor.u64()).collect()
}

/// The text up to the first zero, and without blanks behind.
fn text(bytes: &[u8]) -> Result<&str> {
    let bytes = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    let text = std::str::from_utf8(bytes);
    text.map(|text| text.trim_end_matches(' '))
        .map_err(|problem| format!("a text is not UTF-8: {problem}"))
}

/// Bytes that are yet to be read.
#[derive(Clone, Copy)]
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: u64) -> Result<&'a [u8]> {
        let parts = usize::try_from(len).ok();
        let parts = parts.and_then(|len| self.0.split_at_checked(len));
        let has = self.0.len();
        let (taken, rest) =
            parts.ok_or_else(|| format!("it ends early: {len} bytes should follow, {has} do"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number of up to 8 bytes.
    fn number(&mut self, bytes: u64) -> Result<u64> {
        let taken = self.take(bytes)?;
        let digits = taken.iter().rev();
        Ok(digits.fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn u8(&mut self) -> Result<u8> {
        self.number(1).map(|number| number as u8)
    }

    fn u16(&mut self) -> Result<u16> {
        self.number(2).map(|number| number as u16)
    }

    fn u64(&mut self) -> Result<u64> {
        self.number(8)
    }
}
