//! Random programs: operations of every kind on tensors of every kind, through every way in, with
//! mistakes among them, and what each tensor holds in the end.
//!
//! A program records into two encoders of an application's, pass by pass, and submits them now and then;
//! in between it calls methods of tensors, makes tensors, drops them and reads them. The host keeps the
//! bytes of every buffer. What an operation makes of them it has done alone, in tensors of its own,
//! and that is compared with f64: of the inputs' very bits, within the bound that the documentation
//! promises ([`Op::check`]). The program itself must then leave the same bits in every byte of every buffer,
//! whatever it did where and when: so nothing is written next to a range, and nothing unasked.
//!
//! Which mistakes a call makes, the host knows by the rules ([`mistakes`]). It must return the error of
//! one of them, and leave no trace.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Debug, Formatter};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::OnceLock;

use crate::common::ops::{Dropout, Noise, Op, Parameter};
use crate::common::reference;
use crate::common::value::Value;
use crate::common::{self, Watched, foreign_buffer, smallest_gpu};
use half::f16;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;
use proptest::test_runner::{Config, RngAlgorithm, TestRng};
use selfnorm::{Element, Error, Gpu, LecunNormal, Pass, Result, Selu, Tensor, random, wgpu};
use wgpu::BufferUsages as Usage;

#[derive(Clone, Debug)]
struct Program {
    /// Of [`devices`].
    device: usize,
    shapes: Shapes,
    singles: Vec<Origin>,
    halves: Vec<Origin>,
    steps: Vec<Step>,
}

/// A tensor that is there from the start.
#[derive(Clone, Debug)]
struct Origin {
    shape: Form,
    data: Data,
    home: Home,
}

/// Two of [`SHAPES`].
#[derive(Clone, Copy, Debug)]
struct Shapes([usize; 2]);

/// A shape, of the two of the program.
#[derive(Clone, Copy, Debug)]
enum Form {
    First,
    /// As many elements, in another shape.
    Reversed,
    Second,
}

#[derive(Clone, Copy, Debug)]
enum Home {
    Own,
    /// A range of a buffer of the application's: the first has no gaps, and can be read; the second has
    /// gaps, and can't.
    Range(usize),
    /// The same, but so many alignments further on, where the next one is.
    Shifted(usize, u64),
    /// The range of the tensor before.
    Twin(usize),
}

#[derive(Clone, Copy, Debug)]
enum Data {
    Activations(u64),
    Special(u64),
    Bits(u64),
}

/// Arguments are indices of tensors, modulo their number; [`STRANGER`] is another device's.
#[derive(Clone, Debug)]
enum Step {
    /// Recorded into the open encoder.
    Record {
        half: bool,
        op: Drawn,
        in_place: bool,
        arguments: [u8; 3],
    },
    /// As a method of a tensor; the result is one more.
    Call {
        half: bool,
        op: Drawn,
        arguments: [u8; 3],
    },
    /// One more.
    Make {
        half: bool,
        shape: Form,
        how: Make,
    },
    /// One more, over the range of another.
    Rewrap {
        half: bool,
        tensor: u8,
    },
    Drop {
        half: bool,
        tensor: u8,
    },
    /// Dropped, and one more of its shape made, which would have its buffer if that were reused.
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

const STRANGER: u8 = u8::MAX;

#[derive(Clone, Copy, Debug)]
enum Make {
    Data(Data),
    Zeros,
    LecunNormal(u64),
}

/// What is wrong whatever there is.
#[derive(Clone, Copy, Debug)]
enum Refused {
    Length,
    TooManyElements,
    TooManyBytes,
    Misaligned,
    TooShort,
    NoStorage,
}

/// The end of a pass.
#[derive(Clone, Copy, Debug)]
enum Cut {
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
struct Drawn {
    row: usize,
    p: Parameter,
}

impl Debug for Drawn {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str(&self.of::<f32>().title(&self.p))
    }
}

impl Drawn {
    fn of<T: Element>(&self) -> &'static Op<T> {
        &Op::ALL[self.row]
    }
}

// What there is to choose from.

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

/// What a constant of an activation may be, and, now and then, what not.
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
    (rate, seed(), seed(), noise, training, fixed_point).prop_map(
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
        Parameter::None => Just(Parameter::None).boxed(),
        Parameter::Selu(_) => (constant(), constant())
            .prop_map(|(alpha, scale)| Parameter::Selu(Selu { alpha, scale }))
            .boxed(),
        Parameter::Constant(name, _) => constant()
            .prop_map(move |value| Parameter::Constant(name, value))
            .boxed(),
        Parameter::Dropout(_) => dropout().prop_map(Parameter::Dropout).boxed(),
        Parameter::Weights { .. } => {
            let fan = prop::sample::select(&[0usize, 1, 3, 144, 1 << 20][..]);
            (fan, seed())
                .prop_map(|(fan, seed)| Parameter::Weights { fan, seed })
                .boxed()
        }
    }
}

/// Those with more parameters more often, and seldom those that read nothing.
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

/// The steps come first, because what comes first is shrunk first.
fn program() -> impl Strategy<Value = Program> {
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

/// An argument, as far as the rules go.
struct Argument<'a> {
    name: &'static str,
    shape: &'a [usize],
    place: Place,
    stranger: bool,
}

/// The errors of which a call must return one, if there are any.
fn mistakes<T: Value>(gpu: &Gpu, op: &Drawn, arguments: &[Argument]) -> Vec<Error> {
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
        Parameter::Constant(name, value) => parameter(name, *value, finite(*value)),
        Parameter::Dropout(p) => {
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
        Parameter::None | Parameter::Weights { .. } => {}
    }
    errors
}

/// As many dimensions, each the tensor's or 1, that alternate at most eight times between the two.
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

/// The errors that can come of tensors and passes on a device that works.
const KINDS: [&str; 11] = [
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

/// What a message says, without its explanations.
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

/// How often what happened.
#[derive(Clone, Default)]
struct Tally(Rc<RefCell<BTreeMap<String, usize>>>);

impl Tally {
    fn count(&self, what: impl Into<String>) {
        *self.0.borrow_mut().entry(what.into()).or_default() += 1;
    }

    /// Sees to it that it went as it must: an error if one of `errors` is due.
    fn settle<R>(&self, what: impl Debug, result: Result<R>, errors: &[Error]) -> Option<R> {
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

// The values.

/// A type of elements, and the world's tensors of it.
trait Pooled: Value {
    fn pool(world: &mut World) -> &mut Pool<Self>;
}

impl Pooled for f32 {
    fn pool(world: &mut World) -> &mut Pool<Self> {
        &mut world.singles
    }
}

impl Pooled for f16 {
    fn pool(world: &mut World) -> &mut Pool<Self> {
        &mut world.halves
    }
}

impl Data {
    fn values<T: Value>(self, len: usize) -> Vec<T> {
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

/// What `op` makes of `inputs`, by itself, and seen to be right.
fn alone<T: Value>(op: &Drawn, shape: &[usize], inputs: &[Vec<T>]) -> Vec<T> {
    let gpu = &devices()[0].gpu;
    let tensors: Vec<_> = inputs
        .iter()
        .map(|input| gpu.tensor(input, shape).unwrap())
        .collect();
    let Drawn { p, .. } = op;
    let op = op.of::<T>();
    let y = op.apply(gpu, shape, &tensors.iter().collect::<Vec<_>>(), p);
    let y = y.unwrap();
    assert_eq!(y.shape(), shape);
    let y = y.to_vec().unwrap();
    op.check(p, shape, inputs, &y);
    y
}

// The world: the device's tensors, and the bytes that their buffers must have.

/// Where a tensor is.
#[derive(Clone, Copy, Debug)]
struct Place {
    memory: usize,
    offset: usize,
}

struct Slot<T: Element> {
    tensor: Tensor<T>,
    place: Place,
}

struct Pool<T: Element> {
    slots: Vec<Slot<T>>,
    stranger: Tensor<T>,
    strange: Vec<T>,
}

/// A buffer of the application's.
struct Range {
    buffer: wgpu::Buffer,
    /// Where its second half begins, which has the f16.
    halves: usize,
}

struct World {
    device: &'static Device,
    gpu: &'static Gpu,
    shapes: Shapes,
    /// Of the two of the application's, and then of each tensor's own.
    memory: Vec<Vec<u8>>,
    tally: Tally,
    ranges: [Range; 2],
    singles: Pool<f32>,
    halves: Pool<f16>,
}

/// What is recorded, and not submitted.
struct Recorded {
    half: bool,
    op: Drawn,
    shape: Vec<usize>,
    inputs: Vec<Place>,
    output: Place,
}

const GUARD: f32 = 12345.0;
const HALF_GUARD: f16 = f16::from_f32_const(1234.0);

struct Device {
    gpu: Watched,
    copy: wgpu::ComputePipeline,
}

/// The device of the tests; one with WebGPU's default limits and no features; and one that needs several
/// dispatches for more than 4,096 elements, two workgroups of f16.
fn devices() -> &'static [Device; 3] {
    static DEVICES: OnceLock<[Device; 3]> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let features = common::adapter().features() & wgpu::Features::SHADER_F16;
        let limits = wgpu::Limits {
            max_storage_buffer_binding_size: 16 << 10,
            ..Default::default()
        };
        let tight = common::gpu_with(features, limits);
        [common::gpu().clone(), smallest_gpu(), tight].map(|gpu| Device {
            copy: copy_pipeline(&gpu),
            gpu: Watched::new(gpu),
        })
    })
}

impl Shapes {
    fn shape(&self, form: Form) -> Vec<usize> {
        let [first, second] = self.0.map(|shape| SHAPES[shape].to_vec());
        match form {
            Form::First => first,
            Form::Reversed => first.into_iter().rev().collect(),
            Form::Second => second,
        }
    }

    /// Elements, at most.
    fn longest(&self) -> usize {
        self.0
            .map(|shape| SHAPES[shape].iter().product())
            .into_iter()
            .max()
            .unwrap()
    }
}

impl World {
    fn new(program: &Program, tally: Tally) -> Self {
        let devices = devices();
        let device = &devices[program.device];
        let gpu = &device.gpu;
        let other = &devices[(program.device + 1) % devices.len()].gpu;
        let alignment = gpu.device().limits().min_storage_buffer_offset_alignment as usize;
        let shape = program.shapes.shape(Form::First);
        let len = shape.iter().product();
        let single = Data::Activations(1).values(len);
        let half = Data::Activations(1).values(len);
        let stride = |size: usize, gaps: usize| {
            (program.shapes.longest() * size)
                .next_multiple_of(alignment)
                .max(alignment)
                + gaps * alignment
        };
        // Room for the last one, and its shift.
        let room = |count: usize, size, gaps| (count + 1) * stride(size, gaps) + 4 * alignment;
        let ranges = [0, 1].map(|gaps| {
            let halves = room(program.singles.len(), 4, gaps);
            let bytes = halves + room(program.halves.len(), 2, gaps);
            let readable = [Usage::COPY_SRC, Usage::empty()][gaps];
            let usage = Usage::STORAGE | Usage::COPY_DST | readable;
            Range {
                buffer: foreign_buffer(gpu, bytes as u64, usage),
                halves,
            }
        });
        let memory = ranges.each_ref().map(|range| {
            let bytes = range.buffer.size() as usize;
            let mut memory: Vec<u8> = bytemuck::cast_slice(&vec![GUARD; range.halves / 4]).to_vec();
            let halves = vec![HALF_GUARD; (bytes - range.halves) / 2];
            memory.extend_from_slice(bytemuck::cast_slice(&halves));
            memory
        });
        let mut world = Self {
            device,
            gpu,
            shapes: program.shapes,
            memory: memory.into(),
            tally,
            ranges,
            singles: Pool {
                slots: Vec::new(),
                stranger: other.tensor(&single, &shape).unwrap(),
                strange: single,
            },
            halves: Pool {
                slots: Vec::new(),
                stranger: other.tensor(&half, &shape).unwrap(),
                strange: half,
            },
        };
        world.settle::<f32>(&program.singles, alignment, stride);
        world.settle::<f16>(&program.halves, alignment, stride);
        for (range, memory) in world.ranges.iter().zip(&world.memory) {
            gpu.queue().write_buffer(&range.buffer, 0, memory);
        }
        world
    }

    fn settle<T: Pooled>(
        &mut self,
        origins: &[Origin],
        alignment: usize,
        stride: impl Fn(usize, usize) -> usize,
    ) {
        for (i, origin) in origins.iter().enumerate() {
            let shape = self.shapes.shape(origin.shape);
            let values: Vec<T> = origin.data.values(shape.iter().product());
            let (memory, nth, by) = match origin.home {
                Home::Own => {
                    let tensor = self.gpu.tensor(&values, &shape).unwrap();
                    self.add(tensor, &values);
                    continue;
                }
                Home::Range(buffer) => (buffer, i, 0),
                Home::Shifted(buffer, by) => (buffer, i, by),
                Home::Twin(buffer) => (buffer, i.saturating_sub(1), 0),
            };
            let range = &self.ranges[memory];
            let start = if T::HALF { range.halves } else { 0 };
            let offset = start + nth * stride(size_of::<T>(), memory) + by as usize * alignment;
            let tensor = self
                .gpu
                .wrap(range.buffer.slice(offset as u64..), &shape)
                .unwrap();
            let place = Place { memory, offset };
            T::pool(self).slots.push(Slot { tensor, place });
            self.write(place, &values);
        }
    }

    /// A tensor with a buffer of its own.
    fn add<T: Pooled>(&mut self, tensor: Tensor<T>, values: &[T]) {
        self.memory.push(bytemuck::cast_slice(values).to_vec());
        let place = Place {
            memory: self.memory.len() - 1,
            offset: 0,
        };
        T::pool(self).slots.push(Slot { tensor, place });
    }

    fn write<T: Pooled>(&mut self, place: Place, values: &[T]) {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let memory = &mut self.memory[place.memory];
        memory[place.offset..place.offset + bytes.len()].copy_from_slice(bytes);
    }

    fn values<T: Pooled>(&self, place: Place, shape: &[usize]) -> Vec<T> {
        let bytes = shape.iter().product::<usize>() * size_of::<T>();
        let memory = &self.memory[place.memory];
        bytemuck::pod_collect_to_vec(&memory[place.offset..place.offset + bytes])
    }

    /// On the host, when it is submitted.
    fn run(&mut self, recorded: Recorded) {
        if recorded.half {
            self.run_on::<f16>(recorded);
        } else {
            self.run_on::<f32>(recorded);
        }
    }

    fn run_on<T: Pooled>(&mut self, recorded: Recorded) {
        let Recorded {
            op,
            shape,
            inputs,
            output,
            ..
        } = recorded;
        let inputs: Vec<_> = inputs
            .into_iter()
            .map(|place| self.values::<T>(place, &shape))
            .collect();
        let y = alone(&op, &shape, &inputs);
        self.write(output, &y);
    }

    fn step<T: Pooled>(&mut self, pass: &mut Pass, step: &Step) -> Option<Recorded> {
        let gpu = self.gpu;
        let nowhere = Place {
            memory: usize::MAX,
            offset: 0,
        };
        let tally = self.tally.clone();
        let pool = T::pool(self);
        // None left: nothing to do it to.
        let index = |tensor: u8| (tensor as usize).checked_rem(pool.slots.len());
        match step {
            Step::Record {
                op,
                in_place,
                arguments,
                ..
            } => {
                let mut tensors = Vec::new();
                let mut described = Vec::new();
                for (name, &i) in op.of::<T>().arguments(*in_place).into_iter().zip(arguments) {
                    let (tensor, place) = match i {
                        STRANGER => (&pool.stranger, nowhere),
                        i => {
                            let slot = &pool.slots[index(i)?];
                            (&slot.tensor, slot.place)
                        }
                    };
                    tensors.push(tensor);
                    described.push(Argument {
                        name,
                        shape: tensor.shape(),
                        place,
                        stranger: i == STRANGER,
                    });
                }
                let result = op.of().record(pass, *in_place, &tensors, &op.p);
                let mistakes = mistakes::<T>(gpu, op, &described);
                tally.settle(step, result, &mistakes)?;
                tally.count(format!(
                    "recorded: {}, in place: {in_place}, f16: {}",
                    op.of::<T>().name,
                    T::HALF
                ));
                let places: Vec<_> = described.iter().map(|argument| argument.place).collect();
                let shape = tensors[0].shape().to_vec();
                Some(Recorded {
                    half: T::HALF,
                    op: op.clone(),
                    shape,
                    inputs: places[..op.of::<T>().inputs.len()].into(),
                    output: *places.last()?,
                })
            }
            Step::Call { op, arguments, .. } => {
                let mut tensors = Vec::new();
                let mut described = Vec::new();
                for (n, (name, &i)) in op.of::<T>().inputs.iter().zip(arguments).enumerate() {
                    // The device is that of the tensor whose method it is.
                    let stranger = n > 0 && i == STRANGER;
                    let (tensor, place) = if stranger {
                        (&pool.stranger, nowhere)
                    } else {
                        let slot = &pool.slots[index(i)?];
                        (&slot.tensor, slot.place)
                    };
                    tensors.push(tensor);
                    described.push(Argument {
                        name,
                        shape: tensor.shape(),
                        place,
                        stranger,
                    });
                }
                let call = op.of::<T>().call?;
                let result = call(&tensors, &op.p);
                let shape = tensors[0].shape().to_vec();
                let places: Vec<_> = described.iter().map(|argument| argument.place).collect();
                // A new tensor overlaps nothing.
                described.push(Argument {
                    name: op.of::<T>().output,
                    shape: &shape,
                    place: nowhere,
                    stranger: false,
                });
                let y = tally.settle(step, result, &mistakes::<T>(gpu, op, &described))?;
                tally.count(format!("called: {}, f16: {}", op.of::<T>().name, T::HALF));
                let inputs: Vec<_> = places
                    .into_iter()
                    .map(|place| self.values::<T>(place, &shape))
                    .collect();
                let values = alone(op, &shape, &inputs);
                self.add(y, &values);
                None
            }
            Step::Make { shape, how, .. } => {
                let shape = self.shapes.shape(*shape);
                let len = shape.iter().product();
                let missing = Error::MissingFeature {
                    op: "zeros",
                    feature: "SHADER_F16",
                };
                match *how {
                    Make::Data(data) => {
                        let values: Vec<T> = data.values(len);
                        let tensor = gpu.tensor(&values, &shape).unwrap();
                        self.add(tensor, &values);
                    }
                    Make::Zeros => {
                        let supported = !T::HALF || gpu.supports_f16();
                        let mistakes = if supported { vec![] } else { vec![missing] };
                        let tensor = tally.settle(step, gpu.zeros(&shape), &mistakes)?;
                        self.add(tensor, &vec![T::zeroed(); len]);
                    }
                    Make::LecunNormal(seed) => {
                        let tensor = gpu.lecun_normal(&shape, seed).unwrap();
                        let values = LecunNormal::for_kernel(&shape).seed(seed).values(len);
                        self.add(tensor, &values);
                    }
                }
                None
            }
            Step::Rewrap { tensor, .. } => {
                let slot = &pool.slots[index(*tensor)?];
                let place = slot.place;
                let shape = slot.tensor.shape();
                let range = slot.tensor.slice();
                let bytes = range.size();
                let mistakes = if bytes % 4 == 0 {
                    vec![]
                } else {
                    vec![Error::TooShort {
                        shape: shape.into(),
                        needed: bytes + 2,
                        actual: bytes,
                    }]
                };
                let tensor = tally.settle(step, gpu.wrap(range, shape), &mistakes)?;
                pool.slots.push(Slot { tensor, place });
                None
            }
            Step::Drop { tensor, .. } => {
                let i = index(*tensor)?;
                pool.slots.swap_remove(i);
                None
            }
            Step::Replace { tensor, data, .. } => {
                let i = index(*tensor)?;
                let shape = pool.slots.swap_remove(i).tensor.shape().to_vec();
                let values: Vec<T> = data.values(shape.iter().product());
                let tensor = gpu.tensor(&values, &shape).unwrap();
                self.add(tensor, &values);
                None
            }
            Step::Read { tensor, aside, .. } => {
                let i = index(*tensor)?;
                self.read::<T>(i, *aside);
                None
            }
            Step::Refused(refused) => {
                self.refuse::<T>(*refused);
                None
            }
            Step::Cut(_) => unreachable!(),
        }
    }

    /// Compares the tensor with its bytes.
    fn read<T: Pooled>(&mut self, i: usize, aside: bool) {
        let slot = &T::pool(self).slots[i];
        let (place, shape) = (slot.place, slot.tensor.shape().to_vec());
        let unreadable = Error::MissingUsage {
            op: "read",
            usage: "COPY_SRC",
        };
        let mistakes = if place.memory == 1 {
            vec![unreadable]
        } else {
            vec![]
        };
        let result = if aside {
            pollster::block_on(slot.tensor.read())
        } else {
            slot.tensor.to_vec()
        };
        if let Some(actual) = self.tally.settle(("read", place), result, &mistakes) {
            let expected = self.values::<T>(place, &shape);
            assert_same(&format!("{place:?}"), &actual, &expected);
        }
    }

    fn refuse<T: Pooled>(&self, refused: Refused) {
        let gpu = self.gpu;
        let limits = gpu.device().limits();
        let buffer = &self.ranges[0].buffer;
        let size = size_of::<T>() as u64;
        let counted = "elements are counted in 32 bits, 4294967295 at most";
        let (result, error) = match refused {
            Refused::Length => (
                gpu.tensor(&[T::zeroed(); 5], [2, 3]),
                Error::Length {
                    shape: vec![2, 3],
                    expected: 6,
                    actual: 5,
                },
            ),
            Refused::TooManyElements => (
                gpu.wrap(buffer.slice(..), [1 << 16, 1 << 16]),
                Error::TooLarge {
                    shape: vec![1 << 16, 1 << 16],
                    limit: counted.into(),
                },
            ),
            Refused::TooManyBytes => {
                let max = limits.max_buffer_size;
                let len = (max / size + 1).min(u32::MAX.into());
                let bytes = len.next_multiple_of(4) * size;
                if bytes <= max {
                    return;
                }
                let limit =
                    format!("it takes {bytes} bytes, the device's max_buffer_size is {max}");
                let shape = vec![len as usize];
                (gpu.zeros(&shape), Error::TooLarge { shape, limit })
            }
            Refused::Misaligned => {
                let alignment = u64::from(limits.min_storage_buffer_offset_alignment);
                let offset = alignment / 2;
                (
                    gpu.wrap(buffer.slice(offset..), [1]),
                    Error::Misaligned { offset, alignment },
                )
            }
            Refused::TooShort => (
                gpu.wrap(buffer.slice(..5 * size), [2, 3]),
                Error::TooShort {
                    shape: vec![2, 3],
                    needed: 6 * size,
                    actual: 5 * size,
                },
            ),
            Refused::NoStorage => (
                gpu.wrap(
                    foreign_buffer(gpu, 64, Usage::COPY_SRC | Usage::COPY_DST).slice(..),
                    [1],
                ),
                Error::MissingUsage {
                    op: "wrap",
                    usage: "STORAGE",
                },
            ),
        };
        self.tally.settle(refused, result, &[error]);
    }

    /// Everything, byte by byte.
    fn compare(&mut self) {
        for i in 0..self.singles.slots.len() {
            self.read::<f32>(i, false);
        }
        for i in 0..self.halves.slots.len() {
            self.read::<f16>(i, false);
        }
        let (singles, halves) = (&self.singles, &self.halves);
        let stranger = "the other device's";
        assert_same(
            stranger,
            &singles.stranger.to_vec().unwrap(),
            &singles.strange,
        );
        assert_same(
            stranger,
            &halves.stranger.to_vec().unwrap(),
            &halves.strange,
        );
        for (i, (range, memory)) in self.ranges.iter().zip(&self.memory).enumerate() {
            let all = bytes_of(self.device, &range.buffer);
            let what = |half| format!("buffer {i}, f16: {half}");
            let (actual, expected) = (all.split_at(range.halves), memory.split_at(range.halves));
            assert_same_bytes::<f32>(&what(false), actual.0, expected.0);
            assert_same_bytes::<f16>(&what(true), actual.1, expected.1);
        }
        for device in devices() {
            assert_eq!(device.gpu.uncaptured(), [""; 0]);
        }
    }
}

fn assert_same<T: Value>(what: &str, actual: &[T], expected: &[T]) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (i, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        assert!(
            actual.is_same(*expected),
            "{what}: element {i} is {actual:?}, not {expected:?}"
        );
    }
}

fn assert_same_bytes<T: Value>(what: &str, actual: &[u8], expected: &[u8]) {
    let [actual, expected] = [actual, expected].map(bytemuck::pod_collect_to_vec::<u8, T>);
    assert_same(what, &actual, &expected);
}

fn copy_pipeline(gpu: &Gpu) -> wgpu::ComputePipeline {
    const COPY: &str = "
        @group(0) @binding(0) var<storage, read_write> source: array<u32>;
        @group(0) @binding(1) var<storage, read_write> destination: array<u32>;
        @compute @workgroup_size(64)
        fn copy(@builtin(global_invocation_id) id: vec3u) {
            if (id.x < arrayLength(&source)) {
                destination[id.x] = source[id.x];
            }
        }";
    let device = gpu.device();
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(COPY.into()),
    });
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: None,
        compilation_options: Default::default(),
        cache: None,
    })
}

/// All of a buffer, by a shader, because not every buffer may be copied from.
fn bytes_of(device: &Device, buffer: &wgpu::Buffer) -> Vec<u8> {
    let Device { gpu, copy } = device;
    let destination = foreign_buffer(gpu, buffer.size(), Usage::STORAGE | Usage::COPY_SRC);
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(copy);
    // As much as every device can bind.
    for offset in (0..buffer.size()).step_by(16 << 10) {
        let bytes = (buffer.size() - offset).min(16 << 10);
        let entries = [(0, buffer), (1, &destination)].map(|(binding, buffer)| {
            let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset,
                size: wgpu::BufferSize::new(bytes),
            });
            wgpu::BindGroupEntry { binding, resource }
        });
        let group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &copy.get_bind_group_layout(0),
            entries: &entries,
        });
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups((bytes as u32 / 4).div_ceil(64), 1, 1);
    }
    drop(pass);
    gpu.queue().submit([encoder.finish()]);
    let len = buffer.size() as usize / 4;
    let all: Tensor = gpu.wrap(destination.slice(..), [len]).unwrap();
    bytemuck::cast_slice(&all.to_vec().unwrap()).to_vec()
}

impl Step {
    fn half(&self) -> bool {
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

/// Runs it, and compares everything.
fn run(program: &Program, tally: &Tally) {
    let mut world = World::new(program, tally.clone());
    let gpu = world.gpu;
    let encoder = || gpu.device().create_command_encoder(&Default::default());
    let mut open = [(); 2].map(|()| (encoder(), Vec::new()));
    let mut finished = Vec::new();
    let mut current = 0;
    let mut steps = program.steps.iter();
    let end = Cut::Submit { reversed: false };
    let mut ended = false;
    while !ended {
        let (encoder_now, recorded) = &mut open[current];
        let mut pass = gpu.pass(encoder_now);
        let cut = loop {
            match steps.next() {
                None => {
                    ended = true;
                    break end;
                }
                Some(Step::Cut(cut)) => break *cut,
                Some(step) if step.half() => recorded.extend(world.step::<f16>(&mut pass, step)),
                Some(step) => recorded.extend(world.step::<f32>(&mut pass, step)),
            }
        };
        drop(pass);
        let mut finish = |i: usize| {
            let (encoder, recorded) = std::mem::replace(&mut open[i], (encoder(), Vec::new()));
            finished.push((encoder.finish(), recorded));
        };
        match cut {
            Cut::Pass => {}
            Cut::Switch => current = 1 - current,
            Cut::Finish => finish(current),
            Cut::Submit { reversed } => {
                finish(0);
                finish(1);
                let (mut commands, mut recorded): (Vec<_>, Vec<_>) = finished.drain(..).unzip();
                if reversed {
                    recorded.reverse();
                    for commands in commands.drain(..).rev() {
                        gpu.queue().submit([commands]);
                    }
                } else {
                    gpu.queue().submit(commands);
                }
                for recorded in recorded.into_iter().flatten() {
                    world.run(recorded);
                }
            }
        }
    }
    world.compare();
}

/// Runs so many, and sees to it that they did everything there is.
fn programs_do_what_their_steps_do_alone(rng: TestRng, count: u32) {
    let tally = Tally::default();
    let config = Config {
        cases: count,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    reference::for_all_of(config, rng, program(), |program| run(&program, &tally));
    let counts = tally.0.take();
    for (what, count) in &counts {
        println!("{count:8} {what}");
    }
    let refused = KINDS.map(|kind| format!("refused: {kind}"));
    let recorded = Op::<f32>::ALL.iter().flat_map(|op| {
        let name = op.name;
        [false, true].map(|in_place| format!("recorded: {name}, in place: {in_place}, f16: false"))
    });
    for what in refused.into_iter().chain(recorded) {
        assert!(counts.contains_key(&what), "none {what}");
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn every_program_does_what_its_steps_do_alone() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    programs_do_what_their_steps_do_alone(rng, 300);
}

/// Others in every run. The number in `SELFNORM_SEED`, if there is one, repeats those of the run that
/// printed it.
#[test]
#[ignore = "10,000 programs: minutes"]
fn ten_thousand_programs_do_what_their_steps_do_alone() {
    let seed = match std::env::var("SELFNORM_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => RandomState::new().hash_one(0),
    };
    println!("SELFNORM_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&u64::to_le_bytes(seed));
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    programs_do_what_their_steps_do_alone(rng, 10_000);
}
