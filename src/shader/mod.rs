//! Kernels as text: the files a shader is made of, and the definitions that host and WGSL share.

pub(crate) mod files;
pub(crate) mod module;
pub(crate) mod names;
pub(crate) mod params;
