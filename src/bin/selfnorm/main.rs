//! The command: what a model's file holds, in another format, and what it predicts.

#[path = "../../nn/files/atomic.rs"]
mod atomic;
mod model;
mod npy;
mod score;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;
use selfnorm::nn::{Dtype, Mapping, Origin};
use selfnorm::{Gpu, GpuOptions};

const USAGE: &str = "\
Models of Keras, ONNX and this crate on any GPU.

selfnorm inspect FILE                 its layers, where it comes from, and how far it is trained
selfnorm convert IN OUT               the same model in another format
selfnorm predict MODEL IN OUT         what it predicts for each row of IN
selfnorm score MODEL FOLDER [IN…]     the same of many files, into files of the same names below FOLDER

A model's format follows from its name:
  .keras .h5        Keras (a .h5 is read only)
  .onnx             ONNX
  .safetensors      this crate's; of other files `inspect` lists the tensors

IN and OUT are .csv, a sample a row, with or without a line of names, or .npy, an array [n, sample's shape]. Values are
in the order of the model's input, which `inspect` shows; images have their channels last, also those of ONNX files.

Of score the standard input has the names, one a line, if no IN is given, and each name of a result is printed when it
is there. A result that is there already stays, also of another model: give each model its folder. So a run that was
killed is run again, and any number of runs can share out the files, each on a GPU of its own by --gpu 0, --gpu 1, …
Results of files that are named from the root are below FOLDER/absolute.

Options of convert to .safetensors:
  --dtype f32|f16|bf16    how values are stored; f32 by default
  --pytorch               the state_dict of an nn.Sequential with a module for each layer, and one behind it for
                          the activation of a Dense or Conv2D; their eps is 0.001 here by default, 0.00001 there

  --help, --version";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

enum Command {
    Inspect(PathBuf),
    Convert([PathBuf; 2], Option<Mapping>),
    Predict([PathBuf; 3]),
    Score([PathBuf; 2], Vec<PathBuf>, usize),
    Say(String),
}

fn main() -> ExitCode {
    let ran = match parse() {
        Err(problem) => {
            eprintln!("selfnorm: {problem}\nselfnorm --help lists the commands");
            return ExitCode::from(2);
        }
        Ok(command) => run(command),
    };
    if let Err(problem) = ran {
        eprintln!("selfnorm: {problem}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn parse() -> std::result::Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let mut words = Vec::new();
    let (mut dtype, mut origin, mut gpu) = (None, None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Command::Say(USAGE.into())),
            Long("version") | Short('V') => {
                let version = concat!("selfnorm ", env!("CARGO_PKG_VERSION"));
                return Ok(Command::Say(version.into()));
            }
            Long("dtype") => {
                dtype = Some(parser.value()?.parse_with(|name| match name {
                    "f32" => Ok(Dtype::F32),
                    "f16" => Ok(Dtype::F16),
                    "bf16" => Ok(Dtype::Bf16),
                    _ => Err("not one of f32, f16 and bf16"),
                })?);
            }
            Long("gpu") => gpu = Some(parser.value()?.parse()?),
            Long("pytorch") => origin = Some(Origin::PyTorch),
            Value(word) => words.push(word),
            _ => return Err(argument.unexpected()),
        }
    }
    let mapping = match (dtype, origin) {
        (None, None) => None,
        (dtype, origin) => {
            let mapping = Mapping::new(origin.unwrap_or_default());
            Some(mapping.dtype(dtype.unwrap_or_default()))
        }
    };
    let mut words = words.into_iter();
    let command = words.next().unwrap_or_default();
    let paths: Vec<PathBuf> = words.map(PathBuf::from).collect();
    let command = command.to_string_lossy();
    let files = match &command[..] {
        "inspect" => "FILE",
        "convert" => "IN OUT",
        "predict" => "MODEL IN OUT",
        "score" => "MODEL FOLDER [IN…]",
        "" => return Err("a command is missing".into()),
        _ => return Err(format!("{command} is none of its commands").into()),
    };
    let count = paths.len();
    let wrong = |_| lexopt::Error::from(format!("{command} takes {files}, not {count} files"));
    if mapping.is_some() && command != "convert" {
        return Err(format!("{command} takes no --dtype or --pytorch").into());
    }
    if gpu.is_some() && command != "score" {
        return Err(format!("{command} takes no --gpu").into());
    }
    match &command[..] {
        "inspect" => {
            let [file] = <[PathBuf; 1]>::try_from(paths).map_err(wrong)?;
            Ok(Command::Inspect(file))
        }
        "convert" => Ok(Command::Convert(paths.try_into().map_err(wrong)?, mapping)),
        "score" => {
            let mut paths = paths.into_iter();
            match (paths.next(), paths.next()) {
                (Some(model), Some(folder)) => {
                    let gpu = gpu.unwrap_or_default();
                    Ok(Command::Score([model, folder], paths.collect(), gpu))
                }
                (path, _) => Err(wrong(path.into_iter().collect())),
            }
        }
        _ => Ok(Command::Predict(paths.try_into().map_err(wrong)?)),
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Say(text) => println!("{text}"),
        Command::Inspect(file) => print!("{}", model::inspect(&file)?),
        Command::Convert([from, to], mapping) => {
            model::check_target(&to, mapping.as_ref())?;
            let model = model::open(&Gpu::new()?, &from)?;
            model::save(&model, &to, mapping.as_ref())?;
        }
        Command::Score([file, folder], chunks, nth) => {
            let gpu = pollster::block_on(Gpu::request(&GpuOptions::new().nth(nth)))?;
            score::score(&gpu, &file, &folder, chunks)?;
        }
        Command::Predict([file, from, to]) => {
            table::Format::of(&to)?;
            let samples = table::read(&from)?;
            let model = model::open(&Gpu::new()?, &file)?;
            let checked = samples.check(model.input_shape());
            checked.map_err(|problem| format!("{}: {problem}", from.display()))?;
            let y = model.predict_floats(&samples.values)?;
            table::write(&to, samples.rows(), model.output_shape(), &y)?;
        }
    }
    Ok(())
}
