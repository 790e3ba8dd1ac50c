//! Everything that calls wgpu; it knows nothing of tensors and ops. Each of these owns the one
//! before: [`Device`], [`Memory`], [`Pipelines`], and the handle [`Gpu`].

mod adapter;
pub(crate) mod cooperative;
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
pub(crate) mod region;
mod textures;
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
        Self::on(adapter::find(options).await?, options).await
    }

    /// All adapters that fit `options`, of the best kind there is, discrete GPUs before others, each as by
    /// [`request`](Self::request): for threads that train one network together, see [`Threads`], or each its own.
    ///
    /// [`Threads`]: crate::nn::Threads
    ///
    /// # Errors
    ///
    /// As [`request`](Self::request).
    pub async fn all(options: &GpuOptions) -> Result<Vec<Self>> {
        let mut gpus = Vec::new();
        for adapter in adapter::find_all(options).await? {
            gpus.push(Self::on(adapter, options).await?);
        }
        Ok(gpus)
    }

    async fn on(adapter: wgpu::Adapter, options: &GpuOptions) -> Result<Self> {
        let mut more = wgpu::Features::PIPELINE_CACHE;
        if options.experimental.is_enabled() {
            more |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
        }
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("selfnorm"),
                required_features: Self::useful_features(&adapter) | adapter.features() & more,
                required_limits: adapter.limits(),
                experimental_features: options.experimental,
                ..Default::default()
            })
            .await
            .map_err(|error| Error::UnsupportedDevice(error.to_string()))?;
        let gpu = Self::from_wgpu(device, queue)?;
        gpu.use_cooperative_matrices(&adapter.cooperative_matrix_properties());
        if let Some(cache) = platform::open_cache(gpu.link(), &options.cache) {
            gpu.pipelines().set_cache(cache);
        }
        Ok(gpu)
    }

    /// Uses an application's own device and queue, whatever features and limits they have; the WebGPU
    /// defaults suffice. What [`useful_features`](Self::useful_features) lists makes it faster. No
    /// file is read or written.
    ///
    /// wgpu does not say which device a queue is of: they must be those of one
    /// [`request_device`](wgpu::Adapter::request_device).
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

    /// The features of `adapter` that the crate uses, for an application that makes its own device:
    ///
    /// - `SHADER_F16`, needed for tensors of [`half::f16`] and for [`Precision::F16`],
    /// - `IMMEDIATES`, so that parameters cost no buffer, if
    ///   [`max_immediate_size`](wgpu::Limits::max_immediate_size) is raised, too,
    /// - `SHADER_INT64` for faster random numbers, the same bits,
    /// - `SUBGROUP` for faster products on software devices.
    ///
    /// `EXPERIMENTAL_COOPERATIVE_MATRIX` is not among them, since it takes an unsafe token of wgpu's: see
    /// [`use_cooperative_matrices`](Self::use_cooperative_matrices).
    ///
    /// [`Precision::F16`]: crate::nn::Precision::F16
    ///
    /// ```
    /// use selfnorm::{Gpu, wgpu};
    ///
    /// async fn device(adapter: &wgpu::Adapter) -> (wgpu::Device, wgpu::Queue) {
    ///     let descriptor = wgpu::DeviceDescriptor {
    ///         required_features: Gpu::useful_features(adapter), // | your own
    ///         required_limits: Gpu::useful_limits(adapter),     // .or_better_values_from(&yours)
    ///         ..Default::default()
    ///     };
    ///     adapter.request_device(&descriptor).await.unwrap()
    /// }
    /// # let gpu = Gpu::new().unwrap();
    /// # let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    /// # let backends = gpu.adapter_info().backend.into();
    /// # let adapter = pollster::block_on(instance.enumerate_adapters(backends)).swap_remove(0);
    /// # let (device, queue) = pollster::block_on(device(&adapter));
    /// # Gpu::from_wgpu(device, queue).unwrap();
    /// ```
    pub fn useful_features(adapter: &wgpu::Adapter) -> wgpu::Features {
        let useful = wgpu::Features::SHADER_F16
            | wgpu::Features::SHADER_INT64
            | wgpu::Features::IMMEDIATES
            | wgpu::Features::SUBGROUP;
        adapter.features() & useful
    }

    /// WebGPU's default limits, or the adapter's where those are lower, and the adapter's own where the
    /// crate gains by it: larger tensors and batches by `max_buffer_size` and
    /// `max_storage_buffer_binding_size`, fewer dispatches by `max_compute_workgroups_per_dimension`,
    /// ranges that start at smaller multiples by `min_storage_buffer_offset_alignment`, a smaller record of each step
    /// by `min_uniform_buffer_offset_alignment`, and parameters without a buffer by `max_immediate_size`.
    ///
    /// [`useful_features`](Self::useful_features) has an example.
    pub fn useful_limits(adapter: &wgpu::Adapter) -> wgpu::Limits {
        let limits = adapter.limits();
        wgpu::Limits {
            max_buffer_size: limits.max_buffer_size,
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            max_compute_workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
            min_storage_buffer_offset_alignment: limits.min_storage_buffer_offset_alignment,
            min_uniform_buffer_offset_alignment: limits.min_uniform_buffer_offset_alignment,
            max_immediate_size: limits.max_immediate_size,
            ..wgpu::Limits::default().or_worse_values_from(&limits)
        }
    }

    /// For a device of an application's own with `EXPERIMENTAL_COOPERATIVE_MATRIX`: lets products of
    /// [`Precision::F16`] use the cooperative matrices that its adapter lists, which no device tells. Call it before
    /// networks are built. [`GpuOptions::cooperative_matrices`] does it for a device of this crate's.
    ///
    /// ```no_run
    /// # use selfnorm::{Gpu, wgpu};
    /// # fn own(adapter: wgpu::Adapter, device: wgpu::Device, queue: wgpu::Queue) -> selfnorm::Result<Gpu> {
    /// let gpu = Gpu::from_wgpu(device, queue)?;
    /// gpu.use_cooperative_matrices(&adapter.cooperative_matrix_properties());
    /// # Ok(gpu)
    /// # }
    /// ```
    ///
    /// [`Precision::F16`]: crate::nn::Precision::F16
    pub fn use_cooperative_matrices(&self, listed: &[wgpu::CooperativeMatrixProperties]) {
        self.link().use_cooperative_matrices(listed);
    }

    /// Rows and columns of the cooperative matrices that products of [`Precision::F16`] use here, 16 or 8; without,
    /// each invocation multiplies for itself.
    ///
    /// [`Precision::F16`]: crate::nn::Precision::F16
    pub fn cooperative_matrices(&self) -> Option<u32> {
        self.link()
            .cooperative_matrices()
            .map(|matrices| matrices.side)
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// With cooperative matrices, where the adapter has some.
    pub(crate) fn with_cooperative_matrices() -> Gpu {
        // SAFETY: only the crate's shaders run, with matrices that the adapter lists.
        #[allow(unsafe_code)]
        let token = unsafe { wgpu::ExperimentalFeatures::enabled() };
        let options = GpuOptions::new().cooperative_matrices(token);
        pollster::block_on(Gpu::request(&options)).unwrap()
    }
}
