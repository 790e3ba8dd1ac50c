//! A network in training, and its predictions.

use selfnorm::nn::{Adam, Dataset, Fit, Progress, Sequential};
use selfnorm::{Gpu, Tensor};
use wasm_bindgen::prelude::*;

use crate::layers::{self, CLASSES};
use crate::{Device, Result};

/// A network of the native benches, with pixels and labels. It sees pixel · scale + shift.
#[wasm_bindgen]
pub struct Network {
    gpu: Gpu,
    model: Sequential,
    data: Dataset,
    batch: usize,
    /// The first batch, its labels one-hot.
    x: Tensor,
    y: Tensor,
}

#[wasm_bindgen]
impl Network {
    #[expect(clippy::too_many_arguments, reason = "a page has no named arguments")]
    #[wasm_bindgen(constructor)]
    pub fn new(
        device: &Device,
        side: usize,
        units: usize,
        rate: f64,
        batch: usize,
        pixels: &[u8],
        labels: &[u8],
        scale: f32,
        shift: f32,
    ) -> Result<Self> {
        let gpu = device.0.clone();
        let network = layers::Network {
            side,
            units,
            rate,
            batch,
        };
        let data = Dataset::from_bytes(&gpu, pixels, [side, side, 1])?
            .scaled(scale, shift)
            .classes(labels)?;
        let first = &pixels[..batch * side * side];
        let x: Vec<f32> = first
            .iter()
            .map(|&pixel| f32::from(pixel) * scale + shift)
            .collect();
        let mut y = vec![0.0f32; batch * CLASSES];
        for (place, &label) in y.chunks_mut(CLASSES).zip(labels) {
            place[usize::from(label)] = 1.0;
        }
        Ok(Self {
            model: network.build(&gpu)?,
            x: gpu.tensor(&x, [batch, side, side, 1])?,
            y: gpu.tensor(&y, [batch, CLASSES])?,
            data,
            batch,
            gpu,
        })
    }

    /// A step on the first batch; its loss.
    pub async fn step(&mut self) -> Result<f64> {
        let (x, y) = (&self.x, &self.y);
        Ok(self.model.train_on_batch_async(x, y).await?.loss)
    }

    /// So many epochs; the loss of each.
    pub async fn fit(&mut self, epochs: usize) -> Result<Vec<f64>> {
        let fit = Fit::new(Adam::default())
            .batch_size(self.batch)
            .epochs(epochs);
        let mut run = self.model.train(&self.data, &fit)?;
        let mut losses = Vec::new();
        while let Some(progress) = run.next().await? {
            if let Progress::Epoch(epoch) = progress {
                losses.push(epoch.scores.training.loss);
            }
        }
        Ok(losses)
    }

    /// The probabilities for some images, from the host's pixels to the host's numbers.
    pub async fn predict(&self, x: &[f32]) -> Result<Vec<f32>> {
        let image = self.model.input_shape();
        let n = x.len() / image.iter().product::<usize>();
        let x = self.gpu.tensor(x, [&[n], image].concat())?;
        Ok(self.model.predict_async(&x).await?.read().await?)
    }

    /// In Keras's order.
    pub async fn weights(&self) -> Result<Vec<js_sys::Float32Array>> {
        let mut values = Vec::new();
        for (_, weight) in self.model.weights()? {
            values.push(weight.read().await?.as_slice().into());
        }
        Ok(values)
    }
}
