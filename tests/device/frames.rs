//! Networks in an application's frame: what they compute there, and what they ask of the device, counted.

use crate::common;
use crate::common::calls::{Calls, Counted};
use selfnorm::nn::{
    Activation, Activation::Selu, Adam, Conv2d, Dense, Loss, MaxPool2d, Predict, Sequential,
};
use selfnorm::{Error, Gpu, Pass, Tensor, wgpu};

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

/// A small network with a dropout.
fn small(gpu: &Gpu) -> Sequential {
    let mut model = Sequential::new([6])
        .add(Dense::new(16).activation(Selu))
        .add(selfnorm::nn::AlphaDropout::new(0.2))
        .add(Dense::new(3))
        .build(gpu, 1)
        .unwrap();
    model
        .compile(Adam::new(0.01).clipnorm(0.1), Loss::MeanSquaredError)
        .unwrap();
    model
}

fn weights(model: &Sequential) -> Vec<u32> {
    let weights = model.weights().unwrap();
    weights
        .iter()
        .flat_map(|(_, tensor)| bits(tensor))
        .collect()
}

fn frame(gpu: &Gpu, record: impl FnOnce(&mut Pass)) {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    record(&mut gpu.pass(&mut encoder));
    gpu.queue().submit([encoder.finish()]);
}

/// The expected weights and scores are those of the blocking call.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn steps_in_a_frame_are_those_of_train_on_batch_bit_for_bit() {
    let gpu = common::gpu();
    for rows in [1, 13, 64] {
        let (mut blocking, mut framed) = (small(gpu), small(gpu));
        let (x, y) = (samples(gpu, rows, &[6]), samples(gpu, rows, &[3]));
        let on_gpu = empty(gpu, &[2]);
        for steps in [1, 3, 2] {
            let mut expected = None;
            for _ in 0..steps {
                expected = Some(blocking.train_on_batch(&x, &y).unwrap());
            }
            frame(gpu, |pass| {
                for _ in 0..steps {
                    pass.train_on_batch(&mut framed, &x, &y).unwrap();
                }
                framed.score_into(pass, &on_gpu).unwrap();
            });
            assert_eq!(weights(&framed), weights(&blocking), "{rows} rows");
            // Reading the weights has waited for the steps.
            assert_eq!(framed.try_score().unwrap(), expected);
            assert_eq!(framed.unfinished_steps(), 0);
            let score = on_gpu.to_vec().unwrap();
            let expected = expected.unwrap();
            assert!((f64::from(score[0]) - expected.loss).abs() < 1e-6 * expected.loss);
            let error = expected.mean_absolute_error.unwrap();
            assert!((f64::from(score[1]) - error).abs() < 1e-6 * error);
        }
        assert_eq!(framed.step(), 6);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn steps_in_a_frame_ask_for_nothing_once_their_staging_buffers_have_come_back() {
    for gpu in [Counted::new(), Counted::smallest()] {
        let mut model = small(&gpu);
        let (x, y) = (samples(&gpu, 64, &[6]), samples(&gpu, 64, &[3]));
        for time in 0..6 {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            let step = || gpu.pass(&mut encoder).train_on_batch(&mut model, &x, &y);
            let (calls, result) = gpu.calls(step);
            result.unwrap();
            println!("{time}: {calls:?}");
            if time > 1 {
                let expected = Calls {
                    passes: calls.passes,
                    dispatches: calls.dispatches,
                    copies: calls.copies,
                    error_scopes: 3,
                    ..Calls::default()
                };
                assert_eq!(calls, expected, "step {time}");
            }
            gpu.queue().submit([encoder.finish()]);
            gpu.device()
                .poll(wgpu::PollType::wait_indefinitely())
                .unwrap();
            assert!(model.try_score().unwrap().is_some());
        }
    }
}
