//! The parts that differ on native platforms, which can wait, report errors at once and keep files.
//! web.rs has the same for browsers.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::adapter::GpuOptions;
use super::device::{self, Device};
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

pub(super) async fn adapters(descriptor: wgpu::InstanceDescriptor) -> Vec<wgpu::Adapter> {
    let backends = descriptor.backends;
    let instance = wgpu::Instance::new(descriptor);
    instance.enumerate_adapters(backends).await
}

/// For so long a thread that waits asks again at once: most results are there by then.
const IMPATIENT: Duration = Duration::from_micros(200);

/// After that it sleeps in between.
const NAP: Duration = Duration::from_micros(100);

/// Naps after which it looks whether the device is lost: some tenths of a second.
const NAPS: u32 = 1000;

/// The result of `calls`, and the first error that wgpu reports for them.
fn scoped<R>(device: &wgpu::Device, calls: impl FnOnce() -> R) -> (R, Option<wgpu::Error>) {
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

/// What wgpu reports, at once.
///
/// That a device is lost it reports only through a callback, and that belongs to the application. But of a
/// mistake, a device that is not lost says so: to write nothing to a buffer that can't be written to.
/// That makes nothing and changes nothing.
#[derive(Debug)]
pub(super) struct Reports {
    device: wgpu::Device,
    queue: wgpu::Queue,
    probe: wgpu::Buffer,
}

const PROBE: &str = "selfnorm: is the device there?";

impl Reports {
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Self> {
        let bytes = wgpu::COPY_BUFFER_ALIGNMENT;
        let descriptor = wgpu::BufferDescriptor {
            label: Some(PROBE),
            size: bytes,
            usage: wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        };
        match scoped(device, || device.create_buffer(&descriptor)) {
            (_, Some(_)) => Err(Error::OutOfMemory { bytes }),
            (probe, None) => Ok(Self {
                device: device.clone(),
                queue: queue.clone(),
                probe,
            }),
        }
    }

    /// The result of `calls`, or the error that wgpu reports for them. `bytes` is the size of an
    /// allocation among them.
    pub fn checked<R>(&self, bytes: u64, calls: impl FnOnce() -> R) -> Result<R> {
        match scoped(&self.device, calls) {
            (result, None) => Ok(result),
            (_, Some(error)) => Err(self.named(bytes, error)),
        }
    }

    /// Like [`checked`](Self::checked); it is an error, too, if the device is lost.
    pub fn checked_on_device<R>(&self, calls: impl FnOnce() -> R) -> Result<R> {
        let (result, error) = scoped(&self.device, || {
            let result = calls();
            self.ask();
            result
        });
        match error {
            None => Err(Error::DeviceLost),
            Some(error) if error.to_string().contains(PROBE) => Ok(result),
            Some(error) => Err(self.named(0, error)),
        }
    }

    /// Runs calls that fail where others have, which are reported.
    pub fn unreported(&self, calls: impl FnOnce()) {
        scoped(&self.device, calls);
    }

    /// A new buffer.
    pub fn allocated(&self, descriptor: &wgpu::BufferDescriptor) -> Result<wgpu::Buffer> {
        self.checked(descriptor.size, || self.device.create_buffer(descriptor))
    }

    /// Whether there was memory for a buffer. Without, there is none.
    pub fn is_valid(&self, _: &wgpu::Buffer) -> bool {
        true
    }

    /// Whether there was no memory for a buffer, which nobody was told.
    pub fn has_run_out(&self) -> bool {
        false
    }

    pub fn is_lost(&self) -> bool {
        scoped(&self.device, || self.ask()).1.is_none()
    }

    /// Every question has been answered.
    pub fn asked(&self) -> u64 {
        0
    }

    pub async fn answered(&self, _: u64) -> Result<()> {
        Ok(())
    }

    /// To be called last in an error scope.
    fn ask(&self) {
        self.queue.write_buffer(&self.probe, 0, &[]);
    }

    fn named(&self, bytes: u64, error: wgpu::Error) -> Error {
        match error {
            wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory { bytes },
            // A lost device makes invalid objects, and wgpu reports their use.
            _ if self.is_lost() => Error::DeviceLost,
            error => device::named(&error.to_string()),
        }
    }
}

/// Lets wgpu look at what the GPU has done.
pub(super) fn progress(device: &Device) -> Result<()> {
    match poll(&device.device) {
        true => Ok(()),
        false => Err(Error::DeviceLost),
    }
}

/// wgpu panics if the device is lost meanwhile, and this is false.
fn poll(device: &wgpu::Device) -> bool {
    let poll = || device.poll(wgpu::PollType::Poll);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll)).is_ok()
}

fn is_there(answer: &Answer) -> bool {
    answer
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .is_none()
}

/// Blocks until `is_done`, which the GPU's progress makes true, or the device is lost.
///
/// wgpu's own wait holds a lock for as long as it lasts, which may keep another thread from submitting, and
/// with a timeout it panics if another thread polls at the wrong moment.
fn wait_until(device: &Device, is_done: impl Fn() -> bool) {
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

/// Blocks until the answer is there.
pub(super) fn wait(device: &Arc<Device>, answer: Answer) {
    wait_for_answer(device, answer);
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

pub(super) fn fill(_: &Device, staging: &wgpu::Buffer, bytes: &[u8], padding: usize) -> Result<()> {
    let mut view = staging
        .get_mapped_range_mut(0..(bytes.len() + padding) as u64)
        .map_err(|_| Error::DeviceLost)?;
    view.slice(..bytes.len()).copy_from_slice(bytes);
    view.slice(bytes.len()..).fill(0);
    drop(view);
    staging.unmap();
    Ok(())
}

/// Calls `free` once the copy from `staging` is done that has just been recorded.
pub(super) fn when_copied(
    encoder: &wgpu::CommandEncoder,
    staging: &wgpu::Buffer,
    free: impl FnOnce() + Send + 'static,
) {
    encoder.map_buffer_on_submit(staging, wgpu::MapMode::Write, .., |result| {
        if result.is_ok() {
            free();
        }
    });
}

pub(super) fn copy_from(view: &wgpu::BufferView, bytes: &mut [u8]) {
    bytes.copy_from_slice(&view[..bytes.len()]);
}

/// wgpu frees a buffer that is dropped.
pub(super) fn free(_: wgpu::Buffer) {}

/// Whether staging buffers for uploads are mapped while nobody uses them.
pub(super) const STAGING_IS_MAPPED: bool = true;

/// Whether a call that fails says so only later.
pub(super) const REPORTS_LATER: bool = false;
