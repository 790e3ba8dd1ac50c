//! What the targets share: changes to safetensors files that keep them readable, and networks that
//! load them.

pub mod mutate;
pub mod network;

use std::path::PathBuf;
use std::sync::LazyLock;

use tempfile::TempDir;

/// A file of this process, in memory where there is a folder for that.
pub fn scratch(name: &str) -> PathBuf {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .expect("a folder for the inputs")
    });
    FOLDER.path().join(name)
}
