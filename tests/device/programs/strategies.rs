//! What programs are made of, and how they are drawn.

use std::fmt::{self, Debug, Formatter};

use crate::common;
use crate::common::ops::{Dropout, Noise, Op, Parameter, Weights};
use crate::common::value::Value;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;
use selfnorm::{Element, Selu, random};

#[derive(Clone, Debug)]
pub struct Program {
    /// An index of the world's devices.
    pub device: usize,
    pub shapes: Shapes,
    pub singles: Vec<Origin>,
    pub halves: Vec<Origin>,
    pub steps: Vec<Step>,
}

/// A tensor that exists from the start.
#[derive(Clone, Debug)]
pub struct Origin {
    pub shape: Form,
    pub data: Data,
    pub home: Home,
}

/// Two of [`SHAPES`].
#[derive(Clone, Copy, Debug)]
pub struct Shapes([usize; 2]);

/// One of the program's two shapes.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    First,
    /// As many elements, in another shape.
    Reversed,
    Second,
}

#[derive(Clone, Copy, Debug)]
pub enum Home {
    Own,
    /// A range of one of the application's two buffers: the first has no gaps and can be read; the second has
    /// gaps and can't.
    Range(usize),
    /// The same, but moved by a number of alignments, into the next range.
    Shifted(usize, u64),
    /// The range of the tensor before.
    Twin(usize),
}

#[derive(Clone, Copy, Debug)]
pub enum Data {
    Activations(u64),
    Special(u64),
    Bits(u64),
}

/// Arguments are indices of tensors, modulo their number; [`STRANGER`] is another device's.
#[derive(Clone, Debug)]
pub enum Step {
    /// Recorded into the open encoder.
    Record {
        half: bool,
        op: Drawn,
        in_place: bool,
        arguments: [u8; 3],
    },
    /// As a method of a tensor. The result is a new tensor.
    Call {
        half: bool,
        op: Drawn,
        arguments: [u8; 3],
    },
    /// A new tensor.
    Make {
        half: bool,
        shape: Form,
        how: Make,
    },
    /// A new tensor over the range of another.
    Rewrap {
        half: bool,
        tensor: u8,
    },
    Drop {
        half: bool,
        tensor: u8,
    },
    /// Dropped, and followed by a new tensor of its shape, which gets its buffer if that is reused.
    Replace {
        half: bool,
        tensor: u8,
        data: Data,
    },
    Read {
        half: bool,
        tensor: u8,
        /// Awaited.
        aside: bool,
    },
    Refused(Refused),
    Cut(Cut),
}

pub const STRANGER: u8 = u8::MAX;

#[derive(Clone, Copy, Debug)]
pub enum Make {
    Data(Data),
    Zeros,
    LecunNormal(u64),
}

/// Calls that are wrong in any program.
#[derive(Clone, Copy, Debug)]
pub enum Refused {
    Length,
    TooManyElements,
    TooManyBytes,
    Misaligned,
    TooShort,
    NoStorage,
}

/// The end of a pass.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// The next one is in the same encoder.
    Pass,
    /// The next one is in the other encoder.
    Switch,
    /// The encoder is finished, and waits for its submission.
    Finish,
    /// Everything recorded, in one submission, or in one for each encoder, the last one first.
    Submit { reversed: bool },
}

/// A row of [`Op::ALL`], and what it is called with.
#[derive(Clone)]
pub struct Drawn {
    row: usize,
    pub p: Parameter,
}

impl Debug for Drawn {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str(&self.of::<f32>().title(&self.p))
    }
}

impl Drawn {
    pub fn of<T: Element>(&self) -> &'static Op<T> {
        &Op::ALL[self.row]
    }
}

const SHAPES: [&[usize]; 20] = [
    &[],
    &[0],
    &[1],
    &[3],
    &[4],
    &[2, 3],
    &[0, 5],
    &[5, 0, 2],
    &[1, 1, 9],
    &[63],
    &[6, 1, 10],
    &[2, 3, 4, 5],
    &[257],
    &[7, 13, 5],
    &[2, 2, 2, 2, 2, 2, 2, 2, 2],
    &[4, 8, 1, 3, 2, 3],
    &[1757],
    &[4097],
    &[131, 65],
    &[33, 1, 251],
];

fn seed() -> impl Strategy<Value = u64> {
    prop_oneof![
        prop::sample::select(&[0, 1, 7, 1 << 32, u64::MAX][..]),
        any::<u64>(),
    ]
}

/// A number below `end`, and now and then one that is not.
fn call(end: u64) -> impl Strategy<Value = u64> {
    prop_oneof![
        12 => prop::sample::select(vec![0, 1, 1 << 32, end - 1]),
        12 => 0..end,
        1 => end..=u64::MAX,
    ]
}

fn data() -> impl Strategy<Value = Data> {
    prop_oneof![
        3 => (0..99u64).prop_map(Data::Activations),
        1 => (0..99u64).prop_map(Data::Special),
        1 => (0..99u64).prop_map(Data::Bits),
    ]
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![
        12 => Just(Form::First),
        1 => Just(Form::Reversed),
        1 => Just(Form::Second),
    ]
}

fn home() -> impl Strategy<Value = Home> {
    prop_oneof![
        3 => Just(Home::Own),
        4 => (0..2usize).prop_map(Home::Range),
        1 => (0..2usize, 0..4u64).prop_map(|(buffer, by)| Home::Shifted(buffer, by)),
        1 => (0..2usize).prop_map(Home::Twin),
    ]
}

fn origin() -> impl Strategy<Value = Origin> {
    (form(), data(), home()).prop_map(|(shape, data, home)| Origin { shape, data, home })
}

/// A constant of an activation: mostly allowed, sometimes not.
fn constant() -> impl Strategy<Value = f64> {
    let good = [
        1.0,
        0.25,
        1.5,
        0.7,
        1.999_999_9,
        0.0,
        -3.3,
        1e-20,
        3e38,
        7.7,
    ];
    let bad = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300];
    prop_oneof![
        15 => prop::sample::select(good.to_vec()),
        1 => prop::sample::select(bad.to_vec()),
    ]
}

fn dropout() -> impl Strategy<Value = Dropout> {
    let good = [0.5, 0.05, 0.1, 0.3, 0.9, 0.0, 1e-12, 0.999_999];
    let bad = [
        1.0,
        -0.1,
        1.5,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -1e-300,
    ];
    let rate = prop_oneof![
        15 => prop::sample::select(good.to_vec()),
        1 => prop::sample::select(bad.to_vec()),
    ];
    let noise = prop_oneof![
        12 => Just(Noise::None),
        12 => any::<u16>().prop_map(Noise::Broadcast),
        1 => prop::sample::select(&[Noise::OneMore, Noise::OneLess, Noise::Another][..]),
    ];
    let other = [(0.0, 2.0), (-0.1, 2.0), (0.3, 0.5), (-4.0, 25.0)];
    let none = [
        (0.7, 1.0),
        (0.0, 0.0),
        (f64::NAN, 1.0),
        (0.0, f64::INFINITY),
    ];
    let fixed_point = prop_oneof![
        16 => Just((0.0, 1.0)),
        4 => prop::sample::select(other.to_vec()),
        1 => prop::sample::select(none.to_vec()),
    ];
    let training = prop::bool::weighted(0.9);
    (rate, seed(), call(1 << 63), noise, training, fixed_point).prop_map(
        |(rate, seed, call, noise, training, fixed_point)| Dropout {
            rate,
            seed,
            call,
            noise,
            training,
            fixed_point,
        },
    )
}

/// A parameter of the same kind.
fn parameter(like: &Parameter) -> BoxedStrategy<Parameter> {
    match *like {
        Parameter::None | Parameter::Exact | Parameter::Approximate => Just(like.clone()).boxed(),
        Parameter::Selu(_) => (constant(), constant())
            .prop_map(|(alpha, scale)| Parameter::Selu(Selu { alpha, scale }))
            .boxed(),
        Parameter::Constant(name, _) => constant()
            .prop_map(move |value| Parameter::Constant(name, value))
            .boxed(),
        Parameter::Dropout(_) => dropout().prop_map(Parameter::Dropout).boxed(),
        Parameter::Weights(_) => {
            let fan = prop::sample::select(&[0usize, 1, 3, 144, 1 << 20][..]);
            let offset = prop_oneof![
                12 => Just(0),
                12 => (0..=1u64 << 61).prop_map(|block| 4 * block),
                1 => any::<u64>(),
            ];
            (fan, seed(), call(1 << 62), offset)
                .prop_map(|(fan, seed, call, offset)| {
                    Parameter::Weights(Weights {
                        fan,
                        seed,
                        call,
                        offset,
                    })
                })
                .boxed()
        }
    }
}

/// Operations with more parameters come more often, those that read nothing seldom.
fn op() -> impl Strategy<Value = Drawn> {
    let rows = Op::<f32>::ALL.iter().enumerate().map(|(row, op)| {
        let like = &op.parameters[0];
        let weight = match like {
            _ if op.inputs.is_empty() => 1,
            Parameter::Dropout(_) => 6,
            _ => 3,
        };
        let drawn = parameter(like).prop_map(move |p| Drawn { row, p });
        (weight, drawn.boxed())
    });
    Union::new_weighted(rows.collect())
}

fn arguments() -> impl Strategy<Value = [u8; 3]> {
    prop_oneof![
        12 => (0..60u8, 1..3u8, 1..3u8).prop_map(|(a, by, more)| [a, a + by, a + by + more]),
        3 => [0..60u8, 0..60u8, 0..60u8],
        1 => (0..60u8, 0..3usize).prop_map(|(a, stranger)| {
            let mut arguments = [a, a + 1, a + 2];
            arguments[stranger] = STRANGER;
            arguments
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let half = || prop::bool::weighted(0.4);
    let make = prop_oneof![
        3 => data().prop_map(Make::Data),
        1 => Just(Make::Zeros),
        1 => seed().prop_map(Make::LecunNormal),
    ];
    let refused = [
        Refused::Length,
        Refused::TooManyElements,
        Refused::TooManyBytes,
        Refused::Misaligned,
        Refused::TooShort,
        Refused::NoStorage,
    ];
    let cut = [
        Cut::Pass,
        Cut::Switch,
        Cut::Finish,
        Cut::Submit { reversed: false },
        Cut::Submit { reversed: true },
    ];
    prop_oneof![
        14 => (half(), op(), any::<bool>(), arguments()).prop_map(
            |(half, op, in_place, arguments)| Step::Record { half, op, in_place, arguments }
        ),
        4 => (half(), op(), arguments())
            .prop_map(|(half, op, arguments)| Step::Call { half, op, arguments }),
        1 => (half(), form(), make)
            .prop_map(|(half, shape, how)| Step::Make { half, shape, how }),
        1 => (half(), any::<u8>()).prop_map(|(half, tensor)| Step::Rewrap { half, tensor }),
        1 => (half(), any::<u8>()).prop_map(|(half, tensor)| Step::Drop { half, tensor }),
        2 => (half(), any::<u8>(), data())
            .prop_map(|(half, tensor, data)| Step::Replace { half, tensor, data }),
        1 => (half(), any::<u8>(), any::<bool>())
            .prop_map(|(half, tensor, aside)| Step::Read { half, tensor, aside }),
        1 => prop::sample::select(refused.to_vec()).prop_map(Step::Refused),
        4 => prop::sample::select(cut.to_vec()).prop_map(Step::Cut),
    ]
}

/// The steps come first, because proptest shrinks in this order.
pub fn program() -> impl Strategy<Value = Program> {
    let shape = || 0..SHAPES.len();
    (
        vec(step(), 1..30),
        prop_oneof![5 => Just(0usize), 1 => Just(1), 2 => Just(2)],
        [shape(), shape()],
        vec(origin(), 5..8),
        vec(origin(), 5..8),
    )
        .prop_map(|(steps, device, shapes, singles, halves)| Program {
            device,
            shapes: Shapes(shapes),
            singles,
            halves,
            steps,
        })
}

impl Data {
    pub fn values<T: Value>(self, len: usize) -> Vec<T> {
        let words = |seed| random::words(seed, 99, 0..len as u64);
        match self {
            Self::Activations(seed) => words(seed)
                .map(|word| T::rounded(f64::from(random::truncated_normal(word)) * 2f64.powi(-20)))
                .collect(),
            Self::Special(seed) => {
                let special = common::special();
                words(seed)
                    .map(|word| T::rounded(special[word as usize % special.len()].into()))
                    .collect()
            }
            Self::Bits(seed) => words(seed).map(T::of_bits).collect(),
        }
    }
}

impl Shapes {
    pub fn shape(&self, form: Form) -> Vec<usize> {
        let [first, second] = self.0.map(|shape| SHAPES[shape].to_vec());
        match form {
            Form::First => first,
            Form::Reversed => first.into_iter().rev().collect(),
            Form::Second => second,
        }
    }

    /// The most elements that either shape has.
    pub fn longest(&self) -> usize {
        self.0
            .map(|shape| SHAPES[shape].iter().product())
            .into_iter()
            .max()
            .unwrap()
    }
}

impl Step {
    pub fn half(&self) -> bool {
        match *self {
            Self::Make {
                how: Make::LecunNormal(_),
                ..
            } => false,
            Self::Record { half, .. }
            | Self::Call { half, .. }
            | Self::Make { half, .. }
            | Self::Rewrap { half, .. }
            | Self::Drop { half, .. }
            | Self::Replace { half, .. }
            | Self::Read { half, .. } => half,
            Self::Refused(_) | Self::Cut(_) => false,
        }
    }
}
