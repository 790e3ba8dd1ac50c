//! Mean and variance of a tensor.

use super::per_item;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module, WORKGROUP_SIZE};
use crate::shader::params::params;
use crate::{Gpu, Result};

pub(super) static MODULE: Module =
    Module::new("moments", &files::MOMENTS, MomentsParams::LAYOUT).entry_points(&["moments"]);

const KERNEL: Kernel = MODULE.kernel("moments");

params! {
    struct MomentsParams {
        /// values of x
        len: u32,
    }
}

/// Enough shares for the count of each to be exact in f32, for every length that a u32 can hold.
const MAX_PARTIALS: u32 = 256;

/// The values that an invocation takes before there are more workgroups: their barriers cost a software
/// GPU more than the values do.
const VALUES: u32 = 16;

/// How many partials [`moments`] writes for `len` values.
pub(crate) fn partials(len: u32) -> u32 {
    let shares = len.div_ceil(VALUES * WORKGROUP_SIZE);
    shares.clamp(1, MAX_PARTIALS)
}

/// out [partials, 4] = (count, mean, sum of squared deviations, 0) of shares of the first `len` values
/// of x.
pub(crate) fn moments(gpu: &Gpu, x: &Region, out: &Region, len: u32) -> Result<Dispatch> {
    let params = MomentsParams { len };
    let invocations = partials(len) * WORKGROUP_SIZE;
    per_item(
        gpu,
        KERNEL,
        Form::default(),
        1,
        &[x, out],
        &params,
        invocations,
    )
}

/// The mean and the variance from the partials; NaN if there are no values.
pub(crate) fn merge(partials: &[[f32; 4]]) -> (f64, f64) {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for partial in partials {
        let [n, m, s, _] = partial.map(f64::from);
        if n == 0.0 {
            continue;
        }
        let total = count + n;
        let difference = m - mean;
        mean += difference * n / total;
        squares += s + difference * difference * count * n / total;
        count = total;
    }
    if count == 0.0 {
        return (f64::NAN, f64::NAN);
    }
    (mean, squares / count)
}
