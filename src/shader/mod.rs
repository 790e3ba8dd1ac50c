//! Kernels as text: which files a shader is made of, and what the host and the WGSL both know of it.

pub(crate) mod files;
pub(crate) mod module;
pub(crate) mod params;
