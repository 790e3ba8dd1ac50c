//! The same as native.rs for browsers, where nothing can wait: the answer to an error scope is a promise,
//! and the next awaited call returns it. There are no files.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

use futures_channel::oneshot;
use hashbrown::HashSet;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::device::{self, Device};
use super::transfer::Answer;
use super::{Error, Result};

/// Browsers cache compiled pipelines themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct CacheOptions;

/// Browsers have none.
#[derive(Debug)]
pub(super) enum PipelineCache {}

impl PipelineCache {
    pub(super) fn create<R>(&self, _: impl FnOnce(&wgpu::PipelineCache) -> R) -> R {
        match *self {}
    }
}

pub(super) fn open_cache(_: &Device, _: &CacheOptions) -> Option<PipelineCache> {
    None
}

/// A browser has one adapter, which can be requested but not listed. What is neither a page nor a worker, such as
/// Node, has none, and wgpu panics there.
pub(super) async fn adapters(descriptor: wgpu::InstanceDescriptor) -> Vec<wgpu::Adapter> {
    let global = js_sys::global();
    let is_browser = ["Window", "WorkerGlobalScope"].iter().any(|kind| {
        let found = js_sys::Reflect::get(&global, &(*kind).into());
        found.is_ok_and(|found| !found.is_undefined())
    });
    if !is_browser {
        return Vec::new();
    }
    let instance = wgpu::Instance::new(descriptor);
    let adapter = instance.request_adapter(&Default::default()).await;
    adapter.into_iter().collect()
}

/// What the browser has said so far.
pub(super) fn progress(device: &Device) -> Result<()> {
    device.reports.reported()
}

/// No call waits.
pub(super) fn wait(_: &Arc<Device>, _: Answer) {}

/// A browser makes progress by itself.
pub(crate) fn wait_aside(_: &Arc<Device>, _: Answer) {}

#[wasm_bindgen]
extern "C" {
    /// A GPUDevice. wgpu's own error scopes panic at a GPUInternalError.
    type ErrorScopes;

    #[wasm_bindgen(method, js_name = pushErrorScope)]
    fn push(this: &ErrorScopes, filter: &str);

    #[wasm_bindgen(method, js_name = popErrorScope)]
    fn pop(this: &ErrorScopes) -> js_sys::Promise;

    /// A GPUError.
    type Report;

    #[wasm_bindgen(method, getter)]
    fn message(this: &Report) -> String;
}

/// The inner scope comes last. An error is of one kind.
const FILTERS: [&str; 3] = ["validation", "internal", OUT_OF_MEMORY];
const OUT_OF_MEMORY: &str = "out-of-memory";

/// What the browser has been asked to report about calls, and has reported.
#[derive(Debug)]
pub(super) struct Reports {
    device: wgpu::Device,
    state: Rc<RefCell<State>>,
}

#[derive(Debug, Default)]
struct State {
    asked: u64,
    answered: u64,
    /// The first error since somebody was told, and of which question.
    error: Option<(u64, Error)>,
    /// Buffers that there was no memory for.
    invalid: HashSet<wgpu::Buffer>,
    has_run_out: bool,
    is_lost: Arc<AtomicBool>,
    waiting: Vec<Waker>,
}

impl State {
    /// What has become of calls, which may have made a buffer.
    #[must_use = "they wait for it"]
    fn answer(
        &mut self,
        question: u64,
        error: Option<Error>,
        buffer: Option<wgpu::Buffer>,
    ) -> Vec<Waker> {
        self.answered += 1;
        if error.is_some() {
            self.has_run_out |= buffer.is_some();
            self.invalid.extend(buffer);
        }
        if let Some(error) = error {
            self.error.get_or_insert((question, error));
        }
        std::mem::take(&mut self.waiting)
    }

    /// The error, if it is the answer to one of so many questions, or that the device is lost.
    fn take_error(&mut self, questions: u64) -> Result<()> {
        let error = self.error.take_if(|(question, _)| *question < questions);
        match error {
            // A lost device makes invalid objects.
            _ if self.is_lost.load(Ordering::Relaxed) => Err(Error::DeviceLost),
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }
}

impl Reports {
    pub fn new(device: &wgpu::Device, _: &wgpu::Queue) -> Result<Self> {
        let state = State::default();
        let is_lost = state.is_lost.clone();
        // In a browser this does not replace an application's.
        device.set_device_lost_callback(move |_, _| is_lost.store(true, Ordering::Relaxed));
        Ok(Self {
            device: device.clone(),
            state: Rc::new(RefCell::new(state)),
        })
    }

    /// The result of `calls`. What the browser reports about them is for the next one who awaits.
    pub fn checked<R>(&self, bytes: u64, calls: impl FnOnce() -> R) -> Result<R> {
        let (result, answers) = scoped(&self.device, calls);
        self.await_answers(answers, bytes, None);
        Ok(result)
    }

    /// The same: nothing tells at once whether the device is lost.
    pub fn checked_on_device<R>(&self, calls: impl FnOnce() -> R) -> Result<R> {
        self.checked(0, calls)
    }

    /// A new buffer, which may turn out to be none: see [`is_valid`](Self::is_valid).
    pub fn allocated(&self, descriptor: &wgpu::BufferDescriptor) -> Result<wgpu::Buffer> {
        let (buffer, answers) = scoped(&self.device, || self.device.create_buffer(descriptor));
        self.await_answers(answers, descriptor.size, Some(buffer.clone()));
        Ok(buffer)
    }

    /// Whether there was memory for a buffer, as far as is known. To be asked once, before it is used
    /// again or dropped.
    pub fn is_valid(&self, buffer: &wgpu::Buffer) -> bool {
        !self.state.borrow_mut().invalid.remove(buffer)
    }

    /// Whether there was no memory for a buffer since it was last asked.
    pub fn has_run_out(&self) -> bool {
        std::mem::take(&mut self.state.borrow_mut().has_run_out)
    }

    /// Runs calls that fail where others have, which are reported.
    pub fn unreported(&self, calls: impl FnOnce()) {
        calls();
    }

    pub fn is_lost(&self) -> bool {
        self.state.borrow().is_lost.load(Ordering::Relaxed)
    }

    /// The number of questions so far.
    pub fn asked(&self) -> u64 {
        self.state.borrow().asked
    }

    /// Waits for the answers to so many questions, and returns the first error among them.
    pub async fn answered(&self, questions: u64) -> Result<()> {
        poll_fn(|context| {
            let mut state = self.state.borrow_mut();
            if state.answered < questions {
                state.waiting.push(context.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(state.take_error(questions))
        })
        .await
    }

    /// The first error that has been reported so far.
    pub fn reported(&self) -> Result<()> {
        self.state.borrow_mut().take_error(u64::MAX)
    }

    fn await_answers(&self, answers: Answers, bytes: u64, buffer: Option<wgpu::Buffer>) {
        let state = self.state.clone();
        let question = state.borrow().asked;
        state.borrow_mut().asked += 1;
        wasm_bindgen_futures::spawn_local(async move {
            let mut error = None;
            for (filter, answer) in FILTERS.into_iter().rev().zip(answers.into_iter().flatten()) {
                // A lost device may refuse to answer.
                if let Ok(report) = answer.await
                    && !report.is_null()
                    && error.is_none()
                {
                    error = Some(named(filter, bytes, report.unchecked_ref()));
                }
            }
            let waiting = state.borrow_mut().answer(question, error, buffer);
            waiting.into_iter().for_each(Waker::wake);
        });
    }
}

/// What becomes of the scopes, the inner one first; none if the device is not a browser's.
type Answers = Option<[JsFuture; FILTERS.len()]>;

/// The result of `calls`, and the answers to come. The scopes are off the device's stack by then, so an
/// application's own are not disturbed.
fn scoped<R>(device: &wgpu::Device, calls: impl FnOnce() -> R) -> (R, Answers) {
    let Some(device) = device.as_webgpu() else {
        return (calls(), None);
    };
    let scopes: &ErrorScopes = device.unchecked_ref();
    for filter in FILTERS {
        scopes.push(filter);
    }
    let result = calls();
    (result, Some(FILTERS.map(|_| JsFuture::from(scopes.pop()))))
}

/// The error for what a browser reports. Chrome's words are these: `[Buffer "image"] used in submit while
/// destroyed`; Firefox has wgpu's.
fn named(filter: &str, bytes: u64, report: &Report) -> Error {
    if filter == OUT_OF_MEMORY {
        return Error::OutOfMemory { bytes };
    }
    let report = report.message();
    // That of what comes before the words, which need not have one.
    let label_before = |words: &str| {
        let (before, _) = report.split_once(words)?;
        let (_, object) = before.rsplit_once('[')?;
        let label = object.split('"').nth(1).unwrap_or_default();
        Some(label.to_owned())
    };
    if let Some(label) = label_before("used in submit while destroyed") {
        Error::Destroyed { label }
    } else if let Some(label) = label_before("used in submit while mapped") {
        Error::Mapped { label }
    } else if let Some(label) = label_before("is associated with [Device") {
        Error::OtherDevice { label }
    } else {
        device::named(&report)
    }
}

/// Writes to a buffer that is not mapped: mapping at creation throws where the page has no memory.
pub(super) fn fill(
    device: &Device,
    staging: &wgpu::Buffer,
    bytes: &[u8],
    padding: usize,
) -> Result<()> {
    device.checked(0, || {
        let whole = bytes.len() / ALIGNMENT * ALIGNMENT;
        let (bytes, rest) = bytes.split_at(whole);
        if !bytes.is_empty() {
            device.queue.write_buffer(staging, 0, bytes);
        }
        let mut end = rest.to_vec();
        end.resize(rest.len() + padding, 0);
        if !end.is_empty() {
            device.queue.write_buffer(staging, whole as u64, &end);
        }
    })
}

const ALIGNMENT: usize = wgpu::COPY_BUFFER_ALIGNMENT as usize;

/// Calls `free` once the copy from `staging` is done that has just been recorded.
pub(super) fn when_copied(
    encoder: &wgpu::CommandEncoder,
    _: &wgpu::Buffer,
    free: impl FnOnce() + 'static,
) {
    let (sender, is_copied) = oneshot::channel();
    encoder.on_submitted_work_done(move || {
        let _ = sender.send(());
    });
    wasm_bindgen_futures::spawn_local(async move {
        if is_copied.await.is_ok() {
            free();
        }
    });
}

/// Copies from a mapped buffer, without another copy on the way.
pub(super) fn copy_from(view: &wgpu::BufferView, bytes: &mut [u8]) {
    view.as_uint8array()
        .subarray(0, bytes.len() as u32)
        .copy_to(bytes);
}

/// Gives the memory of a buffer back, for which JavaScript's collector takes its time.
pub(super) fn free(buffer: wgpu::Buffer) {
    buffer.destroy();
}

/// Whether staging buffers for uploads are mapped while nobody uses them.
pub(super) const STAGING_IS_MAPPED: bool = false;

/// Whether a call that fails says so only later.
pub(super) const REPORTS_LATER: bool = true;
