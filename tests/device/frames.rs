//! Networks in an application's frame: what they compute there, and what they ask of the device, counted.

use crate::common;
use crate::common::calls::{Calls, Counted};
use selfnorm::nn::{Activation, Activation::Selu, Conv2d, Dense, MaxPool2d, Predict, Sequential};
use selfnorm::{Error, Gpu, Tensor, wgpu};

/// The network of a live image fit: 32 features of a position become a colour.
fn image(gpu: &Gpu) -> Sequential {
    let mut layers = Sequential::new([32]);
    for _ in 0..4 {
        layers = layers.add(Dense::new(64).activation(Selu));
    }
    layers.add(Dense::new(3)).build(gpu, 42).unwrap()
}

/// Values for `rows` samples of `shape`, in an application's own buffer.
fn samples(gpu: &Gpu, rows: usize, shape: &[usize]) -> Tensor {
    let values = common::activations(rows * shape.iter().product::<usize>());
    wrapped(gpu, &values, &[&[rows], shape].concat())
}

fn wrapped(gpu: &Gpu, values: &[f32], shape: &[usize]) -> Tensor {
    use wgpu::BufferUsages as Usage;
    let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
    let bytes = bytemuck::cast_slice(values);
    let buffer = common::foreign_buffer(gpu, bytes.len() as u64, usage);
    gpu.queue().write_buffer(&buffer, 0, bytes);
    gpu.wrap(buffer.slice(..), shape).unwrap()
}

fn empty(gpu: &Gpu, shape: &[usize]) -> Tensor {
    wrapped(gpu, &vec![f32::NAN; shape.iter().product()], shape)
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let values = tensor.to_vec().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

/// Counts of a frame that are to be 0.
fn assert_quiet(calls: &Calls, what: &str) {
    let expected = Calls {
        passes: calls.passes,
        dispatches: calls.dispatches,
        // A pass looks once whether the encoder can be recorded into.
        error_scopes: 3,
        ..Calls::default()
    };
    assert_eq!(*calls, expected, "{what}");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn predictions_in_a_frame_ask_for_nothing_from_the_second_on() {
    for gpu in [Counted::new(), Counted::smallest()] {
        let model = image(&gpu);
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        for rows in [1, 1024, 65_536, 1000] {
            let x = samples(&gpu, rows, &[32]);
            let y = empty(&gpu, &[rows, 3]);
            for time in 0..3 {
                let predict = || gpu.pass(&mut encoder).predict(&model, &x, &y);
                let (calls, result) = gpu.calls(predict);
                result.unwrap();
                println!("{rows} rows, {time}: {calls:?}");
                if time > 0 {
                    assert_quiet(&calls, &format!("{rows} rows"));
                    assert_eq!(calls.passes, 1, "{rows} rows");
                }
            }
        }
    }
}
