mod bindings;
pub(crate) mod device;
pub(crate) mod memory;
mod once_map;
#[cfg(not(target_family = "wasm"))]
mod pipeline_cache;
pub(crate) mod pipelines;
pub(crate) mod transfer;
pub(crate) mod waiting;

#[cfg(not(target_family = "wasm"))]
use std::path::PathBuf;
use std::sync::Arc;

use bindings::Bindings;
use device::{Device, Limits};
use memory::Memory;
#[cfg(not(target_family = "wasm"))]
use pipeline_cache::PipelineCache;
use pipelines::{
    MAX_BINDINGS, MAX_GROUP_BYTES, MAX_PARAMS_BYTES, Pipelines, STEP_GROUP, WORKGROUP_BYTES,
    WORKGROUP_SIZE,
};

use crate::error::{Error, Result};

/// A device and its queue, with the pipelines and buffers that this crate keeps for them.
///
/// A clone is another handle of the same device; threads may share it. wgpu runs an application's
/// callbacks (`map_async`, `on_submitted_work_done`) inside of calls that submit: a callback must not
/// wait for another thread that is in a call of this crate.
#[derive(Clone, Debug)]
pub struct Gpu(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    memory: Arc<Memory>,
    pipelines: Pipelines,
    bindings: Bindings,
}

/// Which adapter [`Gpu::request`] takes, and where compiled pipelines are kept.
///
/// Without options: the first discrete GPU, else an integrated one, else a virtual one, else a
/// software adapter. The environment variable `WGPU_ADAPTER_NAME` narrows the choice to adapters
/// whose name contains it, `WGPU_BACKEND` to one of `vulkan`, `metal`, `dx12`, `gl`. What the driver has
/// compiled is in the user's cache directory for the next process.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct GpuOptions {
    adapter_name: Option<String>,
    backends: Option<wgpu::Backends>,
    software: Option<bool>,
    low_power: bool,
    #[cfg(not(target_family = "wasm"))]
    no_pipeline_cache: bool,
    #[cfg(not(target_family = "wasm"))]
    pipeline_cache_dir: Option<PathBuf>,
}

impl GpuOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only adapters whose name contains `name`, in any case. Takes precedence over
    /// `WGPU_ADAPTER_NAME`.
    pub fn adapter_name(mut self, name: impl Into<String>) -> Self {
        self.adapter_name = Some(name.into());
        self
    }

    /// Only adapters of these backends. Takes precedence over `WGPU_BACKEND`.
    pub fn backends(mut self, backends: wgpu::Backends) -> Self {
        self.backends = Some(backends);
        self
    }

    /// `true`: only software adapters, `false`: only GPUs.
    pub fn software(mut self, software: bool) -> Self {
        self.software = Some(software);
        self
    }

    /// Prefer an integrated GPU to a discrete one.
    pub fn low_power(mut self) -> Self {
        self.low_power = true;
        self
    }

    /// `false`: no file is read or written. By default what the driver has compiled is kept in one for
    /// the next process, where the adapter has wgpu's feature `PIPELINE_CACHE`: on Vulkan. A file
    /// that is damaged, or of another adapter, driver or version of this crate, is ignored and
    /// replaced; where none can be written, everything works without.
    #[cfg(not(target_family = "wasm"))]
    pub fn pipeline_cache(mut self, enabled: bool) -> Self {
        self.no_pipeline_cache = !enabled;
        self
    }

    /// The directory of that file, in place of `selfnorm` in the user's cache directory:
    /// `$XDG_CACHE_HOME` or `~/.cache`, `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows. The
    /// driver trusts what is in it, so nobody else should be able to write there.
    #[cfg(not(target_family = "wasm"))]
    pub fn pipeline_cache_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.pipeline_cache_dir = Some(dir.into());
        self
    }

    #[cfg(not(target_family = "wasm"))]
    fn cache_folder(&self) -> Option<PathBuf> {
        if self.no_pipeline_cache {
            return None;
        }
        self.pipeline_cache_dir
            .clone()
            .or_else(pipeline_cache::default_folder)
    }

    fn rank(&self, kind: wgpu::DeviceType) -> u8 {
        match kind {
            wgpu::DeviceType::DiscreteGpu => 1,
            wgpu::DeviceType::IntegratedGpu => {
                if self.low_power {
                    0
                } else {
                    2
                }
            }
            wgpu::DeviceType::VirtualGpu => 3,
            wgpu::DeviceType::Other => 4,
            wgpu::DeviceType::Cpu => 5,
        }
    }
}

impl Gpu {
    /// The best adapter of the machine; blocks until it is there.
    ///
    /// # Errors
    ///
    /// As [`Gpu::request`].
    #[cfg(not(target_family = "wasm"))]
    pub fn new() -> Result<Self> {
        pollster::block_on(Self::request(&GpuOptions::default()))
    }

    /// The best adapter that fits `options`, with the adapter's own limits, and 16-bit floats where
    /// it has them.
    ///
    /// # Errors
    ///
    /// [`Error::NoAdapter`] says what to install, [`Error::AdapterNotFound`] what there is;
    /// [`Error::UnsupportedDevice`] if the adapter can't run the shaders.
    pub async fn request(options: &GpuOptions) -> Result<Self> {
        let adapter = find_adapter(options).await?;
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
        #[cfg(not(target_family = "wasm"))]
        if let Some(folder) = options.cache_folder() {
            // Without it if the driver has no memory for one.
            let cache = gpu
                .link()
                .checked(0, || PipelineCache::open(gpu.device(), &folder));
            if let Ok(Some(cache)) = cache {
                gpu.pipelines().set_cache(cache);
            }
        }
        Ok(gpu)
    }

    /// An application's own device and queue, whatever features and limits they were made with.
    ///
    /// The WebGPU defaults suffice. What the crate uses if the device has it: `SHADER_F16` (needed
    /// for tensors of [`half::f16`]), `IMMEDIATES` (parameters cost no buffer), `SHADER_INT64`
    /// (faster random numbers, the same bits) and `SUBGROUP` (faster products on software devices).
    /// No file is read or written.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedDevice`] for a device without compute shaders, and for limits below
    /// WebGPU's defaults in workgroup size or bindings.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        let limits = device.limits();
        for (name, actual, needed) in [
            (
                "max_compute_workgroup_size_x",
                limits.max_compute_workgroup_size_x,
                WORKGROUP_SIZE,
            ),
            (
                "max_compute_invocations_per_workgroup",
                limits.max_compute_invocations_per_workgroup,
                WORKGROUP_SIZE,
            ),
            (
                "max_storage_buffers_per_shader_stage",
                limits.max_storage_buffers_per_shader_stage,
                MAX_BINDINGS,
            ),
            ("max_bind_groups", limits.max_bind_groups, STEP_GROUP + 1),
            (
                "max_bindings_per_bind_group",
                limits.max_bindings_per_bind_group,
                MAX_BINDINGS,
            ),
            (
                "max_uniform_buffers_per_shader_stage",
                limits.max_uniform_buffers_per_shader_stage,
                2,
            ),
            (
                "max_dynamic_uniform_buffers_per_pipeline_layout",
                limits.max_dynamic_uniform_buffers_per_pipeline_layout,
                1,
            ),
            (
                "max_compute_workgroup_storage_size",
                limits.max_compute_workgroup_storage_size,
                WORKGROUP_BYTES,
            ),
            (
                "max_uniform_buffer_binding_size",
                limits
                    .max_uniform_buffer_binding_size
                    .try_into()
                    .unwrap_or(u32::MAX),
                MAX_PARAMS_BYTES,
            ),
            (
                "max_storage_buffer_binding_size",
                limits
                    .max_storage_buffer_binding_size
                    .try_into()
                    .unwrap_or(u32::MAX),
                MAX_GROUP_BYTES,
            ),
            (
                "max_compute_workgroups_per_dimension",
                limits.max_compute_workgroups_per_dimension,
                1,
            ),
        ] {
            if actual < needed {
                return Err(Error::UnsupportedDevice(format!(
                    "its limit {name} is {actual}, the shaders need {needed}"
                )));
            }
        }
        let info = device.adapter_info();
        let subgroup = (device.features().contains(wgpu::Features::SUBGROUP)
            && info.subgroup_min_size == info.subgroup_max_size)
            .then_some(info.subgroup_min_size);
        let own_limits = Limits {
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_buffer_bytes: limits.max_buffer_size,
            max_workgroups: limits.max_compute_workgroups_per_dimension.into(),
            offset_alignment: limits.min_storage_buffer_offset_alignment.into(),
            uniform_alignment: limits.min_uniform_buffer_offset_alignment.into(),
            software: info.device_type == wgpu::DeviceType::Cpu,
            subgroup,
        };
        let memory = Arc::new(Memory::new(Device::new(device, queue, own_limits)));
        Ok(Self(Arc::new(Shared {
            pipelines: Pipelines::new(memory.clone()),
            bindings: Bindings::default(),
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

    /// Whether tensors of [`half::f16`] can be computed with.
    pub fn supports_f16(&self) -> bool {
        self.link()
            .device
            .features()
            .contains(wgpu::Features::SHADER_F16)
    }

    pub(crate) fn supports_int64(&self) -> bool {
        self.link()
            .device
            .features()
            .contains(wgpu::Features::SHADER_INT64)
    }

    /// What work is submitted through.
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

    pub(crate) fn bindings(&self) -> &Bindings {
        &self.0.bindings
    }

    pub(crate) fn is(&self, other: &Gpu) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

async fn find_adapter(options: &GpuOptions) -> Result<wgpu::Adapter> {
    let name = options
        .adapter_name
        .clone()
        .or_else(|| std::env::var("WGPU_ADAPTER_NAME").ok());
    let wanted = name.as_deref().unwrap_or_default().to_lowercase();
    let backends = options
        .backends
        .or_else(wgpu::Backends::from_env)
        .unwrap_or(wgpu::Backends::all());
    if backends.is_empty() {
        return Err(Error::AdapterNotFound {
            wanted: "WGPU_BACKEND (it takes vulkan, metal, dx12 and gl)".into(),
            found: Vec::new(),
        });
    }
    let mut found = Vec::new();
    // GL only if there is nothing better: looking for it is slow, and some drivers print.
    for backends in [
        backends & wgpu::Backends::PRIMARY,
        backends & wgpu::Backends::SECONDARY,
    ] {
        if backends.is_empty() {
            continue;
        }
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        descriptor.backends = backends;
        let instance = wgpu::Instance::new(descriptor);
        let mut candidates = Vec::new();
        for adapter in adapters(&instance, backends).await {
            let info = adapter.get_info();
            found.push(format!("{} ({})", info.name, info.backend));
            let software = info.device_type == wgpu::DeviceType::Cpu;
            if info.name.to_lowercase().contains(&wanted)
                && options.software.is_none_or(|only| only == software)
                && adapter
                    .get_downlevel_capabilities()
                    .flags
                    .contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
            {
                candidates.push((options.rank(info.device_type), adapter));
            }
        }
        if let Some((_, adapter)) = candidates.into_iter().min_by_key(|(rank, _)| *rank) {
            return Ok(adapter);
        }
    }
    if found.is_empty() {
        return Err(Error::NoAdapter);
    }
    let wanted = match name {
        Some(name) => format!("the name \"{name}\""),
        None => "the options".into(),
    };
    Err(Error::AdapterNotFound { wanted, found })
}

#[cfg(not(target_family = "wasm"))]
async fn adapters(instance: &wgpu::Instance, backends: wgpu::Backends) -> Vec<wgpu::Adapter> {
    instance.enumerate_adapters(backends).await
}

/// A browser has one adapter and does not list it.
#[cfg(target_family = "wasm")]
async fn adapters(instance: &wgpu::Instance, _: wgpu::Backends) -> Vec<wgpu::Adapter> {
    instance
        .request_adapter(&Default::default())
        .await
        .into_iter()
        .collect()
}
