//! Models of other libraries, and files for them. tests/interop/make_onnx.py has written the models with their inputs
//! and what the libraries compute of those in float64.

use std::path::{Path, PathBuf};

use crate::common::gpu;
use pollster::block_on;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use selfnorm::nn::{
    Activation, AlphaDropout, AveragePooling2d, BatchNormalization, Conv2d, Dense, Dropout,
    Flatten, GlobalAveragePooling2d, LayerNormalization, MaxPool2d, Normalization, Padding,
    Reshape, Sequential, SequentialBuilder, onnx,
};
use selfnorm::{Error, Selu, Tensor};

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
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "onnx")
        })
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
    let pairs = found.iter().zip(expected);
    let errors = pairs.map(|(&y, e)| (f64::from(y) - e).abs() / scale);
    let or_infinite = |error: f64| if error.is_nan() { f64::INFINITY } else { error };
    errors.map(or_infinite).fold(0.0, f64::max)
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
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
        let y = model
            .predict(&tensor(&model, &x))
            .unwrap()
            .to_vec()
            .unwrap();
        let y_expected = channels_last(expected.y, &expected.y_shape, model.output_shape());
        let error = error(&y, &y_expected);
        let name = path.file_stem().unwrap().display().to_string();
        println!("{name}: {error:.1e}");
        if error > BOUND {
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
        of_images = of_images.add(
            Conv2d::new(2, [1, 2])
                .padding(Padding::Same)
                .activation(activation),
        );
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
                .add(
                    Conv2d::new(4, [3, 3])
                        .padding(Padding::Same)
                        .strides([2, 1])
                        .activation(Activation::Selu),
                )
                .add(MaxPool2d::new([2, 2]).padding(Padding::Same))
                .add(BatchNormalization::new().epsilon(1e-4))
                .add(Conv2d::new(3, [2, 3]).padding(explicit).use_bias(false))
                .add(LayerNormalization::new())
                .add(Activation::Relu)
                .add(
                    AveragePooling2d::new([2, 2])
                        .strides([1, 1])
                        .padding(explicit_pool()),
                )
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
        (
            "pools",
            Sequential::new([15, 16, 2])
                .add(
                    MaxPool2d::new([3, 3])
                        .strides([2, 2])
                        .padding(Padding::Same),
                )
                .add(
                    AveragePooling2d::new([3, 2])
                        .strides([1, 1])
                        .padding(Padding::Same),
                )
                .add(
                    MaxPool2d::new([2, 2])
                        .strides([4, 3])
                        .padding(Padding::Same),
                )
                .add(
                    AveragePooling2d::new([1, 1])
                        .strides([2, 2])
                        .padding(Padding::Same),
                ),
        ),
        (
            "only_means",
            Sequential::new([5, 6, 2]).add(GlobalAveragePooling2d::new()),
        ),
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
            "single",
            Sequential::new([2, 1])
                .add(Normalization::new().moments([1.0], [4.0]))
                .add(Dense::new(1).activation(Activation::Silu))
                .add(BatchNormalization::new())
                .add(Dense::new(1).activation(Activation::Sine(2.0))),
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
    let mut words =
        selfnorm::random::words(3, 4, 0..1 << 16).map(|word| word as f32 * 2f32.powi(-32));
    let weights = model.weights().unwrap().into_iter();
    let weights: Vec<_> = weights
        .map(|(name, w)| {
            let is_changed = ["bias", "beta", "gamma", "moving_mean", "moving_variance"];
            if !is_changed
                .iter()
                .any(|kind| name.ends_with(&format!("/{kind}")))
            {
                return (name, w);
            }
            let values: Vec<_> = w
                .to_vec()
                .unwrap()
                .iter()
                .map(|_| 0.5 + words.next().unwrap())
                .collect();
            (name, gpu().tensor(&values, w.shape()).unwrap())
        })
        .collect();
    model.set_weights(&weights).unwrap();
    let len: usize = model.input_shape().iter().product();
    let x = words.take(3 * len).map(|x| 4.0 * x - 2.0).collect();
    (model, x)
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor
        .to_vec()
        .unwrap()
        .iter()
        .map(|x| x.to_bits())
        .collect()
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_is_written_comes_back_bit_for_bit() {
    for (name, builder) in networks() {
        let (model, x) = built(&builder);
        let bytes = block_on(onnx::to_bytes(&model)).unwrap();
        assert_eq!(bytes, block_on(onnx::to_bytes(&model)).unwrap());
        let again = block_on(onnx::from_bytes(gpu(), &bytes))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let weights = |model: &Sequential| -> Vec<_> {
            let weights = model.weights().unwrap().into_iter();
            weights
                .map(|(name, w)| (name, w.shape().to_vec(), bits(&w)))
                .collect()
        };
        assert_eq!(weights(&again), weights(&model), "{name}");
        assert_eq!(again.input_shape(), model.input_shape());
        assert_eq!(again.output_shape(), model.output_shape());
        let predict = |model: &Sequential| bits(&model.predict(&tensor(model, &x)).unwrap());
        assert_eq!(predict(&again), predict(&model), "{name}");
    }
}

/// ONNX Runtime's SAME_UPPER is another where strides are larger than windows.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_padding_of_pools_is_written_in_numbers() {
    let (size, strides) = ([3, 2], [2, 4]);
    let of = |padding| {
        Sequential::new([6, 8, 1])
            .add(MaxPool2d::new(size).strides(strides).padding(padding))
            .build(gpu(), 0)
            .unwrap()
    };
    let written = |padding| block_on(onnx::to_bytes(&of(padding))).unwrap();
    // 3 windows of 3 rows, each 2 below the last, have 7 rows. 2 of 2 columns, each 4 to the right, have 6.
    let explicit = Padding::Explicit {
        before: [0, 0],
        after: [1, 0],
    };
    assert_eq!(written(Padding::Same), written(explicit));
}

/// With SELFNORM_INTEROP_OUT, what tests/interop/check_onnx.py compares with ONNX Runtime.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn files_for_other_libraries_are_written() {
    let Some(folder) = std::env::var_os("SELFNORM_INTEROP_OUT").map(PathBuf::from) else {
        return;
    };
    std::fs::create_dir_all(&folder).unwrap();
    for (name, builder) in networks() {
        let (model, x) = built(&builder);
        model
            .save_onnx(folder.join(name).with_extension("onnx"))
            .unwrap();
        let x = tensor(&model, &x);
        let y = model.predict(&x).unwrap();
        let values = [&x, &y].map(|tensor| tensor.to_vec().unwrap());
        let view = |tensor: &Tensor, values| {
            TensorView::new(
                Dtype::F32,
                tensor.shape().to_vec(),
                bytemuck::cast_slice(values),
            )
            .unwrap()
        };
        let tensors = [("x", view(&x, &values[0])), ("y", view(&y, &values[1]))];
        let path = folder.join(name).with_extension("safetensors");
        safetensors::serialize_to_file(tensors, None, &path).unwrap();
    }
}

/// ONNX's own cases, written by tests/interop/make_onnx_backend.py.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn cases_of_onnx_give_what_onnx_says() {
    let folder = folder().join("backend");
    let bytes = std::fs::read(folder.join("cases.safetensors")).unwrap();
    let cases = SafeTensors::deserialize(&bytes).unwrap();
    let mut names: Vec<_> = cases
        .names()
        .iter()
        .filter_map(|name| name.strip_suffix("/x"))
        .collect();
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
                let reason = error
                    .strip_prefix(&format!("{}: ", path.display()))
                    .unwrap();
                refused.push(format!("{name}: {reason}"));
                continue;
            }
        };
        let tensor_of = |part: &str| cases.tensor(&format!("{name}/{part}")).unwrap();
        let (x, y) = (tensor_of("x"), tensor_of("y"));
        let (x_values, y_values): (Vec<f32>, Vec<f32>) = (
            bytemuck::pod_collect_to_vec(x.data()),
            bytemuck::pod_collect_to_vec(y.data()),
        );
        let x_values = channels_last(x_values, x.shape(), model.input_shape());
        let found = model
            .predict(&tensor(&model, &x_values))
            .unwrap()
            .to_vec()
            .unwrap();
        let expected = y_values.into_iter().map(f64::from).collect();
        let expected = channels_last(expected, y.shape(), model.output_shape());
        run += 1;
        if found.len() != expected.len() || error(&found, &expected) > BOUND {
            problems.push(format!(
                "{name}: {:?}, {:?} in place of {:?}\n{}",
                model.output_shape(),
                found.iter().take(8).collect::<Vec<_>>(),
                expected.iter().take(8).collect::<Vec<_>>(),
                model.summary()
            ));
        }
    }
    println!("{run} cases; not possible here are\n{}", refused.join("\n"));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!((run, refused.len()), (119, 70));
}

/// Protocol buffers: fields of a message.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, mut value: u64) -> Self {
        while value >= 128 {
            self.0.push(value as u8 | 128);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn number(self, field: u64, value: i64) -> Self {
        self.varint(field << 3).varint(value as u64)
    }

    fn bytes(self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        let mut message = self
            .varint(field << 3 | 2)
            .varint(bytes.as_ref().len() as u64);
        message.0.extend(bytes.as_ref());
        message
    }

    fn all<T>(self, values: impl IntoIterator<Item = T>, add: impl FnMut(Self, T) -> Self) -> Self {
        values.into_iter().fold(self, add)
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn node(operator: &str, inputs: &[&str], output: &str) -> Message {
    let message = Message::default().all(inputs, |message, input| message.bytes(1, input));
    message.bytes(2, output).bytes(4, operator)
}

fn with_ints(node: Message, name: &str, values: &[i64]) -> Message {
    let attribute = Message::default()
        .bytes(1, name)
        .all(values, |message, &value| message.number(8, value));
    node.bytes(5, attribute.number(20, 7))
}

fn with_int(node: Message, name: &str, value: i64) -> Message {
    node.bytes(
        5,
        Message::default()
            .bytes(1, name)
            .number(3, value)
            .number(20, 2),
    )
}

fn named(node: Message, name: &str) -> Message {
    node.bytes(3, name)
}

fn tensor_of(name: &str, shape: &[i64], data_type: i64) -> Message {
    let message = Message::default().all(shape, |message, &extent| message.number(1, extent));
    message.number(2, data_type).bytes(8, name)
}

fn floats(name: &str, shape: &[i64], values: &[f32]) -> Message {
    tensor_of(name, shape, 1).bytes(9, bytemuck::cast_slice(values))
}

fn info(name: &str, shape: &[i64]) -> Message {
    let extents = shape
        .iter()
        .map(|&extent| Message::default().number(1, extent));
    let batch = Message::default().bytes(2, "N");
    let shape = Message::default()
        .bytes(1, batch)
        .all(extents, |shape, extent| shape.bytes(1, extent));
    let value_type = Message::default().bytes(1, Message::default().number(1, 1).bytes(2, shape));
    Message::default().bytes(1, name).bytes(2, value_type)
}

/// A model with an input x [N, …] and an output y.
fn model(input: &[i64], nodes: Vec<Message>, initializers: Vec<Message>) -> Vec<u8> {
    model_of(17, input, nodes, initializers)
}

fn model_of(opset: i64, input: &[i64], nodes: Vec<Message>, initializers: Vec<Message>) -> Vec<u8> {
    let graph = Message::default()
        .all(nodes, |graph, node| graph.bytes(1, node))
        .all(initializers, |graph, tensor| graph.bytes(5, tensor))
        .bytes(11, info("x", input))
        .bytes(12, info("y", &[]));
    let opset = Message::default().bytes(1, "").number(2, opset);
    Message::default()
        .number(1, 8)
        .bytes(7, graph)
        .bytes(8, opset)
        .0
}

fn read(bytes: &[u8]) -> Sequential {
    block_on(onnx::from_bytes(gpu(), bytes)).unwrap()
}

fn refused(bytes: &[u8]) -> String {
    match block_on(onnx::from_bytes(gpu(), bytes)) {
        Err(Error::File { path, detail }) => {
            assert_eq!(path, "the bytes");
            detail
        }
        Err(error) => panic!("{error}"),
        Ok(model) => panic!("{}", model.summary()),
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn all_that_cannot_be_read_is_listed_at_once() {
    let kernel = || floats("w", &[2, 1, 3, 3], &[0.0; 18]);
    let conv = named(node("Conv", &["x", "w"], "a"), "conv");
    let conv = with_ints(with_int(conv, "group", 4), "dilations", &[2, 2]);
    let nodes = vec![
        conv,
        node("Relu", &["a"], "b"),
        named(node("Resize", &["b"], "c"), "up/0"),
        named(node("Gemm", &["c", "v"], "d"), "dense"),
        node("Softsign", &["d"], "y"),
    ];
    assert_eq!(
        refused(&model(&[1, 5, 5], nodes, vec![kernel()])),
        "node 0 \"conv\" (Conv): group is 4, only 1 is possible here, and dilations is [2, 2], only 1 is possible here; \
         node 2 \"up/0\" (Resize): there is no such layer; \
         node 3 \"dense\" (Gemm): no node before it gives its input \"v\"; \
         node 4 (Softsign): there is no such layer"
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_file_that_is_cut_off_or_changed_is_an_error_or_a_network() {
    let bytes = std::fs::read(folder().join("torch_script_cnn.onnx")).unwrap();
    for len in (0..bytes.len()).step_by(7) {
        refused(&bytes[..len]);
    }
    for (i, word) in selfnorm::random::words(1, 2, 0..300).enumerate() {
        let mut bytes = bytes.clone();
        let place = word as usize % bytes.len();
        bytes[place] ^= 1 << (i % 8);
        let _ = block_on(onnx::from_bytes(gpu(), &bytes));
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn hostile_graphs_are_errors() {
    let relu = |from: &str, to: &str| node("Relu", &[from], to);
    let cases = [
        (
            "cycles",
            model(
                &[4],
                vec![
                    node("Add", &["x", "b"], "a"),
                    relu("a", "b"),
                    relu("b", "y"),
                ],
                vec![],
            ),
            "no node before it gives its input \"b\"",
        ),
        (
            "itself",
            model(&[4], vec![relu("y", "y")], vec![]),
            "one input, the file has 0",
        ),
        (
            "no output",
            model(&[4], vec![relu("x", "z")], vec![]),
            "no node gives its output \"y\"",
        ),
        (
            "twice",
            model(&[4], vec![relu("x", "y"), relu("x", "y")], vec![]),
            "its output \"y\" is there twice",
        ),
        (
            "an initializer twice",
            model(
                &[4],
                vec![relu("x", "y")],
                vec![floats("w", &[1], &[1.0]), floats("w", &[1], &[2.0])],
            ),
            "two initializers have one name",
        ),
        (
            "branches",
            model(
                &[4],
                vec![
                    relu("x", "a"),
                    node("Softmax", &["a"], "b"),
                    node("Add", &["a", "b"], "y"),
                ],
                vec![],
            ),
            "one layer after the other",
        ),
        (
            "too large",
            model(&[1 << 31, 1 << 31, 1 << 31], vec![relu("x", "y")], vec![]),
            "are too large",
        ),
        (
            "no extent",
            model(&[-1, 4], vec![relu("x", "y")], vec![]),
            "must be known",
        ),
        (
            "2^63",
            model(&[i64::MIN], vec![relu("x", "y")], vec![]),
            "must be known",
        ),
        (
            "axes",
            model(&[1; 100], vec![relu("x", "y")], vec![]),
            "must be known",
        ),
    ];
    for (name, bytes, message) in cases {
        let error = refused(&bytes);
        assert!(error.contains(message), "{name}: {error}");
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn hostile_tensors_are_errors() {
    let gemm = |weights: Message| model(&[4], vec![node("Gemm", &["x", "w"], "y")], vec![weights]);
    let external = |entries: &[(&str, &str)]| {
        let entry = |message: Message, &(key, value): &(&str, &str)| {
            message.bytes(13, Message::default().bytes(1, key).bytes(2, value))
        };
        gemm(tensor_of("w", &[4, 2], 1).all(entries, entry).number(14, 1))
    };
    let cases = [
        (
            "too short",
            gemm(floats("w", &[4, 2], &[0.0; 7])),
            "\"w\" has 7 values, its shape is [4, 2]",
        ),
        (
            "too long",
            gemm(floats("w", &[4, 2], &[0.0; 9])),
            "\"w\" has 9 values, its shape is [4, 2]",
        ),
        (
            "none",
            gemm(floats("w", &[4, 1 << 31], &[])),
            "\"w\" has 0 values",
        ),
        (
            "overflow",
            gemm(floats("w", &[1 << 40, 1 << 40], &[])),
            "\"w\" has a shape of",
        ),
        (
            "negative",
            gemm(floats("w", &[-4, -2], &[0.0; 8])),
            "not an ONNX file",
        ),
        (
            "odd",
            gemm(tensor_of("w", &[4, 2], 1).bytes(9, [0; 33])),
            "has 8 values",
        ),
        ("texts", gemm(tensor_of("w", &[4, 2], 8)), "data type 8"),
        (
            "empty",
            gemm(floats("w", &[4, 0], &[])),
            "units must be at least 1",
        ),
        (
            "elsewhere",
            external(&[("location", "weights")]),
            "bytes alone have not",
        ),
    ];
    for (name, bytes, message) in cases {
        let error = refused(&bytes);
        assert!(error.contains(message), "{name}: {error}");
    }
}

/// A tiny file could ask for weights that no byte of it explains.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn weights_that_the_file_does_not_have_are_an_error() {
    let two = || floats("two", &[], &[2.0]);
    let scaled = model(
        &[1 << 30],
        vec![node("Mul", &["x", "two"], "y")],
        vec![two()],
    );
    assert!(refused(&scaled).contains("more weights than the file has values"));
    // The same weights, a thousand times.
    let names: Vec<_> = ["x".into()]
        .into_iter()
        .chain((1..1000).map(|i| format!("v{i}")))
        .chain(["y".into()])
        .collect();
    let nodes = names
        .windows(2)
        .map(|pair| node("MatMul", &[&pair[0], "w"], &pair[1]));
    let shared = model(
        &[100],
        nodes.collect(),
        vec![floats("w", &[100, 100], &[0.0; 10_000])],
    );
    assert!(refused(&shared).contains("more weights than the file has values"));
}

/// Depth takes no stack, and many nodes no more time than as many bytes.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn deep_and_long_files_are_read_in_one_pass() {
    let mut deep = Message::default();
    for _ in 0..2000 {
        deep = Message::default().bytes(1, "body").bytes(
            6,
            Message::default().bytes(1, node("If", &["x"], "y").bytes(5, deep)),
        );
    }
    let bytes = model(&[4], vec![node("If", &["x"], "y").bytes(5, deep)], vec![]);
    assert!(refused(&bytes).contains("(If): there is no such layer"));

    let mut nodes = Vec::new();
    let mut last = "x".to_owned();
    for i in 0..50_000 {
        let next = format!("v{i}");
        let constant = node("Constant", &[], &format!("c{i}"));
        let value = Message::default()
            .bytes(1, "value")
            .bytes(5, floats("", &[], &[1.0]))
            .number(20, 4);
        nodes.push(constant.bytes(5, value));
        let constant = format!("c{i}");
        nodes.push(match i % 3 {
            0 => node("Add", &[&last, &constant], &next),
            1 => node("Mul", &[&last, &constant], &next),
            _ => node("Identity", &[&last], &next),
        });
        last = next;
    }
    nodes.push(node("Softsign", &[&last], "y"));
    let error = refused(&model(&[4], nodes, vec![]));
    assert!(
        error.ends_with("(Softsign): there is no such layer"),
        "{error}"
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn data_of_other_files_is_read_inside_the_folder_only() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("models");
    std::fs::create_dir_all(inside.join("data")).unwrap();
    let values: Vec<f32> = (0..10).map(|i| i as f32).collect();
    for path in [
        folder.path().join("secret"),
        inside.join("data/weights"),
        inside.join("weights"),
    ] {
        std::fs::write(path, bytemuck::cast_slice::<f32, u8>(&values)).unwrap();
    }
    let path = inside.join("model.onnx");
    let load = |location: &str, offset: &str, length: &str| {
        let entries = [
            ("location", location),
            ("offset", offset),
            ("length", length),
        ];
        let tensor = tensor_of("w", &[4, 2], 1).all(entries, |message, (key, value)| {
            message.bytes(13, Message::default().bytes(1, key).bytes(2, value))
        });
        let gemm = node("Gemm", &["x", "w"], "y");
        std::fs::write(&path, model(&[4], vec![gemm], vec![tensor.number(14, 1)])).unwrap();
        onnx::load(&path, gpu()).map_err(|error| error.to_string())
    };
    for location in ["weights", "data/weights"] {
        let model = load(location, "4", "32").unwrap();
        assert_eq!(
            model.weight("dense/kernel").unwrap().to_vec().unwrap(),
            values[1..9]
        );
    }
    let absolute = folder.path().join("secret").display().to_string();
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path().join("secret"), inside.join("link")).unwrap();
    let outside = ["../secret", "data/../weights", &absolute, "", ".", "link"];
    for location in outside
        .into_iter()
        .filter(|location| cfg!(unix) || *location != "link")
    {
        let error = load(location, "4", "32").unwrap_err();
        assert!(
            error.contains("must be in the folder of the model"),
            "{location}: {error}"
        );
    }
    assert!(
        load("weights", "12", "32")
            .unwrap_err()
            .contains("it has 40 bytes, not 32 from 12 on")
    );
    assert!(
        load("weights", "18446744073709551615", "32")
            .unwrap_err()
            .contains("it has 40 bytes")
    );
    assert!(
        load("weights", "-1", "32")
            .unwrap_err()
            .contains("offset \"-1\"")
    );
    assert!(
        load("weights", "0", "36")
            .unwrap_err()
            .contains("a length of 36")
    );
    assert!(
        load("data", "0", "32")
            .unwrap_err()
            .contains("external data \"data\"")
    );
    assert!(
        load("nothing", "0", "32")
            .unwrap_err()
            .contains("external data \"nothing\"")
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn weights_of_other_types_become_f32() {
    let values = [1.5f32, -2.0, 0.25, 96.0];
    let raw = |bytes: Vec<u8>, data_type| tensor_of("w", &[4, 1], data_type).bytes(9, bytes);
    let halves = values.map(half::f16::from_f32);
    let brains = values.map(half::bf16::from_f32);
    let doubles = values.map(f64::from);
    let packed = |field, message: Message| message.bytes(field, bytemuck::cast_slice(&values));
    let tensors = [
        raw(bytemuck::cast_slice(&values).to_vec(), 1),
        raw(bytemuck::cast_slice(&halves).to_vec(), 10),
        raw(bytemuck::cast_slice(&doubles).to_vec(), 11),
        raw(bytemuck::cast_slice(&brains).to_vec(), 16),
        packed(4, tensor_of("w", &[4, 1], 1)),
        tensor_of("w", &[4, 1], 11).bytes(10, bytemuck::cast_slice(&doubles)),
        tensor_of("w", &[4, 1], 10).all(halves, |message, half| {
            message.number(5, half.to_bits().into())
        }),
    ];
    for tensor in tensors {
        let model = read(&model(
            &[4],
            vec![node("MatMul", &["x", "w"], "y")],
            vec![tensor],
        ));
        assert_eq!(
            model.weight("dense/kernel").unwrap().to_vec().unwrap(),
            values
        );
    }
}

fn weight(model: &Sequential, name: &str) -> Vec<f32> {
    model.weight(name).unwrap().to_vec().unwrap()
}

fn types(model: &Sequential) -> Vec<String> {
    let layers = model.builder().to_json();
    let layers: serde_json::Value = serde_json::from_str(&layers).unwrap();
    let layers = layers["config"]["layers"].as_array().unwrap();
    let class = |layer: &serde_json::Value| layer["class_name"].as_str().unwrap().to_owned();
    layers.iter().skip(1).map(class).collect()
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn products_and_sums_with_constants_become_part_of_the_layer_before() {
    let nodes = vec![
        node("MatMul", &["x", "w"], "a"),
        node("Add", &["a", "b"], "c"),
        node("Mul", &["c", "s"], "d"),
        node("Sub", &["d", "b"], "e"),
        node("Relu", &["e"], "y"),
    ];
    let initializers = vec![
        floats("w", &[1, 2], &[3.0, 5.0]),
        floats("b", &[2], &[1.0, -1.0]),
        floats("s", &[1, 2], &[2.0, 4.0]),
    ];
    let model = read(&model(&[1], nodes, initializers));
    assert_eq!(types(&model), ["Dense"]);
    assert_eq!(weight(&model, "dense/kernel"), [6.0, 20.0]);
    assert_eq!(weight(&model, "dense/bias"), [1.0, -3.0]);
}

/// (x − minus) · times + plus, as scikit-learn's scalers are written.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn at_the_beginning_they_are_a_normalization_that_is_exact_and_not_trained() {
    let nodes = vec![
        node("Sub", &["x", "minus"], "a"),
        node("Div", &["a", "by"], "b"),
        node("Add", &["b", "plus"], "y"),
    ];
    let initializers = vec![
        floats("minus", &[2], &[1e6, 3.0]),
        floats("by", &[2], &[0.25, 4.0]),
        floats("plus", &[2], &[0.0, 0.5]),
    ];
    let model = read(&model(&[2], nodes, initializers));
    assert_eq!(types(&model), ["BatchNormalization"]);
    assert!(model.summary().contains("Non-trainable params: 8"));
    let y = model.predict(&tensor(&model, &[1e6 + 0.25, 7.0])).unwrap();
    assert_eq!(y.to_vec().unwrap(), [1.0, 1.5]);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn layers_are_called_as_their_nodes_or_as_in_keras() {
    let names = ["first", "/1/Gemm", "dense", "first", ""];
    let nodes = names.iter().enumerate().map(|(i, name)| {
        let output = if i == 4 { "y".into() } else { format!("v{i}") };
        let input = if i == 0 {
            "x".into()
        } else {
            format!("v{}", i - 1)
        };
        named(node("MatMul", &[&input, "w"], &output), name)
    });
    let model = read(&model(
        &[1],
        nodes.collect(),
        vec![floats("w", &[1, 1], &[1.0])],
    ));
    let weights = model.weights().unwrap();
    let found: Vec<_> = weights.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "first/kernel",
        "dense_1/kernel",
        "dense/kernel",
        "dense_2/kernel",
        "dense_3/kernel",
    ];
    assert_eq!(found, expected);
}

/// Before opset 13 all axes from the given one on are one.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn softmax_is_over_the_last_axis_and_before_opset_13_over_several() {
    let bytes = |opset, axis| {
        model_of(
            opset,
            &[2, 3],
            vec![with_int(node("Softmax", &["x"], "y"), "axis", axis)],
            vec![],
        )
    };
    let sums = |bytes: &[u8], row: usize| -> Vec<f32> {
        let model = read(bytes);
        let y = model
            .predict(&tensor(&model, &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]))
            .unwrap();
        y.to_vec()
            .unwrap()
            .chunks(row)
            .map(|row| row.iter().sum())
            .collect()
    };
    for (bytes, row) in [(bytes(13, -1), 3), (bytes(11, 2), 3), (bytes(11, 1), 6)] {
        assert!(sums(&bytes, row).iter().all(|sum| (sum - 1.0).abs() < 1e-6));
    }
    assert!(refused(&bytes(13, 1)).contains("they must be the channels, or the last"));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_file_of_an_opset_before_7_is_an_error() {
    let bytes = model_of(6, &[4], vec![node("Relu", &["x"], "y")], vec![]);
    assert!(refused(&bytes).contains("opset 6; from 7 on"));
}

/// A function is what its values are, and one that changes nothing is no layer.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn functions_that_are_written_out_are_recognized_by_their_values() {
    let cubed = vec![node("Mul", &["x", "x"], "a"), node("Mul", &["a", "x"], "y")];
    let cube = model(&[2], cubed, vec![]);
    let nodes = vec![
        node("Max", &["x", "x"], "a"),
        node("Neg", &["a"], "b"),
        node("Max", &["a", "b"], "c"),
        node("Mul", &["c", "half"], "d"),
        node("Exp", &["d"], "e"),
        node("Add", &["e", "one"], "f"),
        node("Log", &["f"], "y"),
    ];
    let initializers = vec![floats("half", &[], &[0.5]), floats("one", &[], &[1.0])];
    let model = read(&model(&[2], nodes, initializers));
    let expected = ["Activation", "BatchNormalization", "Activation"];
    assert_eq!(types(&model), expected);
    let y = model.predict(&tensor(&model, &[-3.0, 1.0])).unwrap();
    let y_expected = [1.5f64, 0.5].map(|x| x.exp().ln_1p());
    assert!(error(&y.to_vec().unwrap(), &y_expected) <= BOUND);

    assert_eq!(
        refused(&cube),
        "node 1 (Mul): no activation here is this function"
    );
}

/// Values of no particular order, from −1 to 1.
fn some(count: usize, seed: u64) -> Vec<f32> {
    let words = selfnorm::random::words(seed, 5, 0..count as u64);
    words
        .map(|word| word as f32 * 2f32.powi(-31) - 1.0)
        .collect()
}

fn in_f64(values: &[f32]) -> impl Iterator<Item = f64> + Clone + '_ {
    values.iter().map(|&value| value.into())
}

/// The error of a model's prediction of one sample.
fn error_of(bytes: &[u8], x: &[f32], expected: &[f64]) -> f64 {
    let model = read(bytes);
    let y = model.predict(&tensor(&model, x)).unwrap();
    error(&y.to_vec().unwrap(), expected)
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn constants_for_the_last_axis_and_for_all_are_combined_as_they_broadcast() {
    let (x, w) = (some(12, 0), some(15, 1));
    let (last, all) = (some(5, 2), some(20, 3));
    let w_x = |i: usize| -> f64 {
        let (row, column) = (i / 5, i % 5);
        let products = (0..3).map(|k| f64::from(x[row * 3 + k]) * f64::from(w[k * 5 + column]));
        products.sum()
    };
    let value = |operator: &str, a: f64, b: f64| match operator {
        "Add" => a + b,
        "Sub" => a - b,
        "Mul" => a * b,
        _ => a / b,
    };
    let operators = ["Add", "Sub", "Mul", "Div"];
    for (first, second) in operators.iter().flat_map(|a| operators.map(|b| (*a, b))) {
        for names in [["last", "all"], ["all", "last"]] {
            let nodes = vec![
                node("MatMul", &["x", "w"], "a"),
                node(first, &["a", names[0]], "b"),
                node(second, &["b", names[1]], "y"),
            ];
            let initializers = vec![
                floats("w", &[3, 5], &w),
                floats("last", &[5], &last),
                floats("all", &[4, 5], &all),
            ];
            let number = |name: &str, i: usize| match name {
                "last" => f64::from(last[i % 5]),
                _ => f64::from(all[i]),
            };
            let one = |i| {
                let y = value(first, w_x(i), number(names[0], i));
                value(second, y, number(names[1], i))
            };
            let expected: Vec<_> = (0..20).map(one).collect();
            let found = error_of(&model(&[4, 3], nodes, initializers), &x, &expected);
            assert!(found <= BOUND, "{first} {second} {names:?}: {found:e}");
        }
    }
}

/// What exporters write for a layer normalization over these axes, with these scales.
fn written_out(axes: &[i64], of_squares: &[i64], gamma: &[f32], beta: &[f32]) -> Vec<u8> {
    let mean = |from, to, axes| with_ints(node("ReduceMean", &[from], to), "axes", axes);
    let nodes = vec![
        mean("x", "mean", axes),
        node("Sub", &["x", "mean"], "centered"),
        node("Mul", &["centered", "centered"], "squared"),
        mean("squared", "variance", of_squares),
        node("Add", &["variance", "epsilon"], "shifted"),
        node("Sqrt", &["shifted"], "deviation"),
        node("Div", &["centered", "deviation"], "normal"),
        node("Mul", &["normal", "gamma"], "scaled"),
        node("Add", &["scaled", "beta"], "y"),
    ];
    let shape = |values: &[f32]| match values.len() {
        24 => vec![4, 6],
        len => vec![len as i64],
    };
    let initializers = vec![
        floats("epsilon", &[], &[1e-3]),
        floats("gamma", &shape(gamma), gamma),
        floats("beta", &shape(beta), beta),
    ];
    model(&[4, 6], nodes, initializers)
}

/// (x − mean) / √(variance + 10⁻³) of a row, times and plus constants that broadcast.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_normalization_that_is_written_out_is_scaled_over_the_axes_of_the_constants() {
    let x = some(24, 0);
    for (axes, row) in [(&[2][..], 6), (&[-1], 6), (&[1, 2], 24), (&[-2, -1], 24)] {
        let normal = x.chunks(row).flat_map(|row| {
            let len = row.len() as f64;
            let mean = in_f64(row).sum::<f64>() / len;
            let squares = in_f64(row).map(|x| (x - mean).powi(2));
            let deviation = (squares.sum::<f64>() / len + f64::from(1e-3f32)).sqrt();
            in_f64(row).map(move |x| (x - mean) / deviation)
        });
        let normal: Vec<_> = normal.collect();
        for (gammas, betas) in [(1, 1), (6, 6), (24, 24), (24, 6), (6, 24), (6, 1), (1, 24)] {
            let (gamma, beta) = (some(gammas, 1), some(betas, 2));
            let bytes = written_out(axes, axes, &gamma, &beta);
            let scales = in_f64(&gamma).cycle().zip(in_f64(&beta).cycle());
            let expected = normal.iter().zip(scales).map(|(y, (g, b))| y * g + b);
            let found = error_of(&bytes, &x, &expected.collect::<Vec<_>>());
            assert!(found <= BOUND, "{axes:?}, {gammas}, {betas}: {found:e}");
        }
    }
    for (axes, of_squares) in [(&[2][..], &[1, 2][..]), (&[1, 2], &[2]), (&[1, 2], &[1])] {
        let error = refused(&written_out(axes, of_squares, &[1.0], &[0.0]));
        assert!(error.contains("this mean is no layer"), "{error}");
    }
}

/// gamma / deviation · x + (beta − mean · gamma / deviation), as TensorFlow writes it.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_scale_of_other_axes_than_those_of_the_mean_is_refused_before_it_meets_x() {
    let mean = |from, to| with_ints(node("ReduceMean", &[from], to), "axes", &[2]);
    let nodes = vec![
        mean("x", "mean"),
        node("Sub", &["x", "mean"], "centered"),
        node("Mul", &["centered", "centered"], "squared"),
        mean("squared", "variance"),
        node("Add", &["variance", "epsilon"], "shifted"),
        node("Sqrt", &["shifted"], "deviation"),
        node("Reciprocal", &["deviation"], "inverse"),
        node("Mul", &["inverse", "gamma"], "scale"),
        node("Mul", &["x", "scale"], "scaled"),
        node("Mul", &["mean", "scale"], "of_mean"),
        node("Sub", &["scaled", "of_mean"], "y"),
    ];
    let initializers = |shape: &[i64], len| {
        vec![
            floats("epsilon", &[], &[1e-3]),
            floats("gamma", shape, &some(len, 1)),
        ]
    };
    let model = |shape: &[i64], len| model(&[4, 6], nodes.clone(), initializers(shape, len));
    assert_eq!(types(&read(&model(&[6], 6))), ["LayerNormalization"]);
    let error = refused(&model(&[4, 6], 24));
    assert!(error.contains("means and variances of its input are no layer"));
}

/// A convolution whose first weight is its only one gives its padded input, without the last rows and columns. In an
/// image of one channel, channels are first and last.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn zeros_are_put_around_the_axes_that_they_are_for() {
    let x: Vec<f32> = (1..=12).map(|i| i as f32).collect();
    let bytes = |pads: &[i64], others: &[&str]| {
        let nodes = vec![
            node("Reshape", &["x", "image"], "a"),
            node("Pad", &[&["a", "pads"], others].concat(), "b"),
            node("Conv", &["b", "w"], "y"),
        ];
        let initializers = vec![
            ints("image", &[0, 1, 3, 4]),
            ints("pads", pads),
            ints("axes", &[2, 3]),
            floats("w", &[1, 1, 3, 4], &[&[1.0][..], &[0.0; 11]].concat()),
        ];
        model(&[12], nodes, initializers)
    };
    for [top, left, bottom, right] in [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 2, 0],
        [0, 0, 0, 2],
        [1, 0, 2, 3],
    ] {
        let pads = [0, 0, top, left, 0, 0, bottom, right];
        let mut expected = Vec::new();
        for row in -top..1 + bottom {
            for column in -left..1 + right {
                let is_inside = (0..3).contains(&row) && (0..4).contains(&column);
                expected.push(if is_inside {
                    (row * 4 + column + 1) as f64
                } else {
                    0.0
                });
            }
        }
        let bytes = bytes(&pads, &[]);
        assert!(error_of(&bytes, &x, &expected) <= BOUND, "{pads:?}");
    }
    let error = refused(&bytes(&[1, 1, 0, 0], &["", "axes"]));
    assert!(error.contains("its axes are given"), "{error}");
}

fn ints(name: &str, values: &[i64]) -> Message {
    tensor_of(name, &[values.len() as i64], 7).bytes(9, bytemuck::cast_slice(values))
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_would_be_read_wrongly_is_refused() {
    let means = |values| with_ints(node("ReduceMean", &["a"], values), "axes", &[1, 2]);
    let trained = node("BatchNormalization", &["x", "w", "w", "w", "w"], "y").bytes(2, "mean");
    let w = || floats("w", &[3], &[1.0, 2.0, 3.0]);
    let one = |name, shape: &[i64], value| floats(name, shape, &[value]);
    let of_three = |operator: &str| {
        vec![
            node(operator, &["w", "one", "two"], "c"),
            node("Add", &["x", "c"], "y"),
        ]
    };
    let numbers = || vec![w(), one("one", &[], 1.0), one("two", &[], 2.0)];
    let cases = [
        (
            "a mean over images of several in a row",
            model(
                &[8, 4, 3],
                vec![
                    node("Reshape", &["x", "images"], "a"),
                    with_int(means("y"), "keepdims", 0),
                ],
                vec![ints("images", &[-1, 2, 4, 3])],
            ),
            "several samples in a row",
        ),
        (
            "statistics of training",
            model_of(9, &[3], vec![trained.clone()], vec![w()]),
            "as in training",
        ),
        (
            "the largest of three constants",
            model(&[3], of_three("Max"), numbers()),
            "more than two constants",
        ),
        (
            "a constant that is not there",
            model(
                &[3],
                vec![node("Sub", &["", "w"], "c"), node("Add", &["x", "c"], "y")],
                numbers(),
            ),
            "no first input",
        ),
        (
            "more axes",
            model(
                &[3],
                vec![node("Add", &["x", "c"], "y")],
                vec![one("c", &[1, 1, 1], 2.0)],
            ),
            "has more axes than its input",
        ),
        (
            "more axes of a choice",
            model(
                &[3],
                vec![node("Where", &["x", "x", "c"], "y")],
                vec![one("c", &[1, 1, 1], 2.0)],
            ),
            "has more axes than its input",
        ),
        (
            "bounds for features",
            model(&[3], vec![node("Clip", &["x", "w"], "y")], vec![w()]),
            "min has the shape [3], it must be one number",
        ),
        (
            "almost ReLU",
            model(
                &[3],
                vec![node("Max", &["x", "c"], "y")],
                vec![one("c", &[], 1e-6)],
            ),
            "no activation here is this function",
        ),
        (
            "almost ReLU, below",
            model(
                &[3],
                vec![node("Clip", &["x", "c"], "y")],
                vec![one("c", &[], -1e-6)],
            ),
            "no activation here is this function",
        ),
    ];
    for (name, bytes, message) in cases {
        let error = refused(&bytes);
        assert!(error.contains(message), "{name}: {error}");
    }
    // From opset 14 on there is an attribute that says so.
    read(&model_of(14, &[3], vec![trained], vec![w()]));
    for (axes, expected) in [(&[1, 1][..], 2.0), (&[], 2.0)] {
        let bytes = model(
            &[3],
            vec![node("Add", &["x", "c"], "y")],
            vec![one("c", axes, 2.0)],
        );
        assert_eq!(error_of(&bytes, &[0.0; 3], &[expected; 3]), 0.0);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_mean_over_an_images_height_and_width_is_that_however_its_axes_are_counted() {
    let x: Vec<f32> = (1..=24).map(|i| i as f32).collect();
    for axes in [[2, 3], [3, 2], [-1, -2], [-2, 3]] {
        let mean = with_ints(node("ReduceMean", &["x"], "y"), "axes", &axes);
        let bytes = model(&[2, 3, 4], vec![with_int(mean, "keepdims", 0)], vec![]);
        let model = read(&bytes);
        assert_eq!(model.input_shape(), [3, 4, 2], "{axes:?}");
        // Channels are last: of the odd numbers, and of the even ones.
        assert!(error_of(&bytes, &x, &[12.0, 13.0]) <= BOUND);
    }
}

/// Neither an array of no values but many rows, nor extents whose product is too large, nor many axes.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn shapes_without_values_take_no_time() {
    let bytes = |shape: &[i64], operator: &str, others: &[&str]| {
        let nodes = vec![
            node(operator, &[&["w"], others].concat(), "c"),
            node("Add", &["x", "c"], "y"),
        ];
        let initializers = vec![
            floats("w", shape, &[]),
            ints("zero", &[0]),
            ints("far", &[i64::MAX]),
            ints("large", &[0, 1 << 40, 1 << 40]),
        ];
        model(&[3], nodes, initializers)
    };
    let slice = |shape: &[i64]| bytes(shape, "Slice", &["zero", "far"]);
    let too_large = &[0, 1 << 40, 1 << 40];
    let cases = [
        (slice(&[1 << 62, 0]), "constants"),
        (slice(too_large), "\"w\" has a shape of"),
        (bytes(too_large, "Transpose", &[]), "\"w\" has a shape of"),
        (bytes(&[0, 1 << 40], "Reshape", &["large"]), "can't become"),
        (bytes(&[0; 9], "Transpose", &[]), "more than 8 axes"),
    ];
    for (bytes, message) in cases {
        let error = refused(&bytes);
        assert!(error.contains(message), "{error}");
    }
}

/// Reading a constant again and again takes as much time as as many bytes.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_large_message_of_one_value_is_not_read_by_many_nodes() {
    let large = || floats("c", &[], &[1.0]).bytes(12, vec![b' '; 1 << 20]);
    let bytes = |count: usize| {
        let name = |i: usize| match i {
            0 => "x".to_owned(),
            i if i == count => "y".to_owned(),
            i => format!("v{i}"),
        };
        let add = |i| node("Add", &[&name(i), "c"], &name(i + 1));
        model(&[4], (0..count).map(add).collect(), vec![large()])
    };
    read(&bytes(10));
    assert!(refused(&bytes(100)).contains("more weights than the file has values"));
}

#[cfg(unix)]
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn data_of_a_pipe_is_refused_and_a_path_may_begin_with_a_dot() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = std::process::Command::new("mkfifo")
        .arg(folder.path().join("pipe"))
        .status();
    assert!(pipe.unwrap().success());
    let values = [1.0f32, 2.0, 3.0, 4.0];
    std::fs::write(folder.path().join("weights"), bytemuck::bytes_of(&values)).unwrap();
    let load = |location: &str| {
        let path = folder.path().join("model.onnx");
        let entry = Message::default().bytes(1, "location").bytes(2, location);
        let tensor = tensor_of("w", &[4, 1], 1).bytes(13, entry).number(14, 1);
        let gemm = node("Gemm", &["x", "w"], "y");
        std::fs::write(&path, model(&[4], vec![gemm], vec![tensor])).unwrap();
        onnx::load(&path, gpu())
    };
    assert_eq!(weight(&load("./weights").unwrap(), "dense/kernel"), values);
    let error = load("pipe").unwrap_err().to_string();
    assert!(error.contains("external data \"pipe\""), "{error}");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_cannot_be_read_is_said_in_words_that_fit() {
    let forest = node("TreeEnsembleClassifier", &["x"], "label")
        .bytes(7, "ai.onnx.ml")
        .bytes(2, "y");
    assert_eq!(
        refused(&model(&[4], vec![forest], vec![])),
        "a network here has one output of floats, the first of its node; of those the file has 0. \
         Its outputs are \"y\" of node 0 (ai.onnx.ml.TreeEnsembleClassifier)"
    );
    let conv = ["strides", "dilations", "kernel_shape"];
    let conv = conv
        .into_iter()
        .fold(node("Conv", &["x", "w"], "y"), |conv, name| {
            with_ints(conv, name, &[1])
        });
    let conv = with_ints(conv, "pads", &[0, 0]);
    let w = floats("w", &[1, 3, 1], &[0.0; 3]);
    assert_eq!(
        refused(&model(&[3, 4], vec![conv], vec![w])),
        "node 0 (Conv): only images are possible here, of two dimensions"
    );
    let nodes = vec![
        with_int(node("Softmax", &["x"], "a"), "axis", -1),
        node("GlobalMaxPool", &["a"], "y"),
    ];
    let error = refused(&model(&[3, 4, 5], nodes, vec![]));
    assert!(
        error.contains("where the layer before has them last"),
        "{error}"
    );
    let nodes = vec![
        node("Reshape", &["x", "image"], "a"),
        node("GlobalMaxPool", &["a"], "y"),
    ];
    let image = vec![ints("image", &[0, 3, 4, 5])];
    let error = refused(&model(&[60], nodes, image));
    assert!(
        error.contains("where the network's input has them last"),
        "{error}"
    );
}
