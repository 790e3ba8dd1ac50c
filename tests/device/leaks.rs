//! A buffer that is reused shows nothing of its last tenant: neither in what is read, nor in the bytes
//! between a tensor's last element and the end of its buffer, which [`Tensor::slice`] gives access to.
//!
//! Each way to make a tensor is tried twice, with all idle buffers full of one secret and then of another: a
//! NaN, which spreads through whatever computes with it, and a number. If both end with the same bytes, no
//! secret is in them, computed with or not.

use crate::common::ops::Op;
use crate::common::{self, activations, allocated, foreign_buffer, gpu, record, whole_buffer};
use half::f16;
use selfnorm::nn::Activation::{Selu, Softmax};
use selfnorm::nn::{
    Adam, Conv2d, Dataset, Dense, Dropout, Fit, Flatten, MaxPool2d, Sequential, SequentialBuilder,
};
use selfnorm::{Element, Gpu, Result, Tensor, wgpu};

const SECRETS: [f32; 2] = [f32::from_bits(0xffc5_ec2e), 8_615_309.0];

/// None, less than a lane, a lane, around a workgroup, and no multiple of anything.
const LENGTHS: [usize; 10] = [0, 1, 2, 3, 4, 5, 7, 255, 257, 1757];

/// Idle buffers of each size, more than any way needs.
const IDLE: usize = 8;

/// Leaves nothing but secrets in idle buffers of this size, and in those of uploads and readbacks.
fn fill_idle<T: Element>(gpu: &Gpu, secret: f32, bytes: u64) {
    let secrets = vec![secret; bytes as usize / 4];
    let values: &[T] = bytemuck::cast_slice(&secrets);
    let full: Vec<_> = (0..IDLE)
        .map(|_| gpu.tensor(values, [values.len()]).unwrap())
        .collect();
    full[0].to_vec().unwrap();
}

/// The size of the buffer of a tensor of `len` elements.
fn buffer_bytes<T: Element>(len: usize) -> u64 {
    (len.next_multiple_of(4).max(4) * size_of::<T>()) as u64
}

/// Everything that an application can see of a tensor.
fn visible<T: Element>(tensor: &Tensor<T>) -> Vec<u8> {
    let seen = [tensor.to_vec().unwrap(), whole_buffer(tensor)].concat();
    bytemuck::cast_slice(&seen).to_vec()
}

/// Finds the ways to make a tensor of `len` elements that show a secret: the tensor looks different with
/// different old content in its buffer.
struct Leaks<'a> {
    gpu: &'a Gpu,
    len: usize,
    found: Vec<String>,
}

impl Leaks<'_> {
    fn look<T: Element>(&mut self, name: &str, way: impl Fn() -> Result<Tensor<T>>) {
        let [one, other] = SECRETS.map(|secret| {
            fill_idle::<T>(self.gpu, secret, buffer_bytes::<T>(self.len));
            let before = allocated(self.gpu);
            let tensor = way().unwrap();
            // Other tensors that an application recorded are freed meanwhile.
            let is_idle_one = allocated(self.gpu) <= before;
            assert!(is_idle_one, "{name} takes an idle buffer");
            visible(&tensor)
        });
        if one != other {
            self.found.push(format!("{name} of {} elements", self.len));
        }
    }
}

const NONE: [String; 0] = [];

/// An application's buffer of activations, of a length that may be no multiple of a lane.
fn wrapped<T: Element>(gpu: &Gpu, values: &[T]) -> Tensor<T> {
    let bytes = (size_of_val(values) as u64).next_multiple_of(4).max(4);
    let usage =
        wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let buffer = foreign_buffer(gpu, bytes, usage);
    let mut padded = bytemuck::cast_slice(values).to_vec();
    padded.resize(bytes as usize, 0u8);
    gpu.queue().write_buffer(&buffer, 0, &padded);
    gpu.wrap(buffer.slice(..), [values.len()]).unwrap()
}

/// The ways that both types have.
fn leaks<T: Element>(values: impl Fn(usize) -> Vec<T>) -> Vec<String> {
    // A device whose idle buffers are all this test's.
    let gpu = &common::new_gpu();
    let mut found = Vec::new();
    for len in LENGTHS {
        let data = values(len);
        let mut leaks = Leaks {
            gpu,
            len,
            found: Vec::new(),
        };
        leaks.look("tensor", || gpu.tensor(&data, [len]));
        leaks.look::<T>("zeros", || gpu.zeros([len]));
        for (op, p) in Op::<T>::cases() {
            let Some(call) = op.call else { continue };
            let call = |x: &_| call(&[x, x][..op.inputs.len()], p);
            let name = op.title(p);
            leaks.look(&name, || call(&gpu.tensor(&data, [len])?));
            let x = wrapped(gpu, &data);
            leaks.look(&format!("{name} of a wrapped tensor"), || call(&x));
        }
        leaks.look("operations in a pass", || {
            let [x, w] = [gpu.tensor(&data, [len])?, gpu.zeros([len])?];
            record(gpu, |pass| {
                for op in Op::initializers() {
                    op.record(pass, false, &[&w], &op.parameters[0])?;
                }
                pass.selu_in_place(&x)?;
                pass.selu_backward(&w, &x, &gpu.zeros([len])?)?;
                pass.selu_backward_in_place(&x, &w)
            });
            Ok(w)
        });
        found.extend(leaks.found);
    }
    found
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn no_way_to_a_tensor_of_f32_shows_what_was_in_its_buffer() {
    assert_eq!(leaks(activations), NONE);
    let gpu = &common::new_gpu();
    let kernel = gpu.tensor(&[1.5], [1, 1]).unwrap();
    // What is made once, and kept.
    let longest = gpu.zeros([1757, 1]).unwrap();
    let [dx, dw, db] = longest.dense_backward(&kernel, &longest).unwrap();
    for gradient in [dx, dw, db] {
        gradient.to_vec().unwrap();
    }
    for len in LENGTHS {
        let found = Vec::new();
        let mut leaks = Leaks { gpu, len, found };
        leaks.look("lecun_normal", || gpu.lecun_normal([len], 3));
        let data = activations(len);
        let x = || gpu.tensor(&data, [len, 1]);
        leaks.look("softmax", || x()?.softmax());
        leaks.look("dense", || x()?.dense(&kernel, None, Selu));
        let zeros = gpu.zeros([len, 1]).unwrap();
        leaks.look("dense_backward", || {
            let [dx, ..] = x()?.dense_backward(&kernel, &zeros)?;
            Ok(dx)
        });
        assert_eq!(leaks.found, NONE);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn no_way_to_a_tensor_of_f16_shows_what_was_in_its_buffer() {
    if !gpu().supports_f16() {
        common::assert_f16_is_an_error(gpu());
        return;
    }
    let values = |len| activations(len).into_iter().map(f16::from_f32).collect();
    assert_eq!(leaks::<f16>(values), NONE);
}

/// Nothing of [`networks`] has more elements: nine images.
const LARGEST: usize = (9 * 5 * 5usize).next_multiple_of(4);

/// Rows of odd lengths, so that neither batches nor weights fill lanes.
fn networks() -> [SequentialBuilder; 2] {
    [
        Sequential::new([3])
            .add(Dense::new(5).activation(Selu))
            .add(selfnorm::nn::AlphaDropout::new(0.2))
            .add(Dense::new(3).activation(Softmax)),
        Sequential::new([5, 5, 1])
            .add(Conv2d::new(3, [3, 3]).activation(Selu))
            .add(MaxPool2d::new([2, 2]))
            .add(Dropout::new(0.1))
            .add(Flatten::new())
            .add(Dense::new(3)),
    ]
}

/// Everything a network shows for 0 to 9 samples: batches are rounded up to multiples of eight.
fn seen_of_a_network(gpu: &Gpu, network: &SequentialBuilder) -> Vec<(String, Vec<u8>)> {
    let mut model = network.build(gpu, 5).unwrap();
    let sample: usize = model.input_shape().iter().product();
    let mut seen = Vec::new();
    let see = |what: String, tensor: &Tensor| (what, visible(tensor));
    for n in [0, 1, 3, 5, 8, 9] {
        let x_shape = [&[n], model.input_shape()].concat();
        let y_shape = [&[n], model.output_shape()].concat();
        let inputs = activations(n * sample);
        let x = gpu.tensor(&inputs, &x_shape).unwrap();
        seen.push(see(format!("predict {n}"), &model.predict(&x).unwrap()));
        if n == 0 {
            continue;
        }
        // Probabilities, which are values like others to a network without a softmax.
        let shift = |i: usize| 0.125 * (i % 3) as f32;
        let targets = (0..n).flat_map(|i| [0.25 + shift(i), 0.5, 0.25 - shift(i)]);
        let targets: Vec<_> = targets.collect();
        let y = gpu.tensor(&targets, &y_shape).unwrap();
        let gradient = model.gradient(&x, &y, true).unwrap();
        seen.push(see(format!("y of gradient {n}"), &gradient.y));
        seen.push(see(format!("dx of gradient {n}"), &gradient.dx));
        for (name, w) in &gradient.weights {
            seen.push(see(format!("gradient {n} of {name}"), w));
        }
        let score = model.train_on_batch(&x, &y).unwrap();
        let data = Dataset::from_floats(gpu, &inputs, model.input_shape()).unwrap();
        let data = data.targets(&targets, [3]).unwrap();
        let fit = Fit::new(Adam::default()).batch_size(3).epochs(2);
        let history = model.fit(&data, &fit).unwrap();
        let losses = [score.loss, model.evaluate(&data).unwrap().loss];
        let losses = losses.iter().chain(&history.losses);
        seen.push((
            format!("losses of {n}"),
            losses.flat_map(|loss| loss.to_le_bytes()).collect(),
        ));
        for (name, w) in model.weights().unwrap() {
            seen.push(see(format!("{name} after {n}"), &w));
        }
    }
    let weights = model.weights().unwrap();
    model.set_weights(&weights).unwrap();
    for (name, w) in model.weights().unwrap() {
        seen.push(see(format!("{name} set"), &w));
    }
    seen
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn no_output_gradient_or_weight_of_a_network_shows_what_was_in_its_buffer() {
    for network in networks() {
        let [one, other] = SECRETS.map(|secret| {
            let gpu = common::new_gpu();
            for len in (4..=LARGEST).step_by(4) {
                fill_idle::<f32>(&gpu, secret, buffer_bytes::<f32>(len));
            }
            seen_of_a_network(&gpu, &network)
        });
        let pairs = one.into_iter().zip(other);
        let different = pairs.filter(|(one, other)| one != other);
        let leaks: Vec<_> = different.map(|((what, _), _)| what).collect();
        assert_eq!(leaks, NONE);
    }
}

/// The bytes behind the elements are not just free of secrets: they are zeros, as documented.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn an_upload_fills_the_rest_of_its_buffer_with_zeros() {
    let gpu = gpu();
    let x = gpu.tensor(&[1.0f32, 2.0, 3.0, 4.0, 5.0], [5]).unwrap();
    assert_eq!(whole_buffer(&x), [1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 0.0, 0.0]);
    let [one, zero] = [f16::ONE, f16::ZERO];
    let x = gpu.tensor(&[one; 5], [5]).unwrap();
    assert_eq!(
        whole_buffer(&x),
        [one, one, one, one, one, zero, zero, zero]
    );
}
