//! ELU is SELU with λ = 1.

use super::elementwise::Elementwise;
use super::{require, selu::Selu};
use crate::{Element, Pass, Result, Tensor};

/// α is rounded first, so that forward and backward use the same α.
pub(super) fn elementwise(op: &'static str, alpha: f64) -> Result<Elementwise> {
    let rounded = f64::from(alpha as f32);
    require(op, "alpha", alpha, rounded.is_finite(), "a finite f32")?;
    let selu = Selu {
        alpha: rounded,
        scale: 1.0,
    };
    selu.elementwise(op)
}

impl Pass<'_> {
    /// y = elu(x), see [`Tensor::elu`].
    ///
    /// # Errors
    ///
    /// [`Shape`](crate::Error::Shape), [`Aliased`](crate::Error::Aliased),
    /// [`OtherGpu`](crate::Error::OtherGpu), [`MissingFeature`](crate::Error::MissingFeature) for
    /// f16, [`Parameter`](crate::Error::Parameter) if `alpha` is not finite.
    pub fn elu<T: Element>(&mut self, x: &Tensor<T>, alpha: f64, y: &Tensor<T>) -> Result<()> {
        self.activate("elu", elementwise("elu", alpha)?, x, y)
    }

    /// x = elu(x)
    ///
    /// The input is gone, and no backward works from the output: [`elu_backward`](Self::elu_backward) wants the
    /// input. For a gradient, use [`elu`](Self::elu).
    ///
    /// # Errors
    ///
    /// As [`elu`](Self::elu).
    pub fn elu_in_place<T: Element>(&mut self, x: &Tensor<T>, alpha: f64) -> Result<()> {
        self.activate_in_place("elu", elementwise("elu", alpha)?, x)
    }

    /// dx = dy · elu'(x), see [`Tensor::elu_backward`].
    ///
    /// # Errors
    ///
    /// As [`elu`](Self::elu).
    pub fn elu_backward<T: Element>(
        &mut self,
        x: &Tensor<T>,
        alpha: f64,
        dy: &Tensor<T>,
        dx: &Tensor<T>,
    ) -> Result<()> {
        let op = "elu_backward";
        self.activate_backward(op, elementwise(op, alpha)?, x, dy, dx)
    }

    /// dy = dy · elu'(x)
    ///
    /// # Errors
    ///
    /// As [`elu`](Self::elu).
    pub fn elu_backward_in_place<T: Element>(
        &mut self,
        x: &Tensor<T>,
        alpha: f64,
        dy: &Tensor<T>,
    ) -> Result<()> {
        let op = "elu_backward";
        self.activate_backward_in_place(op, elementwise(op, alpha)?, x, dy)
    }
}

impl<T: Element> Tensor<T> {
    /// ELU: x for x > 0, α(eˣ − 1) else; any shape.
    ///
    /// Within 2 ulp of the true value for every f32, for α rounded to f32. On devices that flush
    /// subnormal numbers, a subnormal result, below 2⁻¹²⁶, may be 0, and |α| must be 0 or at least
    /// 2⁻⁷⁶ for this bound. −∞ gives −α, NaN gives NaN.
    ///
    /// Clevert et al. 2015, *Fast and Accurate Deep Network Learning by Exponential Linear Units*,
    /// arXiv 1511.07289.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let y = gpu.tensor(&[f32::NEG_INFINITY, -1e-10, 1.0], [3])?.elu(1.0)?;
    /// assert_eq!(y.to_vec()?, [-1.0, -1e-10, 1.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Parameter`](crate::Error::Parameter) if `alpha` is not finite,
    /// [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost),
    /// [`MissingFeature`](crate::Error::MissingFeature) for f16.
    pub fn elu(&self, alpha: f64) -> Result<Self> {
        self.activated("elu", elementwise("elu", alpha)?)
    }

    /// The gradient through ELU: dx = dy for x > 0, dy · α eˣ else. `self` is the input of the
    /// forward call.
    ///
    /// At 0 the derivative is the left one, α, as in PyTorch. For α = 1, TensorFlow's own, it is the right one, too; for
    /// [SELU](Self::selu_backward) TensorFlow's is another.
    ///
    /// Within 2 ulp of the true value where |α eˣ| is at least 2⁻¹²⁶, for every dy; below, the
    /// error is at most 2⁻¹²⁶ |dy|. With an |α| above 2¹²⁴ the gradient is 0 from x = −173 down,
    /// and where |α dy| is above 2¹³⁰ it may be infinite. Devices that flush subnormal numbers may
    /// add 2⁻¹²⁴ to the error, and treat a dy below 2⁻¹²⁶ as 0.
    ///
    /// # Errors
    ///
    /// As [`elu`](Self::elu); [`Shape`](crate::Error::Shape).
    pub fn elu_backward(&self, alpha: f64, dy: &Self) -> Result<Self> {
        let op = "elu_backward";
        self.activated_backward(op, elementwise(op, alpha)?, dy)
    }
}
