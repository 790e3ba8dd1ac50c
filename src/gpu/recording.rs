use std::borrow::BorrowMut;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

/// Work recorded but not yet submitted: small operations wait for others, so that one submission
/// has many.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    recording: Mutex<Option<Recording>>,
    turn: Mutex<()>,
    submitter: Mutex<Option<ThreadId>>,
}

/// Deferred work.
#[derive(Debug)]
pub(crate) struct Recording {
    commands: Commands<wgpu::CommandEncoder>,
    bytes: u64,
}

/// An open encoder, and the open pass in it.
#[derive(Debug)]
pub(crate) struct Commands<E> {
    /// Must end before the encoder.
    pass: Option<wgpu::ComputePass<'static>>,
    encoder: E,
}

/// This much work is worth a submission of its own.
pub(super) const ENOUGH_BYTES: u64 = 1 << 20;
/// Every operation counts as at least this many bytes, so 32 of them are enough, too.
const MIN_BYTES: u64 = ENOUGH_BYTES / 32;

impl Recording {
    fn new(device: &wgpu::Device) -> Self {
        Self {
            commands: Commands::new(device.create_command_encoder(&Default::default())),
            bytes: 0,
        }
    }

    pub fn encoder(&mut self) -> &mut wgpu::CommandEncoder {
        self.commands.encoder()
    }

    pub fn pass(&mut self) -> &mut wgpu::ComputePass<'static> {
        self.commands.pass()
    }

    pub fn finish(self) -> wgpu::CommandBuffer {
        drop(self.commands.pass);
        self.commands.encoder.finish()
    }
}

impl<E: BorrowMut<wgpu::CommandEncoder>> Commands<E> {
    pub fn new(encoder: E) -> Self {
        Self {
            pass: None,
            encoder,
        }
    }

    /// The encoder, with no pass open.
    pub fn encoder(&mut self) -> &mut wgpu::CommandEncoder {
        self.pass = None;
        self.encoder.borrow_mut()
    }

    /// The open pass, shared as long as possible: each costs as much as the end of a submission.
    pub fn pass(&mut self) -> &mut wgpu::ComputePass<'static> {
        self.pass
            .get_or_insert_with(|| begin_pass(self.encoder.borrow_mut()).forget_lifetime())
    }
}

pub(crate) fn begin_pass(encoder: &mut wgpu::CommandEncoder) -> wgpu::ComputePass<'_> {
    encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
        label: Some("selfnorm"),
        timestamp_writes: None,
    })
}

impl Deferred {
    /// Records work on `bytes` bytes; returns whether there is now enough to submit.
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

    /// Submits with `submit`, which gets the deferred work. One thread at a time, so that nothing
    /// recorded later is submitted earlier; but a submission runs callbacks, which may submit, too.
    pub fn submit<R>(&self, submit: impl FnOnce(Option<Recording>) -> R) -> R {
        let thread = std::thread::current().id();
        if *lock(&self.submitter) == Some(thread) {
            return submit(self.take());
        }
        let _turn = lock(&self.turn);
        let _submitter = Submitter::new(&self.submitter, thread);
        submit(self.take())
    }

    /// Whether nothing is deferred, and no other thread is submitting what was.
    pub fn is_idle(&self) -> bool {
        // In this order: who takes the deferred work is named before.
        let is_empty = lock(&self.recording).is_none();
        let submitter = *lock(&self.submitter);
        is_empty && submitter.is_none_or(|thread| thread == std::thread::current().id())
    }

    /// Drops the deferred work without submitting it.
    pub fn discard(&self) {
        drop(self.take());
    }

    fn take(&self) -> Option<Recording> {
        lock(&self.recording).take()
    }
}

/// Marks a thread as submitting until it is done or panics, as an application's callback may.
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

/// Every change leaves the locked value consistent, so a panic elsewhere does no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
