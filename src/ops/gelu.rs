//! GELU, and its tanh form.

use super::elementwise::Elementwise;
use crate::shader::files;
use crate::{Element, Pass, Result, Tensor};

pub(super) fn elementwise(approximate: bool) -> Elementwise {
    Elementwise::new(if approximate {
        &files::GELU_TANH
    } else {
        &files::GELU
    })
}

impl Pass<'_> {
    /// y = gelu(x), see [`Tensor::gelu`].
    ///
    /// # Errors
    ///
    /// [`Shape`](crate::Error::Shape), [`Aliased`](crate::Error::Aliased),
    /// [`OtherGpu`](crate::Error::OtherGpu), [`MissingFeature`](crate::Error::MissingFeature) for
    /// f16.
    pub fn gelu<T: Element>(
        &mut self,
        x: &Tensor<T>,
        approximate: bool,
        y: &Tensor<T>,
    ) -> Result<()> {
        self.activate("gelu", elementwise(approximate), x, y)
    }

    /// x = gelu(x)
    ///
    /// The input is gone, and no backward can work from the output, which two inputs may have in common. For a
    /// gradient, use [`gelu`](Self::gelu).
    ///
    /// # Errors
    ///
    /// As [`gelu`](Self::gelu).
    pub fn gelu_in_place<T: Element>(&mut self, x: &Tensor<T>, approximate: bool) -> Result<()> {
        self.activate_in_place("gelu", elementwise(approximate), x)
    }

    /// dx = dy · gelu'(x), see [`Tensor::gelu_backward`].
    ///
    /// # Errors
    ///
    /// As [`gelu`](Self::gelu).
    pub fn gelu_backward<T: Element>(
        &mut self,
        x: &Tensor<T>,
        approximate: bool,
        dy: &Tensor<T>,
        dx: &Tensor<T>,
    ) -> Result<()> {
        self.activate_backward("gelu_backward", elementwise(approximate), x, dy, dx)
    }

    /// dy = dy · gelu'(x)
    ///
    /// # Errors
    ///
    /// As [`gelu`](Self::gelu).
    pub fn gelu_backward_in_place<T: Element>(
        &mut self,
        x: &Tensor<T>,
        approximate: bool,
        dy: &Tensor<T>,
    ) -> Result<()> {
        self.activate_backward_in_place("gelu_backward", elementwise(approximate), x, dy)
    }
}

impl<T: Element> Tensor<T> {
    /// GELU: x Φ(x), where Φ is the distribution function of N(0, 1); any shape. With `approximate`, as in
    /// Keras, it is the tanh form: ½x (1 + tanh(√(2/π) (x + 0.044715 x³))).
    ///
    /// Within 5.5 ulp of the true value for every f32, the tanh form within 3 ulp of its own; a result that is
    /// subnormal, below 2⁻¹²⁶, may be 0 on devices that flush such numbers. −∞ gives 0, NaN gives NaN.
    ///
    /// Hendrycks and Gimpel 2016, *Gaussian Error Linear Units (GELUs)*, arXiv 1606.08415.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let y = gpu.tensor(&[f32::NEG_INFINITY, 0.0, 100.0], [3])?.gelu(false)?;
    /// assert_eq!(y.to_vec()?, [0.0, 0.0, 100.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost),
    /// [`MissingFeature`](crate::Error::MissingFeature) for f16.
    pub fn gelu(&self, approximate: bool) -> Result<Self> {
        self.activated("gelu", elementwise(approximate))
    }

    /// The gradient through GELU: dx = dy · (Φ(x) + x φ(x)), where φ is the density of N(0, 1), or dy times
    /// the derivative of the tanh form. `self` is the input of the forward call.
    ///
    /// Within 6 ulp of the true value, for every dy, where the derivative is at least 2⁻¹²⁶; below, the error
    /// is at most 2⁻¹²⁶ |dy|. The tanh form: within 7 ulp of the larger of the true value and |dy| / 8, since the
    /// derivative has a zero at x = −0.752; from x = −3 down, where it has no other, as above with 7 ulp.
    ///
    /// Devices that flush subnormal numbers may add 2⁻¹²⁴ to the error, and take a dy below 2⁻¹²⁶ for 0.
    ///
    /// # Errors
    ///
    /// As [`gelu`](Self::gelu); [`Shape`](crate::Error::Shape).
    pub fn gelu_backward(&self, approximate: bool, dy: &Self) -> Result<Self> {
        self.activated_backward("gelu_backward", elementwise(approximate), dy)
    }
}
