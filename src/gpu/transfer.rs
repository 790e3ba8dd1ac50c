//! Copies bytes to and from buffers, in pieces, through staging buffers that are reused.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_channel::oneshot;

use super::device::{Device, Owner};
use super::memory::{MIN_STAGING_BYTES, Memory, Purpose};
use super::platform;
use crate::error::{Error, Result};

pub(crate) const COPY_ALIGNMENT: u64 = wgpu::COPY_BUFFER_ALIGNMENT;

/// The maximum size of a piece, so that staging buffers are small enough to keep.
pub(crate) const STAGING_BYTES: u64 = 32 << 20;

/// Polls until the readback is done.
pub(crate) trait Progress: Fn(&Arc<Device>, Answer) {}

impl<F: Fn(&Arc<Device>, Answer)> Progress for F {}

/// Where to read from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub buffer: &'a wgpu::Buffer,
    pub offset: u64,
    /// Whether no application can access the buffer.
    pub is_private: bool,
}

/// Copies from `source`.
pub(crate) async fn read(
    memory: &Arc<Memory>,
    mut source: Source<'_>,
    bytes: &mut [u8],
    progress: impl Progress,
) -> Result<()> {
    for bytes in bytes.chunks_mut(STAGING_BYTES as usize) {
        let copied = (bytes.len() as u64).next_multiple_of(COPY_ALIGNMENT);
        let staging = staging(memory, Purpose::Readback, copied)?;
        read_through(memory, &staging, source, bytes, &progress).await?;
        memory.give(Purpose::Readback, staging);
        source.offset += copied;
    }
    Ok(())
}

/// Copies from `source` through `staging`, which must be large enough, and unmapped.
async fn read_through(
    memory: &Arc<Memory>,
    staging: &wgpu::Buffer,
    source: Source<'_>,
    bytes: &mut [u8],
    progress: &impl Progress,
) -> Result<()> {
    let copied = (bytes.len() as u64).next_multiple_of(COPY_ALIGNMENT);
    let device = memory.device();
    let mut readback = Readback::new(staging.clone(), copied);
    if source.is_private {
        device.defer(copied, |recording| {
            readback.record(recording.encoder(), &[(source, copied)]);
        })?;
        device.flush()?;
    } else {
        device.enqueue(Owner::Application, |encoder| {
            readback.record(encoder, &[(source, copied)]);
            Ok(())
        })?;
    }
    readback.submitted(device);
    readback.finish(device, bytes, progress).await
}

/// What has become of a copy to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    Here,
    Later,
    /// Its encoder was dropped, or the device is lost.
    Never,
}

/// A copy to the host.
#[derive(Debug)]
pub(crate) struct Readback {
    staging: wgpu::Buffer,
    copied: u64,
    answer: Answer,
    mapped: oneshot::Receiver<()>,
    /// The calls up to its submission.
    calls: u64,
}

impl Readback {
    /// Of `copied` bytes through `staging`, which must be large enough, and unmapped.
    pub fn new(staging: wgpu::Buffer, copied: u64) -> Self {
        let (sender, mapped) = oneshot::channel();
        Self {
            staging,
            copied,
            answer: Arc::new(Mutex::new(Some(sender))),
            mapped,
            calls: 0,
        }
    }

    /// It has been submitted, by the last call.
    pub fn submitted(&mut self, device: &Device) {
        self.calls = device.calls();
    }

    /// Records the copy of so many bytes of each source, one after the other.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder, sources: &[(Source, u64)]) {
        let (staging, copied) = (&self.staging, self.copied);
        let callback = self.answer.clone();
        let mut place = 0;
        for (source, bytes) in sources {
            encoder.copy_buffer_to_buffer(source.buffer, source.offset, staging, place, *bytes);
            place += bytes;
        }
        encoder.map_buffer_on_submit(staging, wgpu::MapMode::Read, 0..copied, move |result| {
            if let (Ok(()), Some(sender)) = (result, take(&callback)) {
                // It fails if nobody waits any more.
                let _ = sender.send(());
            }
        });
    }

    /// Waits for the bytes of the copy, which has been submitted. A wait that is given up may begin
    /// again.
    pub async fn finish(
        &mut self,
        device: &Arc<Device>,
        bytes: &mut [u8],
        progress: &impl Progress,
    ) -> Result<()> {
        progress(device, self.answer.clone());
        // An error of its submission says more than bytes that never come; those after it are not its own.
        device.settle(self.calls).await?;
        (&mut self.mapped).await.map_err(|_| Error::DeviceLost)?;
        self.take(bytes)
    }

    /// The bytes of the copy, if they are there. Does not wait.
    pub fn poll(&mut self, bytes: &mut [u8]) -> Result<Arrival> {
        // In this order: a callback answers before it goes.
        let is_answerable = Arc::strong_count(&self.answer) > 1;
        if let Ok(Some(())) = self.mapped.try_recv() {
            self.take(bytes)?;
            return Ok(Arrival::Here);
        }
        // Without its callback: the encoder was dropped.
        Ok(match is_answerable {
            true => Arrival::Later,
            false => Arrival::Never,
        })
    }

    fn take(&self, bytes: &mut [u8]) -> Result<()> {
        let view = self.staging.get_mapped_range(0..self.copied);
        platform::copy_from(&view.map_err(|_| Error::DeviceLost)?, bytes);
        self.staging.unmap();
        Ok(())
    }
}

/// A point in the GPU's work.
#[derive(Debug)]
pub(crate) struct Mark {
    answer: Answer,
    reached: oneshot::Receiver<()>,
}

impl Mark {
    /// The end of what is submitted with this encoder.
    pub fn end_of(encoder: &wgpu::CommandEncoder) -> Self {
        let (mark, reach) = Self::new();
        encoder.on_submitted_work_done(reach);
        mark
    }

    /// The end of what was submitted so far.
    pub fn end(queue: &wgpu::Queue) -> Self {
        let (mark, reach) = Self::new();
        queue.on_submitted_work_done(reach);
        mark
    }

    fn new() -> (Self, impl FnOnce() + Send + 'static) {
        let (sender, reached) = oneshot::channel();
        let answer = Arc::new(Mutex::new(Some(sender)));
        let reach = answer.clone();
        let reach = move || {
            if let Some(sender) = take(&reach) {
                let _ = sender.send(());
            }
        };
        (Self { answer, reached }, reach)
    }

    /// Blocks, where that is possible, until the GPU has come here. A lost device is no error: a caller
    /// that waits for an answer notices when there is none.
    pub fn wait(self, device: &Arc<Device>) {
        platform::wait(device, self.answer);
    }

    /// As [`wait`](Self::wait), anywhere.
    pub async fn reached(self, device: &Arc<Device>, progress: &impl Progress) {
        progress(device, self.answer);
        // Without an answer, too.
        let _ = self.reached.await;
    }
}

/// An unmapped buffer for a [`Readback`] of up to `bytes` bytes.
pub(crate) fn readback_staging(memory: &Memory, bytes: u64) -> Result<wgpu::Buffer> {
    staging(memory, Purpose::Readback, bytes)
}

/// Sizes in powers of two, so that few buffers serve all lengths.
fn staging(memory: &Memory, purpose: Purpose, bytes: u64) -> Result<wgpu::Buffer> {
    let size = bytes.next_power_of_two().max(MIN_STAGING_BYTES);
    let largest = memory.device().limits.max_buffer_bytes / COPY_ALIGNMENT * COPY_ALIGNMENT;
    memory.take(purpose, size.min(largest))
}

/// Bytes on their way to a buffer, in a staging buffer.
#[derive(Debug)]
pub(crate) struct Upload {
    staging: wgpu::Buffer,
    copied: u64,
    memory: Weak<Memory>,
}

impl Upload {
    /// Of `bytes`, at most [`STAGING_BYTES`], followed by zeros up to a multiple of `padding` bytes,
    /// itself a multiple of four.
    pub fn new(memory: &Arc<Memory>, bytes: &[u8], padding: u64) -> Result<Self> {
        let copied = (bytes.len() as u64).next_multiple_of(padding);
        let staging = staging(memory, Purpose::Upload, copied)?;
        let zeros = copied as usize - bytes.len();
        platform::fill(memory.device(), &staging, bytes, zeros)?;
        Ok(Self {
            staging,
            copied,
            memory: Arc::downgrade(memory),
        })
    }

    /// Records the copy.
    pub fn record(self, encoder: &mut wgpu::CommandEncoder, buffer: &wgpu::Buffer, offset: u64) {
        let Self {
            staging,
            copied,
            memory,
        } = self;
        encoder.copy_buffer_to_buffer(&staging, 0, buffer, offset, copied);
        let returned = staging.clone();
        platform::when_copied(encoder, &staging, move || {
            if let Some(memory) = memory.upgrade() {
                memory.give(Purpose::Upload, returned);
            }
        });
    }
}

/// Copies `bytes` to `buffer`, followed by zeros up to a multiple of `padding` bytes, itself a
/// multiple of four.
pub(crate) fn write(
    memory: &Arc<Memory>,
    buffer: &wgpu::Buffer,
    offset: u64,
    bytes: &[u8],
    padding: u64,
) -> Result<()> {
    let mut under_way = None;
    let has_pieces = bytes.len() > STAGING_BYTES as usize;
    for (piece, bytes) in bytes.chunks(STAGING_BYTES as usize).enumerate() {
        let upload = Upload::new(memory, bytes, padding)?;
        let start = offset + piece as u64 * STAGING_BYTES;
        let mut end = None;
        let is_submitted = memory.device().defer(upload.copied, |recording| {
            let encoder = recording.encoder();
            end = has_pieces.then(|| Mark::end_of(encoder));
            upload.record(encoder, buffer, start);
        })?;
        // At most two pieces in flight.
        if is_submitted && let Some(earlier) = std::mem::replace(&mut under_way, end) {
            earlier.wait(memory.device());
        }
    }
    Ok(())
}

/// The sender that tells a readback it is done; dropping it means that the device is lost.
pub(super) type Answer = Arc<Mutex<Option<oneshot::Sender<()>>>>;

pub(super) fn take(answer: &Answer) -> Option<oneshot::Sender<()>> {
    answer.lock().unwrap_or_else(PoisonError::into_inner).take()
}
