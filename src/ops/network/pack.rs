//! Weights in the order in which a network's WGSL function reads them.

use super::per_item;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result};

/// Where there is no weight, but a 0.
pub(crate) const NO_PLACE: u32 = u32::MAX;

pub(super) static MODULE: Module = Module::new("pack", &files::PACK, PackParams::LAYOUT)
    .entry_points(&["pack"])
    .constants(&[("NO_PLACE", NO_PLACE)]);

const KERNEL: Kernel = MODULE.kernel("pack");

params! {
    struct PackParams {
        values: u32,
    }
}

/// packed\[i\] = weights\[places\[i\]\], for as many u32s as there are places.
pub(crate) fn pack(
    gpu: &Gpu,
    weights: &Region,
    places: &Region,
    packed: &Region,
) -> Result<Dispatch> {
    let values = (places.bytes / size_of::<u32>() as u64) as u32;
    let params = PackParams { values };
    let regions = [weights, places, packed];
    per_item(gpu, KERNEL, Form::default(), 1, &regions, &params, values)
}
