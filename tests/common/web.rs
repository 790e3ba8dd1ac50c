//! The device, in a browser's page.

use std::cell::Cell;

use selfnorm::{Gpu, GpuOptions, wgpu};

thread_local! {
    static GPU: Cell<Option<&'static Gpu>> = const { Cell::new(None) };
}

/// The device of this page. In a browser without WebGPU the test fails and says which have it.
pub async fn gpu_async() -> &'static Gpu {
    if let Some(gpu) = GPU.get() {
        return gpu;
    }
    let gpu: &Gpu = Box::leak(Box::new(new_gpu_async().await));
    GPU.set(Some(gpu));
    gpu
}

/// Another device of the same adapter.
pub async fn new_gpu_async() -> Gpu {
    let gpu = Gpu::request(&GpuOptions::new()).await;
    gpu.unwrap_or_else(|error| panic!("{error}"))
}

pub async fn adapter_async() -> wgpu::Adapter {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = instance.request_adapter(&Default::default()).await;
    adapter.unwrap()
}
