//! Bytes to and from buffers, in pieces through staging buffers that are kept.

use std::sync::{Arc, Mutex, PoisonError};

use futures_channel::oneshot;

use crate::memory::Purpose;
use crate::{Error, Gpu, Result};

pub(crate) const COPY_ALIGNMENT: u64 = wgpu::COPY_BUFFER_ALIGNMENT;

/// The pieces' size, so that their buffers are small and kept.
const STAGING_BYTES: u64 = 32 << 20;

pub(crate) const MIN_STAGING_BYTES: u64 = 1 << 10;

/// Sees to it that the GPU's answer arrives.
pub(crate) trait Progress: Fn(&Gpu, wgpu::SubmissionIndex, Answer) {}

impl<F: Fn(&Gpu, wgpu::SubmissionIndex, Answer)> Progress for F {}

/// Copies from `buffer`.
pub(crate) async fn read(
    gpu: &Gpu,
    buffer: &wgpu::Buffer,
    offset: u64,
    bytes: &mut [u8],
    progress: impl Progress,
) -> Result<()> {
    for (piece, bytes) in bytes.chunks_mut(STAGING_BYTES as usize).enumerate() {
        let start = offset + piece as u64 * STAGING_BYTES;
        let copied = (bytes.len() as u64).next_multiple_of(COPY_ALIGNMENT);
        let staging = staging(gpu, Purpose::Readback, copied)?;
        read_through(gpu, &staging, buffer, start, bytes, &progress).await?;
        gpu.memory().give(Purpose::Readback, staging);
    }
    Ok(())
}

/// Copies from `buffer` by way of `staging`, which is as large and unmapped.
pub(crate) async fn read_through(
    gpu: &Gpu,
    staging: &wgpu::Buffer,
    buffer: &wgpu::Buffer,
    start: u64,
    bytes: &mut [u8],
    progress: impl Progress,
) -> Result<()> {
    let copied = (bytes.len() as u64).next_multiple_of(COPY_ALIGNMENT);
    let copy = gpu.submit(|encoder| {
        encoder.copy_buffer_to_buffer(buffer, start, staging, 0, copied);
        Ok(())
    })?;
    let (sender, mapped) = oneshot::channel();
    let answer: Answer = Arc::new(Mutex::new(Some(sender)));
    let callback = answer.clone();
    gpu.checked(0, || {
        staging.map_async(wgpu::MapMode::Read, 0..copied, move |result| {
            if let (Ok(()), Some(sender)) = (result, take(&callback)) {
                // Nobody may be waiting any more.
                let _ = sender.send(());
            }
        });
    })?;
    progress(gpu, copy, answer);
    mapped.await.map_err(|_| Error::DeviceLost)?;
    {
        let view = staging
            .get_mapped_range(0..copied)
            .map_err(|_| Error::DeviceLost)?;
        bytes.copy_from_slice(&view[..bytes.len()]);
    }
    staging.unmap();
    Ok(())
}

/// Sizes in powers of two, so that few buffers serve all lengths.
fn staging(gpu: &Gpu, purpose: Purpose, bytes: u64) -> Result<wgpu::Buffer> {
    let size = bytes.next_power_of_two().max(MIN_STAGING_BYTES);
    let largest = gpu.limits().max_buffer_bytes / COPY_ALIGNMENT * COPY_ALIGNMENT;
    gpu.memory().take(gpu, purpose, size.min(largest))
}

/// Copies to `buffer`, and zeros after the last byte up to a multiple of `padding` bytes, itself one of
/// four.
pub(crate) fn write(
    gpu: &Gpu,
    buffer: &wgpu::Buffer,
    offset: u64,
    bytes: &[u8],
    padding: u64,
) -> Result<()> {
    let mut under_way = None;
    for (piece, bytes) in bytes.chunks(STAGING_BYTES as usize).enumerate() {
        let copied = (bytes.len() as u64).next_multiple_of(padding);
        let staging = staging(gpu, Purpose::Upload, copied)?;
        {
            let mut view = staging
                .get_mapped_range_mut(0..copied)
                .map_err(|_| Error::DeviceLost)?;
            view.slice(..bytes.len()).copy_from_slice(bytes);
            view.slice(bytes.len()..).fill(0);
        }
        staging.unmap();
        let start = offset + piece as u64 * STAGING_BYTES;
        let submission = gpu.submit(|encoder| {
            encoder.copy_buffer_to_buffer(&staging, 0, buffer, start, copied);
            Ok(())
        })?;
        // Two pieces under way at most.
        if let Some(earlier) = under_way.replace(submission) {
            gpu.wait(Some(earlier));
        }
        let (weak, returned) = (gpu.downgrade(), staging.clone());
        gpu.checked(0, || {
            staging.map_async(wgpu::MapMode::Write, .., move |result| {
                if let (Ok(()), Some(gpu)) = (result, weak.upgrade()) {
                    gpu.memory().give(Purpose::Upload, returned);
                }
            });
        })?;
    }
    Ok(())
}

/// Where the readback waits for its answer; dropping the sender is an answer too.
pub(crate) type Answer = Arc<Mutex<Option<oneshot::Sender<()>>>>;

fn take(answer: &Answer) -> Option<oneshot::Sender<()>> {
    answer.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Blocks until the GPU has done the submission. The answer may still be on its way then, in another
/// thread that polls the device; but from a lost device none comes.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn wait(gpu: &Gpu, submission: wgpu::SubmissionIndex, answer: Answer) {
    gpu.wait(Some(submission));
    let is_missing = answer
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .is_some();
    if is_missing && gpu.is_lost() {
        drop(take(&answer));
    }
}

/// Has a thread wait; where there are none to be had, waits here.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn wait_aside(gpu: &Gpu, submission: wgpu::SubmissionIndex, answer: Answer) {
    let (waiter, index, sender) = (gpu.clone(), submission.clone(), answer.clone());
    let spawned = std::thread::Builder::new().spawn(move || wait(&waiter, index, sender));
    if spawned.is_err() {
        wait(gpu, submission, answer);
    }
}

/// A browser goes on by itself.
#[cfg(target_family = "wasm")]
pub(crate) fn wait_aside(_: &Gpu, _: wgpu::SubmissionIndex, _: Answer) {}
