//! The networks whose training is timed, and samples for them.
#![allow(dead_code)]

use selfnorm::nn::{
    Activation::{Selu, Softmax},
    AlphaDropout, Conv2d, Dataset, Dense, Flatten,
    Initializer::LecunNormal,
    Regularizer, Sequential, SequentialBuilder,
};
use selfnorm::{Gpu, Result};

pub const FILTERS: usize = 32;
pub const TAPS: usize = 9;
pub const CLASSES: usize = 10;

/// A convolution, AlphaDropout and two dense layers, all SELU with Lecun-normal weights, for square images.
#[derive(Clone, Copy)]
pub struct Network {
    pub side: usize,
    pub units: usize,
    pub rate: f64,
    /// The samples of a step.
    pub batch: usize,
}

/// That of `examples/mnist.rs` for the digits.
pub const DIGITS: Network = Network {
    side: 8,
    units: 128,
    rate: 0.1,
    batch: 64,
};

/// That of Keras's SELU tutorial for MNIST.
pub const TUTORIAL: Network = Network {
    side: 28,
    units: 256,
    rate: 0.25,
    batch: 250,
};

impl Network {
    pub const fn pixels(&self) -> usize {
        self.side * self.side
    }

    /// The inputs of the first dense layer.
    pub const fn features(&self) -> usize {
        (self.side - 2) * (self.side - 2) * FILTERS
    }

    pub fn build(&self, gpu: &Gpu) -> Result<Sequential> {
        self.builder(Regularizer::L2(0.0)).build(gpu, 1)
    }

    /// With the same penalty of all kernels.
    pub fn builder(&self, regularizer: Regularizer) -> SequentialBuilder {
        Sequential::new([self.side, self.side, 1])
            .add(
                Conv2d::new(FILTERS, [3, 3])
                    .kernel_initializer(LecunNormal)
                    .kernel_regularizer(regularizer)
                    .activation(Selu),
            )
            .add(AlphaDropout::new(self.rate))
            .add(Flatten::new())
            .add(
                Dense::new(self.units)
                    .kernel_initializer(LecunNormal)
                    .kernel_regularizer(regularizer)
                    .activation(Selu),
            )
            .add(
                Dense::new(CLASSES)
                    .kernel_regularizer(regularizer)
                    .activation(Softmax),
            )
    }

    /// This many samples of noise: pixels and labels.
    pub fn samples(&self, count: usize) -> (Vec<u8>, Vec<u32>) {
        let len = (count * self.pixels()) as u64;
        let words: Vec<u32> = selfnorm::random::words(1, 0, 0..len).collect();
        let pixels = words.iter().map(|word| (word >> 24) as u8).collect();
        let labels = words[..count].iter().map(|word| word % CLASSES as u32);
        (pixels, labels.collect())
    }

    /// The network, and this many samples.
    pub fn with_samples(&self, gpu: &Gpu, count: usize) -> Result<(Sequential, Dataset)> {
        let (pixels, labels) = self.samples(count);
        let data =
            Dataset::from_bytes(gpu, &pixels, [self.side, self.side, 1])?.classes(&labels)?;
        Ok((self.build(gpu)?, data))
    }

    /// Floating-point operations of a step: each layer's forward product, the gradient of its kernel, and,
    /// except for the first, of its input.
    pub fn step_operations(&self) -> f64 {
        let convolution = 2 * self.batch * self.features() * TAPS;
        let dense = 2 * self.batch * (self.features() * self.units + self.units * CLASSES);
        (2 * convolution + 3 * dense) as f64
    }
}
