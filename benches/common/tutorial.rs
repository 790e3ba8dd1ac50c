//! The network of Keras's SELU tutorial for MNIST.

use selfnorm::nn::{
    Activation::{Selu, Softmax},
    AlphaDropout, Conv2d, Dataset, Dense, Flatten,
    Initializer::LecunNormal,
    Sequential,
};
use selfnorm::{Gpu, Result};

pub const FILTERS: usize = 32;
pub const UNITS: usize = 256;
pub const CLASSES: usize = 10;
pub const PIXELS: usize = 28 * 28;

/// This many samples like MNIST's: pixels and labels.
pub fn samples(count: usize) -> (Vec<u8>, Vec<u32>) {
    let words: Vec<u32> = selfnorm::random::words(1, 0, 0..(count * PIXELS) as u64).collect();
    let pixels = words.iter().map(|word| (word >> 24) as u8).collect();
    let labels = words[..count].iter().map(|word| word % CLASSES as u32);
    (pixels, labels.collect())
}

/// The network, and this many samples like MNIST's.
pub fn tutorial(gpu: &Gpu, count: usize) -> Result<(Sequential, Dataset)> {
    let model = Sequential::new([28, 28, 1])
        .add(
            Conv2d::new(FILTERS, [3, 3])
                .kernel_initializer(LecunNormal)
                .activation(Selu),
        )
        .add(AlphaDropout::new(0.25))
        .add(Flatten::new())
        .add(
            Dense::new(UNITS)
                .kernel_initializer(LecunNormal)
                .activation(Selu),
        )
        .add(Dense::new(CLASSES).activation(Softmax))
        .build(gpu, 1)?;
    let (pixels, labels) = samples(count);
    let data = Dataset::from_bytes(gpu, &pixels, [28, 28, 1])?.classes(&labels)?;
    Ok((model, data))
}
