//! Models of other libraries, and files for them. tests/interop/make_onnx.py has written the models with their inputs
//! and what the libraries compute of those in float64.

use std::path::{Path, PathBuf};

use crate::common::gpu;
use safetensors::SafeTensors;
use selfnorm::Tensor;
use selfnorm::nn::{Sequential, onnx};

/// How far predictions may be from the float64 ones; of large outputs, in units of their root mean square.
const BOUND: f64 = 1e-5;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/onnx")
}

/// The models of the folder.
fn models() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut models: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "onnx"))
        .collect();
    models.sort();
    assert!(models.len() > 20);
    models
}

struct Expected {
    x: Vec<f32>,
    x_shape: Vec<usize>,
    y: Vec<f64>,
    y_shape: Vec<usize>,
}

impl Expected {
    fn of(model: &Path) -> Self {
        let bytes = std::fs::read(model.with_extension("safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let (x, y) = (file.tensor("x").unwrap(), file.tensor("y").unwrap());
        Self {
            x: bytemuck::pod_collect_to_vec(x.data()),
            x_shape: x.shape().to_vec(),
            y: bytemuck::pod_collect_to_vec(y.data()),
            y_shape: y.shape().to_vec(),
        }
    }
}

/// [N, C, H, W] as [N, H, W, C], unless the network's shape is the first.
fn channels_last<T: Copy>(values: Vec<T>, shape: &[usize], wanted: &[usize]) -> Vec<T> {
    let &[n, c, h, w] = shape else { return values };
    if wanted == [c, h, w] || wanted.len() != 3 {
        return values;
    }
    assert_eq!(wanted, [h, w, c]);
    let place = |i: usize| {
        let (n, i) = (i / (h * w * c), i % (h * w * c));
        let (y, x, channel) = (i / (w * c), i / c % w, i % c);
        ((n * c + channel) * h + y) * w + x
    };
    (0..n * c * h * w).map(|i| values[place(i)]).collect()
}

fn tensor(model: &Sequential, x: &[f32]) -> Tensor {
    let shape = model.input_shape();
    let len: usize = shape.iter().product();
    let shape = [&[x.len() / len], shape].concat();
    gpu().tensor(x, shape).unwrap()
}

/// The largest error, in units of the root mean square of what is expected if that is above 1.
fn error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let squares: f64 = expected.iter().map(|y| y * y).sum();
    let scale = (squares / expected.len() as f64).sqrt().max(1.0);
    let errors = found.iter().zip(expected).map(|(&y, e)| (f64::from(y) - e).abs() / scale);
    errors.fold(0.0, |worst, error| if error > worst || error.is_nan() { error } else { worst })
}

#[test]
fn models_of_other_libraries_predict_what_those_compute() {
    let mut problems = Vec::new();
    for path in models() {
        let expected = Expected::of(&path);
        let model = match onnx::load(&path, gpu()) {
            Ok(model) => model,
            Err(error) => {
                problems.push(error.to_string());
                continue;
            }
        };
        let x = channels_last(expected.x, &expected.x_shape, model.input_shape());
        let y = model.predict(&tensor(&model, &x)).unwrap().to_vec().unwrap();
        let y_expected = channels_last(expected.y, &expected.y_shape, model.output_shape());
        let error = error(&y, &y_expected);
        let name = path.file_stem().unwrap().display().to_string();
        println!("{name}: {error:.1e}");
        if !(error <= BOUND) {
            problems.push(format!("{name}: {error:e}\n{}", model.summary()));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
