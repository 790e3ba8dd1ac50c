//! Layers and networks: what they compute, how they train, and what they say to mistakes.

#[path = "../common/mod.rs"]
mod common;

mod build_errors;
mod emit;
mod golden_networks;
mod layers;
mod models;
mod networks;
mod weights;
