//! The functions that operations apply to each element, and their derivatives, in f64. Their own error is
//! below a millionth of an f32's ulp.

use super::ops::Parameter;
use super::{ALPHA, SCALE};

/// λx above 0; below, λα(eˣ − 1).
pub fn selu(p: &Parameter, x: f64) -> f64 {
    let (scale, product) = selu_constants(p);
    bent(scale, product, x)
}

pub fn selu_derivative(p: &Parameter, x: f64) -> f64 {
    let (scale, product) = selu_constants(p);
    bent_derivative(scale, product, x)
}

/// x above 0; below, α(eˣ − 1).
pub fn elu(p: &Parameter, x: f64) -> f64 {
    bent(1.0, f64::from(p.constant() as f32), x)
}

pub fn elu_derivative(p: &Parameter, x: f64) -> f64 {
    bent_derivative(1.0, f64::from(p.constant() as f32), x)
}

/// λ, and λα, of which the device gets the rounded product.
fn selu_constants(p: &Parameter) -> (f64, f64) {
    match p {
        Parameter::None => (SCALE, SCALE * ALPHA),
        Parameter::Selu(p) => (f64::from(p.scale as f32), p.scale * p.alpha),
        p => panic!("{p:?}"),
    }
}

fn bent(scale: f64, product: f64, x: f64) -> f64 {
    if x > 0.0 {
        scale * x
    } else {
        product * x.exp_m1()
    }
}

/// At 0 it is the left one.
fn bent_derivative(scale: f64, product: f64, x: f64) -> f64 {
    match x {
        x if x.is_nan() => x,
        x if x > 0.0 => scale,
        x => product * x.exp(),
    }
}

// The others, as compositions of functions that are good to an f64's ulp, whose arguments' rounding errors are
// amplified by at most 200. Where a derivative crosses zero, its Taylor series takes over.

/// sqrt(1 / 2)
const HALF_ROOT: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// 1 / sqrt(2 pi)
const DENSITY: f64 = 0.398_942_280_401_432_7;
/// sqrt(8 / pi), and times 0.044715.
const LINEAR: f64 = 1.595_769_121_605_730_8;
const CUBIC: f64 = 0.071_354_816_272_600_25;

/// A zero of a derivative in two parts, and the derivative's Taylor coefficients there from the first on.
type Zero = ([f64; 2], [f64; 7]);

const SILU_ZERO: Zero = (
    [-1.278_464_542_761_073_7, -1.094_699_418_309_343_7e-16],
    [
        0.217_811_705_719_800_1,
        0.146_648_796_996_946_9,
        0.018_874_814_223_782_313,
        -0.015_222_655_223_188_032,
        -0.006_606_589_138_356_696,
        0.000_126_627_410_081_122,
        0.000_798_521_881_839_799_8,
    ],
);
const GELU_ZERO: Zero = (
    [-0.751_791_524_693_564_5, 1.495_675_917_700_988_3e-17],
    [
        0.431_493_992_314_046_9,
        0.388_284_982_990_552,
        -0.018_199_676_398_671_087,
        -0.114_008_233_297_221_7,
        -0.014_771_522_148_244_338,
        0.019_421_679_838_189_066,
        0.004_539_228_379_125_416,
    ],
);
const GELU_TANH_ZERO: Zero = (
    [-0.752_461_422_071_016_3, 3.635_560_509_207_687e-17],
    [
        0.430_400_091_024_858_5,
        0.387_518_446_135_788_9,
        -0.015_782_853_521_848_03,
        -0.113_944_483_080_958_99,
        -0.016_619_328_343_052_563,
        0.019_682_309_459_833_12,
        0.005_261_059_254_921_881,
    ],
);

/// The Taylor series, if x is within 0.01 of the zero: its next term is below 1e-16 of the first.
fn near_zero(x: f64, zero: &Zero) -> Option<f64> {
    let ([high, low], coefficients) = zero;
    let d = (x - high) - low;
    (d.abs() < 0.01).then(|| coefficients.iter().rev().fold(0.0, |sum, c| (sum + c) * d))
}

/// Where sine stops: 5213 π/2 as an f32.
const LAST_CREST: f32 = 8188.561;

/// The product, which is exact, and whether it is beyond the last crest: the device compares the rounded one.
fn phase(p: &Parameter, x: f64) -> (f64, bool) {
    let z = f64::from(p.constant() as f32) * x;
    (z, (z as f32).abs() >= LAST_CREST)
}

/// sin(frequency · x) up to the last crest.
pub fn sine(p: &Parameter, x: f64) -> f64 {
    match phase(p, x) {
        (z, true) if x.is_finite() => z.signum(),
        (z, _) => z.sin(),
    }
}

pub fn sine_derivative(p: &Parameter, x: f64) -> f64 {
    match phase(p, x) {
        (_, true) if x.is_finite() => 0.0,
        (z, _) => f64::from(p.constant() as f32) * z.cos(),
    }
}

/// x above 0; 0 below.
pub fn relu(_: &Parameter, x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

/// At 0 it is the left one.
pub fn relu_derivative(_: &Parameter, x: f64) -> f64 {
    match x {
        x if x.is_nan() => x,
        x if x > 0.0 => 1.0,
        _ => 0.0,
    }
}

/// exp(-a) / (1 + exp(-a)) and 1 / (1 + exp(-a)) for a >= 0.
fn halves(a: f64) -> (f64, f64) {
    let e = libm::exp(-a);
    (e / (1.0 + e), 1.0 / (1.0 + e))
}

/// f'(x) of an f with f'(x) + f'(-x) = 1, from its value for x <= 0.
fn mirrored(x: f64, left: impl Fn(f64) -> f64) -> f64 {
    if x > 0.0 { 1.0 - left(-x) } else { left(x) }
}

pub fn sigmoid(_: &Parameter, x: f64) -> f64 {
    logistic(x)
}

fn logistic(x: f64) -> f64 {
    let (q, rest) = halves(x.abs());
    if x < 0.0 { q } else { rest }
}

pub fn sigmoid_derivative(_: &Parameter, x: f64) -> f64 {
    logistic_derivative(x)
}

fn logistic_derivative(x: f64) -> f64 {
    let (q, rest) = halves(x.abs());
    q * rest
}

pub fn tanh(_: &Parameter, x: f64) -> f64 {
    let m = libm::expm1(-2.0 * x.abs());
    (-m / (2.0 + m)).copysign(x)
}

pub fn tanh_derivative(_: &Parameter, x: f64) -> f64 {
    4.0 * logistic_derivative(2.0 * x)
}

pub fn silu(_: &Parameter, x: f64) -> f64 {
    if x == f64::NEG_INFINITY {
        -0.0
    } else {
        x * logistic(x)
    }
}

pub fn silu_derivative(_: &Parameter, x: f64) -> f64 {
    mirrored(x, |x| {
        if x == f64::NEG_INFINITY {
            return -0.0;
        }
        let (q, rest) = halves(-x);
        near_zero(x, &SILU_ZERO).unwrap_or(q * (1.0 + x * rest))
    })
}

pub fn softplus(_: &Parameter, x: f64) -> f64 {
    if x.is_nan() {
        x
    } else {
        x.max(0.0) + libm::log1p(libm::exp(-x.abs()))
    }
}

pub fn softplus_derivative(_: &Parameter, x: f64) -> f64 {
    logistic(x)
}

pub fn gelu(_: &Parameter, x: f64) -> f64 {
    if x == f64::NEG_INFINITY {
        -0.0
    } else {
        x * (0.5 * libm::erfc(-x * HALF_ROOT))
    }
}

pub fn gelu_derivative(_: &Parameter, x: f64) -> f64 {
    mirrored(x, |x| {
        if x < -40.0 {
            return -0.0;
        }
        let whole = 0.5 * libm::erfc(-x * HALF_ROOT) + x * DENSITY * libm::exp(-0.5 * x * x);
        near_zero(x, &GELU_ZERO).unwrap_or(whole)
    })
}

pub fn gelu_tanh(_: &Parameter, x: f64) -> f64 {
    if x == f64::NEG_INFINITY {
        -0.0
    } else {
        x * logistic(x * (LINEAR + CUBIC * x * x))
    }
}

pub fn gelu_tanh_derivative(_: &Parameter, x: f64) -> f64 {
    mirrored(x, |x| {
        if x < -40.0 {
            return -0.0;
        }
        let (q, rest) = halves(-x * (LINEAR + CUBIC * x * x));
        let whole = q * (1.0 + x * (LINEAR + 3.0 * CUBIC * x * x) * rest);
        near_zero(x, &GELU_TANH_ZERO).unwrap_or(whole)
    })
}

pub fn leaky_relu(p: &Parameter, x: f64) -> f64 {
    let negative_slope = f64::from(p.constant() as f32);
    if x > 0.0 || x.is_nan() {
        x
    } else if negative_slope == 0.0 && x.is_infinite() {
        0.0
    } else {
        negative_slope * x
    }
}

/// At 0 the derivative from the left.
pub fn leaky_relu_derivative(p: &Parameter, x: f64) -> f64 {
    let negative_slope = f64::from(p.constant() as f32);
    if x.is_nan() {
        x
    } else if x > 0.0 {
        1.0
    } else {
        negative_slope
    }
}
