//! Stand-ins for calls of selfnorm that are not merged yet.
use selfnorm::{Gpu, wgpu};

pub trait GpuExt {
    fn useful_features(adapter: &wgpu::Adapter) -> wgpu::Features {
        adapter.features()
            & (wgpu::Features::IMMEDIATES
                | wgpu::Features::SUBGROUP
                | wgpu::Features::SHADER_INT64)
    }
    fn useful_limits(adapter: &wgpu::Adapter) -> wgpu::Limits {
        adapter.limits()
    }
}
impl GpuExt for Gpu {}
