//! The sigmoid.

use super::elementwise::Elementwise;
use crate::shader::files;
use crate::{Element, Pass, Result, Tensor};

pub(super) const SIGMOID: Elementwise = Elementwise::new(&files::SIGMOID);

impl Pass<'_> {
    /// y = sigmoid(x), see [`Tensor::sigmoid`].
    ///
    /// # Errors
    ///
    /// [`Shape`](crate::Error::Shape), [`Aliased`](crate::Error::Aliased),
    /// [`OtherGpu`](crate::Error::OtherGpu), [`MissingFeature`](crate::Error::MissingFeature) for
    /// f16.
    pub fn sigmoid<T: Element>(&mut self, x: &Tensor<T>, y: &Tensor<T>) -> Result<()> {
        self.activate("sigmoid", SIGMOID, x, y)
    }

    /// x = sigmoid(x)
    ///
    /// The input is gone, and no backward works from the output: [`sigmoid_backward`](Self::sigmoid_backward) wants
    /// the input. For a gradient, use [`sigmoid`](Self::sigmoid).
    ///
    /// # Errors
    ///
    /// As [`sigmoid`](Self::sigmoid).
    pub fn sigmoid_in_place<T: Element>(&mut self, x: &Tensor<T>) -> Result<()> {
        self.activate_in_place("sigmoid", SIGMOID, x)
    }

    /// dx = dy · sigmoid'(x), see [`Tensor::sigmoid_backward`].
    ///
    /// # Errors
    ///
    /// As [`sigmoid`](Self::sigmoid).
    pub fn sigmoid_backward<T: Element>(
        &mut self,
        x: &Tensor<T>,
        dy: &Tensor<T>,
        dx: &Tensor<T>,
    ) -> Result<()> {
        self.activate_backward("sigmoid_backward", SIGMOID, x, dy, dx)
    }

    /// dy = dy · sigmoid'(x)
    ///
    /// # Errors
    ///
    /// As [`sigmoid`](Self::sigmoid).
    pub fn sigmoid_backward_in_place<T: Element>(
        &mut self,
        x: &Tensor<T>,
        dy: &Tensor<T>,
    ) -> Result<()> {
        self.activate_backward_in_place("sigmoid_backward", SIGMOID, x, dy)
    }
}

impl<T: Element> Tensor<T> {
    /// The sigmoid: 1 / (1 + e⁻ˣ); any shape.
    ///
    /// Within 2 ulp of the true value for every f32; a result that is subnormal, below 2⁻¹²⁶, may be 0 on
    /// devices that flush such numbers. −∞ gives 0, ∞ gives 1, NaN gives NaN.
    ///
    /// It is computed from exp(−|x|), so that nothing cancels, and by Newton steps in place of a division,
    /// which WGSL lets be 2.5 ulp off.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let y = gpu.tensor(&[f32::NEG_INFINITY, 0.0, f32::INFINITY], [3])?.sigmoid()?;
    /// assert_eq!(y.to_vec()?, [0.0, 0.5, 1.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost),
    /// [`MissingFeature`](crate::Error::MissingFeature) for f16.
    pub fn sigmoid(&self) -> Result<Self> {
        self.activated("sigmoid", SIGMOID)
    }

    /// The gradient through the sigmoid: dx = dy · s(1 − s), s the sigmoid of x. `self` is the input of the forward call.
    ///
    /// Within 4.5 ulp of the true value where s(1 − s) is at least 2⁻¹²⁶, for every dy; below, the error is at
    /// most 2⁻¹²⁶ |dy|.
    ///
    /// Devices that flush subnormal numbers may add 2⁻¹²⁴ to the error, and take a dy below 2⁻¹²⁶ for 0.
    ///
    /// # Errors
    ///
    /// As [`sigmoid`](Self::sigmoid); [`Shape`](crate::Error::Shape).
    pub fn sigmoid_backward(&self, dy: &Self) -> Result<Self> {
        self.activated_backward("sigmoid_backward", SIGMOID, dy)
    }
}
