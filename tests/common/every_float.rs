//! A function and its derivative over all floats, or every n-th, against f64 mathematics.

use selfnorm::{Gpu, Result};

use super::largest;
use super::ops::{Op, Parameter};

/// The worst error, in the ulp of a [`super::ops::Bound`], and where.
pub type Worst = (f64, f32);

/// Forward, and backward for a gradient of 1.
pub fn sweep(gpu: &Gpu, op: &Op<f32>, p: &Parameter, step: usize) -> Result<[Worst; 2]> {
    const BLOCK: usize = 1 << 24;
    let gradient = op.gradient().expect("it is a function");
    let errors = |x: &[f32], y: &[f32], dx: &[f32]| {
        let of = |op: &Op<f32>, results: &[f32]| {
            let (real, bound) = op.real();
            let pairs = x.iter().zip(results);
            largest(pairs.map(|(&x, &y)| (bound.error(y, real(p, x.into())), x)))
        };
        [of(op, y), of(gradient, dx)]
    };
    let mut worst = [(0.0, 0.0); 2];
    for first in (0..1 << 32).step_by(BLOCK * step) {
        let x: Vec<f32> = (first..1 << 32)
            .step_by(step)
            .take(BLOCK)
            .map(|bits: usize| f32::from_bits(bits as u32))
            .collect();
        let ones = gpu.tensor(&vec![1.0; x.len()], [x.len()])?;
        let tensor = gpu.tensor(&x, [x.len()])?;
        let y = op.apply(gpu, tensor.shape(), &[&tensor], p)?.to_vec()?;
        let dx = gradient.apply(gpu, tensor.shape(), &[&tensor, &ones], p)?;
        let dx = dx.to_vec()?;
        let half = x.len() / 2;
        let (low, high) = std::thread::scope(|scope| {
            let high = scope.spawn(|| errors(&x[half..], &y[half..], &dx[half..]));
            let low = errors(&x[..half], &y[..half], &dx[..half]);
            (low, high.join().unwrap())
        });
        for here in [low, high] {
            for (worst, here) in worst.iter_mut().zip(here) {
                *worst = largest([*worst, here].into_iter());
            }
        }
    }
    Ok(worst)
}
