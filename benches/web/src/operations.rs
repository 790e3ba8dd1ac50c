//! Operations beside kernels that move as many bytes.

use selfnorm::{AlphaDropout, Gpu, LecunNormal, LecunUniform, Pass, Tensor};
use wasm_bindgen::prelude::*;

use crate::yardstick::Yardstick;
use crate::{Device, Result, done};

/// How an operation is recorded, with x, dy and the tensor that it writes.
type Record = fn(&mut Pass, &Tensor, &Tensor, &Tensor) -> selfnorm::Result<()>;

/// An operation, and the number of tensors that it reads and writes.
struct Operation(&'static str, usize, Record);

const OPERATIONS: [Operation; 24] = [
    Operation("selu", 2, |pass, x, _, y| pass.selu(x, y)),
    Operation("selu_backward", 3, |pass, x, dy, y| {
        pass.selu_backward(x, dy, y)
    }),
    Operation("elu", 2, |pass, x, _, y| pass.elu(x, 1.0, y)),
    Operation("elu_backward", 3, |pass, x, dy, y| {
        pass.elu_backward(x, 1.0, dy, y)
    }),
    Operation("alpha_dropout", 2, |pass, x, _, y| {
        pass.alpha_dropout(x, &dropout(), y)
    }),
    Operation("alpha_dropout_backward", 2, |pass, _, dy, y| {
        pass.alpha_dropout_backward(dy, &dropout(), y)
    }),
    Operation("lecun_normal", 1, |pass, _, _, y| {
        pass.lecun_normal(&LecunNormal::new(256), y)
    }),
    Operation("lecun_uniform", 1, |pass, _, _, y| {
        pass.lecun_uniform(&LecunUniform::new(256), y)
    }),
    Operation("relu", 2, |pass, x, _, y| pass.relu(x, y)),
    Operation("relu_backward", 3, |pass, x, dy, y| {
        pass.relu_backward(x, dy, y)
    }),
    Operation("leaky_relu", 2, |pass, x, _, y| pass.leaky_relu(x, 0.3, y)),
    Operation("leaky_relu_backward", 3, |pass, x, dy, y| {
        pass.leaky_relu_backward(x, 0.3, dy, y)
    }),
    Operation("sigmoid", 2, |pass, x, _, y| pass.sigmoid(x, y)),
    Operation("sigmoid_backward", 3, |pass, x, dy, y| {
        pass.sigmoid_backward(x, dy, y)
    }),
    Operation("tanh", 2, |pass, x, _, y| pass.tanh(x, y)),
    Operation("tanh_backward", 3, |pass, x, dy, y| {
        pass.tanh_backward(x, dy, y)
    }),
    Operation("silu", 2, |pass, x, _, y| pass.silu(x, y)),
    Operation("silu_backward", 3, |pass, x, dy, y| {
        pass.silu_backward(x, dy, y)
    }),
    Operation("softplus", 2, |pass, x, _, y| pass.softplus(x, y)),
    Operation("softplus_backward", 3, |pass, x, dy, y| {
        pass.softplus_backward(x, dy, y)
    }),
    Operation("gelu", 2, |pass, x, _, y| pass.gelu(x, false, y)),
    Operation("gelu_backward", 3, |pass, x, dy, y| {
        pass.gelu_backward(x, false, dy, y)
    }),
    Operation("sine", 2, |pass, x, _, y| pass.sine(x, 1.0, y)),
    Operation("sine_backward", 3, |pass, x, dy, y| {
        pass.sine_backward(x, 1.0, dy, y)
    }),
];

fn dropout() -> AlphaDropout {
    AlphaDropout::new(0.1).seed(1)
}

/// Their operands, of one length.
#[wasm_bindgen]
pub struct Operations {
    gpu: Gpu,
    x: Tensor,
    dy: Tensor,
    y: Tensor,
    /// By the number of tensors that an operation reads and writes: a fill, a copy, and a copy of half as
    /// many values again, which moves as many bytes as two inputs and an output.
    yardsticks: [Yardstick; 3],
}

#[wasm_bindgen]
impl Operations {
    #[wasm_bindgen(constructor)]
    pub fn new(device: &Device, len: usize) -> Result<Self> {
        let gpu = device.0.clone();
        Ok(Self {
            x: gpu.lecun_normal([1, len], 1)?,
            dy: gpu.lecun_normal([1, len], 2)?,
            y: gpu.zeros([1, len])?,
            yardsticks: [
                Yardstick::new(&gpu, "fill", len),
                Yardstick::new(&gpu, "copy", len),
                Yardstick::new(&gpu, "copy", len / 2 * 3),
            ],
            gpu,
        })
    }

    pub fn names() -> Vec<String> {
        OPERATIONS.map(|operation| operation.0.into()).into()
    }

    /// In one submission.
    pub async fn run(&self, name: &str, repeats: u32) -> Result<()> {
        let Operation(_, _, record) = named(name);
        let mut encoder = self
            .gpu
            .device()
            .create_command_encoder(&Default::default());
        let mut pass = self.gpu.pass(&mut encoder);
        for _ in 0..repeats {
            record(&mut pass, &self.x, &self.dy, &self.y)?;
        }
        drop(pass);
        self.gpu.queue().submit([encoder.finish()]);
        done(&self.gpu).await;
        Ok(())
    }

    /// What the operation is compared with, in one submission.
    #[wasm_bindgen(js_name = runYardstick)]
    pub async fn run_yardstick(&self, name: &str, repeats: usize) {
        let Operation(_, tensors, _) = *named(name);
        let mut encoder = self
            .gpu
            .device()
            .create_command_encoder(&Default::default());
        self.yardsticks[tensors - 1].record(&mut encoder, repeats);
        self.gpu.queue().submit([encoder.finish()]);
        done(&self.gpu).await;
    }

    /// As a page calls them: each gives a new tensor, large enough to be submitted at once.
    #[wasm_bindgen(js_name = runTensors)]
    pub async fn run_tensors(&self, name: &str, repeats: u32) -> Result<()> {
        for _ in 0..repeats {
            match name {
                "selu" => self.x.selu()?,
                "elu" => self.x.elu(1.0)?,
                "alpha_dropout" => self.x.alpha_dropout(&dropout())?,
                "lecun_normal" => self.gpu.lecun_normal(self.x.shape(), 1)?,
                name => return Err(JsError::new(&format!("{name} is not timed so"))),
            };
        }
        done(&self.gpu).await;
        Ok(())
    }
}

fn named(name: &str) -> &'static Operation {
    OPERATIONS
        .iter()
        .find(|operation| operation.0 == name)
        .expect("the page has the names from here")
}

/// SELU of some values.
#[wasm_bindgen]
pub async fn selu(device: &Device, x: Vec<f32>) -> Result<Vec<f32>> {
    let x = device.0.tensor(&x, [x.len()])?;
    Ok(x.selu()?.read().await?)
}
