//! What dense layers and convolutions are asked as operations: their values and gradients against f64 and
//! central differences, and Keras's; wrong calls; what a frame costs.
//!
//! The bound is that of layers, see `reference::BOUND`.

use crate::common::reference::{Case, Spec, assert_close};
use crate::common::{Golden, gpu_async, new_gpu_async, record};
use selfnorm::nn::{Activation, Padding, Tiling};
use selfnorm::{Conv2dOptions, Error, Gpu, Gradients, Pass, Result, Tensor};
use wasm_bindgen_test::wasm_bindgen_test;

/// One of the two.
#[derive(Clone, Copy)]
pub enum Layer {
    Dense,
    Conv2d(Conv2dOptions),
}

impl Layer {
    pub fn of(spec: &Spec) -> Self {
        match *spec {
            Spec::Dense { .. } => Self::Dense,
            Spec::Conv2d {
                strides, padding, ..
            } => Self::Conv2d(Conv2dOptions::new().strides(strides).padding(padding)),
            ref other => panic!("{other:?}"),
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::Conv2d(_) => "conv2d",
        }
    }

    pub fn record(
        &self,
        pass: &mut Pass,
        [x, w]: [&Tensor; 2],
        b: Option<&Tensor>,
        activation: Activation,
        y: &Tensor,
    ) -> Result<()> {
        match self {
            Self::Dense => pass.dense(x, w, b, activation, y),
            Self::Conv2d(options) => pass.conv2d(x, w, b, options, activation, y),
        }
    }

    pub fn record_backward(
        &self,
        pass: &mut Pass,
        [x, w, dz]: [&Tensor; 3],
        to: Gradients,
    ) -> Result<()> {
        match self {
            Self::Dense => pass.dense_backward(x, w, dz, to),
            Self::Conv2d(options) => pass.conv2d_backward(x, w, dz, options, to),
        }
    }

    pub fn call(
        &self,
        [x, w]: [&Tensor; 2],
        b: Option<&Tensor>,
        activation: Activation,
    ) -> Result<Tensor> {
        match self {
            Self::Dense => x.dense(w, b, activation),
            Self::Conv2d(options) => x.conv2d(w, b, options, activation),
        }
    }

    pub fn call_backward(&self, [x, w, dz]: [&Tensor; 3]) -> Result<[Tensor; 3]> {
        match self {
            Self::Dense => x.dense_backward(w, dz),
            Self::Conv2d(options) => x.conv2d_backward(w, dz, options),
        }
    }
}

fn activation(spec: &Spec) -> Activation {
    match *spec {
        Spec::Dense { activation, .. } | Spec::Conv2d { activation, .. } => activation,
        ref other => panic!("{other:?}"),
    }
}

/// The gradient of the sums z.
fn through(activation: Activation, z: &Tensor, dy: Tensor) -> Tensor {
    match activation {
        Activation::Linear => dy,
        Activation::Selu => z.selu_backward(&dy).unwrap(),
        Activation::Elu(alpha) => z.elu_backward(alpha, &dy).unwrap(),
        Activation::Relu => z.relu_backward(&dy).unwrap(),
        Activation::LeakyRelu(slope) => z.leaky_relu_backward(slope, &dy).unwrap(),
        Activation::Sigmoid => z.sigmoid_backward(&dy).unwrap(),
        Activation::Tanh => z.tanh_backward(&dy).unwrap(),
        Activation::Silu => z.silu_backward(&dy).unwrap(),
        Activation::Gelu { approximate } => z.gelu_backward(approximate, &dy).unwrap(),
        Activation::Softplus => z.softplus_backward(&dy).unwrap(),
        Activation::Sine(frequency) => z.sine_backward(frequency, &dy).unwrap(),
        Activation::Softmax => z.softmax().unwrap().softmax_backward(&dy).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Forward and backward of one layer, in new tensors and recorded by an application.
pub async fn check(input: Vec<usize>, spec: Spec, batch: usize, seed: u64) {
    let gpu = gpu_async().await;
    let case = Case {
        input: input.clone(),
        layers: vec![spec.clone()],
        batch,
        tiling: Tiling::of(gpu),
        seed,
    };
    let (layer, activation) = (Layer::of(&spec), activation(&spec));
    let x = gpu.tensor(&case.x(), [&[batch], &input[..]].concat());
    let x = x.unwrap();
    let shapes = case.weight_shapes();
    let weights = shapes.iter().zip(case.weights());
    let weights: Vec<_> = weights
        .map(|(shape, values)| gpu.tensor(&values, shape).unwrap())
        .collect();
    let (w, b) = (&weights[0], weights.get(1));
    let real = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
    let f64_weights: Vec<_> = case.weights().into_iter().map(real).collect();
    let (expected, sides) = case.forward(&f64_weights, &real(case.x()), None);
    let output = [&[batch], &case.output()[..]].concat();

    let y = layer.call([&x, w], b, activation).unwrap();
    assert_eq!(y.shape(), output);
    assert_close("y", &y.read().await.unwrap(), &expected);
    let recorded = gpu.tensor(&vec![7.0; y.len()], &output).unwrap();
    record(gpu, |pass| {
        layer.record(pass, [&x, w], b, activation, &recorded)
    });
    assert_eq!(
        recorded.read().await.unwrap(),
        y.read().await.unwrap(),
        "recorded"
    );

    let z = layer.call([&x, w], b, Activation::Linear).unwrap();
    let dy = gpu.tensor(&case.dy(), &output).unwrap();
    let dz = through(activation, &z, dy);
    let [dx, dw, db] = layer.call_backward([&x, w, &dz]).unwrap();
    let mut gradients = Vec::new();
    for (which, (name, gradient)) in [("w", &dw), ("b", &db)][..weights.len()].iter().enumerate() {
        assert_eq!(gradient.shape(), shapes[which]);
        let values = real(gradient.read().await.unwrap());
        gradients.push((name.to_string(), which, values));
    }
    case.check_gradients(None, sides, &real(dx.read().await.unwrap()), gradients);

    let again = [&dx, &dw, &db].map(|gradient| {
        let sevens = vec![7.0; gradient.len()];
        gpu.tensor(&sevens, gradient.shape()).unwrap()
    });
    let [a, b, c] = &again;
    let to = Gradients {
        dx: Some(a),
        dw: Some(b),
        db: Some(c),
    };
    record(gpu, |pass| layer.record_backward(pass, [&x, w, &dz], to));
    for (again, gradient) in again.iter().zip([&dx, &dw, &db]) {
        assert_eq!(again.read().await.unwrap(), gradient.read().await.unwrap());
    }
}

/// Values of Keras 3 in float64.
pub async fn check_golden(golden: &Golden, layer: Layer, activation: Activation) {
    let gpu = gpu_async().await;
    let tensor = |name: &str| gpu.tensor(&golden.f32(name), golden.shape(name)).unwrap();
    let [x, w, b, dy] = ["x", "kernel", "bias", "dy"].map(tensor);
    let y = layer.call([&x, &w], Some(&b), activation).unwrap();
    let z = layer.call([&x, &w], Some(&b), Activation::Linear).unwrap();
    let dz = through(activation, &z, dy);
    let gradients = layer.call_backward([&x, &w, &dz]).unwrap();
    let found = std::iter::once(&y).chain(&gradients);
    for (found, name) in found.zip(["y", "dx", "dkernel", "dbias"]) {
        assert_eq!(found.shape(), golden.shape(name), "{name}");
        assert_close(name, &found.read().await.unwrap(), &golden.f64(name));
    }
}

/// The arguments of a layer and of its backward.
struct Arguments {
    x: Tensor,
    w: Tensor,
    b: Tensor,
    y: Tensor,
    dx: Tensor,
    dw: Tensor,
    db: Tensor,
}

fn arguments(gpu: &Gpu, layer: Layer, batch: usize) -> Arguments {
    let (x, w, y) = match layer {
        Layer::Dense => (vec![batch, 3, 5], vec![5, 2], vec![batch, 3, 2]),
        Layer::Conv2d(_) => (vec![batch, 4, 5, 3], vec![2, 3, 3, 2], vec![batch, 3, 3, 2]),
    };
    let zeros = |shape: &[usize]| gpu.zeros(shape).unwrap();
    Arguments {
        x: zeros(&x),
        w: zeros(&w),
        b: zeros(&[2]),
        y: zeros(&y),
        dx: zeros(&x),
        dw: zeros(&w),
        db: zeros(&[2]),
    }
}

fn both() -> [Layer; 2] {
    [Layer::Dense, Layer::Conv2d(Conv2dOptions::new())]
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_wrong_call_names_the_argument_and_records_nothing() {
    let gpu = gpu_async().await;
    let other = new_gpu_async().await;
    for layer in both() {
        let a = arguments(gpu, layer, 2);
        let stranger = arguments(&other, layer, 2);
        let wrong = gpu.zeros([2, 2]).unwrap();
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let mut pass = gpu.pass(&mut encoder);
        let mut forward = |x: &Tensor, w: &Tensor, b: &Tensor, y: &Tensor| {
            layer.record(&mut pass, [x, w], Some(b), Activation::Selu, y)
        };
        let shape = |result: Result<()>, name: &str| match result.unwrap_err() {
            Error::Shape { op, operand, .. } => {
                assert_eq!(
                    (op.trim_end_matches("_backward"), operand),
                    (layer.name(), name)
                );
            }
            error => panic!("{error}"),
        };
        let (x, w, b, y) = (&a.x, &a.w, &a.b, &a.y);
        shape(forward(&wrong, w, b, y), "x");
        shape(forward(x, &gpu.zeros([3]).unwrap(), b, y), "w");
        shape(forward(x, w, &wrong, y), "b");
        shape(forward(x, w, b, &wrong), "y");
        let empty = gpu.zeros([&a.w.shape()[1..], &[0]].concat()).unwrap();
        shape(forward(x, &empty, b, y), "w");
        let of_another = |result: Result<()>| {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::OtherGpu { .. }), "{error}");
        };
        of_another(forward(x, &stranger.w, b, y));
        of_another(forward(x, w, b, &stranger.y));
        let aliased = |result: Result<()>| {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::Aliased { .. }), "{error}");
        };
        let to = Gradients {
            dx: Some(&a.dx),
            dw: Some(&a.dw),
            db: Some(&a.db),
        };
        let mut backward =
            |dz: &Tensor, to: Gradients| layer.record_backward(&mut pass, [x, w, dz], to);
        shape(backward(&wrong, to), "dz");
        let wrong_place = Gradients {
            db: Some(&wrong),
            ..to
        };
        shape(backward(y, wrong_place), "db");
        aliased(backward(y, Gradients { dx: Some(x), ..to }));
        aliased(backward(y, Gradients { dw: Some(w), ..to }));
        backward(y, to).unwrap();
        backward(y, Gradients::default()).unwrap();
    }
    // Of no elements, but with extents whose products are beyond counting.
    let many = 1 << (usize::BITS - 24);
    let endless = [many, many, usize::MAX, 0];
    let x = gpu.zeros(endless).unwrap();
    let (dense, conv2d) = (gpu.zeros([5, 2]).unwrap(), gpu.zeros([2, 3, 5, 2]).unwrap());
    let same = Conv2dOptions::new().padding(Padding::Same);
    for result in [
        x.dense(&dense, None, Activation::Selu),
        x.conv2d(&conv2d, None, &same, Activation::Selu),
    ] {
        assert!(result.is_err());
    }
    let strides = Conv2dOptions::new().strides([1, 0]);
    let a = arguments(gpu, Layer::Conv2d(strides), 2);
    let error = a.x.conv2d(&a.w, None, &strides, Activation::Linear);
    assert_eq!(
        error.unwrap_err().to_string(),
        "conv2d: a stride is 0.0, must be from 1 to 65536"
    );
    let padding = Padding::Explicit {
        before: [0, 3],
        after: [0, 0],
    };
    let padded = Conv2dOptions::new().padding(padding);
    let error = a.x.conv2d(&conv2d, None, &padded, Activation::Linear);
    assert_eq!(
        error.unwrap_err().to_string(),
        "conv2d: padding is 3.0, must be less than the window"
    );
}

/// What is kept for tensors is not what another operation on them wants.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_same_tensors_with_other_options_are_another_operation() {
    let gpu = gpu_async().await;
    let x = gpu.tensor(&[1.0, -2.0, 3.0, -4.0], [1, 2, 2, 1]).unwrap();
    let w = gpu.tensor(&[1.0], [1, 1, 1, 1]).unwrap();
    let y = gpu.zeros([1, 2, 2, 1]).unwrap();
    let options = Conv2dOptions::new();
    for (activation, expected) in [
        (Activation::Linear, [1.0, -2.0, 3.0, -4.0]),
        (Activation::Relu, [1.0, 0.0, 3.0, 0.0]),
        (Activation::LeakyRelu(0.5), [1.0, -1.0, 3.0, -2.0]),
        (Activation::LeakyRelu(0.25), [1.0, -0.5, 3.0, -1.0]),
        (Activation::Softmax, [1.0; 4]),
        (Activation::Linear, [1.0, -2.0, 3.0, -4.0]),
    ] {
        record(gpu, |pass| {
            pass.conv2d(&x, &w, None, &options, activation, &y)
        });
        assert_eq!(y.read().await.unwrap(), expected, "{activation:?}");
    }
    // Two positions in five columns, with strides of 3 and of 2.
    let x = gpu.tensor(&[1.0, 2.0, 4.0, 8.0, 16.0], [1, 1, 5, 1]);
    let (x, w) = (x.unwrap(), gpu.tensor(&[1.0; 2], [1, 2, 1, 1]).unwrap());
    let y = gpu.zeros([1, 1, 2, 1]).unwrap();
    for (stride, expected) in [(3, [3.0, 24.0]), (2, [3.0, 12.0])] {
        let options = options.strides([1, stride]);
        let linear = Activation::Linear;
        record(gpu, |pass| pass.conv2d(&x, &w, None, &options, linear, &y));
        assert_eq!(y.read().await.unwrap(), expected, "{options:?}");
    }
}

/// Of no rows there is no output, and a sum over none of them is 0.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn without_rows_there_is_no_output_and_gradients_are_0() {
    let gpu = gpu_async().await;
    for layer in both() {
        let a = arguments(gpu, layer, 0);
        let y = layer.call([&a.x, &a.w], Some(&a.b), Activation::Selu);
        let y = y.unwrap();
        assert_eq!(y.shape(), a.y.shape());
        let [dx, dw, db] = layer.call_backward([&a.x, &a.w, &y]).unwrap();
        assert!(dx.is_empty());
        assert_eq!(dw.read().await.unwrap(), vec![0.0; a.w.len()]);
        assert_eq!(db.read().await.unwrap(), [0.0; 2]);
    }
}

/// Whatever a frame needs is there from the first one on, the memory for sums in chunks too: the
/// encoder's recording is all that is new.
#[cfg(not(target_family = "wasm"))]
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_second_frame_allocates_nothing_and_tensors_take_along_what_was_kept_for_them() {
    use crate::common::allocated;
    let gpu = &crate::common::new_gpu();
    let frame = |x: &Tensor, w: &Tensor, y: &Tensor, dx: &Tensor, dw: &Tensor| {
        record(gpu, |pass| {
            pass.dense(x, w, None, Activation::Softmax, y)?;
            let to = Gradients {
                dx: Some(dx),
                dw: Some(dw),
                db: None,
            };
            pass.dense_backward(x, w, y, to)
        });
    };
    let tensors = || {
        let shapes = [[2, 3000], [3000, 3], [2, 3], [2, 3000], [3000, 3]];
        shapes.map(|shape| gpu.zeros(shape).unwrap())
    };
    let run = || {
        let [x, w, y, dx, dw] = tensors();
        frame(&x, &w, &y, &dx, &dw);
        let after_the_first = allocated(gpu);
        for _ in 0..3 {
            frame(&x, &w, &y, &dx, &dw);
        }
        assert_eq!(allocated(gpu), after_the_first);
    };
    run();
    let before = allocated(gpu);
    for _ in 0..3 {
        run();
    }
    assert_eq!(allocated(gpu), before);
}
