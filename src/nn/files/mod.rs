//! Weights and checkpoints, as bytes and as files.

#[cfg(not(target_family = "wasm"))]
mod paths;
mod safetensors;
