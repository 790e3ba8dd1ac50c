//! A training step of the tutorial's network for MNIST, and what it is made of.
//!
//!     cargo bench --bench training

use std::time::{Duration, Instant};

use selfnorm::Gpu;
use selfnorm::nn::{
    Activation::{Selu, Softmax},
    Adam, AlphaDropout, Conv2d, Dataset, Dense, Fit, Flatten,
    Initializer::LecunNormal,
    Sequential,
};

const BATCH: usize = 250;
const STEPS: usize = 8;
const TURNS: usize = 5;

fn main() -> selfnorm::Result<()> {
    let gpu = Gpu::new()?;
    println!("{}", gpu.adapter_info().name);
    let mut model = Sequential::new([28, 28, 1])
        .add(
            Conv2d::new(32, [3, 3])
                .kernel_initializer(LecunNormal)
                .activation(Selu),
        )
        .add(AlphaDropout::new(0.25))
        .add(Flatten::new())
        .add(
            Dense::new(256)
                .kernel_initializer(LecunNormal)
                .activation(Selu),
        )
        .add(Dense::new(10).activation(Softmax))
        .build(&gpu, 1)?;
    let samples = BATCH * STEPS;
    let words: Vec<u32> = selfnorm::random::words(1, 0, 0..(samples * 784) as u64).collect();
    let pixels: Vec<u8> = words.iter().map(|word| (word >> 24) as u8).collect();
    let labels: Vec<u32> = words[..samples].iter().map(|word| word % 10).collect();
    let data = Dataset::from_bytes(&gpu, &pixels, [28, 28, 1])?.classes(&labels)?;
    let fit = Fit::new(Adam::default()).batch_size(BATCH);
    let first = Instant::now();
    model.fit(&data, &fit)?;
    println!("first epoch {:.2?}", first.elapsed());
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..TURNS {
        let start = Instant::now();
        model.fit(&data, &fit)?;
        times.push(start.elapsed() / STEPS as u32);
    }
    times.sort();
    println!("step {:.1?} (best {:.1?})", times[TURNS / 2], times[0]);
    println!("{:?}", model.memory());
    Ok(())
}
