//! The list of activations.

use crate::Result;
use crate::ops::elementwise::Elementwise;
use crate::ops::selu::Selu;
use crate::ops::{elu, gelu, leaky_relu, relu, sigmoid, silu, sine, softplus, tanh};

/// An activation function: a layer of its own, or applied to the sums of another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// x
    #[default]
    Linear,
    /// λx for x > 0, λα(eˣ − 1) else, see [`Tensor::selu`](crate::Tensor::selu).
    Selu,
    /// SELU with other constants, as from [`Selu::with_fixed_point`].
    SeluWith(Selu),
    /// x for x > 0, α(eˣ − 1) else, see [`Tensor::elu`](crate::Tensor::elu); α is 1 in Keras.
    Elu(f64),
    /// x for x > 0, 0 else, see [`Tensor::relu`](crate::Tensor::relu).
    Relu,
    /// x for x > 0, `negative_slope` · x else, see [`Tensor::leaky_relu`](crate::Tensor::leaky_relu); the slope is 0.2 in Keras.
    LeakyRelu(f64),
    /// 1 / (1 + e⁻ˣ), see [`Tensor::sigmoid`](crate::Tensor::sigmoid).
    Sigmoid,
    /// tanh x, see [`Tensor::tanh`](crate::Tensor::tanh).
    Tanh,
    /// x / (1 + e⁻ˣ), see [`Tensor::silu`](crate::Tensor::silu).
    Silu,
    /// x Φ(x), or its tanh form, see [`Tensor::gelu`](crate::Tensor::gelu).
    Gelu {
        /// Whether it is the tanh form; `false` in Keras.
        approximate: bool,
    },
    /// ln(1 + eˣ), see [`Tensor::softplus`](crate::Tensor::softplus).
    Softplus,
    /// sin(`frequency` · x), see [`Tensor::sine`](crate::Tensor::sine); the frequency is 30 in SIREN.
    Sine(f64),
    /// eˣ / Σ eˣ over the last axis.
    Softmax,
}

impl Activation {
    /// What kernels take; `None` for softmax, which works on rows. Errors name `op`.
    pub(crate) fn elementwise(self, op: &'static str) -> Result<Option<Elementwise>> {
        Ok(Some(match self {
            Self::Linear => Elementwise::default(),
            Self::Selu => Selu::default().elementwise(op)?,
            Self::SeluWith(selu) => selu.elementwise(op)?,
            Self::Elu(alpha) => elu::elementwise(op, alpha)?,
            Self::Relu => relu::RELU,
            Self::LeakyRelu(slope) => leaky_relu::elementwise(op, slope)?,
            Self::Sigmoid => sigmoid::SIGMOID,
            Self::Tanh => tanh::TANH,
            Self::Silu => silu::SILU,
            Self::Gelu { approximate } => gelu::elementwise(approximate),
            Self::Softplus => softplus::SOFTPLUS,
            Self::Sine(frequency) => sine::elementwise(op, frequency)?,
            Self::Softmax => return Ok(None),
        }))
    }
}
