use crate::ops::network::activation::Activation;
use crate::ops::network::product::Padding;
use crate::{Error, Result};

/// A layer of a [`Sequential`](super::Sequential) network, made from one of [`Dense`], [`Conv2d`],
/// [`MaxPool2d`], [`AveragePooling2d`], [`GlobalAveragePooling2d`], [`Flatten`], [`Reshape`], [`Activation`],
/// [`AlphaDropout`], [`Dropout`], [`Normalization`], [`BatchNormalization`] and [`LayerNormalization`].
#[derive(Clone, Debug)]
pub struct Layer {
    pub(super) name: Option<String>,
    pub(super) trainable: bool,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Dense {
        units: usize,
        weighted: Weighted,
    },
    Conv2d {
        filters: usize,
        window: Sliding,
        weighted: Weighted,
    },
    MaxPool2d(Sliding),
    AveragePooling2d(Sliding),
    GlobalAveragePooling2d,
    Flatten,
    Reshape(Vec<usize>),
    /// Its means and variances, unless they are 0 and 1.
    Normalization(Option<[Vec<f32>; 2]>),
    BatchNormalization {
        momentum: f64,
        epsilon: f64,
    },
    LayerNormalization {
        epsilon: f64,
    },
    Activation(Activation),
    AlphaDropout(crate::AlphaDropout, Option<NoiseShape>),
    Dropout(f64, Option<NoiseShape>),
}

/// Of a mask, the batch first; `None` is the input's own extent.
pub(super) type NoiseShape = Vec<Option<usize>>;

/// The options of all layers with a kernel.
#[derive(Clone, Debug)]
pub(super) struct Weighted {
    pub activation: Activation,
    pub use_bias: bool,
    pub kernel_initializer: Initializer,
    pub bias_initializer: Initializer,
    pub kernel_regularizer: Option<Regularizer>,
    pub weights: Option<(Vec<f32>, Vec<f32>)>,
}

impl Default for Weighted {
    fn default() -> Self {
        Self {
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: Initializer::GlorotUniform,
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            weights: None,
        }
    }
}

/// A window that slides over height and width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sliding {
    pub size: [usize; 2],
    pub strides: [usize; 2],
    pub padding: Padding,
}

impl Layer {
    fn new(kind: Kind) -> Self {
        Self {
            name: None,
            trainable: true,
            kind,
        }
    }

    /// The name, which must be unique in the network. By default as in Keras: `dense`, `dense_1`,
    /// `conv2d`, `max_pooling2d`, …
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The layer's type as Keras calls it, and its default name.
    pub(super) fn types(&self) -> (&'static str, &'static str) {
        match self.kind {
            Kind::Dense { .. } => ("Dense", "dense"),
            Kind::Conv2d { .. } => ("Conv2D", "conv2d"),
            Kind::MaxPool2d(_) => ("MaxPooling2D", "max_pooling2d"),
            Kind::AveragePooling2d(_) => ("AveragePooling2D", "average_pooling2d"),
            Kind::GlobalAveragePooling2d => ("GlobalAveragePooling2D", "global_average_pooling2d"),
            Kind::Flatten => ("Flatten", "flatten"),
            Kind::Reshape(_) => ("Reshape", "reshape"),
            Kind::Normalization(_) => ("Normalization", "normalization"),
            Kind::BatchNormalization { .. } => ("BatchNormalization", "batch_normalization"),
            Kind::LayerNormalization { .. } => ("LayerNormalization", "layer_normalization"),
            Kind::Activation(_) => ("Activation", "activation"),
            Kind::AlphaDropout(..) => ("AlphaDropout", "alpha_dropout"),
            Kind::Dropout(..) => ("Dropout", "dropout"),
        }
    }
}

impl From<Activation> for Layer {
    fn from(activation: Activation) -> Self {
        Self::new(Kind::Activation(activation))
    }
}

/// How weights are initialized. Each layer has its own random numbers, derived from the network's
/// seed and the layer's position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Initializer {
    /// Uniform in ±√(6 / (fan_in + fan_out)), Keras's default, see
    /// [`GlorotUniform`](crate::GlorotUniform).
    #[default]
    GlorotUniform,
    /// A truncated normal of deviation √(1 / fan_in), for SELU, see
    /// [`LecunNormal`](crate::LecunNormal).
    LecunNormal,
    /// Uniform in ±√(3 / fan_in), see [`LecunUniform`](crate::LecunUniform).
    LecunUniform,
    /// A truncated normal of deviation √(2 / fan_in), for ReLU, see [`HeNormal`](crate::HeNormal).
    HeNormal,
    /// Uniform in ±√(6 / fan_in), see [`HeUniform`](crate::HeUniform).
    HeUniform,
    /// A truncated normal of deviation √(2 / (fan_in + fan_out)), see
    /// [`GlorotNormal`](crate::GlorotNormal).
    GlorotNormal,
    /// 0
    Zeros,
}

/// A penalty of a kernel w, as Keras's, which keeps weights small: it is added to the loss of each batch,
/// and its gradient to the batch's mean gradient, before that is clipped.
///
/// All losses that are reported include it: of steps, epochs, evaluations and validations. Kernels of layers
/// that are not trainable have none. Neither sample weights nor class weights scale it. A batch whose rows are
/// all void has a loss of 0, and changes nothing.
///
/// Factors are at least 0. The penalty is within 10⁻⁵ of itself, each value of its gradient within 10⁻⁶.
///
/// ```
/// use selfnorm::nn::{Activation::Selu, Dense, Regularizer};
///
/// let dense = Dense::new(16).activation(Selu).kernel_regularizer(Regularizer::L2(1e-4));
/// # let _ = dense;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Regularizer {
    /// l1 · Σ|w|, which makes weights 0 that matter little; l1 is 0.01 in Keras. The gradient is
    /// l1 · sign(w), 0 at 0, as of Keras with TensorFlow or PyTorch; with JAX it is l1 there.
    L1(f64),
    /// l2 · Σw²; l2 is 0.01 in Keras. The gradient is 2 · l2 · w.
    L2(f64),
    /// l1 · Σ|w| + l2 · Σw².
    L1L2 {
        /// 0 in Keras.
        l1: f64,
        /// 0 in Keras.
        l2: f64,
    },
}

impl Regularizer {
    /// l1 and l2.
    pub(super) fn factors(self) -> [f64; 2] {
        match self {
            Self::L1(l1) => [l1, 0.0],
            Self::L2(l2) => [0.0, l2],
            Self::L1L2 { l1, l2 } => [l1, l2],
        }
    }

    /// Whether its factors are at least 0, and finite as f32s.
    pub(super) fn is_possible(self) -> bool {
        let is_possible = |factor: f64| factor >= 0.0 && (factor as f32).is_finite();
        self.factors().into_iter().all(is_possible)
    }
}

macro_rules! named {
    () => {
        /// The layer's name, see [`Layer::name`].
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.name = Some(name.into());
            self
        }
    };
}

macro_rules! sliding {
    ($padding:literal) => {
        /// The window's steps in height and width.
        pub fn strides(mut self, strides: [usize; 2]) -> Self {
            self.window.strides = strides;
            self
        }

        #[doc = $padding]
        pub fn padding(mut self, padding: Padding) -> Self {
            self.window.padding = padding;
            self
        }
    };
}

macro_rules! noise_shape {
    () => {
        /// The shape of the mask, the batch first, with as many dimensions as the layer's input: `None`
        /// for the input's own extent, or 1, along which all elements are kept or dropped together. For
        /// images, `[None, Some(1), Some(1), None]` drops whole channels, for each sample others, and with
        /// `Some(1)` in the first place the same for the whole batch. An extent other than 1 must be the
        /// input's (checked when the network is built); that of the batch is open.
        ///
        /// By default each element has a mask element of its own, and the dropout is computed with the
        /// layer before it. Another mask takes a kernel of its own, and memory for the layer's output.
        pub fn noise_shape(mut self, noise_shape: impl AsRef<[Option<usize>]>) -> Self {
            self.noise_shape = Some(noise_shape.as_ref().into());
            self
        }
    };
}

macro_rules! weighted {
    () => {
        /// The activation of the sums. Linear by default.
        pub fn activation(mut self, activation: Activation) -> Self {
            self.weighted.activation = activation;
            self
        }

        /// Whether there are biases. `true` by default.
        pub fn use_bias(mut self, use_bias: bool) -> Self {
            self.weighted.use_bias = use_bias;
            self
        }

        /// How the kernel is initialized. Glorot-uniform by default.
        pub fn kernel_initializer(mut self, initializer: Initializer) -> Self {
            self.weighted.kernel_initializer = initializer;
            self
        }

        /// How the biases are initialized. Zeros by default.
        pub fn bias_initializer(mut self, initializer: Initializer) -> Self {
            self.weighted.bias_initializer = initializer;
            self
        }

        /// What the kernel adds to the loss. Nothing by default.
        pub fn kernel_regularizer(mut self, regularizer: Regularizer) -> Self {
            self.weighted.kernel_regularizer = Some(regularizer);
            self
        }

        /// The initial kernel and biases, in place of initializers. If there are no biases, pass an
        /// empty `bias`.
        pub fn weights(mut self, kernel: impl Into<Vec<f32>>, bias: impl Into<Vec<f32>>) -> Self {
            self.weighted.weights = Some((kernel.into(), bias.into()));
            self
        }

        /// `false`: training leaves the weights as they are.
        pub fn trainable(mut self, trainable: bool) -> Self {
            self.trainable = trainable;
            self
        }

        named!();
    };
}

/// y = activation(x w + b) on the last axis of an input of any rank.
///
/// The kernel w is `[inputs, units]`, the biases b are `[units]`.
#[derive(Clone, Debug)]
#[must_use]
pub struct Dense {
    units: usize,
    weighted: Weighted,
    trainable: bool,
    name: Option<String>,
}

impl Dense {
    /// With `units` outputs.
    pub fn new(units: usize) -> Self {
        Self {
            units,
            weighted: Weighted::default(),
            trainable: true,
            name: None,
        }
    }

    weighted!();
}

impl From<Dense> for Layer {
    fn from(dense: Dense) -> Self {
        let Dense {
            units,
            weighted,
            trainable,
            name,
        } = dense;
        Self {
            name,
            trainable,
            kind: Kind::Dense { units, weighted },
        }
    }
}

/// y = activation(x ∗ w + b), the cross-correlation over height and width of an input [height, width,
/// channels].
///
/// The kernel w is `[kernel height, kernel width, channels, filters]`, the biases b are `[filters]`.
#[derive(Clone, Debug)]
#[must_use]
pub struct Conv2d {
    filters: usize,
    window: Sliding,
    weighted: Weighted,
    trainable: bool,
    name: Option<String>,
}

impl Conv2d {
    /// With `filters` outputs, and a kernel of this height and width. Strides of 1, valid padding.
    pub fn new(filters: usize, kernel_size: [usize; 2]) -> Self {
        Self {
            filters,
            window: Sliding {
                size: kernel_size,
                strides: [1, 1],
                padding: Padding::Valid,
            },
            weighted: Weighted::default(),
            trainable: true,
            name: None,
        }
    }

    sliding!("What happens at the border.");

    weighted!();
}

impl From<Conv2d> for Layer {
    fn from(conv2d: Conv2d) -> Self {
        let Conv2d {
            filters,
            window,
            weighted,
            trainable,
            name,
        } = conv2d;
        Self {
            name,
            trainable,
            kind: Kind::Conv2d {
                filters,
                window,
                weighted,
            },
        }
    }
}

/// The maximum of a window that slides over height and width of an input [height, width, channels].
#[derive(Clone, Debug)]
#[must_use]
pub struct MaxPool2d {
    window: Sliding,
    name: Option<String>,
}

impl MaxPool2d {
    /// With a window of this height and width, and steps of the same size. Valid padding.
    pub fn new(pool_size: [usize; 2]) -> Self {
        Self {
            window: Sliding {
                size: pool_size,
                strides: pool_size,
                padding: Padding::Valid,
            },
            name: None,
        }
    }

    sliding!("What happens at the border; padding is never the maximum.");

    named!();
}

impl From<MaxPool2d> for Layer {
    fn from(pool: MaxPool2d) -> Self {
        Self {
            name: pool.name,
            ..Self::new(Kind::MaxPool2d(pool.window))
        }
    }
}

/// The mean of a window that slides over height and width of an input [height, width, channels]. Padding is
/// no part of a window.
#[derive(Clone, Debug)]
#[must_use]
pub struct AveragePooling2d {
    window: Sliding,
    name: Option<String>,
}

impl AveragePooling2d {
    /// With a window of this height and width, and steps of the same size. Valid padding.
    pub fn new(pool_size: [usize; 2]) -> Self {
        Self {
            window: Sliding {
                size: pool_size,
                strides: pool_size,
                padding: Padding::Valid,
            },
            name: None,
        }
    }

    sliding!("What happens at the border.");

    named!();
}

impl From<AveragePooling2d> for Layer {
    fn from(pool: AveragePooling2d) -> Self {
        Self {
            name: pool.name,
            ..Self::new(Kind::AveragePooling2d(pool.window))
        }
    }
}

/// The mean of each channel over height and width: from `[height, width, channels]` to `[channels]`.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct GlobalAveragePooling2d {
    name: Option<String>,
}

impl GlobalAveragePooling2d {
    /// Of images of any size.
    pub fn new() -> Self {
        Self::default()
    }

    named!();
}

impl From<GlobalAveragePooling2d> for Layer {
    fn from(pool: GlobalAveragePooling2d) -> Self {
        Self {
            name: pool.name,
            ..Self::new(Kind::GlobalAveragePooling2d)
        }
    }
}

/// Gives each sample another shape, of as many elements, in the same order.
#[derive(Clone, Debug)]
#[must_use]
pub struct Reshape {
    shape: Vec<usize>,
    name: Option<String>,
}

impl Reshape {
    /// To this shape of a sample.
    pub fn new(shape: impl AsRef<[usize]>) -> Self {
        Self {
            shape: shape.as_ref().into(),
            name: None,
        }
    }

    named!();
}

impl From<Reshape> for Layer {
    fn from(reshape: Reshape) -> Self {
        Self {
            name: reshape.name,
            ..Self::new(Kind::Reshape(reshape.shape))
        }
    }
}

/// y = (x − mean) / max(√variance, 10⁻⁷), with a mean and a variance for each feature, which is a place on the
/// last axis: what features need that come in all units, such as the columns of a table. Nothing of it is
/// trained; it is stored with the weights.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Normalization {
    moments: Option<[Vec<f32>; 2]>,
    name: Option<String>,
}

impl Normalization {
    /// With means of 0 and variances of 1, for weights that are loaded.
    pub fn new() -> Self {
        Self::default()
    }

    /// The means and variances, one of each for a feature.
    pub fn moments(mut self, mean: impl Into<Vec<f32>>, variance: impl Into<Vec<f32>>) -> Self {
        self.moments = Some([mean.into(), variance.into()]);
        self
    }

    named!();
}

impl From<Normalization> for Layer {
    fn from(normalization: Normalization) -> Self {
        Self {
            name: normalization.name,
            ..Self::new(Kind::Normalization(normalization.moments))
        }
    }
}

/// y = γ (x − μ) / √(σ² + ε) + β, for each place on the last axis (Ioffe and Szegedy 2015, arXiv 1502.03167).
///
/// In training, μ and σ² are mean and variance over the batch and all other axes, and `moving_mean` and
/// `moving_variance` move towards them: m ← momentum · m + (1 − momentum) · μ. Otherwise these are μ and σ².
/// A step that changes no weights does not move them. As in Keras, one that is not
/// [`trainable`](Self::trainable) uses them in training, too.
///
/// A batch must fit the device at once: in parts, each would have moments of its own.
#[derive(Clone, Debug)]
#[must_use]
pub struct BatchNormalization {
    momentum: f64,
    epsilon: f64,
    trainable: bool,
    name: Option<String>,
}

impl Default for BatchNormalization {
    fn default() -> Self {
        Self {
            momentum: 0.99,
            epsilon: 1e-3,
            trainable: true,
            name: None,
        }
    }
}

impl BatchNormalization {
    /// With Keras's defaults: a momentum of 0.99, ε = 10⁻³.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is left of the moving averages after a step, from 0 to 1.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// ε, above 0.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// `false`: training leaves γ, β and the moving averages as they are, and normalizes by the latter.
    pub fn trainable(mut self, trainable: bool) -> Self {
        self.trainable = trainable;
        self
    }

    named!();
}

impl From<BatchNormalization> for Layer {
    fn from(layer: BatchNormalization) -> Self {
        let (momentum, epsilon) = (layer.momentum, layer.epsilon);
        Self {
            name: layer.name,
            trainable: layer.trainable,
            kind: Kind::BatchNormalization { momentum, epsilon },
        }
    }
}

/// y = γ (x − μ) / √(σ² + ε) + β, with mean and variance over the last axis (Ba, Kiros and Hinton 2016, arXiv
/// 1607.06450).
#[derive(Clone, Debug)]
#[must_use]
pub struct LayerNormalization {
    epsilon: f64,
    trainable: bool,
    name: Option<String>,
}

impl Default for LayerNormalization {
    fn default() -> Self {
        Self {
            epsilon: 1e-3,
            trainable: true,
            name: None,
        }
    }
}

impl LayerNormalization {
    /// With Keras's default, ε = 10⁻³.
    pub fn new() -> Self {
        Self::default()
    }

    /// ε, above 0.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// `false`: training leaves γ and β as they are.
    pub fn trainable(mut self, trainable: bool) -> Self {
        self.trainable = trainable;
        self
    }

    named!();
}

impl From<LayerNormalization> for Layer {
    fn from(layer: LayerNormalization) -> Self {
        Self {
            name: layer.name,
            trainable: layer.trainable,
            kind: Kind::LayerNormalization {
                epsilon: layer.epsilon,
            },
        }
    }
}

/// Merges all axes into one.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Flatten {
    name: Option<String>,
}

impl Flatten {
    /// A layer that only changes the shape.
    pub fn new() -> Self {
        Self::default()
    }

    named!();
}

impl From<Flatten> for Layer {
    fn from(flatten: Flatten) -> Self {
        Self {
            name: flatten.name,
            ..Self::new(Kind::Flatten)
        }
    }
}

/// The dropout of self-normalizing networks, see [`crate::AlphaDropout`]: in training, with new
/// masks in every step; otherwise the identity.
#[derive(Clone, Debug)]
#[must_use]
pub struct AlphaDropout {
    dropout: crate::AlphaDropout,
    noise_shape: Option<NoiseShape>,
    name: Option<String>,
}

impl AlphaDropout {
    /// Drops each element with probability `rate`, 0 ≤ `rate` < 1.
    pub fn new(rate: f64) -> Self {
        Self {
            dropout: crate::AlphaDropout::new(rate),
            noise_shape: None,
            name: None,
        }
    }

    /// For a fixed point other than mean 0 and variance 1, see
    /// [`AlphaDropout::fixed_point`](crate::AlphaDropout::fixed_point).
    pub fn fixed_point(mut self, mean: f64, variance: f64) -> Self {
        self.dropout = self.dropout.fixed_point(mean, variance);
        self
    }

    noise_shape!();

    named!();
}

impl From<AlphaDropout> for Layer {
    fn from(layer: AlphaDropout) -> Self {
        Self {
            name: layer.name,
            ..Self::new(Kind::AlphaDropout(layer.dropout, layer.noise_shape))
        }
    }
}

/// Ordinary dropout: in training, elements become 0 with probability `rate`, and the others are
/// divided by 1 − `rate`. It keeps the mean, not the variance.
#[derive(Clone, Debug)]
#[must_use]
pub struct Dropout {
    rate: f64,
    noise_shape: Option<NoiseShape>,
    name: Option<String>,
}

impl Dropout {
    /// Drops each element with probability `rate`, 0 ≤ `rate` < 1.
    pub fn new(rate: f64) -> Self {
        Self {
            rate,
            noise_shape: None,
            name: None,
        }
    }

    noise_shape!();

    named!();
}

impl From<Dropout> for Layer {
    fn from(layer: Dropout) -> Self {
        Self {
            name: layer.name,
            ..Self::new(Kind::Dropout(layer.rate, layer.noise_shape))
        }
    }
}

impl Sliding {
    /// The positions along an axis, and the padding in front.
    pub(super) fn along(&self, axis: usize, extent: usize) -> Option<(usize, usize)> {
        let (size, stride) = (self.size[axis], self.strides[axis]);
        self.padding.along(axis, extent, size, stride)
    }
}

/// An error of the layer `name`.
pub(super) fn error<T>(name: &str, detail: impl Into<String>) -> Result<T> {
    Err(Error::Layer {
        layer: name.into(),
        detail: detail.into(),
    })
}
