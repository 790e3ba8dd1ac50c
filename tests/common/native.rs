//! What only a native program can do: wait, run itself once more, and limit its memory.

use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use selfnorm::{Gpu, GpuOptions, Tensor, wgpu};

use super::{gpu_with_async, guards_hold_async, smallest_gpu_async};

/// The device of this test program. Without an adapter the test fails and says what to install.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(new_gpu)
}

/// [`gpu`] for tests that run in browsers, too.
pub async fn gpu_async() -> &'static Gpu {
    gpu()
}

/// Another device of the same adapter, which keeps no pipelines in the user's cache directory.
pub async fn new_gpu_async() -> Gpu {
    let options = GpuOptions::new().pipeline_cache(false);
    let gpu = Gpu::request(&options).await;
    gpu.unwrap_or_else(|error| panic!("{error}"))
}

pub fn new_gpu() -> Gpu {
    pollster::block_on(new_gpu_async())
}

/// A device with cooperative matrices, if the adapter has some that the crate can use.
pub fn gpu_with_cooperative_matrices() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    let gpu = GPU.get_or_init(|| {
        // SAFETY: only the crate's shaders run on it, with matrices that the adapter lists.
        #[allow(unsafe_code)]
        let token = unsafe { wgpu::ExperimentalFeatures::enabled() };
        let options = GpuOptions::new().pipeline_cache(false);
        let options = options.cooperative_matrices(token);
        let gpu = pollster::block_on(Gpu::request(&options)).unwrap();
        gpu.cooperative_matrices().is_some().then_some(gpu)
    });
    gpu.as_ref()
}

/// A device as an application may have made it: WebGPU's default limits and no features.
pub fn smallest_gpu() -> Gpu {
    pollster::block_on(smallest_gpu_async())
}

pub fn gpu_with(features: wgpu::Features, limits: wgpu::Limits) -> Gpu {
    pollster::block_on(gpu_with_async(features, limits))
}

/// The adapter of [`gpu`].
pub fn adapter() -> wgpu::Adapter {
    pollster::block_on(adapter_async())
}

pub async fn adapter_async() -> wgpu::Adapter {
    adapter_within(Default::default()).await
}

async fn adapter_within(thresholds: wgpu::MemoryBudgetThresholds) -> wgpu::Adapter {
    let info = gpu().adapter_info();
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        memory_budget_thresholds: thresholds,
        ..wgpu::InstanceDescriptor::new_without_display_handle_from_env()
    });
    let adapters = instance.enumerate_adapters(info.backend.into()).await;
    adapters
        .into_iter()
        .find(|adapter| adapter.get_info().name == info.name)
        .unwrap()
}

/// A device that may take a percent of the memory that its driver has for the process, or as few more as it works with:
/// a GPU that a test can fill, unless the driver does not say how much that is. It takes memory in the smallest blocks
/// that wgpu has.
pub fn gpu_with_budget() -> Gpu {
    let descriptor = wgpu::DeviceDescriptor {
        required_limits: adapter().limits(),
        memory_hints: wgpu::MemoryHints::Manual {
            suballocated_device_memory_block_size: SMALLEST_BLOCK..SMALLEST_BLOCK + 1,
        },
        ..Default::default()
    };
    let works = |percent| {
        let adapter = pollster::block_on(adapter_within(wgpu::MemoryBudgetThresholds {
            for_resource_creation: Some(percent),
            for_device_loss: None,
        }));
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).ok()?;
        let gpu = Gpu::from_wgpu(device, queue).ok()?;
        let worked = gpu.zeros::<f32>([1 << 22]).and_then(|x| x.selu()?.to_vec());
        worked.is_ok().then_some(gpu)
    };
    (1..100)
        .find_map(works)
        .expect("a device that has memory left")
}

const SMALLEST_BLOCK: u64 = 4 << 20;

/// Whether nothing was written around the tensor of [`wrapped`](super::wrapped).
pub fn guards_hold(gpu: &Gpu, buffer: &wgpu::Buffer) -> bool {
    pollster::block_on(guards_hold_async(gpu, buffer))
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
