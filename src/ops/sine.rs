//! Sine.

use super::elementwise::{ActivationParams, Elementwise};
use super::require;
use crate::shader::files;
use crate::{Element, Pass, Result, Tensor};

/// Those whose products with any x have parts that are normal numbers; see the shader.
const FREQUENCIES: std::ops::RangeInclusive<f64> = 1e-6..=1e6;

pub(super) fn elementwise(op: &'static str, frequency: f64) -> Result<Elementwise> {
    let allowed = FREQUENCIES.contains(&frequency);
    require(op, "frequency", frequency, allowed, "from 1e-6 to 1e6")?;
    let plain = Elementwise::new(&files::SINE);
    Ok(Elementwise {
        params: ActivationParams {
            positive: frequency as f32,
            ..plain.params
        },
        ..plain
    })
}

impl Pass<'_> {
    /// y = sine(x), see [`Tensor::sine`].
    ///
    /// # Errors
    ///
    /// [`Shape`](crate::Error::Shape), [`Aliased`](crate::Error::Aliased),
    /// [`OtherGpu`](crate::Error::OtherGpu), [`MissingFeature`](crate::Error::MissingFeature) for
    /// f16, [`Parameter`](crate::Error::Parameter) if the frequency is not from 10⁻⁶ to 10⁶.
    pub fn sine<T: Element>(&mut self, x: &Tensor<T>, frequency: f64, y: &Tensor<T>) -> Result<()> {
        self.activate("sine", elementwise("sine", frequency)?, x, y)
    }

    /// x = sine(x)
    ///
    /// The input is gone, and no backward works from the output: [`sine_backward`](Self::sine_backward)
    /// wants the input. For a gradient, use [`sine`](Self::sine).
    ///
    /// # Errors
    ///
    /// As [`sine`](Self::sine).
    pub fn sine_in_place<T: Element>(&mut self, x: &Tensor<T>, frequency: f64) -> Result<()> {
        self.activate_in_place("sine", elementwise("sine", frequency)?, x)
    }

    /// dx = dy · sine'(x), see [`Tensor::sine_backward`].
    ///
    /// # Errors
    ///
    /// As [`sine`](Self::sine).
    pub fn sine_backward<T: Element>(
        &mut self,
        x: &Tensor<T>,
        frequency: f64,
        dy: &Tensor<T>,
        dx: &Tensor<T>,
    ) -> Result<()> {
        let sine = elementwise("sine_backward", frequency)?;
        self.activate_backward("sine_backward", sine, x, dy, dx)
    }

    /// dy = dy · sine'(x)
    ///
    /// # Errors
    ///
    /// As [`sine`](Self::sine).
    pub fn sine_backward_in_place<T: Element>(
        &mut self,
        x: &Tensor<T>,
        frequency: f64,
        dy: &Tensor<T>,
    ) -> Result<()> {
        let sine = elementwise("sine_backward", frequency)?;
        self.activate_backward_in_place("sine_backward", sine, x, dy)
    }
}

impl<T: Element> Tensor<T> {
    /// Sine: sin(`frequency` · x); any shape. The frequency is in radians per unit of x, rounded to f32; SIREN has 30.
    ///
    /// Within 3 ulp of the true value, or of 1/256 if that is larger, for every f32 whose product with the frequency is
    /// at most 8188.56, which is 5213 π/2, in size: an error of at most 1.8 · 10⁻⁷, and never above 1 in size. Beyond, where numbers
    /// have few digits left behind the point, the value stays 1, or −1 where x is negative. A product that is
    /// subnormal, below 2⁻¹²⁶, may give 0 on devices that flush such numbers. ±0 keeps its sign. ±∞ and NaN give NaN.
    ///
    /// The product with the frequency is exact, in two parts, and so is what multiples of π/2 leave of it.
    ///
    /// Sitzmann et al. 2020, *Implicit Neural Representations with Periodic Activation Functions*, arXiv 2006.09661.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let y = gpu.tensor(&[-0.1, 0.0, 100.0], [3])?.sine(30.0)?.to_vec()?;
    /// // sin(-3), 0, sin(3000)
    /// for (y, expected) in y.into_iter().zip([-0.141_120_0, 0.0, 0.219_190_0]) {
    ///     assert!((y - expected).abs() < 2e-7);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Parameter`](crate::Error::Parameter) if the frequency is not from 10⁻⁶ to 10⁶,
    /// [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost),
    /// [`MissingFeature`](crate::Error::MissingFeature) for f16.
    pub fn sine(&self, frequency: f64) -> Result<Self> {
        self.activated("sine", elementwise("sine", frequency)?)
    }

    /// The gradient through sine: dx = dy · `frequency` · cos(`frequency` · x). `self` is the input of the forward
    /// call.
    ///
    /// Within 4.5 ulp of the true value, or of |dy| · `frequency` / 256 if that is larger, because the derivative has
    /// zeros. It is 0 where the product of x and the frequency is beyond 8188.56 in size: there [`sine`](Self::sine)
    /// is constant.
    ///
    /// Devices that flush subnormal numbers may add 2⁻¹²⁴ to the error, and take a dy below 2⁻¹²⁶ for 0.
    ///
    /// # Errors
    ///
    /// As [`sine`](Self::sine); [`Shape`](crate::Error::Shape).
    pub fn sine_backward(&self, frequency: f64, dy: &Self) -> Result<Self> {
        let sine = elementwise("sine_backward", frequency)?;
        self.activated_backward("sine_backward", sine, dy)
    }
}
