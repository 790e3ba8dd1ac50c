//! What work takes: on the host, from its submission to its end; and on the device, by timestamps, if it has them.
#![allow(dead_code)]

use std::fmt;
use std::ops::Div;
use std::time::{Duration, Instant};

use selfnorm::{Gpu, Result, wgpu};

/// Timestamps between any two commands. Apple's GPUs have them at the ends of passes alone, which is not enough.
const TIMESTAMPS: wgpu::Features =
    wgpu::Features::TIMESTAMP_QUERY.union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS);

/// A device as that of `Gpu::new`, with timestamps and cooperative matrices if its adapter has them.
pub fn gpu() -> Result<Gpu> {
    let info = Gpu::new()?.adapter_info();
    let instance =
        wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapters = pollster::block_on(instance.enumerate_adapters(info.backend.into()));
    let mut adapters = adapters.into_iter();
    let adapter = adapters.find(|adapter| adapter.get_info() == info);
    let adapter = adapter.expect("the adapter was there before");
    let more = TIMESTAMPS | wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
    // SAFETY: of the shaders that run here only the crate's have cooperative matrices, which the adapter lists.
    #[allow(unsafe_code)]
    let experimental_features = unsafe { wgpu::ExperimentalFeatures::enabled() };
    let descriptor = wgpu::DeviceDescriptor {
        required_features: Gpu::useful_features(&adapter) | adapter.features() & more,
        required_limits: adapter.limits(),
        experimental_features,
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
        .expect("the adapter gave a device before");
    let gpu = Gpu::from_wgpu(device, queue)?;
    gpu.use_cooperative_matrices(&adapter.cooperative_matrix_properties());
    Ok(gpu)
}

pub fn is_software(gpu: &Gpu) -> bool {
    gpu.adapter_info().device_type == wgpu::DeviceType::Cpu
}

#[derive(Clone, Copy, Debug)]
pub struct Time {
    pub host: Duration,
    pub device: Option<Duration>,
}

impl Time {
    /// What is better known: on the device, where submissions do not count.
    pub fn best(self) -> Duration {
        self.device.unwrap_or(self.host)
    }

    /// The medians on both clocks.
    pub fn median(times: &[Self]) -> Self {
        let device: Option<Vec<_>> = times.iter().map(|time| time.device).collect();
        Self {
            host: median(times.iter().map(|time| time.host)),
            device: device.map(median),
        }
    }
}

impl From<Duration> for Time {
    fn from(host: Duration) -> Self {
        Self { host, device: None }
    }
}

impl Div<usize> for Time {
    type Output = Self;

    fn div(self, count: usize) -> Self {
        let each = |time: Duration| time / count as u32;
        Self {
            host: each(self.host),
            device: self.device.map(each),
        }
    }
}

/// As `12.3ms (on the device 12.1ms)`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Debug::fmt(&self.host, f)?;
        let Some(device) = self.device else {
            return Ok(());
        };
        f.write_str(" (on the device ")?;
        fmt::Debug::fmt(&device, f)?;
        f.write_str(")")
    }
}

pub fn median<T: PartialOrd + Copy>(values: impl IntoIterator<Item = T>) -> T {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(|a, b| a.partial_cmp(b).expect("times are numbers"));
    values[values.len() / 2]
}

/// Times what is recorded.
pub struct Clock {
    gpu: Gpu,
    timestamps: Option<Timestamps>,
}

impl Clock {
    pub fn new(gpu: &Gpu) -> Self {
        let has_timestamps = gpu.device().features().contains(TIMESTAMPS);
        Self {
            gpu: gpu.clone(),
            timestamps: has_timestamps.then(|| Timestamps::new(gpu, 2)),
        }
    }

    /// Submits what is recorded, and waits.
    pub fn time(
        &self,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<()>,
    ) -> Result<Time> {
        let mut encoder = self
            .gpu
            .device()
            .create_command_encoder(&Default::default());
        let write = |encoder: &mut wgpu::CommandEncoder, i| {
            if let Some(timestamps) = &self.timestamps {
                encoder.write_timestamp(&timestamps.set, i);
            }
        };
        write(&mut encoder, 0);
        record(&mut encoder)?;
        write(&mut encoder, 1);
        let commands = encoder.finish();
        let start = Instant::now();
        self.gpu.queue().submit([commands]);
        wait(&self.gpu);
        let host = start.elapsed();
        let device = self.timestamps.as_ref().map(|timestamps| {
            let at = timestamps.read(&self.gpu, 2);
            at[1].saturating_sub(at[0])
        });
        Ok(Time { host, device })
    }
}

pub fn wait(gpu: &Gpu) {
    let waited = gpu.device().poll(wgpu::PollType::wait_indefinitely());
    waited.expect("the device works");
}

/// A set of timestamps, and the buffers that bring them to the host.
pub struct Timestamps {
    pub set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
}

impl Timestamps {
    pub fn new(gpu: &Gpu, count: u32) -> Self {
        let device = gpu.device();
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: u64::from(count) * u64::from(wgpu::QUERY_SIZE),
                usage,
                mapped_at_creation: false,
            })
        };
        Self {
            set: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count,
            }),
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            staging: buffer(wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST),
        }
    }

    /// The first `count` of them, which were written, since a beginning of the device's own.
    pub fn read(&self, gpu: &Gpu, count: u32) -> Vec<Duration> {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        encoder.resolve_query_set(&self.set, 0..count, &self.resolved, 0);
        let bytes = u64::from(count) * u64::from(wgpu::QUERY_SIZE);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, bytes);
        gpu.queue().submit([encoder.finish()]);
        self.staging
            .map_async(wgpu::MapMode::Read, ..bytes, |result| {
                result.expect("mapped")
            });
        wait(gpu);
        let ns = f64::from(gpu.queue().get_timestamp_period());
        let mapped = self.staging.get_mapped_range(..bytes).expect("mapped");
        let at = bytemuck::cast_slice(&mapped).iter();
        let at = at.map(|&ticks: &u64| Duration::from_nanos((ticks as f64 * ns) as u64));
        let at = at.collect();
        drop(mapped);
        self.staging.unmap();
        at
    }
}
