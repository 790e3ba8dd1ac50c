//! Stand-ins for calls of selfnorm that are not merged yet.
use selfnorm::nn::{Score, Sequential};
use selfnorm::{Gpu, Pass, Result, Tensor, wgpu};
use std::cell::Cell;

thread_local!(static SCORE: Cell<Option<Score>> = const { Cell::new(None) });

pub trait PassExt {
    fn train_on_batch(&mut self, model: &mut Sequential, x: &Tensor, y: &Tensor) -> Result<()>;
}
impl PassExt for Pass<'_> {
    fn train_on_batch(&mut self, model: &mut Sequential, x: &Tensor, y: &Tensor) -> Result<()> {
        SCORE.set(Some(model.train_on_batch(x, y)?));
        Ok(())
    }
}
pub trait ModelExt {
    fn try_score(&self) -> Result<Option<Score>>;
}
impl ModelExt for Sequential {
    fn try_score(&self) -> Result<Option<Score>> {
        Ok(SCORE.get())
    }
}
pub trait GpuExt {
    fn useful_features(adapter: &wgpu::Adapter) -> wgpu::Features {
        adapter.features() & (wgpu::Features::IMMEDIATES | wgpu::Features::SUBGROUP | wgpu::Features::SHADER_INT64)
    }
    fn useful_limits(adapter: &wgpu::Adapter) -> wgpu::Limits {
        adapter.limits()
    }
}
impl GpuExt for Gpu {}
