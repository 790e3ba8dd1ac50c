use bytemuck::Zeroable;

use super::{first_block, words};
use crate::pass::{Chunk, Pass, write};
use crate::random::Stream;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::{params, vec2u};
use crate::{Element, Gpu, Result, Tensor, random};

pub(super) static MODULE: Module = Module::new(
    "initializers",
    &files::INITIALIZERS,
    InitializerParams::LAYOUT,
)
.entry_points(&["fill_truncated_normal", "fill_uniform", "fill_constant"])
.floats()
.constants(&random::INVERSE_CDF);

const TRUNCATED_NORMAL: Kernel = MODULE.kernel("fill_truncated_normal");
const UNIFORM: Kernel = MODULE.kernel("fill_uniform");
const CONSTANT: Kernel = MODULE.kernel("fill_constant");

params! {
    struct InitializerParams {
        lanes: u32,
        /// the element of the first lane, a multiple of four
        first: u32,
        seed: vec2u,
        call: vec2u,
        /// the random block of the tensor's first element
        block: vec2u,
        /// the value of a constant, else the factor of the random value
        scale: f32,
        padding: u32,
    }
}

/// The standard deviation of a standard normal truncated at ±2.
const TRUNCATED_DEVIATION: f64 = 0.879_625_661_034_239_8;

/// (fan_in, fan_out) of a kernel, as Keras counts them: the last axis is the output, the one before
/// the input, and the others are positions of a convolution, which count for both. For a vector
/// both are its length, for a scalar 1.
///
/// ```
/// assert_eq!(selfnorm::fans([3, 3, 16, 32]), (144, 288));
/// ```
pub fn fans(shape: impl AsRef<[usize]>) -> (usize, usize) {
    match shape.as_ref() {
        [] => (1, 1),
        [len] => (*len, *len),
        [positions @ .., input, output] => {
            // No tensor is this large; creating one returns the error.
            let times = |fan: &usize| positions.iter().fold(*fan, |fan, &n| fan.saturating_mul(n));
            (times(input), times(output))
        }
    }
}

/// Weights of mean 0 and of the variance gain / fan: Keras's variance scaling.
struct Weights {
    op: &'static str,
    distribution: Distribution,
    gain: f64,
    fan: usize,
    place: Place,
}

/// How a random word becomes a weight: as an integer, times a scale.
#[derive(Clone, Copy)]
enum Distribution {
    TruncatedNormal,
    Uniform,
}

/// Where a tensor's random numbers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    seed: u64,
    call: u64,
    offset: u64,
}

impl Weights {
    /// The weight of the integer 1.
    fn scale(&self) -> f32 {
        let root = |gain: f64| (gain / self.fan.max(1) as f64).sqrt();
        let scale = match self.distribution {
            Distribution::TruncatedNormal => root(self.gain) / TRUNCATED_DEVIATION * 2f64.powi(-22),
            // Uniform numbers in (−l, l) have the variance l² / 3.
            Distribution::Uniform => root(3.0 * self.gain) * 2f64.powi(-24),
        };
        scale as f32
    }

    fn values(&self, len: usize) -> Result<Vec<f32>> {
        let integer = match self.distribution {
            Distribution::TruncatedNormal => random::truncated_normal,
            Distribution::Uniform => random::uniform,
        };
        let scale = self.scale();
        let Place { seed, call, offset } = self.place;
        let stream = Stream::weights(self.op, call)?;
        first_block(self.op, offset)?;
        let words = stream.words(seed, offset..offset + len as u64);
        Ok(words.map(|word| scale * integer(word) as f32).collect())
    }

    fn record<T: Element>(&self, pass: &mut Pass, w: &Tensor<T>) -> Result<()> {
        let (op, scale, seed) = (self.op, self.scale(), words(self.place.seed));
        let call = words(Stream::weights(op, self.place.call)?.call());
        let block = first_block(op, self.place.offset)?;
        let kernel = match self.distribution {
            Distribution::TruncatedNormal => TRUNCATED_NORMAL,
            Distribution::Uniform => UNIFORM,
        };
        pass.elementwise(
            op,
            kernel,
            Form::default(),
            [write("w", w)],
            |chunk: Chunk| InitializerParams {
                lanes: chunk.lanes,
                first: chunk.first,
                seed,
                call,
                block,
                scale,
                padding: 0,
            },
        )
    }
}

/// How an initializer is made, by what its variance depends on.
macro_rules! constructors {
    (fan_in) => {
        /// For a kernel with `fan_in` inputs to each output. Seed and call are 0.
        pub fn new(fan_in: usize) -> Self {
            Self {
                fan: fan_in,
                place: Place::default(),
            }
        }

        /// For a kernel of `shape`, with the fan_in of [`fans`].
        pub fn for_kernel(shape: impl AsRef<[usize]>) -> Self {
            Self::new(fans(shape).0)
        }
    };
    (fan_in + fan_out) => {
        /// For a kernel with `fan_in` inputs to each output and `fan_out` outputs of each input. Seed
        /// and call are 0.
        pub fn new(fan_in: usize, fan_out: usize) -> Self {
            Self {
                fan: fan_in.saturating_add(fan_out),
                place: Place::default(),
            }
        }

        /// For a kernel of `shape`, with its [`fans`].
        pub fn for_kernel(shape: impl AsRef<[usize]>) -> Self {
            let (fan_in, fan_out) = fans(shape);
            Self::new(fan_in, fan_out)
        }
    };
}

/// Each initializer is a type, and a method of [`Pass`] and of [`Gpu`]; its weights have a distribution and
/// a variance.
macro_rules! initializers {
    ($(
        $(#[$about:meta])+
        $Type:ident, $op:ident: $distribution:ident, $gain:literal / ($($fan:tt)+);
    )+) => {
        $(
            $(#[$about])+
            ///
            /// ```
            /// # fn main() -> selfnorm::Result<()> {
            /// let gpu = selfnorm::Gpu::new()?;
            #[doc = concat!("let w = gpu.", stringify!($op), "([784, 256], 42)?;")]
            #[doc = concat!("let p = selfnorm::", stringify!($Type), "::for_kernel([784, 256]).seed(42);")]
            /// assert_eq!(w.to_vec()?, p.values(784 * 256)?); // the same on the host
            /// # Ok(())
            /// # }
            /// ```
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            #[must_use]
            pub struct $Type {
                fan: usize,
                place: Place,
            }

            impl $Type {
                constructors!($($fan)+);

                /// The seed of the random numbers.
                pub fn seed(mut self, seed: u64) -> Self {
                    self.place.seed = seed;
                    self
                }

                /// The number of the weights under this seed, below 2⁶² (checked when it is used), so that
                /// one seed serves all weights of a program. 0 by default. Masks never have the same random
                /// numbers, whatever their call.
                pub fn call(mut self, call: u64) -> Self {
                    self.place.call = call;
                    self
                }

                /// The position of the first weight in the stream of random numbers, a multiple of 4, at
                /// most 2⁶³ (checked when it is used). With it, the parts of a kernel split over tensors or
                /// devices are those of the whole. 0 by default.
                pub fn offset(mut self, offset: u64) -> Self {
                    self.place.offset = offset;
                    self
                }

                /// The first `len` weights from the offset on, on the host.
                ///
                /// # Errors
                ///
                /// [`Parameter`](crate::Error::Parameter) for a call or an offset that is not allowed.
                pub fn values(&self, len: usize) -> Result<Vec<f32>> {
                    self.weights().values(len)
                }

                fn weights(&self) -> Weights {
                    Weights {
                        op: stringify!($op),
                        distribution: Distribution::$distribution,
                        gain: $gain,
                        fan: self.fan,
                        place: self.place,
                    }
                }
            }
        )+

        impl Pass<'_> {$(
            #[doc = concat!("w = the weights of a [`", stringify!($Type), "`].")]
            ///
            /// # Errors
            ///
            /// [`Parameter`](crate::Error::Parameter) for a call of 2⁶² or more, or an offset that is not a
            /// multiple of 4, [`OtherGpu`](crate::Error::OtherGpu),
            /// [`MissingFeature`](crate::Error::MissingFeature) for f16.
            pub fn $op<T: Element>(&mut self, p: &$Type, w: &Tensor<T>) -> Result<()> {
                p.weights().record(self, w)
            }
        )+}

        impl Gpu {$(
            #[doc = concat!("The weights of a [`", stringify!($Type), "`] for a kernel of `shape`.")]
            ///
            /// # Errors
            ///
            /// [`TooLarge`](crate::Error::TooLarge), [`OutOfMemory`](crate::Error::OutOfMemory),
            /// [`DeviceLost`](crate::Error::DeviceLost).
            pub fn $op(&self, shape: impl AsRef<[usize]>, seed: u64) -> Result<Tensor> {
                let shape = shape.as_ref();
                Tensor::create(self, shape, |pass, w| {
                    pass.$op(&$Type::for_kernel(shape).seed(seed), w)
                })
            }
        )+}
    };
}

initializers! {
    /// Lecun-normal weights: a normal truncated at two deviations, rescaled to the deviation
    /// σ = √(1 / max(1, fan_in)), which keeps the variance of a SELU network at 1.
    ///
    /// w = (σ / 0.8796…) · z, where z, in [−2, 2], comes from one random word by an inverse CDF in integer
    /// arithmetic ([`random::truncated_normal`]): a seed gives the same bits on every device and on the
    /// host.
    ///
    /// LeCun et al. 1998, *Efficient BackProp*.
    LecunNormal, lecun_normal: TruncatedNormal, 1.0 / (fan_in);

    /// Lecun-uniform weights, with the variance of [`LecunNormal`]'s: uniform in (−l, l),
    /// l = √(3 / max(1, fan_in)).
    ///
    /// w = l · u, where u comes from one random word ([`random::uniform`]).
    ///
    /// LeCun et al. 1998, *Efficient BackProp*.
    LecunUniform, lecun_uniform: Uniform, 1.0 / (fan_in);

    /// He-normal weights, for ReLU and its relatives: a normal truncated at two deviations, rescaled to the
    /// deviation σ = √(2 / max(1, fan_in)).
    ///
    /// ReLU takes away the values below 0, and with them half of the mean square. Weights with twice the
    /// variance of [`LecunNormal`]'s make up for that: the signal keeps its size from layer to layer.
    ///
    /// He et al. 2015, *Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet
    /// Classification*.
    HeNormal, he_normal: TruncatedNormal, 2.0 / (fan_in);

    /// He-uniform weights, with the variance of [`HeNormal`]'s: uniform in (−l, l),
    /// l = √(6 / max(1, fan_in)).
    ///
    /// He et al. 2015, *Delving Deep into Rectifiers: Surpassing Human-Level Performance on ImageNet
    /// Classification*.
    HeUniform, he_uniform: Uniform, 2.0 / (fan_in);

    /// Glorot-normal weights: a normal truncated at two deviations, rescaled to the deviation
    /// σ = √(2 / max(1, fan_in + fan_out)).
    ///
    /// A linear layer keeps the variance of the signal if its weights have the variance 1 / fan_in, and
    /// that of the gradient, on its way back, with 1 / fan_out. σ² lies between the two.
    ///
    /// Glorot and Bengio 2010, *Understanding the difficulty of training deep feedforward neural
    /// networks*.
    GlorotNormal, glorot_normal: TruncatedNormal, 2.0 / (fan_in + fan_out);

    /// Glorot-uniform weights, Keras's default, with the variance of [`GlorotNormal`]'s: uniform in
    /// (−l, l), l = √(6 / max(1, fan_in + fan_out)).
    ///
    /// Glorot and Bengio 2010, *Understanding the difficulty of training deep feedforward neural
    /// networks*.
    GlorotUniform, glorot_uniform: Uniform, 2.0 / (fan_in + fan_out);
}

impl Pass<'_> {
    /// w = 0
    ///
    /// # Errors
    ///
    /// As [`lecun_normal`](Self::lecun_normal).
    pub fn zeros<T: Element>(&mut self, w: &Tensor<T>) -> Result<()> {
        self.elementwise(
            "zeros",
            CONSTANT,
            Form::default(),
            [write("w", w)],
            |chunk: Chunk| InitializerParams {
                lanes: chunk.lanes,
                ..InitializerParams::zeroed()
            },
        )
    }
}

impl Gpu {
    /// A tensor of zeros, as a destination for a [`Pass`].
    ///
    /// # Errors
    ///
    /// As [`lecun_normal`](Self::lecun_normal), and
    /// [`MissingFeature`](crate::Error::MissingFeature) for f16.
    pub fn zeros<T: Element>(&self, shape: impl AsRef<[usize]>) -> Result<Tensor<T>> {
        Tensor::create(self, shape.as_ref(), |pass, w| pass.zeros(w))
    }
}
