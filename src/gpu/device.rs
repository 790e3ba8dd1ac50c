use super::limits::Limits;
use super::platform;
use super::recording::{Deferred, Recording};
use crate::error::{Error, Result};

/// A device and its queue: calls whose errors come back, and what is recorded and not yet submitted.
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

    /// Records work on `bytes` bytes, which waits for more before it is submitted. Only on buffers that
    /// no application can get at, so that none notices. The submission, if there is enough for one.
    pub fn defer(
        &self,
        bytes: u64,
        record: impl FnOnce(&mut Recording),
    ) -> Result<Option<wgpu::SubmissionIndex>> {
        let add = || self.deferred.add(&self.device, bytes, record);
        let added = self.checked(0, add);
        if added.is_err() || self.is_lost() {
            // With what a lost device has made, its end is an error, which is not the application's.
            platform::scoped(&self.device, || self.deferred.discard());
            added?;
            return Err(Error::DeviceLost);
        }
        if added? { self.flush() } else { Ok(None) }
    }

    /// Submits what waits.
    pub fn flush(&self) -> Result<Option<wgpu::SubmissionIndex>> {
        let submit =
            |recording: Recording| self.checked(0, || self.queue.submit([recording.finish()]));
        self.deferred.submit(submit).transpose()
    }

    /// Records with `record` and submits it, as one submission, after what waits.
    pub fn submit(
        &self,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<()>,
    ) -> Result<wgpu::SubmissionIndex> {
        let submission = self.enqueue(record)?;
        if self.is_lost() {
            return Err(Error::DeviceLost);
        }
        Ok(submission)
    }

    /// As [`submit`](Self::submit), for work whose results are read later, which finds out whether the
    /// device is lost.
    pub fn enqueue(
        &self,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<()>,
    ) -> Result<wgpu::SubmissionIndex> {
        self.flush()?;
        self.checked(0, || {
            let mut encoder = self.device.create_command_encoder(&Default::default());
            record(&mut encoder)?;
            Ok(self.queue.submit([encoder.finish()]))
        })?
    }

    /// Blocks, where that is possible, until the GPU has done `submission`, or everything. A lost device
    /// is no error here: whoever waits for an answer finds that there is none.
    pub fn wait(&self, submission: Option<wgpu::SubmissionIndex>) {
        platform::wait(&self.device, submission);
    }

    /// Runs `calls` to wgpu and turns what wgpu reports of them into an error. `bytes` is what an
    /// allocation among them asks for.
    pub fn checked<R>(&self, bytes: u64, calls: impl FnOnce() -> R) -> Result<R> {
        match platform::scoped(&self.device, calls) {
            (result, None) => Ok(result),
            (_, Some(wgpu::Error::OutOfMemory { .. })) => Err(Error::OutOfMemory { bytes }),
            // A lost device makes invalid objects, and their use is what is reported.
            (_, Some(_)) if self.is_lost() => Err(Error::DeviceLost),
            (_, Some(error)) => Err(Error::Unexpected(error.to_string())),
        }
    }

    pub fn is_lost(&self) -> bool {
        platform::is_lost(&self.device)
    }
}
