//! What the tests share: the device, the real numbers they compare with, and how far off a float is.
#![allow(dead_code)]

pub mod calls;
pub mod every_float;
pub mod functions;
pub mod ops;
pub mod reference;
pub mod same_bits;
pub mod value;

use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use ops::Bound;
use selfnorm::{Gpu, GpuOptions, Tensor, wgpu};

/// The published constants, to f64.
pub const SCALE: f64 = 1.050_700_987_355_480_5;
pub const ALPHA: f64 = 1.673_263_242_354_377_2;

/// The lengths every op is tested with: none, one, less than a lane, around a workgroup, no multiple
/// of anything, and just beyond a power of two.
pub const LENGTHS: [usize; 7] = [0, 1, 3, 255, 257, 1757, (1 << 20) + 1];

/// Beyond 128 MiB of f32, the least that a storage binding may be limited to, and beyond 65,535
/// workgroups of 256 invocations of four values; no multiple of four.
pub const HUGE: usize = 65_535 * 256 * 4 + 1757;

/// The device of this test program. Without an adapter the test fails and says what to install.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(new_gpu)
}

/// Another device of the same adapter, which keeps no pipelines in the user's cache directory.
pub fn new_gpu() -> Gpu {
    let options = GpuOptions::new().pipeline_cache(false);
    pollster::block_on(Gpu::request(&options)).unwrap_or_else(|error| panic!("{error}"))
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

/// A device as an application may have made it: WebGPU's default limits and no features.
pub fn smallest_gpu() -> Gpu {
    gpu_with(wgpu::Features::empty(), wgpu::Limits::default())
}

pub fn gpu_with(required_features: wgpu::Features, required_limits: wgpu::Limits) -> Gpu {
    let descriptor = wgpu::DeviceDescriptor {
        required_features,
        required_limits,
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(adapter().request_device(&descriptor)).unwrap();
    Gpu::from_wgpu(device, queue).unwrap()
}

/// The adapter of [`gpu`].
pub fn adapter() -> wgpu::Adapter {
    let info = gpu().adapter_info();
    let instance =
        wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    pollster::block_on(instance.enumerate_adapters(info.backend.into()))
        .into_iter()
        .find(|adapter| adapter.get_info().name == info.name)
        .unwrap()
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
pub fn guards_hold(gpu: &Gpu, buffer: &wgpu::Buffer) -> bool {
    let all = gpu
        .wrap::<f32>(buffer.slice(..), [buffer.size() as usize / 4])
        .unwrap()
        .to_vec()
        .unwrap();
    let (front, back) = (&all[..GUARD], &all[all.len() - GUARD..]);
    front.iter().chain(back).all(|&value| value == GUARD_VALUE)
}

/// All elements of a tensor's buffer, including those behind the tensor's own.
pub fn whole_buffer<T: selfnorm::Element>(tensor: &Tensor<T>) -> Vec<T> {
    let slice = tensor.slice();
    let len = slice.buffer().size() as usize / size_of::<T>();
    let whole = tensor
        .gpu()
        .wrap::<T>(slice.buffer().slice(..), [len])
        .unwrap();
    whole.to_vec().unwrap()
}

/// The number of the device's allocations, their bytes, and the bytes reserved, if the backend reports
/// them. Polling first lets wgpu free what has been dropped.
pub fn allocated(gpu: &Gpu) -> Option<(usize, u64, u64)> {
    for poll in [wgpu::PollType::wait_indefinitely(), wgpu::PollType::Poll] {
        gpu.device().poll(poll).unwrap();
    }
    let report = gpu.device().generate_allocator_report()?;
    let (used, reserved) = (report.total_allocated_bytes, report.total_reserved_bytes);
    Some((report.allocations.len(), used, reserved))
}

/// Bytes of this process that are in memory, on Linux.
pub fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// The answer of `call`; fails if it takes longer.
#[track_caller]
pub fn answers_within<R: Send + 'static>(
    limit: Duration,
    call: impl FnOnce() -> R + Send + 'static,
) -> R {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || sender.send(call()));
    match receiver.recv_timeout(limit) {
        Ok(answer) => answer,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("no answer within {limit:?}"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().unwrap_err())
        }
    }
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
/// NaNs, infinities and subnormals among them.
pub fn all_floats(start: u32, step: u32) -> Vec<f32> {
    (start..=u32::MAX)
        .step_by(step as usize)
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
pub struct Golden(Vec<u8>);

pub fn golden(name: &str) -> Golden {
    let path = format!(
        "{}/tests/data/{name}.safetensors",
        env!("CARGO_MANIFEST_DIR")
    );
    Golden(std::fs::read(path).unwrap())
}

impl Golden {
    fn bytes(&self, name: &str) -> Vec<u8> {
        let file = safetensors::SafeTensors::deserialize(&self.0).unwrap();
        file.tensor(name).unwrap().data().to_vec()
    }

    pub fn f32(&self, name: &str) -> Vec<f32> {
        bytemuck::pod_collect_to_vec(&self.bytes(name))
    }

    pub fn shape(&self, name: &str) -> Vec<usize> {
        let file = safetensors::SafeTensors::deserialize(&self.0).unwrap();
        file.tensor(name).unwrap().shape().to_vec()
    }

    pub fn f64(&self, name: &str) -> Vec<f64> {
        bytemuck::pod_collect_to_vec(&self.bytes(name))
    }
}

/// Runs the test `name` of this program, with its module's path, once more, in a process of its own with
/// these environment variables, and asserts that it passes there.
pub fn passes_apart(name: &str, environment: &[(&str, &str)]) {
    let program = std::process::Command::new(std::env::current_exe().unwrap());
    passes_as(program, name, environment);
}

/// As [`passes_apart`], with a command that runs this program and passes its own arguments on.
pub fn passes_as(program: std::process::Command, name: &str, environment: &[(&str, &str)]) {
    assert_passed(name, &output_of(program, name, environment));
}

/// As [`passes_apart`], for a test that leaves the process no memory. A software driver may crash in one of
/// its own threads, as Mesa 25's does; then nothing can be tested.
pub fn passes_without_memory(name: &str, environment: &[(&str, &str)]) {
    let program = std::process::Command::new(std::env::current_exe().unwrap());
    let output = output_of(program, name, environment);
    if is_segmentation_fault(output.status) {
        eprintln!("not run: the driver can't go on without memory");
    } else {
        assert_passed(name, &output);
    }
}

#[cfg(unix)]
fn is_segmentation_fault(status: std::process::ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(11)
}

#[cfg(not(unix))]
fn is_segmentation_fault(_: std::process::ExitStatus) -> bool {
    false
}

fn output_of(
    mut program: std::process::Command,
    name: &str,
    environment: &[(&str, &str)],
) -> std::process::Output {
    program
        .args([name, "--exact", "--nocapture", "--include-ignored"])
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn assert_passed(name: &str, output: &std::process::Output) {
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        !printed.contains("running 0 tests"),
        "this program has no test {name}; a name begins with its module's path"
    );
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Limits this process to `more` bytes beyond what it has now (on Linux).
pub fn limit_memory(more: u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kilobytes: u64 = size
        .and_then(|size| size.trim().strip_suffix(" kB"))
        .and_then(|size| size.parse().ok())
        .unwrap();
    limit("as", kilobytes * 1024 + more);
}

/// Sets a limit of this process that can be raised again (on Linux).
pub fn limit(resource: &str, value: u64) {
    let limited = std::process::Command::new("prlimit")
        .arg(format!("--pid={}", std::process::id()))
        .arg(format!("--{resource}={value}:"))
        .status();
    assert!(limited.expect("prlimit of util-linux").success());
}

/// The answer of `call`; fails if it takes longer than anything should, compilation included.
#[track_caller]
pub fn without_hanging<R: Send + 'static>(call: impl FnOnce() -> R + Send + 'static) -> R {
    answers_within(Duration::from_secs(300), call)
}
