//! Everything that calls wgpu; it knows nothing of tensors and ops. Each of these owns the one
//! before: [`Device`], [`Memory`], [`Pipelines`], and the handle [`Gpu`].

mod adapter;
pub(crate) mod device;
pub(crate) mod dispatch;
pub(crate) mod kept;
mod limits;
pub(crate) mod memory;
pub(crate) mod pipelines;
#[cfg_attr(not(target_family = "wasm"), path = "native.rs")]
#[cfg_attr(target_family = "wasm", path = "web.rs")]
pub(crate) mod platform;
pub(crate) mod recording;
#[cfg(not(target_family = "wasm"))]
pub(crate) mod region;
pub(crate) mod transfer;

use std::sync::Arc;

pub use adapter::GpuOptions;
use device::Device;
use dispatch::Dispatch;
use kept::{Id, Kept};
use limits::Limits;
use memory::Memory;
use pipelines::Pipelines;

use crate::error::{Error, Result};

/// A device and its queue, with the pipelines and buffers that this crate keeps for them.
///
/// A clone is another handle to the same device; threads may share it. wgpu runs an application's
/// callbacks (`map_async`, `on_submitted_work_done`) inside calls that submit: a callback must not
/// wait for another thread that is inside a call to this crate.
#[derive(Clone, Debug)]
pub struct Gpu(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    memory: Arc<Memory>,
    pipelines: Pipelines,
    bind_groups: Kept<wgpu::BindGroup>,
    dispatches: Kept<Arc<[Dispatch]>>,
}

impl Gpu {
    /// The best adapter that fits `options`, with the adapter's own limits, and 16-bit floats where
    /// it has them.
    ///
    /// # Errors
    ///
    /// [`Error::NoAdapter`] says what to install, [`Error::AdapterNotFound`] lists the adapters
    /// there are; [`Error::UnsupportedDevice`] if the adapter can't run the shaders.
    pub async fn request(options: &GpuOptions) -> Result<Self> {
        let adapter = adapter::find(options).await?;
        let wanted = wgpu::Features::SHADER_F16
            | wgpu::Features::SHADER_INT64
            | wgpu::Features::IMMEDIATES
            | wgpu::Features::SUBGROUP
            | wgpu::Features::PIPELINE_CACHE;
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("selfnorm"),
                required_features: adapter.features() & wanted,
                required_limits: adapter.limits(),
                ..Default::default()
            })
            .await
            .map_err(|error| Error::UnsupportedDevice(error.to_string()))?;
        let gpu = Self::from_wgpu(device, queue)?;
        if let Some(cache) = platform::open_cache(gpu.link(), &options.cache) {
            gpu.pipelines().set_cache(cache);
        }
        Ok(gpu)
    }

    /// Uses an application's own device and queue, whatever features and limits they have.
    ///
    /// The WebGPU defaults suffice. The crate also uses these features if the device has them:
    /// `SHADER_F16` (needed for tensors of [`half::f16`]), `IMMEDIATES` (parameters cost no
    /// buffer), `SHADER_INT64` (faster random numbers, the same bits) and `SUBGROUP` (faster
    /// products on software devices). No file is read or written.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedDevice`] for a device without compute shaders, and for limits below
    /// WebGPU's defaults in workgroup size or bindings.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        let memory = Arc::new(Memory::new(Device::new(device, queue)?));
        Ok(Self(Arc::new(Shared {
            pipelines: Pipelines::new(memory.clone()),
            bind_groups: Kept::default(),
            dispatches: Kept::default(),
            memory,
        })))
    }

    /// The device.
    pub fn device(&self) -> &wgpu::Device {
        &self.link().device
    }

    /// The queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.link().queue
    }

    /// Name, kind and driver of the adapter.
    pub fn adapter_info(&self) -> wgpu::AdapterInfo {
        self.link().device.adapter_info()
    }

    /// Whether the device can compute with tensors of [`half::f16`].
    pub fn supports_f16(&self) -> bool {
        self.link().has(wgpu::Features::SHADER_F16)
    }

    /// The device that work is submitted to.
    pub(crate) fn link(&self) -> &Arc<Device> {
        self.0.memory.device()
    }

    pub(crate) fn limits(&self) -> Limits {
        self.link().limits
    }

    pub(crate) fn pipelines(&self) -> &Pipelines {
        &self.0.pipelines
    }

    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.0.memory
    }

    /// Bind groups by tensors.
    pub(crate) fn bind_groups(&self) -> &Kept<wgpu::BindGroup> {
        &self.0.bind_groups
    }

    /// Dispatches by tensors, and by what they are dispatches of.
    pub(crate) fn dispatches(&self) -> &Kept<Arc<[Dispatch]>> {
        &self.0.dispatches
    }

    /// Drops what is kept for a tensor or an owner of dispatches that is no more.
    pub(crate) fn forget(&self, owner: Id) {
        self.0.bind_groups.forget(owner);
        self.0.dispatches.forget(owner);
    }

    pub(crate) fn is(&self, other: &Gpu) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
