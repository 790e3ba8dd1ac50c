//! Finds values in data on the GPU that can't be used, or are not what they seem.

use super::gather::Part;
use super::{lane_values, per_item};
use crate::gpu::transfer::{self, Progress};
use crate::ops::rows::{self, Place};
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::params;
use crate::{Gpu, Result, Tensor};

pub(super) static MODULE: Module = Module::new("inspect", &files::INSPECT, InspectParams::LAYOUT)
    .constants(&[
        ("NOT_FINITE", 0),
        ("BELOW_0", 1),
        ("ABOVE_1", 2),
        ("NOT_BINARY", 3),
        ("NOT_0", 4),
        ("NOT_DISTRIBUTED", 5),
        ("FACTS", FACTS as u32),
    ])
    .entry_points(&["find_not_finite", "inspect_targets"]);

const FIND: Kernel = MODULE.kernel("find_not_finite");
const TARGETS: Kernel = MODULE.kernel("inspect_targets");

const FACTS: usize = 6;

/// How far off 1 the sum of a row of probabilities may be.
const SUM_TOLERANCE: f32 = 1e-3;

params! {
    struct InspectParams {
        /// lanes, or rows
        items: u32,
        outputs: u32,
        /// where the facts go
        part: u32,
    }
}

/// The index of the first value of each kind, counted over all parts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    pub not_finite: Option<usize>,
    pub below_0: Option<usize>,
    pub above_1: Option<usize>,
    /// Neither 0 nor 1.
    pub not_binary: Option<usize>,
    pub not_0: Option<usize>,
    /// Begins a row that is not all 0, and whose sum is more than 10⁻³ off 1.
    pub not_distributed: Option<usize>,
}

impl Facts {
    /// What there is in rows of `outputs` values, as the kernel finds it.
    pub fn of(values: &[f32], outputs: usize) -> Self {
        let first = |is: fn(f32) -> bool| values.iter().position(|&x| is(x));
        let is_distributed = |row: &[f32]| {
            row.iter().all(|&x| x == 0.0) || (row.iter().sum::<f32>() - 1.0).abs() <= SUM_TOLERANCE
        };
        let mut rows = values.chunks(outputs.max(1));
        Self {
            not_finite: first(|x| !x.is_finite()),
            below_0: first(|x| x < 0.0),
            above_1: first(|x| x > 1.0),
            not_binary: first(|x| x != 0.0 && x != 1.0),
            not_0: first(|x| x != 0.0),
            not_distributed: rows
                .position(|row| !is_distributed(row))
                .map(|row| row * outputs),
        }
    }

    /// The first value that can't be a target, or else the first that is no probability.
    pub fn worst(&self) -> Option<usize> {
        let improbable = [self.below_0, self.above_1].into_iter().flatten().min();
        self.not_finite.or(improbable)
    }
}

/// The first NaN or infinity of samples of `values` f32s.
pub(crate) async fn first_not_finite(
    gpu: &Gpu,
    parts: &[Part],
    values: usize,
    progress: &impl Progress,
) -> Result<Option<usize>> {
    Ok(inspect(gpu, parts, values, None, progress)
        .await?
        .not_finite)
}

/// What there is in targets, samples of `values` f32s in rows of `outputs`.
pub(crate) async fn targets(
    gpu: &Gpu,
    parts: &[Part],
    values: usize,
    outputs: usize,
    progress: &impl Progress,
) -> Result<Facts> {
    inspect(gpu, parts, values, Some(outputs as u32), progress).await
}

/// An element of a tensor, which an application need not have made with `COPY_SRC`.
pub(crate) async fn value(of: &Tensor, index: usize, progress: &impl Progress) -> Result<f32> {
    let gpu = of.gpu();
    let copied = Tensor::create(gpu, &[1], |_, copied| {
        let word = size_of::<f32>() as u64;
        let [from, to] = [(of, index), (copied, 0)].map(|(t, i)| Place::of(t, i, 1, word));
        let dispatches = rows::copy(gpu, &from, &to)?;
        gpu.link().defer(word, |recording| {
            for dispatch in &dispatches {
                dispatch.record(recording.pass(), None);
            }
        })?;
        Ok(())
    })?;
    Ok(copied.read_by(progress).await?[0])
}

async fn inspect(
    gpu: &Gpu,
    parts: &[Part],
    values: usize,
    outputs: Option<u32>,
    progress: &impl Progress,
) -> Result<Facts> {
    let mut found = vec![[u32::MAX; FACTS]; parts.len()];
    if parts.is_empty() {
        return Ok(Facts::default());
    }
    let region = gpu.memory().region(size_of_val(&found[..]) as u64)?;
    let bytes = bytemuck::cast_slice(&found);
    transfer::write(
        gpu.memory(),
        &region.buffer,
        0,
        bytes,
        transfer::COPY_ALIGNMENT,
    )?;
    for (part, index) in parts.iter().zip(0..) {
        let len = part.samples * values as u32;
        let (kernel, lane, items) = match outputs {
            None => (FIND, lane_values(len), len / lane_values(len)),
            Some(outputs) => (TARGETS, 1, len / outputs),
        };
        let params = InspectParams {
            items,
            outputs: outputs.unwrap_or(1),
            part: index,
        };
        let regions = [&part.region, &region];
        let form = Form::default();
        let dispatch = per_item(gpu, kernel, form, lane, &regions, &params, items)?;
        gpu.link().defer(part.region.bytes, |recording| {
            dispatch.record(recording.pass(), None);
        })?;
    }
    let source = transfer::Source::of(&region);
    let bytes = bytemuck::cast_slice_mut(&mut found);
    transfer::read(gpu.memory(), source, bytes, progress).await?;
    let first = |fact: usize| {
        let all = parts
            .iter()
            .zip(&found)
            .filter(|(_, found)| found[fact] != u32::MAX);
        let mut places =
            all.map(|(part, found)| part.first as usize * values + found[fact] as usize);
        places.next()
    };
    Ok(Facts {
        not_finite: first(0),
        below_0: first(1),
        above_1: first(2),
        not_binary: first(3),
        not_0: first(4),
        not_distributed: first(5),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::platform;

    /// In two parts, if there are two rows.
    fn on_device(gpu: &Gpu, values: &[f32], outputs: usize) -> Facts {
        let half = values.len() / outputs / 2;
        let (front, back) = values.split_at(half * outputs);
        let tensors = [(0, front), (half, back)]
            .map(|(first, values)| (first, gpu.tensor(values, [values.len()]).unwrap()));
        let held = tensors.iter().filter(|(_, tensor)| !tensor.is_empty());
        let parts: Vec<_> = held
            .map(|(first, tensor)| Part {
                region: tensor.region().clone(),
                first: *first as u32,
                samples: (tensor.len() / outputs) as u32,
            })
            .collect();
        let found = targets(gpu, &parts, outputs, outputs, &platform::wait_for_answer);
        pollster::block_on(found).unwrap()
    }

    #[test]
    #[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
    fn the_host_finds_what_the_kernel_finds() {
        let gpu = &Gpu::new().unwrap();
        // But subnormal numbers, which a device may take for 0.
        let special = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            f32::MIN_POSITIVE,
            -f32::MIN_POSITIVE,
            1f32.next_down(),
            1f32.next_up(),
            0.5,
            0.25,
            2.0,
            f32::MAX,
            f32::MIN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            -f32::NAN,
        ];
        // Sums on either side of what counts as 1.
        let sums = [0.9985, 0.9995, 1.0, 1.0005, 1.0015].map(|sum| [sum - 0.25, 0.25]);
        let mut cases = vec![sums.as_flattened().to_vec(), vec![0.0; 8], vec![1.0, 0.0]];
        cases.extend(sums.map(Vec::from));
        // Each value behind and before what is right, and each pair of values.
        for x in special {
            cases.push([&[0.0, 1.0].repeat(5)[..], &[x, 0.0]].concat());
            cases.push([&[0.5, x], &[0.25, 0.75].repeat(5)[..]].concat());
            cases.extend(special.map(|y| vec![x, y]));
        }
        for values in cases {
            for outputs in [1, 2] {
                let (host, device) = (
                    Facts::of(&values, outputs),
                    on_device(gpu, &values, outputs),
                );
                // Of targets with a NaN or an infinity nothing else is asked.
                let is_same = match host.not_finite {
                    Some(_) => host.not_finite == device.not_finite,
                    None => host == device && host.worst() == device.worst(),
                };
                assert!(is_same, "{values:?} by {outputs}: {host:?}, not {device:?}");
            }
        }
    }
}
