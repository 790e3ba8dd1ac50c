//! A table of a CSV file: a deep network of SELU with Lecun-normal weights and AlphaDropout learns one column
//! from the others.
//!
//! `cargo run --release --example tabular` tells malignant from benign tumours in the table of 569 rows in
//! `examples/data`, in seconds, and fails if it gets fewer than 92 % of the rows held out right.
//!
//! `cargo run --release --example tabular FILE TARGET` learns the column `TARGET` of your table: its classes, or
//! with `--regression` its value. Columns of numbers are standardized by the network's first layer, columns of
//! anything else are one-hot. 64 % of the rows are trained on, 16 % say when to stop, 20 % are the test.
//!
//! It prints scores on the test and writes `tabular.png`, with the losses and what the predictions are worth, and
//! `tabular.safetensors`, the network and what its reader needs, to the current directory, or to another with `--out DIR`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use selfnorm::Gpu;
use selfnorm::nn::{
    Activation::{Selu, Softmax},
    Adam, AlphaDropout, Dataset, Dense, EarlyStopping, Fit, History,
    Initializer::LecunNormal,
    Normalization, ProgressBar, Sequential, SequentialBuilder, metrics,
};

use common::history::by_epoch;
use common::plot::{Area, Axis, BLUE, Corner, GREY, LIGHT_BLUE, Panel, picture};
use common::table::{Classes, Encoder, Table};

mod common {
    pub mod history;
    pub mod plot;
    pub mod table;
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "\
usage: tabular [FILE TARGET] [--regression] [--separator C] [--no-header] [--categorical NAME] [--drop NAME]
               [--impute mean] [--dropout RATE] [--seed N] [--epochs N] [--batch N] [--out DIRECTORY]

Learns the column TARGET of a CSV file from the others: its classes, or with --regression its value. Without a
header columns are called 1, 2, 3. Columns of text are categories, and so is each that --categorical names; --drop
leaves one out. Both may be repeated. Where a value is missing, --impute mean takes the column's mean.";

const LAYERS: usize = 4;
const UNITS: usize = 64;
/// For classes. A value that is predicted gets worse by the noise.
const DROPOUT: f64 = 0.05;
const LEARNING_RATE: f64 = 3e-4;
/// Epochs without a better loss on the validation rows, after which the training ends.
const PATIENCE: usize = 20;

/// The table that comes with the crate, and what is predicted.
const TUMOURS: &[u8] = include_bytes!("data/breast_cancer.csv");
const DIAGNOSIS: &str = "diagnosis";
const REQUIRED_ACCURACY: f64 = 0.92;

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
    let mut table = arguments.table()?;
    let column = table.take(&arguments.target)?;
    let target = match arguments.regression {
        false => Target::Classes(column.classes()?),
        true => Target::Values(column.numbers()?),
    };
    for name in &arguments.dropped {
        table.take(name)?;
    }

    let gpu = Gpu::new()?;
    let info = gpu.adapter_info();
    println!("{} ({:?}, {})", info.name, info.device_type, info.backend);
    let parts = parts(&gpu, &target, table.rows(), arguments.seed)?;
    let encoder = Encoder::new(&table, &parts[0], &arguments.categorical, arguments.impute)?;
    let (values, notes) = encoder.encode(&table)?;
    println!(
        "{} rows: {} to train, {} to validate, {} to test; features: {}, of {} columns, of which {} one-hot",
        table.rows(),
        parts[0].len(),
        parts[1].len(),
        parts[2].len(),
        encoder.features(),
        table.columns(),
        encoder.one_hot()
    );
    for note in encoder.notes.iter().chain(&notes) {
        println!("note: {note}");
    }

    let scale = Scale::of(&target, &parts[0]);
    let rows = Dataset::from_floats(&gpu, &values, [encoder.features()])?;
    let rows = match &target {
        Target::Classes(classes) => rows.classes(&classes.labels)?,
        Target::Values(values) => rows.targets(&scale.scaled(values), [1])?,
    };
    let [training, validation, test] = [
        rows.select(&parts[0])?,
        rows.select(&parts[1])?,
        rows.select(&parts[2])?,
    ];
    let dropout = arguments.dropout.unwrap_or(match target {
        Target::Classes(_) => DROPOUT,
        Target::Values(_) => 0.0,
    });
    let mut model = network(&training, &target, dropout)?.build(&gpu, arguments.seed)?;
    println!("{}", model.summary());
    let fit = Fit::new(Adam::new(LEARNING_RATE))
        .batch_size(arguments.batch)
        .epochs(arguments.epochs)
        .validation_data(&validation);
    let mut bar = ProgressBar::new().one_line();
    let mut stopping = EarlyStopping::new()
        .patience(PATIENCE)
        .restore_best_weights(true);
    let history = model.fit_with(&training, &fit, |mut progress| {
        progress.notify(&mut [&mut bar, &mut stopping])
    })?;
    for warning in &history.warnings {
        println!("note: {warning}");
    }
    println!(
        "The weights are those of epoch {}, the best on the rows to validate.\n",
        stopping.best_epoch()
    );

    let outputs = model.predict_dataset(&test)?.to_vec()?;
    let judged = match &target {
        Target::Classes(classes) => {
            let truth: Vec<_> = parts[2].iter().map(|&row| classes.labels[row]).collect();
            let predicted = model.predict_classes(&test)?;
            classify(classes, &truth, &predicted, &outputs)?
        }
        Target::Values(values) => {
            let truth: Vec<_> = parts[2].iter().map(|&row| values[row]).collect();
            regress(&arguments.target, truth, scale.unscaled(&outputs))?
        }
    };
    let (plot, file) = (out.join("tabular.png"), out.join("tabular.safetensors"));
    draw(&plot, &history, stopping.best_epoch(), dropout, &judged)?;
    // What the file's reader needs besides the network.
    match &target {
        Target::Classes(classes) => model.set_metadata("classes", classes.names.join("\n"))?,
        Target::Values(_) => {
            model.set_metadata("mean", scale.mean.to_string())?;
            model.set_metadata("deviation", scale.deviation.to_string())?;
        }
    }
    model.save(&file)?;
    println!("\n{}, {}", plot.display(), file.display());
    match (&arguments.file, judged) {
        (None, Judged::Classes { accuracy, .. }) if accuracy < REQUIRED_ACCURACY => {
            Err(format!("the test accuracy is below {REQUIRED_ACCURACY}").into())
        }
        _ => Ok(()),
    }
}

/// What is predicted, of each row.
enum Target {
    Classes(Classes),
    Values(Vec<f64>),
}

/// Row numbers to train on, to validate with, and to test with. Classes have the same shares in each.
fn parts(gpu: &Gpu, target: &Target, rows: usize, seed: u64) -> Result<[Vec<usize>; 3]> {
    const LARGER: f64 = 0.8;
    let rows = Dataset::from_bytes(gpu, &vec![0; rows], [1])?;
    let (training, validation, test) = match target {
        Target::Classes(classes) => {
            let rows = rows.classes(&classes.labels)?;
            let (others, test) = rows.stratified_split(LARGER, seed)?;
            let (training, validation) = others.stratified_split(LARGER, seed)?;
            (training, validation, test)
        }
        Target::Values(_) => {
            let (others, test) = rows.shuffled(seed).split(LARGER)?;
            let (training, validation) = others.split(LARGER)?;
            (training, validation, test)
        }
    };
    Ok([training, validation, test].map(|part| part.indices()))
}

/// What is 0 and what is 1 for the network: it learns values of mean 0 and variance 1 best.
struct Scale {
    mean: f64,
    deviation: f64,
}

impl Scale {
    /// That of the values in these rows.
    fn of(target: &Target, rows: &[usize]) -> Self {
        let Target::Values(all) = target else {
            return Self {
                mean: 0.0,
                deviation: 1.0,
            };
        };
        let values = || rows.iter().map(|&row| all[row]);
        let count = rows.len() as f64;
        let mean = values().sum::<f64>() / count;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        Self {
            mean,
            deviation: if variance > 0.0 { variance.sqrt() } else { 1.0 },
        }
    }

    fn scaled(&self, values: &[f64]) -> Vec<f32> {
        let scaled = values
            .iter()
            .map(|value| (value - self.mean) / self.deviation);
        scaled.map(|value| value as f32).collect()
    }

    fn unscaled(&self, outputs: &[f32]) -> Vec<f64> {
        let values = outputs.iter().map(|&output| f64::from(output));
        values
            .map(|output| output * self.deviation + self.mean)
            .collect()
    }
}

fn network(training: &Dataset, target: &Target, dropout: f64) -> Result<SequentialBuilder> {
    let mut layers = Sequential::new(training.shape()).add(Normalization::adapt(training)?);
    for _ in 0..LAYERS {
        layers = layers.add(
            Dense::new(UNITS)
                .kernel_initializer(LecunNormal)
                .activation(Selu),
        );
        if dropout > 0.0 {
            layers = layers.add(AlphaDropout::new(dropout));
        }
    }
    let last = match target {
        Target::Classes(classes) => Dense::new(classes.names.len()).activation(Softmax),
        Target::Values(_) => Dense::new(1),
    };
    Ok(layers.add(last.kernel_initializer(LecunNormal)))
}

/// The predictions for the rows to test, as they are drawn.
enum Judged {
    Classes {
        accuracy: f64,
        /// What has the probabilities.
        event: String,
        probabilities: Vec<f32>,
        happened: Vec<bool>,
    },
    Values {
        name: String,
        truth: Vec<f64>,
        predicted: Vec<f64>,
    },
}

/// Prints how good the classes are.
fn classify(
    classes: &Classes,
    truth: &[usize],
    predicted: &[usize],
    probabilities: &[f32],
) -> Result<Judged> {
    let names = &classes.names;
    let matrix = metrics::confusion_matrix(truth, predicted, names.len())?;
    let (accuracy, recall) = (matrix.accuracy(), matrix.recall());
    println!(
        "Test accuracy: {accuracy:.4} - log loss: {:.4} - Brier score: {:.4}",
        metrics::log_loss(truth, probabilities)?,
        metrics::brier(truth, probabilities)?
    );
    let second = || probabilities.iter().skip(1).step_by(2).copied();
    if let ([_, positive], true) = (&names[..], [0, 1].iter().all(|class| truth.contains(class))) {
        let scores: Vec<_> = second().collect();
        let area = metrics::roc_auc(truth, &scores)?;
        println!("Area under the ROC curve of {positive}: {area:.4}");
    }

    let widest = names.iter().map(|name| name.chars().count()).max();
    let width = widest.unwrap_or(0).max(5);
    println!("\nConfusion matrix, a row for each true class:");
    let header: String = names
        .iter()
        .map(|name| format!("{name:>width$}  "))
        .collect();
    println!("{:width$}  {header}recall", "");
    for (class, name) in names.iter().enumerate() {
        let counts = (0..names.len()).map(|other| matrix.count(class, other));
        let cells: String = counts.map(|count| format!("{count:>width$}  ")).collect();
        let recall = match truth.contains(&class) {
            true => format!("{:.3}", recall.per_class[class]),
            false => "no row to test".into(),
        };
        println!("{name:<width$}  {cells}{recall}");
    }

    let (event, probabilities, happened) = match &names[..] {
        [_, positive] => (
            positive.chars().take(20).collect(),
            second().collect(),
            truth.iter().map(|&class| class == 1).collect(),
        ),
        _ => (
            "right".into(),
            probabilities
                .chunks(names.len())
                .zip(predicted)
                .map(|(row, &class)| row[class])
                .collect(),
            truth.iter().zip(predicted).map(|(a, b)| a == b).collect(),
        ),
    };
    Ok(Judged::Classes {
        accuracy,
        event,
        probabilities,
        happened,
    })
}

/// Prints how good the values are.
fn regress(name: &str, truth: Vec<f64>, predicted: Vec<f64>) -> Result<Judged> {
    println!(
        "Test of {name}: mean absolute error: {:.4} - root mean square error: {:.4} - R²: {:.4}",
        metrics::mean_absolute_error(&truth, &predicted)?,
        metrics::mean_squared_error(&truth, &predicted)?.sqrt(),
        metrics::r2(&truth, &predicted)?
    );
    Ok(Judged::Values {
        name: name.into(),
        truth,
        predicted,
    })
}

fn draw(path: &Path, history: &History, best: usize, dropout: f64, judged: &Judged) -> Result<()> {
    picture(path, (1600, 720), |canvas| {
        let (left, right) = canvas.split_horizontally(canvas.dim_in_pixel().0 / 2);
        let loss = match judged {
            Judged::Classes { .. } => "Cross-entropy",
            Judged::Values { .. } => "Mean squared error of the standardized target",
        };
        let subtitle = format!("{loss}; best in epoch {best}");
        let trained = match dropout {
            0.0 => "training",
            _ => "training, with dropout",
        };
        by_epoch(
            &left,
            "Loss",
            &subtitle,
            history,
            |score| score.loss,
            Corner::TopRight,
            trained,
        )?;
        match judged {
            Judged::Classes {
                event,
                probabilities,
                happened,
                ..
            } => calibration(&right, event, probabilities, happened),
            Judged::Values {
                name,
                truth,
                predicted,
            } => residuals(&right, name, truth, predicted),
        }
    })
}

/// How often what was predicted with a probability happened.
fn calibration(area: &Area, event: &str, probabilities: &[f32], happened: &[bool]) -> Result<()> {
    /// Fewer rows than this in a bin tell little.
    const ROWS_PER_BIN: usize = 20;
    let bins = (happened.len() / ROWS_PER_BIN).clamp(4, 10);
    let mut panel = Panel::new(
        area,
        "Calibration on the test rows",
        &format!("Share that is {event}, with the rows and a 95 % interval"),
        Axis::new(-0.04..1.04, 1)
            .ticks(11)
            .name("predicted probability"),
        Axis::new(-0.04..1.04, 1).ticks(11),
    )?;
    panel.thin_line(vec![(0.0, 0.0), (1.0, 1.0)], GREY)?;
    for bin in metrics::calibration(happened, probabilities, bins)? {
        let (low, high) = wilson(bin.share, bin.samples);
        panel.line(
            vec![(bin.probability, low), (bin.probability, high)],
            LIGHT_BLUE,
        )?;
        panel.dot((bin.probability, bin.share), BLUE, BLUE)?;
        panel.beside((bin.probability, bin.share), &bin.samples.to_string())?;
    }
    Ok(())
}

/// Where a share is with 95 %, given that of so many samples (E. B. Wilson 1927).
fn wilson(share: f64, samples: usize) -> (f64, f64) {
    const Z: f64 = 1.96;
    let n = samples as f64;
    let center = share + Z * Z / (2.0 * n);
    let width = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    ((center - width) / scale, (center + width) / scale)
}

/// What is missing of the truth, by the prediction.
fn residuals(area: &Area, name: &str, truth: &[f64], predicted: &[f64]) -> Result<()> {
    let missed = || truth.iter().zip(predicted).map(|(t, p)| t - p);
    let mut panel = Panel::new(
        area,
        "Residuals on the test rows",
        &format!("{name}: truth − prediction, by the prediction"),
        Axis::around(predicted.iter().copied()).name("prediction"),
        Axis::around(missed().chain([0.0])),
    )?;
    panel.level(0.0)?;
    for (p, residual) in predicted.iter().zip(missed()) {
        panel.dot((*p, residual), BLUE, LIGHT_BLUE)?;
    }
    Ok(())
}

/// The command-line arguments.
struct Arguments {
    /// The table that comes with the crate without one.
    file: Option<PathBuf>,
    target: String,
    regression: bool,
    separator: u8,
    has_header: bool,
    categorical: Vec<String>,
    dropped: Vec<String>,
    impute: bool,
    dropout: Option<f64>,
    out: PathBuf,
    seed: u64,
    epochs: usize,
    batch: usize,
}

impl Arguments {
    /// `None` if help was requested.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>> {
        let mut parsed = Self {
            file: None,
            target: DIAGNOSIS.into(),
            regression: false,
            separator: b',',
            has_header: true,
            categorical: Vec::new(),
            dropped: Vec::new(),
            impute: false,
            dropout: None,
            out: ".".into(),
            seed: 1,
            epochs: 200,
            batch: 32,
        };
        let mut names = Vec::new();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let missing = || format!("{argument} needs a value\n\n{USAGE}");
                arguments.next().ok_or_else(missing)
            };
            match argument.as_str() {
                "--help" | "-h" => return Ok(None),
                "--regression" => parsed.regression = true,
                "--separator" => parsed.separator = separator(&value()?)?,
                "--no-header" => parsed.has_header = false,
                "--categorical" => parsed.categorical.push(value()?),
                "--drop" => parsed.dropped.push(value()?),
                "--impute" => match value()?.as_str() {
                    "mean" => parsed.impute = true,
                    other => return Err(format!("--impute is mean, not {other}").into()),
                },
                "--dropout" => parsed.dropout = Some(rate(&value()?)?),
                "--out" => parsed.out = value()?.into(),
                "--seed" => parsed.seed = number(&argument, &value()?, 0)?,
                "--epochs" => parsed.epochs = number(&argument, &value()?, 1)? as usize,
                "--batch" => parsed.batch = number(&argument, &value()?, 1)? as usize,
                option if option.starts_with("--") => {
                    return Err(format!("there is no option {option}\n\n{USAGE}").into());
                }
                _ => names.push(argument),
            }
        }
        match <[String; 2]>::try_from(names) {
            Ok([file, target]) => {
                parsed.file = Some(PathBuf::from(file));
                parsed.target = target;
            }
            Err(names) if names.is_empty() => {}
            Err(_) => return Err(format!("a file and a column are needed\n\n{USAGE}").into()),
        }
        Ok(Some(parsed))
    }

    fn table(&self) -> Result<Table> {
        let Some(path) = &self.file else {
            return Ok(Table::read(TUMOURS, self.separator, self.has_header)?);
        };
        let at = |problem: String| format!("{}: {problem}", path.display());
        let csv = std::fs::read(path).map_err(|problem| at(problem.to_string()))?;
        let table = Table::read(&csv, self.separator, self.has_header).map_err(at)?;
        if let (true, Some(name)) = (self.has_header, table.number_in_header()) {
            println!(
                "note: a column is called {name}; if the first line is a row, add --no-header"
            );
        }
        Ok(table)
    }
}

fn separator(value: &str) -> Result<u8> {
    match value.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && *byte != b'"' => Ok(*byte),
        _ => {
            Err(format!("--separator is one sign such as ; or the word tab, not {value:?}").into())
        }
    }
}

fn rate(value: &str) -> Result<f64> {
    match value.parse() {
        Ok(rate) if (0.0..1.0).contains(&rate) => Ok(rate),
        _ => Err(format!("--dropout is at least 0 and below 1, not {value}").into()),
    }
}

fn number(option: &str, value: &str, least: u64) -> Result<u64> {
    match value.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("{option} is a whole number from {least} on, not {value}").into()),
    }
}
