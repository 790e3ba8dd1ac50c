//! The same as native.rs for browsers, where nothing waits, errors go to the console, and there are
//! no files.

use std::sync::Arc;

use super::Result;
use super::device::Device;
use super::transfer::Answer;

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

/// A browser has one adapter, which can be requested but not listed.
pub(super) async fn adapters(instance: &wgpu::Instance, _: wgpu::Backends) -> Vec<wgpu::Adapter> {
    let adapter = instance.request_adapter(&Default::default()).await;
    adapter.into_iter().collect()
}

pub(super) fn wait_until(_: &Device, _: impl Fn() -> bool) {}

/// Errors arrive too late for any call to wait for them.
pub(super) fn scoped<R>(_: &wgpu::Device, calls: impl FnOnce() -> R) -> (R, Option<wgpu::Error>) {
    (calls(), None)
}

/// A lost device is not told from another.
#[derive(Debug)]
pub(super) struct Probe;

impl Probe {
    pub fn new(_: &wgpu::Device) -> Result<Self> {
        Ok(Self)
    }

    pub fn is_lost(&self, _: &wgpu::Device) -> bool {
        false
    }
}

/// A browser makes progress by itself.
pub(crate) fn wait_aside(_: &Arc<Device>, _: Answer) {}
