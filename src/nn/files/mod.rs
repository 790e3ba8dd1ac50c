//! Networks and their training, as bytes and as files: one file a format, and what all of them share.

mod architecture;
#[cfg(not(target_family = "wasm"))]
mod atomic;
mod bytes;
mod config;
mod contents;
mod fields;
mod float;
#[cfg(any(feature = "keras", feature = "onnx"))]
mod imported;
#[cfg(feature = "keras")]
pub mod keras;
mod layout;
mod mapping;
mod metadata;
#[cfg(feature = "onnx")]
pub mod onnx;
#[cfg(not(target_family = "wasm"))]
mod paths;
mod safetensors;
mod scan;

pub use mapping::{Dtype, Loaded, Mapping, Origin};

use crate::Error;

/// The name of bytes in errors.
const BYTES: &str = "the bytes";

/// An error of a file of this name.
fn error(name: &str, detail: impl ToString) -> Error {
    Error::File {
        path: name.into(),
        detail: detail.to_string(),
    }
}
