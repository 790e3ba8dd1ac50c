//! The page's part in Rust: networks that learn to read digits side by side, and what the page shows
//! of them. The page's own part, in JavaScript, is in `page/`.

mod control;
mod failure;
mod recipe;
mod session;
mod task;

use std::rc::Rc;

use js_sys::Uint8Array;
use selfnorm::{Gpu, GpuOptions};
use wasm_bindgen::prelude::*;

use failure::{Failure, failure};
use recipe::Recipe;
use session::Session;
use task::Task;

/// The browser's GPU, and the digits to learn.
#[wasm_bindgen]
pub struct Lab {
    gpu: Gpu,
    task: Rc<Task>,
}

#[wasm_bindgen]
impl Lab {
    /// Asks for the GPU.
    pub async fn open() -> Result<Lab, Failure> {
        let gpu = Gpu::request(&GpuOptions::default())
            .await
            .map_err(failure)?;
        let task = Task::digits(&gpu)?.into();
        Ok(Self { gpu, task })
    }

    /// The CRC-32 of weights that are the same on every device: those of `gpu.lecun_normal([784, 256], 42)`,
    /// as little-endian f32s.
    pub async fn checksum(&self) -> Result<u32, Failure> {
        let weights = self.gpu.lecun_normal([784, 256], 42).map_err(failure)?;
        let weights = weights.read().await.map_err(failure)?;
        let mut checksum = crc32fast::Hasher::new();
        for weight in weights {
            checksum.update(&weight.to_le_bytes());
        }
        Ok(checksum.finalize())
    }

    /// Learns MNIST's digits from now on: the names and the contents of its four files, packed or not.
    #[wasm_bindgen(js_name = loadMnist)]
    pub fn load_mnist(
        &mut self,
        names: Vec<String>,
        files: Vec<Uint8Array>,
    ) -> Result<(), Failure> {
        let files = names.into_iter().zip(files.iter().map(Uint8Array::to_vec));
        self.task = Task::mnist(&self.gpu, &files.collect::<Vec<_>>())?.into();
        Ok(())
    }

    /// The side of an image, in pixels.
    #[wasm_bindgen(getter)]
    pub fn side(&self) -> u32 {
        self.task.side as u32
    }

    /// A full pixel.
    #[wasm_bindgen(getter)]
    pub fn ink(&self) -> u8 {
        self.task.ink
    }

    /// The number of images that are learned.
    #[wasm_bindgen(getter)]
    pub fn images(&self) -> u32 {
        self.task.training.len() as u32
    }

    /// The number of images that are held out.
    #[wasm_bindgen(getter, js_name = heldOut)]
    pub fn held_out(&self) -> u32 {
        self.task.held_out.len() as u32
    }

    /// The pixels of a held-out image; its number may be any.
    pub fn picture(&self, number: u32) -> Vec<u8> {
        self.task.picture(number as usize).0.to_vec()
    }

    /// The label of a held-out image; its number may be any.
    pub fn label(&self, number: u32) -> u8 {
        self.task.picture(number as usize).1
    }

    /// Builds a network of each recipe, all from the same seed, to be trained for so many epochs.
    pub fn session(
        &self,
        recipes: Vec<Recipe>,
        seed: u64,
        epochs: u32,
    ) -> Result<Session, Failure> {
        Session::new(&self.gpu, &self.task, &recipes, seed, epochs as usize)
    }
}
