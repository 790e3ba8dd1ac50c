//! What the process allocates, counted by this program's allocator.

#[path = "../../benches/common/bare_selu.rs"]
mod bare_selu;
#[path = "../common/mod.rs"]
mod common;
#[path = "../../examples/common/digits.rs"]
mod digits;
#[path = "../../benches/common/dispatch.rs"]
mod dispatch;
#[path = "../../examples/common/idx.rs"]
mod idx;

mod hostile_files;
mod recording;

use std::sync::{Mutex, MutexGuard, PoisonError};

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The allocator counts for all threads, so each test has the process to itself.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
