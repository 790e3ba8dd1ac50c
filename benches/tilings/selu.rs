//! The kernel of SELU.

use selfnorm::{Gpu, Result, Tensor, wgpu};

use crate::common::bare_selu;
use crate::common::clock::is_software;
use crate::common::dispatch::{Dispatch, shader, with_constant};
use crate::{Column, print, run_once};

/// SELU by the values of a lane, the lanes of an invocation and the invocations of a workgroup.
pub fn selu(gpu: &Gpu) -> Result<()> {
    const GROUPS: [u32; 3] = [64, 128, 256];
    /// The values of a lane, the lanes of an invocation, and whether neighbours in memory are those of the crate or
    /// of a whole workgroup.
    const LANES: [(&str, u32, bool); 6] = [
        ("f32x4", 1, false),
        ("f32x4", 2, false),
        ("f32x4", 4, false),
        ("f32x4", 4, true),
        ("f32x4", 8, false),
        ("f32", 4, false),
    ];
    /// As many values are looked at, the first and the last.
    const SEEN: usize = 1 << 12;
    let len: usize = if is_software(gpu) { 1 << 22 } else { 1 << 28 };
    let x: Tensor = gpu.lecun_normal([len], 1)?;
    let y: Tensor = gpu.zeros([len])?;
    // What one dispatch may bind, and as many workgroups; so a small workgroup takes several, as in the crate.
    let limits = gpu.device().limits();
    let dispatches = |source: &str, entry_point, values: u64, params: &dyn Fn(u64) -> Vec<u8>| {
        let pipeline = Dispatch::pipeline(gpu, source, entry_point);
        let group_bytes = values * 4;
        let groups = limits.max_storage_buffer_binding_size / group_bytes;
        let part = groups.min(limits.max_compute_workgroups_per_dimension.into()) * group_bytes;
        let parts = (0..len as u64 * 4).step_by(part as usize);
        let dispatch = |offset: u64| {
            let range = offset..(offset + part).min(len as u64 * 4);
            let bytes = range.end - range.start;
            let bindings = [&x, &y].map(|tensor| {
                let slice = tensor.slice();
                wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: slice.buffer(),
                    offset: slice.offset() + offset,
                    size: wgpu::BufferSize::new(bytes),
                })
            });
            Dispatch {
                bindings: Dispatch::bindings(gpu, &pipeline, &bindings),
                pipeline: pipeline.clone(),
                immediates: params(bytes),
                groups: [bytes.div_ceil(group_bytes) as u32, 1],
            }
        };
        parts.map(dispatch).collect::<Vec<_>>()
    };
    let mut expected = None;
    let mut columns = Vec::new();
    for invocations in GROUPS {
        let with = |(lanes, count, is_whole)| {
            let source = shader(bare_selu::SHADER, lanes).source;
            let source = with_constant(&source, "WORKGROUP_SIZE", invocations);
            let mut source = with_constant(&source, "LANES_PER_INVOCATION", count);
            if is_whole {
                source = with_constant(&source, "NEIGHBOURS", invocations);
            }
            let values = if lanes == "f32" { 1 } else { 4 };
            let per_group = u64::from(invocations * count * values);
            let params = |bytes: u64| bare_selu::params(bytes as u32 / 4 / values);
            dispatches(&source, bare_selu::ENTRY_POINT, per_group, &params)
        };
        let mut rows: Vec<_> = LANES.map(with).into();
        rows.push(dispatches(
            include_str!("../yardsticks.wgsl"),
            "copy",
            256 * 16,
            &|_| Vec::new(),
        ));
        for row in &rows[..LANES.len()] {
            run_once(gpu, row, &y);
            let seen = [0, len - SEEN].map(|first| {
                let bytes = first as u64 * 4..(first + SEEN) as u64 * 4;
                gpu.wrap::<f32>(y.slice().slice(bytes), [SEEN])?.to_vec()
            });
            let [first, last] = seen;
            let seen = [first?, last?];
            assert!(
                expected.get_or_insert_with(|| seen.clone()) == &seen,
                "another SELU"
            );
        }
        columns.push(Column {
            name: format!("{invocations} invocations"),
            rows: rows.into_iter().map(Some).collect(),
            repeats: 1,
        });
    }
    let names = LANES.map(|(lanes, count, is_whole)| {
        let neighbours = if is_whole {
            ", the workgroup's side by side"
        } else {
            ""
        };
        format!("{count} of {lanes} an invocation{neighbours}")
    });
    let what = format!("µs of SELU, {} Mi", len >> 20);
    let yardstick = Some("a copy, 4 of f32x4, 256 invocations");
    print(gpu, &what, &names, yardstick, &columns)
}
