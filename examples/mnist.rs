//! Handwritten digits, with the network of Keras's SELU tutorial: a convolution, AlphaDropout, and
//! dense layers, all SELU with Lecun-normal weights.
//!
//! `cargo run --release --example mnist` trains a small one on the 8×8 digits in `examples/data`, in
//! seconds, and fails if it gets fewer than 97 % of the held-out digits right.
//!
//! `cargo run --release --example mnist DIRECTORY` trains the tutorial's on MNIST, whose four files
//! must be in that directory; without them it says where to get them. Fashion-MNIST has the same four.
//! For a set of EMNIST, such as its letters, add `--classes 26 --transpose`: its images are transposed.
//!
//! It prints what Keras shows: the layers, a bar for each epoch, loss and accuracy on the test
//! images; then mean and variance after each layer. `history.png` and `model.safetensors` are
//! written to the current directory, or to another with `--out DIR`. There are also `--seed N`,
//! `--epochs N`, `--batch N`, and `--f16`, which multiplies 16-bit floats, by cooperative matrices where the
//! adapter has some.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use selfnorm::nn::{
    Activation::{Selu, Softmax},
    Adam, AlphaDropout, Conv2d, Dataset, Dense, Fit, Flatten, History,
    Initializer::LecunNormal,
    LayerStatistics, Precision, ProgressBar, Score, Sequential, SequentialBuilder,
};
use selfnorm::{Gpu, GpuOptions, Tensor, random, wgpu};

use common::history::by_epoch;
use common::plot::{Area, Axis, Corner, INK, LIGHT_BLUE, Panel, numbered, picture, smoothed};
use common::{digits, idx};

mod common {
    pub mod digits;
    pub mod history;
    pub mod idx;
    pub mod plot;
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "\
usage: mnist [DIRECTORY] [--classes N] [--transpose] [--seed N] [--epochs N] [--batch N] [--f16] [--out DIRECTORY]

Trains on MNIST, whose four files are in DIRECTORY, or on the digits that come with the crate. For EMNIST, give the
number of classes, which are 10 otherwise, and transpose the images. With --f16 products are of 16-bit floats.";

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
    let Some(arguments) = Arguments::parse(std::env::args().skip(1))? else {
        println!("{USAGE}");
        return Ok(());
    };
    let out = &arguments.out;
    std::fs::create_dir_all(out).map_err(|problem| format!("{}: {problem}", out.display()))?;
    let task = match &arguments.directory {
        Some(directory) => Task::mnist(directory, arguments.classes, arguments.transpose)?,
        None => Task::digits()?,
    };

    let gpu = device(arguments.precision)?;
    let info = gpu.adapter_info();
    println!("{} ({:?}, {})", info.name, info.device_type, info.backend);
    if arguments.precision == Precision::F16 {
        match gpu.cooperative_matrices() {
            Some(side) => println!("16-bit floats, cooperative matrices of {side} x {side}"),
            None => println!("16-bit floats, no cooperative matrices"),
        }
    }
    let network = task.network().precision(arguments.precision);
    let mut model = network.build(&gpu, arguments.seed)?;
    println!("{}", model.summary());

    let training = task.training.dataset(&gpu, &task)?;
    let test = task.test.dataset(&gpu, &task)?;
    let sample = task.test.sample(&gpu, &task)?;
    let before = model.statistics(&sample)?;
    let fit = Fit::new(Adam::default())
        .batch_size(arguments.batch.unwrap_or(task.batch))
        .epochs(arguments.epochs.unwrap_or(task.epochs))
        .validation_split(task.validation_split);
    let mut bar = ProgressBar::new();
    let history = model.fit_with(&training, &fit, |mut progress| {
        progress.notify(&mut [&mut bar])
    })?;

    let score = model.evaluate(&test)?;
    println!(
        "\nTest loss: {:.4} - test accuracy: {:.4}\n",
        score.loss,
        accuracy(score)
    );
    let after = model.statistics(&sample)?;
    print_statistics(&sample, &before, &after)?;

    let (plot, file) = (out.join("history.png"), out.join("model.safetensors"));
    draw(&plot, &history)?;
    model.save(&file)?;
    println!("\n{}, {}", plot.display(), file.display());
    if accuracy(score) < task.required_accuracy {
        let required = task.required_accuracy;
        return Err(format!("the test accuracy is below {required}").into());
    }
    Ok(())
}

/// The device, with cooperative matrices if it is to multiply 16-bit floats.
fn device(precision: Precision) -> Result<Gpu> {
    let mut options = GpuOptions::new();
    if precision == Precision::F16 {
        // SAFETY: only the crate's shaders run, with matrices that the adapter lists.
        #[allow(unsafe_code)]
        let token = unsafe { wgpu::ExperimentalFeatures::enabled() };
        options = options.cooperative_matrices(token);
    }
    Ok(pollster::block_on(Gpu::request(&options))?)
}

/// The data to train on, the network and the settings.
struct Task {
    training: Images,
    test: Images,
    /// Height, width, channels.
    shape: [usize; 3],
    classes: usize,
    /// The network sees pixel · scale + shift.
    scale: f32,
    shift: f32,
    filters: usize,
    dropout: f64,
    units: usize,
    batch: usize,
    epochs: usize,
    validation_split: f64,
    required_accuracy: f64,
}

impl Task {
    /// The tutorial's network on MNIST.
    fn mnist(directory: &Path, classes: Option<usize>, transpose: bool) -> Result<Self> {
        let mut training = idx::read(directory, idx::TRAINING)?;
        let mut test = idx::read(directory, idx::TEST)?;
        if idx::number_labels(&mut [&mut training, &mut test], classes)? {
            println!("The labels begin at 1; here the classes are numbered from 0, one less.");
        }
        if transpose {
            (training, test) = (training.transposed(), test.transposed());
        }
        let [height, width] = training.size;
        if test.size != training.size {
            return Err(format!(
                "the images for training are {height}×{width}, those for the test {}×{}",
                test.size[0], test.size[1]
            )
            .into());
        }
        let images = |images: idx::Images| Images {
            pixels: images.pixels,
            labels: images.labels,
        };
        Ok(Self {
            training: images(training),
            test: images(test),
            shape: [height, width, 1],
            classes: classes.unwrap_or(10),
            scale: 1.0 / 255.0,
            shift: 0.0,
            filters: 32,
            dropout: 0.25,
            units: 256,
            batch: 250,
            epochs: 5,
            validation_split: 0.2,
            required_accuracy: 0.0,
        })
    }

    /// A smaller one of the same kind. For training, each digit is also shifted by a pixel in four
    /// directions, because a thousand are few.
    fn digits() -> Result<Self> {
        let (pixels, labels) = digits::digits()?;
        // The file goes writer by writer; once shuffled, the test has digits of all of them.
        let words: Vec<u32> = random::words(0, 0, 0..labels.len() as u64).collect();
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.sort_by_key(|&i| words[i]);
        let (trained, held_out) = order.split_at(1440);
        let images = |order: &[usize], shifts: &[[isize; 2]]| {
            let (mut images, mut shown) = (Vec::new(), Vec::new());
            for &i in order {
                for shift in shifts {
                    let image = &pixels[i * digits::PIXELS..][..digits::PIXELS];
                    images.extend(shifted(image, *shift));
                    shown.push(labels[i]);
                }
            }
            Images {
                pixels: images,
                labels: shown,
            }
        };
        let training = images(trained, &[[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]]);
        // SELU wants mean 0 and variance 1, from the first layer on.
        let values = || training.pixels.iter().map(|&pixel| f64::from(pixel));
        let len = training.pixels.len() as f64;
        let mean = values().sum::<f64>() / len;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / len;
        Ok(Self {
            test: images(held_out, &[[0, 0]]),
            training,
            shape: [digits::SIDE, digits::SIDE, 1],
            classes: 10,
            scale: (1.0 / variance.sqrt()) as f32,
            shift: (-mean / variance.sqrt()) as f32,
            filters: 32,
            dropout: 0.1,
            units: 128,
            batch: 64,
            epochs: 8,
            validation_split: 0.1,
            required_accuracy: 0.97,
        })
    }

    fn network(&self) -> SequentialBuilder {
        Sequential::new(self.shape)
            .add(
                Conv2d::new(self.filters, [3, 3])
                    .kernel_initializer(LecunNormal)
                    .activation(Selu),
            )
            .add(AlphaDropout::new(self.dropout))
            .add(Flatten::new())
            .add(
                Dense::new(self.units)
                    .kernel_initializer(LecunNormal)
                    .activation(Selu),
            )
            .add(Dense::new(self.classes).activation(Softmax))
    }
}

/// The image, shifted by this many pixels down and to the right.
fn shifted(image: &[u8], [down, right]: [isize; 2]) -> impl Iterator<Item = u8> {
    let from = |at: usize, by: isize| at.checked_add_signed(-by).filter(|&at| at < digits::SIDE);
    (0..digits::PIXELS).map(move |i| {
        let row = from(i / digits::SIDE, down);
        let column = from(i % digits::SIDE, right);
        match (row, column) {
            (Some(row), Some(column)) => image[row * digits::SIDE + column],
            _ => 0,
        }
    })
}

struct Images {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Images {
    fn dataset(&self, gpu: &Gpu, task: &Task) -> Result<Dataset> {
        let pixels = Dataset::from_bytes(gpu, &self.pixels, task.shape)?;
        Ok(pixels
            .scaled(task.scale, task.shift)
            .classes(&self.labels)?)
    }

    /// The first of the images, as the network sees them.
    fn sample(&self, gpu: &Gpu, task: &Task) -> Result<Tensor> {
        let count = self.labels.len().min(256);
        let len = count * task.shape.iter().product::<usize>();
        let values: Vec<f32> = self.pixels[..len]
            .iter()
            .map(|&pixel| f32::from(pixel) * task.scale + task.shift)
            .collect();
        let [height, width, channels] = task.shape;
        Ok(gpu.tensor(&values, [count, height, width, channels])?)
    }
}

fn print_statistics(
    sample: &Tensor,
    before: &[LayerStatistics],
    after: &[LayerStatistics],
) -> Result<()> {
    let values = sample.to_vec()?;
    let len = values.len() as f64;
    let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / len;
    let squares = values.iter().map(|&x| (f64::from(x) - mean).powi(2));
    let variance = squares.sum::<f64>() / len;

    println!(
        "On {} test images     before training         after it",
        sample.shape()[0]
    );
    println!("after the layer         mean  variance    mean  variance");
    println!(
        "{:<20}{mean:>8.3}{variance:>10.3}{mean:>8.3}{variance:>10.3}",
        "(input)"
    );
    for (before, after) in before.iter().zip(after) {
        println!(
            "{:<20}{:>8.3}{:>10.3}{:>8.3}{:>10.3}",
            before.name, before.mean, before.variance, after.mean, after.variance
        );
    }
    Ok(())
}

/// Every loss of classes has one.
fn accuracy(score: Score) -> f64 {
    score.accuracy.unwrap_or_default()
}

const TRAINED: &str = "training, with dropout";

/// Loss and accuracy of each epoch, and the loss of each step.
fn draw(path: &Path, history: &History) -> Result<()> {
    picture(path, (1600, 1100), |canvas| {
        let (width, height) = canvas.dim_in_pixel();
        let (top, bottom) = canvas.split_vertically(height / 2);
        let (left, right) = top.split_horizontally(width / 2);
        let loss = |score: Score| score.loss;
        by_epoch(
            &left,
            "Loss",
            "Cross-entropy",
            history,
            loss,
            Corner::TopRight,
            TRAINED,
        )?;
        by_epoch(
            &right,
            "Accuracy",
            "Share of the images",
            history,
            accuracy,
            Corner::BottomRight,
            TRAINED,
        )?;
        by_step(&bottom, history)
    })
}

fn by_step(area: &Area, history: &History) -> Result<()> {
    let losses = &history.losses;
    let mut panel = Panel::new(
        area,
        "Training loss of each step",
        "Cross-entropy of a batch, with dropout; logarithmic",
        Axis::new(0.0..losses.len() as f64, 0)
            .name("step")
            .ticks(12),
        Axis::log_around(losses.iter().copied()),
    )?;
    panel.thin_line(numbered(losses), LIGHT_BLUE)?;
    panel.line(numbered(&smoothed(losses)), INK)?;
    panel.legends(
        Corner::TopRight,
        &[(LIGHT_BLUE, "a batch"), (INK, "smoothed")],
    )
}

/// The command-line arguments.
struct Arguments {
    directory: Option<PathBuf>,
    classes: Option<usize>,
    transpose: bool,
    out: PathBuf,
    seed: u64,
    epochs: Option<usize>,
    batch: Option<usize>,
    precision: Precision,
}

impl Arguments {
    /// `None` if help was requested.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let mut parsed = Self {
            directory: None,
            classes: None,
            transpose: false,
            out: ".".into(),
            seed: 1,
            epochs: None,
            batch: None,
            precision: Precision::F32,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let missing = || format!("{argument} needs a value\n\n{USAGE}");
                arguments.next().ok_or_else(missing)
            };
            match argument.as_str() {
                "--help" | "-h" => return Ok(None),
                "--classes" => parsed.classes = Some(number(&argument, &value()?, 2)? as usize),
                "--transpose" => parsed.transpose = true,
                "--f16" => parsed.precision = Precision::F16,
                "--out" => parsed.out = value()?.into(),
                "--seed" => parsed.seed = number(&argument, &value()?, 0)?,
                "--epochs" => parsed.epochs = Some(number(&argument, &value()?, 1)? as usize),
                "--batch" => parsed.batch = Some(number(&argument, &value()?, 1)? as usize),
                option if option.starts_with('-') => {
                    return Err(format!("there is no option {option}\n\n{USAGE}").into());
                }
                directory if parsed.directory.is_none() => {
                    parsed.directory = Some(directory.into());
                }
                more => return Err(format!("one directory is enough: {more}\n\n{USAGE}").into()),
            }
        }
        if parsed.directory.is_none() && (parsed.classes.is_some() || parsed.transpose) {
            return Err(format!("--classes and --transpose are for a DIRECTORY\n\n{USAGE}").into());
        }
        Ok(Some(parsed))
    }
}

fn number(option: &str, value: &str, least: u64) -> Result<u64> {
    match value.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("{option} is a whole number from {least} on, not {value}").into()),
    }
}
