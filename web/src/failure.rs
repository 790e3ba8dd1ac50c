//! Errors as the page catches them.

use selfnorm::Error;

/// A JavaScript error, whose name says what the page can do about it.
pub type Failure = js_sys::Error;

/// The crate's error. Its name is `NoGpu`, `DeviceLost`, `OutOfMemory` or `Error`.
pub fn failure(error: Error) -> Failure {
    let failure = Failure::new(&error.to_string());
    failure.set_name(match error {
        Error::NoAdapter | Error::AdapterNotFound { .. } | Error::UnsupportedDevice(_) => "NoGpu",
        Error::DeviceLost => "DeviceLost",
        Error::OutOfMemory { .. } => "OutOfMemory",
        _ => "Error",
    });
    failure
}

/// What is wrong with what the page was given.
pub fn refused(detail: impl AsRef<str>) -> Failure {
    Failure::new(detail.as_ref())
}
