//! SELU and ELU over all floats, or every n-th, against f64 mathematics.

use selfnorm::{Gpu, Result, Selu, Tensor};

use super::ulps;

/// The worst error in units in the last place, and where.
pub type Worst = (f64, f32);

/// Keras's ELU.
pub const ELU: Selu = Selu {
    alpha: 1.0,
    scale: 1.0,
};

/// Forward, and backward for a gradient of 1.
pub fn sweep(
    gpu: &Gpu,
    p: &Selu,
    step: usize,
    op: impl Fn(&Tensor, &Tensor) -> Result<[Tensor; 2]>,
) -> Result<[Worst; 2]> {
    const BLOCK: usize = 1 << 24;
    let mut worst = [(0.0, 0.0); 2];
    for first in (0..1 << 32).step_by(BLOCK * step) {
        let x: Vec<f32> = (first..1 << 32)
            .step_by(step)
            .take(BLOCK)
            .map(|bits: usize| f32::from_bits(bits as u32))
            .collect();
        let ones = gpu.tensor(&vec![1.0; x.len()], [x.len()])?;
        let [y, dx] = op(&gpu.tensor(&x, [x.len()])?, &ones)?;
        let (y, dx) = (y.to_vec()?, dx.to_vec()?);
        let half = x.len() / 2;
        let (low, high) = std::thread::scope(|scope| {
            let high = scope.spawn(|| worst_of(p, &x[half..], &y[half..], &dx[half..]));
            let low = worst_of(p, &x[..half], &y[..half], &dx[..half]);
            (low, high.join().unwrap())
        });
        for here in [low, high] {
            for (worst, here) in worst.iter_mut().zip(here) {
                if here.0 > worst.0 {
                    *worst = here;
                }
            }
        }
    }
    Ok(worst)
}

fn worst_of(p: &Selu, x: &[f32], y: &[f32], dx: &[f32]) -> [Worst; 2] {
    let mut worst = [(0.0, 0.0); 2];
    for ((&x, &y), &dx) in x.iter().zip(y).zip(dx) {
        let (value, derivative) = real(p, f64::from(x));
        for (worst, error) in worst.iter_mut().zip([ulps(y, value), ulps(dx, derivative)]) {
            if error > worst.0 {
                *worst = (error, x);
            }
        }
    }
    worst
}

/// The value and the derivative, whose own error is below a millionth of an f32's ulp.
fn real(p: &Selu, x: f64) -> (f64, f64) {
    if x.is_nan() {
        return (x, x);
    }
    if x > 0.0 {
        return (p.scale * x, p.scale);
    }
    let product = p.scale * p.alpha;
    let (expm1, exp) = if x > -1e-8 {
        (x + 0.5 * x * x, 1.0 + x)
    } else if x > -1.0 {
        let expm1 = x.exp_m1();
        (expm1, expm1 + 1.0)
    } else if x > -120.0 {
        let exp = x.exp();
        (exp - 1.0, exp)
    } else {
        // e⁻¹²⁰ is below half of the smallest subnormal number.
        (-1.0, 0.0)
    };
    (product * expm1, product * exp)
}
