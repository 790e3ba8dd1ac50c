//! Copies between regions that begin where the device can bind them and ones that don't.

use super::per_item;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Error, Gpu, Result};

pub(super) static MODULE: Module =
    Module::new("copy", &files::COPY, CopyParams::LAYOUT).entry_points(&["copy_values"]);

const COPY: Kernel = MODULE.kernel("copy_values");

params! {
    struct CopyParams {
        len: u32,
        total: u32,
        /// where the values begin
        x: u32,
        y: u32,
    }
}

/// The values of x become the first of y, whose rest becomes 0. Either may begin at any value of its
/// buffer; they may share one if the device can bind them apart.
pub(crate) fn copy(gpu: &Gpu, x: &Region, y: &Region) -> Result<Dispatch> {
    let value = size_of::<f32>() as u64;
    let alignment = gpu.limits().offset_alignment;
    let bound = |region: &Region| {
        let before = region.offset % alignment;
        let bound = Region {
            buffer: region.buffer.clone(),
            offset: region.offset - before,
            bytes: region.bytes + before,
        };
        (bound, (before / value) as u32)
    };
    let ((x, from), (y, to)) = (bound(x), bound(y));
    let max = gpu.limits().max_binding_bytes;
    let most = x.bytes.max(y.bytes);
    if most > max {
        return Err(Error::TooLarge {
            shape: vec![(most / value) as usize],
            limit: format!("it takes {most} bytes, the device binds {max} at most"),
        });
    }
    let params = CopyParams {
        len: (x.bytes / value) as u32 - from,
        total: (y.bytes / value) as u32 - to,
        x: from,
        y: to,
    };
    let parts = [params.len, params.total, params.x, params.y];
    let lane = if parts.iter().all(|part| part.is_multiple_of(4)) {
        4
    } else {
        1
    };
    let items = params.total / lane;
    per_item(gpu, COPY, Form::default(), lane, &[&x, &y], &params, items)
}
