//! Softmax of tensors.

use super::check_size;
use super::network::softmax;
use crate::gpu::dispatch::Dispatch;
use crate::pass::{Hint, Operand, number, read, update, write};
use crate::{Gpu, Pass, Result, Tensor};

/// The rows and their length.
fn extents(x: &Tensor) -> [u32; 2] {
    let classes = x.shape().last().copied().unwrap_or(1);
    [(x.len() / classes) as u32, classes as u32]
}

impl Pass<'_> {
    /// y = softmax(x), see [`Tensor::softmax`].
    ///
    /// # Errors
    ///
    /// [`Shape`](crate::Error::Shape), [`Aliased`](crate::Error::Aliased),
    /// [`OtherGpu`](crate::Error::OtherGpu); [`TooLarge`](crate::Error::TooLarge) for a tensor beyond
    /// one binding of the device.
    pub fn softmax(&mut self, x: &Tensor, y: &Tensor) -> Result<()> {
        self.rows("softmax", [read("x", x), write("y", y)], |gpu| {
            let [rows, classes] = extents(x);
            softmax::forward(gpu, &x.region(), &y.region(), rows, classes)
        })
    }

    /// x = softmax(x)
    ///
    /// The input is gone, and nothing needs it: [`softmax_backward`](Self::softmax_backward) takes y.
    ///
    /// # Errors
    ///
    /// As [`softmax`](Self::softmax).
    pub fn softmax_in_place(&mut self, x: &Tensor) -> Result<()> {
        self.rows("softmax", [update("x", x)], |gpu| {
            let [rows, classes] = extents(x);
            softmax::in_place(gpu, &x.region(), rows, classes)
        })
    }

    /// dx = y (dy − Σ dy y), see [`Tensor::softmax_backward`].
    ///
    /// # Errors
    ///
    /// As [`softmax`](Self::softmax).
    pub fn softmax_backward(&mut self, y: &Tensor, dy: &Tensor, dx: &Tensor) -> Result<()> {
        let operands = [read("y", y), read("dy", dy), write("dx", dx)];
        self.rows("softmax_backward", operands, |gpu| {
            let [rows, classes] = extents(y);
            let [y, dy, dx] = [y, dy, dx].map(Tensor::region);
            softmax::backward(gpu, &y, &dy, &dx, rows, classes, None)
        })
    }

    /// dy = y (dy − Σ dy y)
    ///
    /// # Errors
    ///
    /// As [`softmax`](Self::softmax).
    pub fn softmax_backward_in_place(&mut self, y: &Tensor, dy: &Tensor) -> Result<()> {
        let operands = [read("y", y), update("dy", dy)];
        self.rows("softmax_backward", operands, |gpu| {
            let [rows, classes] = extents(y);
            softmax::backward_in_place(gpu, &y.region(), &dy.region(), rows, classes)
        })
    }

    /// One dispatch over the rows of tensors of one shape.
    fn rows<const N: usize>(
        &mut self,
        op: &'static str,
        operands: [Operand<f32>; N],
        prepare: impl FnOnce(&Gpu) -> Result<Dispatch>,
    ) -> Result<()> {
        let first = operands[0].tensor;
        self.check_shapes(op, &operands, &[first.shape(); N], Hint::InPlace)?;
        check_size(first)?;
        if first.is_empty() {
            return Ok(());
        }
        let ids = operands.each_ref().map(|operand| operand.tensor.id());
        let dispatches = self.bound(&ids, number(op), |gpu| Ok(vec![prepare(gpu)?]))?;
        let range = first.range();
        self.record(&operands, range.end - range.start, &*dispatches)
    }
}

impl Tensor {
    /// Softmax over the last axis: y = eˣ / Σ eˣ, any leading axes.
    ///
    /// The largest of a row's k values is subtracted first, so nothing overflows. With d = max − x, the
    /// relative error is at most (2 k + d + 12) · 2⁻²⁴: of the sum, of the difference in the exponent, and of
    /// one exponential and one division, for which WGSL allows 2.5 ulp. A result below 2⁻¹²⁶ may be
    /// 0. A NaN in a row makes all of the row NaN, and so do an infinity and a row of −∞; −∞ beside
    /// other values gives 0.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let y = gpu.tensor(&[1000.0, 1000.0, -5.0, -5.0], [2, 2])?.softmax()?;
    /// assert_eq!(y.to_vec()?, [0.5; 4]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`TooLarge`](crate::Error::TooLarge) for a tensor beyond one binding of the device,
    /// [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost).
    pub fn softmax(&self) -> Result<Self> {
        Self::create(self.gpu(), self.shape(), |pass, y| pass.softmax(self, y))
    }

    /// The gradient through softmax: dx = y (dy − Σ dy y). `self` is the *output* y of the forward call,
    /// which is all that the gradient needs.
    ///
    /// The error is at most (k + 4) · 2⁻²³ · y · max |dy| over the row.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let y = gpu.tensor(&[3.0, 3.0], [2])?.softmax()?;
    /// let dy = gpu.tensor(&[1.0, 0.0], [2])?;
    /// assert_eq!(y.softmax_backward(&dy)?.to_vec()?, [0.25, -0.25]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`softmax`](Self::softmax), and [`Shape`](crate::Error::Shape).
    pub fn softmax_backward(&self, dy: &Self) -> Result<Self> {
        Self::create(self.gpu(), self.shape(), |pass, dx| {
            pass.softmax_backward(self, dy, dx)
        })
    }
}
