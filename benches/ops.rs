//! `cargo bench`: each op beside a plain copy kernel that moves the same bytes, in turns, so that a
//! machine that is busy for a while slows both. Ratios are medians over the turns.

use std::path::Path;
use std::time::{Duration, Instant};

use selfnorm::{Gpu, GpuOptions, Result, Tensor, wgpu};

use common::ops::{OPS, Operands, Yardstick, median, submitted};

mod common {
    pub mod ops;
}

const SIZES: [(usize, &str); 4] = [
    (1 << 10, "1 Ki"),
    (1 << 16, "64 Ki"),
    (1 << 20, "1 Mi"),
    (1 << 24, "16 Mi"),
];
/// One turn of one kernel takes about this long: enough dispatches that submitting does not count.
const TURN_VALUES: usize = 1 << 24;
const TURNS: usize = 15;
/// Recordings of one small op that are timed together.
const SMALL_OPS: usize = 1000;

fn main() -> Result<()> {
    set_up()?;
    let gpu = Gpu::new()?;
    let info = gpu.adapter_info();
    println!("\n{} ({}, {})\n", info.name, info.driver_info, info.backend);
    println!("| op | values | time | GB/s | of copy |\n| --- | --- | --- | --- | --- |");
    for (len, name) in SIZES {
        ops(&gpu, len, name)?;
    }
    small_op(&gpu)
}

/// The time to the first result: of the process, then of the same device again.
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
    let copy = Yardstick::new(gpu, "copy", len);
    // Two inputs and an output are the bytes of a copy of half as many values again.
    let copy3 = Yardstick::new(gpu, "copy", len / 2 * 3);
    let fill = Yardstick::new(gpu, "fill", len);
    // `cargo bench -- selu` measures the ops whose names contain it.
    let wanted = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let wanted = wanted.unwrap_or_default();
    for (op, tensors, record) in OPS.into_iter().filter(|row| row.0.contains(&wanted)) {
        let yardstick = match tensors {
            1 => &fill,
            2 => &copy,
            _ => &copy3,
        };
        let repeats = (TURN_VALUES / len).clamp(1, SMALL_OPS);
        let ours = || {
            submitted(gpu, |encoder| {
                let mut pass = gpu.pass(encoder);
                (0..repeats).try_for_each(|_| record(&operands, &mut pass))
            })
        };
        let theirs = || {
            submitted(gpu, |encoder| {
                yardstick.record(encoder, repeats);
                Ok(())
            })
        };
        let (time, ratio) = compare(ours, theirs)?;
        let time = time / repeats as u32;
        let rate = (len * 4 * tensors) as f64 / time.as_secs_f64() / 1e9;
        let unit = if tensors == 1 { " (of fill)" } else { "" };
        println!("| {op} | {name} | {time:.1?} | {rate:.2} | {ratio:.2}{unit} |");
    }
    Ok(())
}

/// What recording costs: a thousand ops of 1 Ki, against the same dispatches in bare wgpu, with the
/// same shader and a pipeline and a bind group that are there already.
fn small_op(gpu: &Gpu) -> Result<()> {
    let len = 1 << 10;
    let (x, y): (Tensor, Tensor) = (gpu.zeros([len])?, gpu.zeros([len])?);
    if !gpu.device().features().contains(wgpu::Features::IMMEDIATES) {
        println!("\n(no immediates here: small ops are not compared)");
        return Ok(());
    }
    let bare = BareSelu::new(gpu, &x, &y);
    let recorded = |record: &dyn Fn(&mut wgpu::CommandEncoder) -> Result<()>| {
        let start = Instant::now();
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        record(&mut encoder)?;
        drop(encoder.finish());
        Ok(start.elapsed())
    };
    let ours = |encoder: &mut wgpu::CommandEncoder| {
        let mut pass = gpu.pass(encoder);
        (0..SMALL_OPS).try_for_each(|_| pass.selu(&x, &y))
    };
    let theirs = |encoder: &mut wgpu::CommandEncoder| {
        bare.record(encoder, SMALL_OPS);
        Ok(())
    };
    let (time, ratio) = compare(|| recorded(&ours), || recorded(&theirs))?;
    println!(
        "\none small op through Pass: {:.2?} to record, {:.2} x bare wgpu",
        time / SMALL_OPS as u32,
        1.0 / ratio
    );
    Ok(())
}

/// The time of `ours`, and how much of it `theirs` takes: medians, measured in turns.
fn compare(
    ours: impl Fn() -> Result<Duration>,
    theirs: impl Fn() -> Result<Duration>,
) -> Result<(Duration, f64)> {
    // The first turn compiles and touches memory for the first time.
    let turns = (0..TURNS + 1)
        .map(|_| Ok((theirs()?, ours()?)))
        .collect::<Result<Vec<_>>>()?;
    let ratios = turns[1..]
        .iter()
        .map(|(theirs, ours)| theirs.as_secs_f64() / ours.as_secs_f64());
    Ok((
        median(turns[1..].iter().map(|turn| turn.1).collect()),
        median(ratios.collect()),
    ))
}

/// The op's own shader in bare wgpu, on devices with immediates.
struct BareSelu {
    pipeline: wgpu::ComputePipeline,
    tensors: wgpu::BindGroup,
}

impl BareSelu {
    fn new(gpu: &Gpu, x: &Tensor, y: &Tensor) -> Self {
        let device = gpu.device();
        let shaders = selfnorm::wgsl::shaders();
        let shader = shaders
            .iter()
            .find(|shader| shader.name == "selu f32x4 immediates u32")
            .expect("the shader is listed");
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(shader.source.as_str().into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some("selu_forward"),
            compilation_options: Default::default(),
            cache: None,
        });
        let tensors = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[
                wgpu::BindGroupEntry {
                    binding: 0,
                    resource: x.binding(),
                },
                wgpu::BindGroupEntry {
                    binding: 1,
                    resource: y.binding(),
                },
            ],
        });
        Self { pipeline, tensors }
    }

    fn record(&self, encoder: &mut wgpu::CommandEncoder, repeats: usize) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for _ in 0..repeats {
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, &self.tensors, &[]);
            pass.set_immediates(0, bytemuck::cast_slice(&[256u32, 0, 0, 0]));
            pass.dispatch_workgroups(1, 1, 1);
        }
    }
}
