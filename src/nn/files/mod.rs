//! Weights, checkpoints and whole models, as bytes and as files.

mod bytes;
mod config;
mod fields;
#[cfg(not(target_family = "wasm"))]
mod paths;
mod safetensors;
