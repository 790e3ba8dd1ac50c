//! HDF5, as far as Keras uses it.
//!
//! The crate `hdf5-pure` 0.47 has all of it, in 120,000 lines, and needs a newer Rust. It allocates what the header of a
//! chunk announces: 6.7 GB for a file of 4 KB.

mod read;
mod write;

pub(super) use read::{Array, Group, SIGNATURE};
pub(super) use write::Writer;
