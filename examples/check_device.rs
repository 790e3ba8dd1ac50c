//! Checks the error bounds of the operations and the checksums of masks and weights on this
//! machine's adapters, and prints a table to paste into a bug report.
//!
//! `cargo run --release --example check_device`, with ` -- --every-float` for all 2³² inputs of each
//! function (minutes) instead of every 1021st. Exits with 1 if a check fails. `WGPU_ADAPTER_NAME` and
//! `WGPU_BACKEND` narrow the adapters.

use std::process::ExitCode;

use half::f16;
use selfnorm::nn::{Activation, Adam, Conv2d, Dense, Flatten, Loss, Sequential, Tiling};
use selfnorm::{AlphaDropout, Error, Gpu, Result, Tensor, wgpu};

use common::every_float;
use common::ops::{Op, Parameter, Reference};
use common::same_bits::STRETCHES;
use common::value::Value;

#[path = "../tests/common/mod.rs"]
mod common;

fn main() -> ExitCode {
    let step = if std::env::args().any(|argument| argument == "--every-float") {
        1
    } else {
        1021
    };
    let wanted = std::env::var("WGPU_ADAPTER_NAME").unwrap_or_default();
    let instance =
        wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapters: Vec<_> = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()))
        .into_iter()
        .filter(|adapter| {
            let name = adapter.get_info().name.to_lowercase();
            let downlevel = adapter.get_downlevel_capabilities().flags;
            name.contains(&wanted.to_lowercase())
                && downlevel.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
        })
        .collect();
    if adapters.is_empty() {
        eprintln!("{}", Error::NoAdapter);
        return ExitCode::FAILURE;
    }
    let mut sound = true;
    for adapter in adapters {
        let info = adapter.get_info();
        println!(
            "### {}\n\nselfnorm {}, {}-{}; {} {} {}, {:?}, {:#06x}:{:#06x}  ",
            info.name,
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH,
            info.backend,
            info.driver,
            info.driver_info,
            info.device_type,
            info.vendor,
            info.device,
        );
        sound &= match device(&adapter).and_then(|gpu| check(&gpu, step)) {
            Ok(sound) => sound,
            Err(Error::UnsupportedDevice(why)) => {
                println!("\nnot supported: {why}");
                true
            }
            Err(error) => {
                println!("\n**{error}**");
                false
            }
        };
        println!();
    }
    if sound {
        ExitCode::SUCCESS
    } else {
        println!("Please report this, with the tables, as an issue.");
        ExitCode::FAILURE
    }
}

/// A device as [`Gpu::request`] makes it.
fn device(adapter: &wgpu::Adapter) -> Result<Gpu> {
    let wanted =
        wgpu::Features::SHADER_F16 | wgpu::Features::SHADER_INT64 | wgpu::Features::IMMEDIATES;
    let descriptor = wgpu::DeviceDescriptor {
        required_features: adapter.features() & wanted,
        required_limits: adapter.limits(),
        ..Default::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
        .map_err(|error| Error::UnsupportedDevice(error.to_string()))?;
    Gpu::from_wgpu(device, queue)
}

/// Prints the lines of a table, and tracks whether every check holds.
struct Table(bool);

impl Table {
    fn row(&mut self, check: &str, found: String, bound: &str, holds: bool) {
        self.0 &= holds;
        let verdict = if holds { "ok" } else { "**fails**" };
        // A bar would end the cell.
        let [check, found, bound] = [check, &found, bound].map(|cell| cell.replace('|', r"\|"));
        println!("| {check} | {found} | {bound} | {verdict} |");
    }
}

fn check(gpu: &Gpu, step: usize) -> Result<bool> {
    println!("{}\n", properties(gpu));
    println!("| check | found | must be | |\n| --- | --- | --- | --- |");
    let mut table = Table(true);
    activations(gpu, step, &mut table)?;
    half_precision(gpu, &mut table)?;
    dropout(gpu, &mut table)?;
    for stretch in &STRETCHES {
        let found = pollster::block_on(stretch.checksum_on(gpu))?;
        table.row(
            &format!("2²⁶ elements of {}", stretch.name),
            format!("{found:#010x}"),
            &format!("{:#010x}", stretch.checksum),
            found == stretch.checksum,
        );
    }
    training(gpu, &mut table)?;
    Ok(table.0)
}

/// How the device computes, as far as it affects the bounds.
fn properties(gpu: &Gpu) -> String {
    // In one kernel, so that the values are not known when it is compiled.
    let source = "
        @group(0) @binding(0) var<storage, read_write> x: array<f32>;
        @compute @workgroup_size(1)
        fn main() {
            x[0] = x[1] * x[2] + x[3];
            x[4] = x[5] * x[6];
            x[7] = x[8] * x[9];
        }";
    let epsilon = f32::EPSILON;
    let values = [
        // (1 + ε)(1 − ε) − 1 is −ε², if the product is not rounded before the sum.
        0.0,
        1.0 + epsilon,
        1.0 - epsilon,
        -1.0,
        // A subnormal result, and a subnormal input.
        0.0,
        f32::MIN_POSITIVE,
        0.5,
        0.0,
        f32::MIN_POSITIVE / 2.0,
        4.0,
    ];
    let device = gpu.device();
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: Default::default(),
        cache: None,
    });
    let usage =
        wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let buffer = common::foreign_buffer(gpu, 4 * values.len() as u64, usage);
    gpu.queue()
        .write_buffer(&buffer, 0, bytemuck::cast_slice(&values));
    let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry {
            binding: 0,
            resource: buffer.as_entire_binding(),
        }],
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(&pipeline);
    pass.set_bind_group(0, &bind_group, &[]);
    pass.dispatch_workgroups(1, 1, 1);
    drop(pass);
    gpu.queue().submit([encoder.finish()]);
    let results: Result<Vec<f32>> = gpu
        .wrap(buffer.slice(..), [values.len()])
        .and_then(|x: Tensor| x.to_vec());
    let features = device.features();
    match results {
        Ok(x) => format!(
            "multiply and add {}; subnormal results {}, subnormal inputs {}; f16: {}, 64-bit integers: {}, \
             immediates: {}",
            if x[0] == 0.0 { "not fused" } else { "fused" },
            if x[4] == 0.0 { "flushed" } else { "kept" },
            if x[7] == 0.0 { "flushed" } else { "kept" },
            features.contains(wgpu::Features::SHADER_F16),
            features.contains(wgpu::Features::SHADER_INT64),
            features.contains(wgpu::Features::IMMEDIATES),
        ),
        Err(error) => error.to_string(),
    }
}

fn activations(gpu: &Gpu, step: usize, table: &mut Table) -> Result<()> {
    let inputs = match step {
        1 => "all 2³² floats".into(),
        _ => format!("{} floats", (1u64 << 32).div_ceil(step as u64)),
    };
    for op in Op::<f32>::ALL {
        let Some(gradient) = op.gradient() else {
            continue;
        };
        let p = &op.parameters[0];
        let worst = every_float::sweep(gpu, op, p, step)?;
        for (op, (ulps, at)) in [op, gradient].into_iter().zip(worst) {
            let (_, bound) = op.real();
            table.row(
                &format!("{}, {inputs}", op.title(p)),
                format!("{ulps:.3} ulp at {at:e}"),
                &match bound.floor {
                    0.0 => format!("≤ {} ulp", bound.ulps),
                    floor => format!("≤ {} ulp, of {floor} at least", bound.ulps),
                },
                ulps <= bound.ulps,
            );
        }
    }
    Ok(())
}

/// Every f16 must give the f32 result, rounded to f16.
fn half_precision(gpu: &Gpu, table: &mut Table) -> Result<()> {
    if !gpu.supports_f16() {
        return Ok(());
    }
    let x: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    let single: Vec<f32> = x.iter().map(|x| x.to_f32()).collect();
    for (op, op_of_half) in Op::ALL.iter().zip(Op::ALL) {
        if !matches!(op.reference, Reference::Value(..) | Reference::Gradient(..)) {
            continue;
        }
        let p = &op.parameters[0];
        let (half, single) = (
            of_itself(gpu, op_of_half, &x, p)?,
            of_itself(gpu, op, &single, p)?,
        );
        let differ = half
            .iter()
            .zip(single)
            .filter(|(half, single)| !common::is_rounded(**half, *single))
            .count();
        table.row(
            &format!("{} of all 2¹⁶ f16", op.title(p)),
            format!("{differ} are not the f32 result, rounded"),
            "0",
            differ == 0,
        );
    }
    Ok(())
}

/// Of values that are the gradient, too, if there is one.
fn of_itself<T: Value>(gpu: &Gpu, op: &Op<T>, x: &[T], p: &Parameter) -> Result<Vec<T>> {
    let x = gpu.tensor(x, [x.len()])?;
    op.apply(gpu, x.shape(), &[&x, &x][..op.inputs.len()], p)?
        .to_vec()
}

/// The larger of `worst` and the error as a multiple of `unit`. A NaN counts as the worst.
fn worse(worst: f64, error: f64, unit: f64) -> f64 {
    match error.abs() / unit {
        _ if error == 0.0 => worst,
        ratio if ratio.is_nan() => f64::INFINITY,
        ratio => worst.max(ratio),
    }
}

/// Each element must be within its rounding error of the definition, with the host's mask.
fn dropout(gpu: &Gpu, table: &mut Table) -> Result<()> {
    let x = common::activations(1 << 20);
    let tensor = gpu.tensor(&x, [x.len()])?;
    let limit = -common::SCALE * common::ALPHA;
    let epsilon = f64::from(f32::EPSILON);
    let (mut forward, mut backward) = (0f64, 0f64);
    for rate in [0.05, 0.5, 0.9] {
        let p = AlphaDropout::new(rate).seed(1);
        let (a, b) = p.coefficients()?;
        let (y, dx) = (
            tensor.alpha_dropout(&p)?,
            tensor.alpha_dropout_backward(&p)?,
        );
        let results = y.to_vec()?.into_iter().zip(dx.to_vec()?);
        for ((&x, kept), (y, dx)) in x.iter().zip(p.mask([x.len()])?).zip(results) {
            let ax = a * if kept { f64::from(x) } else { limit };
            let slope = if kept { a * f64::from(x) } else { 0.0 };
            let x = f64::from(x);
            forward = worse(
                forward,
                f64::from(y) - ax - b,
                epsilon * (ax.abs() + b.abs()),
            );
            backward = worse(backward, f64::from(dx) - slope, epsilon * (a * x).abs());
        }
    }
    for (name, error, bound, unit) in [
        ("alpha_dropout", forward, 1.5, "(|a x| + |b|)"),
        ("alpha_dropout_backward", backward, 1.0, "|a dy|"),
    ] {
        table.row(
            &format!("{name} of 2²⁰ activations"),
            format!("{error:.2} · 2⁻²³ {unit}"),
            &format!("≤ {bound} · 2⁻²³ {unit}"),
            error <= bound,
        );
    }
    Ok(())
}

/// Convolution, dense layers, their gradients and Adam: ten steps against Keras's in float64, and
/// the same bits twice.
fn training(gpu: &Gpu, table: &mut Table) -> Result<()> {
    let file = common::golden("train_selu_cnn");
    let tensor = |name: &str| gpu.tensor(&file.f32(name), file.shape(name));
    for tiling in [Tiling::Registers, Tiling::Workgroup] {
        let train = || {
            let mut model = Sequential::new([8, 8, 1])
                .add(Conv2d::new(4, [3, 3]).activation(Activation::Selu))
                .add(Flatten::new())
                .add(Dense::new(16).activation(Activation::Selu))
                .add(Dense::new(10).activation(Activation::Softmax))
                .tiling(tiling)
                .build(gpu, 1)?;
            model.compile(Adam::default(), Loss::CategoricalCrossentropy)?;
            let mut weights = model.weights()?;
            for (i, (_, weight)) in weights.iter_mut().enumerate() {
                *weight = tensor(&format!("init.{i}"))?;
            }
            model.set_weights(&weights)?;
            let part = |name: &str, i: usize| {
                let (values, shape) = (file.f32(name), file.shape(name));
                let len = values.len() / shape[0];
                gpu.tensor(&values[i * len..(i + 1) * len], &shape[1..])
            };
            (0..file.shape("losses")[0])
                .map(|i| Ok(model.train_on_batch(&part("x", i)?, &part("y", i)?)?.loss))
                .collect::<Result<Vec<f64>>>()
        };
        let losses = train()?;
        let errors = losses
            .iter()
            .zip(file.f64("losses"))
            .map(|(loss, expected)| (loss - expected).abs() / expected);
        let worst = errors.fold(0.0, f64::max);
        let again = train()? == losses;
        table.row(
            &format!("losses of ten steps of training, {tiling:?}"),
            format!(
                "within {worst:.1e}, {}",
                if again {
                    "the same again"
                } else {
                    "others again"
                }
            ),
            "within 1e-5, the same again",
            worst <= 1e-5 && again,
        );
    }
    Ok(())
}
