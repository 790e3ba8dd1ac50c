//! The record of a step: everything that differs from one training step to the next.

use crate::gpu::transfer::{self, Upload};
use crate::ops::words;
use crate::random::Stream;
use crate::shader::module::Module;
use crate::shader::params::{params, vec2u};
use crate::{Error, Gpu, Result};

params! {
    pub(super) struct StepParams {
        /// the batch: `count` samples, from position `first` in the data set's order on
        first: u32,
        count: u32,
        /// the number of the dropout masks
        call: vec2u,
        training: u32,
        /// the rows of the batch that came in parts before this one
        row: u32,
        /// the learning rate, with Adam's corrections
        rate: f32,
        /// the share of a weight that decays
        decay: f32,
        /// which start of the guard it belongs to, and how many steps since then may be other than finite
        generation: u32,
        allowed: u32,
    }
}

impl Module {
    /// The module, bound to the record of a step.
    pub(super) const fn step(mut self) -> Self {
        self.step = Some(StepParams::LAYOUT);
        self
    }
}

/// The record of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Step {
    /// The batch: `count` samples, from this position in the data set's order on.
    pub first: u32,
    pub count: u32,
    /// The number of the dropout masks.
    pub call: u64,
    pub training: bool,
    /// The learning rate, with Adam's corrections.
    pub rate: f32,
    /// The share of a weight that decays.
    pub decay: f32,
    /// The rows of the batch that came in parts before this one.
    pub row: u32,
    /// Which start of the guard it belongs to, and how many steps since then may be other than finite.
    pub generation: u32,
    pub allowed: u32,
}

/// The records of the steps ahead; each step binds one.
#[derive(Debug)]
pub(crate) struct Steps {
    buffer: wgpu::Buffer,
    group: wgpu::BindGroup,
    stride: usize,
    capacity: usize,
}

impl Steps {
    pub fn new(gpu: &Gpu, capacity: usize) -> Result<Self> {
        let alignment = gpu.device().limits().min_uniform_buffer_offset_alignment as usize;
        let stride = size_of::<StepParams>().next_multiple_of(alignment);
        let bytes = (stride * capacity) as u64;
        // Offsets are u32.
        let max = gpu.limits().max_buffer_bytes.min(u32::MAX.into());
        if bytes > max {
            return Err(Error::TooLarge {
                shape: vec![capacity],
                limit: format!(
                    "the records of an epoch's steps take {bytes} bytes, at most there can be {max}"
                ),
            });
        }
        let (buffer, group) = gpu.link().checked(bytes, || {
            let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("selfnorm steps"),
                size: bytes,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("selfnorm steps"),
                layout: &gpu.pipelines().step,
                entries: &[wgpu::BindGroupEntry {
                    binding: 0,
                    resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                        buffer: &buffer,
                        offset: 0,
                        size: wgpu::BufferSize::new(size_of::<StepParams>() as u64),
                    }),
                }],
            });
            (buffer, group)
        })?;
        Ok(Self {
            buffer,
            group,
            stride,
            capacity,
        })
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub fn bytes(&self) -> u64 {
        self.buffer.size()
    }

    /// Replaces the first records.
    pub fn write(&self, gpu: &Gpu, steps: &[Step]) -> Result<()> {
        let bytes = self.encode(steps)?;
        let alignment = transfer::COPY_ALIGNMENT;
        transfer::write(gpu.memory(), &self.buffer, 0, &bytes, alignment)
    }

    /// Records, to replace the first ones in an encoder.
    pub fn stage(&self, gpu: &Gpu, steps: &[Step]) -> Result<Upload> {
        Upload::new(gpu.memory(), &self.encode(steps)?, transfer::COPY_ALIGNMENT)
    }

    /// Replaces the first records by the staged ones.
    pub fn replace(&self, staged: Upload, encoder: &mut wgpu::CommandEncoder) {
        staged.record(encoder, &self.buffer, 0);
    }

    fn encode(&self, steps: &[Step]) -> Result<Vec<u8>> {
        let mut bytes = vec![0; steps.len() * self.stride];
        for (step, bytes) in steps.iter().zip(bytes.chunks_mut(self.stride)) {
            let params = StepParams {
                first: step.first,
                count: step.count,
                call: words(Stream::mask("dropout", step.call)?.call()),
                training: step.training.into(),
                rate: step.rate,
                decay: step.decay,
                row: step.row,
                generation: step.generation,
                allowed: step.allowed,
            };
            bytes[..size_of::<StepParams>()].copy_from_slice(bytemuck::bytes_of(&params));
        }
        Ok(bytes)
    }

    /// The bind group and offset for the step of record `index`.
    pub fn bound(&self, index: usize) -> (&wgpu::BindGroup, u32) {
        (&self.group, (index * self.stride) as u32)
    }
}
