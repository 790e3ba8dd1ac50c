//! What the crate computes, in one picture: SELU and ELU, their derivatives, Lecun-normal weights,
//! and AlphaDropout, which keeps mean and variance.
//!
//! `cargo run --release --example curves` writes `curves.png`, or the path given to it.

use std::f64::consts::TAU;
use std::path::Path;

use plotters::style::WHITE;
use selfnorm::{AlphaDropout, Gpu, Selu, random};

use common::plot::{
    Area, BLUE, INK, LIGHT_BLUE, LIGHT_GREY, LIGHT_TEAL, ORANGE, Panel, Result, number, picture,
};

mod common {
    pub mod plot;
}

fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or("curves.png".into());
    let gpu = Gpu::new()?;
    picture(Path::new(&path), (1600, 1100), |canvas| {
        let panels = canvas.split_evenly((2, 2));
        functions(&gpu, &panels[0])?;
        derivatives(&gpu, &panels[1])?;
        weights(&gpu, &panels[2])?;
        dropout(&gpu, &panels[3])
    })?;
    println!("{path}: SELU, ELU, Lecun-normal weights and AlphaDropout");
    Ok(())
}

fn functions(gpu: &Gpu, area: &Area) -> Result<()> {
    let x = arguments();
    let input = gpu.tensor(&x, [x.len()])?;
    let mut panel = Panel::new(
        area,
        "SELU and ELU",
        "λx for x > 0, λα(eˣ − 1) for x ≤ 0; λ = 1.0507, α = 1.6733",
        (-4.0..4.0, 0),
        (-2.0..4.3, 0),
    )?;
    panel.zero_lines()?;
    panel.curve(&x, &input.elu(1.0)?.to_vec()?, ORANGE)?;
    panel.curve(&x, &input.selu()?.to_vec()?, BLUE)?;
    panel.legend((30, 30), BLUE, "SELU")?;
    panel.legend((30, 66), ORANGE, "ELU, with λ = α = 1")
}

fn derivatives(gpu: &Gpu, area: &Area) -> Result<()> {
    let x = arguments();
    let input = gpu.tensor(&x, [x.len()])?;
    let one = gpu.tensor(&vec![1.0; x.len()], [x.len()])?;
    let mut panel = Panel::new(
        area,
        "Derivatives",
        "The factor of the backward pass; at 0 the one from the left",
        (-4.0..4.0, 0),
        (0.0..2.0, 1),
    )?;
    panel.zero_lines()?;
    panel.curve(&x, &input.elu_backward(1.0, &one)?.to_vec()?, ORANGE)?;
    // It jumps just after 0.
    let (selu, zero) = (input.selu_backward(&one)?.to_vec()?, x.len() / 2);
    panel.curve(&x[..=zero], &selu[..=zero], BLUE)?;
    panel.curve(&x[zero + 1..], &selu[zero + 1..], BLUE)?;
    let Selu { alpha, scale } = Selu::default();
    panel.dot((0.0, scale), WHITE.into(), BLUE)?;
    panel.dot((0.0, scale * alpha), BLUE, BLUE)?;
    panel.legend((30, 30), BLUE, "SELU′")?;
    panel.legend((30, 66), ORANGE, "ELU′")
}

fn weights(gpu: &Gpu, area: &Area) -> Result<()> {
    let fan_in = 64;
    let weights = gpu.lecun_normal([fan_in, 1 << 14], 42)?.to_vec()?;
    let (mean, variance) = moments(&weights);
    let mut panel = Panel::new(
        area,
        "Lecun-normal weights",
        &format!(
            "Density of 2²⁰ weights, fan-in {fan_in}: mean {}, deviation {}",
            number(mean, 4),
            number(variance.sqrt(), 4)
        ),
        (-0.31..0.31, 1),
        (0.0..3.5, 0),
    )?;
    panel.histogram(&weights, 0.005, LIGHT_BLUE)?;
    // A normal cut off at ±2 deviations keeps 0.8796 of its deviation and 0.9545 of its area.
    let deviation = (1.0 / fan_in as f64).sqrt() / 0.879_625_661;
    let density =
        |w: f64| (-0.5 * (w / deviation).powi(2)).exp() / (deviation * TAU.sqrt() * 0.954_499_736);
    let limit = 2.0 * deviation;
    let bell = (-200..=200)
        .map(|i| f64::from(i) / 200.0 * limit)
        .map(|w| (w, density(w)));
    let bell = [(-limit, 0.0)]
        .into_iter()
        .chain(bell)
        .chain([(limit, 0.0)]);
    panel.line(bell.collect(), INK)?;
    panel.legend((30, 30), LIGHT_BLUE, "weights")?;
    panel.legend((30, 66), INK, "truncated normal")
}

fn dropout(gpu: &Gpu, area: &Area) -> Result<()> {
    let rate = 0.1;
    let dropout = AlphaDropout::new(rate).seed(7);
    let before = standard_normal(1 << 20);
    let after = gpu
        .tensor(&before, [before.len()])?
        .alpha_dropout(&dropout)?
        .to_vec()?;
    let (a, b) = dropout.coefficients()?;
    let Selu { alpha, scale } = Selu::default();
    let dropped = b - a * scale * alpha;
    let mut panel = Panel::new(
        area,
        "AlphaDropout",
        &format!(
            "Density of 2²⁰ values; a tenth becomes {}, the spike",
            number(dropped, 2)
        ),
        (-4.0..4.0, 0),
        (0.0..1.2, 1),
    )?;
    for (y, name, color, values) in [
        (30, "before", LIGHT_GREY, &before),
        (66, "after", LIGHT_TEAL, &after),
    ] {
        let (mean, variance) = moments(values);
        let moments = format!("mean {}, variance {}", number(mean, 3), number(variance, 3));
        panel.histogram(values, 0.1, color)?;
        panel.legend((290, y), color, &format!("{name}: {moments}"))?;
    }
    Ok(())
}

/// From −4 to 4.
fn arguments() -> Vec<f32> {
    (-200..=200).map(|i| i as f32 / 50.0).collect()
}

/// Normal numbers by the Box–Muller method, two from every two words.
fn standard_normal(len: usize) -> Vec<f32> {
    let words: Vec<u32> = random::words(1, 0, 0..len as u64).collect();
    words
        .chunks_exact(2)
        .flat_map(|pair| {
            let [u, v] = [pair[0], pair[1]].map(|word| (f64::from(word) + 0.5) / 2f64.powi(32));
            let (sin, cos) = (TAU * v).sin_cos();
            let radius = (-2.0 * u.ln()).sqrt();
            [(radius * sin) as f32, (radius * cos) as f32]
        })
        .collect()
}

/// Mean and variance.
fn moments(values: &[f32]) -> (f64, f64) {
    let len = values.len() as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / len;
    let squares = values.iter().map(|&x| (f64::from(x) - mean).powi(2));
    (mean, squares.sum::<f64>() / len)
}
