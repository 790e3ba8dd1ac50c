//! Why SELU: networks of 32 and 64 dense layers on the 8×8 digits, each activation with its usual
//! weights: Lecun-normal for SELU, He-normal for ELU and for ReLU, that with and without batch normalization.
//!
//! `cargo run --release --example deep` writes `deep.png` to the current directory, or to another
//! with `--out DIR`. The picture and a table show
//!
//! - mean and variance after each layer before any training: SELU keeps them near 0 and 1, while
//!   with ELU they grow, with ReLU the variance wanders, and batch normalization holds them by force;
//! - the loss in training, with the same batches and seed for all of them, each at the best of four
//!   learning rates. The optimizer is plain SGD, as in the paper, or Adam with `--adam`; 20 epochs take
//!   two minutes on two cores, and `--epochs` is for less;
//! - what dropout does to the mean and the variance of SELU layers: AlphaDropout keeps them,
//!   ordinary dropout does not.

use std::path::PathBuf;
use std::process::ExitCode;

use plotters::style::RGBAColor;
use selfnorm::nn::{
    Activation::{Elu, Relu, Selu, Softmax},
    Adam, AlphaDropout, BatchNormalization, Dataset, Dense, Dropout, Fit,
    Initializer::{HeNormal, LecunNormal},
    Layer, Optimizer, Sequential, SequentialBuilder, Sgd,
};
use selfnorm::{Error, Gpu, Tensor};

use common::digits::{PIXELS, digits};
use common::plot::{
    Area, Axis, BLUE, Corner, GREY, LIGHT_BLUE, LIGHT_ORANGE, LIGHT_PURPLE, LIGHT_TEAL, ORANGE,
    PURPLE, Panel, Result, TEAL, number, numbered, picture, smoothed,
};

mod common {
    pub mod digits;
    pub mod plot;
}

const DEPTHS: [usize; 2] = [32, 64];
const DEEPEST: usize = 64;
const UNITS: usize = 64;
const SEED: u64 = 1;
const BATCH: usize = 64;
const RATE: f64 = 0.1;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (out, method) = arguments()?;
    std::fs::create_dir_all(&out).map_err(|problem| format!("{}: {problem}", out.display()))?;
    let gpu = Gpu::new()?;
    let (pixels, labels) = digits()?;
    let pixels = standardized(&pixels);
    let x = gpu.tensor(&pixels, [labels.len(), PIXELS])?;
    let data = Dataset::from_floats(&gpu, &pixels, [PIXELS])?.classes(&labels)?;

    println!("{DEEPEST} dense layers of {UNITS}, {} digits", data.len());
    let mut start = Vec::new();
    for kind in KINDS {
        start.push((kind.name, kind.color, by_depth(&gpu, kind, None, &x)?));
    }
    table(
        "Before training, Lecun-normal for SELU, else He-normal",
        &start,
    );

    let mut dropped = vec![("no dropout", GREY, start[0].2.clone())];
    for (name, color, dropout) in [
        ("AlphaDropout", BLUE, AlphaDropout::new(RATE).into()),
        ("Dropout", PURPLE, Dropout::new(RATE).into()),
    ] {
        dropped.push((name, color, by_depth(&gpu, SELU, Some(dropout), &x)?));
    }
    table(
        &format!("SELU with dropout of rate {RATE}, in training"),
        &dropped,
    );

    println!(
        "\nTraining loss of the last of {} epochs, by learning rate: {}, batches of {BATCH}",
        method.epochs, method.name
    );
    print!("{:<10}{:<8}", "", "layers");
    for rate in method.rates {
        print!("{rate:>8}");
    }
    println!("  accuracy of the best");
    let mut trained = Vec::new();
    for depth in DEPTHS {
        for kind in KINDS {
            trained.push(train(&gpu, kind, depth, &method, &data)?);
        }
    }

    let path = out.join("deep.png");
    picture(&path, (1600, 1650), |canvas| {
        let panels = canvas.split_evenly((3, 2));
        let before = "Before training; weights Lecun-normal for SELU, else He-normal";
        // With room for what the colours stand for.
        let means = start.iter().flat_map(|curve| &curve.2).map(|at| at.0);
        let mean = Axis::around(means.chain([2.8]));
        let variances = start.iter().flat_map(|curve| &curve.2).map(|at| at.1);
        let variance = Axis::log_around(variances.chain([3e-4]));
        draw(
            &panels[0],
            ("Mean by depth", before),
            &start,
            mean,
            |at| at.0,
            Corner::TopLeft,
        )?;
        draw(
            &panels[1],
            ("Variance by depth", before),
            &start,
            variance,
            |at| at.1,
            Corner::BottomLeft,
        )?;
        for (panel, depth) in panels[2..].iter().zip(DEPTHS) {
            draw_training(panel, depth, &method, &trained)?;
        }
        let dropout = format!("SELU, after each layer and its dropout of rate {RATE}");
        let mean = Axis::new(-0.15..0.3, 1);
        let variance = Axis::new(0.0..3.0, 1);
        let title = "Mean with dropout";
        draw(
            &panels[4],
            (title, &dropout),
            &dropped,
            mean,
            |at| at.0,
            Corner::TopRight,
        )?;
        let title = "Variance with dropout";
        draw(
            &panels[5],
            (title, &dropout),
            &dropped,
            variance,
            |at| at.1,
            Corner::TopRight,
        )
    })?;
    println!("\n{}", path.display());
    Ok(())
}

/// Draws a curve for each network, by depth.
fn draw(
    area: &Area,
    (title, subtitle): (&str, &str),
    curves: &[Curve],
    y: Axis,
    value: impl Fn((f64, f64)) -> f64,
    corner: Corner,
) -> Result<()> {
    let x = Axis::new(0.0..DEEPEST as f64 + 1.0, 0).name("layer");
    let mut panel = Panel::new(area, title, subtitle, x, y)?;
    for (_, color, moments) in curves.iter().rev() {
        let values: Vec<_> = moments.iter().map(|&at| value(at)).collect();
        panel.line(numbered(&values), *color)?;
    }
    let names: Vec<_> = curves
        .iter()
        .map(|&(name, color, _)| (color, name))
        .collect();
    panel.legends(corner, &names)
}

fn draw_training(area: &Area, depth: usize, method: &Method, trained: &[Trained]) -> Result<()> {
    let of_all = trained.iter().flat_map(|run| &run.losses);
    let steps = trained.iter().map(|run| run.losses.len()).max();
    let mut panel = Panel::new(
        area,
        &format!("Training loss of {depth} layers"),
        &format!(
            "Cross-entropy; {}, batches of {BATCH}, the best of {} learning rates",
            method.name,
            method.rates.len()
        ),
        Axis::new(0.0..steps.unwrap_or(1) as f64, 0).name("step"),
        // With room for what the colours stand for.
        Axis::log_around(of_all.copied().chain([1e-5])),
    )?;
    let of_depth = || trained.iter().filter(|run| run.depth == depth);
    for run in of_depth() {
        panel.thin_line(numbered(&run.losses), run.kind.light)?;
    }
    for run in of_depth() {
        panel.line(numbered(&smoothed(&run.losses)), run.kind.color)?;
    }
    let names: Vec<_> = of_depth()
        .map(|run| format!("{}, learning rate {}", run.kind.name, run.rate))
        .collect();
    let names: Vec<_> = of_depth()
        .zip(&names)
        .map(|(run, name)| (run.kind.color, &name[..]))
        .collect();
    panel.legends(Corner::BottomLeft, &names)
}

/// An activation, with the initializer that goes with it.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    activation: selfnorm::nn::Activation,
    initializer: selfnorm::nn::Initializer,
    is_normalized: bool,
    color: RGBAColor,
    light: RGBAColor,
}

const SELU: Kind = Kind {
    name: "SELU",
    activation: Selu,
    initializer: LecunNormal,
    is_normalized: false,
    color: BLUE,
    light: LIGHT_BLUE,
};
const ELU: Kind = Kind {
    name: "ELU",
    activation: Elu(1.0),
    initializer: HeNormal,
    is_normalized: false,
    color: ORANGE,
    light: LIGHT_ORANGE,
};
const RELU: Kind = Kind {
    name: "ReLU",
    activation: Relu,
    initializer: HeNormal,
    is_normalized: false,
    color: TEAL,
    light: LIGHT_TEAL,
};
/// Between the dense layer and its activation, as is usual.
const NORMALIZED: Kind = Kind {
    name: "BN, ReLU",
    is_normalized: true,
    color: PURPLE,
    light: LIGHT_PURPLE,
    ..RELU
};
const KINDS: [Kind; 4] = [SELU, ELU, RELU, NORMALIZED];

fn network(kind: Kind, dropout: Option<Layer>, depth: usize) -> SequentialBuilder {
    let mut network = Sequential::new([PIXELS]);
    for _ in 0..depth {
        let dense = Dense::new(UNITS).kernel_initializer(kind.initializer);
        network = match kind.is_normalized {
            false => network.add(dense.activation(kind.activation)),
            true => network
                .add(dense.use_bias(false))
                .add(BatchNormalization::new())
                .add(kind.activation),
        };
        if let Some(dropout) = &dropout {
            network = network.add(dropout.clone());
        }
    }
    network.add(Dense::new(10).activation(Softmax))
}

/// An optimizer, and the learning rates that each network is trained with.
struct Method {
    name: &'static str,
    optimizer: fn(f64) -> Optimizer,
    rates: [f64; 4],
    epochs: usize,
}

const SGD: Method = Method {
    name: "SGD",
    optimizer: |rate| Sgd::new(rate).into(),
    rates: [0.001, 0.003, 0.01, 0.03],
    epochs: 20,
};
const ADAM: Method = Method {
    name: "Adam",
    optimizer: |rate| Adam::new(rate).into(),
    rates: [0.0001, 0.0003, 0.001, 0.003],
    ..SGD
};

/// A training, and the loss of each step.
struct Trained {
    depth: usize,
    kind: Kind,
    rate: f64,
    losses: Vec<f64>,
}

/// Trains at each of the learning rates, and keeps the run that ends with the lowest loss.
fn train(gpu: &Gpu, kind: Kind, depth: usize, method: &Method, data: &Dataset) -> Result<Trained> {
    print!("{:<10}{depth:<8}", kind.name);
    let (mut best, mut lowest, mut accuracy) = (None, f64::INFINITY, 0.0);
    for rate in method.rates {
        let mut model = network(kind, None, depth).build(gpu, SEED)?;
        let fit = Fit::new((method.optimizer)(rate))
            .batch_size(BATCH)
            .epochs(method.epochs);
        let history = match model.fit(data, &fit) {
            // Too high a rate.
            Err(Error::NotFinite { .. }) => {
                print!("{:>8}", "–");
                continue;
            }
            history => history?,
        };
        let last = history.epochs.last().ok_or("no epochs")?.training;
        print!("{:>8.4}", last.loss);
        if last.loss < lowest {
            (lowest, accuracy) = (last.loss, last.accuracy.unwrap_or_default());
            let losses = history.losses;
            best = Some(Trained {
                depth,
                kind,
                rate,
                losses,
            });
        }
    }
    println!("{accuracy:>8.4}");
    best.ok_or_else(|| format!("{} of {depth} layers diverges at every rate", kind.name).into())
}

/// Mean and variance of each layer's output, in training if there is dropout.
fn by_depth(gpu: &Gpu, kind: Kind, dropout: Option<Layer>, x: &Tensor) -> Result<Vec<(f64, f64)>> {
    let stride = 1 + usize::from(dropout.is_some()) + 2 * usize::from(kind.is_normalized);
    let model = network(kind, dropout, DEEPEST).build(gpu, SEED)?;
    let statistics = model.statistics_in_training(x)?;
    let passed_on = statistics
        .chunks_exact(stride)
        .map(|layer| &layer[stride - 1]);
    Ok(passed_on
        .take(DEEPEST)
        .map(|layer| (layer.mean, layer.variance))
        .collect())
}

type Curve = (&'static str, RGBAColor, Vec<(f64, f64)>);

fn table(title: &str, curves: &[Curve]) {
    println!("\n{title}: mean, variance");
    print!("{:<8}", "layer");
    for (name, ..) in curves {
        print!("{name:>20}");
    }
    println!();
    for depth in [1, 2, 4, 8, 16, 32, 64] {
        print!("{depth:<8}");
        for (_, _, moments) in curves {
            let (mean, variance) = moments[depth - 1];
            let variance = match variance {
                small if small < 1e-3 => format!("{small:.1e}"),
                large => number(large, 3),
            };
            print!("{:>10}{variance:>10}", number(mean, 3));
        }
        println!();
    }
}

/// Each pixel with mean 0 and variance 1 over the digits; those that are always blank are 0.
fn standardized(pixels: &[u8]) -> Vec<f32> {
    let mut values: Vec<f32> = pixels.iter().map(|&pixel| pixel.into()).collect();
    for pixel in 0..PIXELS {
        let column = || {
            pixels
                .iter()
                .skip(pixel)
                .step_by(PIXELS)
                .map(|&value| f64::from(value))
        };
        let len = column().count() as f64;
        let mean = column().sum::<f64>() / len;
        let variance = column().map(|value| (value - mean).powi(2)).sum::<f64>() / len;
        for value in values.iter_mut().skip(pixel).step_by(PIXELS) {
            let deviation = variance.sqrt().max(f64::MIN_POSITIVE);
            *value = ((f64::from(*value) - mean) / deviation) as f32;
        }
    }
    values
}

/// The directory of the picture, and how to train.
fn arguments() -> Result<(PathBuf, Method)> {
    const USAGE: &str = "usage: deep [--adam] [--epochs EPOCHS] [--out DIRECTORY]";
    let (mut out, mut method) = (PathBuf::from("."), SGD);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &argument[..] {
            "--adam" => {
                let epochs = method.epochs;
                method = Method { epochs, ..ADAM };
            }
            "--epochs" => method.epochs = arguments.next().ok_or(USAGE)?.parse()?,
            "--out" => out = arguments.next().ok_or(USAGE)?.into(),
            _ => return Err(USAGE.into()),
        }
    }
    Ok((out, method))
}
