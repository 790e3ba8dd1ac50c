//! HDF5, as far as Keras uses it.
//!
//! `hdf5-pure` reads more of it: also chunks whose size a file merely announces, and a string again for each
//! reference to it. A few kilobytes then take gigabytes.

mod read;
mod write;

pub(super) use read::{Array, Group, SIGNATURE};
pub(super) use write::Writer;
