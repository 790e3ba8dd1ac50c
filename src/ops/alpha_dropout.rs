use bytemuck::Zeroable;

use super::{first_block, require, selu::Selu, words};
use crate::pass::{Chunk, Pass, read, update, write};
use crate::random::Stream;
use crate::shader::files;
use crate::shader::module::{Form, Kernel, Module};
use crate::shader::params::{params, vec2u, vec4u};
use crate::tensor::count;
use crate::{Element, Error, Result, Tensor};

pub(super) static MODULE: Module = Module::new(
    "alpha_dropout",
    &files::ALPHA_DROPOUT,
    AlphaDropoutParams::LAYOUT,
)
.entry_points(&[
    "alpha_dropout",
    "alpha_dropout_in_place",
    "alpha_dropout_broadcast",
    "alpha_dropout_broadcast_in_place",
])
.floats();

const DROPOUT: Kernel = MODULE.kernel("alpha_dropout");
const IN_PLACE: Kernel = MODULE.kernel("alpha_dropout_in_place");
const BROADCAST: Kernel = MODULE.kernel("alpha_dropout_broadcast");
const BROADCAST_IN_PLACE: Kernel = MODULE.kernel("alpha_dropout_broadcast_in_place");

const FORWARD: &str = "alpha_dropout";
const BACKWARD: &str = "alpha_dropout_backward";

/// The most dimensions of a mask, after neighbours that are broadcast alike are merged.
const MAX_RANK: usize = 8;

params! {
    struct AlphaDropoutParams {
        lanes: u32,
        /// the element of the first lane, a multiple of four
        first: u32,
        /// an element is dropped if its random word is below this
        threshold: u32,
        scale: f32,
        shift: f32,
        dropped: f32,
        seed: vec2u,
        call: vec2u,
        /// the random block of the tensor's first element
        block: vec2u,
        broadcast: BroadcastParams,
    }
}

params! {
    /// For a mask of noise_shape: each dimension's extent, and its stride in the mask, 0 if it is
    /// broadcast; the last dimension first.
    pub(super) struct BroadcastParams {
        rank: u32,
        padding: u32,
        more_padding: vec2u,
        /// (not arrays, which immediates can't hold)
        extents: vec4u,
        more_extents: vec4u,
        strides: vec4u,
        more_strides: vec4u,
    }
}

/// An alpha dropout that takes its call from the step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Dropout {
    /// An element is dropped if its word is below this.
    pub threshold: u32,
    pub scale: f32,
    pub shift: f32,
    pub dropped: f32,
    pub seed: u64,
    /// The mask's elements for a row of the batch.
    pub row: u32,
}

impl Dropout {
    /// What its gradient goes through.
    pub fn gradient(self) -> Self {
        Self {
            shift: -0.0,
            dropped: 0.0,
            ..self
        }
    }
}

/// The dropout that keeps mean 0 and variance 1, or another [`fixed_point`](Self::fixed_point): dropped
/// elements become SELU's limit −λα instead of 0, then everything is scaled and shifted.
///
/// With α' = −λα, a = ((1 − rate)(1 + rate α'²))^−½ and b = −a α' rate, a kept x becomes a x + b and a
/// dropped one a α' + b. An element is dropped if its random word is below round(rate · 2³²); the mask
/// is a function of (seed, call, element), see [`random`](crate::random), and is never stored:
/// backward draws it again.
///
/// Klambauer et al. 2017, *Self-Normalizing Neural Networks*, arXiv 1706.02515, section 3.
///
/// ```
/// # fn main() -> selfnorm::Result<()> {
/// use selfnorm::{AlphaDropout, Gpu};
///
/// let gpu = Gpu::new()?;
/// let x = gpu.tensor(&[0.5; 1000], [1000])?;
/// let dropout = AlphaDropout::new(0.1).seed(7);
/// let y = x.alpha_dropout(&dropout)?.to_vec()?;
/// let kept = dropout.mask([1000])?;
/// assert_eq!(y.iter().filter(|&&y| y > 0.0).count(), kept.iter().filter(|&&kept| kept).count());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct AlphaDropout {
    pub(crate) rate: f64,
    seed: u64,
    call: u64,
    offset: u64,
    noise_shape: Option<Vec<usize>>,
    training: bool,
    pub(crate) mean: f64,
    pub(crate) variance: f64,
}

/// Maps a tensor's element to its mask element: each dimension's extent and its stride in the
/// mask, the last dimension first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Broadcast {
    rank: usize,
    extents: [u32; MAX_RANK],
    strides: [u32; MAX_RANK],
}

impl Broadcast {
    /// For dimensions of (extent in the mask, extent), the first dimension first; these are equal or the
    /// mask's is 1. `None` if the two cases alternate more than [`MAX_RANK`] times.
    fn new(dimensions: impl DoubleEndedIterator<Item = (usize, usize)>) -> Option<Self> {
        let mut broadcast = Self::default();
        let mut mask_len = 1u32;
        for (noise, extent) in dimensions.rev().filter(|(_, extent)| *extent != 1) {
            let stride = if noise == 1 { 0 } else { mask_len };
            // Neighbours that are broadcast alike are one.
            let last = broadcast.rank.checked_sub(1);
            match last.filter(|&last| (broadcast.strides[last] == 0) == (stride == 0)) {
                Some(last) => {
                    let merged = &mut broadcast.extents[last];
                    *merged = merged.saturating_mul(extent as u32);
                }
                None => {
                    *broadcast.extents.get_mut(broadcast.rank)? = extent as u32;
                    broadcast.strides[broadcast.rank] = stride;
                    broadcast.rank += 1;
                }
            }
            mask_len = mask_len.saturating_mul(noise as u32);
        }
        Some(broadcast)
    }

    /// For batches of any number of samples of `shape`; `None` in place of an extent is the tensor's
    /// own, and the first is the batch's. Also the mask's elements for a row of the batch. No broadcast
    /// if every element has a mask element of its own.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn of_batches(
        noise_shape: &[Option<usize>],
        shape: &[usize],
    ) -> std::result::Result<(Option<Self>, u32), String> {
        let all = || {
            [None]
                .into_iter()
                .chain(shape.iter().map(|&extent| Some(extent)))
        };
        let fits = |(noise, extent): (&Option<usize>, Option<usize>)| {
            matches!(noise, None | Some(1)) || *noise == extent
        };
        if noise_shape.len() != shape.len() + 1 || !noise_shape.iter().zip(all()).all(fits) {
            return Err(
                "it must have as many dimensions, each None, 1 or the input's, the first None or 1"
                    .into(),
            );
        }
        // Nothing comes after the batch, so it may have any extent but 1.
        let open = |extent: Option<usize>| extent.unwrap_or(u32::MAX as usize);
        let dimensions = noise_shape.iter().zip(all());
        let dimensions: Vec<_> = dimensions
            .map(|(noise, extent)| (noise.unwrap_or(open(extent)), open(extent)))
            .collect();
        let row = match noise_shape {
            [Some(_), ..] => 0,
            _ => dimensions[1..]
                .iter()
                .map(|(noise, _)| *noise as u32)
                .product(),
        };
        if dimensions.iter().all(|(noise, extent)| noise == extent) {
            return Ok((None, row));
        }
        let broadcast = Self::new(dimensions.into_iter());
        let broadcast = broadcast.ok_or_else(|| {
            format!("it must alternate between 1 and the input's extent at most {MAX_RANK} times")
        })?;
        Ok((Some(broadcast), row))
    }

    fn mask_element(&self, element: u32) -> u32 {
        let dimensions = self.extents.iter().zip(&self.strides).take(self.rank);
        let step = |(rest, sum): (u32, u32), (&extent, &stride): (&u32, &u32)| {
            (rest / extent, sum + rest % extent * stride)
        };
        dimensions.fold((element, 0), step).1
    }

    pub(super) fn params(&self) -> BroadcastParams {
        let [extents, more_extents] = bytemuck::cast(self.extents);
        let [strides, more_strides] = bytemuck::cast(self.strides);
        BroadcastParams {
            rank: self.rank as u32,
            extents,
            more_extents,
            strides,
            more_strides,
            ..BroadcastParams::zeroed()
        }
    }
}

impl AlphaDropout {
    /// Drops each element with probability `rate`, 0 ≤ `rate` < 1 (checked when it is used). Seed and
    /// call are 0.
    pub fn new(rate: f64) -> Self {
        Self {
            rate,
            seed: 0,
            call: 0,
            offset: 0,
            noise_shape: None,
            training: true,
            mean: 0.0,
            variance: 1.0,
        }
    }

    /// The seed of the random numbers.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The number of the mask under this seed, below 2⁶³ (checked when it is used); each training step
    /// should use the next one. 0 by default.
    pub fn call(mut self, call: u64) -> Self {
        self.call = call;
        self
    }

    /// The position of the mask's first element in the stream of random numbers, a multiple of 4,
    /// at most 2⁶³ (checked when it is used). With it, the parts of a tensor split over several
    /// tensors or devices get the mask of the whole. 0 by default.
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// The shape of the mask, with as many dimensions as the tensor, each the tensor's or 1; where
    /// it is 1, all elements along the dimension are kept or dropped together.
    pub fn noise_shape(mut self, noise_shape: impl AsRef<[usize]>) -> Self {
        self.noise_shape = Some(noise_shape.as_ref().into());
        self
    }

    /// `false`: the identity, forward and backward.
    pub fn training(mut self, training: bool) -> Self {
        self.training = training;
        self
    }

    /// The mean μ and the variance ν to keep, those of the activations of
    /// [`Selu::with_fixed_point`]`(mean, variance)`, whose limit −λα is then α' (checked when it is
    /// used); 0 and 1 by default.
    ///
    /// With q = 1 − rate, a = √(ν / (q (rate (α' − μ)² + ν))) and b = μ − a (q μ + rate α'), as in
    /// `selu.py` of the paper's authors.
    pub fn fixed_point(mut self, mean: f64, variance: f64) -> Self {
        self.mean = mean;
        self.variance = variance;
        self
    }

    /// (a, b): a kept x becomes a x + b.
    ///
    /// # Errors
    ///
    /// [`Error::Parameter`] if the rate is outside [0, 1), or no SELU has the
    /// [`fixed_point`](Self::fixed_point).
    pub fn coefficients(&self) -> Result<(f64, f64)> {
        let (a, b, _) = self.coefficients_for(FORWARD)?;
        Ok((a, b))
    }

    /// (a, b, a α' + b)
    fn coefficients_for(&self, op: &'static str) -> Result<(f64, f64, f64)> {
        let rate = require(
            op,
            "rate",
            self.rate,
            (0.0..1.0).contains(&self.rate),
            "at least 0 and below 1",
        )?;
        let limit = -Selu::solve(op, self.mean, self.variance)?.scale_alpha();
        let keep = 1.0 - rate;
        let distance = (limit - self.mean) / self.variance.sqrt();
        let a = (keep * (1.0 + rate * distance * distance)).powf(-0.5);
        let b = self.mean - a * keep * self.mean - a * limit * rate;
        Ok((a, b, a * limit + b))
    }

    /// The parameters of the forward pass, rounded the same way for all kernels; the identity
    /// outside training and at rate 0. The caller knows the row.
    pub(crate) fn epilogue(&self, op: &'static str) -> Result<Dropout> {
        let (a, b, dropped) = self.coefficients_for(op)?;
        let identity = !self.training || self.rate == 0.0;
        // x + -0.0 is x, for zeros of either sign too.
        let (threshold, scale, shift) = if identity {
            (0, 1.0, -0.0)
        } else {
            (self.threshold(), a as f32, b as f32)
        };
        Ok(Dropout {
            threshold,
            scale,
            shift,
            dropped: dropped as f32,
            seed: self.seed,
            row: 0,
        })
    }

    /// Which elements of a tensor of `shape` are kept, computed on the host: the GPU's mask, bit
    /// for bit.
    ///
    /// # Errors
    ///
    /// As [`Tensor::alpha_dropout`].
    pub fn mask(&self, shape: impl AsRef<[usize]>) -> Result<Vec<bool>> {
        let shape = shape.as_ref();
        self.coefficients()?;
        first_block(FORWARD, self.offset)?;
        let stream = Stream::mask(FORWARD, self.call)?;
        let mask = |len: u64| {
            stream
                .words(self.seed, self.offset..self.offset + len)
                .map(|word| !self.training || word >= self.threshold())
                .collect::<Vec<_>>()
        };
        let len = count(shape)?;
        Ok(match self.broadcast(shape)? {
            None => mask(len),
            Some(broadcast) => {
                let mask = mask(self.noise_shape.iter().flatten().product::<usize>() as u64);
                (0..len as u32)
                    .map(|element| mask[broadcast.mask_element(element) as usize])
                    .collect()
            }
        })
    }

    /// An element is dropped if its word is below this; rates within 2⁻³³ of 1 are rounded down.
    fn threshold(&self) -> u32 {
        (self.rate * 2f64.powi(32)).round() as u32
    }

    /// `None` if every element has a mask element of its own.
    fn broadcast(&self, shape: &[usize]) -> Result<Option<Broadcast>> {
        let Some(noise_shape) = self.noise_shape.as_deref() else {
            return Ok(None);
        };
        let error = |detail| Error::NoiseShape {
            noise_shape: noise_shape.into(),
            shape: shape.into(),
            detail,
        };
        let fits = |(&noise, &extent): (&usize, &usize)| noise == extent || noise == 1;
        if noise_shape.len() != shape.len() || !noise_shape.iter().zip(shape).all(fits) {
            return Err(error(String::new()));
        }
        if noise_shape == shape || shape.contains(&0) {
            return Ok(None);
        }
        let dimensions = noise_shape.iter().copied().zip(shape.iter().copied());
        let broadcast = Broadcast::new(dimensions);
        let too_many = || format!("and alternate between the two at most {MAX_RANK} times");
        broadcast.map(Some).ok_or_else(|| error(too_many()))
    }

    /// Records the dropout with the parameters in `dropout`.
    fn record<T: Element>(
        &self,
        pass: &mut Pass,
        op: &'static str,
        dropout: Dropout,
        source: (&'static str, &Tensor<T>),
        destination: Option<(&'static str, &Tensor<T>)>,
    ) -> Result<()> {
        let broadcast = self.broadcast(source.1.shape())?;
        let params = AlphaDropoutParams {
            threshold: dropout.threshold,
            scale: dropout.scale,
            shift: dropout.shift,
            dropped: dropout.dropped,
            seed: words(dropout.seed),
            call: words(Stream::mask(op, self.call)?.call()),
            block: first_block(op, self.offset)?,
            broadcast: broadcast.unwrap_or_default().params(),
            ..AlphaDropoutParams::zeroed()
        };
        let params = |chunk: Chunk| AlphaDropoutParams {
            lanes: chunk.lanes,
            first: chunk.first,
            ..params
        };
        let (form, is_broadcast) = (Form::default(), broadcast.is_some());
        match destination {
            Some((name, y)) => {
                let kernel = if is_broadcast { BROADCAST } else { DROPOUT };
                let operands = [read(source.0, source.1), write(name, y)];
                pass.elementwise(op, kernel, form, operands, params)
            }
            None => {
                let kernel = if is_broadcast {
                    BROADCAST_IN_PLACE
                } else {
                    IN_PLACE
                };
                pass.elementwise(op, kernel, form, [update(source.0, source.1)], params)
            }
        }
    }

    fn forward<T: Element>(
        &self,
        pass: &mut Pass,
        x: &Tensor<T>,
        y: Option<&Tensor<T>>,
    ) -> Result<()> {
        let dropout = self.epilogue(FORWARD)?;
        self.record(pass, FORWARD, dropout, ("x", x), y.map(|y| ("y", y)))
    }

    fn backward<T: Element>(
        &self,
        pass: &mut Pass,
        dy: &Tensor<T>,
        dx: Option<&Tensor<T>>,
    ) -> Result<()> {
        let gradient = self.epilogue(BACKWARD)?.gradient();
        self.record(
            pass,
            BACKWARD,
            gradient,
            ("dy", dy),
            dx.map(|dx| ("dx", dx)),
        )
    }
}

impl Pass<'_> {
    /// y = alpha_dropout(x), see [`Tensor::alpha_dropout`].
    ///
    /// # Errors
    ///
    /// [`Parameter`](Error::Parameter), [`NoiseShape`](Error::NoiseShape),
    /// [`Shape`](Error::Shape), [`Aliased`](Error::Aliased), [`OtherGpu`](Error::OtherGpu),
    /// [`MissingFeature`](Error::MissingFeature) for f16.
    pub fn alpha_dropout<T: Element>(
        &mut self,
        x: &Tensor<T>,
        p: &AlphaDropout,
        y: &Tensor<T>,
    ) -> Result<()> {
        p.forward(self, x, Some(y))
    }

    /// x = alpha_dropout(x)
    ///
    /// The input is gone, but [`alpha_dropout_backward`](Self::alpha_dropout_backward) needs none.
    ///
    /// # Errors
    ///
    /// As [`alpha_dropout`](Self::alpha_dropout).
    pub fn alpha_dropout_in_place<T: Element>(
        &mut self,
        x: &Tensor<T>,
        p: &AlphaDropout,
    ) -> Result<()> {
        p.forward(self, x, None)
    }

    /// dx = dy through the dropout, see [`Tensor::alpha_dropout_backward`].
    ///
    /// # Errors
    ///
    /// As [`alpha_dropout`](Self::alpha_dropout).
    pub fn alpha_dropout_backward<T: Element>(
        &mut self,
        dy: &Tensor<T>,
        p: &AlphaDropout,
        dx: &Tensor<T>,
    ) -> Result<()> {
        p.backward(self, dy, Some(dx))
    }

    /// dy = dy through the dropout
    ///
    /// # Errors
    ///
    /// As [`alpha_dropout`](Self::alpha_dropout).
    pub fn alpha_dropout_backward_in_place<T: Element>(
        &mut self,
        dy: &Tensor<T>,
        p: &AlphaDropout,
    ) -> Result<()> {
        p.backward(self, dy, None)
    }
}

impl<T: Element> Tensor<T> {
    /// Drops elements but keeps mean 0 and variance 1, see [`AlphaDropout`]; any shape.
    ///
    /// A kept x becomes a x + b, within 1.5 · 2⁻²³ (|a x| + |b|), a dropped one a α' + b, rounded once.
    /// NaN gives NaN, dropped or not.
    ///
    /// # Errors
    ///
    /// [`Parameter`](Error::Parameter) if the rate is outside [0, 1), the call 2⁶³ or more, or the
    /// offset not a multiple of 4, [`NoiseShape`](Error::NoiseShape), [`OutOfMemory`](Error::OutOfMemory),
    /// [`DeviceLost`](Error::DeviceLost), [`MissingFeature`](Error::MissingFeature) for f16.
    pub fn alpha_dropout(&self, p: &AlphaDropout) -> Result<Self> {
        Self::create(self.gpu(), self.shape(), |pass, y| {
            pass.alpha_dropout(self, p, y)
        })
    }

    /// The gradient through the dropout of the same `p`: a dy where an element was kept, 0 where
    /// it was dropped. The mask is drawn again.
    ///
    /// Within 2⁻²³ |a dy|, or 2⁻¹²⁶ where that is more. A dy below 2⁻¹²⁶ may count as 0 on devices that
    /// flush such numbers.
    ///
    /// # Errors
    ///
    /// As [`alpha_dropout`](Self::alpha_dropout).
    pub fn alpha_dropout_backward(&self, p: &AlphaDropout) -> Result<Self> {
        Self::create(self.gpu(), self.shape(), |pass, dx| {
            pass.alpha_dropout_backward(self, p, dx)
        })
    }
}
