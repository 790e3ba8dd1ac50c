//! The ops that are timed.
#![allow(dead_code)]

use std::collections::HashSet;

use selfnorm::{Gpu, LecunNormal, Pass, Result, Tensor};

use super::clock::is_software;
use super::tests::ops::Op;

/// The operands of all ops, of one length.
pub struct Operands {
    pub x: Tensor,
    dy: Tensor,
    pub y: Tensor,
}

impl Operands {
    pub fn new(gpu: &Gpu, len: usize) -> Result<Self> {
        let operands = Self {
            x: gpu.zeros([len])?,
            dy: gpu.zeros([len])?,
            y: gpu.zeros([len])?,
        };
        let values = LecunNormal::new(1).seed(1);
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let mut pass = gpu.pass(&mut encoder);
        pass.lecun_normal(&values, &operands.x)?;
        pass.lecun_normal(&values, &operands.dy)?;
        drop(pass);
        gpu.queue().submit([encoder.finish()]);
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

/// So many elements are timed together that submitting them is negligible, and a turn short.
pub fn turn_elements(gpu: &Gpu) -> usize {
    if is_software(gpu) { 1 << 24 } else { 1 << 30 }
}
