//! What the tests share: the device, the real numbers they compare with, and how far off a float is.
#![allow(dead_code)]

#[cfg(not(target_family = "wasm"))]
pub mod calls;
#[cfg(not(target_family = "wasm"))]
pub mod every_float;
pub mod functions;
#[cfg(not(target_family = "wasm"))]
mod native;
pub mod ops;
pub mod reference;
pub mod same_bits;
pub mod stored;
pub mod value;
#[cfg(target_family = "wasm")]
mod web;

use std::ops::Deref;
use std::sync::{Arc, Mutex};

#[cfg(not(target_family = "wasm"))]
pub use native::*;
use ops::Bound;
use selfnorm::{Gpu, Tensor, wgpu};
#[cfg(target_family = "wasm")]
pub use web::*;

/// The published constants, to f64.
pub const SCALE: f64 = 1.050_700_987_355_480_5;
pub const ALPHA: f64 = 1.673_263_242_354_377_2;

/// The lengths every op is tested with: none, one, less than a lane, around a workgroup, no multiple
/// of anything, and just beyond a power of two.
pub const LENGTHS: [usize; 7] = [0, 1, 3, 255, 257, 1757, (1 << 20) + 1];

/// Beyond 128 MiB of f32, the least that a storage binding may be limited to, and beyond 65,535
/// workgroups of 256 invocations of four values; no multiple of four.
pub const HUGE: usize = 65_535 * 256 * 4 + 1757;

/// Of so many floats that a native test tries, one is tried in a browser, where all would take minutes.
pub const SAMPLE: u32 = if cfg!(target_family = "wasm") { 16 } else { 1 };

/// A device as an application may have made it: WebGPU's default limits and no features.
pub async fn smallest_gpu_async() -> Gpu {
    gpu_with_async(wgpu::Features::empty(), wgpu::Limits::default()).await
}

pub async fn gpu_with_async(
    required_features: wgpu::Features,
    required_limits: wgpu::Limits,
) -> Gpu {
    let descriptor = wgpu::DeviceDescriptor {
        required_features,
        required_limits,
        ..Default::default()
    };
    let request = adapter_async().await.request_device(&descriptor).await;
    let (device, queue) = request.unwrap();
    Gpu::from_wgpu(device, queue).unwrap()
}

/// An application's own pipeline, of a shader with one entry point, laid out as the shader says.
pub fn compute_pipeline(device: &wgpu::Device, source: &str) -> wgpu::ComputePipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: None,
        compilation_options: Default::default(),
        cache: None,
    })
}

/// A device that fails the test if an error reaches the application's handler.
pub struct Watched {
    gpu: Gpu,
    uncaptured: Arc<Mutex<Vec<String>>>,
}

impl Watched {
    pub fn new(gpu: Gpu) -> Self {
        let uncaptured = Arc::new(Mutex::new(Vec::new()));
        let errors = uncaptured.clone();
        gpu.device()
            .on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
                errors.lock().unwrap().push(error.to_string());
            }));
        Self { gpu, uncaptured }
    }

    /// The errors that have reached the handler since the last call.
    pub fn uncaptured(&self) -> Vec<String> {
        std::mem::take(&mut self.uncaptured.lock().unwrap())
    }
}

impl Deref for Watched {
    type Target = Gpu;

    fn deref(&self) -> &Gpu {
        &self.gpu
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.uncaptured(), [""; 0]);
        }
    }
}

/// An application's buffer.
pub fn foreign_buffer(gpu: &Gpu, bytes: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: bytes,
        usage,
        mapped_at_creation: false,
    })
}

/// A range of an application's buffer with `data` in it, and eight guard values on either side,
/// which [`guards_hold`] looks at.
pub fn wrapped(gpu: &Gpu, data: &[f32]) -> (wgpu::Buffer, Tensor) {
    let buffer = foreign_buffer(
        gpu,
        (GUARD + data.len() + GUARD) as u64 * 4,
        wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
    );
    let guarded: Vec<f32> = std::iter::repeat_n(GUARD_VALUE, GUARD)
        .chain(data.iter().copied())
        .chain(std::iter::repeat_n(GUARD_VALUE, GUARD))
        .collect();
    gpu.queue()
        .write_buffer(&buffer, 0, bytemuck::cast_slice(&guarded));
    let range = GUARD as u64 * 4..(GUARD + data.len()) as u64 * 4;
    let tensor = gpu.wrap(buffer.slice(range), [data.len()]).unwrap();
    (buffer, tensor)
}

/// As many bytes as any device aligns bindings to.
const GUARD: usize = 256 / 4;
const GUARD_VALUE: f32 = 12345.0;

/// Whether nothing was written around the tensor of [`wrapped`].
pub async fn guards_hold_async(gpu: &Gpu, buffer: &wgpu::Buffer) -> bool {
    let len = buffer.size() as usize / 4;
    let all: Tensor = gpu.wrap(buffer.slice(..), [len]).unwrap();
    let all = all.read().await.unwrap();
    let (front, back) = (&all[..GUARD], &all[all.len() - GUARD..]);
    front.iter().chain(back).all(|&value| value == GUARD_VALUE)
}

/// Records into an encoder as an application does, and submits it.
pub fn record(gpu: &Gpu, commands: impl FnOnce(&mut selfnorm::Pass) -> selfnorm::Result<()>) {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let mut pass = gpu.pass(&mut encoder);
    commands(&mut pass).unwrap();
    drop(pass);
    gpu.queue().submit([encoder.finish()]);
}

/// Devices may flush smaller numbers to 0.
const SMALLEST_NORMAL: f64 = 1.175_494_350_822_287_5e-38;

/// The distance of `actual` from the real number `expected`, in units in the last place of an f32
/// of that size. Below the normal range a device may give 0.
pub fn ulps(actual: f32, expected: f64) -> f64 {
    if expected.is_nan() || expected.is_infinite() || f64::from(actual) == expected {
        let same = actual.is_nan() == expected.is_nan()
            && (actual.is_nan() || f64::from(actual) == expected);
        return if same { 0.0 } else { f64::INFINITY };
    }
    if expected.abs() > f64::from(f32::MAX) {
        return if actual == f32::INFINITY.copysign(expected as f32) {
            0.0
        } else {
            f64::INFINITY
        };
    }
    if expected.abs() < SMALLEST_NORMAL && actual == 0.0 {
        return 0.0;
    }
    (f64::from(actual) - expected).abs() / ulp(expected)
}

/// The unit in the last place that [`ulps`] counts in.
pub fn ulp(expected: f64) -> f64 {
    let exponent = (expected.abs().to_bits() >> 52).max(1023 - 126);
    f64::from_bits((exponent - 23) << 52)
}

/// The worst of [`ulps`], and where.
pub fn worst(actual: &[f32], at: &[f32], expected: impl Fn(f32) -> f64) -> (f64, f32) {
    assert_eq!(actual.len(), at.len());
    let pairs = actual.iter().zip(at);
    largest(pairs.map(|(&y, &x)| (ulps(y, expected(x)), x)))
}

/// The largest error and its place; 0 if there are no errors.
pub fn largest(errors: impl Iterator<Item = (f64, f32)>) -> (f64, f32) {
    errors.fold(
        (0.0, 0.0),
        |worst, here| if here.0 > worst.0 { here } else { worst },
    )
}

/// Whether `half` is `single`, rounded to f16; where that is subnormal, a device may give 0.
pub fn is_rounded(half: half::f16, single: f32) -> bool {
    let rounded = half::f16::from_f32(single);
    let flushed = rounded.to_f32().abs() < half::f16::MIN_POSITIVE.to_f32() && half.to_f32() == 0.0;
    flushed || half.to_bits() == rounded.to_bits() || half.is_nan() && rounded.is_nan()
}

/// For a device without 16-bit floats.
pub fn assert_f16_is_an_error(gpu: &Gpu) {
    let error = gpu.zeros::<half::f16>([3]).unwrap_err();
    assert!(
        matches!(error, selfnorm::Error::MissingFeature { .. }),
        "{error}"
    );
}

/// What the documentation promises of a gradient: its bound, and [`gradient_underflow`].
pub fn assert_gradient(dx: f32, dy: f32, derivative: f64, x: f32, bound: &Bound) {
    let expected = derivative * f64::from(dy);
    let error = (f64::from(dx) - expected).abs();
    assert!(
        bound.times(dy.into()).error(dx, expected) <= bound.ulps
            || error <= gradient_underflow(derivative, dy.into()),
        "at x = {x:e}, dy = {dy:e}: {dx:e}, not {expected:e}"
    );
}

/// A dy that puts the gradient just below a power of two, where its ulp is smallest, so that errors made
/// before the product count most.
pub fn hardest_gradient(derivative: f64, i: usize) -> f32 {
    let exponent = ((derivative.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let below = 1.0 - 2e-4 * (i as f64 * 0.618_034).fract();
    (2.0 / (derivative * 2f64.powi(-exponent)) * below) as f32
}

/// What a gradient may be off by besides: 2⁻¹²⁶ |dy| where the derivative is below 2⁻¹²⁶; and where a
/// device flushes subnormal numbers, 2⁻¹²⁴, or all of it if dy is one.
pub fn gradient_underflow(derivative: f64, dy: f64) -> f64 {
    let is_small = |value: f64| value.abs() < SMALLEST_NORMAL;
    let underflow = if is_small(derivative) {
        SMALLEST_NORMAL * dy.abs()
    } else {
        0.0
    };
    let flushed = if is_small(dy) {
        (derivative * dy).abs()
    } else {
        0.0
    };
    underflow + flushed.max(2f64.powi(-124))
}

/// Every float of either sign whose bits are `start`, `start + step`, …: all binades, all kinds,
/// NaNs, infinities and subnormals among them. In a browser a [`SAMPLE`].
pub fn all_floats(start: u32, step: u32) -> Vec<f32> {
    (start..=u32::MAX)
        .step_by((step * SAMPLE) as usize)
        .map(f32::from_bits)
        .collect()
}

/// The floats where functions go wrong first.
pub fn special() -> Vec<f32> {
    let positive = [
        0.0,
        f32::from_bits(1),
        1e-40,
        f32::MIN_POSITIVE,
        1e-30,
        1e-10,
        f32::EPSILON,
        0.1,
        0.346_573_6,
        0.346_573_62,
        0.5,
        1.0,
        1.039_720_8,
        2.0,
        17.3,
        18.0,
        86.9,
        87.4,
        88.1,
        104.0,
        1e10,
        f32::MAX,
        f32::INFINITY,
        f32::NAN,
    ];
    positive.into_iter().flat_map(|x| [x, -x]).collect()
}

/// Reproducible values that look like activations, for tests of whole tensors.
pub fn activations(len: usize) -> Vec<f32> {
    selfnorm::random::words(1, 2, 0..len as u64)
        .map(|word| selfnorm::random::truncated_normal(word) as f32 * 2f32.powi(-20))
        .collect()
}

/// Values that Keras 3 computed in float64.
pub struct Golden(&'static [u8]);

/// The files of the folder, which a page can't open.
macro_rules! golden {
    ($($name:literal)*) => {
        pub fn golden(name: &str) -> Golden {
            Golden(match name {
                $($name => include_bytes!(concat!("../data/", $name, ".safetensors")),)*
                _ => panic!("{name} is not among the golden files"),
            })
        }
    };
}

golden! {
    "activations"
    "average_pooling2d"
    "average_pooling2d_3_stride2_same"
    "batch_normalization"
    "batch_normalization_inference"
    "conv2d_same_stride2"
    "conv2d_valid"
    "dense"
    "dense_rank4"
    "global_average_pooling2d"
    "layer_normalization"
    "losses"
    "max_pool2d"
    "max_pool2d_3_stride2_same"
    "normalization"
    "optimizers"
    "regularized"
    "softmax"
    "train_elu_pool_cnn"
    "train_normalized_cnn"
    "train_selu_cnn"
    "train_sigmoid"
}

impl Golden {
    fn bytes(&self, name: &str) -> Vec<u8> {
        let file = safetensors::SafeTensors::deserialize(self.0).unwrap();
        file.tensor(name).unwrap().data().to_vec()
    }

    pub fn f32(&self, name: &str) -> Vec<f32> {
        bytemuck::pod_collect_to_vec(&self.bytes(name))
    }

    pub fn shape(&self, name: &str) -> Vec<usize> {
        let file = safetensors::SafeTensors::deserialize(self.0).unwrap();
        file.tensor(name).unwrap().shape().to_vec()
    }

    pub fn f64(&self, name: &str) -> Vec<f64> {
        bytemuck::pod_collect_to_vec(&self.bytes(name))
    }
}
