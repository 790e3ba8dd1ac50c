// These definitions of the README's links and pictures come first, and win: see `guide`.
#![cfg_attr(all(doc, not(doctest)), doc = include_str!("../docs/links.md"))]
#![cfg_attr(all(doc, not(doctest)), doc = include_str!("../docs/pictures.md"))]
#![doc = include_str!("../README.md")]

mod bindings;
mod error;
mod gpu;
#[cfg(any(doc, test))]
pub mod guide;
mod memory;
#[cfg(not(target_family = "wasm"))]
pub mod nn;
mod once_map;
mod ops;
mod pass;
#[cfg(not(target_family = "wasm"))]
mod pipeline_cache;
mod pipelines;
pub mod random;
mod tensor;
mod transfer;
mod waiting;
pub mod wgsl;

pub use error::{Error, Result};
pub use gpu::{Gpu, GpuOptions};
pub use ops::alpha_dropout::AlphaDropout;
pub use ops::initializers::{GlorotUniform, LecunNormal, LecunUniform, fans};
pub use ops::selu::Selu;
pub use pass::Pass;
pub use tensor::{Element, Tensor};
pub use wgpu;
