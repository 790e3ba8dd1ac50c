//! ReLU.

use super::elementwise::Elementwise;
use crate::shader::files;
use crate::{Element, Pass, Result, Tensor};

pub(super) const RELU: Elementwise = Elementwise::new(&files::RELU);

impl Pass<'_> {
    /// y = relu(x), see [`Tensor::relu`].
    ///
    /// # Errors
    ///
    /// [`Shape`](crate::Error::Shape), [`Aliased`](crate::Error::Aliased),
    /// [`OtherGpu`](crate::Error::OtherGpu), [`MissingFeature`](crate::Error::MissingFeature) for
    /// f16.
    pub fn relu<T: Element>(&mut self, x: &Tensor<T>, y: &Tensor<T>) -> Result<()> {
        self.activate("relu", RELU, x, y)
    }

    /// x = relu(x)
    ///
    /// The input is gone, but [`relu_backward`](Self::relu_backward) gives the same bits from the output: it needs
    /// only to know which elements are above 0. (A subnormal one may have been flushed.)
    ///
    /// # Errors
    ///
    /// As [`relu`](Self::relu).
    pub fn relu_in_place<T: Element>(&mut self, x: &Tensor<T>) -> Result<()> {
        self.activate_in_place("relu", RELU, x)
    }

    /// dx = dy · relu'(x), see [`Tensor::relu_backward`].
    ///
    /// # Errors
    ///
    /// As [`relu`](Self::relu).
    pub fn relu_backward<T: Element>(
        &mut self,
        x: &Tensor<T>,
        dy: &Tensor<T>,
        dx: &Tensor<T>,
    ) -> Result<()> {
        self.activate_backward("relu_backward", RELU, x, dy, dx)
    }

    /// dy = dy · relu'(x)
    ///
    /// # Errors
    ///
    /// As [`relu`](Self::relu).
    pub fn relu_backward_in_place<T: Element>(
        &mut self,
        x: &Tensor<T>,
        dy: &Tensor<T>,
    ) -> Result<()> {
        self.activate_backward_in_place("relu_backward", RELU, x, dy)
    }
}

impl<T: Element> Tensor<T> {
    /// ReLU: x for x > 0, 0 else; any shape.
    ///
    /// Exact; a subnormal result may be 0 on devices that flush such numbers. −∞ gives 0, NaN gives NaN.
    ///
    /// Nair and Hinton 2010, *Rectified Linear Units Improve Restricted Boltzmann Machines*.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let y = gpu.tensor(&[-1.0, 0.0, 2.0], [3])?.relu()?;
    /// assert_eq!(y.to_vec()?, [0.0, 0.0, 2.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost),
    /// [`MissingFeature`](crate::Error::MissingFeature) for f16.
    pub fn relu(&self) -> Result<Self> {
        self.activated("relu", RELU)
    }

    /// The gradient through ReLU: dx = dy for x > 0, 0 else. `self` is the input of the forward call.
    ///
    /// Exact; the derivative at 0 is 0.
    ///
    /// Devices that flush subnormal numbers may add 2⁻¹²⁴ to the error, and take a dy below 2⁻¹²⁶ for 0.
    ///
    /// # Errors
    ///
    /// As [`relu`](Self::relu); [`Shape`](crate::Error::Shape).
    pub fn relu_backward(&self, dy: &Self) -> Result<Self> {
        self.activated_backward("relu_backward", RELU, dy)
    }
}
