//! What the page asks of a session while it runs.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Set by the page, looked at between steps.
#[derive(Default)]
pub struct Control {
    pub is_paused: Cell<bool>,
    pub is_stopped: Cell<bool>,
    /// The hidden layer whose output is shown, counted from 1.
    pub layer: Cell<usize>,
    /// The pixels of the digit that is drawn, and the page's number of the drawing.
    pub drawing: RefCell<(Vec<u8>, u32)>,
    /// The networks that are to be saved.
    pub to_save: RefCell<Vec<usize>>,
    has_news: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Control {
    /// Something has been set.
    pub fn call(&self) {
        self.has_news.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits until something is set, if nothing has been since the last time.
    pub async fn called(&self) {
        poll_fn(|context| {
            if self.has_news.take() {
                return Poll::Ready(());
            }
            self.waker.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}
