//! What a page ships that trains: the network of `examples/mnist.rs` for the digits.

use selfnorm::nn::{
    Activation::{Selu, Softmax},
    Adam, AlphaDropout, Conv2d, Dataset, Dense, Fit, Flatten,
    Initializer::LecunNormal,
    Progress, Sequential,
};
use selfnorm::{Gpu, GpuOptions};
use wasm_bindgen::prelude::*;

type Result<T, E = JsError> = std::result::Result<T, E>;

/// A network, with pixels and labels. It sees pixel · scale + shift.
#[wasm_bindgen]
pub struct Network {
    gpu: Gpu,
    model: Sequential,
    data: Dataset,
}

#[wasm_bindgen]
impl Network {
    pub async fn build(
        pixels: Vec<u8>,
        labels: Vec<u8>,
        scale: f32,
        shift: f32,
    ) -> Result<Network> {
        let gpu = Gpu::request(&GpuOptions::default()).await?;
        let data = Dataset::from_bytes(&gpu, &pixels, [8, 8, 1])?
            .scaled(scale, shift)
            .classes(&labels)?;
        let model = Sequential::new([8, 8, 1])
            .add(
                Conv2d::new(32, [3, 3])
                    .kernel_initializer(LecunNormal)
                    .activation(Selu),
            )
            .add(AlphaDropout::new(0.1))
            .add(Flatten::new())
            .add(
                Dense::new(128)
                    .kernel_initializer(LecunNormal)
                    .activation(Selu),
            )
            .add(Dense::new(10).activation(Softmax))
            .build(&gpu, 1)?;
        Ok(Self { gpu, model, data })
    }

    /// Trains; `step` gets the loss of each epoch so far after each step, and says whether to go on.
    pub async fn train(&mut self, epochs: usize, step: js_sys::Function) -> Result<()> {
        let fit = Fit::new(Adam::default()).batch_size(64).epochs(epochs);
        let mut run = self.model.train(&self.data, &fit)?;
        while let Some(progress) = run.next().await? {
            if let Progress::Batch(mut batch) = progress {
                let loss = batch.score_async().await?.loss;
                let goes_on = step.call1(&JsValue::NULL, &loss.into());
                if goes_on.is_ok_and(|goes_on| goes_on.is_falsy()) {
                    break;
                }
            }
        }
        Ok(())
    }

    pub async fn evaluate(&self) -> Result<f64> {
        Ok(self.model.evaluate_async(&self.data).await?.loss)
    }

    pub async fn predict(&self, image: Vec<f32>) -> Result<Vec<f32>> {
        let x = self.gpu.tensor(&image, [1, 8, 8, 1])?;
        Ok(self.model.predict_async(&x).await?.read().await?)
    }

    pub async fn checkpoint(&self) -> Result<Vec<u8>> {
        Ok(self.model.to_bytes().await?)
    }

    pub async fn resume(&mut self, checkpoint: Vec<u8>) -> Result<()> {
        Ok(self.model.load_bytes(&checkpoint).await?)
    }
}
