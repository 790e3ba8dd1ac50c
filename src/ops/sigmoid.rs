//! The sigmoid.

use super::activation::Elementwise;
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
    /// the sigmoid: 1 / (1 + e⁻ˣ); any shape.
    ///
    /// @BOUND@
    ///
    /// @SOURCE@
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # let gpu = selfnorm::Gpu::new()?;
    /// @EXAMPLE@
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
    /// @BBOUND@
    ///
    /// # Errors
    ///
    /// As [`sigmoid`](Self::sigmoid); [`Shape`](crate::Error::Shape).
    pub fn sigmoid_backward(&self, dy: &Self) -> Result<Self> {
        self.activated_backward("sigmoid_backward", SIGMOID, dy)
    }
}
