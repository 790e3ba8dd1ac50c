//! Models of other libraries, and files for them. tests/interop/make_onnx.py has written the models with their inputs
//! and what the libraries compute of those in float64.

use std::path::{Path, PathBuf};

use crate::common::gpu;
use pollster::block_on;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use selfnorm::nn::{
    Activation, AlphaDropout, AveragePooling2d, BatchNormalization, Conv2d, Dense, Dropout, Flatten,
    GlobalAveragePooling2d, LayerNormalization, MaxPool2d, Normalization, Padding, Reshape, Sequential,
    SequentialBuilder, onnx,
};
use selfnorm::{Selu, Tensor};

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
/// Every layer and every activation, and what makes transpositions necessary.
fn networks() -> Vec<(&'static str, SequentialBuilder)> {
    let explicit = Padding::Explicit {
        before: [1, 0],
        after: [0, 2],
    };
    let activations = [
        Activation::Linear,
        Activation::Selu,
        Activation::SeluWith(Selu::with_fixed_point(0.1, 2.0).unwrap()),
        Activation::Elu(0.3),
        Activation::Relu,
        Activation::LeakyRelu(0.1),
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Silu,
        Activation::Softplus,
        Activation::Sine(1.5),
        Activation::Gelu { approximate: false },
        Activation::Gelu { approximate: true },
        Activation::Softmax,
    ];
    let mut own = Sequential::new([5]).add(Dense::new(4).name("first"));
    let mut alone = Sequential::new([3]);
    let mut of_images = Sequential::new([4, 5, 2]);
    for activation in activations {
        own = own.add(Dense::new(6).activation(activation));
        alone = alone.add(activation);
        of_images = of_images.add(Conv2d::new(2, [1, 2]).padding(Padding::Same).activation(activation));
    }
    vec![
        ("activations", own.add(Dense::new(2))),
        ("alone", alone),
        ("of_images", of_images),
        (
            "selu",
            Sequential::new([4])
                .add(Dense::new(8).activation(Activation::Selu))
                .add(AlphaDropout::new(0.1))
                .add(Dense::new(8).use_bias(false))
                .add(Activation::Selu)
                .add(Dropout::new(0.1))
                .add(Dense::new(3).activation(Activation::Softmax)),
        ),
        (
            "cnn",
            Sequential::new([9, 8, 2])
                .add(Conv2d::new(4, [3, 3]).padding(Padding::Same).strides([2, 1]).activation(Activation::Selu))
                .add(MaxPool2d::new([2, 2]).padding(Padding::Same))
                .add(BatchNormalization::new().epsilon(1e-4))
                .add(Conv2d::new(3, [2, 3]).padding(explicit).use_bias(false))
                .add(LayerNormalization::new())
                .add(Activation::Relu)
                .add(AveragePooling2d::new([2, 2]).strides([1, 1]).padding(explicit_pool()))
                .add(Flatten::new())
                .add(BatchNormalization::new())
                .add(Dense::new(5).activation(Activation::Elu(1.0)))
                .add(Dense::new(1).activation(Activation::Sigmoid)),
        ),
        (
            "image",
            Sequential::new([5, 6, 2])
                .add(Normalization::new().moments([0.5, -1.0], [2.0, 3.0]))
                .add(Conv2d::new(3, [2, 2]).activation(Activation::Silu))
                .add(MaxPool2d::new([2, 2]).strides([1, 2]))
                .add(Dense::new(4).activation(Activation::Tanh)),
        ),
        (
            "means",
            Sequential::new([5, 6, 2])
                .add(Conv2d::new(3, [2, 2]).activation(Activation::Softplus))
                .add(GlobalAveragePooling2d::new())
                .add(Dense::new(2)),
        ),
        ("only_means", Sequential::new([5, 6, 2]).add(GlobalAveragePooling2d::new())),
        (
            "rank2",
            Sequential::new([3, 4])
                .add(Dense::new(5).activation(Activation::Selu))
                .add(BatchNormalization::new())
                .add(LayerNormalization::new().epsilon(1e-6))
                .add(Dense::new(4).use_bias(false))
                .add(Activation::Softmax),
        ),
        (
            "reshaped",
            Sequential::new([16])
                .add(Dense::new(16))
                .add(Reshape::new([4, 4, 1]))
                .add(Conv2d::new(2, [3, 3]).activation(Activation::Selu))
                .add(Flatten::new())
                .add(Dense::new(6))
                .add(Reshape::new([2, 3])),
        ),
        (
            "normalized",
            Sequential::new([3])
                .add(Normalization::new().moments([1.0, 2.0, -3.0], [4.0, 0.5, 1e-20]))
                .add(Dense::new(2)),
        ),
    ]
}

fn explicit_pool() -> Padding {
    Padding::Explicit {
        before: [1, 1],
        after: [0, 1],
    }
}

/// A network whose weights are none that a layer begins with, and an input.
fn built(builder: &SequentialBuilder) -> (Sequential, Vec<f32>) {
    let mut model = builder.build(gpu(), 7).unwrap();
    let mut words = selfnorm::random::words(3, 4, 0..1 << 16).map(|word| word as f32 * 2f32.powi(-32));
    let weights = model.weights().unwrap().into_iter();
    let weights: Vec<_> = weights
        .map(|(name, w)| {
            let is_changed = ["bias", "beta", "gamma", "moving_mean", "moving_variance"];
            if !is_changed.iter().any(|kind| name.ends_with(&format!("/{kind}"))) {
                return (name, w);
            }
            let values: Vec<_> = w.to_vec().unwrap().iter().map(|_| 0.5 + words.next().unwrap()).collect();
            (name, gpu().tensor(&values, w.shape()).unwrap())
        })
        .collect();
    model.set_weights(&weights).unwrap();
    let len: usize = model.input_shape().iter().product();
    let x = words.take(3 * len).map(|x| 4.0 * x - 2.0).collect();
    (model, x)
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.to_vec().unwrap().iter().map(|x| x.to_bits()).collect()
}

#[test]
fn what_is_written_comes_back_bit_for_bit() {
    for (name, builder) in networks() {
        let (model, x) = built(&builder);
        let bytes = block_on(onnx::to_bytes(&model)).unwrap();
        assert_eq!(bytes, block_on(onnx::to_bytes(&model)).unwrap());
        let again = block_on(onnx::from_bytes(gpu(), &bytes)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let weights = |model: &Sequential| -> Vec<_> {
            let weights = model.weights().unwrap().into_iter();
            weights.map(|(name, w)| (name, w.shape().to_vec(), bits(&w))).collect()
        };
        assert_eq!(weights(&again), weights(&model), "{name}");
        assert_eq!(again.input_shape(), model.input_shape());
        assert_eq!(again.output_shape(), model.output_shape());
        let predict = |model: &Sequential| bits(&model.predict(&tensor(model, &x)).unwrap());
        assert_eq!(predict(&again), predict(&model), "{name}");
    }
}

/// With SELFNORM_INTEROP_OUT, what tests/interop/check_onnx.py compares with ONNX Runtime.
#[test]
fn files_for_other_libraries_are_written() {
    let Some(folder) = std::env::var_os("SELFNORM_INTEROP_OUT").map(PathBuf::from) else { return };
    for (name, builder) in networks() {
        let (model, x) = built(&builder);
        model.save_onnx(folder.join(name).with_extension("onnx")).unwrap();
        let x = tensor(&model, &x);
        let y = model.predict(&x).unwrap();
        let values = [&x, &y].map(|tensor| tensor.to_vec().unwrap());
        let view = |tensor: &Tensor, values| {
            TensorView::new(Dtype::F32, tensor.shape().to_vec(), bytemuck::cast_slice(values)).unwrap()
        };
        let tensors = [("x", view(&x, &values[0])), ("y", view(&y, &values[1]))];
        let path = folder.join(name).with_extension("safetensors");
        safetensors::serialize_to_file(tensors, None, &path).unwrap();
    }
}

/// ONNX's own cases, written by tests/interop/make_onnx_backend.py.
#[test]
fn cases_of_onnx_give_what_onnx_says() {
    let folder = folder().join("backend");
    let bytes = std::fs::read(folder.join("cases.safetensors")).unwrap();
    let cases = SafeTensors::deserialize(&bytes).unwrap();
    let mut names: Vec<_> = cases.names().iter().filter_map(|name| name.strip_suffix("/x")).collect();
    names.sort();
    let mut refused = Vec::new();
    let mut problems = Vec::new();
    let mut run = 0;
    for name in names {
        let path = folder.join(name).with_extension("onnx");
        let model = match onnx::load(&path, gpu()) {
            Ok(model) => model,
            Err(error) => {
                let error = error.to_string();
                let reason = error.strip_prefix(&format!("{}: ", path.display())).unwrap();
                refused.push(format!("{name}: {reason}"));
                continue;
            }
        };
        let tensor_of = |part: &str| cases.tensor(&format!("{name}/{part}")).unwrap();
        let (x, y) = (tensor_of("x"), tensor_of("y"));
        let (x_values, y_values): (Vec<f32>, Vec<f32>) =
            (bytemuck::pod_collect_to_vec(x.data()), bytemuck::pod_collect_to_vec(y.data()));
        let x_values = channels_last(x_values, x.shape(), model.input_shape());
        let found = model.predict(&tensor(&model, &x_values)).unwrap().to_vec().unwrap();
        let expected = y_values.into_iter().map(f64::from).collect();
        let expected = channels_last(expected, y.shape(), model.output_shape());
        run += 1;
        if found.len() != expected.len() || !(error(&found, &expected) <= BOUND) {
            problems.push(format!("{name}: {:?}, {:?} in place of {:?}\n{}", model.output_shape(), found.iter().take(8).collect::<Vec<_>>(), expected.iter().take(8).collect::<Vec<_>>(), model.summary()));
        }
    }
    println!("{run} cases; not possible here are\n{}", refused.join("\n"));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
