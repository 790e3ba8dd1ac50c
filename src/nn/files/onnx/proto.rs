//! Protocol buffers, as far as ONNX files need them.
//!
//! A message is read where it lies: a field is a number or a part of the file, so nothing is copied, nothing is
//! allocated by an announced length, and no depth of messages takes any stack.

use std::fmt;

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'a> {
    Number(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
}

/// What is wrong with bytes that are no message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("not an ONNX file: no protocol buffers")
    }
}

pub(super) type Result<T> = std::result::Result<T, Malformed>;

/// The fields of a message, by their numbers, in the order of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a>(pub &'a [u8]);

impl<'a> Iterator for Message<'a> {
    type Item = Result<(u64, Field<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = read_field(&mut self.0);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn read_field<'a>(bytes: &mut &'a [u8]) -> Result<(u64, Field<'a>)> {
    let key = varint(bytes)?;
    let field = match key & 7 {
        0 => Field::Number(varint(bytes)?),
        1 => Field::Fixed64(chunk(bytes)?),
        2 => {
            let len = usize::try_from(varint(bytes)?).map_err(|_| Malformed)?;
            let (field, rest) = bytes.split_at_checked(len).ok_or(Malformed)?;
            *bytes = rest;
            Field::Bytes(field)
        }
        5 => Field::Fixed32(chunk(bytes)?),
        _ => return Err(Malformed),
    };
    Ok((key >> 3, field))
}

fn chunk<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N]> {
    let (chunk, rest) = bytes.split_first_chunk().ok_or(Malformed)?;
    *bytes = rest;
    Ok(*chunk)
}

/// Seven bits a byte, the lowest first.
fn varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = chunk(bytes)?;
        value |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

impl<'a> Field<'a> {
    pub fn number(self) -> Result<i64> {
        match self {
            Self::Number(number) => Ok(number as i64),
            _ => Err(Malformed),
        }
    }

    pub fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    pub fn message(self) -> Result<Message<'a>> {
        self.bytes().map(Message)
    }

    pub fn text(self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    pub fn float(self) -> Result<f32> {
        match self {
            Self::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(Malformed),
        }
    }

    /// Adds numbers: one, or several that are packed.
    pub fn extend_numbers(self, numbers: &mut Vec<i64>) -> Result<()> {
        match self {
            Self::Bytes(mut bytes) => {
                while !bytes.is_empty() {
                    numbers.push(varint(&mut bytes)? as i64);
                }
                Ok(())
            }
            field => field.number().map(|number| numbers.push(number)),
        }
    }

    /// Adds floats: one, or several that are packed.
    pub fn extend_floats(self, floats: &mut Vec<f32>) -> Result<()> {
        match self {
            Self::Bytes(bytes) => {
                let (chunks, []) = bytes.as_chunks() else {
                    return Err(Malformed);
                };
                floats.extend(chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)));
                Ok(())
            }
            field => field.float().map(|float| floats.push(float)),
        }
    }

    /// Adds doubles, rounded: one, or several that are packed.
    pub fn extend_doubles(self, floats: &mut Vec<f32>) -> Result<()> {
        let chunks: &[[u8; 8]] = match &self {
            Self::Bytes(bytes) => match bytes.as_chunks() {
                (chunks, []) => chunks,
                _ => return Err(Malformed),
            },
            Self::Fixed64(bytes) => std::slice::from_ref(bytes),
            _ => return Err(Malformed),
        };
        floats.extend(chunks.iter().map(|&chunk| f64::from_le_bytes(chunk) as f32));
        Ok(())
    }
}

/// A message that is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Writer(pub Vec<u8>);

impl Writer {
    fn varint(&mut self, mut value: u64) {
        while value >= 128 {
            self.0.push(value as u8 | 128);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub fn number(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    pub fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    pub fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    pub fn message(self, field: u64, value: Self) -> Self {
        self.bytes(field, &value.0)
    }

    pub fn all<T>(
        self,
        values: impl IntoIterator<Item = T>,
        write: impl FnMut(Self, T) -> Self,
    ) -> Self {
        values.into_iter().fold(self, write)
    }
}
