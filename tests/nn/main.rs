//! Layers and networks: what they compute, how they train, and what they say to mistakes.

#[path = "../common/mod.rs"]
mod common;

#[cfg(not(target_family = "wasm"))]
mod build_errors;
#[cfg(not(target_family = "wasm"))]
mod emit;
mod everywhere;
mod golden_networks;
mod keras;
#[cfg(not(target_family = "wasm"))]
mod layers;
#[cfg(not(target_family = "wasm"))]
mod metrics;
#[cfg(not(target_family = "wasm"))]
mod models;
#[cfg(not(target_family = "wasm"))]
mod networks;
#[cfg(not(target_family = "wasm"))]
mod onnx;
#[cfg(not(target_family = "wasm"))]
mod torch;
#[cfg(not(target_family = "wasm"))]
mod weights;

#[cfg(target_family = "wasm")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
