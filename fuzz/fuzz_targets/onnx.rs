//! `onnx::load`. What it takes is a network that is written and read again, with the same weights and predictions.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use selfnorm::nn::{Sequential, onnx};
use selfnorm::{Error, Gpu};
use selfnorm_fuzz::scratch;

/// Larger samples take a software device too long.
const MAX_LEN: usize = 1 << 10;

static GPU: LazyLock<Gpu> = LazyLock::new(|| Gpu::new().unwrap_or_else(|error| panic!("{error}")));

fuzz_target!(init: { LazyLock::force(&GPU); }, |file: &[u8]| {
    let path = scratch("input.onnx");
    std::fs::write(&path, file).expect("to write the input");
    match onnx::load(&path, &GPU) {
        Ok(model) => {
            let saved = scratch("saved.onnx");
            model.save_onnx(&saved).expect("to be written");
            let again = onnx::load(&saved, &GPU).expect("its own file");
            assert_eq!(bits(&again), bits(&model));
        }
        Err(Error::File { path: found, .. }) => assert_eq!(found, path.display().to_string()),
        // The file's own weights, which it has.
        Err(Error::TooLarge { .. }) => {}
        Err(error) => panic!("{error}"),
    }
});

/// Of all weights, and of a prediction.
fn bits(model: &Sequential) -> Vec<u32> {
    let weights = model.weights().expect("a device that works");
    let mut tensors: Vec<_> = weights.into_iter().map(|(_, weight)| weight).collect();
    let shape = [&[1], model.input_shape()].concat();
    let len = shape.iter().product::<usize>();
    let output: usize = model.output_shape().iter().product();
    if len.max(output) <= MAX_LEN {
        let x: Vec<_> = (0..len).map(|i| (i as f32 * 0.7).sin()).collect();
        let x = model.gpu().tensor(&x, shape).expect("a small tensor");
        tensors.push(model.predict(&x).expect("a prediction"));
    }
    let values = tensors
        .iter()
        .map(|tensor| tensor.to_vec().expect("a device that works"));
    // Of NaNs there are many.
    let bits = |value: f32| {
        if value.is_nan() {
            u32::MAX
        } else {
            value.to_bits()
        }
    };
    values.flatten().map(bits).collect()
}
