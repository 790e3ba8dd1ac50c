//! Training: what a step consists of, and which comes next.

mod evaluate;
mod fit;
mod frame;
mod model;
mod prepare;
mod run;
mod score;
mod step;

pub use fit::Fit;
pub(super) use frame::Recorded;
pub(super) use model::MAX_COUNT;
pub(super) use prepare::Buffers;
pub(super) use run::ordered;
pub use run::{BatchEnd, EpochEnd, Progress, Run};
pub use score::{EpochScores, History, Score};
pub(super) use step::{AHEAD, Records};
