//! Softplus.

use super::elementwise::Elementwise;
use crate::shader::files;
use crate::{Element, Pass, Result, Tensor};

pub(super) const SOFTPLUS: Elementwise = Elementwise::new(&files::SOFTPLUS);

impl Pass<'_> {
    /// y = softplus(x), see [`Tensor::softplus`].
    ///
    /// # Errors
    ///
    /// [`Shape`](crate::Error::Shape), [`Aliased`](crate::Error::Aliased),
    /// [`OtherGpu`](crate::Error::OtherGpu), [`MissingFeature`](crate::Error::MissingFeature) for
    /// f16.
    pub fn softplus<T: Element>(&mut self, x: &Tensor<T>, y: &Tensor<T>) -> Result<()> {
        self.activate("softplus", SOFTPLUS, x, y)
    }

    /// x = softplus(x)
    ///
    /// The input is gone, and no backward works from the output: [`softplus_backward`](Self::softplus_backward)
    /// wants the input. For a gradient, use [`softplus`](Self::softplus).
    ///
    /// # Errors
    ///
    /// As [`softplus`](Self::softplus).
    pub fn softplus_in_place<T: Element>(&mut self, x: &Tensor<T>) -> Result<()> {
        self.activate_in_place("softplus", SOFTPLUS, x)
    }

    /// dx = dy · softplus'(x), see [`Tensor::softplus_backward`].
    ///
    /// # Errors
    ///
    /// As [`softplus`](Self::softplus).
    pub fn softplus_backward<T: Element>(
        &mut self,
        x: &Tensor<T>,
        dy: &Tensor<T>,
        dx: &Tensor<T>,
    ) -> Result<()> {
        self.activate_backward("softplus_backward", SOFTPLUS, x, dy, dx)
    }

    /// dy = dy · softplus'(x)
    ///
    /// # Errors
    ///
    /// As [`softplus`](Self::softplus).
    pub fn softplus_backward_in_place<T: Element>(
        &mut self,
        x: &Tensor<T>,
        dy: &Tensor<T>,
    ) -> Result<()> {
        self.activate_backward_in_place("softplus_backward", SOFTPLUS, x, dy)
    }
}

impl<T: Element> Tensor<T> {
    /// Softplus: ln(1 + eˣ); any shape.
    ///
    /// Within 2.5 ulp of the true value for every f32; a result that is subnormal, below 2⁻¹²⁶, may be 0 on
    /// devices that flush such numbers. −∞ gives 0, NaN gives NaN.
    ///
    /// It is computed as max(x, 0) + ln(1 + exp(−|x|)), the logarithm by a polynomial: nothing overflows or cancels.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let y = gpu.tensor(&[f32::NEG_INFINITY, 0.0, 100.0], [3])?.softplus()?;
    /// assert_eq!(y.to_vec()?, [0.0, std::f32::consts::LN_2, 100.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost),
    /// [`MissingFeature`](crate::Error::MissingFeature) for f16.
    pub fn softplus(&self) -> Result<Self> {
        self.activated("softplus", SOFTPLUS)
    }

    /// The gradient through softplus: dx = dy / (1 + e⁻ˣ). `self` is the input of the forward call.
    ///
    /// Within 3 ulp of the true value where the sigmoid is at least 2⁻¹²⁶, for every dy; below, the error is at
    /// most 2⁻¹²⁶ |dy|.
    ///
    /// Devices that flush subnormal numbers may add 2⁻¹²⁴ to the error, and take a dy below 2⁻¹²⁶ for 0.
    ///
    /// # Errors
    ///
    /// As [`softplus`](Self::softplus); [`Shape`](crate::Error::Shape).
    pub fn softplus_backward(&self, dy: &Self) -> Result<Self> {
        self.activated_backward("softplus_backward", SOFTPLUS, dy)
    }
}
