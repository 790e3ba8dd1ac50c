use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, PI};

use super::elementwise::{ActivationParams, Elementwise};
use super::require;
use crate::shader::files;
use crate::{Element, Pass, Result, Tensor};

/// The two constants of SELU, λ (`scale`) and α.
///
/// `Selu::default()` are the published ones (Klambauer et al. 2017, arXiv 1706.02515), for which
/// mean 0 and variance 1 are a stable fixed point; [`Selu::with_fixed_point`] are those for another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selu {
    /// α: the function tends to −λα for x → −∞.
    pub alpha: f64,
    /// λ: the slope for x > 0.
    pub scale: f64,
}

impl Default for Selu {
    fn default() -> Self {
        Self {
            alpha: 1.673_263_242_354_377_2,
            scale: 1.050_700_987_355_480_5,
        }
    }
}

impl Selu {
    /// The constants that keep mean μ and variance ν from layer to layer, instead of 0 and 1.
    ///
    /// They solve E\[selu(z)\] = μ and Var\[selu(z)\] = ν for z ~ N(0, ν): the sums that a layer
    /// whose weights have the sum ω = 0 and the sum of squares τ = 1 computes from such inputs
    /// (Klambauer et al. 2017, arXiv 1706.02515, section 2). With Φ the distribution function of
    /// N(0, 1) and
    ///
    /// - A = E\[z; z > 0\] = √(ν / 2π),
    /// - B = E\[1 − eᶻ; z < 0\] = ½ − exp(ν/2) Φ(−√ν),
    /// - D = E\[(1 − eᶻ)²; z < 0\] = ½ − 2 exp(ν/2) Φ(−√ν) + exp(2ν) Φ(−2√ν),
    ///
    /// these are λ(A − αB) = μ and λ²(ν/2 + α²D) = ν + μ². They have one solution with positive λ and α
    /// if −B √(ν / (D − B²)) < μ < √(ν / (π − 1)), else none. The upper bound is 0.683 √ν; the lower one
    /// is −0.803 for ν = 1, and goes from −0.683 √ν for small ν to −√ν for large ones.
    ///
    /// The result's mean and variance are within 10⁻¹⁴ √ν and 10⁻¹⁴ ν of those asked for. For
    /// μ = 0, α and λ are within a relative 10⁻¹⁵ of the exact ones; (0, 1) gives `Selu::default()`.
    ///
    /// **Stability.** The paper proves only for (0, 1) that the fixed point attracts for all ω and
    /// τ near 0 and 1. For ω = 0 and τ = 1 the others attract as well: the map depends on ν only,
    /// and the eigenvalues of its Jacobian are 0 and J = ∂Var\[selu(z)\]/∂ν. J < 1: for
    /// n ~ N(0, 1), selu(√ν n)/√ν increases with n and its derivative with respect to ν decreases
    /// with n, so their covariance is negative and Var\[selu(z)\]/ν decreases with ν. J > 0 is only
    /// tested, for 10⁻⁸ ≤ ν ≤ 10⁶. J is 0.78 for (0, 1); where ν is small or μ near its upper bound,
    /// it is near 1 and the pull is weak.
    ///
    /// The authors' notebook `getSELUparameters` assumes weights with ω = 1, z ~ N(μ, ν). It gives
    /// the same constants for μ = 0, and different ones otherwise.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::Selu;
    ///
    /// assert_eq!(Selu::with_fixed_point(0.0, 1.0)?, Selu::default());
    /// let wide = Selu::with_fixed_point(0.0, 2.0)?;
    /// assert_eq!((wide.alpha as f32, wide.scale as f32), (1.9712558, 1.0607091));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Parameter`](crate::Error::Parameter) if the mean or the variance is not finite, the variance
    /// not above 0, or the mean outside the bounds above.
    pub fn with_fixed_point(mean: f64, variance: f64) -> Result<Self> {
        Self::solve("Selu::with_fixed_point", mean, variance)
    }

    /// [`with_fixed_point`](Self::with_fixed_point), with errors that name `op`.
    pub(super) fn solve(op: &'static str, mean: f64, variance: f64) -> Result<Self> {
        require(op, "mean", mean, mean.is_finite(), "finite")?;
        let positive = variance.is_finite() && variance > 0.0;
        require(op, "variance", variance, positive, "finite and above 0")?;
        if (mean, variance) == (0.0, 1.0) {
            // The published values are rounded; the formulas below may be off by an f64's ulp.
            return Ok(Self::default());
        }
        let (centred_alpha, kappa) = centred(variance);
        let ratio = mean / variance.sqrt();
        let square = ratio * ratio;
        // With x = α / centred_alpha and ρ = π μ² / (ν + μ²), (1 − x)² = ρ (1 + κ x²), and 1 − x
        // has the sign of μ. The next two are (1 − ρ)(1 + μ²/ν) and (1 − κρ)(1 + μ²/ν).
        let below_relu = 1.0 - (PI - 1.0) * square;
        let above_step = 1.0 - (PI * kappa - 1.0) * square;
        require(
            op,
            "mean",
            mean,
            mean <= 0.0 || below_relu > 0.0,
            "below 0.683 sqrt(variance), which is what ReLU gives",
        )?;
        require(
            op,
            "mean",
            mean,
            mean >= 0.0 || above_step > 0.0,
            "above what alpha = infinity gives: -0.803 for variance 1, from -0.683 sqrt(variance) \
             for small variances to -sqrt(variance) for large ones",
        )?;
        let rho = PI * square / (1.0 + square);
        let root = (rho * (1.0 + kappa - kappa * rho)).sqrt();
        let x = if mean > 0.0 {
            below_relu / ((1.0 + square) * (1.0 + root))
        } else {
            (1.0 + square) * (1.0 + root) / above_step
        };
        Ok(Self {
            alpha: centred_alpha * x,
            scale: (2.0 * (1.0 + square) / (1.0 + kappa * x * x)).sqrt(),
        })
    }

    /// λα
    pub(super) fn scale_alpha(&self) -> f64 {
        self.scale * self.alpha
    }

    /// The activation as kernels take it, with λα and the part lost in rounding it.
    pub(super) fn elementwise(&self, op: &'static str) -> Result<Elementwise> {
        let Self { alpha, scale } = *self;
        for (name, value) in [("alpha", alpha), ("scale", scale)] {
            require(op, name, value, (value as f32).is_finite(), "a finite f32")?;
        }
        let product = scale * alpha;
        let rounded = product as f32;
        let allowed = rounded.is_finite();
        require(op, "alpha * scale", product, allowed, "a finite f32")?;
        let residual = if product == 0.0 {
            0.0
        } else {
            (product - f64::from(rounded)) / product
        };
        Ok(Elementwise {
            params: ActivationParams {
                positive: scale as f32,
                negative: rounded,
                residual: residual as f32,
                padding: 0,
            },
            ..Elementwise::new(&files::ELU)
        })
    }
}

/// α for mean 0, A / B, and κ = D / (π B²), which falls from 1 to 2/π, in the notation of
/// [`Selu::with_fixed_point`], within a relative 10⁻¹⁵ and 3 · 10⁻¹⁵.
fn centred(variance: f64) -> (f64, f64) {
    // With t = √(ν/2): B = (1 − erfcx(t)) / 2 and D = (1 − 2 erfcx(t) + erfcx(2t)) / 2.
    let t = variance.sqrt() * FRAC_1_SQRT_2;
    let (first, second) = if t < 0.5 {
        // The power series, over t and t², because the differences cancel:
        // erfcx(t) = Σ (−t)ᵏ / Γ(k/2 + 1), here from k = 2 on until (2t)ᵏ / Γ(k/2 + 1) < 2⁻⁵⁸.
        let mut terms = [1.0, -t * FRAC_2_SQRT_PI * (2.0 / 3.0)];
        let (mut once, mut twice, mut power) = (0.0, 0.0, 4.0);
        for k in 2..=40 {
            let [term, next] = terms;
            once += term;
            twice += (power - 2.0) * term;
            terms = [next, term * (t * t * 2.0 / f64::from(k + 2))];
            power *= 2.0;
        }
        let first = FRAC_2_SQRT_PI - t * once;
        (first, twice / (first * first))
    } else {
        let near = erfcx(t);
        let first = 1.0 - near;
        let second = erfcx(2.0 * t) - 2.0 * near + 1.0;
        (first / t, second / (first * first))
    };
    (FRAC_2_SQRT_PI / first, 2.0 / PI * second)
}

/// exp(x²) erfc(x) for x ≥ 0, even where the factors would overflow and underflow.
fn erfcx(x: f64) -> f64 {
    if x < 25.0 {
        let square = x * x;
        let lost = x.mul_add(x, -square);
        libm::exp(square) * (1.0 + lost) * libm::erfc(x)
    } else {
        // The asymptotic series; its next term is below 2⁻⁶⁰.
        let u = 0.5 / (x * x);
        let series = (1..=7)
            .rev()
            .fold(1.0, |sum, k| 1.0 - f64::from(2 * k - 1) * u * sum);
        0.5 * FRAC_2_SQRT_PI / x * series
    }
}

impl Pass<'_> {
    /// y = selu(x), see [`Tensor::selu`].
    ///
    /// # Errors
    ///
    /// [`Shape`](crate::Error::Shape), [`Aliased`](crate::Error::Aliased),
    /// [`OtherGpu`](crate::Error::OtherGpu), [`MissingFeature`](crate::Error::MissingFeature) for
    /// f16.
    pub fn selu<T: Element>(&mut self, x: &Tensor<T>, y: &Tensor<T>) -> Result<()> {
        self.selu_with(x, &Selu::default(), y)
    }

    /// y = selu(x) with other constants.
    ///
    /// # Errors
    ///
    /// As [`selu`](Self::selu); [`Parameter`](crate::Error::Parameter) if a constant is not finite.
    pub fn selu_with<T: Element>(&mut self, x: &Tensor<T>, p: &Selu, y: &Tensor<T>) -> Result<()> {
        self.activate("selu", p.elementwise("selu")?, x, y)
    }

    /// x = selu(x)
    ///
    /// The input is gone, and no backward works from the output: [`selu_backward`](Self::selu_backward) wants the
    /// input. For a gradient, use [`selu`](Self::selu).
    ///
    /// # Errors
    ///
    /// As [`selu`](Self::selu).
    pub fn selu_in_place<T: Element>(&mut self, x: &Tensor<T>) -> Result<()> {
        self.selu_with_in_place(x, &Selu::default())
    }

    /// x = selu(x) with other constants. The input is gone, as with [`selu_in_place`](Self::selu_in_place).
    ///
    /// # Errors
    ///
    /// As [`selu_with`](Self::selu_with).
    pub fn selu_with_in_place<T: Element>(&mut self, x: &Tensor<T>, p: &Selu) -> Result<()> {
        self.activate_in_place("selu", p.elementwise("selu")?, x)
    }

    /// dx = dy · selu'(x), see [`Tensor::selu_backward`].
    ///
    /// # Errors
    ///
    /// As [`selu`](Self::selu).
    pub fn selu_backward<T: Element>(
        &mut self,
        x: &Tensor<T>,
        dy: &Tensor<T>,
        dx: &Tensor<T>,
    ) -> Result<()> {
        self.selu_backward_with(x, &Selu::default(), dy, dx)
    }

    /// dx = dy · selu'(x) with other constants.
    ///
    /// # Errors
    ///
    /// As [`selu_with`](Self::selu_with).
    pub fn selu_backward_with<T: Element>(
        &mut self,
        x: &Tensor<T>,
        p: &Selu,
        dy: &Tensor<T>,
        dx: &Tensor<T>,
    ) -> Result<()> {
        let op = "selu_backward";
        self.activate_backward(op, p.elementwise(op)?, x, dy, dx)
    }

    /// dy = dy · selu'(x)
    ///
    /// # Errors
    ///
    /// As [`selu`](Self::selu).
    pub fn selu_backward_in_place<T: Element>(
        &mut self,
        x: &Tensor<T>,
        dy: &Tensor<T>,
    ) -> Result<()> {
        self.selu_backward_with_in_place(x, &Selu::default(), dy)
    }

    /// dy = dy · selu'(x) with other constants.
    ///
    /// # Errors
    ///
    /// As [`selu_with`](Self::selu_with).
    pub fn selu_backward_with_in_place<T: Element>(
        &mut self,
        x: &Tensor<T>,
        p: &Selu,
        dy: &Tensor<T>,
    ) -> Result<()> {
        let op = "selu_backward";
        self.activate_backward_in_place(op, p.elementwise(op)?, x, dy)
    }
}

impl<T: Element> Tensor<T> {
    /// SELU: λx for x > 0, λα(eˣ − 1) else; any shape.
    ///
    /// Within 2 ulp of the true value for every f32; a result that is subnormal, below 2⁻¹²⁶, may be
    /// 0 on devices that flush such numbers. −∞ gives −λα, NaN gives NaN.
    ///
    /// Klambauer et al. 2017, *Self-Normalizing Neural Networks*, arXiv 1706.02515.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let y = gpu.tensor(&[f32::NEG_INFINITY, -1e-10, 1.0], [3])?.selu()?;
    /// assert_eq!(y.to_vec()?, [-1.7580993, -1.7580993e-10, 1.050701]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost),
    /// [`MissingFeature`](crate::Error::MissingFeature) for f16.
    pub fn selu(&self) -> Result<Self> {
        self.selu_with(&Selu::default())
    }

    /// SELU with other constants, such as those of an ONNX node.
    ///
    /// Within 2.5 ulp of the value for λ rounded to f32 and the product λα as given. On devices that
    /// flush subnormal numbers, a subnormal λ may count as 0, and |λα| must be 0 or at least 2⁻⁷⁶ for
    /// this bound.
    ///
    /// # Errors
    ///
    /// As [`selu`](Self::selu); [`Parameter`](crate::Error::Parameter) if a constant is not finite.
    pub fn selu_with(&self, p: &Selu) -> Result<Self> {
        self.activated("selu", p.elementwise("selu")?)
    }

    /// The gradient through SELU: dx = dy · λ for x > 0, dy · λα eˣ else. `self` is the input of
    /// the forward call.
    ///
    /// At 0 the derivative is the left one, λα, as in PyTorch; TensorFlow has the right one, λ, there. So where inputs
    /// are exactly 0, such as black pixels, gradients differ from TensorFlow's by a factor of α.
    ///
    /// Within 2 ulp of the true value where |λα eˣ| is at least 2⁻¹²⁶, for every dy; below, the error
    /// is at most 2⁻¹²⁶ |dy|. Devices that flush subnormal numbers may add 2⁻¹²⁴ to the error, and
    /// treat a dy below 2⁻¹²⁶ as 0.
    ///
    /// # Errors
    ///
    /// As [`selu`](Self::selu); [`Shape`](crate::Error::Shape).
    pub fn selu_backward(&self, dy: &Self) -> Result<Self> {
        self.selu_backward_with(&Selu::default(), dy)
    }

    /// The gradient through SELU with other constants.
    ///
    /// Within 2.5 ulp of the value for λ rounded to f32 and the product λα as given, where |λα eˣ| is
    /// at least 2⁻¹²⁶; below that, as for [`elu_backward`](Self::elu_backward) with λα for α.
    ///
    /// # Errors
    ///
    /// As [`selu_with`](Self::selu_with); [`Shape`](crate::Error::Shape).
    pub fn selu_backward_with(&self, p: &Selu, dy: &Self) -> Result<Self> {
        self.activated_backward("selu_backward", p.elementwise("selu_backward")?, dy)
    }
}
