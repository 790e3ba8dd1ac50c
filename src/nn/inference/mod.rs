//! Prediction: what a network computes when it does not train, and the network as a function in other
//! people's shaders.

mod chain;
mod emit;
mod fourier;
mod function;
mod pack;
mod predict;
mod predict_dataset;

pub use emit::Wgsl;
pub use fourier::FourierFeatures;
pub(super) use pack::Packing;
pub use predict::Predict;
pub(super) use predict::Predictions;
