use super::limits::Limits;
use super::platform;
use super::recording::{Deferred, Recording};
use crate::error::{Error, Result};

/// A device and its queue, with wgpu's errors as results, and the work not yet submitted.
#[derive(Debug)]
pub(crate) struct Device {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub limits: Limits,
    deferred: Deferred,
}

impl Device {
    pub(super) fn new(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Ok(Self {
            limits: Limits::of(&device)?,
            deferred: Deferred::default(),
            device,
            queue,
        })
    }

    pub fn has(&self, feature: wgpu::Features) -> bool {
        self.device.features().contains(feature)
    }

    /// Records work on `bytes` bytes and submits it once there is enough; returns the submission if
    /// there was one. Only for buffers that no application can access, so none notices the delay.
    pub fn defer(
        &self,
        bytes: u64,
        record: impl FnOnce(&mut Recording),
    ) -> Result<Option<wgpu::SubmissionIndex>> {
        let add = || self.deferred.add(&self.device, bytes, record);
        let added = self.checked(0, add);
        if added.is_err() || self.is_lost() {
            // Ending a recording of a lost device is an error, which the application must not get.
            platform::scoped(&self.device, || self.deferred.discard());
            added?;
            return Err(Error::DeviceLost);
        }
        if added? { self.flush() } else { Ok(None) }
    }

    /// Submits the deferred work.
    pub fn flush(&self) -> Result<Option<wgpu::SubmissionIndex>> {
        let submit =
            |recording: Recording| self.checked(0, || self.queue.submit([recording.finish()]));
        self.deferred.submit(submit).transpose()
    }

    /// Submits what `record` records, as one submission, after the deferred work.
    pub fn submit(
        &self,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<()>,
    ) -> Result<wgpu::SubmissionIndex> {
        let (submission, ()) = self.enqueue(record)?;
        if self.is_lost() {
            return Err(Error::DeviceLost);
        }
        Ok(submission)
    }

    /// Like [`submit`](Self::submit), for work whose results are read later: reading them finds out
    /// whether the device is lost. Returns what `record` returns, too.
    pub fn enqueue<R>(
        &self,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<R>,
    ) -> Result<(wgpu::SubmissionIndex, R)> {
        self.flush()?;
        self.checked(0, || {
            let mut encoder = self.device.create_command_encoder(&Default::default());
            let recorded = record(&mut encoder)?;
            Ok((self.queue.submit([encoder.finish()]), recorded))
        })?
    }

    /// Blocks, where that is possible, until the GPU has finished `submission`, or everything. A
    /// lost device is no error here: a caller that waits for an answer notices when there is none.
    pub fn wait(&self, submission: Option<wgpu::SubmissionIndex>) {
        // An empty submission ends after all there is so far, whatever other threads submit.
        let submission = submission.unwrap_or_else(|| self.queue.submit([]));
        platform::wait(&self.device, submission);
    }

    /// Runs `calls` to wgpu and returns any error that wgpu reports for them. `bytes` is the size
    /// of an allocation among them.
    pub fn checked<R>(&self, bytes: u64, calls: impl FnOnce() -> R) -> Result<R> {
        match platform::scoped(&self.device, calls) {
            (result, None) => Ok(result),
            (_, Some(wgpu::Error::OutOfMemory { .. })) => Err(Error::OutOfMemory { bytes }),
            // A lost device makes invalid objects, and wgpu reports their use.
            (_, Some(_)) if self.is_lost() => Err(Error::DeviceLost),
            (_, Some(error)) => Err(Error::Unexpected(error.to_string())),
        }
    }

    pub fn is_lost(&self) -> bool {
        platform::is_lost(&self.device)
    }
}
