use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use super::device::Device;
use super::platform;
use super::recording::ENOUGH_BYTES;
use super::transfer::Mark;
use crate::error::{Error, Result};

/// Buffers kept for the next tensor, upload or readback of their size.
#[derive(Debug)]
pub(crate) struct Memory {
    device: Arc<Device>,
    idle: Mutex<Idle>,
    pub(super) scratch: Mutex<Option<wgpu::Buffer>>,
}

#[derive(Debug, Default)]
struct Idle {
    buffers: HashMap<(Purpose, u64), Vec<wgpu::Buffer>>,
    bytes: u64,
}

/// The purpose of a buffer, which decides its usages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// A tensor.
    Tensor,
    /// Mapped for writing while idle, where that is possible.
    Upload,
    Readback,
}

/// Idle buffers beyond this are freed.
const MAX_IDLE_BYTES: u64 = 256 << 20;
/// The minimum size of a staging buffer.
pub(super) const MIN_STAGING_BYTES: u64 = 1 << 10;

impl Purpose {
    fn label(self) -> &'static str {
        match self {
            Self::Tensor => "selfnorm",
            Self::Upload => "selfnorm upload",
            Self::Readback => "selfnorm readback",
        }
    }

    fn usage(self) -> wgpu::BufferUsages {
        use wgpu::BufferUsages as Usage;
        match self {
            Self::Tensor => Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST,
            Self::Upload if platform::STAGING_IS_MAPPED => Usage::MAP_WRITE | Usage::COPY_SRC,
            Self::Upload => Usage::COPY_SRC | Usage::COPY_DST,
            Self::Readback => Usage::MAP_READ | Usage::COPY_DST,
        }
    }
}

impl Memory {
    pub(super) fn new(device: Device) -> Self {
        Self {
            device: Arc::new(device),
            idle: Mutex::default(),
            scratch: Mutex::default(),
        }
    }

    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// An idle buffer, or a new one.
    pub fn take(&self, purpose: Purpose, bytes: u64) -> Result<wgpu::Buffer> {
        if self.device.reports.has_run_out() {
            self.free_idle();
        }
        {
            let mut idle = self.idle();
            if let Some(buffer) = idle.buffers.get_mut(&(purpose, bytes)).and_then(Vec::pop) {
                idle.bytes -= bytes;
                return Ok(buffer);
            }
        }
        self.create(purpose, bytes)
    }

    /// A new buffer. If there is no memory for it, frees the idle ones and tries again.
    pub(super) fn create(&self, purpose: Purpose, bytes: u64) -> Result<wgpu::Buffer> {
        if platform::REPORTS_LATER && bytes >= ENOUGH_BYTES {
            // If there is no memory, what is recorded from here on fails; what was before does not.
            self.device.flush()?;
        }
        match create(&self.device, purpose, bytes) {
            Err(Error::OutOfMemory { .. }) => {
                self.free_idle();
                // Freed once the GPU is done with them.
                self.device.flush()?;
                Mark::end(&self.device.queue).wait(&self.device);
                create(&self.device, purpose, bytes)
            }
            result => result,
        }
    }

    fn free_idle(&self) {
        let idle = std::mem::take(&mut *self.idle());
        self.free(idle);
    }

    fn free(&self, idle: Idle) {
        let mut buffers = idle.buffers.into_values().flatten().peekable();
        if platform::REPORTS_LATER && buffers.peek().is_some() {
            // Deferred work may use them. Its errors are reported where it is submitted.
            let _ = self.device.flush();
        }
        buffers.for_each(platform::free);
    }

    /// Keeps a buffer for later. Beyond the limit, frees the others, whose sizes fit earlier work.
    pub fn give(&self, purpose: Purpose, buffer: wgpu::Buffer) {
        if !self.device.reports.is_valid(&buffer) {
            return;
        }
        let bytes = buffer.size();
        // Freed after unlocking.
        let mut others = Idle::default();
        let mut idle = self.idle();
        if idle.bytes + bytes > MAX_IDLE_BYTES {
            others = std::mem::take(&mut *idle);
        }
        let kept = match bytes <= MAX_IDLE_BYTES {
            true => &mut *idle,
            false => &mut others,
        };
        kept.bytes += bytes;
        kept.buffers
            .entry((purpose, bytes))
            .or_default()
            .push(buffer);
        drop(idle);
        self.free(others);
    }

    /// Every change leaves the map consistent, so a panic elsewhere does no harm.
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn create(device: &Device, purpose: Purpose, bytes: u64) -> Result<wgpu::Buffer> {
    device.reports.allocated(&wgpu::BufferDescriptor {
        label: Some(purpose.label()),
        size: bytes,
        usage: purpose.usage(),
        mapped_at_creation: purpose == Purpose::Upload && platform::STAGING_IS_MAPPED,
    })
}
