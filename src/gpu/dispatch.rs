use std::sync::Arc;

use bytemuck::Pod;

use super::pipelines::{Pipeline, Pipelines};
use crate::error::Result;
use crate::shader::module::{MAX_PARAMS_BYTES, PARAMS_GROUP, STEP_GROUP, TENSORS_GROUP};

/// A dispatch with everything bound to it, which can be recorded any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Dispatch {
    pipeline: Arc<Pipeline>,
    tensors: wgpu::BindGroup,
    params: Params,
    groups: [u32; 2],
}

#[derive(Clone, Debug)]
enum Params {
    /// The bytes, and how many of them are used.
    Immediates([u8; MAX_PARAMS_BYTES as usize], usize),
    Uniform(wgpu::BindGroup),
}

impl Pipelines {
    /// A bind group of a pipeline's storage buffers.
    pub fn bind(
        &self,
        pipeline: &Pipeline,
        buffers: &[wgpu::BufferBinding],
    ) -> Result<wgpu::BindGroup> {
        let entries: Vec<_> = buffers
            .iter()
            .zip(0..)
            .map(|(buffer, binding)| wgpu::BindGroupEntry {
                binding,
                resource: wgpu::BindingResource::Buffer(buffer.clone()),
            })
            .collect();
        let device = self.device();
        device.checked(0, || {
            device.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(pipeline.name),
                layout: &pipeline.tensors,
                entries: &entries,
            })
        })
    }

    /// A dispatch of `groups` workgroups. Beyond the device's limit in x they continue in y: the
    /// shader numbers them group.y * groups.x + group.x, and does nothing from `groups` on.
    pub fn dispatch<P: Pod>(
        &self,
        pipeline: Arc<Pipeline>,
        tensors: wgpu::BindGroup,
        params: &P,
        groups: u64,
    ) -> Result<Dispatch> {
        let bytes = bytemuck::bytes_of(params);
        let params = match &pipeline.params {
            None => {
                let mut immediates = [0; MAX_PARAMS_BYTES as usize];
                immediates[..bytes.len()].copy_from_slice(bytes);
                Params::Immediates(immediates, bytes.len())
            }
            Some(layout) => Params::Uniform(self.params(layout, bytes)?),
        };
        let across = groups.min(self.device().limits.max_workgroups).max(1);
        Ok(Dispatch {
            pipeline,
            tensors,
            params,
            groups: [across as u32, groups.div_ceil(across) as u32],
        })
    }
}

/// A compute pass, however long it lives.
pub(crate) trait Record: std::fmt::Debug {
    /// Records a dispatch, see [`Dispatch::record`].
    fn record(&mut self, dispatch: &Dispatch, step: Option<(&wgpu::BindGroup, u32)>);
}

impl Record for wgpu::ComputePass<'_> {
    fn record(&mut self, dispatch: &Dispatch, step: Option<(&wgpu::BindGroup, u32)>) {
        dispatch.record(self, step);
    }
}

impl Dispatch {
    /// Records the dispatch. `step` is the bind group and offset of a step's record, which is bound
    /// if the kernel takes one.
    pub fn record(&self, pass: &mut wgpu::ComputePass, step: Option<(&wgpu::BindGroup, u32)>) {
        pass.set_pipeline(&self.pipeline.pipeline);
        pass.set_bind_group(TENSORS_GROUP, &self.tensors, &[]);
        match &self.params {
            Params::Immediates(bytes, len) => pass.set_immediates(0, &bytes[..*len]),
            Params::Uniform(group) => pass.set_bind_group(PARAMS_GROUP, group, &[]),
        }
        if let Some((group, offset)) = step.filter(|_| self.pipeline.step) {
            pass.set_bind_group(STEP_GROUP, group, &[offset]);
        }
        pass.dispatch_workgroups(self.groups[0], self.groups[1], 1);
    }
}
