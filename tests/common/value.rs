//! The types of elements, as the tests look at them: real numbers that are rounded.

use std::fmt::Debug;

use half::f16;
use selfnorm::Element;

/// A type of elements.
pub trait Value: Element + PartialEq + Debug {
    const HALF: bool;

    fn rounded(value: f64) -> Self;
    fn real(self) -> f64;
    fn of_bits(bits: u32) -> Self;

    /// Whether this is a real number within `tolerance` of `expected`, rounded to this type.
    fn is_near(self, expected: f64, tolerance: f64) -> bool;

    /// The same bits; of NaNs, only that they are.
    fn is_same(self, other: Self) -> bool {
        let (a, b) = (self.real(), other.real());
        a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
    }
}

impl Value for f32 {
    const HALF: bool = false;

    fn rounded(value: f64) -> Self {
        value as f32
    }

    fn real(self) -> f64 {
        self.into()
    }

    fn of_bits(bits: u32) -> Self {
        Self::from_bits(bits)
    }

    fn is_near(self, expected: f64, tolerance: f64) -> bool {
        let max = f64::from(f32::MAX);
        let overflows = expected.abs() + tolerance > max && expected.signum() * self.real() > max;
        let flushed = self == 0.0 && expected.abs() < f64::from(f32::MIN_POSITIVE);
        overflows || flushed || (self.real() - expected).abs() <= tolerance
    }
}

impl Value for f16 {
    const HALF: bool = true;

    fn rounded(value: f64) -> Self {
        Self::from_f64(value)
    }

    fn real(self) -> f64 {
        self.to_f64()
    }

    fn of_bits(bits: u32) -> Self {
        Self::from_bits(bits as u16)
    }

    /// The device computes an f32 within the tolerance, and rounding to f16 keeps the order. Subnormal results
    /// may be flushed.
    fn is_near(self, expected: f64, tolerance: f64) -> bool {
        let (low, high) = (
            Self::from_f64(expected - tolerance).real(),
            Self::from_f64(expected + tolerance).real(),
        );
        let flushed = self.real() == 0.0 && low.abs().min(high.abs()) < Self::MIN_POSITIVE.real();
        flushed || (low..=high).contains(&self.real())
    }
}
