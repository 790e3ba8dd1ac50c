//! The hyperbolic tangent.

use super::elementwise::Elementwise;
use crate::shader::files;
use crate::{Element, Pass, Result, Tensor};

pub(super) const TANH: Elementwise = Elementwise::new(&files::TANH);

impl Pass<'_> {
    /// y = tanh(x), see [`Tensor::tanh`].
    ///
    /// # Errors
    ///
    /// [`Shape`](crate::Error::Shape), [`Aliased`](crate::Error::Aliased),
    /// [`OtherGpu`](crate::Error::OtherGpu), [`MissingFeature`](crate::Error::MissingFeature) for
    /// f16.
    pub fn tanh<T: Element>(&mut self, x: &Tensor<T>, y: &Tensor<T>) -> Result<()> {
        self.activate("tanh", TANH, x, y)
    }

    /// x = tanh(x)
    ///
    /// The input is gone, and no backward works from the output: [`tanh_backward`](Self::tanh_backward) wants the
    /// input. For a gradient, use [`tanh`](Self::tanh).
    ///
    /// # Errors
    ///
    /// As [`tanh`](Self::tanh).
    pub fn tanh_in_place<T: Element>(&mut self, x: &Tensor<T>) -> Result<()> {
        self.activate_in_place("tanh", TANH, x)
    }

    /// dx = dy · tanh'(x), see [`Tensor::tanh_backward`].
    ///
    /// # Errors
    ///
    /// As [`tanh`](Self::tanh).
    pub fn tanh_backward<T: Element>(
        &mut self,
        x: &Tensor<T>,
        dy: &Tensor<T>,
        dx: &Tensor<T>,
    ) -> Result<()> {
        self.activate_backward("tanh_backward", TANH, x, dy, dx)
    }

    /// dy = dy · tanh'(x)
    ///
    /// # Errors
    ///
    /// As [`tanh`](Self::tanh).
    pub fn tanh_backward_in_place<T: Element>(
        &mut self,
        x: &Tensor<T>,
        dy: &Tensor<T>,
    ) -> Result<()> {
        self.activate_backward_in_place("tanh_backward", TANH, x, dy)
    }
}

impl<T: Element> Tensor<T> {
    /// The hyperbolic tangent: (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ); any shape.
    ///
    /// Within 1.5 ulp of the true value for every f32; a result that is subnormal, below 2⁻¹²⁶, may be 0 on
    /// devices that flush such numbers. ±∞ give ±1, NaN gives NaN; zeros keep their sign.
    ///
    /// It is computed as a polynomial up to |x| = 0.55, and as 1 − 2 / (1 + e²ˣ) beyond: nothing cancels.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let y = gpu.tensor(&[f32::NEG_INFINITY, 1e-20, f32::INFINITY], [3])?.tanh()?;
    /// assert_eq!(y.to_vec()?, [-1.0, 1e-20, 1.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost),
    /// [`MissingFeature`](crate::Error::MissingFeature) for f16.
    pub fn tanh(&self) -> Result<Self> {
        self.activated("tanh", TANH)
    }

    /// The gradient through tanh: dx = dy · (1 − tanh²x). `self` is the input of the forward call.
    ///
    /// Within 4.5 ulp of the true value where 1 − tanh²x is at least 2⁻¹²⁶, for every dy; below, the error is
    /// at most 2⁻¹²⁶ |dy|.
    ///
    /// Devices that flush subnormal numbers may add 2⁻¹²⁴ to the error, and take a dy below 2⁻¹²⁶ for 0.
    ///
    /// # Errors
    ///
    /// As [`tanh`](Self::tanh); [`Shape`](crate::Error::Shape).
    pub fn tanh_backward(&self, dy: &Self) -> Result<Self> {
        self.activated_backward("tanh_backward", TANH, dy)
    }
}
