use thiserror::Error;

/// Everything that can go wrong; each message says what was expected and what was found.
///
/// An operation that returns an error has done nothing: no tensor has changed and nothing was
/// recorded.
#[derive(Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum Error {
    /// The machine has no GPU, and no software driver either; or the browser has no WebGPU.
    #[error("no GPU adapter found. {}", NO_ADAPTER)]
    NoAdapter,
    /// There are adapters, but none fits the request.
    #[error("no adapter with compute shaders fits {wanted}{}", listed(.found))]
    AdapterNotFound {
        /// The request.
        wanted: String,
        /// The adapters of the machine.
        found: Vec<String>,
    },
    /// A training on several ranks has ended because of another rank, or can't begin. The step has changed nothing.
    #[error("rank {rank} of {size}: {detail}")]
    Exchange {
        /// The rank that says so, from 0.
        rank: usize,
        /// The number of ranks.
        size: usize,
        /// What is wrong.
        detail: String,
    },
    /// The device can't run the shaders.
    #[error("the device does not support selfnorm: {0}")]
    UnsupportedDevice(String),
    /// A shape is not the one the operation needs.
    #[error("{op}: expected shape {expected:?} for {operand}, got {actual:?}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// The argument of the wrong shape.
        operand: &'static str,
        /// The shape it must have.
        expected: Vec<usize>,
        /// The shape it has.
        actual: Vec<usize>,
    },
    /// A tensor of samples has too few axes: as a rule that of their number, the first, is missing.
    #[error("{op}: expected shape {} (one sample: {}) for {operand}, got {actual:?}", after("n", .sample), after("1", .sample))]
    NoBatchAxis {
        /// The operation.
        op: &'static str,
        /// The argument.
        operand: &'static str,
        /// The shape of a sample.
        sample: Vec<usize>,
        /// The shape that the argument has.
        actual: Vec<usize>,
    },
    /// The data does not fill the shape.
    #[error("tensor: shape {shape:?} has {expected} elements, the data has {actual}")]
    Length {
        /// The shape asked for.
        shape: Vec<usize>,
        /// The number of elements in it.
        expected: usize,
        /// The number of elements given.
        actual: usize,
    },
    /// A tensor is larger than the device, or a 32-bit element index, can handle.
    #[error("a tensor of shape {shape:?} is too large: {limit}")]
    TooLarge {
        /// The shape.
        shape: Vec<usize>,
        /// The limit it exceeds.
        limit: String,
    },
    /// A number is outside what the operation allows.
    #[error("{op}: {name} is {value:?}, must be {rule}")]
    Parameter {
        /// The operation.
        op: &'static str,
        /// The parameter's name.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        rule: &'static str,
    },
    /// `noise_shape` does not broadcast to the tensor's shape.
    #[error("alpha_dropout: noise_shape {noise_shape:?} must have as many dimensions as the tensor {shape:?}, each equal to the tensor's or 1{}", parenthesized(.detail))]
    NoiseShape {
        /// The mask's shape.
        noise_shape: Vec<usize>,
        /// The tensor's shape.
        shape: Vec<usize>,
        /// What else is wrong with it.
        detail: String,
    },
    /// A destination overlaps another argument of the same operation.
    #[error("{op}: {a} and {b} overlap in memory; give them separate ranges{}", parenthesized(.detail))]
    Aliased {
        /// The operation.
        op: &'static str,
        /// An argument.
        a: &'static str,
        /// The one it overlaps.
        b: &'static str,
        /// What to call instead.
        detail: String,
    },
    /// A tensor was made by another [`Gpu`](crate::Gpu).
    #[error(
        "{op}: {operand} belongs to another Gpu; share one Gpu, which is cheap to clone; to_vec and tensor move data to another"
    )]
    OtherGpu {
        /// The operation.
        op: &'static str,
        /// The argument.
        operand: &'static str,
    },
    /// A wrapped buffer belongs to another device.
    #[error(
        "the buffer labelled {label:?} belongs to another wgpu::Device; wrap it with the Gpu of its own"
    )]
    OtherDevice {
        /// The buffer's label.
        label: String,
    },
    /// A wrapped range starts where the device can't bind it.
    #[error(
        "wrap: the range starts at byte {offset}, the device needs a multiple of {alignment} (min_storage_buffer_offset_alignment)"
    )]
    Misaligned {
        /// The first byte of the range.
        offset: u64,
        /// What it must be a multiple of.
        alignment: u64,
    },
    /// A wrapped range is shorter than its shape.
    #[error("wrap: shape {shape:?} needs {needed} bytes, the range has {actual}")]
    TooShort {
        /// The shape.
        shape: Vec<usize>,
        /// The bytes it needs, a multiple of four.
        needed: u64,
        /// The bytes in the range.
        actual: u64,
    },
    /// A wrapped buffer was made without a usage that the operation needs.
    #[error("{op}: the buffer must be created with BufferUsages::{usage}")]
    MissingUsage {
        /// The operation.
        op: &'static str,
        /// The usage.
        usage: &'static str,
    },
    /// An application has destroyed a tensor's buffer.
    #[error(
        "the buffer or texture labelled {label:?} has been destroyed, and there is still work on it; \
         destroy it after the last operation on its tensors, and wrap the new one"
    )]
    Destroyed {
        /// The buffer's label.
        label: String,
    },
    /// A wrapped buffer is mapped, so that the GPU can't access it.
    #[error("the buffer labelled {label:?} is mapped; unmap it before an operation on its tensors")]
    Mapped {
        /// The buffer's label.
        label: String,
    },
    /// The encoder has another pass that is still open. wgpu then gives the encoder up, and its `finish`
    /// reports that, too; in a browser nothing else does. A later `Pass` over it records nothing, and says nothing.
    #[error(
        "the encoder is locked by a pass that is still open; end that pass, or record into it with \
         Gpu::record_in"
    )]
    EncoderLocked,
    /// An operation that copies was to be recorded into an open compute pass.
    #[error(
        "{op}: it copies, too, and a compute pass can't; record it into the encoder, with Gpu::pass"
    )]
    NeedsEncoder {
        /// The operation.
        op: &'static str,
    },
    /// The device was made without a feature that the operation needs.
    #[error("{op}: the device must be created with Features::{feature}")]
    MissingFeature {
        /// The operation.
        op: &'static str,
        /// The feature.
        feature: &'static str,
    },
    /// A texture can't be used as the operation does.
    #[error("{op}: {detail}")]
    Texture {
        /// The operation.
        op: &'static str,
        /// What it needs, and what the texture is.
        detail: String,
    },
    /// Layers do not fit together, or a layer is not valid.
    #[error("{layer}: {detail}")]
    Layer {
        /// The layer's name.
        layer: String,
        /// What it needs, and what it has.
        detail: String,
    },
    /// Data does not fit the network.
    #[error("{op}: {detail}")]
    Data {
        /// The operation.
        op: &'static str,
        /// What it needs, and what it got.
        detail: String,
    },
    /// Training has diverged. The weights, the optimizer's state and the history are those before
    /// the step.
    #[error(
        "the loss or a gradient became NaN or infinite in training step {step}, which has changed \
         nothing; a lower learning rate may help, or clipping, and data without NaN or infinity; with Precision::F16, values up to 65,504"
    )]
    NotFinite {
        /// The first such step, by the network's own count, from 1.
        step: u64,
    },
    /// A file can't be read or written, or belongs to another network, or to none that can be built.
    #[error("{path}: {detail}")]
    File {
        /// The path.
        path: String,
        /// What is wrong.
        detail: String,
    },
    /// The device has no memory left; it still works.
    #[error("out of GPU memory: {bytes} bytes were asked for")]
    OutOfMemory {
        /// The size of the buffer that did not fit.
        bytes: u64,
    },
    /// The device was lost or destroyed; make a new [`Gpu`](crate::Gpu).
    #[error("the GPU device is lost or was destroyed; create a new Gpu")]
    DeviceLost,
    /// An error of the application's, from a callback of training or from its batches:
    /// `std::fs::read(path).map_err(|error| Error::Application(error.to_string()))?`.
    #[error("{0}")]
    Application(String),
    /// wgpu reported an error that this crate should have prevented.
    #[error("unexpected GPU error, please report it: {0}")]
    Unexpected(String),
}

#[cfg(not(target_family = "wasm"))]
const NO_ADAPTER: &str = "Install a Vulkan driver: your GPU's, or Mesa's software driver, \
    which needs no GPU (Debian, Ubuntu: `apt-get install mesa-vulkan-drivers`; Fedora: \
    `dnf install mesa-vulkan-drivers`; Arch: `pacman -S vulkan-swrast`)";

#[cfg(target_family = "wasm")]
const NO_ADAPTER: &str = "This browser has no WebGPU, or no GPU for it. Chrome and Edge have it from \
    version 113 on, Safari from 26, Firefox from 141 on Windows and 145 on Macs with Apple silicon; \
    the page must come from https: or from localhost. Elsewhere a flag may turn it on: in Chrome \
    chrome://flags/#enable-unsafe-webgpu, in Firefox dom.webgpu.enabled in about:config, in Safari \
    WebGPU among the feature flags; Chrome has a software GPU, with \
    --enable-unsafe-webgpu --use-webgpu-adapter=swiftshader. Node has no WebGPU";

/// Same as [`Display`](std::fmt::Display), because a `main` that returns an error prints this.
impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

fn listed(found: &[String]) -> String {
    if found.is_empty() {
        String::new()
    } else {
        format!("; there are: {}", found.join(", "))
    }
}

/// A shape with an axis before those of `shape`.
fn after(first: &str, shape: &[usize]) -> String {
    let extents = shape.iter().map(usize::to_string);
    let all: Vec<_> = std::iter::once(first.to_string()).chain(extents).collect();
    format!("[{}]", all.join(", "))
}

fn parenthesized(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(" ({text})")
    }
}

/// A result with this crate's [`Error`](enum@Error).
pub type Result<T> = std::result::Result<T, Error>;
