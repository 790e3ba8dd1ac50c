use crate::error::{Error, Result};
use crate::gpu::waiting::{Recording, Waiting};

/// A device and its queue: calls whose errors come back, and what is recorded and not yet submitted.
#[derive(Debug)]
pub(crate) struct Device {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub limits: Limits,
    waiting: Waiting,
}

/// What of the device's limits the crate goes by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub max_binding_bytes: u64,
    pub max_buffer_bytes: u64,
    pub max_workgroups: u64,
    pub offset_alignment: u64,
    pub uniform_alignment: u64,
    /// Whether shaders run on the CPU.
    pub software: bool,
    /// The invocations of a subgroup, if the device has them and all are of one size.
    pub subgroup: Option<u32>,
}

impl Device {
    pub fn new(device: wgpu::Device, queue: wgpu::Queue, limits: Limits) -> Self {
        Self {
            device,
            queue,
            limits,
            waiting: Waiting::default(),
        }
    }

    /// Records work on `bytes` bytes, which waits for more before it is submitted. Only on buffers that
    /// no application can get at, so that none notices. The submission, if there is enough for one.
    pub fn defer(
        &self,
        bytes: u64,
        record: impl FnOnce(&mut Recording),
    ) -> Result<Option<wgpu::SubmissionIndex>> {
        let add = || self.waiting.add(&self.device, bytes, record);
        let added = self.checked(0, add);
        if added.is_err() || self.is_lost() {
            // With what a lost device has made, its end is an error, which is not the application's.
            self.scoped(|| self.waiting.discard());
            added?;
            return Err(Error::DeviceLost);
        }
        if added? { self.flush() } else { Ok(None) }
    }

    /// Submits what waits.
    pub fn flush(&self) -> Result<Option<wgpu::SubmissionIndex>> {
        let submit =
            |recording: Recording| self.checked(0, || self.queue.submit([recording.finish()]));
        self.waiting.submit(submit).transpose()
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

    /// As [`submit`](Self::submit), for work whose results are read later: nothing is told of a lost
    /// device.
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

    /// Blocks until the GPU has done `submission`, or everything. Nothing is told of a lost device:
    /// whoever waits for an answer finds that there is none.
    #[cfg(not(target_family = "wasm"))]
    pub fn wait(&self, submission: Option<wgpu::SubmissionIndex>) {
        let poll = || {
            self.device.poll(wgpu::PollType::Wait {
                submission_index: submission,
                timeout: None,
            })
        };
        // wgpu panics if the device is lost while it waits.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll));
    }

    /// A browser does not let anybody wait.
    #[cfg(target_family = "wasm")]
    pub fn wait(&self, _: Option<wgpu::SubmissionIndex>) {}

    /// Runs `calls` to wgpu and turns what wgpu reports of them into an error. `bytes` is what an
    /// allocation among them asks for.
    pub fn checked<R>(&self, bytes: u64, calls: impl FnOnce() -> R) -> Result<R> {
        match self.scoped(calls) {
            (result, None) => Ok(result),
            (_, Some(wgpu::Error::OutOfMemory { .. })) => Err(Error::OutOfMemory { bytes }),
            // A lost device makes invalid objects, and their use is what is reported.
            (_, Some(_)) if self.is_lost() => Err(Error::DeviceLost),
            (_, Some(error)) => Err(Error::Unexpected(error.to_string())),
        }
    }

    /// wgpu tells a lost device only through a callback, which belongs to the application; but a
    /// new buffer of a lost device can't be mapped, and nothing is reported.
    pub fn is_lost(&self) -> bool {
        let probe = || {
            let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("selfnorm: is the device there?"),
                size: wgpu::COPY_BUFFER_ALIGNMENT,
                usage: wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC,
                mapped_at_creation: true,
            });
            buffer.get_mapped_range_mut(..).is_ok()
        };
        cfg!(not(target_family = "wasm")) && matches!(self.scoped(probe), (false, None))
    }

    /// The result of `calls`, and the first error that wgpu reports of them.
    #[cfg(not(target_family = "wasm"))]
    fn scoped<R>(&self, calls: impl FnOnce() -> R) -> (R, Option<wgpu::Error>) {
        let scopes = [
            wgpu::ErrorFilter::Validation,
            wgpu::ErrorFilter::Internal,
            wgpu::ErrorFilter::OutOfMemory,
        ]
        .map(|filter| self.device.push_error_scope(filter));
        let result = calls();
        // Every scope must be popped, the inner ones first.
        let [outer, middle, inner] = scopes;
        let errors = [inner, middle, outer].map(|scope| pollster::block_on(scope.pop()));
        (result, errors.into_iter().flatten().next())
    }

    /// In a browser errors arrive later than any call could wait for: its console has them.
    #[cfg(target_family = "wasm")]
    fn scoped<R>(&self, calls: impl FnOnce() -> R) -> (R, Option<wgpu::Error>) {
        (calls(), None)
    }
}
