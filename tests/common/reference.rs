//! The layers in f64, written from their definitions and nothing else: the sums of
//! `tf.nn.conv2d` (cross-correlation, channels last) with TensorFlow's `VALID` and `SAME`, the maxima of
//! `tf.nn.max_pool2d`, the published SELU, AlphaDropout and normalizations. Gradients are central
//! differences of Σ y · dy, so that nothing here knows how a gradient is computed.

use std::hash::{DefaultHasher, Hash, Hasher};

#[cfg(not(target_family = "wasm"))]
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use selfnorm::nn::{
    Activation, AlphaDropout, AveragePooling2d, BatchNormalization, Conv2d, Dense, Dropout,
    Flatten, GlobalAveragePooling2d, Layer, LayerNormalization, Loss, MaxPool2d, Normalization,
    Padding, Reshape, Sequential, Tiling,
};
use selfnorm::{Gpu, random};

use super::functions;
use super::ops::{Parameter, Real};
use super::{ALPHA, SCALE};

/// What f32 leaves of a value that is computed in a few hundred to a few thousand additions, relative
/// to the value, or to the root mean square of its tensor where it is smaller, because sums that cancel
/// have the error of their terms. A sum of k rounded products in any order is off by √k · 2⁻²⁴ or so of
/// the terms' norm, which is 2.7e-6 for the longest here, of 2,000; three layers add their errors up.
pub const BOUND: f64 = 1e-5;

/// The step of the differences. The third derivatives here are of size one, which leaves 1e-12; f64
/// leaves 1e-16 of sums of some thousands, over 1e-5.
const H: f64 = 1e-5;

/// A layer, to be made twice: of this crate, and in f64.
#[derive(Clone, Debug)]
pub enum Spec {
    Dense {
        units: usize,
        bias: bool,
        activation: Activation,
    },
    Conv2d {
        filters: usize,
        kernel: [usize; 2],
        strides: [usize; 2],
        padding: Padding,
        bias: bool,
        activation: Activation,
    },
    MaxPool2d {
        pool: [usize; 2],
        strides: [usize; 2],
        padding: Padding,
    },
    AveragePooling2d {
        pool: [usize; 2],
        strides: [usize; 2],
        padding: Padding,
    },
    GlobalAveragePooling2d,
    Flatten,
    Reshape(Vec<usize>),
    Normalization,
    BatchNormalization {
        frozen: bool,
    },
    LayerNormalization,
    Activation(Activation),
    AlphaDropout(f64),
    Dropout(f64),
    /// One of the two with a noise_shape.
    Broadcast(Box<Spec>, Vec<Option<usize>>),
}

pub fn dense(units: usize, activation: Activation) -> Spec {
    Spec::Dense {
        units,
        bias: true,
        activation,
    }
}

pub fn conv2d(filters: usize, kernel: [usize; 2], activation: Activation) -> Spec {
    Spec::Conv2d {
        filters,
        kernel,
        strides: [1, 1],
        padding: Padding::Valid,
        bias: true,
        activation,
    }
}

pub fn max_pool2d(pool: [usize; 2]) -> Spec {
    Spec::MaxPool2d {
        pool,
        strides: pool,
        padding: Padding::Valid,
    }
}

/// A network and a batch for it.
#[derive(Clone, Debug)]
pub struct Case {
    pub input: Vec<usize>,
    pub layers: Vec<Spec>,
    pub batch: usize,
    pub tiling: Tiling,
    /// Of the network and of everything that is random about the case.
    pub seed: u64,
}

/// The seed of what is at `position` of a network: Philox of the position, by the network's seed, with
/// the three top bits of the counter 110. Of a layer's three positions the last is its dropout's.
pub fn derived_seed(seed: u64, position: u64) -> u64 {
    let counter = [position as u32, (position >> 32) as u32, 0, 0b110 << 29];
    let words = random::philox4x32_10(counter, [seed as u32, (seed >> 32) as u32]);
    u64::from(words[0]) | u64::from(words[1]) << 32
}

/// Normal, within ±2, from its own stream of random numbers.
pub fn normal(len: usize, seed: u64, stream: u64) -> Vec<f32> {
    random::words(seed, stream, 0..len as u64)
        .map(|word| random::truncated_normal(word) as f32 * 2f32.powi(-22))
        .collect()
}

/// Positions along an axis, and the padding in front: TensorFlow's, "the same padding on both sides,
/// and where it is odd the extra one behind"; or as given.
fn window(
    axis: usize,
    extent: usize,
    size: usize,
    stride: usize,
    padding: Padding,
) -> (usize, isize) {
    match padding {
        Padding::Explicit { before, after } => {
            let padded = before[axis] + extent + after[axis];
            ((padded - size) / stride + 1, before[axis] as isize)
        }
        Padding::Valid => ((extent - size) / stride + 1, 0),
        Padding::Same => {
            let positions = extent.div_ceil(stride);
            let total = if extent.is_multiple_of(stride) {
                size as isize - stride as isize
            } else {
                size as isize - (extent % stride) as isize
            };
            (positions, total.max(0) / 2)
        }
    }
}

impl Spec {
    pub fn layer(&self) -> Layer {
        match *self {
            Self::Dense {
                units,
                bias,
                activation,
            } => Dense::new(units)
                .use_bias(bias)
                .activation(activation)
                .into(),
            Self::Conv2d {
                filters,
                kernel,
                strides,
                padding,
                bias,
                activation,
            } => Conv2d::new(filters, kernel)
                .strides(strides)
                .padding(padding)
                .use_bias(bias)
                .activation(activation)
                .into(),
            Self::MaxPool2d {
                pool,
                strides,
                padding,
            } => MaxPool2d::new(pool)
                .strides(strides)
                .padding(padding)
                .into(),
            Self::AveragePooling2d {
                pool,
                strides,
                padding,
            } => AveragePooling2d::new(pool)
                .strides(strides)
                .padding(padding)
                .into(),
            Self::GlobalAveragePooling2d => GlobalAveragePooling2d::new().into(),
            Self::Flatten => Flatten::new().into(),
            Self::Reshape(ref shape) => Reshape::new(shape).into(),
            Self::Normalization => Normalization::new().into(),
            Self::BatchNormalization { frozen } => {
                BatchNormalization::new().trainable(!frozen).into()
            }
            Self::LayerNormalization => LayerNormalization::new().into(),
            Self::Activation(activation) => activation.into(),
            Self::AlphaDropout(rate) => AlphaDropout::new(rate).into(),
            Self::Dropout(rate) => Dropout::new(rate).into(),
            Self::Broadcast(ref dropout, ref noise_shape) => match **dropout {
                Self::AlphaDropout(rate) => AlphaDropout::new(rate).noise_shape(noise_shape).into(),
                Self::Dropout(rate) => Dropout::new(rate).noise_shape(noise_shape).into(),
                _ => panic!("{dropout:?}"),
            },
        }
    }

    pub fn output(&self, input: &[usize]) -> Vec<usize> {
        match *self {
            Self::Dense { units, .. } => {
                let mut output = input.to_vec();
                *output.last_mut().unwrap() = units;
                output
            }
            Self::Conv2d {
                filters,
                kernel,
                strides,
                padding,
                ..
            } => vec![
                window(0, input[0], kernel[0], strides[0], padding).0,
                window(1, input[1], kernel[1], strides[1], padding).0,
                filters,
            ],
            Self::MaxPool2d {
                pool,
                strides,
                padding,
            } => vec![
                window(0, input[0], pool[0], strides[0], padding).0,
                window(1, input[1], pool[1], strides[1], padding).0,
                input[2],
            ],
            Self::AveragePooling2d {
                pool,
                strides,
                padding,
            } => Self::MaxPool2d {
                pool,
                strides,
                padding,
            }
            .output(input),
            Self::GlobalAveragePooling2d => vec![input[2]],
            Self::Flatten => vec![input.iter().product()],
            Self::Reshape(ref shape) => shape.clone(),
            Self::Normalization
            | Self::BatchNormalization { .. }
            | Self::LayerNormalization
            | Self::Activation(_)
            | Self::AlphaDropout(_)
            | Self::Dropout(_)
            | Self::Broadcast(..) => input.to_vec(),
        }
    }

    /// The shapes of the kernel and of the biases.
    fn weights(&self, input: &[usize]) -> Vec<Vec<usize>> {
        match *self {
            Self::Dense { units, bias, .. } => {
                let kernel = vec![*input.last().unwrap(), units];
                [kernel]
                    .into_iter()
                    .chain(bias.then(|| vec![units]))
                    .collect()
            }
            Self::Conv2d {
                filters,
                kernel: [height, width],
                bias,
                ..
            } => {
                let kernel = vec![height, width, input[2], filters];
                [kernel]
                    .into_iter()
                    .chain(bias.then(|| vec![filters]))
                    .collect()
            }
            Self::Normalization | Self::LayerNormalization => {
                vec![vec![*input.last().unwrap()]; 2]
            }
            Self::BatchNormalization { .. } => vec![vec![*input.last().unwrap()]; 4],
            _ => Vec::new(),
        }
    }

    /// Whether the weight of this number in the layer is variances.
    fn has_variances(&self, number: usize) -> bool {
        match self {
            Self::Normalization => number == 1,
            Self::BatchNormalization { .. } => number == 3,
            _ => false,
        }
    }

    /// Products and other work of a sample.
    fn cost(&self, input: &[usize]) -> usize {
        let output: usize = self.output(input).iter().product();
        match *self {
            Self::Dense { .. } => output * input.last().unwrap(),
            Self::Conv2d { kernel, .. } => output * kernel[0] * kernel[1] * input[2],
            Self::MaxPool2d { pool, .. } | Self::AveragePooling2d { pool, .. } => {
                output * pool[0] * pool[1]
            }
            _ => output,
        }
    }
}

/// A layer's output, and on which side of the kinks it was computed.
struct Run<'a> {
    shape: Vec<usize>,
    values: Vec<f64>,
    sides: &'a mut DefaultHasher,
}

impl Run<'_> {
    fn activate(&mut self, activation: Activation) {
        let sides = &mut *self.sides;
        let mut by_sign = |positive: &dyn Fn(f64) -> f64, negative: &dyn Fn(f64) -> f64| {
            for value in &mut self.values {
                (*value > 0.0).hash(sides);
                *value = if *value > 0.0 {
                    positive(*value)
                } else {
                    negative(*value)
                };
            }
        };
        match activation {
            Activation::Linear => {}
            Activation::Selu => by_sign(&|x| SCALE * x, &|x| SCALE * ALPHA * x.exp_m1()),
            Activation::SeluWith(selu) => by_sign(&|x| selu.scale * x, &|x| {
                selu.scale * selu.alpha * x.exp_m1()
            }),
            Activation::Elu(alpha) => by_sign(&|x| x, &|x| alpha * x.exp_m1()),
            Activation::Relu => by_sign(&|x| x, &|_| 0.0),
            Activation::LeakyRelu(slope) => by_sign(&|x| x, &|x| slope * x),
            Activation::Sigmoid => self.smooth(functions::sigmoid),
            Activation::Tanh => self.smooth(functions::tanh),
            Activation::Silu => self.smooth(functions::silu),
            Activation::Gelu { approximate: false } => self.smooth(functions::gelu),
            Activation::Gelu { approximate: true } => self.smooth(functions::gelu_tanh),
            Activation::Softplus => self.smooth(functions::softplus),
            Activation::Sine(frequency) => {
                for value in &mut self.values {
                    *value = (frequency * *value).sin();
                }
            }
            Activation::Softmax => {
                for row in self.values.chunks_mut(*self.shape.last().unwrap()) {
                    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    for value in &mut *row {
                        *value = (*value - max).exp();
                    }
                    let sum: f64 = row.iter().sum();
                    for value in row {
                        *value /= sum;
                    }
                }
            }
            other => panic!("{other:?} has no function here"),
        }
    }

    fn smooth(&mut self, f: Real) {
        for value in &mut self.values {
            *value = f(&Parameter::None, *value);
        }
    }

    /// y = x w + b on the last axis; w is [inputs, units].
    fn dense(&mut self, units: usize, kernel: &[f64], bias: Option<&[f64]>) {
        let inputs = *self.shape.last().unwrap();
        let mut y = Vec::new();
        for row in self.values.chunks(inputs) {
            for unit in 0..units {
                let mut sum = bias.map_or(0.0, |bias| bias[unit]);
                for (i, x) in row.iter().enumerate() {
                    sum += x * kernel[i * units + unit];
                }
                y.push(sum);
            }
        }
        self.values = y;
    }

    /// For each position of the window, its places that are in the image: (in the window, in the image)
    fn slide(
        &self,
        size: [usize; 2],
        strides: [usize; 2],
        padding: Padding,
        mut at: impl FnMut(&[(usize, usize)]),
    ) {
        let [_, height, width, _] = self.shape[..] else {
            unreachable!()
        };
        let (rows, above) = window(0, height, size[0], strides[0], padding);
        let (columns, left) = window(1, width, size[1], strides[1], padding);
        for row in 0..rows {
            for column in 0..columns {
                let mut places = Vec::new();
                for i in 0..size[0] {
                    for j in 0..size[1] {
                        let y = (row * strides[0] + i) as isize - above;
                        let x = (column * strides[1] + j) as isize - left;
                        if (0..height as isize).contains(&y) && (0..width as isize).contains(&x) {
                            places.push((i * size[1] + j, y as usize * width + x as usize));
                        }
                    }
                }
                at(&places);
            }
        }
    }

    /// The cross-correlation; w is [height, width, channels, filters].
    #[allow(clippy::too_many_arguments)]
    fn conv2d(
        &mut self,
        filters: usize,
        size: [usize; 2],
        strides: [usize; 2],
        padding: Padding,
        kernel: &[f64],
        bias: Option<&[f64]>,
    ) {
        let channels = self.shape[3];
        let mut y = Vec::new();
        for image in self.values.chunks(self.shape[1..].iter().product()) {
            self.slide(size, strides, padding, |places| {
                for filter in 0..filters {
                    let mut sum = bias.map_or(0.0, |bias| bias[filter]);
                    for &(tap, place) in places {
                        for channel in 0..channels {
                            sum += image[place * channels + channel]
                                * kernel[(tap * channels + channel) * filters + filter];
                        }
                    }
                    y.push(sum);
                }
            });
        }
        self.values = y;
    }

    fn max_pool2d(&mut self, size: [usize; 2], strides: [usize; 2], padding: Padding) {
        let channels = self.shape[3];
        let mut y = Vec::new();
        let mut maxima = Vec::new();
        for image in self.values.chunks(self.shape[1..].iter().product()) {
            self.slide(size, strides, padding, |places| {
                for channel in 0..channels {
                    let value = |place: usize| image[place * channels + channel];
                    let first = places[0].1;
                    let max = places.iter().fold(first, |max, &(_, place)| {
                        if value(place) > value(max) {
                            place
                        } else {
                            max
                        }
                    });
                    maxima.push(max);
                    y.push(value(max));
                }
            });
        }
        maxima.hash(self.sides);
        self.values = y;
    }

    fn average_pool2d(&mut self, size: [usize; 2], strides: [usize; 2], padding: Padding) {
        let channels = self.shape[3];
        let mut y = Vec::new();
        for image in self.values.chunks(self.shape[1..].iter().product()) {
            self.slide(size, strides, padding, |places| {
                for channel in 0..channels {
                    let values = places
                        .iter()
                        .map(|&(_, place)| image[place * channels + channel]);
                    y.push(values.sum::<f64>() / places.len() as f64);
                }
            });
        }
        self.values = y;
    }

    /// y = (x − mean) / √(variance + ε) · γ + β on the last axis, over all others.
    fn batch_normalization(&mut self, [gamma, beta, mean, variance]: [&[f64]; 4], measures: bool) {
        let columns = *self.shape.last().unwrap();
        let n = (self.values.len() / columns) as f64;
        for column in 0..columns {
            let (mut mean, mut variance) = (mean[column], variance[column]);
            let values = || self.values.iter().skip(column).step_by(columns);
            if measures {
                mean = values().sum::<f64>() / n;
                variance = values().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            }
            for x in self.values.iter_mut().skip(column).step_by(columns) {
                *x = (*x - mean) / (variance + 1e-3).sqrt() * gamma[column] + beta[column];
            }
        }
    }

    fn layer_normalization(&mut self, gamma: &[f64], beta: &[f64]) {
        for row in self.values.chunks_mut(gamma.len()) {
            let n = row.len() as f64;
            let mean = row.iter().sum::<f64>() / n;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            for ((x, gamma), beta) in row.iter_mut().zip(gamma).zip(beta) {
                *x = (*x - mean) / (variance + 1e-3).sqrt() * gamma + beta;
            }
        }
    }

    /// Kept values become a x + b, dropped ones a `limit` + b.
    fn drop_out(&mut self, dropout: &Spec, mask: &[bool]) {
        let (a, b, limit) = match *dropout {
            Spec::AlphaDropout(rate) => {
                let limit = -SCALE * ALPHA;
                let a = ((1.0 - rate) * (1.0 + rate * limit * limit)).powf(-0.5);
                (a, -a * limit * rate, limit)
            }
            Spec::Dropout(rate) => (1.0 / (1.0 - rate), 0.0, 0.0),
            _ => panic!("{dropout:?}"),
        };
        assert_eq!(mask.len(), self.values.len());
        for (value, &kept) in self.values.iter_mut().zip(mask) {
            *value = a * if kept { *value } else { limit } + b;
        }
    }

    /// What the words of the seed and the call keep.
    fn mask(&self, rate: f64, seed: u64, call: u64) -> Vec<bool> {
        let threshold = (rate * 2f64.powi(32)).round() as u32;
        let words = random::words(seed, call, 0..self.values.len() as u64);
        words.map(|word| word >= threshold).collect()
    }

    /// The host's mask of a noise_shape for this batch.
    fn broadcast(
        &self,
        rate: f64,
        seed: u64,
        call: u64,
        noise_shape: &[Option<usize>],
    ) -> Vec<bool> {
        let extents = noise_shape.iter().zip(&self.shape);
        let extents: Vec<_> = extents
            .map(|(noise, &extent)| noise.unwrap_or(extent))
            .collect();
        let p = selfnorm::AlphaDropout::new(rate).seed(seed).call(call);
        p.noise_shape(extents).mask(&self.shape).unwrap()
    }
}

impl Case {
    pub fn output(&self) -> Vec<usize> {
        self.layers
            .iter()
            .fold(self.input.clone(), |shape, layer| layer.output(&shape))
    }

    /// The shapes of all weights, in order.
    pub fn weight_shapes(&self) -> Vec<Vec<usize>> {
        let mut shape = self.input.clone();
        let mut shapes = Vec::new();
        for layer in &self.layers {
            shapes.extend(layer.weights(&shape));
            shape = layer.output(&shape);
        }
        shapes
    }

    /// Weights that keep values of size one of that size, and biases.
    pub fn weights(&self) -> Vec<Vec<f32>> {
        let mut shape = self.input.clone();
        let mut variances = Vec::new();
        for layer in &self.layers {
            let count = layer.weights(&shape).len();
            variances.extend((0..count).map(|number| layer.has_variances(number)));
            shape = layer.output(&shape);
        }
        let scaled = |(i, shape): (usize, Vec<usize>)| {
            let (outputs, inputs) = shape.split_last().unwrap();
            let deviation = match inputs {
                [] => 0.3,
                _ => (inputs.iter().product::<usize>() as f32).sqrt().recip(),
            };
            let len = outputs * inputs.iter().product::<usize>();
            let values = normal(len, self.seed, 100 + i as u64);
            let scaled = |z: f32| z * deviation / 0.88;
            match variances[i] {
                true => values.into_iter().map(|z| 0.5 + scaled(z).abs()).collect(),
                false => values.into_iter().map(scaled).collect(),
            }
        };
        self.weight_shapes()
            .into_iter()
            .enumerate()
            .map(scaled)
            .collect()
    }

    pub fn x(&self) -> Vec<f32> {
        normal(
            self.batch * self.input.iter().product::<usize>(),
            self.seed,
            0,
        )
    }

    pub fn dy(&self) -> Vec<f32> {
        normal(
            self.batch * self.output().iter().product::<usize>(),
            self.seed,
            1,
        )
    }

    /// The network of this crate, with [`weights`](Self::weights).
    pub fn model(&self, gpu: &Gpu) -> Sequential {
        let network = Sequential::new(&self.input).tiling(self.tiling);
        let network = self
            .layers
            .iter()
            .fold(network, |network, layer| network.add(layer.layer()));
        let mut model = network.build(gpu, self.seed).unwrap();
        let mut weights = model.weights().unwrap();
        let shapes: Vec<_> = weights.iter().map(|(_, w)| w.shape().to_vec()).collect();
        assert_eq!(shapes, self.weight_shapes());
        for ((_, weight), values) in weights.iter_mut().zip(self.weights()) {
            *weight = gpu.tensor(&values, weight.shape()).unwrap();
        }
        model.set_weights(&weights).unwrap();
        model
    }

    /// The output of the first `depth` layers, and a number that is another when a kink was crossed.
    /// Dropout drops in a step of training, whose call it is.
    pub fn forward_to(
        &self,
        depth: usize,
        weights: &[Vec<f64>],
        x: &[f64],
        call: Option<u64>,
    ) -> (Vec<f64>, u64) {
        let mut sides = DefaultHasher::new();
        let mut run = Run {
            shape: [&[self.batch], &self.input[..]].concat(),
            values: x.to_vec(),
            sides: &mut sides,
        };
        let mut weights = weights.iter();
        for (position, layer) in self.layers[..depth].iter().enumerate() {
            let output = layer.output(&run.shape[1..]);
            let mut next = || &weights.next().unwrap()[..];
            let seed = derived_seed(self.seed, position as u64 * 3 + 2);
            let mut after = Activation::Linear;
            match *layer {
                Spec::Dense {
                    units,
                    bias,
                    activation,
                } => {
                    let kernel = next();
                    run.dense(units, kernel, bias.then(next));
                    after = activation;
                }
                Spec::Conv2d {
                    filters,
                    kernel: size,
                    strides,
                    padding,
                    bias,
                    activation,
                } => {
                    let kernel = next();
                    run.conv2d(filters, size, strides, padding, kernel, bias.then(next));
                    after = activation;
                }
                Spec::MaxPool2d {
                    pool,
                    strides,
                    padding,
                } => run.max_pool2d(pool, strides, padding),
                Spec::AveragePooling2d {
                    pool,
                    strides,
                    padding,
                } => run.average_pool2d(pool, strides, padding),
                Spec::GlobalAveragePooling2d => {
                    let size = [run.shape[1], run.shape[2]];
                    run.average_pool2d(size, size, Padding::Valid);
                }
                Spec::Flatten | Spec::Reshape(_) => {}
                Spec::Normalization => {
                    let (mean, variance) = (next(), next());
                    let columns = mean.len();
                    for (i, x) in run.values.iter_mut().enumerate() {
                        let column = i % columns;
                        *x = (*x - mean[column]) / variance[column].sqrt().max(1e-7);
                    }
                }
                Spec::BatchNormalization { frozen } => {
                    let weights = [next(), next(), next(), next()];
                    run.batch_normalization(weights, call.is_some() && !frozen);
                }
                Spec::LayerNormalization => run.layer_normalization(next(), next()),
                Spec::Activation(activation) => after = activation,
                Spec::AlphaDropout(rate) | Spec::Dropout(rate) => {
                    if let Some(call) = call {
                        run.drop_out(layer, &run.mask(rate, seed, call));
                    }
                }
                Spec::Broadcast(ref dropout, ref noise_shape) => {
                    let (Spec::AlphaDropout(rate) | Spec::Dropout(rate)) = **dropout else {
                        panic!("{dropout:?}");
                    };
                    if let Some(call) = call {
                        run.drop_out(dropout, &run.broadcast(rate, seed, call, noise_shape));
                    }
                }
            }
            run.shape = [&[self.batch], &output[..]].concat();
            run.activate(after);
            assert_eq!(run.values.len(), run.shape.iter().product::<usize>());
        }
        let values = run.values;
        (values, sides.finish())
    }

    pub fn forward(&self, weights: &[Vec<f64>], x: &[f64], call: Option<u64>) -> (Vec<f64>, u64) {
        self.forward_to(self.layers.len(), weights, x, call)
    }

    /// Compares forward and backward with f64; `training` with dropout.
    #[cfg(not(target_family = "wasm"))]
    pub fn check(&self, gpu: &Gpu, training: bool) {
        let mut model = self.model(gpu);
        self.check_model(gpu, &mut model, training);
    }

    /// Of a model that has [`weights`](Self::weights), and some layers of which may be frozen.
    #[cfg(not(target_family = "wasm"))]
    pub fn check_model(&self, gpu: &Gpu, model: &mut Sequential, training: bool) {
        assert_eq!(model.output_shape(), self.output());
        let (x, dy) = (self.x(), self.dy());
        let shaped = |shape: &[usize]| [&[self.batch], shape].concat();
        let on_gpu = |values: &[f32], shape: &[usize]| gpu.tensor(values, shaped(shape)).unwrap();
        let x_tensor = on_gpu(&x, &self.input);
        let dy_tensor = on_gpu(&dy, &self.output());
        let real = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let x = real(&x);
        let weights: Vec<_> = self.weights().iter().map(|w| real(w)).collect();

        let (y, _) = self.forward(&weights, &x, None);
        let predicted = model.predict(&x_tensor).unwrap();
        assert_eq!(predicted.shape(), shaped(&self.output()));
        assert_close("predict", &predicted.to_vec().unwrap(), &y);

        let call = training.then(|| model.step());
        let selfnorm::nn::Gradient {
            y: actual,
            dx,
            weights: gradients,
            ..
        } = model.gradient(&x_tensor, &dy_tensor, training).unwrap();
        let (y, sides) = self.forward(&weights, &x, call);
        assert_close("y", &actual.to_vec().unwrap(), &y);

        let names: Vec<_> = model.weights().unwrap();
        let gradients = gradients.into_iter().map(|(name, gradient)| {
            let which = names.iter().position(|(known, _)| *known == name).unwrap();
            assert_eq!(gradient.shape(), names[which].1.shape(), "{name}");
            (name, which, real(&gradient.to_vec().unwrap()))
        });
        let dx = real(&dx.to_vec().unwrap());
        self.check_gradients(call, sides, &dx, gradients);
    }

    /// Compares the gradients of Σ y · dy, those of weights with their numbers, with central differences.
    /// `sides` is what [`forward`](Self::forward) gives.
    pub fn check_gradients(
        &self,
        call: Option<u64>,
        sides: u64,
        dx: &[f64],
        gradients: impl IntoIterator<Item = (String, usize, Vec<f64>)>,
    ) {
        let real = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let mut differences = Differences {
            case: self,
            weights: self.weights().iter().map(|w| real(w)).collect(),
            x: real(&self.x()),
            dy: &real(&self.dy()),
            call,
            sides,
            compared: 0,
            crossed: 0,
        };
        differences.check("dx", dx, None);
        for (name, which, gradient) in gradients {
            differences.check(&name, &gradient, Some(which));
        }
        let Differences {
            compared, crossed, ..
        } = differences;
        assert!(
            compared > crossed,
            "{crossed} differences cross a kink, only {compared} don't"
        );
    }
}

/// Of Σ y · dy.
struct Differences<'a> {
    case: &'a Case,
    weights: Vec<Vec<f64>>,
    x: Vec<f64>,
    dy: &'a [f64],
    call: Option<u64>,
    sides: u64,
    compared: usize,
    crossed: usize,
}

impl Differences<'_> {
    fn values(&mut self, which: Option<usize>) -> &mut Vec<f64> {
        match which {
            None => &mut self.x,
            Some(i) => &mut self.weights[i],
        }
    }

    /// The derivative along `direction`; none where that is a matter of the side of a kink.
    fn along(&mut self, which: Option<usize>, direction: &[(usize, f64)]) -> Option<f64> {
        let mut sum = |step: f64| {
            let before = self.values(which).clone();
            for &(i, by) in direction {
                self.values(which)[i] += step * by;
            }
            let (y, sides) = self.case.forward(&self.weights, &self.x, self.call);
            *self.values(which) = before;
            let same = sides == self.sides;
            let sum = y.iter().zip(self.dy).map(|(y, dy)| y * dy).sum::<f64>();
            same.then_some(sum)
        };
        let difference = sum(H)
            .zip(sum(-H))
            .map(|(up, down)| (up - down) / (2.0 * H));
        match difference {
            Some(_) => self.compared += 1,
            None => self.crossed += 1,
        }
        difference
    }

    /// Some elements by themselves, the first and the last among them; and all of them at once, along
    /// random signs: there errors within the bound add up to no more than their norm, and a bit.
    fn check(&mut self, what: &str, gradient: &[f64], which: Option<usize>) {
        let len = gradient.len();
        assert_eq!(len, self.values(which).len(), "{what}");
        let squares: f64 = gradient.iter().map(|g| g * g).sum();
        let rms = (squares / len as f64).sqrt();
        assert!(rms.is_finite(), "{what}");
        let seed = self.case.seed;
        let cost = self.case.cost().max(1);
        let elements = (400_000 / cost).clamp(2, 16);
        let picks = random::words(seed, 7, 0..elements as u64).map(|word| word as usize % len);
        let picks: Vec<_> = [0, len - 1].into_iter().chain(picks).collect();
        for &i in picks.iter().take(len.max(2)) {
            if let Some(expected) = self.along(which, &[(i, 1.0)]) {
                let error = (gradient[i] - expected).abs();
                // The differences' own error, for gradients that are all but 0.
                let bound = BOUND * expected.abs().max(rms) + 1e-8;
                assert!(
                    error <= bound,
                    "{what}[{i}] of {len} is {:e}, not {expected:e}; {rms:e} is typical",
                    gradient[i]
                );
            }
        }
        for stream in 0..3 {
            let signs = random::words(seed, 10 + stream, 0..len as u64);
            // Small, so that few kinks are crossed.
            let direction: Vec<_> = signs
                .map(|word| if word >> 31 == 0 { 0.01 } else { -0.01 })
                .enumerate()
                .collect();
            if let Some(expected) = self.along(which, &direction) {
                let actual: f64 = direction.iter().map(|&(i, by)| gradient[i] * by).sum();
                let bound = 4.0 * BOUND * 0.01 * squares.sqrt() + 1e-8;
                assert!(
                    (actual - expected).abs() <= bound,
                    "{what}: along random signs it is {actual:e}, not {expected:e}, ± {bound:e}"
                );
            }
        }
    }
}

impl Case {
    fn cost(&self) -> usize {
        let mut shape = self.input.clone();
        let mut cost = 0;
        for layer in &self.layers {
            cost += layer.cost(&shape);
            shape = layer.output(&shape);
        }
        cost * self.batch
    }
}

/// Every value within [`BOUND`].
pub fn assert_close(what: &str, actual: &[f32], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let squares: f64 = expected.iter().map(|x| x * x).sum();
    let typical = (squares / expected.len().max(1) as f64).sqrt();
    for (i, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(actual) - expected).abs();
        // NaN must fail.
        assert!(
            error <= BOUND * expected.abs().max(typical),
            "{what}[{i}] is {actual:e}, not {expected:e}; {typical:e} is typical"
        );
    }
}

/// Runs `test` on `cases` values, always the same ones, and shrinks those that fail.
#[cfg(not(target_family = "wasm"))]
pub fn for_all<S: proptest::strategy::Strategy>(cases: u32, values: S, test: impl Fn(S::Value)) {
    let config = Config {
        cases,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for_all_of(config, rng, values, test);
}

/// [`for_all`], as `config` says, on the values that `rng` makes.
#[cfg(not(target_family = "wasm"))]
pub fn for_all_of<S: proptest::strategy::Strategy>(
    config: Config,
    rng: TestRng,
    values: S,
    test: impl Fn(S::Value),
) {
    let config = Config {
        failure_persistence: None,
        ..config
    };
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(&values, |value| {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(value)));
        caught.map_err(|panic| {
            let message = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
            TestCaseError::fail(message.unwrap_or_default())
        })
    });
    if let Err(problem) = result {
        panic!("{problem}");
    }
}

/// The loss of a row from its definition, of the outputs y, which are probabilities for cross-entropies.
pub fn loss_of_row(loss: Loss, y: &[f64], t: &[f64]) -> f64 {
    let n = y.len() as f64;
    let smoothed = |by: f64, choices: f64| t.iter().map(move |t| t * (1.0 - by) + by / choices);
    let categorical = |by: f64| -> f64 {
        let terms = y.iter().zip(smoothed(by, n));
        terms.map(|(y, t)| -t * y.ln()).sum()
    };
    let binary = |by: f64| -> f64 {
        let terms = y.iter().zip(smoothed(by, 2.0));
        let sum: f64 = terms
            .map(|(y, t)| -t * y.ln() - (1.0 - t) * (1.0 - y).ln())
            .sum();
        sum / n
    };
    let regression = |f: &dyn Fn(f64) -> f64| -> f64 {
        let errors = y.iter().zip(t).map(|(y, t)| f((y - t).abs()));
        errors.sum::<f64>() / n
    };
    match loss {
        Loss::CategoricalCrossentropy => categorical(0.0),
        Loss::CategoricalCrossentropyWith { label_smoothing } => categorical(label_smoothing),
        Loss::BinaryCrossentropy => binary(0.0),
        Loss::BinaryCrossentropyWith { label_smoothing } => binary(label_smoothing),
        Loss::MeanSquaredError => regression(&|error| error * error),
        Loss::MeanAbsoluteError => regression(&|error| error),
        Loss::Huber(delta) => regression(&|error| {
            if error <= delta {
                error * error / 2.0
            } else {
                delta * (error - delta / 2.0)
            }
        }),
        other => panic!("{other:?} has no formula here"),
    }
}
