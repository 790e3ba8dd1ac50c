//! What a page ships that calls operations only: each of them, uploaded and read back.

use selfnorm::{AlphaDropout, Gpu, GpuOptions, Tensor};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
pub async fn operations(x: Vec<f32>) -> Result<Vec<f32>, JsError> {
    let gpu = Gpu::request(&GpuOptions::default()).await?;
    let x = gpu.tensor(&x, [x.len()])?;
    let weights: Tensor = gpu.lecun_normal([x.len(), 1], 1)?;
    let dropout = AlphaDropout::new(0.1).seed(1);
    let y = x.selu()?.elu(1.0)?.alpha_dropout(&dropout)?;
    let dy = y.alpha_dropout_backward(&dropout)?;
    let dy = x.elu_backward(1.0, &dy)?;
    let dx = x.selu_backward(&dy)?;
    let mut all = y.read().await?;
    all.extend(dx.read().await?);
    all.extend(weights.read().await?);
    Ok(all)
}
