//! What the crate asks of wgpu, counted.

use crate::common;
use crate::common::calls::{Calls, Counted};
use selfnorm::nn::{Activation::Selu, Dense, Sequential};
use selfnorm::{Tensor, wgpu};

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_bare_wgpu_calls_is_counted() {
    let gpu = Counted::new();
    let (calls, ()) = gpu.calls(|| {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let buffer = common::foreign_buffer(&gpu, 16, wgpu::BufferUsages::COPY_DST);
        encoder.clear_buffer(&buffer, 0, None);
        drop(encoder.begin_compute_pass(&Default::default()));
        gpu.queue().write_buffer(&buffer, 0, &[0; 4]);
        gpu.queue().submit([encoder.finish()]);
    });
    let expected = Calls {
        submissions: 1,
        buffers: 1,
        encoders: 1,
        passes: 1,
        copies: 1,
        writes: 1,
        ..Calls::default()
    };
    assert_eq!(calls, expected);
}
/// 6 features, 3 outputs.
fn network(gpu: &Counted) -> Sequential {
    Sequential::new([6])
        .add(Dense::new(16).activation(Selu))
        .add(Dense::new(3))
        .build(gpu, 1)
        .unwrap()
}

fn batch(gpu: &Counted, rows: usize) -> [Tensor; 2] {
    [6, 3].map(|columns| {
        let values = common::activations(rows * columns);
        gpu.tensor(&values, [rows, columns]).unwrap()
    })
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_training_step() {
    let gpu = Counted::new();
    let mut model = network(&gpu);
    let [x, y] = batch(&gpu, 32);
    for _ in 0..3 {
        let (calls, _) = gpu.calls(|| model.train_on_batch(&x, &y).unwrap());
        println!("train_on_batch {calls:?}");
    }
    for rows in [32, 320] {
        let [x, _] = batch(&gpu, rows);
        for _ in 0..3 {
            let (calls, _) = gpu.calls(|| model.predict(&x).unwrap());
            println!("predict {rows} {calls:?}");
        }
    }
    let data = selfnorm::nn::Dataset::from_floats(&gpu, &[0.5; 6 * 320], [6]).unwrap();
    let data = data.targets(&[0.5; 3 * 320], [3]).unwrap();
    for _ in 0..3 {
        let (calls, _) = gpu.calls(|| model.evaluate(&data).unwrap());
        println!("evaluate {calls:?}");
    }
}
