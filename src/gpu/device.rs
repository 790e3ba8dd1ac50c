use std::sync::OnceLock;

use super::cooperative::CooperativeMatrices;
use super::limits::Limits;
use super::platform::{self, Reports};
use super::recording::{Deferred, Recording};
use crate::error::{Error, Result};

/// A device and its queue, with wgpu's errors as results, and the work not yet submitted.
#[derive(Debug)]
pub(crate) struct Device {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub limits: Limits,
    cooperative_matrices: OnceLock<CooperativeMatrices>,
    deferred: Deferred,
    pub(super) reports: Reports,
}

/// Whose buffers some work uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// No application can access them.
    Crate,
    /// An application may have destroyed or mapped one of them.
    Application,
}

impl Owner {
    pub fn of(are_private: bool) -> Self {
        if are_private {
            Self::Crate
        } else {
            Self::Application
        }
    }
}

impl Device {
    pub(super) fn new(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Ok(Self {
            limits: Limits::of(&device)?,
            cooperative_matrices: OnceLock::new(),
            deferred: Deferred::default(),
            reports: Reports::new(&device, &queue)?,
            device,
            queue,
        })
    }

    pub fn has(&self, feature: wgpu::Features) -> bool {
        self.device.features().contains(feature)
    }

    /// Takes what the adapter lists, once.
    pub(super) fn use_cooperative_matrices(&self, listed: &[wgpu::CooperativeMatrixProperties]) {
        if let Some(matrices) = CooperativeMatrices::of(&self.device, &self.limits, listed) {
            self.cooperative_matrices.get_or_init(|| matrices);
        }
    }

    pub fn cooperative_matrices(&self) -> Option<CooperativeMatrices> {
        self.cooperative_matrices.get().copied()
    }

    /// Records work on `bytes` bytes and submits it once there is enough; returns whether it has.
    /// Only for buffers that no application can access, so none notices the delay.
    pub fn defer(&self, bytes: u64, record: impl FnOnce(&mut Recording)) -> Result<bool> {
        let add = || self.deferred.add(&self.device, bytes, record);
        let is_enough = self.reports.checked_on_device(add).inspect_err(|_| {
            // Ending a recording of a lost device is an error, which the application must not get.
            self.reports.unreported(|| self.deferred.discard());
        })?;
        if is_enough {
            self.flush()?;
        }
        Ok(is_enough)
    }

    /// Submits the deferred work.
    pub fn flush(&self) -> Result<()> {
        self.deferred.submit(|recording| match recording {
            Some(recording) => self.checked(0, || {
                self.queue.submit([recording.finish()]);
            }),
            None => Ok(()),
        })
    }

    /// Submits what `record` records, after the deferred work, and returns what it returns.
    ///
    /// It is one submission with the deferred work, in two command buffers, so that nothing else is
    /// lost if `record` fails. If an application's buffer is destroyed or mapped, wgpu refuses a whole
    /// submission, so work on one has a submission of its own.
    pub fn submit<R>(
        &self,
        owner: Owner,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<R>,
    ) -> Result<R> {
        self.send(owner, true, record)
    }

    /// Like [`submit`](Self::submit), for work whose results are read later: reading them finds out
    /// whether the device is lost.
    pub fn enqueue<R>(
        &self,
        owner: Owner,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<R>,
    ) -> Result<R> {
        self.send(owner, false, record)
    }

    /// Submits; all that wgpu may report is in one error scope, or in two if there is deferred work.
    fn send<R>(
        &self,
        owner: Owner,
        look: bool,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<R>,
    ) -> Result<R> {
        if owner == Owner::Application {
            self.flush()?;
        }
        let submit = |before: Option<Recording>, commands: wgpu::CommandBuffer| {
            let before = before.map(Recording::finish);
            self.queue.submit(before.into_iter().chain([commands]));
        };
        let recorded = self.checked_and(look, || {
            let mut encoder = self.device.create_command_encoder(&Default::default());
            let recorded = record(&mut encoder)?;
            let commands = encoder.finish();
            if owner == Owner::Application || self.deferred.is_idle() {
                submit(None, commands);
                return Ok((recorded, None));
            }
            Ok((recorded, Some(commands)))
        });
        match recorded {
            Ok(Ok((recorded, None))) => Ok(recorded),
            Ok(Ok((recorded, Some(commands)))) => {
                self.deferred
                    .submit(|before| self.checked_and(look, || submit(before, commands)))?;
                Ok(recorded)
            }
            Ok(Err(error)) | Err(error) => {
                self.flush()?;
                Err(error)
            }
        }
    }

    /// Runs `calls` to wgpu and returns any error that wgpu reports for them. `bytes` is the size
    /// of an allocation among them.
    pub fn checked<R>(&self, bytes: u64, calls: impl FnOnce() -> R) -> Result<R> {
        self.reports.checked(bytes, calls)
    }

    /// Like [`checked`](Self::checked); with `look` it is an error, too, if the device is lost.
    fn checked_and<R>(&self, look: bool, calls: impl FnOnce() -> R) -> Result<R> {
        match look {
            true => self.reports.checked_on_device(calls),
            false => self.reports.checked(0, calls),
        }
    }

    /// Lets the GPU's answers come in, without waiting, or returns the error that has come.
    pub fn progress(&self) -> Result<()> {
        platform::progress(self)
    }

    pub fn is_lost(&self) -> bool {
        self.reports.is_lost()
    }

    /// The end of the calls so far, for [`settle`](Self::settle).
    pub fn calls(&self) -> u64 {
        self.reports.asked()
    }

    /// Waits for what is still to be reported of so many calls: in a browser, they have returned before.
    pub async fn settle(&self, calls: u64) -> Result<()> {
        self.reports.answered(calls).await
    }
}

/// The error for what wgpu reports. Its types are too many; its words are these: `Buffer with 'image'
/// label has been destroyed`.
pub(super) fn named(report: &str) -> Error {
    // `Buffer with 'image'`, or `Texture with`.
    let labelled = |what: &str| {
        let what = format!("' label {what}");
        let (before, _) = report.split_once(&what)?;
        let (_, label) = before.rsplit_once(" with '")?;
        Some(label.to_owned())
    };
    if let Some(label) = labelled("has been destroyed") {
        Error::Destroyed { label }
    } else if let Some(label) = labelled("is still mapped") {
        Error::Mapped { label }
    } else if let Some(label) = labelled("doesn't match Device") {
        Error::OtherDevice { label }
    } else if report.contains("Encoder is locked") {
        Error::EncoderLocked
    } else {
        Error::Unexpected(report.into())
    }
}
