//! The ops that are timed.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use selfnorm::{Gpu, LecunNormal, Pass, Result, Tensor, wgpu};

use super::tests::ops::Op;

/// The operands of all ops, of one length.
pub struct Operands {
    x: Tensor,
    dy: Tensor,
    y: Tensor,
}

impl Operands {
    pub fn new(gpu: &Gpu, len: usize) -> Result<Self> {
        let operands = Self {
            x: gpu.zeros([len])?,
            dy: gpu.zeros([len])?,
            y: gpu.zeros([len])?,
        };
        let values = LecunNormal::new(1).seed(1);
        submitted(gpu, |encoder| {
            let mut pass = gpu.pass(encoder);
            pass.lecun_normal(&values, &operands.x)?;
            pass.lecun_normal(&values, &operands.dy)
        })?;
        Ok(operands)
    }

    /// From the inputs to y, with the op's most common parameters.
    pub fn record(&self, op: &Op<f32>, pass: &mut Pass) -> Result<()> {
        let tensors = op.arguments(false).into_iter().map(|name| match name {
            "x" => &self.x,
            "dy" => &self.dy,
            _ => &self.y,
        });
        op.record(pass, false, &tensors.collect::<Vec<_>>(), &op.parameters[0])
    }
}

/// Each once, since other constants take as long; and of each distribution of weights one, for theirs do.
pub fn ops() -> impl Iterator<Item = &'static Op<f32>> {
    let mut names = HashSet::from(["he_normal", "he_uniform", "glorot_normal", "glorot_uniform"]);
    Op::ALL.iter().filter(move |op| names.insert(op.name))
}

pub fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).expect("times are numbers"));
    values[values.len() / 2]
}

/// So many elements are timed together that submitting them is negligible, and a turn short.
pub fn turn_elements(gpu: &Gpu) -> usize {
    match gpu.adapter_info().device_type {
        wgpu::DeviceType::Cpu => 1 << 24,
        _ => 1 << 30,
    }
}

/// The time from submission to completion.
pub fn submitted(
    gpu: &Gpu,
    record: impl Fn(&mut wgpu::CommandEncoder) -> Result<()>,
) -> Result<Duration> {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    record(&mut encoder)?;
    let commands = encoder.finish();
    let start = Instant::now();
    gpu.queue().submit([commands]);
    gpu.device()
        .poll(wgpu::PollType::wait_indefinitely())
        .expect("the device works");
    Ok(start.elapsed())
}
