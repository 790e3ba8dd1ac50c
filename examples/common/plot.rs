//! Plots in the examples' style. Lengths are in pixels of the final picture.

#![allow(dead_code)] // No example needs all of it.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::ops::Range;
use std::path::Path;

use plotters::coord::{Shift, types::RangedCoordf64};
use plotters::prelude::*;
use plotters::style::register_font;

/// plotters draws lines with hard edges: everything is drawn this much larger and then averaged.
const ZOOM: u32 = 3;

pub const INK: RGBAColor = RGBAColor(30, 41, 59, 1.0);
pub const GREY: RGBAColor = RGBAColor(100, 116, 139, 1.0);
pub const LIGHT_GREY: RGBAColor = RGBAColor(100, 116, 139, 0.45);
pub const AXIS: RGBAColor = RGBAColor(178, 190, 205, 1.0);
pub const GRID: RGBAColor = RGBAColor(232, 237, 243, 1.0);
pub const BLUE: RGBAColor = RGBAColor(29, 95, 184, 1.0);
pub const LIGHT_BLUE: RGBAColor = RGBAColor(29, 95, 184, 0.45);
pub const ORANGE: RGBAColor = RGBAColor(232, 105, 42, 1.0);
pub const LIGHT_ORANGE: RGBAColor = RGBAColor(232, 105, 42, 0.45);
pub const PURPLE: RGBAColor = RGBAColor(157, 60, 140, 1.0);
pub const LIGHT_PURPLE: RGBAColor = RGBAColor(157, 60, 140, 0.5);
pub const TEAL: RGBAColor = RGBAColor(15, 150, 135, 1.0);
pub const YELLOW: RGBAColor = RGBAColor(202, 150, 20, 1.0);
pub const LIGHT_TEAL: RGBAColor = RGBAColor(15, 150, 135, 0.55);

const FONT: &str = "Inter";
const REGULAR: &[u8] = include_bytes!("../data/Inter-Regular.ttf");
const SEMI_BOLD: &[u8] = include_bytes!("../data/Inter-SemiBold.ttf");

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;
pub type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Plane = Cartesian2d<RangedCoordf64, RangedCoordf64>;

/// Draws a picture and writes it as a PNG.
pub fn picture(
    path: &Path,
    (width, height): (u32, u32),
    draw: impl FnOnce(&Area) -> Result<()>,
) -> Result<()> {
    register_font(FONT, FontStyle::Normal, REGULAR)
        .and(register_font(FONT, FontStyle::Bold, SEMI_BOLD))
        .map_err(|_| "the fonts can't be read")?;
    let size = (width * ZOOM, height * ZOOM);
    let mut pixels = vec![0; (size.0 * size.1 * 3) as usize];
    let canvas = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
    canvas.fill(&WHITE)?;
    draw(&canvas)?;
    canvas.present()?;
    drop(canvas);
    save(path, (width, height), &pixels)
        .map_err(|problem| format!("{}: {problem}", path.display()).into())
}

/// The range, the scale and the labels of an axis.
pub struct Axis {
    range: Range<f64>,
    decimals: usize,
    ticks: Option<usize>,
    name: &'static str,
    scale: Scale,
}

#[derive(Clone, Copy)]
enum Scale {
    Linear,
    PowersOfTen,
    PowersOfTwo,
    /// Powers of ten of a second.
    Seconds,
}

impl Axis {
    /// A linear axis, with this many decimals on the labels.
    pub fn new(range: Range<f64>, decimals: usize) -> Self {
        Self {
            range,
            decimals,
            ticks: None,
            name: "",
            scale: Scale::Linear,
        }
    }

    /// Logarithmic, between these powers of ten; the whole powers have labels.
    pub fn log(powers: Range<f64>) -> Self {
        Self::powers(Scale::PowersOfTen, powers)
    }

    /// Logarithmic, between these powers of two.
    pub fn log2(powers: Range<f64>) -> Self {
        Self::powers(Scale::PowersOfTwo, powers)
    }

    /// Logarithmic, wide enough for these times in seconds, and a little more.
    pub fn seconds_around(times: impl Iterator<Item = f64>) -> Self {
        Self::powers(Scale::Seconds, Self::around(times.map(f64::log10)).range)
    }

    fn powers(scale: Scale, powers: Range<f64>) -> Self {
        let whole = powers.end.floor() - powers.start.ceil() + 1.0;
        Self {
            scale,
            ticks: Some(whole.clamp(1.0, 7.0) as usize),
            ..Self::new(powers, 0)
        }
    }

    /// Logarithmic, wide enough for these values, and a little more.
    pub fn log_around(values: impl Iterator<Item = f64>) -> Self {
        Self::log(Self::around(values.map(f64::log10)).range)
    }

    /// Wide enough for these values, and a little more.
    pub fn around(values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let room = match high - low {
            0.0 => (high.abs() / 10.0).max(0.01),
            range => range / 12.0,
        };
        let (low, high) = (low - room, high + room);
        let decimals = match high - low {
            range if range < 0.03 => (1.0 - range.log10()).ceil() as usize,
            range if range < 0.3 => 2,
            range if range < 30.0 => 1,
            _ => 0,
        };
        Self::new(low..high, decimals)
    }

    /// With at most this many labels.
    pub fn ticks(self, ticks: usize) -> Self {
        Self {
            ticks: Some(ticks),
            ..self
        }
    }

    pub fn name(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    fn label(&self, value: f64) -> String {
        let power = value.round() as i32;
        match self.scale {
            Scale::Linear => self.short(value),
            Scale::PowersOfTen => power_of_ten(power),
            Scale::PowersOfTwo => power_of_two(power as u32),
            Scale::Seconds => seconds(power),
        }
    }

    /// A number that has room at the side.
    fn short(&self, value: f64) -> String {
        let most = self.range.start.abs().max(self.range.end.abs());
        let (unit, sign) = match most {
            1e9.. => (1e9, " G"),
            1e6.. => (1e6, " M"),
            1e4.. => (1e3, " k"),
            _ => (1.0, ""),
        };
        if unit == 1.0 {
            return number(value, self.decimals);
        }
        // As many decimals as tell ticks apart.
        let range = (self.range.end - self.range.start) / unit;
        let decimals = (2.0 - range.log10()).clamp(0.0, 3.0) as usize;
        match number(value / unit, decimals) {
            zero if zero.parse() == Ok(0.0) => "0".into(),
            text => text + sign,
        }
    }

    fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::PowersOfTen | Scale::Seconds => value.log10(),
            Scale::PowersOfTwo => value.log2(),
        }
    }
}

impl From<(Range<f64>, usize)> for Axis {
    fn from((range, decimals): (Range<f64>, usize)) -> Self {
        Self::new(range, decimals)
    }
}

/// Where a legend is.
#[derive(Clone, Copy)]
pub enum Corner {
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
}

/// A chart with a title.
pub struct Panel<'a> {
    chart: ChartContext<'a, BitMapBackend<'a>, Plane>,
    x: Axis,
    y: Axis,
}

impl<'a> Panel<'a> {
    pub fn new(
        area: &Area<'a>,
        title: &str,
        subtitle: &str,
        x: impl Into<Axis>,
        y: impl Into<Axis>,
    ) -> Result<Self> {
        let (x, y) = (x.into(), y.into());
        write(area, (72, 52), title, 34, FontStyle::Bold, INK)?;
        write(area, (72, 86), subtitle, 23, FontStyle::Normal, GREY)?;
        let name_height = if x.name.is_empty() { 0 } else { 26 };
        let mut chart = ChartBuilder::on(area)
            .margin_top(px(108))
            .margin_right(px(36))
            .margin_bottom(px(16))
            .x_label_area_size(px(40 + name_height))
            .y_label_area_size(px(72))
            .build_cartesian_2d(x.range.clone(), y.range.clone())?;
        let name = TextStyle::from((FONT, px(22)).into_font()).color(&INK);
        chart
            .configure_mesh()
            .x_labels(x.ticks.unwrap_or(9))
            .y_labels(y.ticks.unwrap_or(7))
            .x_label_formatter(&|value| x.label(*value))
            .y_label_formatter(&|value| y.label(*value))
            .x_desc(x.name)
            .axis_desc_style(name)
            .set_all_tick_mark_size(px(6))
            .label_style((FONT, px(22)).into_font().color(&GREY))
            // plotters puts the text a fifth of its size too high.
            .y_label_offset(px(22) / 5)
            .bold_line_style(GRID.stroke_width(ZOOM))
            .light_line_style(TRANSPARENT)
            .axis_style(AXIS.stroke_width(ZOOM))
            .draw()?;
        Ok(Self { chart, x, y })
    }

    pub fn zero_lines(&mut self) -> Result<()> {
        let (x, y) = (self.chart.x_range(), self.chart.y_range());
        for ends in [
            [(x.start, 0.0), (x.end, 0.0)],
            [(0.0, y.start), (0.0, y.end)],
        ] {
            let line = PathElement::new(ends, AXIS.stroke_width(ZOOM));
            self.chart.draw_series([line])?;
        }
        Ok(())
    }

    /// A line across at this height.
    pub fn level(&mut self, y: f64) -> Result<()> {
        let x = self.chart.x_range();
        let line = PathElement::new([(x.start, y), (x.end, y)], AXIS.stroke_width(2 * ZOOM));
        self.chart.draw_series([line])?;
        Ok(())
    }

    pub fn curve(&mut self, x: &[f32], y: &[f32], color: RGBAColor) -> Result<()> {
        let points = x.iter().zip(y).map(|(&x, &y)| (x.into(), y.into()));
        self.line(points.collect(), color)
    }

    pub fn line(&mut self, points: Vec<(f64, f64)>, color: RGBAColor) -> Result<()> {
        self.stroke(points, color, 4)
    }

    pub fn thin_line(&mut self, points: Vec<(f64, f64)>, color: RGBAColor) -> Result<()> {
        self.stroke(points, color, 2)
    }

    fn stroke(&mut self, points: Vec<(f64, f64)>, color: RGBAColor, width: u32) -> Result<()> {
        let place = |(x, y)| (self.x.place(x), self.y.place(y));
        let points: Vec<_> = points.into_iter().map(place).collect();
        let line = PathElement::new(points, color.stroke_width(width * ZOOM));
        self.chart.draw_series([line])?;
        Ok(())
    }

    /// A dot with a rim.
    pub fn dot(&mut self, (x, y): (f64, f64), fill: RGBAColor, rim: RGBAColor) -> Result<()> {
        let at = (self.x.place(x), self.y.place(y));
        let dot = |radius, color: RGBAColor| Circle::new(at, px(radius), color.filled());
        self.chart.draw_series([dot(8, rim), dot(4, fill)])?;
        Ok(())
    }

    /// Writes beside a point, on the side that has room, on white.
    pub fn beside(&self, (x, y): (f64, f64), text: &str) -> Result<()> {
        let range = self.chart.x_range();
        let area = self.chart.plotting_area();
        let (x, y) = (self.x.place(x), self.y.place(y));
        let font = (FONT, px(20)).into_font().color(&GREY);
        let (width, height) = area.strip_coord_spec().estimate_text_size(text, &font)?;
        let (width, height) = (width as i32, height as i32);
        let left = match x < (range.start + range.end) / 2.0 {
            true => px(14),
            false => px(-14) - width,
        };
        let corners = [
            (left - px(2), -height / 2),
            (left + width + px(2), height / 2),
        ];
        let label = EmptyElement::at((x, y))
            + Rectangle::new(corners, WHITE.filled())
            + Text::new(text.to_string(), (left, -height / 2), font);
        area.draw(&label)?;
        Ok(())
    }

    /// The density of the values.
    pub fn histogram(&mut self, values: &[f32], width: f64, color: RGBAColor) -> Result<()> {
        let range = self.chart.x_range();
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
        self.chart.draw_series([area])?;
        Ok(())
    }

    /// Writes what a colour stands for, at this place of the plot.
    pub fn legend(&self, (x, y): (i32, i32), color: RGBAColor, text: &str) -> Result<()> {
        let area = self.chart.plotting_area().strip_coord_spec();
        let swatch = [(px(x), px(y - 3)), (px(x + 32), px(y + 3))];
        area.draw(&Rectangle::new(swatch, color.filled()))?;
        write(&area, (x + 44, y + 8), text, 24, FontStyle::Normal, INK)
    }

    /// Writes what the colours stand for, one below the other, on white.
    pub fn legends(&self, corner: Corner, entries: &[(RGBAColor, &str)]) -> Result<()> {
        const LINE: i32 = 36;
        let area = self.chart.plotting_area().strip_coord_spec();
        let font = (FONT, px(24)).into_font().color(&INK);
        let mut text_width = 0;
        for (_, text) in entries {
            let (width, _) = area.estimate_text_size(text, &font)?;
            text_width = text_width.max(width / ZOOM);
        }
        let (width, height) = area.dim_in_pixel();
        let right = (width / ZOOM) as i32 - text_width as i32 - 74;
        let bottom = (height / ZOOM) as i32 - entries.len() as i32 * LINE + 6;
        let (x, y) = match corner {
            Corner::TopLeft => (30, 30),
            Corner::TopRight => (right, 30),
            Corner::BottomLeft => (30, bottom),
            Corner::BottomRight => (right, bottom),
        };
        let end = (x + 44 + text_width as i32, y + entries.len() as i32 * LINE);
        let background = [(px(x - 12), px(y - 20)), (px(end.0 + 12), px(end.1 - 16))];
        area.draw(&Rectangle::new(background, WHITE.filled()))?;
        for ((color, text), i) in entries.iter().zip(0..) {
            self.legend((x, y + i * LINE), *color, text)?;
        }
        Ok(())
    }
}

/// Smooths losses: each becomes the mean of those before, on a logarithmic scale, older ones
/// counting less and less.
pub fn smoothed(losses: &[f64]) -> Vec<f64> {
    const KEPT: f64 = 0.95;
    let (mut sum, mut weight) = (0.0, 0.0);
    let mean = |loss: &f64| {
        sum = KEPT * sum + loss.ln();
        weight = KEPT * weight + 1.0;
        (sum / weight).exp()
    };
    losses.iter().map(mean).collect()
}

/// The values with their numbers, from 1 on.
pub fn numbered(values: &[f64]) -> Vec<(f64, f64)> {
    (1..).map(f64::from).zip(values.iter().copied()).collect()
}

/// Text whose baseline starts here.
pub fn write(
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

pub fn px(length: i32) -> i32 {
    length * ZOOM as i32
}

/// A number with a proper minus sign, not a hyphen.
pub fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(zero) if zero.parse() == Ok(0.0) => zero.into(),
        Some(positive) => format!("−{positive}"),
        None => text,
    }
}

fn power_of_ten(exponent: i32) -> String {
    const RAISED: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let digits = exponent.to_string();
    let raised = |c: char| c.to_digit(10).map_or('⁻', |digit| RAISED[digit as usize]);
    match exponent {
        0 => "1".into(),
        1 => "10".into(),
        _ => format!("10{}", digits.chars().map(raised).collect::<String>()),
    }
}

/// A power of two, with the prefixes for powers of 1,024.
pub fn power_of_two(exponent: u32) -> String {
    let prefix = ["", " Ki", " Mi", " Gi"][exponent as usize / 10];
    format!("{}{prefix}", 1 << (exponent % 10))
}

fn seconds(power: i32) -> String {
    let (unit, power) = match power {
        ..-7 => ("ns", power + 9),
        -7..-4 => ("µs", power + 6),
        -4..-1 => ("ms", power + 3),
        -1.. => ("s", power),
    };
    let decimals = power.min(0).unsigned_abs() as usize;
    format!("{:.decimals$} {unit}", 10f64.powi(power))
}

/// Averages squares of `ZOOM` by `ZOOM` pixels and writes the PNG.
fn save(path: &Path, (width, height): (u32, u32), pixels: &[u8]) -> Result<()> {
    let (row_len, zoom) = (width as usize, ZOOM as usize);
    let average = |i: usize| {
        let (y, x, channel) = (i / 3 / row_len, i / 3 % row_len, i % 3);
        let row = |dy| ((y * zoom + dy) * row_len + x) * zoom * 3 + channel;
        let sum: usize = (0..zoom)
            .flat_map(|dy| (0..zoom).map(move |dx| (dx, dy)))
            .map(|(dx, dy)| usize::from(pixels[row(dy) + dx * 3]))
            .sum();
        (sum / (zoom * zoom)) as u8
    };
    let image: Vec<u8> = (0..row_len * height as usize * 3).map(average).collect();
    let mut png = png::Encoder::new(BufWriter::new(File::create(path)?), width, height);
    png.set_color(png::ColorType::Rgb);
    png.write_header()?.write_image_data(&image)?;
    Ok(())
}
