//! Layer normalization, as exporters write it out: mean, variance, and what they make of x.

use super::chain::{Numbers, negative, reciprocal};
use super::term::{Binary, Unary};

/// A part of it, of x with the mean and the variance of its features; an epsilon is added to the latter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Norm {
    Mean,
    MinusMean,
    Centered,
    Squared,
    Variance,
    /// variance + epsilon
    Shifted(f64),
    /// √(variance + epsilon)
    Deviation(f64),
    /// gamma / deviation
    Inverse(f64, Option<Numbers>),
    /// x gamma / deviation
    Scaled(f64, Option<Numbers>),
    /// mean gamma / deviation
    ScaledMean(f64, Option<Numbers>),
    /// beta − mean gamma / deviation
    Rest(f64, Option<Numbers>, Option<Numbers>),
    /// (x − mean) gamma / deviation + beta
    Normal(f64, Option<Numbers>, Option<Numbers>),
}

/// The axes of a value, from one to before another, that a mean is taken over.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Features {
    /// The value's, whatever the mean has left of it.
    pub shape: Vec<usize>,
    pub from: usize,
    pub to: usize,
}

impl Features {
    /// Whether constants for these axes are one for each.
    pub fn are(&self, constants: &[usize]) -> bool {
        let Some(ahead) = constants.len().checked_sub(self.shape.len()) else {
            let all = vec![1; self.shape.len() - constants.len()];
            return self.are(&[&all, constants].concat());
        };
        let of_value = constants.get(ahead..).unwrap_or_default();
        let is_in = |axis| (self.from..self.to).contains(&axis);
        let expected = self.shape.iter().enumerate();
        let mut expected = expected.map(|(axis, &extent)| if is_in(axis) { extent } else { 1 });
        ahead <= 1
            && constants.iter().take(ahead).all(|&extent| extent == 1)
            && of_value
                .iter()
                .all(|&extent| expected.next() == Some(extent))
    }
}

impl Norm {
    /// Its mean over the features.
    pub fn mean(self) -> Option<Self> {
        (self == Self::Squared).then_some(Self::Variance)
    }

    pub fn unary(self, unary: Unary) -> Option<Self> {
        Some(match (unary, self) {
            (Unary::Neg, Self::Mean) => Self::MinusMean,
            (Unary::Neg, Self::ScaledMean(epsilon, gamma)) => Self::Rest(epsilon, gamma, None),
            (Unary::Sqrt, Self::Shifted(epsilon)) => Self::Deviation(epsilon),
            (Unary::Reciprocal, Self::Deviation(epsilon)) => Self::Inverse(epsilon, None),
            _ => return None,
        })
    }

    /// With constants behind the operator, or before it.
    pub fn with(self, binary: Binary, numbers: &Numbers, is_first: bool) -> Option<Self> {
        let scalar = match numbers[..] {
            [value] => Some(value),
            _ => None,
        };
        let all = Some(numbers.clone());
        Some(match (binary, self) {
            (Binary::Add, Self::Variance) => Self::Shifted(scalar?),
            (Binary::Pow, Self::Centered) if scalar == Some(2.0) && !is_first => Self::Squared,
            (Binary::Pow, Self::Shifted(epsilon)) if scalar == Some(0.5) && !is_first => {
                Self::Deviation(epsilon)
            }
            (Binary::Pow, Self::Shifted(epsilon)) if scalar == Some(-0.5) && !is_first => {
                Self::Inverse(epsilon, None)
            }
            (Binary::Div, Self::Deviation(epsilon)) if is_first => Self::Inverse(epsilon, all),
            (Binary::Mul, Self::Inverse(epsilon, None)) => Self::Inverse(epsilon, all),
            (Binary::Mul, Self::Normal(epsilon, None, None)) => Self::Normal(epsilon, all, None),
            (Binary::Div, Self::Normal(epsilon, None, None)) if !is_first => {
                Self::Normal(epsilon, Some(reciprocal(numbers)), None)
            }
            (Binary::Add, Self::Normal(epsilon, gamma, None)) => Self::Normal(epsilon, gamma, all),
            (Binary::Sub, Self::Normal(epsilon, gamma, None)) if !is_first => {
                Self::Normal(epsilon, gamma, Some(negative(numbers)))
            }
            (Binary::Add, Self::Rest(epsilon, gamma, None)) => Self::Rest(epsilon, gamma, all),
            (Binary::Sub, Self::ScaledMean(epsilon, gamma)) if is_first => {
                Self::Rest(epsilon, gamma, all)
            }
            _ => return None,
        })
    }

    /// Of two parts of the same x, over the same features. None is x.
    pub fn binary(binary: Binary, a: Option<&Self>, b: Option<&Self>) -> Option<Self> {
        if let (Binary::Add | Binary::Mul, Some(norm)) = (binary, Self::ordered(binary, b, a)) {
            return Some(norm);
        }
        Self::ordered(binary, a, b)
    }

    fn ordered(binary: Binary, a: Option<&Self>, b: Option<&Self>) -> Option<Self> {
        Some(match (binary, a, b) {
            (Binary::Sub, None, Some(Self::Mean)) => Self::Centered,
            (Binary::Add, None, Some(Self::MinusMean)) => Self::Centered,
            (Binary::Mul, Some(Self::Centered), Some(Self::Centered)) => Self::Squared,
            (Binary::Div, Some(Self::Centered), Some(Self::Deviation(epsilon))) => {
                Self::Normal(*epsilon, None, None)
            }
            (Binary::Mul, Some(Self::Centered), Some(Self::Inverse(epsilon, gamma))) => {
                Self::Normal(*epsilon, gamma.clone(), None)
            }
            (Binary::Mul, None, Some(Self::Inverse(epsilon, gamma))) => {
                Self::Scaled(*epsilon, gamma.clone())
            }
            (Binary::Mul, Some(Self::Mean), Some(Self::Inverse(epsilon, gamma))) => {
                Self::ScaledMean(*epsilon, gamma.clone())
            }
            (Binary::Mul, Some(Self::MinusMean), Some(Self::Inverse(epsilon, gamma))) => {
                Self::Rest(*epsilon, gamma.clone(), None)
            }
            (Binary::Add, Some(Self::Scaled(epsilon, gamma)), Some(Self::Rest(e, g, beta)))
                if (epsilon, gamma) == (e, g) =>
            {
                Self::Normal(*epsilon, gamma.clone(), beta.clone())
            }
            (Binary::Sub, Some(Self::Scaled(epsilon, gamma)), Some(Self::ScaledMean(e, g)))
                if (epsilon, gamma) == (e, g) =>
            {
                Self::Normal(*epsilon, gamma.clone(), None)
            }
            _ => return None,
        })
    }
}
