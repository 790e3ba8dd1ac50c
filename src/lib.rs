// The first definition of a link wins, so these override the README's own: see `guide`.
#![cfg_attr(all(doc, not(doctest)), doc = include_str!("../docs/links.md"))]
#![cfg_attr(all(doc, not(doctest)), doc = include_str!("../docs/pictures.md"))]
#![doc = include_str!("../README.md")]

mod element;
mod error;
mod gpu;
#[cfg(any(doc, test))]
pub mod guide;
#[cfg(not(target_family = "wasm"))]
pub mod nn;
mod ops;
mod pass;
pub mod random;
mod shader;
mod tensor;
pub mod wgsl;

pub use element::Element;
pub use error::{Error, Result};
pub use gpu::{Gpu, GpuOptions};
pub use ops::alpha_dropout::AlphaDropout;
#[cfg(not(target_family = "wasm"))]
pub use ops::conv2d::Conv2dOptions;
pub use ops::image::Image;
pub use ops::initializers::{
    GlorotNormal, GlorotUniform, HeNormal, HeUniform, LecunNormal, LecunUniform, fans,
};
#[cfg(not(target_family = "wasm"))]
pub use ops::layer::Gradients;
pub use ops::rows::Rows;
pub use ops::selu::Selu;
pub use pass::Pass;
pub use tensor::Tensor;
pub use wgpu;
