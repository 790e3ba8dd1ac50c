// The first definition of a link wins, so these override the README's own: see `guide`.
#![cfg_attr(all(doc, not(doctest)), doc = include_str!("../docs/links.md"))]
#![cfg_attr(all(doc, not(doctest)), doc = include_str!("../docs/pictures.md"))]
#![doc = include_str!("../README.md")]
// In a browser wgpu's handles stay on one thread; the code is that of native platforms, where they do not.
#![cfg_attr(target_family = "wasm", allow(clippy::arc_with_non_send_sync))]

mod element;
mod error;
mod gpu;
#[cfg(any(doc, test))]
pub mod guide;
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
pub use ops::conv2d::Conv2dOptions;
pub use ops::image::Image;
pub use ops::initializers::{
    GlorotNormal, GlorotUniform, HeNormal, HeUniform, LecunNormal, LecunUniform, fans,
};
pub use ops::layer::Gradients;
pub use ops::rows::Rows;
pub use ops::selu::Selu;
pub use pass::Pass;
pub use tensor::Tensor;
pub use wgpu;
