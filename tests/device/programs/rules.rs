//! The mistakes that a call makes by the rules, and what it must answer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;

use super::strategies::Drawn;
use super::world::Place;
use crate::common::ops::Parameter;
use crate::common::value::Value;
use selfnorm::{Error, Gpu, Result};

/// What the rules need to know about an argument.
pub struct Argument<'a> {
    pub name: &'static str,
    pub shape: &'a [usize],
    pub place: Place,
    pub stranger: bool,
}

/// The errors of which a call must return one, if there are any.
pub fn mistakes<T: Value>(gpu: &Gpu, op: &Drawn, arguments: &[Argument]) -> Vec<Error> {
    let name = op.of::<T>().name;
    let mut errors = Vec::new();
    let first = &arguments[0];
    let (written, read) = arguments.split_last().unwrap();
    for argument in arguments {
        if argument.stranger {
            errors.push(Error::OtherGpu {
                op: name,
                operand: argument.name,
            });
        }
        if argument.shape != first.shape {
            errors.push(Error::Shape {
                op: name,
                operand: argument.name,
                expected: first.shape.into(),
                actual: argument.shape.into(),
            });
        }
    }
    for argument in read {
        if overlap(argument.range::<T>(), written.range::<T>()) {
            errors.push(Error::Aliased {
                op: name,
                a: argument.name,
                b: written.name,
                detail: String::new(),
            });
        }
    }
    if T::HALF && !gpu.supports_f16() {
        errors.push(Error::MissingFeature {
            op: name,
            feature: "SHADER_F16",
        });
    }
    let mut parameter = |parameter, value: f64, allowed: bool| {
        if !allowed {
            errors.push(Error::Parameter {
                op: name,
                name: parameter,
                value,
                rule: "",
            });
        }
    };
    let finite = |value: f64| (value as f32).is_finite();
    match &op.p {
        Parameter::Selu(p) => {
            parameter("alpha", p.alpha, finite(p.alpha));
            parameter("scale", p.scale, finite(p.scale));
            let product = p.alpha * p.scale;
            parameter("alpha * scale", product, finite(product));
        }
        Parameter::Constant(name @ "frequency", value) => {
            parameter(name, *value, (1e-6..=1e6).contains(value));
        }
        Parameter::Constant(name, value) => parameter(name, *value, finite(*value)),
        Parameter::Dropout(p) => {
            parameter("call", p.call as f64, p.call < 1 << 63);
            parameter("rate", p.rate, p.rate >= 0.0 && p.rate < 1.0);
            let (mean, variance) = p.fixed_point;
            // Of those in the list, no SELU has this mean.
            parameter("mean", mean, mean != 0.7 && mean.is_finite());
            let positive = variance > 0.0 && variance.is_finite();
            parameter("variance", variance, positive);
            if let Some(noise_shape) = p.noise_shape(first.shape)
                && !noise_fits(&noise_shape, first.shape)
            {
                errors.push(Error::NoiseShape {
                    noise_shape,
                    shape: first.shape.into(),
                    detail: String::new(),
                });
            }
        }
        Parameter::Weights(p) => {
            parameter("call", p.call as f64, p.call < 1 << 62);
            let allowed = p.offset % 4 == 0 && p.offset <= 1 << 63;
            parameter("offset", p.offset as f64, allowed);
        }
        Parameter::None | Parameter::Exact | Parameter::Approximate => {}
    }
    errors
}

/// The noise shape has as many dimensions, each the tensor's or 1, and alternates at most eight times
/// between the two.
fn noise_fits(noise_shape: &[usize], shape: &[usize]) -> bool {
    let pairs = || noise_shape.iter().zip(shape);
    if noise_shape.len() != shape.len()
        || pairs().any(|(noise, extent)| noise != extent && *noise != 1)
    {
        return false;
    }
    let mut broadcast: Vec<_> = pairs()
        .filter(|(_, extent)| **extent != 1)
        .map(|(noise, extent)| noise != extent)
        .collect();
    broadcast.dedup();
    broadcast.len() <= 8
}

fn overlap(a: (usize, usize, usize), b: (usize, usize, usize)) -> bool {
    a.0 == b.0 && a.1.max(b.1) < a.2.min(b.2)
}

impl Argument<'_> {
    /// The buffer, the first byte and the end.
    fn range<T>(&self) -> (usize, usize, usize) {
        let Place { memory, offset } = self.place;
        let bytes = self.shape.iter().product::<usize>() * size_of::<T>();
        (memory, offset, offset + bytes)
    }
}

/// The errors that tensors and passes can return on a device that works.
pub const KINDS: [&str; 11] = [
    "Length",
    "TooLarge",
    "Parameter",
    "NoiseShape",
    "Shape",
    "Aliased",
    "OtherGpu",
    "Misaligned",
    "TooShort",
    "MissingUsage",
    "MissingFeature",
];

fn kind(error: &Error) -> &'static str {
    KINDS[match error {
        Error::Length { .. } => 0,
        Error::TooLarge { .. } => 1,
        Error::Parameter { .. } => 2,
        Error::NoiseShape { .. } => 3,
        Error::Shape { .. } => 4,
        Error::Aliased { .. } => 5,
        Error::OtherGpu { .. } => 6,
        Error::Misaligned { .. } => 7,
        Error::TooShort { .. } => 8,
        Error::MissingUsage { .. } => 9,
        Error::MissingFeature { .. } => 10,
        _ => unreachable!("{error}"),
    }]
}

/// The message without its explanations.
fn gist(error: &Error) -> String {
    match error.clone() {
        Error::Parameter {
            op, name, value, ..
        } => format!("{op}: {name} is {value}"),
        Error::Aliased { op, a, b, .. } => format!("{op}: {a} and {b} overlap"),
        Error::NoiseShape {
            noise_shape, shape, ..
        } => format!("noise_shape {noise_shape:?} of {shape:?}"),
        error => error.to_string(),
    }
}

/// Counts of what happened.
#[derive(Clone, Default)]
pub struct Tally(pub Rc<RefCell<BTreeMap<String, usize>>>);

impl Tally {
    pub fn count(&self, what: impl Into<String>) {
        *self.0.borrow_mut().entry(what.into()).or_default() += 1;
    }

    /// Asserts that the result is one of `errors`, if there are any, and a success otherwise.
    pub fn settle<R>(&self, what: impl Debug, result: Result<R>, errors: &[Error]) -> Option<R> {
        match result {
            Ok(value) => {
                assert!(errors.is_empty(), "{what:?} was accepted, not {errors:?}");
                Some(value)
            }
            Err(error) => {
                let expected = errors.iter().any(|known| gist(known) == gist(&error));
                assert!(expected, "{what:?}: {error}, not one of {errors:?}");
                self.count(format!("refused: {}", kind(&error)));
                None
            }
        }
    }
}
