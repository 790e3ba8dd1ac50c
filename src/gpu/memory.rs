use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use super::device::Device;
use crate::error::{Error, Result};

/// Buffers kept for the next tensor, upload or readback of their size.
#[derive(Debug)]
pub(crate) struct Memory {
    device: Arc<Device>,
    idle: Mutex<Idle>,
    #[cfg(not(target_family = "wasm"))]
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
    /// Mapped for writing while idle.
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
            Self::Upload => Usage::MAP_WRITE | Usage::COPY_SRC,
            Self::Readback => Usage::MAP_READ | Usage::COPY_DST,
        }
    }
}

impl Memory {
    pub(super) fn new(device: Device) -> Self {
        Self {
            device: Arc::new(device),
            idle: Mutex::default(),
            #[cfg(not(target_family = "wasm"))]
            scratch: Mutex::default(),
        }
    }

    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// An idle buffer, or a new one.
    pub fn take(&self, purpose: Purpose, bytes: u64) -> Result<wgpu::Buffer> {
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
        match create(&self.device, purpose, bytes) {
            Err(Error::OutOfMemory { .. }) => {
                let idle = std::mem::take(&mut *self.idle());
                drop(idle);
                // Freed once the GPU is done with them.
                self.device.flush()?;
                self.device.wait_for_all();
                create(&self.device, purpose, bytes)
            }
            result => result,
        }
    }

    /// Keeps a buffer for later. Beyond the limit, frees the others, whose sizes fit earlier work.
    pub fn give(&self, purpose: Purpose, buffer: wgpu::Buffer) {
        let bytes = buffer.size();
        // Freed after unlocking.
        let mut others = Idle::default();
        let mut idle = self.idle();
        if idle.bytes + bytes > MAX_IDLE_BYTES {
            others = std::mem::take(&mut *idle);
        }
        if bytes <= MAX_IDLE_BYTES {
            idle.bytes += bytes;
            idle.buffers
                .entry((purpose, bytes))
                .or_default()
                .push(buffer);
        }
        drop(idle);
        drop(others);
    }

    /// Every change leaves the map consistent, so a panic elsewhere does no harm.
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn create(device: &Device, purpose: Purpose, bytes: u64) -> Result<wgpu::Buffer> {
    device.checked(bytes, || {
        device.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(purpose.label()),
            size: bytes,
            usage: purpose.usage(),
            mapped_at_creation: purpose == Purpose::Upload,
        })
    })
}
