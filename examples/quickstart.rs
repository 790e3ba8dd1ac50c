//! Runs handwritten digits through SELU, ELU and AlphaDropout, forward and backward, makes
//! Lecun-normal weights, and prints the results, how far they are from the same formulas in f64 on the
//! host, and how long they take.
//!
//! `cargo run --release --example quickstart`

use std::error::Error;
use std::time::{Duration, Instant};

use half::f16;
use selfnorm::{AlphaDropout, Element, Gpu, LecunNormal, Pass, Selu, Tensor, wgpu};

use common::digits::{PIXELS, digits};

mod common {
    pub mod digits;
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let gpu = Gpu::new()?;
    let info = gpu.adapter_info();
    println!("{} ({:?})", info.name, info.device_type);
    println!("{}, {} {}\n", info.backend, info.driver, info.driver_info);

    let (pixels, _) = digits()?;
    let digits = standardized(&pixels);
    let once = operations(&gpu, &digits, [PIXELS, 256])?;
    let tiled = operations(&gpu, &digits.repeat(70), [PIXELS, 1 << 16])?;
    if !once || !tiled {
        return Err("a result is further off than the documentation allows".into());
    }
    println!("Every value is within its documented bound.");
    Ok(())
}

/// Prints a line for each operation; returns whether all of them are within their bounds.
fn operations(gpu: &Gpu, digits: &[f32], kernel: [usize; 2]) -> Result<bool> {
    let shape = [digits.len() / PIXELS, PIXELS];
    let gradient: Vec<f32> = digits.iter().rev().copied().collect();
    let x = gpu.tensor(digits, shape)?;
    let dy = gpu.tensor(&gradient, shape)?;

    let selu = Selu::default();
    let elu = Selu {
        alpha: 1.0,
        scale: 1.0,
    };
    let dropout = AlphaDropout::new(0.1).seed(7);
    let (a, b) = dropout.coefficients()?;
    let kept = dropout.mask(shape)?;
    let init = LecunNormal::for_kernel(kernel).seed(42);
    let weights = init.values(kernel.iter().product())?;

    // The destinations of the timed repetitions.
    let y: Tensor = gpu.zeros(shape)?;
    let w: Tensor = gpu.zeros(kernel)?;

    println!(
        "{} digits, {} values of mean 0 and variance 1",
        shape[0],
        digits.len()
    );
    let mut table = Table::new(gpu);
    table.row(
        "selu",
        2,
        &x.selu()?,
        (2.0, "ulp"),
        |i| ulp(value(selu, digits[i])),
        |pass| pass.selu(&x, &y),
    )?;
    table.row(
        "selu_backward",
        3,
        &x.selu_backward(&dy)?,
        (2.0, "ulp"),
        |i| ulp(slope(selu, digits[i]) * f64::from(gradient[i])),
        |pass| pass.selu_backward(&x, &dy, &y),
    )?;
    table.row(
        "elu",
        2,
        &x.elu(1.0)?,
        (2.0, "ulp"),
        |i| ulp(value(elu, digits[i])),
        |pass| pass.elu(&x, 1.0, &y),
    )?;
    table.row(
        "elu_backward",
        3,
        &x.elu_backward(1.0, &dy)?,
        (2.0, "ulp"),
        |i| ulp(slope(elu, digits[i]) * f64::from(gradient[i])),
        |pass| pass.elu_backward(&x, 1.0, &dy, &y),
    )?;
    table.row(
        "alpha_dropout",
        2,
        &x.alpha_dropout(&dropout)?,
        (1.5, "· 2⁻²³ (|a x| + |b|)"),
        |i| {
            let limit = -selu.scale * selu.alpha;
            let ax = a * if kept[i] { digits[i].into() } else { limit };
            (ax + b, EPSILON * (ax.abs() + b.abs()))
        },
        |pass| pass.alpha_dropout(&x, &dropout, &y),
    )?;
    table.row(
        "alpha_dropout_backward",
        2,
        &dy.alpha_dropout_backward(&dropout)?,
        (1.0, "· 2⁻²³ |a dy|"),
        |i| {
            let dx = a * f64::from(gradient[i]);
            let expected = if kept[i] { dx } else { 0.0 };
            (expected, EPSILON * dx.abs())
        },
        |pass| pass.alpha_dropout_backward(&dy, &dropout, &y),
    )?;
    table.row(
        "lecun_normal",
        1,
        &gpu.lecun_normal(kernel, 42)?,
        (0.0, "ulp"),
        |i| ulp(f64::from(weights[i])),
        |pass| pass.lecun_normal(&init, &w),
    )?;
    if gpu.supports_f16() {
        let digits: Vec<f16> = digits.iter().map(|&x| f16::from_f32(x)).collect();
        let x = gpu.tensor(&digits, shape)?;
        let y = gpu.zeros(shape)?;
        table.row(
            "selu of f16",
            2,
            &x.selu()?,
            // Rounding adds half a unit to the 2 ulp of f32, which are 8192 times smaller.
            (0.5003, "ulp of f16"),
            |i| {
                let (expected, ulp) = ulp(value(selu, digits[i].to_f32()));
                (expected, 8192.0 * ulp)
            },
            |pass| pass.selu(&x, &y),
        )?;
    }
    println!();
    Ok(table.within_bounds)
}

struct Table<'a> {
    gpu: &'a Gpu,
    within_bounds: bool,
}

impl<'a> Table<'a> {
    fn new(gpu: &'a Gpu) -> Self {
        println!(
            "{:<24}{:>8}{:>10}{:>11}{:>7}  worst deviation",
            "", "mean", "variance", "time", "GB/s"
        );
        Self {
            gpu,
            within_bounds: true,
        }
    }

    /// Prints a line about the `result` of an operation. `tensors` is how many it reads and writes,
    /// `expected` gives what an element should be and the unit of its deviation, which may be up to
    /// `bound`, and `record` repeats the operation to time it.
    fn row<T: Element + Into<f64>>(
        &mut self,
        name: &str,
        tensors: usize,
        result: &Tensor<T>,
        (bound, unit): (f64, &str),
        expected: impl Fn(usize) -> (f64, f64),
        record: impl Fn(&mut Pass) -> selfnorm::Result<()>,
    ) -> Result<()> {
        let values: Vec<f64> = result.to_vec()?.into_iter().map(Into::into).collect();
        let (mean, variance) = moments(&values);
        let deviation = values.iter().enumerate().map(|(i, value)| {
            let (expected, unit) = expected(i);
            let difference = (value - expected).abs();
            // A NaN must not hide from `max`.
            match difference / unit {
                _ if difference == 0.0 => 0.0,
                deviation if deviation.is_nan() => f64::INFINITY,
                deviation => deviation,
            }
        });
        let worst = deviation.fold(0.0, f64::max);
        let within = worst <= bound;
        self.within_bounds &= within;

        let time = time(self.gpu, values.len(), record)?;
        let bytes = (tensors * values.len() * size_of::<T>()) as f64;
        let rate = bytes / time.as_secs_f64() / 1e9;
        let relation = if within { "≤" } else { ">" };
        println!(
            "{name:<24}{mean:>+8.3}{variance:>10.3}{time:>11.1?}{rate:>7.1}  {worst:.2} {relation} {bound} {unit}"
        );
        Ok(())
    }
}

/// The time of one run of `record`'s commands: the median of several submissions, each with enough
/// runs for the cost of submitting to be negligible.
fn time(
    gpu: &Gpu,
    len: usize,
    record: impl Fn(&mut Pass) -> selfnorm::Result<()>,
) -> Result<Duration> {
    let runs = ((1 << 22) / len).clamp(1, 100);
    let submission = || {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let mut pass = gpu.pass(&mut encoder);
        for _ in 0..runs {
            record(&mut pass)?;
        }
        drop(pass);
        let start = Instant::now();
        gpu.queue().submit([encoder.finish()]);
        gpu.device().poll(wgpu::PollType::wait_indefinitely())?;
        Ok(start.elapsed() / runs as u32)
    };
    submission()?;
    let mut times = (0..5).map(|_| submission()).collect::<Result<Vec<_>>>()?;
    times.sort();
    Ok(times[times.len() / 2])
}

const EPSILON: f64 = f32::EPSILON as f64;

/// λx for x > 0, λα(eˣ − 1) else.
fn value(Selu { alpha, scale }: Selu, x: f32) -> f64 {
    let x = f64::from(x);
    scale * if x > 0.0 { x } else { alpha * x.exp_m1() }
}

/// λ for x > 0, λαeˣ else.
fn slope(Selu { alpha, scale }: Selu, x: f32) -> f64 {
    let x = f64::from(x);
    scale * if x > 0.0 { 1.0 } else { alpha * x.exp() }
}

/// A number, and the spacing of the f32 around it.
fn ulp(x: f64) -> (f64, f64) {
    let power_of_two = f64::from_bits(x.to_bits() & f64::INFINITY.to_bits());
    (x, EPSILON * power_of_two)
}

/// With mean 0 and variance 1, as a SELU network wants its inputs.
fn standardized(values: &[u8]) -> Vec<f32> {
    let values: Vec<f64> = values.iter().map(|&value| value.into()).collect();
    let (mean, variance) = moments(&values);
    values
        .iter()
        .map(|value| ((value - mean) / variance.sqrt()) as f32)
        .collect()
}

/// Mean and variance.
fn moments(values: &[f64]) -> (f64, f64) {
    let len = values.len() as f64;
    let mean = values.iter().sum::<f64>() / len;
    let squares = values.iter().map(|value| (value - mean).powi(2));
    (mean, squares.sum::<f64>() / len)
}
