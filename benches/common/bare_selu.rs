//! SELU's own shader in bare wgpu, to compare the recording of an op with.

use selfnorm::{Gpu, Selu, Tensor, wgpu};

/// Everything wgpu needs for one dispatch, made before it.
pub struct BareSelu {
    pipeline: wgpu::ComputePipeline,
    tensors: wgpu::BindGroup,
    params: [u8; 20],
}

impl BareSelu {
    /// On a device with immediates.
    pub fn new(gpu: &Gpu, x: &Tensor, y: &Tensor) -> Self {
        let device = gpu.device();
        let shaders = selfnorm::wgsl::shaders();
        let shader = shaders
            .iter()
            .find(|shader| shader.name == "activation elu f32x4 immediates")
            .expect("the shader is listed");
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(shader.source.as_str().into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some("activation"),
            compilation_options: Default::default(),
            cache: None,
        });
        let tensors = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[(0, x), (1, y)].map(|(binding, tensor)| wgpu::BindGroupEntry {
                binding,
                resource: tensor.binding(),
            }),
        });
        let selu = Selu::default();
        let scale_alpha = selu.scale * selu.alpha;
        let rounded = scale_alpha as f32;
        let residual = (scale_alpha - f64::from(rounded)) / scale_alpha;
        let [scale, residual] = [selu.scale, residual].map(|value| (value as f32).to_bits());
        Self {
            pipeline,
            tensors,
            // ElementwiseParams: the activation's positive, negative, residual and a padding; lanes.
            params: bytemuck::cast([scale, rounded.to_bits(), residual, 0, x.len() as u32 / 4]),
        }
    }

    pub fn dispatch(&self, pass: &mut wgpu::ComputePass) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.tensors, &[]);
        pass.set_immediates(0, &self.params);
        pass.dispatch_workgroups(1, 1, 1);
    }
}
