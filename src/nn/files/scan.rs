//! JSON that is what it looks like, before it is parsed: it names everything once, and is no larger in memory than
//! its text explains.

use std::borrow::Cow;
use std::fmt;

use hashbrown::HashSet;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// About the bytes that `serde_json` takes: for a value in a list that has just grown, at its old place and in one of
/// twice the length; and for an object with entries.
const VALUE: usize = 96;
const OBJECT: usize = 650;

/// The most bytes that a byte of text may take: the smallest layer takes 22. `{"":0},` would take 100.
const MAX_GROWTH: usize = 24;
/// What may be taken in any case.
const FEW: usize = 1 << 16;

/// What is wrong with JSON that names something twice, or is none. Of two values with one name, parsers keep the
/// last; a reader that keeps the first would see another network in the same file.
pub(super) fn check_names(json: &[u8]) -> serde_json::Result<()> {
    size(json).map(drop)
}

/// Likewise, and of JSON that would be too large as values.
pub(super) fn check(json: &str) -> Result<(), String> {
    let size = size(json.as_bytes()).map_err(|problem| problem.to_string())?;
    if size > MAX_GROWTH * json.len() + FEW {
        return Err(format!("too many values in {} bytes", json.len()));
    }
    Ok(())
}

/// The bytes that it takes as values.
fn size(json: &[u8]) -> serde_json::Result<usize> {
    let mut size = 0;
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    Values(&mut size).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(size)
}

/// A name, which is borrowed unless it has escapes.
#[derive(PartialEq, Eq, Hash)]
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Names)
    }
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Name(name.into()))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Name(name.to_owned().into()))
    }
}

/// A value of which nothing is kept but its size.
struct Values<'a>(&'a mut usize);

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        while values.next_element_seed(Values(self.0))?.is_some() {
            *self.0 += VALUE;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = entries.next_key::<Name>()? {
            if names.contains(&name) {
                return Err(de::Error::custom(format!("{:?} is there twice", name.0)));
            }
            entries.next_value_seed(Values(self.0))?;
            if names.is_empty() {
                *self.0 += OBJECT;
            }
            names.insert(name);
        }
        Ok(())
    }
}
