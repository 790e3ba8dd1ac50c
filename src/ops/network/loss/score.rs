//! The score of a batch, for those who want it on the GPU.

use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::ops::network::per_item;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

params! {
    struct ScoreParams {
        /// the sums that become means; the number of rows follows them
        means: u32,
    }
}

pub(super) static MODULE: Module =
    Module::new("score", &files::SCORE, ScoreParams::LAYOUT).entry_points(&["score_batch"]);

const KERNEL: Kernel = MODULE.kernel("score_batch");

/// The values of a score: the loss and the metric.
pub(crate) const SCORES: usize = 2;

/// score \[2\] = the means of the totals' loss and metric.
pub(crate) fn score_batch(gpu: &Gpu, totals: &Region, score: &Region) -> Result<Dispatch> {
    let params = ScoreParams {
        means: SCORES as u32,
    };
    let regions = [totals, score];
    per_item(
        gpu,
        KERNEL,
        Form::default(),
        1,
        &regions,
        &params,
        params.means,
    )
}
