//! `cargo bench`: each op beside a plain copy kernel that moves the same bytes, in turns, so that a
//! temporarily busy machine slows both. Ratios are medians over the turns. The first figures are of the host's
//! clock, from the submission to its end, the others of the device's timestamps.
//!
//! `cargo bench --bench ops -- selu` measures the ops whose names contain it. With `--default-features` they
//! are measured on a second device, too, as browsers and applications have it: WebGPU's default limits and no
//! features.

use std::path::Path;
use std::time::{Duration, Instant};

use selfnorm::{Error, Gpu, GpuOptions, Result, Tensor, wgpu};

use common::bare_selu::bare_selu;
use common::clock::{Clock, Time, is_software, median};
use common::dispatch::Dispatch;
use common::ops::{Operands, turn_elements};
use common::yardstick::Yardstick;

mod common {
    pub mod bare_selu;
    pub mod clock;
    pub mod dispatch;
    pub mod ops;
    #[path = "../../tests/common/mod.rs"]
    pub mod tests;
    pub mod yardstick;
}

const SIZES: [(usize, &str); 5] = [
    (1 << 10, "1 Ki"),
    (1 << 16, "64 Ki"),
    (1 << 20, "1 Mi"),
    (1 << 24, "16 Mi"),
    (1 << 28, "256 Mi"),
];
/// The largest for software devices: minutes, and memory, are short there.
const SOFTWARE_ELEMENTS: usize = 1 << 24;
const TURNS: usize = 15;
/// Recordings of one small op that are timed together.
const SMALL_OPS: usize = 1000;
/// Ops on small tensors, each on the result of the one before.
const CHAINED: usize = 100;
/// Round trips of small tensors that are timed together.
const SMALL_REPEATS: usize = 10;

fn main() -> Result<()> {
    set_up()?;
    let gpu = common::clock::gpu()?;
    let info = gpu.adapter_info();
    println!("\n{} ({}, {})", info.name, info.driver_info, info.backend);
    all_sizes(&gpu)?;
    if std::env::args().any(|argument| argument == "--default-features") {
        println!("\nthe same adapter, default limits and no features");
        all_sizes(&common::tests::smallest_gpu())?;
    }
    small_op(&gpu)?;
    small_tensors(&gpu)
}

fn all_sizes(gpu: &Gpu) -> Result<()> {
    println!("\n| op | values | time | GB/s | of copy | on the device | GB/s | of copy |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let most = if is_software(gpu) {
        SOFTWARE_ELEMENTS
    } else {
        usize::MAX
    };
    for (len, name) in SIZES.into_iter().filter(|&(len, _)| len <= most) {
        match ops(gpu, len, name) {
            // A smaller GPU is no failure.
            Err(error @ (Error::TooLarge { .. } | Error::OutOfMemory { .. })) => {
                println!("| – | {name}: {error} |");
            }
            measured => measured?,
        }
    }
    Ok(())
}

/// The time to the process's first result, then to a result on the same device again.
fn set_up() -> Result<()> {
    let first = |gpu: &Gpu| gpu.tensor(&[1.0; 1024], [1024])?.selu()?.to_vec();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pipelines");
    let kept = if dir.exists() { "with" } else { "without" };
    let options = GpuOptions::new().pipeline_cache_dir(dir);
    let start = Instant::now();
    let gpu = pollster::block_on(Gpu::request(&options))?;
    let device = start.elapsed();
    first(&gpu)?;
    let cold = start.elapsed();
    let warm = (0..20)
        .map(|_| {
            let start = Instant::now();
            first(&gpu)?;
            Ok(start.elapsed())
        })
        .collect::<Result<Vec<_>>>()?;
    println!(
        "first result, {kept} the pipelines of an earlier run: {:.1?} after the start, {:.1?} of it for the \
         device; again: {:.1?}",
        cold,
        device,
        median(warm)
    );
    Ok(())
}

fn ops(gpu: &Gpu, len: usize, name: &str) -> Result<()> {
    let operands = Operands::new(gpu, len)?;
    // Two inputs and an output move as many bytes as a copy of half as many values again.
    let most = len / 2 * 3;
    let (from, to): (Tensor, Tensor) = (gpu.zeros([most])?, gpu.zeros([most])?);
    let yardstick = |entry_point, len| {
        let ranges = [&from, &to].map(|tensor| {
            let all = tensor.slice();
            all.slice(..len as u64 * 4)
        });
        Yardstick::on(gpu, entry_point, ranges)
    };
    let (copy, copy3, fill) = (
        yardstick("copy", len),
        yardstick("copy", most),
        yardstick("fill", len),
    );
    let clock = Clock::new(gpu);
    let wanted = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let wanted = wanted.unwrap_or_default();
    for op in common::ops::ops().filter(|op| op.name.contains(&wanted)) {
        let tensors = op.arguments(false).len();
        let yardstick = match tensors {
            1 => &fill,
            2 => &copy,
            _ => &copy3,
        };
        let repeats = (turn_elements(gpu) / len).clamp(1, SMALL_OPS);
        let ours = || {
            clock.time(|encoder| {
                let mut pass = gpu.pass(encoder);
                (0..repeats).try_for_each(|_| operands.record(op, &mut pass))
            })
        };
        let theirs = || {
            clock.time(|encoder| {
                yardstick.record(encoder, repeats);
                Ok(())
            })
        };
        let (time, [host, device]) = compare(ours, theirs)?;
        let time = time / repeats;
        let unit = if tensors == 1 { " (of fill)" } else { "" };
        let cells = |time: Duration, ratio: f64| {
            let rate = (len * 4 * tensors) as f64 / time.as_secs_f64() / 1e9;
            format!("{time:.1?} | {rate:.2} | {ratio:.2}{unit}")
        };
        let on_device = time.device.map(|time| cells(time, device));
        println!(
            "| {} | {name} | {} | {} |",
            op.name,
            cells(time.host, host),
            on_device.unwrap_or_else(|| "– | – | –".into())
        );
    }
    Ok(())
}

/// The cost of recording: a thousand ops of 1 Ki, against the same dispatches in bare wgpu, with
/// the same shader and with a pipeline and a bind group made before.
fn small_op(gpu: &Gpu) -> Result<()> {
    let len = 1 << 10;
    let (x, y): (Tensor, Tensor) = (gpu.zeros([len])?, gpu.zeros([len])?);
    if !gpu.device().features().contains(wgpu::Features::IMMEDIATES) {
        println!("\n(no immediates here: small ops are not compared)");
        return Ok(());
    }
    let bare = bare_selu(gpu, &x, &y);
    let recorded = |record: &dyn Fn(&mut wgpu::CommandEncoder) -> Result<()>| {
        let start = Instant::now();
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        record(&mut encoder)?;
        drop(encoder.finish());
        Ok(start.elapsed().into())
    };
    let ours = |encoder: &mut wgpu::CommandEncoder| {
        let mut pass = gpu.pass(encoder);
        (0..SMALL_OPS).try_for_each(|_| pass.selu(&x, &y))
    };
    let theirs = |encoder: &mut wgpu::CommandEncoder| {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        (0..SMALL_OPS).for_each(|_| bare.record(&mut pass));
        Ok(())
    };
    let (time, [ratio, _]) = compare(|| recorded(&ours), || recorded(&theirs))?;
    println!(
        "\none small op through Pass: {:.2?} to record, {:.2} x bare wgpu",
        (time / SMALL_OPS).host,
        1.0 / ratio
    );
    Ok(())
}

/// The cost of ops on tensors so small that only calls and submissions matter, against the same
/// dispatches in bare wgpu, in one submission and with everything made before.
fn small_tensors(gpu: &Gpu) -> Result<()> {
    let len = 1 << 10;
    let data = vec![-1.0f32; len];
    let x = gpu.tensor(&data, [len])?;
    let chain = || {
        let y = (1..CHAINED).try_fold(x.selu()?, |y, _| y.selu())?;
        y.to_vec()
    };
    let upload_to_read = || gpu.tensor(&data, [len])?.selu()?.to_vec();
    if !gpu.device().features().contains(wgpu::Features::IMMEDIATES) {
        return Ok(());
    }
    let bare = BareRoundTrip::new(gpu, len)?;
    type Calls<'a> = &'a dyn Fn() -> Result<Vec<f32>>;
    let rows: [(_, Calls, _); 2] = [
        ("100 chained SELUs of 1 Ki, then read", &chain, CHAINED),
        ("SELU of 1 Ki, upload to read", &upload_to_read, 1),
    ];
    for (name, calls, repeats) in rows {
        assert!(calls()? == bare.run(&data, repeats), "{name}");
        let timed = |calls: Calls| {
            let start = Instant::now();
            (0..SMALL_REPEATS).try_for_each(|_| calls().map(drop))?;
            Ok(start.elapsed().into())
        };
        let (time, [ratio, _]) =
            compare(|| timed(calls), || timed(&|| Ok(bare.run(&data, repeats))))?;
        println!(
            "{name}: {:.1?}, {:.2} x bare wgpu",
            (time / SMALL_REPEATS).host,
            1.0 / ratio
        );
    }
    Ok(())
}

/// The time of `ours`, and the fraction of it that `theirs` takes, on the host and on the device: medians,
/// measured in turns.
fn compare(
    ours: impl Fn() -> Result<Time>,
    theirs: impl Fn() -> Result<Time>,
) -> Result<(Time, [f64; 2])> {
    // The first turn compiles and touches memory for the first time.
    let turns = (0..TURNS + 1)
        .map(|_| Ok((theirs()?, ours()?)))
        .collect::<Result<Vec<_>>>()?;
    let turns = &turns[1..];
    let ratio = |of: fn(&Time) -> Duration| {
        let ratios = turns
            .iter()
            .map(|(theirs, ours)| of(theirs).div_duration_f64(of(ours)));
        median(ratios)
    };
    let ours: Vec<_> = turns.iter().map(|turn| turn.1).collect();
    Ok((
        Time::median(&ours),
        [ratio(|time| time.host), ratio(|time| time.best())],
    ))
}

/// Upload, SELUs and readback in bare wgpu.
struct BareRoundTrip<'a> {
    gpu: &'a Gpu,
    tensors: [Tensor; 2],
    selu: [Dispatch; 2],
    staging: wgpu::Buffer,
}

impl<'a> BareRoundTrip<'a> {
    fn new(gpu: &'a Gpu, len: usize) -> Result<Self> {
        let tensors: [Tensor; 2] = [gpu.zeros([len])?, gpu.zeros([len])?];
        let [x, y] = &tensors;
        Ok(Self {
            gpu,
            selu: [bare_selu(gpu, x, y), bare_selu(gpu, y, x)],
            staging: gpu.device().create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: len as u64 * 4,
                usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
                mapped_at_creation: false,
            }),
            tensors,
        })
    }

    fn run(&self, data: &[f32], repeats: usize) -> Vec<f32> {
        let (device, queue) = (self.gpu.device(), self.gpu.queue());
        let x = self.tensors[0].slice();
        queue.write_buffer(x.buffer(), 0, bytemuck::cast_slice(data));
        let mut encoder = device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for i in 0..repeats {
            self.selu[i % 2].record(&mut pass);
        }
        drop(pass);
        let y = self.tensors[repeats % 2].slice();
        encoder.copy_buffer_to_buffer(y.buffer(), 0, &self.staging, 0, y.size());
        queue.submit([encoder.finish()]);
        self.staging
            .map_async(wgpu::MapMode::Read, .., |result| result.expect("mapped"));
        device
            .poll(wgpu::PollType::wait_indefinitely())
            .expect("the device works");
        let values =
            bytemuck::cast_slice(&self.staging.get_mapped_range(..).expect("mapped")).to_vec();
        self.staging.unmap();
        values
    }
}
