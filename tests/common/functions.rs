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
