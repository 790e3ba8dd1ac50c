//! The device's tensors, the bytes that their buffers must have, and what the steps of a program do to both.

use std::fmt::Debug;
use std::sync::OnceLock;

use super::rules::{Argument, Tally, mistakes};
use super::strategies::{
    Data, Drawn, Form, Home, Make, Origin, Program, Refused, STRANGER, Shapes, Step,
};
use crate::common::value::Value;
use crate::common::{self, Watched, foreign_buffer, smallest_gpu};
use half::f16;
use selfnorm::{Element, Error, Gpu, LecunNormal, Pass, Tensor, wgpu};
use wgpu::BufferUsages as Usage;

/// A type of elements, and the world's tensors of it.
pub trait Pooled: Value {
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

/// Runs `op` alone, and asserts that the result is right.
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

/// Where a tensor is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub memory: usize,
    pub offset: usize,
}

struct Slot<T: Element> {
    tensor: Tensor<T>,
    place: Place,
}

pub struct Pool<T: Element> {
    slots: Vec<Slot<T>>,
    stranger: Tensor<T>,
    strange: Vec<T>,
}

/// One of the application's buffers.
struct Range {
    buffer: wgpu::Buffer,
    /// Where its second half begins, which holds the f16.
    halves: usize,
}

pub struct World {
    device: &'static Device,
    pub gpu: &'static Gpu,
    shapes: Shapes,
    /// The expected bytes of the application's two buffers, and then of each tensor's own.
    memory: Vec<Vec<u8>>,
    tally: Tally,
    ranges: [Range; 2],
    singles: Pool<f32>,
    halves: Pool<f16>,
}

/// An operation that is recorded but not submitted yet.
pub struct Recorded {
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

impl World {
    pub fn new(program: &Program, tally: Tally) -> Self {
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
        // With room for the last one to be shifted.
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

    /// Does on the host what the device does when it is submitted.
    pub fn run(&mut self, recorded: Recorded) {
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

    pub fn step<T: Pooled>(&mut self, pass: &mut Pass, step: &Step) -> Option<Recorded> {
        let gpu = self.gpu;
        let nowhere = Place {
            memory: usize::MAX,
            offset: 0,
        };
        let tally = self.tally.clone();
        let pool = T::pool(self);
        // `None` if no tensor is left.
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
                        let values = LecunNormal::for_kernel(&shape)
                            .seed(seed)
                            .values(len)
                            .unwrap();
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
    pub fn compare(&mut self) {
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
    common::compute_pipeline(gpu.device(), COPY)
}

/// Reads a whole buffer with a shader, because not every buffer may be copied from.
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
