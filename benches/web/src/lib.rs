//! What the page times of selfnorm. Each call's promise is fulfilled once the GPU has done the work.

mod networks;
mod operations;

#[path = "../../common/networks.rs"]
mod layers;
#[path = "../../common/yardstick.rs"]
mod yardstick;

use futures_channel::oneshot;
use selfnorm::{Gpu, GpuOptions};
use wasm_bindgen::prelude::*;

type Result<T, E = JsError> = std::result::Result<T, E>;

/// A device.
#[wasm_bindgen]
pub struct Device(Gpu);

#[wasm_bindgen]
impl Device {
    pub async fn request() -> Result<Device> {
        Ok(Self(Gpu::request(&GpuOptions::default()).await?))
    }
}

/// Waits for the end of all that was submitted.
async fn done(gpu: &Gpu) {
    let (sender, receiver) = oneshot::channel();
    gpu.queue().on_submitted_work_done(move || {
        // It fails if nobody waits any more.
        let _ = sender.send(());
    });
    // The callback is not dropped uncalled.
    let _ = receiver.await;
}
