//! Leaky ReLU.

use super::elementwise::{ActivationParams, Elementwise};
use super::require;
use crate::shader::files;
use crate::{Element, Pass, Result, Tensor};

pub(super) fn elementwise(op: &'static str, negative_slope: f64) -> Result<Elementwise> {
    let slope = negative_slope as f32;
    let allowed = slope.is_finite();
    require(
        op,
        "negative_slope",
        negative_slope,
        allowed,
        "a finite f32",
    )?;
    let plain = Elementwise::new(&files::LEAKY_RELU);
    Ok(Elementwise {
        params: ActivationParams {
            negative: slope,
            ..plain.params
        },
        ..plain
    })
}

impl Pass<'_> {
    /// y = leaky_relu(x), see [`Tensor::leaky_relu`].
    ///
    /// # Errors
    ///
    /// [`Shape`](crate::Error::Shape), [`Aliased`](crate::Error::Aliased),
    /// [`OtherGpu`](crate::Error::OtherGpu), [`MissingFeature`](crate::Error::MissingFeature) for
    /// f16, [`Parameter`](crate::Error::Parameter) if the slope is not finite.
    pub fn leaky_relu<T: Element>(
        &mut self,
        x: &Tensor<T>,
        negative_slope: f64,
        y: &Tensor<T>,
    ) -> Result<()> {
        self.activate(
            "leaky_relu",
            elementwise("leaky_relu", negative_slope)?,
            x,
            y,
        )
    }

    /// x = leaky_relu(x)
    ///
    /// The input is gone, but with a slope of at least 0 [`leaky_relu_backward`](Self::leaky_relu_backward) gives the
    /// same bits from the output: it needs only to know which elements are above 0. (A subnormal one may have been
    /// flushed.) With a negative slope it does not; then, for a gradient, use [`leaky_relu`](Self::leaky_relu).
    ///
    /// # Errors
    ///
    /// As [`leaky_relu`](Self::leaky_relu).
    pub fn leaky_relu_in_place<T: Element>(
        &mut self,
        x: &Tensor<T>,
        negative_slope: f64,
    ) -> Result<()> {
        self.activate_in_place("leaky_relu", elementwise("leaky_relu", negative_slope)?, x)
    }

    /// dx = dy · leaky_relu'(x), see [`Tensor::leaky_relu_backward`].
    ///
    /// # Errors
    ///
    /// As [`leaky_relu`](Self::leaky_relu).
    pub fn leaky_relu_backward<T: Element>(
        &mut self,
        x: &Tensor<T>,
        negative_slope: f64,
        dy: &Tensor<T>,
        dx: &Tensor<T>,
    ) -> Result<()> {
        self.activate_backward(
            "leaky_relu_backward",
            elementwise("leaky_relu_backward", negative_slope)?,
            x,
            dy,
            dx,
        )
    }

    /// dy = dy · leaky_relu'(x)
    ///
    /// # Errors
    ///
    /// As [`leaky_relu`](Self::leaky_relu).
    pub fn leaky_relu_backward_in_place<T: Element>(
        &mut self,
        x: &Tensor<T>,
        negative_slope: f64,
        dy: &Tensor<T>,
    ) -> Result<()> {
        self.activate_backward_in_place(
            "leaky_relu_backward",
            elementwise("leaky_relu_backward", negative_slope)?,
            x,
            dy,
        )
    }
}

impl<T: Element> Tensor<T> {
    /// Leaky ReLU: x for x > 0, `negative_slope` · x else; any shape.
    ///
    /// Within 0.5 ulp of the true value for every f32, for the slope rounded to f32; a result that is
    /// subnormal, below 2⁻¹²⁶, may be 0 on devices that flush such numbers. NaN gives NaN; zeros keep their
    /// sign, and a slope of 0 gives 0 for −∞, too.
    ///
    /// Maas et al. 2013, *Rectifier Nonlinearities Improve Neural Network Acoustic Models*.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let y = gpu.tensor(&[-1.0, 0.0, 2.0], [3])?.leaky_relu(0.2)?;
    /// assert_eq!(y.to_vec()?, [-0.2, 0.0, 2.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Parameter`](crate::Error::Parameter) if the slope is not finite,
    /// [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost),
    /// [`MissingFeature`](crate::Error::MissingFeature) for f16.
    pub fn leaky_relu(&self, negative_slope: f64) -> Result<Self> {
        self.activated("leaky_relu", elementwise("leaky_relu", negative_slope)?)
    }

    /// The gradient through Leaky ReLU: dx = dy for x > 0, dy · `negative_slope` else. `self` is the input of the forward call.
    ///
    /// Within 0.5 ulp of the true value; the derivative at 0 is the left one.
    ///
    /// Devices that flush subnormal numbers may add 2⁻¹²⁴ to the error, and take a dy below 2⁻¹²⁶ for 0.
    ///
    /// # Errors
    ///
    /// As [`leaky_relu`](Self::leaky_relu); [`Shape`](crate::Error::Shape).
    pub fn leaky_relu_backward(&self, negative_slope: f64, dy: &Self) -> Result<Self> {
        self.activated_backward(
            "leaky_relu_backward",
            elementwise("leaky_relu_backward", negative_slope)?,
            dy,
        )
    }
}
