//! The kernels that ops are compared with.

use selfnorm::{Gpu, wgpu};

const YARDSTICKS: &str = include_str!("../yardsticks.wgsl");

/// The bytes that one of their workgroups covers.
const GROUP_BYTES: u64 = 256 * 4 * 16;

/// A kernel in bare wgpu, with a dispatch for each part of its buffers that may be bound.
pub struct Yardstick {
    pipeline: wgpu::ComputePipeline,
    dispatches: Vec<(wgpu::BindGroup, u32)>,
}

impl Yardstick {
    /// On buffers of its own.
    #[allow(dead_code, reason = "for benches/web")]
    pub fn new(gpu: &Gpu, entry_point: &str, len: usize) -> Self {
        let buffer = || {
            gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: len as u64 * 4,
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            })
        };
        let (x, y) = (buffer(), buffer());
        Self::on(gpu, entry_point, [x.slice(..), y.slice(..)])
    }

    /// From the first of these to the second, which is as long.
    pub fn on<'a>(gpu: &Gpu, entry_point: &str, [x, y]: [wgpu::BufferSlice<'a>; 2]) -> Self {
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
        let size = y.size();
        let limits = device.limits();
        let groups = (limits.max_storage_buffer_binding_size / GROUP_BYTES)
            .min(limits.max_compute_workgroups_per_dimension.into());
        let part = groups * GROUP_BYTES;
        let bind = |offset: u64| {
            let bytes = part.min(size - offset);
            let entry = |binding, range: wgpu::BufferSlice<'a>| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: range.buffer(),
                    offset: range.offset() + offset,
                    size: wgpu::BufferSize::new(bytes),
                }),
            };
            let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &layout,
                entries: &[entry(0, x), entry(1, y)],
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
