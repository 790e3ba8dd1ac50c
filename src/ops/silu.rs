//! SiLU, also called Swish.

use super::elementwise::Elementwise;
use crate::shader::files;
use crate::{Element, Pass, Result, Tensor};

pub(super) const SILU: Elementwise = Elementwise::new(&files::SILU);

impl Pass<'_> {
    /// y = silu(x), see [`Tensor::silu`].
    ///
    /// # Errors
    ///
    /// [`Shape`](crate::Error::Shape), [`Aliased`](crate::Error::Aliased),
    /// [`OtherGpu`](crate::Error::OtherGpu), [`MissingFeature`](crate::Error::MissingFeature) for
    /// f16.
    pub fn silu<T: Element>(&mut self, x: &Tensor<T>, y: &Tensor<T>) -> Result<()> {
        self.activate("silu", SILU, x, y)
    }

    /// x = silu(x)
    ///
    /// The input is gone, and no backward can work from the output, which two inputs may have in common. For a
    /// gradient, use [`silu`](Self::silu).
    ///
    /// # Errors
    ///
    /// As [`silu`](Self::silu).
    pub fn silu_in_place<T: Element>(&mut self, x: &Tensor<T>) -> Result<()> {
        self.activate_in_place("silu", SILU, x)
    }

    /// dx = dy · silu'(x), see [`Tensor::silu_backward`].
    ///
    /// # Errors
    ///
    /// As [`silu`](Self::silu).
    pub fn silu_backward<T: Element>(
        &mut self,
        x: &Tensor<T>,
        dy: &Tensor<T>,
        dx: &Tensor<T>,
    ) -> Result<()> {
        self.activate_backward("silu_backward", SILU, x, dy, dx)
    }

    /// dy = dy · silu'(x)
    ///
    /// # Errors
    ///
    /// As [`silu`](Self::silu).
    pub fn silu_backward_in_place<T: Element>(
        &mut self,
        x: &Tensor<T>,
        dy: &Tensor<T>,
    ) -> Result<()> {
        self.activate_backward_in_place("silu_backward", SILU, x, dy)
    }
}

impl<T: Element> Tensor<T> {
    /// SiLU: x s, s = 1 / (1 + e⁻ˣ); any shape.
    ///
    /// Within 3 ulp of the true value for every f32; a result that is subnormal, below 2⁻¹²⁶, may be 0 on
    /// devices that flush such numbers. −∞ gives 0, NaN gives NaN.
    ///
    /// Hendrycks and Gimpel 2016, arXiv 1606.08415; Elfwing et al. 2017, arXiv 1702.03118.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let y = gpu.tensor(&[f32::NEG_INFINITY, 0.0, 100.0], [3])?.silu()?;
    /// assert_eq!(y.to_vec()?, [0.0, 0.0, 100.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost),
    /// [`MissingFeature`](crate::Error::MissingFeature) for f16.
    pub fn silu(&self) -> Result<Self> {
        self.activated("silu", SILU)
    }

    /// The gradient through SiLU: dx = dy · s (1 + x (1 − s)). `self` is the input of the forward call.
    ///
    /// Within 5 ulp of the larger of the true value and |dy| / 8, for every dy: the derivative has a zero at
    /// x = −1.278. Beyond x = −3, where it has no other, within 5 ulp of the true value while the derivative is
    /// at least 2⁻¹²⁶; below, the error is at most 2⁻¹²⁶ |dy|.
    ///
    /// Devices that flush subnormal numbers may add 2⁻¹²⁴ to the error, and take a dy below 2⁻¹²⁶ for 0.
    ///
    /// # Errors
    ///
    /// As [`silu`](Self::silu); [`Shape`](crate::Error::Shape).
    pub fn silu_backward(&self, dy: &Self) -> Result<Self> {
        self.activated_backward("silu_backward", SILU, dy)
    }
}
