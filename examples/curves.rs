//! What the crate computes, in one picture: SELU and ELU, their derivatives, Lecun-normal weights,
//! and AlphaDropout, which keeps mean and variance.
//!
//! `cargo run --release --example curves` writes `curves.png`, or the path given to it.

use std::error::Error;
use std::f64::consts::TAU;
use std::fs::File;
use std::io::BufWriter;
use std::ops::Range;

use plotters::coord::{Shift, types::RangedCoordf64};
use plotters::prelude::*;
use plotters::style::register_font;
use selfnorm::{AlphaDropout, Gpu, Selu, random};

const WIDTH: u32 = 1600;
const HEIGHT: u32 = 1100;
/// plotters draws lines with hard edges: everything is drawn this much larger and then averaged.
const ZOOM: u32 = 3;

const INK: RGBAColor = RGBAColor(30, 41, 59, 1.0);
const GREY: RGBAColor = RGBAColor(100, 116, 139, 1.0);
const LIGHT_GREY: RGBAColor = RGBAColor(100, 116, 139, 0.45);
const AXIS: RGBAColor = RGBAColor(178, 190, 205, 1.0);
const GRID: RGBAColor = RGBAColor(232, 237, 243, 1.0);
const BLUE: RGBAColor = RGBAColor(29, 95, 184, 1.0);
const LIGHT_BLUE: RGBAColor = RGBAColor(29, 95, 184, 0.45);
const ORANGE: RGBAColor = RGBAColor(232, 105, 42, 1.0);
const LIGHT_TEAL: RGBAColor = RGBAColor(15, 150, 135, 0.55);

const FONT: &str = "Inter";
const REGULAR: &[u8] = include_bytes!("data/Inter-Regular.ttf");
const SEMI_BOLD: &[u8] = include_bytes!("data/Inter-SemiBold.ttf");

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let path = std::env::args().nth(1).unwrap_or("curves.png".into());
    register_font(FONT, FontStyle::Normal, REGULAR)
        .and(register_font(FONT, FontStyle::Bold, SEMI_BOLD))
        .map_err(|_| "the fonts can't be read")?;

    let gpu = Gpu::new()?;
    let size = (WIDTH * ZOOM, HEIGHT * ZOOM);
    let mut pixels = vec![0; (size.0 * size.1 * 3) as usize];
    let canvas = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
    canvas.fill(&WHITE)?;
    let panels = canvas.split_evenly((2, 2));
    functions(&gpu, &panels[0])?;
    derivatives(&gpu, &panels[1])?;
    weights(&gpu, &panels[2])?;
    dropout(&gpu, &panels[3])?;
    canvas.present()?;
    drop((canvas, panels));

    save(&path, &pixels)?;
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
    panel.dot((0.0, scale), WHITE.into())?;
    panel.dot((0.0, scale * alpha), BLUE)?;
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
    // A normal cut off at ±2 deviations has 0.8796 of its deviation and 0.9545 of its area left.
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

/// Normal numbers by Box and Muller, two from two words.
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

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Plane = Cartesian2d<RangedCoordf64, RangedCoordf64>;

/// A chart with a title. Lengths are in pixels of the final picture.
struct Panel<'a>(ChartContext<'a, BitMapBackend<'a>, Plane>);

impl<'a> Panel<'a> {
    /// The ranges of x and y, and the decimals of their labels.
    fn new(
        area: &Area<'a>,
        title: &str,
        subtitle: &str,
        (x, x_decimals): (Range<f64>, usize),
        (y, y_decimals): (Range<f64>, usize),
    ) -> Result<Self> {
        write(area, (72, 52), title, 34, FontStyle::Bold, INK)?;
        write(area, (72, 86), subtitle, 23, FontStyle::Normal, GREY)?;
        let mut chart = ChartBuilder::on(area)
            .margin_top(px(108))
            .margin_right(px(36))
            .margin_bottom(px(16))
            .x_label_area_size(px(40))
            .y_label_area_size(px(72))
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_labels(9)
            .y_labels(7)
            .x_label_formatter(&|x| number(*x, x_decimals))
            .y_label_formatter(&|y| number(*y, y_decimals))
            .set_all_tick_mark_size(px(6))
            .label_style((FONT, px(22)).into_font().color(&GREY))
            // plotters puts the text a fifth of its size too high.
            .y_label_offset(px(22) / 5)
            .bold_line_style(GRID.stroke_width(ZOOM))
            .light_line_style(TRANSPARENT)
            .axis_style(AXIS.stroke_width(ZOOM))
            .draw()?;
        Ok(Self(chart))
    }

    fn zero_lines(&mut self) -> Result<()> {
        for ends in [[(-9.0, 0.0), (9.0, 0.0)], [(0.0, -9.0), (0.0, 9.0)]] {
            let line = PathElement::new(ends, AXIS.stroke_width(ZOOM));
            self.0.draw_series([line])?;
        }
        Ok(())
    }

    fn curve(&mut self, x: &[f32], y: &[f32], color: RGBAColor) -> Result<()> {
        let points = x.iter().zip(y).map(|(&x, &y)| (x.into(), y.into()));
        self.line(points.collect(), color)
    }

    fn line(&mut self, points: Vec<(f64, f64)>, color: RGBAColor) -> Result<()> {
        let line = PathElement::new(points, color.stroke_width(4 * ZOOM));
        self.0.draw_series([line])?;
        Ok(())
    }

    fn dot(&mut self, at: (f64, f64), fill: RGBAColor) -> Result<()> {
        let dot = |radius, color: RGBAColor| Circle::new(at, px(radius), color.filled());
        self.0.draw_series([dot(8, BLUE), dot(4, fill)])?;
        Ok(())
    }

    /// The density of the values.
    fn histogram(&mut self, values: &[f32], width: f64, color: RGBAColor) -> Result<()> {
        let range = self.0.x_range();
        let mut counts = vec![0; ((range.end - range.start) / width).round() as usize];
        for value in values.iter().map(|&value| f64::from(value)) {
            let bin = ((value - range.start) / width) as usize;
            if value >= range.start && bin < counts.len() {
                counts[bin] += 1;
            }
        }
        let mut steps = vec![(range.start, 0.0)];
        for (i, count) in counts.into_iter().enumerate() {
            let density = f64::from(count) / (values.len() as f64 * width);
            let left = range.start + i as f64 * width;
            steps.extend([(left, density), (left + width, density)]);
        }
        steps.push((range.end, 0.0));
        let area = Polygon::new(steps, color.filled());
        self.0.draw_series([area])?;
        Ok(())
    }

    /// What a colour stands for, at this place of the plot.
    fn legend(&self, (x, y): (i32, i32), color: RGBAColor, text: &str) -> Result<()> {
        let area = self.0.plotting_area().strip_coord_spec();
        let swatch = [(px(x), px(y - 3)), (px(x + 32), px(y + 3))];
        area.draw(&Rectangle::new(swatch, color.filled()))?;
        write(&area, (x + 44, y + 8), text, 24, FontStyle::Normal, INK)
    }
}

/// Text whose baseline starts here.
fn write(
    area: &Area,
    (x, baseline): (i32, i32),
    text: &str,
    size: i32,
    style: FontStyle,
    color: RGBAColor,
) -> Result<()> {
    // plotters' baseline is half the size below the point given.
    let at = (px(x), px(baseline) - px(size) / 2);
    let font = (FONT, px(size), style).into_font();
    area.draw_text(text, &font.color(&color), at)?;
    Ok(())
}

fn px(length: i32) -> i32 {
    length * ZOOM as i32
}

/// With a minus sign where others have a hyphen.
fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(zero) if zero.parse() == Ok(0.0) => zero.into(),
        Some(positive) => format!("−{positive}"),
        None => text,
    }
}

/// Averages squares of `ZOOM` by `ZOOM` pixels and writes the PNG.
fn save(path: &str, pixels: &[u8]) -> Result<()> {
    let (width, zoom) = (WIDTH as usize, ZOOM as usize);
    let average = |i: usize| {
        let (y, x, channel) = (i / 3 / width, i / 3 % width, i % 3);
        let row = |dy| ((y * zoom + dy) * width + x) * zoom * 3 + channel;
        let sum: usize = (0..zoom)
            .flat_map(|dy| (0..zoom).map(move |dx| (dx, dy)))
            .map(|(dx, dy)| usize::from(pixels[row(dy) + dx * 3]))
            .sum();
        (sum / (zoom * zoom)) as u8
    };
    let image: Vec<u8> = (0..width * HEIGHT as usize * 3).map(average).collect();
    let mut png = png::Encoder::new(BufWriter::new(File::create(path)?), WIDTH, HEIGHT);
    png.set_color(png::ColorType::Rgb);
    png.write_header()?.write_image_data(&image)?;
    Ok(())
}
