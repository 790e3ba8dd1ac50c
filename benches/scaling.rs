//! `cargo bench --bench scaling`: the time of each op by the number of its elements, and of a training
//! step of the tutorial's network by batch size, as tables and, on the host's clock, in `docs/scaling.png`.

use std::path::Path;
use std::time::Instant;

use plotters::style::RGBAColor;
use selfnorm::nn::{Adam, Fit};
use selfnorm::{Error, Gpu};

use common::clock::{Clock, Time};
use common::networks::TUTORIAL;
use common::ops::{Operands, turn_elements};
use common::yardstick::Yardstick;
use plot::{
    Axis, BLUE, Corner, GREY, INK, LIGHT_BLUE, LIGHT_GREY, LIGHT_ORANGE, LIGHT_TEAL, ORANGE,
    PURPLE, Panel, Result, TEAL, YELLOW, picture, power_of_two,
};

mod common {
    pub mod clock;
    pub mod networks;
    pub mod ops;
    #[path = "../../tests/common/mod.rs"]
    pub mod tests;
    pub mod yardstick;
}
#[path = "../examples/common/plot.rs"]
mod plot;

/// Elements are 2 to these powers.
const POWERS: [u32; 10] = [10, 12, 14, 16, 18, 20, 22, 24, 26, 28];
const BATCHES: [usize; 7] = [1, 4, 16, 64, 256, 1024, 4096];
const TURNS: usize = 3;
/// Dispatches that are timed together at most.
const DISPATCHES: usize = 1000;
/// This many samples are timed together, or `STEPS` steps.
const TURN_SAMPLES: usize = 256;
const STEPS: usize = 16;
/// How much the time per element may differ on a line that counts as straight.
const TOLERANCE: f64 = 0.1;

/// The name of what is measured, and its times by size.
struct Line {
    name: &'static str,
    times: Vec<(usize, Time)>,
}

impl Line {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            times: Vec::new(),
        }
    }

    fn seconds(&self) -> Vec<(f64, f64)> {
        let point = |&(size, time): &(usize, Time)| (size as f64, time.host.as_secs_f64());
        self.times.iter().map(point).collect()
    }

    /// The size from which on the time per element is the same as at the largest.
    fn straight_from(&self) -> Option<usize> {
        let each = |(size, seconds): &(f64, f64)| seconds / size;
        let seconds = self.seconds();
        let last = each(seconds.last()?);
        let straight = seconds
            .iter()
            .rev()
            .take_while(|point| (each(point) / last - 1.0).abs() <= TOLERANCE);
        straight.last().map(|&(size, _)| size as usize)
    }
}

fn main() -> Result<()> {
    let gpu = common::clock::gpu()?;
    let info = gpu.adapter_info();
    println!("\n{} ({}, {})\n", info.name, info.driver_info, info.backend);
    let ops = ops(&gpu)?;
    println!();
    let step = steps(&gpu)?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scaling.png");
    draw(&path, &ops, &step)?;
    println!("\n{}", path.display());
    Ok(())
}

/// Each turn runs all ops, so that a temporarily busy machine slows all.
fn ops(gpu: &Gpu) -> Result<Vec<Line>> {
    let mut lines = vec![Line::new("copy")];
    lines.extend(common::ops::ops().map(|op| Line::new(op.name)));
    row("elements", lines.iter().map(|line| line.name.into()));
    row("---", lines.iter().map(|_| "---".into()));
    let clock = Clock::new(gpu);
    for len in POWERS.map(|power| 1 << power) {
        let operands = match Operands::new(gpu, len) {
            Err(error @ (Error::TooLarge { .. } | Error::OutOfMemory { .. })) => {
                row(&label(len), [error.to_string()].into_iter());
                break;
            }
            operands => operands?,
        };
        let copy = Yardstick::on(gpu, "copy", [operands.x.slice(), operands.y.slice()]);
        let repeats = (turn_elements(gpu) / len).clamp(1, DISPATCHES);
        let mut times = vec![Vec::new(); lines.len()];
        for _ in 0..TURNS + 1 {
            let time = clock.time(|encoder| {
                copy.record(encoder, repeats);
                Ok(())
            })?;
            times[0].push(time / repeats);
            for (op, times) in common::ops::ops().zip(&mut times[1..]) {
                let time = clock.time(|encoder| {
                    let mut pass = gpu.pass(encoder);
                    (0..repeats).try_for_each(|_| operands.record(op, &mut pass))
                })?;
                times.push(time / repeats);
            }
        }
        for (line, mut times) in lines.iter_mut().zip(times) {
            // The first turn compiles and touches memory for the first time.
            line.times.push((len, Time::median(&times.split_off(1))));
        }
        last_row(&lines);
    }
    straight_row(&lines);
    Ok(lines)
}

fn steps(gpu: &Gpu) -> Result<Line> {
    let mut line = Line::new("step");
    row("batch", ["a step".into()].into_iter());
    row("---", ["---".into()].into_iter());
    for batch in BATCHES {
        let steps = (TURN_SAMPLES / batch).clamp(1, STEPS);
        let (mut model, data) = TUTORIAL.with_samples(gpu, batch * steps)?;
        let fit = Fit::new(Adam::default()).batch_size(batch);
        // The first fit compiles and allocates.
        match model.fit(&data, &fit) {
            Err(error @ (Error::TooLarge { .. } | Error::OutOfMemory { .. })) => {
                row(&label(batch), [error.to_string()].into_iter());
                break;
            }
            trained => trained?,
        };
        let mut times = Vec::new();
        for _ in 0..TURNS {
            let start = Instant::now();
            model.fit(&data, &fit)?;
            times.push(Time::from(start.elapsed()) / steps);
        }
        line.times.push((batch, Time::median(&times)));
        last_row(std::slice::from_ref(&line));
    }
    straight_row(std::slice::from_ref(&line));
    Ok(line)
}

/// Prints a row of a table as soon as it is known.
fn row(head: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<_> = cells.collect();
    println!("| {head} | {} |", cells.join(" | "));
}

fn last_row(lines: &[Line]) {
    let Some(&(size, time)) = lines[0].times.last() else {
        return;
    };
    let times = lines.iter().flat_map(|line| line.times.last());
    let times = times.map(|(_, time)| time);
    row(
        &label(size),
        times.clone().map(|time| format!("{:.1?}", time.host)),
    );
    if time.device.is_some() {
        let device = times.flat_map(|time| time.device);
        let name = format!("{} on the device", label(size));
        row(&name, device.map(|time| format!("{time:.1?}")));
    }
}

fn straight_row(lines: &[Line]) {
    let from = |line: &Line| line.straight_from().map(label).unwrap_or_default();
    row("straight from", lines.iter().map(from));
}

fn label(size: usize) -> String {
    power_of_two(size.ilog2())
}

fn draw(path: &Path, ops: &[Line], step: &Line) -> Result<()> {
    const COLORS: [RGBAColor; 10] = [
        GREY,
        BLUE,
        LIGHT_BLUE,
        TEAL,
        LIGHT_TEAL,
        ORANGE,
        LIGHT_ORANGE,
        PURPLE,
        INK,
        YELLOW,
    ];
    const GUIDE: (RGBAColor, &str) = (LIGHT_GREY, "in proportion");
    picture(path, (1600, 800), |canvas| {
        let panels = canvas.split_evenly((1, 2));
        let (title, subtitle) = ("Time of an op", "backward in the lighter colour");
        let x = Axis::log2(9.5..28.5).ticks(5).name("elements");
        let guide = proportional(&ops[0]);
        let mut panel = Panel::new(&panels[0], title, subtitle, x, around(ops, &guide))?;
        panel.thin_line(guide, LIGHT_GREY)?;
        let mut names = Vec::new();
        for (line, color) in ops.iter().zip(COLORS.into_iter().cycle()) {
            panel.line(line.seconds(), color)?;
            if !line.name.ends_with("_backward") {
                names.push((color, line.name));
            }
        }
        names.push(GUIDE);
        panel.legends(Corner::BottomRight, &names)?;

        let title = "Time of a training step";
        let subtitle = "of the network of Keras's tutorial for MNIST";
        let x = Axis::log2(-0.5..12.5).name("samples a batch");
        let guide = proportional(step);
        let y = around(std::slice::from_ref(step), &guide);
        let mut panel = Panel::new(&panels[1], title, subtitle, x, y)?;
        panel.thin_line(guide, LIGHT_GREY)?;
        panel.line(step.seconds(), BLUE)?;
        for at in step.seconds() {
            panel.dot(at, BLUE, BLUE)?;
        }
        panel.legends(Corner::BottomRight, &[(BLUE, "a step"), GUIDE])
    })
}

fn around(lines: &[Line], guide: &[(f64, f64)]) -> Axis {
    let points = lines.iter().flat_map(Line::seconds);
    Axis::seconds_around(points.chain(guide.iter().copied()).map(|at| at.1))
}

/// A line through the last time, as if the others were in proportion.
fn proportional(line: &Line) -> Vec<(f64, f64)> {
    let seconds = line.seconds();
    let (size, time) = seconds[seconds.len() - 1];
    let point = |(x, _): &(f64, f64)| (*x, time / size * x);
    seconds.iter().map(point).collect()
}
