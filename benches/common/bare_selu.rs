//! SELU's own shader in bare wgpu.
#![allow(dead_code)]

use selfnorm::{Gpu, Selu, Tensor};

use super::dispatch::{Dispatch, shader};

pub const SHADER: &str = "activation elu";
pub const ENTRY_POINT: &str = "activation";

/// For one workgroup: to compare the recording of an op with. On a device with immediates.
pub fn bare_selu(gpu: &Gpu, x: &Tensor, y: &Tensor) -> Dispatch {
    let pipeline = Dispatch::pipeline(gpu, &shader(SHADER, "f32x4").source, ENTRY_POINT);
    Dispatch {
        bindings: Dispatch::bindings(gpu, &pipeline, &[x.binding(), y.binding()]),
        pipeline,
        immediates: params(x.len() as u32 / 4),
        groups: [1, 1],
    }
}

/// ElementwiseParams: the activation's positive, negative, residual and a padding; lanes.
pub fn params(lanes: u32) -> Vec<u8> {
    let selu = Selu::default();
    let scale_alpha = selu.scale * selu.alpha;
    let rounded = scale_alpha as f32;
    let residual = (scale_alpha - f64::from(rounded)) / scale_alpha;
    let [scale, residual] = [selu.scale, residual].map(|value| (value as f32).to_bits());
    bytemuck::cast_slice(&[scale, rounded.to_bits(), residual, 0, lanes]).into()
}
