//! Prediction: what a network computes when it does not train.

mod predict;

pub use predict::Predict;
pub(super) use predict::Predictions;
