use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

/// What is recorded and not submitted yet: a small operation waits for others, so that many are one
/// submission.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    recording: Mutex<Option<Recording>>,
    turn: Mutex<()>,
    submitter: Mutex<Option<ThreadId>>,
}

/// An encoder that is open, and the pass in it that is.
#[derive(Debug)]
pub(crate) struct Recording {
    /// Ends before the encoder.
    pass: Option<wgpu::ComputePass<'static>>,
    encoder: wgpu::CommandEncoder,
    bytes: u64,
}

/// So much work is worth a submission of its own.
const ENOUGH_BYTES: u64 = 1 << 20;
/// An operation counts as so many bytes at least: 32 of them are enough, too.
const MIN_BYTES: u64 = ENOUGH_BYTES / 32;

impl Recording {
    fn new(device: &wgpu::Device) -> Self {
        Self {
            pass: None,
            encoder: device.create_command_encoder(&Default::default()),
            bytes: 0,
        }
    }

    pub fn encoder(&mut self) -> &mut wgpu::CommandEncoder {
        self.pass = None;
        &mut self.encoder
    }

    /// One pass for all that needs no other, since each costs as much as a submission's end.
    pub fn pass(&mut self) -> &mut wgpu::ComputePass<'static> {
        self.pass
            .get_or_insert_with(|| begin_pass(&mut self.encoder).forget_lifetime())
    }

    pub fn finish(self) -> wgpu::CommandBuffer {
        drop(self.pass);
        self.encoder.finish()
    }
}

pub(crate) fn begin_pass(encoder: &mut wgpu::CommandEncoder) -> wgpu::ComputePass<'_> {
    encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
        label: Some("selfnorm"),
        timestamp_writes: None,
    })
}

impl Deferred {
    /// Records work on so many bytes. Whether there is enough now to submit it.
    pub fn add(
        &self,
        device: &wgpu::Device,
        bytes: u64,
        record: impl FnOnce(&mut Recording),
    ) -> bool {
        let mut recording = lock(&self.recording);
        let recording = recording.get_or_insert_with(|| Recording::new(device));
        record(recording);
        recording.bytes += bytes.max(MIN_BYTES);
        recording.bytes >= ENOUGH_BYTES
    }

    /// Submits what waits with `submit`. One thread at a time, so that what another has recorded later
    /// is not submitted earlier; but a submission calls callbacks, which may submit, too.
    pub fn submit<R>(&self, submit: impl FnOnce(Recording) -> R) -> Option<R> {
        let thread = std::thread::current().id();
        if *lock(&self.submitter) == Some(thread) {
            return self.take().map(submit);
        }
        let _turn = lock(&self.turn);
        let recording = self.take()?;
        let _submitter = Submitter::new(&self.submitter, thread);
        Some(submit(recording))
    }

    /// Never submits what waits.
    pub fn discard(&self) {
        drop(self.take());
    }

    fn take(&self) -> Option<Recording> {
        lock(&self.recording).take()
    }
}

/// The thread that submits, until it has, or panics: an application's callback may.
struct Submitter<'a>(&'a Mutex<Option<ThreadId>>);

impl<'a> Submitter<'a> {
    fn new(submitter: &'a Mutex<Option<ThreadId>>, thread: ThreadId) -> Self {
        *lock(submitter) = Some(thread);
        Self(submitter)
    }
}

impl Drop for Submitter<'_> {
    fn drop(&mut self) {
        *lock(self.0) = None;
    }
}

/// Every change leaves what is locked whole, so that a panic elsewhere does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
