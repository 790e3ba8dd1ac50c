use bytemuck::{Pod, Zeroable};

use super::require;
use crate::pass::{Chunk, Pass, read, update, write};
use crate::pipelines::{FLOATS, Kernel, Module, SINGLE, SINGLE_FORM, Struct};
use crate::{Element, Result, Tensor};

pub(crate) static MODULE: Module = Module {
    name: "selu",
    sources: &[
        include_str!("../../shaders/selu.wgsl"),
        include_str!("../../shaders/shared/elu.wgsl"),
        include_str!("../../shaders/shared/expm1.wgsl"),
        include_str!("../../shaders/shared/is_nan.wgsl"),
    ],
    constants: &[],
    entry_points: &[
        "selu_forward",
        "selu_in_place",
        "selu_backward",
        "selu_backward_in_place",
    ],
    params: Struct {
        name: "SeluParams",
        fields: &[
            ("lanes", std::mem::offset_of!(SeluParams, lanes)),
            ("scale", std::mem::offset_of!(SeluParams, scale)),
            ("scale_alpha", std::mem::offset_of!(SeluParams, scale_alpha)),
            ("residual", std::mem::offset_of!(SeluParams, residual)),
        ],
        size: size_of::<SeluParams>(),
    },
    elements: FLOATS,
    alternatives: SINGLE,
    forms: SINGLE_FORM,
    step: false,
    structs: &[],
};

const FORWARD: Kernel = Kernel {
    module: &MODULE,
    entry_point: 0,
};
const IN_PLACE: Kernel = Kernel {
    module: &MODULE,
    entry_point: 1,
};
const BACKWARD: Kernel = Kernel {
    module: &MODULE,
    entry_point: 2,
};
const BACKWARD_IN_PLACE: Kernel = Kernel {
    module: &MODULE,
    entry_point: 3,
};

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct SeluParams {
    lanes: u32,
    scale: f32,
    scale_alpha: f32,
    residual: f32,
}

/// The two constants of SELU, λ (`scale`) and α.
///
/// `Selu::default()` are the published ones (Klambauer et al. 2017, arXiv 1706.02515), for which
/// mean 0 and variance 1 are a stable fixed point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selu {
    /// α: the function tends to −λα for x → −∞.
    pub alpha: f64,
    /// λ: the slope for x > 0.
    pub scale: f64,
}

impl Default for Selu {
    fn default() -> Self {
        Self {
            alpha: 1.673_263_242_354_377_2,
            scale: 1.050_700_987_355_480_5,
        }
    }
}

impl Selu {
    /// λα
    pub(crate) fn scale_alpha(&self) -> f64 {
        self.scale * self.alpha
    }

    fn params(&self, op: &'static str) -> Result<impl Fn(Chunk) -> SeluParams + use<>> {
        for (name, value) in [("alpha", self.alpha), ("scale", self.scale)] {
            require(op, name, value, (value as f32).is_finite(), "a finite f32")?;
        }
        let product = self.scale_alpha();
        let (scale, scale_alpha, residual) = self.rounded();
        require(
            op,
            "alpha * scale",
            product,
            scale_alpha.is_finite(),
            "a finite f32",
        )?;
        Ok(move |chunk: Chunk| SeluParams {
            lanes: chunk.lanes,
            scale,
            scale_alpha,
            residual,
        })
    }

    /// The scale, λα, and what rounding λα has lost, relative to it.
    pub(crate) fn rounded(&self) -> (f32, f32, f32) {
        let product = self.scale_alpha();
        let rounded = product as f32;
        let residual = if product == 0.0 {
            0.0
        } else {
            (product - f64::from(rounded)) / product
        };
        (self.scale as f32, rounded, residual as f32)
    }
}

impl Pass<'_> {
    /// y = selu(x), see [`Tensor::selu`].
    ///
    /// # Errors
    ///
    /// [`Shape`](crate::Error::Shape), [`Aliased`](crate::Error::Aliased),
    /// [`OtherGpu`](crate::Error::OtherGpu), [`MissingFeature`](crate::Error::MissingFeature) for
    /// f16.
    pub fn selu<T: Element>(&mut self, x: &Tensor<T>, y: &Tensor<T>) -> Result<()> {
        self.selu_with(x, &Selu::default(), y)
    }

    /// y = selu(x) with other constants.
    ///
    /// # Errors
    ///
    /// As [`selu`](Self::selu); [`Parameter`](crate::Error::Parameter) if a constant is not finite.
    pub fn selu_with<T: Element>(&mut self, x: &Tensor<T>, p: &Selu, y: &Tensor<T>) -> Result<()> {
        self.forward("selu", x, p, y)
    }

    /// x = selu(x)
    ///
    /// # Errors
    ///
    /// As [`selu`](Self::selu).
    pub fn selu_in_place<T: Element>(&mut self, x: &Tensor<T>) -> Result<()> {
        self.selu_with_in_place(x, &Selu::default())
    }

    /// x = selu(x) with other constants.
    ///
    /// # Errors
    ///
    /// As [`selu_with`](Self::selu_with).
    pub fn selu_with_in_place<T: Element>(&mut self, x: &Tensor<T>, p: &Selu) -> Result<()> {
        self.in_place("selu", x, p)
    }

    /// dx = dy · selu'(x), see [`Tensor::selu_backward`].
    ///
    /// # Errors
    ///
    /// As [`selu`](Self::selu).
    pub fn selu_backward<T: Element>(
        &mut self,
        x: &Tensor<T>,
        dy: &Tensor<T>,
        dx: &Tensor<T>,
    ) -> Result<()> {
        self.selu_backward_with(x, &Selu::default(), dy, dx)
    }

    /// dx = dy · selu'(x) with other constants.
    ///
    /// # Errors
    ///
    /// As [`selu_with`](Self::selu_with).
    pub fn selu_backward_with<T: Element>(
        &mut self,
        x: &Tensor<T>,
        p: &Selu,
        dy: &Tensor<T>,
        dx: &Tensor<T>,
    ) -> Result<()> {
        self.backward("selu_backward", x, p, dy, dx)
    }

    /// dy = dy · selu'(x)
    ///
    /// # Errors
    ///
    /// As [`selu`](Self::selu).
    pub fn selu_backward_in_place<T: Element>(
        &mut self,
        x: &Tensor<T>,
        dy: &Tensor<T>,
    ) -> Result<()> {
        self.selu_backward_with_in_place(x, &Selu::default(), dy)
    }

    /// dy = dy · selu'(x) with other constants.
    ///
    /// # Errors
    ///
    /// As [`selu_with`](Self::selu_with).
    pub fn selu_backward_with_in_place<T: Element>(
        &mut self,
        x: &Tensor<T>,
        p: &Selu,
        dy: &Tensor<T>,
    ) -> Result<()> {
        self.backward_in_place("selu_backward", x, p, dy)
    }

    pub(super) fn forward<T: Element>(
        &mut self,
        op: &'static str,
        x: &Tensor<T>,
        p: &Selu,
        y: &Tensor<T>,
    ) -> Result<()> {
        self.elementwise(op, FORWARD, [read("x", x), write("y", y)], p.params(op)?)
    }

    pub(super) fn in_place<T: Element>(
        &mut self,
        op: &'static str,
        x: &Tensor<T>,
        p: &Selu,
    ) -> Result<()> {
        self.elementwise(op, IN_PLACE, [update("x", x)], p.params(op)?)
    }

    pub(super) fn backward<T: Element>(
        &mut self,
        op: &'static str,
        x: &Tensor<T>,
        p: &Selu,
        dy: &Tensor<T>,
        dx: &Tensor<T>,
    ) -> Result<()> {
        self.elementwise(
            op,
            BACKWARD,
            [read("x", x), read("dy", dy), write("dx", dx)],
            p.params(op)?,
        )
    }

    pub(super) fn backward_in_place<T: Element>(
        &mut self,
        op: &'static str,
        x: &Tensor<T>,
        p: &Selu,
        dy: &Tensor<T>,
    ) -> Result<()> {
        self.elementwise(
            op,
            BACKWARD_IN_PLACE,
            [read("x", x), update("dy", dy)],
            p.params(op)?,
        )
    }
}

impl<T: Element> Tensor<T> {
    /// SELU: λx for x > 0, λα(eˣ − 1) else; any shape.
    ///
    /// Within 2 ulp of the true value for every f32; a result that is subnormal, below 2⁻¹²⁶, may be
    /// 0 on devices that flush such numbers. −∞ gives −λα, NaN gives NaN.
    ///
    /// Klambauer et al. 2017, *Self-Normalizing Neural Networks*, arXiv 1706.02515.
    ///
    /// ```
    /// # fn main() -> selfnorm::Result<()> {
    /// # let gpu = selfnorm::Gpu::new()?;
    /// let y = gpu.tensor(&[f32::NEG_INFINITY, -1e-10, 1.0], [3])?.selu()?;
    /// assert_eq!(y.to_vec()?, [-1.7580993, -1.7580993e-10, 1.050701]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`](crate::Error::OutOfMemory), [`DeviceLost`](crate::Error::DeviceLost),
    /// [`MissingFeature`](crate::Error::MissingFeature) for f16.
    pub fn selu(&self) -> Result<Self> {
        self.selu_with(&Selu::default())
    }

    /// SELU with other constants, such as those of an ONNX node.
    ///
    /// Within 2.5 ulp of the value for λ rounded to f32 and the product λα as given.
    ///
    /// # Errors
    ///
    /// As [`selu`](Self::selu); [`Parameter`](crate::Error::Parameter) if a constant is not finite.
    pub fn selu_with(&self, p: &Selu) -> Result<Self> {
        Self::create(self.gpu(), self.shape(), |pass, y| {
            pass.selu_with(self, p, y)
        })
    }

    /// The gradient through SELU: dx = dy · λ for x > 0, dy · λα eˣ else. `self` is the input of
    /// the forward call.
    ///
    /// Within 2 ulp of the true value where |λα eˣ| is at least 2⁻¹²⁵, for every dy; below, the error
    /// is at most 2⁻¹²⁵ |dy|. Devices that flush subnormal numbers may add 2⁻¹²⁴.
    ///
    /// # Errors
    ///
    /// As [`selu`](Self::selu); [`Shape`](crate::Error::Shape).
    pub fn selu_backward(&self, dy: &Self) -> Result<Self> {
        self.selu_backward_with(&Selu::default(), dy)
    }

    /// The gradient through SELU with other constants.
    ///
    /// # Errors
    ///
    /// As [`selu_with`](Self::selu_with); [`Shape`](crate::Error::Shape).
    pub fn selu_backward_with(&self, p: &Selu, dy: &Self) -> Result<Self> {
        Self::create(self.gpu(), self.shape(), |pass, dx| {
            pass.selu_backward_with(self, p, dy, dx)
        })
    }
}
