use super::platform::{CacheOptions, adapters};
use crate::error::{Error, Result};

/// Which adapter [`Gpu::request`](super::Gpu::request) takes, and where compiled pipelines are kept.
///
/// By default: the first discrete GPU, else an integrated one, else a virtual one, else a
/// software adapter. The environment variable `WGPU_ADAPTER_NAME` narrows the choice to adapters
/// whose name contains it, `WGPU_BACKEND` to one of `vulkan`, `metal`, `dx12`, `gl`. Compiled
/// pipelines are kept in the user's cache directory for the next process.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct GpuOptions {
    adapter_name: Option<String>,
    backends: Option<wgpu::Backends>,
    software: Option<bool>,
    low_power: bool,
    nth: usize,
    pub(super) experimental: wgpu::ExperimentalFeatures,
    pub(super) cache: CacheOptions,
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

    /// The one of this number, from 0, among the adapters of [`Gpu::all`](super::Gpu::all), beginning again after the
    /// last: processes that are numbered share out the GPUs.
    pub fn nth(mut self, nth: usize) -> Self {
        self.nth = nth;
        self
    }

    /// Cooperative matrices, which are tensor cores on some GPUs, for products of
    /// [`Precision::F16`](crate::nn::Precision::F16), where the adapter has them. They are an experiment of wgpu's,
    /// whose mistakes may be undefined behaviour, so it asks for a token that only unsafe code can make; this crate
    /// makes none. Its shaders use the matrices that the adapter lists and no others, and those only where all subgroups
    /// are of one size: on Vulkan with NVIDIA's driver, or Mesa 26's for the CPU. Later,
    /// [`Gpu::cooperative_matrices`](super::Gpu::cooperative_matrices) says what there is.
    ///
    /// ```no_run
    /// use selfnorm::{Gpu, GpuOptions, wgpu};
    ///
    /// // SAFETY: this program runs no shader with cooperative matrices but the crate's.
    /// let token = unsafe { wgpu::ExperimentalFeatures::enabled() };
    /// let options = GpuOptions::new().cooperative_matrices(token);
    /// # async { Gpu::request(&options).await };
    /// ```
    pub fn cooperative_matrices(mut self, token: wgpu::ExperimentalFeatures) -> Self {
        self.experimental = token;
        self
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

/// The best adapter that fits, or another like it.
pub(super) async fn find(options: &GpuOptions) -> Result<wgpu::Adapter> {
    let mut all = find_all(options).await?;
    let nth = options.nth % all.len();
    Ok(all.swap_remove(nth))
}

/// The adapters that fit, of one backend and of the best kind there is: one at least.
pub(super) async fn find_all(options: &GpuOptions) -> Result<Vec<wgpu::Adapter>> {
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
    // GL only if there is nothing better: looking for it is slow, and some drivers print messages.
    for backends in [
        backends & wgpu::Backends::PRIMARY,
        backends & wgpu::Backends::SECONDARY,
    ] {
        if backends.is_empty() {
            continue;
        }
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        descriptor.backends = backends;
        let mut candidates = Vec::new();
        for adapter in adapters(descriptor).await {
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
        let best = candidates.iter().min_by_key(|(rank, _)| *rank);
        if let Some((rank, backend)) =
            best.map(|(rank, adapter)| (*rank, adapter.get_info().backend))
        {
            let is_one = |(other, adapter): (u8, wgpu::Adapter)| {
                (other == rank && adapter.get_info().backend == backend).then_some(adapter)
            };
            return Ok(candidates.into_iter().filter_map(is_one).collect());
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
