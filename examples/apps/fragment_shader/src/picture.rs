//! The picture, and the network that learns it.

use selfnorm::nn::Activation::{Selu, Sigmoid};
use selfnorm::nn::{Adam, Dense, FourierFeatures, Initializer::LecunNormal, Loss, Sequential};
use selfnorm::{Gpu, Pass, Result, Tensor, random};

const SIDE: usize = 64;
const BATCH: usize = 1024;
const WAVES: usize = 16;
/// Of the waves' frequencies, per width of the picture.
const DEVIATION: f32 = 2.0;
const SEED: u64 = 42;

/// A network from a place in the picture, encoded, to a color, and the batches that it learns.
pub struct Picture {
    pub model: Sequential,
    pub encoding: FourierFeatures,
    batches: Vec<(Tensor, Tensor)>,
}

impl Picture {
    pub fn new(gpu: &Gpu) -> Result<Self> {
        let encoding = FourierFeatures::new(normal(2 * WAVES), 2);
        let hidden = || {
            Dense::new(32)
                .kernel_initializer(LecunNormal)
                .activation(Selu)
        };
        let mut model = Sequential::new([2 * WAVES])
            .add(hidden())
            .add(hidden())
            .add(Dense::new(3).activation(Sigmoid))
            .build(gpu, SEED)?;
        model.compile(Adam::new(0.01), Loss::MeanSquaredError)?;

        // Pixels far from each other make a batch: every n-th.
        let step = SIDE * SIDE / BATCH;
        let batch = |first: usize| {
            let pixels = (first..SIDE * SIDE).step_by(step);
            let places: Vec<_> = pixels.flat_map(|i| [i % SIDE, i / SIDE]).collect();
            let places = places.iter().map(|&at| (at as f32 + 0.5) / SIDE as f32);
            let places: Vec<f32> = places.collect();
            let colors: Vec<f32> = places
                .chunks(2)
                .flat_map(|at| color(at[0], at[1]))
                .collect();
            let x = gpu.tensor(&encoding.encode(&places)?, [BATCH, 2 * WAVES])?;
            Ok((x, gpu.tensor(&colors, [BATCH, 3])?))
        };
        let batches = (0..step).map(batch).collect::<Result<_>>()?;
        Ok(Self {
            model,
            encoding,
            batches,
        })
    }

    /// Records a training step, after which the function's weights are packed.
    pub fn learn(&mut self, pass: &mut Pass, weights: &Tensor) -> Result<()> {
        let step = self.model.step() as usize;
        let (x, y) = &self.batches[step % self.batches.len()];
        pass.train_on_batch(&mut self.model, x, y)?;
        pass.pack(&self.model, weights)
    }
}

/// Normal, of [`DEVIATION`].
fn normal(len: usize) -> Vec<f32> {
    let words = random::words(SEED, 0, 0..len as u64);
    let units = words.map(|word| random::truncated_normal(word) as f32 * 2f32.powi(-22));
    units.map(|z| DEVIATION * z).collect()
}

/// Red and yellow rings on a blue sky that darkens.
fn color(x: f32, y: f32) -> [f32; 3] {
    let distance = (x - 0.5).hypot(y - 0.5);
    match (distance * 10.0) as u32 {
        1 | 3 => [0.9, 0.2, 0.15],
        0 | 2 => [0.95, 0.85, 0.3],
        _ => [0.1, 0.3 + 0.3 * (1.0 - y), 0.5 + 0.4 * (1.0 - y)],
    }
}
