//! Dense layers of tensors.

use super::layer::{Gradients, Layer, Sums};
use super::network::activation::Activation;
use super::network::product::Dense;
use crate::{Error, Pass, Result, Tensor};

/// Of w, [inputs, outputs], and any leading axes of x.
fn layer(op: &'static str, x: &Tensor, w: &Tensor) -> Result<Layer> {
    let shape = |operand, expected: Vec<usize>, actual: &Tensor| {
        let actual = actual.shape().into();
        Err(Error::Shape {
            op,
            operand,
            expected,
            actual,
        })
    };
    let last = |tensor: &Tensor| tensor.shape().last().copied().unwrap_or(1).max(1);
    let &[inputs, outputs] = w.shape() else {
        return shape("w", vec![last(x), last(w)], w);
    };
    if inputs == 0 || outputs == 0 {
        return shape("w", vec![inputs.max(1), outputs.max(1)], w);
    }
    let Some((_, leading)) = x.shape().split_last() else {
        return shape("x", vec![inputs], x);
    };
    Ok(Layer {
        op,
        sums: Sums::Dense(Dense {
            rows: x.len() / inputs,
            inputs,
            outputs,
            bias: false,
        }),
        outputs,
        x: [leading, &[inputs]].concat(),
        w: vec![inputs, outputs],
        y: [leading, &[outputs]].concat(),
    })
}

impl Pass<'_> {
    /// y = activation(x w + b), see [`Tensor::dense`]. b may be `None`.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::{Gpu, nn::Activation::Selu};
    ///
    /// # let gpu = Gpu::new()?;
    /// # let mut encoder = gpu.device().create_command_encoder(&Default::default());
    /// let x = gpu.tensor(&[1.0, 2.0, 3.0, 4.0], [2, 2])?;
    /// let w = gpu.tensor(&[1.0, 0.0, -1.0, 0.0, 1.0, -1.0], [2, 3])?;
    /// let b = gpu.tensor(&[0.0, 0.0, 3.0], [3])?;
    /// let y = gpu.zeros([2, 3])?;
    /// let mut pass = gpu.pass(&mut encoder);
    /// pass.dense(&x, &w, &b, Selu, &y)?;
    /// drop(pass);
    /// gpu.queue().submit([encoder.finish()]);
    /// assert_eq!(y.to_vec()?[..3], [1.050701, 2.101402, 0.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Shape`](crate::Error::Shape), [`Aliased`](crate::Error::Aliased),
    /// [`OtherGpu`](crate::Error::OtherGpu); [`Parameter`](crate::Error::Parameter) for a constant of
    /// the activation that is not finite; [`TooLarge`](crate::Error::TooLarge) for a tensor beyond one
    /// binding of the device.
    pub fn dense<'a>(
        &mut self,
        x: &'a Tensor,
        w: &'a Tensor,
        b: impl Into<Option<&'a Tensor>>,
        activation: Activation,
        y: &'a Tensor,
    ) -> Result<()> {
        let layer = layer("dense", x, w)?;
        self.layer(&layer, [x, w], b.into(), activation, y)
    }

    /// The gradients of a dense layer from those of its sums, see [`Tensor::dense_backward`].
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::{Gpu, Gradients};
    ///
    /// # let gpu = Gpu::new()?;
    /// # let mut encoder = gpu.device().create_command_encoder(&Default::default());
    /// # let (x, w) = (gpu.zeros([4, 2])?, gpu.zeros([2, 3])?);
    /// # let (z, dy) = (gpu.zeros([4, 3])?, gpu.zeros([4, 3])?);
    /// # let (dw, db) = (gpu.zeros([2, 3])?, gpu.zeros([3])?);
    /// let mut pass = gpu.pass(&mut encoder);
    /// pass.selu_backward_in_place(&z, &dy)?; // dy is dz now
    /// pass.dense_backward(&x, &w, &dy, Gradients { dx: None, dw: Some(&dw), db: Some(&db) })?;
    /// # drop(pass);
    /// # gpu.queue().submit([encoder.finish()]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`dense`](Self::dense).
    pub fn dense_backward(
        &mut self,
        x: &Tensor,
        w: &Tensor,
        dz: &Tensor,
        to: Gradients,
    ) -> Result<()> {
        let layer = layer("dense_backward", x, w)?;
        self.layer_backward(&layer, [x, w, dz], to)
    }
}

impl Tensor {
    /// A dense layer: y = activation(x w + b), of x [.., inputs] with any leading axes, w [inputs,
    /// outputs] as in Keras, and b \[outputs\], or `None`; y is [.., outputs].
    ///
    /// One dispatch, or two where the sums are few and long, and one more for
    /// [`Softmax`](Activation::Softmax): the kernels of [`Sequential`](crate::nn::Sequential). For sums of
    /// up to 2,000 products the result is within 10⁻⁵ of the value, or of the root mean square of y if
    /// that is larger, because sums that cancel have the error of their terms. (A sum of k rounded
    /// products is off by about √k · 2⁻²⁴ of its terms' norm.) A NaN in x makes all outputs of its row
    /// NaN.
    ///
    /// [`dense_backward`](Self::dense_backward) goes on from the gradient of the sums, which an
    /// activation's backward computes from the sums z, and y alone does not have them. So to train,
    /// call this with [`Linear`](Activation::Linear), which gives z, and the activation by itself.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::{Gpu, nn::Activation::Relu};
    ///
    /// let gpu = Gpu::new()?;
    /// let x = gpu.tensor(&[1.0, 2.0, 3.0, 4.0], [2, 2])?;
    /// let w = gpu.tensor(&[1.0, 0.0, -1.0, 0.0, 1.0, -1.0], [2, 3])?;
    /// let y = x.dense(&w, None, Relu)?;
    /// assert_eq!(y.shape(), [2, 3]);
    /// assert_eq!(y.to_vec()?, [1.0, 2.0, 0.0, 3.0, 4.0, 0.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Pass::dense`], and [`OutOfMemory`](crate::Error::OutOfMemory),
    /// [`DeviceLost`](crate::Error::DeviceLost).
    pub fn dense<'a>(
        &'a self,
        w: &'a Tensor,
        b: impl Into<Option<&'a Tensor>>,
        activation: Activation,
    ) -> Result<Self> {
        let layer = layer("dense", self, w)?;
        Self::layer(&layer, [self, w], b.into(), activation)
    }

    /// The gradients dx = dz wᵀ, dw = xᵀ dz and db = Σ dz of a dense layer, of which `self` is the input
    /// x, and dz the gradient of its sums z = x w + b.
    ///
    /// If y = f(z), then dz is f's backward: `z.selu_backward(&dy)`. The bound is that of
    /// [`dense`](Self::dense).
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::{Gpu, nn::Activation::Linear};
    ///
    /// let gpu = Gpu::new()?;
    /// let x = gpu.tensor(&[1.0, 2.0], [1, 2])?;
    /// let w = gpu.tensor(&[0.5, -1.0], [2, 1])?;
    /// let z = x.dense(&w, None, Linear)?;
    /// let y = z.selu()?;
    /// let dy = gpu.tensor(&[1.0], y.shape())?;
    /// let dz = z.selu_backward(&dy)?; // 0.3922…
    /// let [dx, dw, db] = x.dense_backward(&w, &dz)?;
    /// assert_eq!(dw.to_vec()?, [db.to_vec()?[0], 2.0 * db.to_vec()?[0]]);
    /// assert_eq!(dx.shape(), [1, 2]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`dense`](Self::dense).
    pub fn dense_backward(&self, w: &Tensor, dz: &Tensor) -> Result<[Self; 3]> {
        let layer = layer("dense_backward", self, w)?;
        Self::layer_backward(&layer, [self, w, dz])
    }
}
