//! The catalogue of operations. A row says how an operation is called and what it must give; every test
//! that is about all operations takes them from here. To add one, add a row, and the function in f64 to
//! `functions.rs`.

use std::mem::discriminant;

use half::f16;
use selfnorm::{
    AlphaDropout, Element, GlorotNormal, GlorotUniform, Gpu, HeNormal, HeUniform, LecunNormal,
    LecunUniform, Pass, Result, Selu, Tensor,
};

use super::functions::*;
use super::value::Value;
use super::{gradient_underflow, record, ulp, ulps};

/// An operation on tensors of one type of elements.
pub struct Op<T: Element> {
    /// As errors name it. Rows of one name have parameters of different kinds.
    pub name: &'static str,
    /// The names of the tensors that it reads.
    pub inputs: &'static [&'static str],
    /// The name of the tensor that it writes, if that is not the last input.
    pub output: &'static str,
    /// All of one kind; together they run each of its kernels. The most common comes first.
    pub parameters: &'static [Parameter],
    /// Writes the last tensor.
    to: Record<T>,
    /// Overwrites the last input, if there is one.
    in_place: Option<Record<T>>,
    /// The method of [`Tensor`], if there is one.
    pub call: Option<Call<T>>,
    pub reference: Reference,
}

type Record<T> = fn(&mut Pass, &[&Tensor<T>], &Parameter) -> Result<()>;
type Call<T> = fn(&[&Tensor<T>], &Parameter) -> Result<Tensor<T>>;

/// What an operation takes besides tensors.
#[derive(Clone, Debug)]
pub enum Parameter {
    None,
    Selu(Selu),
    /// A number that is finite as an f32, and its name.
    Constant(&'static str, f64),
    /// GELU as it is defined.
    Exact,
    /// The tanh form of GELU.
    Approximate,
    Dropout(Dropout),
    Weights(Weights),
}

/// What the results are compared with: f64, or the host's own bits.
pub enum Reference {
    /// y = f(x).
    Value(Real, Bound),
    /// dx = f'(x) dy. The function is f'.
    Gradient(Real, Bound),
    Dropout,
    DropoutBackward,
    /// The first values of a stream.
    Host(Host),
}

pub type Host = fn(&Parameter, usize) -> Result<Vec<f32>>;

pub type Real = fn(&Parameter, f64) -> f64;

/// The error that the documentation of [`Tensor`]'s methods allows, in ulp of the exact result, or of `floor`
/// if that is larger. A function that cancels near a zero has a floor; a gradient's is its derivative's.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub ulps: f64,
    pub floor: f64,
}

const fn within(ulps: f64) -> Bound {
    within_of(ulps, 0.0)
}

const fn within_of(ulps: f64, floor: f64) -> Bound {
    Bound { ulps, floor }
}

/// Of gradients whose derivative has a zero.
const EIGHTH: f64 = 0.125;

impl<T: Element> Op<T> {
    pub const ALL: &'static [Self] = &[
        Self {
            name: "selu",
            inputs: &["x"],
            output: "y",
            parameters: &[Parameter::None],
            to: |pass, t, _| pass.selu(t[0], t[1]),
            in_place: Some(|pass, t, _| pass.selu_in_place(t[0])),
            call: Some(|t, _| t[0].selu()),
            reference: Reference::Value(selu, within(2.0)),
        },
        Self {
            name: "selu_backward",
            inputs: &["x", "dy"],
            output: "dx",
            parameters: &[Parameter::None],
            to: |pass, t, _| pass.selu_backward(t[0], t[1], t[2]),
            in_place: Some(|pass, t, _| pass.selu_backward_in_place(t[0], t[1])),
            call: Some(|t, _| t[0].selu_backward(t[1])),
            reference: Reference::Gradient(selu_derivative, within(2.0)),
        },
        Self {
            name: "selu",
            inputs: &["x"],
            output: "y",
            parameters: &[OTHER_SELU],
            to: |pass, t, p| pass.selu_with(t[0], p.selu(), t[1]),
            in_place: Some(|pass, t, p| pass.selu_with_in_place(t[0], p.selu())),
            call: Some(|t, p| t[0].selu_with(p.selu())),
            reference: Reference::Value(selu, within(2.5)),
        },
        Self {
            name: "selu_backward",
            inputs: &["x", "dy"],
            output: "dx",
            parameters: &[OTHER_SELU],
            to: |pass, t, p| pass.selu_backward_with(t[0], p.selu(), t[1], t[2]),
            in_place: Some(|pass, t, p| pass.selu_backward_with_in_place(t[0], p.selu(), t[1])),
            call: Some(|t, p| t[0].selu_backward_with(p.selu(), t[1])),
            reference: Reference::Gradient(selu_derivative, within(2.5)),
        },
        Self {
            name: "elu",
            inputs: &["x"],
            output: "y",
            parameters: ELUS,
            to: |pass, t, p| pass.elu(t[0], p.constant(), t[1]),
            in_place: Some(|pass, t, p| pass.elu_in_place(t[0], p.constant())),
            call: Some(|t, p| t[0].elu(p.constant())),
            reference: Reference::Value(elu, within(2.0)),
        },
        Self {
            name: "elu_backward",
            inputs: &["x", "dy"],
            output: "dx",
            parameters: ELUS,
            to: |pass, t, p| pass.elu_backward(t[0], p.constant(), t[1], t[2]),
            in_place: Some(|pass, t, p| pass.elu_backward_in_place(t[0], p.constant(), t[1])),
            call: Some(|t, p| t[0].elu_backward(p.constant(), t[1])),
            reference: Reference::Gradient(elu_derivative, within(2.0)),
        },
        Self {
            name: "relu",
            inputs: &["x"],
            output: "y",
            parameters: &[Parameter::None],
            to: |pass, t, _| pass.relu(t[0], t[1]),
            in_place: Some(|pass, t, _| pass.relu_in_place(t[0])),
            call: Some(|t, _| t[0].relu()),
            reference: Reference::Value(relu, within(0.0)),
        },
        Self {
            name: "relu_backward",
            inputs: &["x", "dy"],
            output: "dx",
            parameters: &[Parameter::None],
            to: |pass, t, _| pass.relu_backward(t[0], t[1], t[2]),
            in_place: Some(|pass, t, _| pass.relu_backward_in_place(t[0], t[1])),
            call: Some(|t, _| t[0].relu_backward(t[1])),
            reference: Reference::Gradient(relu_derivative, within(0.0)),
        },
        Self {
            name: "sigmoid",
            inputs: &["x"],
            output: "y",
            parameters: &[Parameter::None],
            to: |pass, t, _| pass.sigmoid(t[0], t[1]),
            in_place: Some(|pass, t, _| pass.sigmoid_in_place(t[0])),
            call: Some(|t, _| t[0].sigmoid()),
            reference: Reference::Value(sigmoid, within(2.0)),
        },
        Self {
            name: "sigmoid_backward",
            inputs: &["x", "dy"],
            output: "dx",
            parameters: &[Parameter::None],
            to: |pass, t, _| pass.sigmoid_backward(t[0], t[1], t[2]),
            in_place: Some(|pass, t, _| pass.sigmoid_backward_in_place(t[0], t[1])),
            call: Some(|t, _| t[0].sigmoid_backward(t[1])),
            reference: Reference::Gradient(sigmoid_derivative, within(4.5)),
        },
        Self {
            name: "tanh",
            inputs: &["x"],
            output: "y",
            parameters: &[Parameter::None],
            to: |pass, t, _| pass.tanh(t[0], t[1]),
            in_place: Some(|pass, t, _| pass.tanh_in_place(t[0])),
            call: Some(|t, _| t[0].tanh()),
            reference: Reference::Value(tanh, within(1.5)),
        },
        Self {
            name: "tanh_backward",
            inputs: &["x", "dy"],
            output: "dx",
            parameters: &[Parameter::None],
            to: |pass, t, _| pass.tanh_backward(t[0], t[1], t[2]),
            in_place: Some(|pass, t, _| pass.tanh_backward_in_place(t[0], t[1])),
            call: Some(|t, _| t[0].tanh_backward(t[1])),
            reference: Reference::Gradient(tanh_derivative, within(4.5)),
        },
        Self {
            name: "silu",
            inputs: &["x"],
            output: "y",
            parameters: &[Parameter::None],
            to: |pass, t, _| pass.silu(t[0], t[1]),
            in_place: Some(|pass, t, _| pass.silu_in_place(t[0])),
            call: Some(|t, _| t[0].silu()),
            reference: Reference::Value(silu, within(3.0)),
        },
        Self {
            name: "silu_backward",
            inputs: &["x", "dy"],
            output: "dx",
            parameters: &[Parameter::None],
            to: |pass, t, _| pass.silu_backward(t[0], t[1], t[2]),
            in_place: Some(|pass, t, _| pass.silu_backward_in_place(t[0], t[1])),
            call: Some(|t, _| t[0].silu_backward(t[1])),
            reference: Reference::Gradient(silu_derivative, within_of(5.0, EIGHTH)),
        },
        Self {
            name: "softplus",
            inputs: &["x"],
            output: "y",
            parameters: &[Parameter::None],
            to: |pass, t, _| pass.softplus(t[0], t[1]),
            in_place: Some(|pass, t, _| pass.softplus_in_place(t[0])),
            call: Some(|t, _| t[0].softplus()),
            reference: Reference::Value(softplus, within(2.5)),
        },
        Self {
            name: "softplus_backward",
            inputs: &["x", "dy"],
            output: "dx",
            parameters: &[Parameter::None],
            to: |pass, t, _| pass.softplus_backward(t[0], t[1], t[2]),
            in_place: Some(|pass, t, _| pass.softplus_backward_in_place(t[0], t[1])),
            call: Some(|t, _| t[0].softplus_backward(t[1])),
            reference: Reference::Gradient(softplus_derivative, within(3.0)),
        },
        Self {
            name: "gelu",
            inputs: &["x"],
            output: "y",
            parameters: &[Parameter::Exact],
            to: |pass, t, _| pass.gelu(t[0], false, t[1]),
            in_place: Some(|pass, t, _| pass.gelu_in_place(t[0], false)),
            call: Some(|t, _| t[0].gelu(false)),
            reference: Reference::Value(gelu, within(5.5)),
        },
        Self {
            name: "gelu_backward",
            inputs: &["x", "dy"],
            output: "dx",
            parameters: &[Parameter::Exact],
            to: |pass, t, _| pass.gelu_backward(t[0], false, t[1], t[2]),
            in_place: Some(|pass, t, _| pass.gelu_backward_in_place(t[0], false, t[1])),
            call: Some(|t, _| t[0].gelu_backward(false, t[1])),
            reference: Reference::Gradient(gelu_derivative, within(6.0)),
        },
        Self {
            name: "gelu",
            inputs: &["x"],
            output: "y",
            parameters: &[Parameter::Approximate],
            to: |pass, t, _| pass.gelu(t[0], true, t[1]),
            in_place: Some(|pass, t, _| pass.gelu_in_place(t[0], true)),
            call: Some(|t, _| t[0].gelu(true)),
            reference: Reference::Value(gelu_tanh, within(3.0)),
        },
        Self {
            name: "gelu_backward",
            inputs: &["x", "dy"],
            output: "dx",
            parameters: &[Parameter::Approximate],
            to: |pass, t, _| pass.gelu_backward(t[0], true, t[1], t[2]),
            in_place: Some(|pass, t, _| pass.gelu_backward_in_place(t[0], true, t[1])),
            call: Some(|t, _| t[0].gelu_backward(true, t[1])),
            reference: Reference::Gradient(gelu_tanh_derivative, within_of(7.0, EIGHTH)),
        },
        Self {
            name: "leaky_relu",
            inputs: &["x"],
            output: "y",
            parameters: SLOPES,
            to: |pass, t, p| pass.leaky_relu(t[0], p.constant(), t[1]),
            in_place: Some(|pass, t, p| pass.leaky_relu_in_place(t[0], p.constant())),
            call: Some(|t, p| t[0].leaky_relu(p.constant())),
            reference: Reference::Value(leaky_relu, within(0.5)),
        },
        Self {
            name: "leaky_relu_backward",
            inputs: &["x", "dy"],
            output: "dx",
            parameters: SLOPES,
            to: |pass, t, p| pass.leaky_relu_backward(t[0], p.constant(), t[1], t[2]),
            in_place: Some(|pass, t, p| {
                pass.leaky_relu_backward_in_place(t[0], p.constant(), t[1])
            }),
            call: Some(|t, p| t[0].leaky_relu_backward(p.constant(), t[1])),
            reference: Reference::Gradient(leaky_relu_derivative, within(0.5)),
        },
        Self {
            name: "sine",
            inputs: &["x"],
            output: "y",
            parameters: SINES,
            to: |pass, t, p| pass.sine(t[0], p.constant(), t[1]),
            in_place: Some(|pass, t, p| pass.sine_in_place(t[0], p.constant())),
            call: Some(|t, p| t[0].sine(p.constant())),
            reference: Reference::Value(sine, within_of(3.0, 1.0 / 256.0)),
        },
        Self {
            name: "sine_backward",
            inputs: &["x", "dy"],
            output: "dx",
            parameters: SINES,
            to: |pass, t, p| pass.sine_backward(t[0], p.constant(), t[1], t[2]),
            in_place: Some(|pass, t, p| pass.sine_backward_in_place(t[0], p.constant(), t[1])),
            call: Some(|t, p| t[0].sine_backward(p.constant(), t[1])),
            reference: Reference::Gradient(sine_derivative, within_of(4.5, 30.0 / 256.0)),
        },
        Self {
            name: "alpha_dropout",
            inputs: &["x"],
            output: "y",
            parameters: DROPOUTS,
            to: |pass, t, p| pass.alpha_dropout(t[0], &p.dropout(t[0].shape()), t[1]),
            in_place: Some(|pass, t, p| {
                pass.alpha_dropout_in_place(t[0], &p.dropout(t[0].shape()))
            }),
            call: Some(|t, p| t[0].alpha_dropout(&p.dropout(t[0].shape()))),
            reference: Reference::Dropout,
        },
        Self {
            name: "alpha_dropout_backward",
            inputs: &["dy"],
            output: "dx",
            parameters: DROPOUTS,
            to: |pass, t, p| pass.alpha_dropout_backward(t[0], &p.dropout(t[0].shape()), t[1]),
            in_place: Some(|pass, t, p| {
                pass.alpha_dropout_backward_in_place(t[0], &p.dropout(t[0].shape()))
            }),
            call: Some(|t, p| t[0].alpha_dropout_backward(&p.dropout(t[0].shape()))),
            reference: Reference::DropoutBackward,
        },
        Self::initializer(
            "lecun_normal",
            |pass, t, p| pass.lecun_normal(&p.lecun_normal(), t[0]),
            |p, len| p.lecun_normal().values(len),
        ),
        Self::initializer(
            "lecun_uniform",
            |pass, t, p| pass.lecun_uniform(&p.lecun_uniform(), t[0]),
            |p, len| p.lecun_uniform().values(len),
        ),
        Self::initializer(
            "he_normal",
            |pass, t, p| pass.he_normal(&p.he_normal(), t[0]),
            |p, len| p.he_normal().values(len),
        ),
        Self::initializer(
            "he_uniform",
            |pass, t, p| pass.he_uniform(&p.he_uniform(), t[0]),
            |p, len| p.he_uniform().values(len),
        ),
        Self::initializer(
            "glorot_normal",
            |pass, t, p| pass.glorot_normal(&p.glorot_normal(), t[0]),
            |p, len| p.glorot_normal().values(len),
        ),
        Self::initializer(
            "glorot_uniform",
            |pass, t, p| pass.glorot_uniform(&p.glorot_uniform(), t[0]),
            |p, len| p.glorot_uniform().values(len),
        ),
        Self {
            name: "zeros",
            inputs: &[],
            output: "w",
            parameters: &[Parameter::None],
            to: |pass, t, _| pass.zeros(t[0]),
            in_place: None,
            call: None,
            reference: Reference::Host(|_, len| Ok(vec![0.0; len])),
        },
    ];

    const fn initializer(name: &'static str, to: Record<T>, values: Host) -> Self {
        Self {
            name,
            inputs: &[],
            output: "w",
            parameters: &[Parameter::Weights(WEIGHTS)],
            to,
            in_place: None,
            call: None,
            reference: Reference::Host(values),
        }
    }

    /// The rows of random weights.
    pub fn initializers() -> impl Iterator<Item = &'static Self> {
        Self::ALL
            .iter()
            .filter(|op| matches!(op.parameters[0], Parameter::Weights(_)))
    }

    /// The row of this name, with parameters of this kind.
    pub fn of(name: &str, p: &Parameter) -> &'static Self {
        Self::ALL
            .iter()
            .find(|op| op.name == name && discriminant(&op.parameters[0]) == discriminant(p))
            .unwrap_or_else(|| panic!("no row for {name} with {p:?}"))
    }

    /// Every row with each of its parameters.
    pub fn cases() -> impl Iterator<Item = (&'static Self, &'static Parameter)> {
        let with_parameters = |op: &'static Self| op.parameters.iter().map(move |p| (op, p));
        Self::ALL.iter().flat_map(with_parameters)
    }

    /// The name, and the parameter if there is one.
    pub fn title(&self, p: &Parameter) -> String {
        match p {
            Parameter::None | Parameter::Exact => self.name.into(),
            Parameter::Approximate => format!("{}, the tanh form", self.name),
            Parameter::Constant(name, value) => format!("{} with {name} = {value}", self.name),
            Parameter::Selu(p) => format!("{} with {p:?}", self.name),
            Parameter::Dropout(p) => format!("{} with {p:?}", self.name),
            Parameter::Weights(p) => format!("{} with {p:?}", self.name),
        }
    }

    /// The row of the gradient, if this is a function's.
    pub fn gradient(&self) -> Option<&'static Self> {
        let is_function = matches!(self.reference, Reference::Value(..));
        is_function.then(|| Self::of(&format!("{}_backward", self.name), &self.parameters[0]))
    }

    /// The function of an element, or its derivative, and the bound.
    pub fn real(&self) -> (Real, Bound) {
        match self.reference {
            Reference::Value(real, bound) | Reference::Gradient(real, bound) => (real, bound),
            _ => panic!("{} is no function of an element", self.name),
        }
    }

    /// The host's values.
    pub fn host(&self) -> Host {
        match self.reference {
            Reference::Host(values) => values,
            _ => panic!("{} depends on its inputs", self.name),
        }
    }

    /// In place or not; an operation that reads nothing can be recorded in one way only.
    pub fn ways(&self) -> &'static [bool] {
        if self.in_place.is_some() {
            &[false, true]
        } else {
            &[false]
        }
    }

    /// The names of all arguments, of which the last is written.
    pub fn arguments(&self, in_place: bool) -> Vec<&'static str> {
        let mut names = self.inputs.to_vec();
        if names.is_empty() || !in_place {
            names.push(self.output);
        }
        names
    }

    /// Of the tensors as many as there are [`Self::arguments`].
    pub fn record(
        &self,
        pass: &mut Pass,
        in_place: bool,
        tensors: &[&Tensor<T>],
        p: &Parameter,
    ) -> Result<()> {
        match self.in_place {
            Some(record) if in_place => record(pass, tensors, p),
            _ => (self.to)(pass, tensors, p),
        }
    }
}

impl<T: Value> Op<T> {
    /// The result in a new tensor.
    pub fn apply(
        &self,
        gpu: &Gpu,
        shape: &[usize],
        inputs: &[&Tensor<T>],
        p: &Parameter,
    ) -> Result<Tensor<T>> {
        if let Some(call) = self.call {
            return call(inputs, p);
        }
        // If an element is not written, this shows.
        let sevens = vec![T::rounded(7.0); shape.iter().product()];
        let w = gpu.tensor(&sevens, shape)?;
        record(gpu, |pass| (self.to)(pass, &[&w], p));
        Ok(w)
    }

    /// Asserts that y is what the definition gives for these inputs.
    pub fn check(&self, p: &Parameter, shape: &[usize], inputs: &[Vec<T>], y: &[T]) {
        let x = |i: usize| inputs[0][i].real();
        let title = self.title(p);
        let near = |i: usize, expected: f64, tolerance: f64| {
            let right = if expected.is_nan() {
                y[i].real().is_nan()
            } else if expected.is_infinite() {
                y[i].real() == expected
            } else {
                y[i].is_near(expected, tolerance)
            };
            let of = || inputs.iter().map(|input| input[i]).collect::<Vec<_>>();
            assert!(
                right,
                "{title} of {:?} is {:?}, not {expected:e} ± {tolerance:e}",
                of(),
                y[i]
            );
        };
        match self.reference {
            Reference::Value(value, bound) => {
                for i in 0..y.len() {
                    let expected = value(p, x(i));
                    near(i, expected, bound.tolerance(expected));
                }
            }
            Reference::Gradient(derivative, bound) => {
                for (i, dy) in inputs[1].iter().enumerate() {
                    let (x, dy) = (x(i), dy.real());
                    let slope = derivative(p, x);
                    let underflow = gradient_underflow(slope, dy);
                    // There is no bound for an infinite gradient where the derivative is 0 as an f32, nor
                    // where the product overflows before it is multiplied by eˣ.
                    let too_large = x <= 0.0 && (derivative(p, 0.0) * dy).abs() >= 2f64.powi(130);
                    // As documented, an |α| above 2¹²⁴ gives 0 from x = −173 down.
                    let vanishes = x <= -173.0 && derivative(p, 0.0).abs() > 2f64.powi(124);
                    if vanishes && y[i].real() == 0.0 {
                        continue;
                    }
                    if underflow.is_finite() && !too_large || slope.is_nan() {
                        let tolerance = bound.times(dy).tolerance(slope * dy);
                        near(i, slope * dy, underflow.max(tolerance));
                    }
                }
            }
            Reference::Dropout | Reference::DropoutBackward => {
                let is_backward = matches!(self.reference, Reference::DropoutBackward);
                self.check_dropout(p, shape, &inputs[0], y, is_backward, near);
            }
            Reference::Host(values) => {
                for (i, w) in values(p, y.len()).unwrap().into_iter().enumerate() {
                    let flushed = T::HALF && y[i].real() == 0.0 && w.abs() < SMALLEST_HALF;
                    let expected = T::rounded(w.into());
                    assert!(
                        y[i].is_same(expected) || flushed,
                        "{title}, element {i}: {:?}, not {expected:?}",
                        y[i]
                    );
                }
            }
        }
    }

    fn check_dropout(
        &self,
        p: &Parameter,
        shape: &[usize],
        x: &[T],
        y: &[T],
        is_backward: bool,
        near: impl Fn(usize, f64, f64),
    ) {
        let Parameter::Dropout(dropout) = p else {
            panic!("{p:?}");
        };
        let p = dropout.parameters(shape);
        let (a, b) = p.coefficients().unwrap();
        let selu = Selu::with_fixed_point(dropout.fixed_point.0, dropout.fixed_point.1).unwrap();
        let dropped = b - a * selu.scale * selu.alpha;
        let is_identity = !dropout.training || dropout.rate == 0.0;
        for (i, kept) in p.mask(shape).unwrap().into_iter().enumerate() {
            let input = x[i];
            let x = input.real();
            if is_identity {
                let flushed = y[i].real() == 0.0 && x.abs() < 2f64.powi(-126)
                    || T::HALF && y[i].real() == 0.0 && x.abs() < SMALLEST_HALF.into();
                assert!(
                    y[i].is_same(input) || flushed,
                    "{}, {dropout:?}, of {x:e} is {:?}",
                    self.name,
                    y[i]
                );
            } else if is_backward {
                let expected = match kept {
                    _ if x.is_nan() => x,
                    true => a * x,
                    false => 0.0,
                };
                // The rounding of a, and of the product, which may be flushed.
                let tolerance = 2f64.powi(-23) * expected.abs();
                let underflow = gradient_underflow(a, x).max(2f64.powi(-126));
                near(i, expected, tolerance.max(underflow));
            } else if kept || x.is_nan() {
                let tolerance = 1.5 * 2f64.powi(-23) * ((a * x).abs() + b.abs());
                near(i, a * x + b, tolerance);
            } else {
                near(i, dropped, 1.001 * 2f64.powi(-24) * dropped.abs());
            }
        }
    }
}

const SMALLEST_HALF: f32 = f16::MIN_POSITIVE.to_f32_const();

impl Bound {
    pub fn tolerance(&self, expected: f64) -> f64 {
        self.ulps * ulp(expected.abs().max(self.floor))
    }

    /// The error of `actual`, to be compared with [`Self::ulps`].
    pub fn error(&self, actual: f32, expected: f64) -> f64 {
        if expected.abs() < self.floor {
            let error = (f64::from(actual) - expected).abs() / ulp(self.floor);
            if error.is_nan() { f64::INFINITY } else { error }
        } else {
            ulps(actual, expected)
        }
    }

    /// The bound of the derivative times `dy`.
    pub fn times(&self, dy: f64) -> Self {
        let floor = self.floor * dy.abs();
        Self { floor, ..*self }
    }
}

// The parameters.

const OTHER_SELU: Parameter = Parameter::Selu(Selu {
    alpha: 1.25,
    scale: 0.75,
});

/// Keras's default, and one that is no power of two.
const ELUS: &[Parameter] = &[
    Parameter::Constant("alpha", 1.0),
    Parameter::Constant("alpha", 0.7),
];

/// Keras's default, and ReLU's.
const SLOPES: &[Parameter] = &[
    Parameter::Constant("negative_slope", 0.2),
    Parameter::Constant("negative_slope", 0.0),
];

/// SIREN's, and the one of the bound of gradients.
const SINES: &[Parameter] = &[Parameter::Constant("frequency", 30.0)];

const DROPOUT: Dropout = Dropout {
    rate: 0.3,
    seed: 1 << 40 | 7,
    call: 1 << 33 | 1,
    noise: Noise::None,
    training: true,
    fixed_point: (0.0, 1.0),
};

/// A mask for each element, for each row of a matrix, and for each column.
pub const DROPOUTS: &[Parameter] = &[
    Parameter::Dropout(DROPOUT),
    Parameter::Dropout(Dropout {
        noise: Noise::Broadcast(0b10),
        ..DROPOUT
    }),
    Parameter::Dropout(Dropout {
        noise: Noise::Broadcast(0b01),
        ..DROPOUT
    }),
];

pub const WEIGHTS: Weights = Weights {
    fan: 3,
    seed: 1 << 40 | 5,
    call: 1 << 33 | 6,
    offset: 0,
};

impl Parameter {
    pub fn selu(&self) -> &Selu {
        match self {
            Self::Selu(p) => p,
            p => panic!("{p:?}"),
        }
    }

    pub fn constant(&self) -> f64 {
        match self {
            Self::Constant(_, value) => *value,
            p => panic!("{p:?}"),
        }
    }

    pub fn dropout(&self, shape: &[usize]) -> AlphaDropout {
        match self {
            Self::Dropout(p) => p.parameters(shape),
            p => panic!("{p:?}"),
        }
    }

    fn lecun_normal(&self) -> LecunNormal {
        let p = self.weights();
        LecunNormal::new(p.fan)
            .seed(p.seed)
            .call(p.call)
            .offset(p.offset)
    }

    fn lecun_uniform(&self) -> LecunUniform {
        let p = self.weights();
        LecunUniform::new(p.fan)
            .seed(p.seed)
            .call(p.call)
            .offset(p.offset)
    }

    fn he_normal(&self) -> HeNormal {
        let p = self.weights();
        HeNormal::new(p.fan)
            .seed(p.seed)
            .call(p.call)
            .offset(p.offset)
    }

    fn he_uniform(&self) -> HeUniform {
        let p = self.weights();
        HeUniform::new(p.fan)
            .seed(p.seed)
            .call(p.call)
            .offset(p.offset)
    }

    fn glorot_normal(&self) -> GlorotNormal {
        let p = self.weights();
        GlorotNormal::new(p.fan, 2 * p.fan)
            .seed(p.seed)
            .call(p.call)
            .offset(p.offset)
    }

    fn glorot_uniform(&self) -> GlorotUniform {
        let p = self.weights();
        GlorotUniform::new(p.fan, 2 * p.fan)
            .seed(p.seed)
            .call(p.call)
            .offset(p.offset)
    }

    fn weights(&self) -> &Weights {
        match self {
            Self::Weights(p) => p,
            p => panic!("{p:?}"),
        }
    }
}

/// An initializer of any kind. Where a kernel's outputs count, there are twice as many as inputs.
#[derive(Clone, Copy, Debug)]
pub struct Weights {
    pub fan: usize,
    pub seed: u64,
    pub call: u64,
    pub offset: u64,
}

/// An [`AlphaDropout`] for tensors of any shape.
#[derive(Clone, Debug)]
pub struct Dropout {
    pub rate: f64,
    pub seed: u64,
    pub call: u64,
    pub noise: Noise,
    pub training: bool,
    pub fixed_point: (f64, f64),
}

#[derive(Clone, Copy, Debug)]
pub enum Noise {
    None,
    /// The tensor's shape, with 1 in the dimensions of the bits.
    Broadcast(u16),
    OneMore,
    OneLess,
    Another,
}

impl Dropout {
    pub fn noise_shape(&self, shape: &[usize]) -> Option<Vec<usize>> {
        let mut noise = shape.to_vec();
        match self.noise {
            Noise::None => return None,
            Noise::Broadcast(bits) => {
                for (d, extent) in noise.iter_mut().enumerate() {
                    if bits >> d & 1 == 1 {
                        *extent = 1;
                    }
                }
            }
            Noise::OneMore => noise.push(1),
            Noise::OneLess => {
                if noise.pop().is_none() {
                    noise.push(1);
                }
            }
            Noise::Another => match noise.first_mut() {
                Some(extent) => *extent += 2,
                None => noise.push(1),
            },
        }
        Some(noise)
    }

    fn parameters(&self, shape: &[usize]) -> AlphaDropout {
        let p = AlphaDropout::new(self.rate)
            .seed(self.seed)
            .call(self.call)
            .training(self.training)
            .fixed_point(self.fixed_point.0, self.fixed_point.1);
        match self.noise_shape(shape) {
            None => p,
            Some(noise_shape) => p.noise_shape(noise_shape),
        }
    }
}
