//! Two-dimensional convolutions of tensors.

use super::layer::{Gradients, Layer, Sums};
use super::network::activation::Activation;
use super::network::product::{Conv2d, Padding, Window};
use super::require;
use crate::{Error, Pass, Result, Tensor};

/// How a convolution's kernel slides over an image: with strides of 1 and without padding, unless told
/// otherwise.
///
/// ```
/// use selfnorm::{Conv2dOptions, nn::Padding};
///
/// let options = Conv2dOptions::new().strides([2, 2]).padding(Padding::Same);
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Conv2dOptions {
    strides: [usize; 2],
    padding: Padding,
}

impl Default for Conv2dOptions {
    fn default() -> Self {
        Self {
            strides: [1, 1],
            padding: Padding::Valid,
        }
    }
}

impl Conv2dOptions {
    /// Keras's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The steps down and across.
    pub fn strides(mut self, strides: [usize; 2]) -> Self {
        self.strides = strides;
        self
    }

    /// What happens at the border.
    pub fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }
}

/// Shaders compute positions in i32.
const MAX_STRIDE: usize = 1 << 16;

fn layer(op: &'static str, x: &Tensor, w: &Tensor, options: &Conv2dOptions) -> Result<Layer> {
    let Conv2dOptions { strides, padding } = *options;
    for stride in strides {
        let value = stride as f64;
        let allowed = (1..=MAX_STRIDE).contains(&stride);
        require(op, "a stride", value, allowed, "from 1 to 65536")?;
    }
    let shape = |operand, expected: [usize; 4], actual: &Tensor| {
        Err(Error::Shape {
            op,
            operand,
            expected: expected.into(),
            actual: actual.shape().into(),
        })
    };
    let or_1 = |shape: &[usize]| [0, 1, 2, 3].map(|d| shape.get(d).copied().unwrap_or(1).max(1));
    let &[rows, columns, channels, filters] = w.shape() else {
        return shape("w", or_1(w.shape()), w);
    };
    if w.is_empty() {
        return shape("w", or_1(w.shape()), w);
    }
    let &[batch, height, width, _] = x.shape() else {
        let [batch, height, width, _] = or_1(x.shape());
        return shape("x", [batch, height, width, channels], x);
    };
    let (input, size) = ([height, width], [rows, columns]);
    if let Some((padding, rule)) = padding.beyond(size) {
        require(op, "padding", padding as f64, false, rule)?;
    }
    let along = |d: usize| padding.along(d, input[d], size[d], strides[d]);
    let (Some(down), Some(across)) = (along(0), along(1)) else {
        // An image of at least the kernel's size.
        let [height, width] = match padding {
            Padding::Valid => [height.max(rows), width.max(columns)],
            Padding::Same => [height.max(1), width.max(1)],
            Padding::Explicit { before, after } => {
                let least = |d: usize| {
                    size[d]
                        .saturating_sub(before[d].saturating_add(after[d]))
                        .max(1)
                };
                [height.max(least(0)), width.max(least(1))]
            }
        };
        return shape("x", [batch, height, width, channels], x);
    };
    let output = [down.0, across.0];
    Ok(Layer {
        op,
        sums: Sums::Conv2d(Conv2d {
            batch,
            channels,
            filters,
            window: Window {
                input,
                output,
                size,
                strides,
                padding: [down.1, across.1],
            },
            bias: false,
        }),
        outputs: filters,
        x: vec![batch, height, width, channels],
        w: w.shape().into(),
        y: vec![batch, output[0], output[1], filters],
    })
}

impl Pass<'_> {
    /// y = activation(x ∗ w + b), see [`Tensor::conv2d`]. b may be `None`.
    ///
    /// # Errors
    ///
    /// As [`dense`](Self::dense); [`Parameter`](crate::Error::Parameter) for a stride of 0 or beyond
    /// 65,536.
    pub fn conv2d<'a>(
        &mut self,
        x: &'a Tensor,
        w: &'a Tensor,
        b: impl Into<Option<&'a Tensor>>,
        options: &Conv2dOptions,
        activation: Activation,
        y: &'a Tensor,
    ) -> Result<()> {
        let layer = layer("conv2d", x, w, options)?;
        self.layer(&layer, [x, w], b.into(), activation, y)
    }

    /// The gradients of a convolution from those of its sums, see [`Tensor::conv2d_backward`].
    ///
    /// # Errors
    ///
    /// As [`conv2d`](Self::conv2d).
    pub fn conv2d_backward(
        &mut self,
        x: &Tensor,
        w: &Tensor,
        dz: &Tensor,
        options: &Conv2dOptions,
        to: Gradients,
    ) -> Result<()> {
        let layer = layer("conv2d_backward", x, w, options)?;
        self.layer_backward(&layer, [x, w, dz], to)
    }
}

impl Tensor {
    /// A two-dimensional convolution as in Keras: y = activation(x ∗ w + b), of x [batch, height, width,
    /// channels], w [kernel height, kernel width, channels, filters] and b \[filters\], or `None`; y is
    /// [batch, positions down, positions across, filters].
    ///
    /// A position's sum is Σ x[row · stride + i, column · stride + j, channel] · w[i, j, channel,
    /// filter]: like every deep learning library's, a cross-correlation. No patch is ever stored.
    /// Dispatches and bound are those of [`dense`](Self::dense), for sums of kernel height · kernel
    /// width · channels products; to train, see there.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// use selfnorm::{Conv2dOptions, Gpu, nn::Activation::Linear, nn::Padding};
    ///
    /// let gpu = Gpu::new()?;
    /// let x = gpu.tensor(&[1.0, 2.0, 3.0, 4.0], [1, 2, 2, 1])?; // an image of 2 × 2
    /// let w = gpu.tensor(&[1.0; 9], [3, 3, 1, 1])?;
    /// let same = Conv2dOptions::new().padding(Padding::Same);
    /// let y = x.conv2d(&w, None, &same, Linear)?;
    /// assert_eq!(y.to_vec()?, [10.0; 4]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Pass::conv2d`], and [`OutOfMemory`](crate::Error::OutOfMemory),
    /// [`DeviceLost`](crate::Error::DeviceLost).
    pub fn conv2d<'a>(
        &'a self,
        w: &'a Tensor,
        b: impl Into<Option<&'a Tensor>>,
        options: &Conv2dOptions,
        activation: Activation,
    ) -> Result<Self> {
        let layer = layer("conv2d", self, w, options)?;
        Self::layer(&layer, [self, w], b.into(), activation)
    }

    /// The gradients dx, dw and db of a convolution, of which `self` is the input x, and dz the gradient
    /// of its sums, as for [`dense_backward`](Self::dense_backward).
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # use selfnorm::{Conv2dOptions, Gpu};
    /// # let gpu = Gpu::new()?;
    /// let x = gpu.tensor(&[1.0, 2.0, 3.0, 4.0], [1, 2, 2, 1])?;
    /// let w = gpu.tensor(&[5.0], [1, 1, 1, 1])?;
    /// let dz = gpu.tensor(&[1.0; 4], [1, 2, 2, 1])?;
    /// let [dx, dw, db] = x.conv2d_backward(&w, &dz, &Conv2dOptions::new())?;
    /// assert_eq!(dx.to_vec()?, [5.0; 4]);
    /// assert_eq!((dw.to_vec()?, db.to_vec()?), (vec![10.0], vec![4.0]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`conv2d`](Self::conv2d).
    pub fn conv2d_backward(
        &self,
        w: &Tensor,
        dz: &Tensor,
        options: &Conv2dOptions,
    ) -> Result<[Self; 3]> {
        let layer = layer("conv2d_backward", self, w, options)?;
        Self::layer_backward(&layer, [self, w, dz])
    }
}
