//! What a network costs an application's frame: `cargo bench --bench frames`.
//!
//! The network of a live image fit, 32 features → 4 × 64 SELU → 3, in each frame: four training steps
//! on batches of 1,024 and a prediction of 256 × 256 pixels. Once recorded into the frame's encoder, and
//! once by the calls that submit and wait; in turns. Before, it is checked that both train alike.

use std::time::{Duration, Instant};

use selfnorm::nn::{Activation::Selu, Adam, Dense, Initializer::LecunNormal, Loss, Sequential};
use selfnorm::{Gpu, Result, Tensor, wgpu};

const PIXELS: usize = 256 * 256;
const BATCH: usize = 1024;
const STEPS: usize = 4;
const FRAMES: usize = 15;

struct World {
    gpu: Gpu,
    batch: [Tensor; 2],
    x: Tensor,
    y: Tensor,
}

fn model(gpu: &Gpu) -> Result<Sequential> {
    let hidden = || {
        Dense::new(64)
            .kernel_initializer(LecunNormal)
            .activation(Selu)
    };
    let mut layers = Sequential::new([32]);
    for _ in 0..4 {
        layers = layers.add(hidden());
    }
    let mut model = layers.add(Dense::new(3)).build(gpu, 42)?;
    model.compile(Adam::new(0.001), Loss::MeanSquaredError)?;
    Ok(model)
}

fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i as f32 * 0.7).sin()).collect()
}

impl World {
    fn new() -> Result<Self> {
        let gpu = Gpu::new()?;
        let tensor = |rows, columns| gpu.tensor(&values(rows * columns), [rows, columns]);
        Ok(Self {
            batch: [tensor(BATCH, 32)?, tensor(BATCH, 3)?],
            x: tensor(PIXELS, 32)?,
            y: gpu.zeros([PIXELS, 3])?,
            gpu,
        })
    }

    fn wait(&self) {
        let wait = wgpu::PollType::wait_indefinitely();
        self.gpu.device().poll(wait).expect("the device is there");
    }

    /// The time in the crate's calls, and the frame's.
    fn recorded(&self, model: &mut Sequential) -> Result<[Duration; 2]> {
        let began = Instant::now();
        let mut encoder = self
            .gpu
            .device()
            .create_command_encoder(&Default::default());
        let calls = Instant::now();
        let mut pass = self.gpu.pass(&mut encoder);
        for _ in 0..STEPS {
            pass.train_on_batch(model, &self.batch[0], &self.batch[1])?;
        }
        pass.predict(model, &self.x, &self.y)?;
        drop(pass);
        let mut calls = calls.elapsed();
        self.gpu.queue().submit([encoder.finish()]);
        self.wait();
        let score = Instant::now();
        model.try_score()?;
        calls += score.elapsed();
        Ok([calls, began.elapsed()])
    }

    fn called(&self, model: &mut Sequential) -> Result<[Duration; 2]> {
        let began = Instant::now();
        for _ in 0..STEPS {
            model.train_on_batch(&self.batch[0], &self.batch[1])?;
        }
        let y = model.predict(&self.x)?;
        let calls = began.elapsed();
        self.wait();
        drop(y);
        Ok([calls, began.elapsed()])
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn main() -> Result<()> {
    let world = World::new()?;
    let (mut recorded, mut called) = (model(&world.gpu)?, model(&world.gpu)?);
    for _ in 0..2 {
        world.recorded(&mut recorded)?;
        world.called(&mut called)?;
    }
    let weights = |model: &Sequential| -> Result<Vec<_>> {
        let weights = model.weights()?;
        weights.iter().map(|(_, weight)| weight.to_vec()).collect()
    };
    assert_eq!(weights(&recorded)?, weights(&called)?);

    let mut times = [const { Vec::new() }; 4];
    for _ in 0..FRAMES {
        let [calls, frame] = world.recorded(&mut recorded)?;
        times[0].push(calls);
        times[1].push(frame);
        let [calls, frame] = world.called(&mut called)?;
        times[2].push(calls);
        times[3].push(frame);
    }
    let [recorded, recorded_frame, called, called_frame] = times.map(median);
    let info = world.gpu.adapter_info();
    println!("{}, {} {}", info.name, info.driver, info.driver_info);
    println!("{STEPS} steps of {BATCH}, prediction of {PIXELS}; medians of {FRAMES} frames");
    println!("in the encoder: {recorded:8.3} ms in calls, {recorded_frame:7.1} ms a frame");
    println!("by calls:       {called:8.3} ms in calls, {called_frame:7.1} ms a frame");
    Ok(())
}
