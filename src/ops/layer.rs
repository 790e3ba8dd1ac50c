//! What dense layers and convolutions have in common as operations on tensors: sums of products with a
//! kernel w, plus biases b, and an activation.

use std::sync::Arc;

use super::check_size;
use super::network::activation::Activation;
use super::network::product::{Conv2d, Dense, End, Product, Tiling};
use super::network::softmax;
use crate::gpu::dispatch::Dispatch;
use crate::gpu::region::Region;
use crate::pass::{Hint, Operand, number, read, write};
use crate::{Error, Gpu, Pass, Result, Tensor};

const F32: u64 = size_of::<f32>() as u64;

/// Where the gradients of [`Pass::dense_backward`] and [`Pass::conv2d_backward`] go. Those without a
/// place are not computed: a first layer needs no dx, a frozen one no dw and db.
///
/// Each is overwritten, not added to.
///
/// ```
/// # fn main() -> selfnorm::Result<()> {
/// use selfnorm::Gradients;
///
/// # let gpu = selfnorm::Gpu::new()?;
/// let (dw, db) = (gpu.zeros([3, 2])?, gpu.zeros([2])?);
/// let gradients = Gradients { dw: Some(&dw), db: Some(&db), ..Gradients::default() };
/// # let _ = gradients;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Gradients<'a> {
    /// Of the input x.
    pub dx: Option<&'a Tensor>,
    /// Of the kernel w.
    pub dw: Option<&'a Tensor>,
    /// Of the biases.
    pub db: Option<&'a Tensor>,
}

/// A layer of this many outputs, and the shapes that x, w and y must have.
pub(super) struct Layer {
    pub op: &'static str,
    pub sums: Sums,
    pub outputs: usize,
    pub x: Vec<usize>,
    pub w: Vec<usize>,
    pub y: Vec<usize>,
}

/// What is summed.
#[derive(Clone, Copy, Hash)]
pub(super) enum Sums {
    Dense(Dense),
    Conv2d(Conv2d),
}

impl Sums {
    fn forward(&self, x: &Region, w: &Region, y: &Region, end: End) -> Product {
        match self {
            Self::Dense(dense) => dense.forward(x, w, y, end),
            Self::Conv2d(conv2d) => conv2d.forward(x, w, y, end),
        }
    }

    fn kernel_gradient(&self, x: &Region, dz: &Region, dw: &Region) -> Product {
        match self {
            Self::Dense(dense) => dense.kernel_gradient(x, dz, dw),
            Self::Conv2d(conv2d) => conv2d.kernel_gradient(x, dz, dw),
        }
    }

    fn input_gradient(&self, dz: &Region, w: &Region, dx: &Region) -> Product {
        match self {
            Self::Dense(dense) => dense.input_gradient(dz, w, dx, End::Nothing),
            Self::Conv2d(conv2d) => conv2d.input_gradient(dz, w, dx, End::Nothing),
        }
    }
}

impl Layer {
    fn rows(&self) -> usize {
        self.y.iter().product::<usize>() / self.outputs
    }
}

/// The dispatches of a product.
fn prepare(gpu: &Gpu, product: Product) -> Result<Vec<Dispatch>> {
    let tiling = Tiling::of(gpu);
    let bytes = product.scratch_bytes(tiling);
    if bytes == 0 {
        return product.prepare(gpu, tiling, &product.sums);
    }
    let max = gpu.limits().max_binding_bytes;
    if bytes > max {
        return Err(Error::TooLarge {
            shape: vec![(bytes / F32) as usize],
            limit: format!("a product's sums take {bytes} bytes there, the device binds {max}"),
        });
    }
    let scratch = gpu.memory().scratch(bytes)?;
    product.prepare(gpu, tiling, &scratch)
}

/// For the decision when to submit: a memory access takes as long as some multiplications.
const PRODUCTS_A_BYTE: u64 = 8;

impl Pass<'_> {
    /// y = activation(sums of x and w + b)
    pub(super) fn layer(
        &mut self,
        layer: &Layer,
        [x, w]: [&Tensor; 2],
        b: Option<&Tensor>,
        activation: Activation,
        y: &Tensor,
    ) -> Result<()> {
        let op = layer.op;
        let elementwise = activation.elementwise(op)?;
        let outputs = [layer.outputs];
        let mut operands = vec![read("x", x), read("w", w)];
        let mut shapes = vec![&layer.x[..], &layer.w];
        if let Some(b) = b {
            operands.push(read("b", b));
            shapes.push(&outputs);
        }
        operands.push(write("y", y));
        shapes.push(&layer.y);
        self.check_layer(op, &operands, &shapes)?;
        if y.is_empty() {
            return Ok(());
        }
        let function = elementwise.unwrap_or_default();
        let which = number((op, layer.sums, elementwise));
        let ids: Vec<_> = operands.iter().map(|operand| operand.tensor.id()).collect();
        let forward = self.bound(&ids, which, |gpu| {
            let end = End::Output(function, b.map(Tensor::region));
            let y = y.region();
            let product = layer.sums.forward(&x.region(), &w.region(), &y, end);
            let mut dispatches = prepare(gpu, product)?;
            if elementwise.is_none() {
                let [rows, outputs] = [layer.rows(), layer.outputs].map(|extent| extent as u32);
                dispatches.push(softmax::in_place(gpu, &y, rows, outputs)?);
            }
            Ok(dispatches)
        })?;
        let products = (y.len() * (w.len() / layer.outputs)) as u64;
        self.record(&operands, products / PRODUCTS_A_BYTE, &*forward)
    }

    /// The gradients of Σ sums · dz.
    pub(super) fn layer_backward(
        &mut self,
        layer: &Layer,
        [x, w, dz]: [&Tensor; 3],
        to: Gradients,
    ) -> Result<()> {
        let op = layer.op;
        let outputs = [layer.outputs];
        let mut operands = vec![read("x", x), read("w", w), read("dz", dz)];
        let mut shapes = vec![&layer.x[..], &layer.w, &layer.y];
        let places = [
            ("dx", to.dx, &layer.x[..]),
            ("dw", to.dw, &layer.w),
            ("db", to.db, &outputs),
        ];
        for (name, place, shape) in places {
            if let Some(place) = place {
                operands.push(write(name, place));
                shapes.push(shape);
            }
        }
        self.check_layer(op, &operands, &shapes)?;
        if dz.is_empty() {
            // The sums of nothing.
            return [to.dw, to.db]
                .into_iter()
                .flatten()
                .try_for_each(|gradient| self.zeros(gradient));
        }
        let bound = |part: &str, tensors: [&Tensor; 3], product: &dyn Fn(&Region) -> Product| {
            let [_, _, gradient] = tensors;
            let which = number((op, part, layer.sums));
            self.bound(&tensors.map(Tensor::id), which, |gpu| {
                prepare(gpu, product(&gradient.region()))
            })
        };
        let mut parts: Vec<Arc<[Dispatch]>> = Vec::with_capacity(3);
        if let Some(dw) = to.dw {
            let product = |dw: &Region| layer.sums.kernel_gradient(&x.region(), &dz.region(), dw);
            parts.push(bound("dw", [x, dz, dw], &product)?);
        }
        if let Some(db) = to.db {
            // A product, too: of a row of ones, for which x only fills the binding, and dz.
            let ones = Dense {
                rows: layer.rows(),
                inputs: 0,
                outputs: layer.outputs,
                bias: true,
            };
            let product = |db: &Region| ones.kernel_gradient(&x.region(), &dz.region(), db);
            parts.push(bound("db", [x, dz, db], &product)?);
        }
        if let Some(dx) = to.dx {
            let product = |dx: &Region| layer.sums.input_gradient(&dz.region(), &w.region(), dx);
            parts.push(bound("dx", [dz, w, dx], &product)?);
        }
        let products = (dz.len() * (w.len() / layer.outputs) * parts.len()) as u64;
        let dispatches = parts.iter().flat_map(|part| part.iter());
        self.record(&operands, products / PRODUCTS_A_BYTE, dispatches)
    }

    fn check_layer(
        &self,
        op: &'static str,
        operands: &[Operand<f32>],
        shapes: &[&[usize]],
    ) -> Result<()> {
        self.check_shapes(op, operands, shapes, Hint::None)?;
        let mut tensors = operands.iter().map(|operand| operand.tensor);
        tensors.try_for_each(check_size)
    }
}

impl Tensor {
    /// A new tensor for the output of a layer.
    pub(super) fn layer(
        layer: &Layer,
        [x, w]: [&Self; 2],
        b: Option<&Self>,
        activation: Activation,
    ) -> Result<Self> {
        Self::create(x.gpu(), &layer.y, |pass, y| {
            pass.layer(layer, [x, w], b, activation, y)
        })
    }

    /// dx, dw and db in new tensors.
    pub(super) fn layer_backward(layer: &Layer, [x, w, dz]: [&Self; 3]) -> Result<[Self; 3]> {
        let gpu = x.gpu();
        let [dx, dw, db] = [&layer.x[..], &layer.w, &[layer.outputs]].map(|shape| {
            let tensor = Self::uninitialized(gpu, shape)?;
            tensor.defer_clear_rest()?;
            Ok(tensor)
        });
        let [dx, dw, db] = [dx?, dw?, db?];
        let to = Gradients {
            dx: Some(&dx),
            dw: Some(&dw),
            db: Some(&db),
        };
        Pass::deferred(gpu).layer_backward(layer, [x, w, dz], to)?;
        Ok([dx, dw, db])
    }
}
