//! GELU, and its tanh form.

use super::activation::Elementwise;
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
    /// GELU: x Φ(x), Φ the distribution function of N(0, 1); with `approximate`, as Keras calls it, its tanh form, ½x (1 + tanh(√(2/π) (x + 0.044715 x³))); any shape.
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
    pub fn gelu(&self, approximate: bool) -> Result<Self> {
        self.activated("gelu", elementwise(approximate))
    }

    /// The gradient through GELU: dx = dy · (Φ(x) + x φ(x)), φ the density of N(0, 1), or the derivative of the tanh form. `self` is the input of the forward call.
    ///
    /// @BBOUND@
    ///
    /// # Errors
    ///
    /// As [`gelu`](Self::gelu); [`Shape`](crate::Error::Shape).
    pub fn gelu_backward(&self, approximate: bool, dy: &Self) -> Result<Self> {
        self.activated_backward("gelu_backward", elementwise(approximate), dy)
    }
}
