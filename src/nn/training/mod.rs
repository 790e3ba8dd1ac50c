//! Training: what a step consists of, and which comes next.

mod evaluate;
mod exchange;
mod fit;
mod frame;
mod model;
mod prepare;
mod run;
mod score;
mod step;

pub use exchange::Exchange;
#[cfg(not(target_family = "wasm"))]
pub use exchange::Threads;
pub use fit::Fit;
pub(super) use frame::Recorded;
pub(super) use model::MAX_COUNT;
pub(super) use prepare::Buffers;
pub(super) use run::ordered;
pub use run::{BatchEnd, EpochEnd, Progress, Run};
pub use score::{EpochScores, History, Score};
pub(super) use step::{AHEAD, Records};
