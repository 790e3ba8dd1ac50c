//! The parts that differ on native platforms, which can wait, report errors at once and keep files.
//! web.rs has the same for browsers.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::adapter::GpuOptions;
use super::device::Device;
use super::pipelines::pipeline_cache;
pub(super) use super::pipelines::pipeline_cache::PipelineCache;
use super::transfer::{self, Answer};
use super::{Error, Gpu, Result};

impl Gpu {
    /// The best adapter of the machine; blocks until it is ready.
    ///
    /// # Errors
    ///
    /// As [`Gpu::request`].
    pub fn new() -> Result<Self> {
        pollster::block_on(Self::request(&GpuOptions::default()))
    }
}

/// Where compiled pipelines are kept for the next process.
#[derive(Clone, Debug, Default)]
pub(super) struct CacheOptions {
    disabled: bool,
    folder: Option<PathBuf>,
}

impl GpuOptions {
    /// `false`: no file is read or written. By default, compiled pipelines are kept in a file for
    /// the next process if the adapter has wgpu's feature `PIPELINE_CACHE`: on Vulkan. A file that
    /// is damaged, or from another adapter, driver or version of this crate, is ignored and
    /// replaced; if none can be written, everything works without it.
    pub fn pipeline_cache(mut self, enabled: bool) -> Self {
        self.cache.disabled = !enabled;
        self
    }

    /// The directory of the pipeline cache, in place of `selfnorm` in the user's cache directory:
    /// `$XDG_CACHE_HOME` or `~/.cache`, `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows. The
    /// driver trusts the file's contents, so nobody else should be able to write there.
    pub fn pipeline_cache_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache.folder = Some(dir.into());
        self
    }
}

/// The file of compiled pipelines, unless it is disabled or can't be used.
pub(super) fn open_cache(device: &Device, options: &CacheOptions) -> Option<PipelineCache> {
    if options.disabled {
        return None;
    }
    let folder = options.folder.clone();
    let folder = folder.or_else(pipeline_cache::default_folder)?;
    // An error only means that the driver has no memory for one; go on without it.
    let open = || PipelineCache::open(&device.device, &folder);
    device.checked(0, open).ok().flatten()
}

pub(super) async fn adapters(
    instance: &wgpu::Instance,
    backends: wgpu::Backends,
) -> Vec<wgpu::Adapter> {
    instance.enumerate_adapters(backends).await
}

/// For so long a thread that waits asks again at once: most results are there by then.
const IMPATIENT: Duration = Duration::from_micros(200);

/// After that it sleeps in between.
const NAP: Duration = Duration::from_micros(100);

/// Naps after which it looks whether the device is lost: some tenths of a second.
const NAPS: u32 = 1000;

/// Blocks until `is_done`, which the GPU's progress makes true, or the device is lost.
///
/// wgpu's own wait holds a lock for as long as it lasts, which may keep another thread from submitting, and
/// with a timeout it panics if another thread polls at the wrong moment.
pub(super) fn wait_until(device: &Device, is_done: impl Fn() -> bool) {
    let start = Instant::now();
    let mut naps = 0;
    while poll(&device.device) && !is_done() {
        if start.elapsed() < IMPATIENT {
            std::thread::yield_now();
            continue;
        }
        std::thread::sleep(NAP);
        naps += 1;
        if naps % NAPS == 0 && device.is_lost() {
            return;
        }
    }
}

/// The result of `calls`, and the first error that wgpu reports for them.
pub(super) fn scoped<R>(
    device: &wgpu::Device,
    calls: impl FnOnce() -> R,
) -> (R, Option<wgpu::Error>) {
    let scopes = [
        wgpu::ErrorFilter::Validation,
        wgpu::ErrorFilter::Internal,
        wgpu::ErrorFilter::OutOfMemory,
    ]
    .map(|filter| device.push_error_scope(filter));
    let result = calls();
    // Every scope must be popped, the inner ones first.
    let [outer, middle, inner] = scopes;
    let errors = [inner, middle, outer].map(|scope| pollster::block_on(scope.pop()));
    (result, errors.into_iter().flatten().next())
}

/// Tells whether a device is lost, which wgpu reports only through a callback, and that belongs to the
/// application. But a lost device refuses at once to map a buffer.
#[derive(Debug)]
pub(super) struct Probe(Mutex<wgpu::Buffer>);

impl Probe {
    /// If the device is lost already, so is the buffer, and can't be mapped.
    pub fn new(device: &wgpu::Device) -> Result<Self> {
        match scoped(device, || Self::buffer(device, false)) {
            (buffer, None) => Ok(Self(Mutex::new(buffer))),
            (buffer, Some(_)) => Err(Error::OutOfMemory {
                bytes: buffer.size(),
            }),
        }
    }

    fn buffer(device: &wgpu::Device, mapped_at_creation: bool) -> wgpu::Buffer {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("selfnorm: is the device there?"),
            size: wgpu::COPY_BUFFER_ALIGNMENT,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation,
        })
    }

    /// To be called in an error scope: another thread may destroy the device at the same time.
    pub fn is_lost(&self, device: &wgpu::Device) -> bool {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = Arc::new(AtomicBool::new(false));
        let answer = refused.clone();
        buffer.map_async(wgpu::MapMode::Read, .., move |result| {
            answer.store(result.is_err(), Ordering::Relaxed);
        });
        if !refused.load(Ordering::Relaxed) {
            buffer.unmap();
            return false;
        }
        // It is refused, too, if wgpu was mapping the buffer in another thread when this one unmapped it
        // last. A new buffer of a lost device can't be mapped either, and for that wgpu reports no error.
        let new = || {
            let new = Self::buffer(device, true);
            let is_mapped = new.get_mapped_range(..).is_ok();
            new.unmap();
            (new, is_mapped)
        };
        let ((new, is_mapped), error) = scoped(device, new);
        if is_mapped {
            *buffer = new;
        }
        !is_mapped && error.is_none()
    }
}

/// Lets wgpu look at what the GPU has done. It panics if the device is lost meanwhile, and this is
/// false.
pub(crate) fn poll(device: &wgpu::Device) -> bool {
    let poll = || device.poll(wgpu::PollType::Poll);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll)).is_ok()
}

fn is_there(answer: &Answer) -> bool {
    answer
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .is_none()
}

/// Blocks until the answer is there, which a lost device never gives.
pub(crate) fn wait_for_answer(device: &Arc<Device>, answer: Answer) {
    wait_until(device, || is_there(&answer));
    if !is_there(&answer) && device.is_lost() {
        drop(transfer::take(&answer));
    }
}

/// Waits for the answer in a new thread, or in this one if none can be started. It may be there
/// already.
pub(crate) fn wait_aside(device: &Arc<Device>, answer: Answer) {
    if poll(&device.device) && is_there(&answer) {
        return;
    }
    let (waiter, sender) = (device.clone(), answer.clone());
    let spawned = std::thread::Builder::new().spawn(move || wait_for_answer(&waiter, sender));
    if spawned.is_err() {
        wait_for_answer(device, answer);
    }
}
