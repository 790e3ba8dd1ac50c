//! Weights in the order in which a network's WGSL function reads them.

use crate::pass::{read, write};
use crate::shader::files;
use crate::shader::module::{Kernel, Module};
use crate::shader::params::params;
use crate::{Pass, Result, Tensor};

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

impl Pass<'_> {
    /// packed[i] = weights[places[i]]. The bits of `places` are u32s.
    pub(crate) fn gather_weights(
        &mut self,
        weights: &Tensor,
        places: &Tensor,
        packed: &Tensor,
    ) -> Result<()> {
        let values = places.len() as u32;
        let operands = [
            read("weights", weights),
            read("places", places),
            write("packed", packed),
        ];
        self.over_whole(KERNEL, operands, &PackParams { values }, values)
    }
}
