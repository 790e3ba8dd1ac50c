//! The functions as plain WGSL, to append to a shader of one's own.
//!
//! ```
//! let my_kernel = "
//!     enable f16;
//!
//!     @group(0) @binding(0) var<storage, read_write> pixels: array<vec4<f16>>;
//!
//!     @compute @workgroup_size(64)
//!     fn main(@builtin(global_invocation_id) id: vec3u) {
//!         pixels[id.x] = vec4<f16>(selu4(vec4f(pixels[id.x])));
//!     }
//! ";
//! let source = format!("{my_kernel}{}", selfnorm::wgsl::SELU);
//! # naga::front::wgsl::parse_str(&source).expect("valid WGSL");
//! ```
//!
//! Append them: directives, such as `enable f16;`, must come before any declaration, a function may be called before it
//! is declared, and line numbers in messages stay those of your file.
//!
//! Each constant is complete in itself: [`SELU`] contains [`ELU`], and that [`EXPM1`]. A shader may declare
//! a name only once, so take the largest constant that you need; [`ACTIVATIONS`] has all of them.
//! [`PHILOX`] goes with any. There are no bindings. What a constant declares begins with the name of one of
//! its functions, or with `exp_`, `scaled_`, `subnormal_`, `philox_`, `mul_` or `is_`, in any case, or is `Wide` or
//! `PhiloxPair`. A function whose name ends in 4 has the bits of the one without, for each of a `vec4f`. The
//! error bounds are those of the tensor operations, whether or not the compiler fuses multiply and add, or regroups
//! sums and products.

use crate::ops::modules;
use crate::shader::files;
use crate::shader::files::complete;
use crate::shader::module::{Module, Variant};
use crate::shader::params::Struct;

/// `fn expm1(x: f32) -> f32` and `fn expm1_4(x: vec4f) -> vec4f`: eˣ − 1 for every x.
///
/// Within 1.5 ulp of the true value; for |x| below 2⁻²⁵ it is x, zeros' signs included.
pub const EXPM1: &str = complete!(files::EXPM1);

/// `fn elu(x: f32, alpha: f32) -> f32` and `fn elu_derivative(x: f32, alpha: f32) -> f32`, and both with
/// a 4; with everything of [`EXPM1`].
pub const ELU: &str = complete!(files::ELU_FUNCTIONS);

/// `fn selu(x: f32) -> f32` and `fn selu_derivative(x: f32) -> f32`, and both with a 4; with everything
/// of [`ELU`].
pub const SELU: &str = complete!(files::SELU_FUNCTIONS);

/// `fn leaky_relu(x: f32, negative_slope: f32) -> f32` and `fn leaky_relu_derivative(x: f32,
/// negative_slope: f32) -> f32`, and both with a 4.
pub const LEAKY_RELU: &str = complete!(files::LEAKY_RELU_FUNCTIONS);

/// `fn sigmoid(x: f32) -> f32` and `fn sigmoid_derivative(x: f32) -> f32`, and both with a 4; with everything
/// of [`EXPM1`].
pub const SIGMOID: &str = complete!(files::SIGMOID_FUNCTIONS);

/// `fn tanh1(x: f32) -> f32`, so called because WGSL has a `tanh` of its own, and `fn tanh_derivative(x: f32)
/// -> f32`, and `tanh4` and `tanh_derivative4`; with everything of [`SIGMOID`].
pub const TANH: &str = complete!(files::TANH_FUNCTIONS);

/// `fn silu(x: f32) -> f32` and `fn silu_derivative(x: f32) -> f32`, and both with a 4; with everything of
/// [`SIGMOID`].
pub const SILU: &str = complete!(files::SILU_FUNCTIONS);

/// `fn gelu(x: f32) -> f32` and `fn gelu_derivative(x: f32) -> f32`, and both with a 4; with everything of
/// [`EXPM1`].
pub const GELU: &str = complete!(files::GELU_FUNCTIONS);

/// `fn gelu_tanh(x: f32) -> f32` and `fn gelu_tanh_derivative(x: f32) -> f32`, and both with a 4: the tanh form
/// of GELU; with everything of [`SIGMOID`].
pub const GELU_TANH: &str = complete!(files::GELU_TANH_FUNCTIONS);

/// `fn softplus(x: f32) -> f32` and `fn softplus_derivative(x: f32) -> f32`, and both with a 4; with
/// everything of [`SIGMOID`].
pub const SOFTPLUS: &str = complete!(files::SOFTPLUS_FUNCTIONS);

/// `fn sine(x: f32, frequency: f32) -> f32`, sin(frequency · x) for frequencies from 10⁻⁶ to 10⁶, and `fn
/// sine_derivative(x: f32, frequency: f32) -> f32`, and both with a 4.
pub const SINE: &str = complete!(files::SINE_FUNCTIONS);

/// Everything of the constants above.
pub const ACTIVATIONS: &str = complete!(
    files::SELU_FUNCTIONS,
    files::LEAKY_RELU_FUNCTIONS,
    files::TANH_FUNCTIONS,
    files::SILU_FUNCTIONS,
    files::GELU_FUNCTIONS,
    files::GELU_TANH_FUNCTIONS,
    files::SOFTPLUS_FUNCTIONS,
    files::SINE_FUNCTIONS
);

/// `fn philox(counter: vec4u, key: vec2u) -> vec4u`: four random words, those of
/// [`random::philox4x32_10`](crate::random::philox4x32_10).
pub const PHILOX: &str = complete!(files::PHILOX, files::WIDE_U32);

/// A compute shader as the crate hands it to wgpu.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Shader {
    /// The operation, and how it is built: element type, values in a lane, where the parameters are,
    /// integer width.
    pub name: String,
    /// The WGSL.
    pub source: String,
    /// The features that a device must have for it.
    pub features: wgpu::Features,
    /// The entry points.
    pub entry_points: Vec<&'static str>,
    /// The structs that the host writes, the parameters first.
    pub structs: Vec<HostStruct>,
}

/// A struct of a shader as the host writes it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HostStruct {
    /// Its name in the WGSL.
    pub name: &'static str,
    /// The fields' names and offsets in bytes.
    pub fields: &'static [(&'static str, usize)],
    /// Its size in bytes.
    pub size: usize,
}

impl From<&Struct> for HostStruct {
    fn from(written: &Struct) -> Self {
        let Struct {
            name, fields, size, ..
        } = *written;
        Self { name, fields, size }
    }
}

/// Every shader of the crate in every form, up to the values of constants, to compile or check ahead of time.
///
/// What follows a product is the same text behind each kernel that makes the sums: each activation is listed
/// with one of them, SELU with all.
pub fn shaders() -> Vec<Shader> {
    let shader = |module: &'static Module, variant: Variant| Shader {
        name: module.name(&variant),
        source: module.source(&variant),
        features: module.features(&variant),
        entry_points: module.entry_points.to_vec(),
        structs: module.structs().into_iter().map(HostStruct::from).collect(),
    };
    modules()
        .flat_map(|module| {
            let variants = module.variants().into_iter();
            variants.map(move |variant| shader(module, variant))
        })
        .collect()
}
