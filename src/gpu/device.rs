use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// A point in the GPU's work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mark(Arc<AtomicBool>);

impl Mark {
    /// The end of what is submitted with this encoder.
    pub fn end_of(encoder: &wgpu::CommandEncoder) -> Self {
        let mark = Self::default();
        let reach = mark.clone();
        encoder.on_submitted_work_done(move || reach.reach());
        mark
    }

    fn reach(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_reached(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
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

    /// Records work on `bytes` bytes and submits it once there is enough; returns whether it has.
    /// Only for buffers that no application can access, so none notices the delay.
    pub fn defer(&self, bytes: u64, record: impl FnOnce(&mut Recording)) -> Result<bool> {
        let add = || self.deferred.add(&self.device, bytes, record);
        let added = self.checked(0, add);
        if added.is_err() || self.is_lost() {
            // Ending a recording of a lost device is an error, which the application must not get.
            platform::scoped(&self.device, || self.deferred.discard());
            added?;
            return Err(Error::DeviceLost);
        }
        let is_enough = added?;
        if is_enough {
            self.flush()?;
        }
        Ok(is_enough)
    }

    /// Submits the deferred work.
    pub fn flush(&self) -> Result<()> {
        let submit = |recording: Recording| {
            self.checked(0, || self.queue.submit([recording.finish()]))
                .map(drop)
        };
        self.deferred.submit(submit).unwrap_or(Ok(()))
    }

    /// Submits what `record` records, as one submission, after the deferred work, and returns what
    /// it returns.
    pub fn submit<R>(
        &self,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<R>,
    ) -> Result<R> {
        let recorded = self.enqueue(record)?;
        if self.is_lost() {
            return Err(Error::DeviceLost);
        }
        Ok(recorded)
    }

    /// Like [`submit`](Self::submit), for work whose results are read later: reading them finds out
    /// whether the device is lost.
    pub fn enqueue<R>(
        &self,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<R>,
    ) -> Result<R> {
        self.flush()?;
        self.checked(0, || {
            let mut encoder = self.device.create_command_encoder(&Default::default());
            let recorded = record(&mut encoder)?;
            self.queue.submit([encoder.finish()]);
            Ok(recorded)
        })?
    }

    /// Blocks, where that is possible, until the GPU has come to `mark`. A lost device is no error
    /// here: a caller that waits for an answer notices when there is none.
    pub fn wait(&self, mark: &Mark) {
        platform::wait_until(&self.device, || mark.is_reached());
    }

    /// Blocks, where that is possible, until the GPU has finished what was submitted so far.
    pub fn wait_for_all(&self) {
        let mark = Mark::default();
        let reach = mark.clone();
        self.queue.on_submitted_work_done(move || reach.reach());
        self.wait(&mark);
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
