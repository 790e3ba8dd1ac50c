//! Textures of an application, which a kernel binds behind its storage buffers.

use super::dispatch::bind_group;
use super::pipelines::{Pipeline, Pipelines};
use crate::error::Result;
use crate::shader::module::Texels;

impl Texels {
    pub(super) fn layout(self, binding: u32) -> wgpu::BindGroupLayoutEntry {
        let view_dimension = wgpu::TextureViewDimension::D2;
        let ty = match self {
            Self::Read => wgpu::BindingType::Texture {
                sample_type: wgpu::TextureSampleType::Float { filterable: false },
                view_dimension,
                multisampled: false,
            },
            Self::Write(format) => wgpu::BindingType::StorageTexture {
                access: wgpu::StorageTextureAccess::WriteOnly,
                format,
                view_dimension,
            },
        };
        wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        }
    }

    /// What a texture must have been created for.
    pub fn usage(self) -> wgpu::TextureUsages {
        match self {
            Self::Read => wgpu::TextureUsages::TEXTURE_BINDING,
            Self::Write(_) => wgpu::TextureUsages::STORAGE_BINDING,
        }
    }
}

impl Pipelines {
    /// A bind group of a storage buffer and a texture.
    pub fn bind_texture(
        &self,
        pipeline: &Pipeline,
        buffer: wgpu::BufferBinding,
        texture: &wgpu::Texture,
        texels: Texels,
    ) -> Result<wgpu::BindGroup> {
        self.device().checked(0, || {
            let view = texture.create_view(&wgpu::TextureViewDescriptor {
                label: Some("selfnorm"),
                usage: Some(texels.usage()),
                mip_level_count: Some(1),
                ..Default::default()
            });
            let resources = [
                wgpu::BindingResource::Buffer(buffer),
                wgpu::BindingResource::TextureView(&view),
            ];
            bind_group(&self.device().device, pipeline, resources)
        })
    }
}
