//! Networks and their training, as bytes and as files.

mod architecture;
mod bytes;
mod config;
mod fields;
mod metadata;
#[cfg(not(target_family = "wasm"))]
mod paths;
mod safetensors;
mod scan;
