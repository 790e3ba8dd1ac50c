//! The ops that are timed, and the kernels they are compared with.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use selfnorm::{Gpu, LecunNormal, Pass, Result, Tensor, wgpu};

use super::tests::ops::Op;

const YARDSTICKS: &str = include_str!("../yardsticks.wgsl");

/// The bytes that one of their workgroups covers.
const GROUP_BYTES: u64 = 256 * 4 * 16;

/// The operands of all ops, of one length.
pub struct Operands {
    x: Tensor,
    dy: Tensor,
    y: Tensor,
}

impl Operands {
    pub fn new(gpu: &Gpu, len: usize) -> Result<Self> {
        let operands = Self {
            x: gpu.zeros([len])?,
            dy: gpu.zeros([len])?,
            y: gpu.zeros([len])?,
        };
        let values = LecunNormal::new(1).seed(1);
        submitted(gpu, |encoder| {
            let mut pass = gpu.pass(encoder);
            pass.lecun_normal(&values, &operands.x)?;
            pass.lecun_normal(&values, &operands.dy)
        })?;
        Ok(operands)
    }

    /// From the inputs to y, with the op's most common parameters.
    pub fn record(&self, op: &Op<f32>, pass: &mut Pass) -> Result<()> {
        let tensors = op.arguments(false).into_iter().map(|name| match name {
            "x" => &self.x,
            "dy" => &self.dy,
            _ => &self.y,
        });
        op.record(pass, false, &tensors.collect::<Vec<_>>(), &op.parameters[0])
    }
}

/// Each once, since other constants take as long; and of each distribution of weights one, for theirs do.
pub fn ops() -> impl Iterator<Item = &'static Op<f32>> {
    let mut names = HashSet::from(["he_normal", "he_uniform", "glorot_normal", "glorot_uniform"]);
    Op::ALL.iter().filter(move |op| names.insert(op.name))
}

pub fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).expect("times are numbers"));
    values[values.len() / 2]
}

/// The time from submission to completion.
pub fn submitted(
    gpu: &Gpu,
    record: impl Fn(&mut wgpu::CommandEncoder) -> Result<()>,
) -> Result<Duration> {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    record(&mut encoder)?;
    let commands = encoder.finish();
    let start = Instant::now();
    gpu.queue().submit([commands]);
    gpu.device()
        .poll(wgpu::PollType::wait_indefinitely())
        .expect("the device works");
    Ok(start.elapsed())
}

/// A kernel in bare wgpu, with a dispatch for each part of its buffers that may be bound.
pub struct Yardstick {
    pipeline: wgpu::ComputePipeline,
    dispatches: Vec<(wgpu::BindGroup, u32)>,
}

impl Yardstick {
    pub fn new(gpu: &Gpu, entry_point: &str, len: usize) -> Self {
        let device = gpu.device();
        let storage = |read_only, binding| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: None,
            entries: &[storage(true, 0), storage(false, 1)],
        });
        let shader = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("yardsticks"),
            source: wgpu::ShaderSource::Wgsl(YARDSTICKS.into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry_point),
            layout: Some(
                &device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                    label: None,
                    bind_group_layouts: &[Some(&layout)],
                    immediate_size: 0,
                }),
            ),
            module: &shader,
            entry_point: Some(entry_point),
            compilation_options: Default::default(),
            cache: None,
        });
        let size = len as u64 * 4;
        let buffer = || {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size,
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            })
        };
        let (x, y) = (buffer(), buffer());
        let limits = device.limits();
        let groups = (limits.max_storage_buffer_binding_size / GROUP_BYTES)
            .min(limits.max_compute_workgroups_per_dimension.into());
        let part = groups * GROUP_BYTES;
        let bind = |offset: u64| {
            let bytes = part.min(size - offset);
            let entry = |binding, buffer| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset,
                    size: wgpu::BufferSize::new(bytes),
                }),
            };
            let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &layout,
                entries: &[entry(0, &x), entry(1, &y)],
            });
            (group, bytes.div_ceil(GROUP_BYTES) as u32)
        };
        Self {
            pipeline,
            dispatches: (0..size).step_by(part as usize).map(bind).collect(),
        }
    }

    pub fn record(&self, encoder: &mut wgpu::CommandEncoder, repeats: usize) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for _ in 0..repeats {
            for (buffers, groups) in &self.dispatches {
                pass.set_pipeline(&self.pipeline);
                pass.set_bind_group(0, buffers, &[]);
                pass.dispatch_workgroups(*groups, 1, 1);
            }
        }
    }
}
