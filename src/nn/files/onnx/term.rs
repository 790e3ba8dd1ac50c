//! Functions of one number, as exporters write them out of simpler ones, and which activation each is.
//!
//! There are many ways to write GELU. So a function is not recognized by its form: it is computed in f64, and is the
//! activation that has its values.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};
use std::rc::Rc;

use crate::Selu;
use crate::nn::Activation;

/// The most operators of a function; GELU takes ten.
const MAX_SIZE: usize = 64;

/// Where functions are compared, on either side of 0.
const PROBES: [f64; 24] = [
    1e-5, 1e-3, 0.01, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.0, 1.3, 1.7, 2.1, 2.6, 3.3, 4.1, 5.3,
    7.0, 9.5, 14.0, 21.0, 40.0, 300.0,
];

/// Likewise, unless the exponential is too large there.
const FAR: [f64; 3] = [1e4, 1e8, 1e30];

/// How close they must come. Constants such as √½ are f32s.
const TOLERANCE: f64 = 1e-6;

/// As the decimal number that was meant: 0.05, where the float is 0.05000000074505806.
pub(super) fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(value.into())
}

/// A function of x.
#[derive(Debug)]
pub(super) struct Term {
    pub kind: Kind,
    /// Its operators, those that are used twice counted twice.
    size: usize,
}

#[derive(Debug)]
pub(super) enum Kind {
    X,
    Constant(f64),
    Activation(Activation, Rc<Term>),
    Unary(Unary, Rc<Term>),
    Binary(Binary, Rc<Term>, Rc<Term>),
    /// The second where the first is not 0, else the third.
    Where([Rc<Term>; 3]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Neg,
    Abs,
    Exp,
    Log,
    Sqrt,
    Reciprocal,
    Erf,
    Sin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Max,
    Min,
    Greater,
    Less,
}

impl Unary {
    pub fn of(operator: &str) -> Option<Self> {
        Some(match operator {
            "Neg" => Self::Neg,
            "Abs" => Self::Abs,
            "Exp" => Self::Exp,
            "Log" => Self::Log,
            "Sqrt" => Self::Sqrt,
            "Reciprocal" => Self::Reciprocal,
            "Erf" => Self::Erf,
            "Sin" => Self::Sin,
            _ => return None,
        })
    }

    pub fn apply(self, x: f64) -> f64 {
        match self {
            Self::Neg => -x,
            Self::Abs => x.abs(),
            Self::Exp => x.exp(),
            Self::Log => x.ln(),
            Self::Sqrt => x.sqrt(),
            Self::Reciprocal => x.recip(),
            Self::Erf => libm::erf(x),
            Self::Sin => x.sin(),
        }
    }
}

impl Binary {
    pub fn of(operator: &str) -> Option<Self> {
        Some(match operator {
            "Add" | "Sum" => Self::Add,
            "Sub" => Self::Sub,
            "Mul" => Self::Mul,
            "Div" => Self::Div,
            "Pow" => Self::Pow,
            "Max" => Self::Max,
            "Min" => Self::Min,
            "Greater" | "GreaterOrEqual" => Self::Greater,
            "Less" | "LessOrEqual" => Self::Less,
            _ => return None,
        })
    }

    fn apply(self, x: f64, y: f64) -> f64 {
        match self {
            Self::Add => x + y,
            Self::Sub => x - y,
            Self::Mul => x * y,
            Self::Div => x / y,
            Self::Pow => x.powf(y),
            _ if x.is_nan() || y.is_nan() => f64::NAN,
            Self::Max => x.max(y),
            Self::Min => x.min(y),
            Self::Greater => f64::from(u8::from(x > y)),
            Self::Less => f64::from(u8::from(x < y)),
        }
    }
}

/// The activation of a number.
fn activate(activation: Activation, x: f64) -> f64 {
    let selu = |selu: Selu, x: f64| {
        let below = selu.alpha * x.exp_m1();
        selu.scale * if x > 0.0 { x } else { below }
    };
    match activation {
        Activation::Linear => x,
        Activation::Selu => selu(Selu::default(), x),
        Activation::SeluWith(with) => selu(with, x),
        Activation::Elu(alpha) => selu(Selu { alpha, scale: 1.0 }, x),
        Activation::Relu => x.max(0.0),
        Activation::LeakyRelu(slope) => x * if x > 0.0 { 1.0 } else { slope },
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Gelu { approximate: false } => 0.5 * x * libm::erfc(-x * FRAC_1_SQRT_2),
        Activation::Gelu { approximate: true } => {
            let inner = FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }
        Activation::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
        Activation::Sine(frequency) => (frequency * x).sin(),
        // Not of one number.
        Activation::Softmax => f64::NAN,
    }
}

impl Term {
    pub fn new(kind: Kind) -> Rc<Self> {
        let inner = match &kind {
            Kind::X | Kind::Constant(_) => 0,
            Kind::Activation(_, x) | Kind::Unary(_, x) => x.size,
            Kind::Binary(_, x, y) => x.size + y.size,
            Kind::Where(all) => all.iter().map(|x| x.size).sum(),
        };
        Rc::new(Self {
            size: inner + 1,
            kind,
        })
    }

    pub fn is_too_large(&self) -> bool {
        self.size > MAX_SIZE
    }

    /// Whether two of them might be.
    pub fn is_nearly_too_large(&self) -> bool {
        self.size > MAX_SIZE / 2
    }

    fn inner(&self) -> Vec<&Rc<Self>> {
        match &self.kind {
            Kind::X | Kind::Constant(_) => Vec::new(),
            Kind::Activation(_, x) | Kind::Unary(_, x) => vec![x],
            Kind::Binary(_, x, y) => vec![x, y],
            Kind::Where(all) => all.iter().collect(),
        }
    }

    fn at(&self, x: f64) -> f64 {
        self.value(x, None)
    }

    /// Its value, where `inner` has that of the second.
    fn value(&self, x: f64, inner: Option<(&Self, f64)>) -> f64 {
        if let Some((term, value)) = inner
            && std::ptr::eq(self, term)
        {
            return value;
        }
        match &self.kind {
            Kind::X => x,
            Kind::Constant(value) => *value,
            Kind::Activation(activation, term) => activate(*activation, term.value(x, inner)),
            Kind::Unary(unary, term) => unary.apply(term.value(x, inner)),
            Kind::Binary(binary, a, b) => binary.apply(a.value(x, inner), b.value(x, inner)),
            Kind::Where([condition, a, b]) => match condition.value(x, inner) {
                0.0 => b.value(x, inner),
                condition if condition.is_nan() => condition,
                _ => a.value(x, inner),
            },
        }
    }

    /// a and b, if it is a x + b.
    pub fn affine(&self) -> Option<[f64; 2]> {
        Some(match &self.kind {
            Kind::X => [1.0, 0.0],
            Kind::Constant(value) => [0.0, *value],
            Kind::Unary(Unary::Neg, x) => x.affine()?.map(|value| -value),
            Kind::Binary(binary, x, y) => {
                let ([a, b], [c, d]) = (x.affine()?, y.affine()?);
                match binary {
                    Binary::Add => [a + c, b + d],
                    Binary::Sub => [a - c, b - d],
                    Binary::Mul if c == 0.0 => [a * d, b * d],
                    Binary::Mul if a == 0.0 => [b * c, b * d],
                    Binary::Div if c == 0.0 => [a / d, b / d],
                    _ => return None,
                }
            }
            _ => return None,
        })
    }

    /// What it is of something: an activation, of x or of a term in it.
    pub fn activation(self: &Rc<Self>) -> Option<(Activation, Rc<Self>)> {
        if let Kind::Activation(activation, x) = &self.kind {
            return Some((*activation, x.clone()));
        }
        if let Kind::Unary(Unary::Sin, x) = &self.kind {
            return Some(match x.frequency() {
                Some((frequency, x)) => (Activation::Sine(decimal(frequency as f32)), x),
                None => (Activation::Sine(1.0), x.clone()),
            });
        }
        let mut terms = vec![self];
        let mut last = 0;
        while let Some(&term) = terms.get(last) {
            last += 1;
            terms.extend(term.inner());
        }
        // Of the outermost that will do: what is in there has a layer of its own.
        for term in terms.into_iter().skip(1) {
            if !matches!(term.kind, Kind::Constant(_))
                && let Some(activation) = self.activation_of(term)
            {
                return Some((activation, term.clone()));
            }
        }
        None
    }

    /// c and x, if it is c x.
    fn frequency(&self) -> Option<(f64, Rc<Self>)> {
        match &self.kind {
            Kind::Binary(Binary::Mul, x, c) => match (x.constant(), c.constant()) {
                (_, Some(frequency)) => Some((frequency, x.clone())),
                (Some(frequency), _) => Some((frequency, c.clone())),
                _ => None,
            },
            _ => None,
        }
    }

    fn constant(&self) -> Option<f64> {
        match self.kind {
            Kind::Constant(value) => Some(value),
            _ => None,
        }
    }

    fn activation_of(&self, term: &Self) -> Option<Activation> {
        // Whatever else of x there is would be NaN.
        let at = |x| match term.kind {
            Kind::X => self.at(x),
            _ => self.value(f64::NAN, Some((term, x))),
        };
        let (one, minus_one) = (at(1.0), at(-1.0));
        if !(one.is_finite() && minus_one.is_finite()) {
            return None;
        }
        let alpha = minus_one / (-1f64).exp_m1();
        let selu = Selu {
            alpha: alpha / one,
            scale: one,
        };
        let candidates = [
            Activation::Linear,
            Activation::Relu,
            Activation::Selu,
            Activation::Sigmoid,
            Activation::Tanh,
            Activation::Silu,
            Activation::Gelu { approximate: false },
            Activation::Gelu { approximate: true },
            Activation::Softplus,
            Activation::LeakyRelu(-minus_one),
            Activation::Elu(alpha),
            Activation::SeluWith(selu),
        ];
        let is_close = |activation, x: f64, value: f64| {
            let expected = activate(activation, x);
            // Those that come close to a maximum with any small number.
            let least = match activation {
                Activation::Relu | Activation::LeakyRelu(_) => 0.0,
                Activation::Elu(_) | Activation::SeluWith(_) => 0.0,
                _ => 1.0,
            };
            (value - expected).abs() <= TOLERANCE * expected.abs().max(least)
        };
        candidates.into_iter().find(|&activation| {
            let is_same = |x| is_close(activation, x, at(x));
            let is_same_or_infinite = |x| {
                let value = at(x);
                !value.is_finite() || is_close(activation, x, value)
            };
            let both = |x: f64| [x, -x];
            PROBES.into_iter().flat_map(both).all(is_same)
                && FAR.into_iter().flat_map(both).all(is_same_or_infinite)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_activation_is_what_has_its_values() {
        let x = Term::new(Kind::X);
        let all = [
            Activation::Relu,
            Activation::Selu,
            Activation::Sigmoid,
            Activation::Tanh,
            Activation::Silu,
            Activation::Gelu { approximate: false },
            Activation::Gelu { approximate: true },
            Activation::Softplus,
            Activation::LeakyRelu(0.25),
            Activation::Elu(0.5),
        ];
        let zero = Term::new(Kind::Constant(0.0));
        for activation in all {
            let term = Term::new(Kind::Activation(activation, x.clone()));
            let hidden = Term::new(Kind::Binary(Binary::Add, term, zero.clone()));
            assert!(hidden.activation_of(&x).is_some_and(|found| {
                let far = |at: f64| (activate(found, at) - activate(activation, at)).abs();
                far(-0.3) < 1e-6 && far(0.6) < 1e-6
            }));
        }
    }
}
