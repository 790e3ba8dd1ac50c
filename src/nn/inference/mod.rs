//! What a network is used for: at present, as a function in other people's shaders.

mod chain;
mod emit;
mod fourier;
mod pack;

pub use emit::Wgsl;
pub use fourier::FourierFeatures;
pub(super) use pack::Packing;
