//! What all operations have in common: devices, memory, errors, and time.

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod device;
mod endurance;
mod errors;
mod frames;
mod layering;
mod leaks;
mod pipeline_cache;
mod programs;
