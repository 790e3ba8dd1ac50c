//! `cargo bench --bench training`: a training step of the tutorial's network for MNIST, and its largest
//! product beside the same product in a plain loop.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use selfnorm::nn::{Adam, Dense, Fit, Sequential};
use selfnorm::{Gpu, Result, Tensor, wgpu};

use common::tutorial::{CLASSES, FILTERS, PIXELS, UNITS, tutorial};

mod common {
    pub mod tutorial;
}

const BATCH: usize = 250;
const STEPS: usize = 8;
const TURNS: usize = 5;

const POSITIONS: usize = 26 * 26;
const TAPS: usize = 9;
const FEATURES: usize = POSITIONS * FILTERS;

/// One invocation per sum, one multiplication per iteration of the loop.
const PLAIN: &str = "
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

override ROWS: u32;
override INNER: u32;
override COLUMNS: u32;

@compute @workgroup_size(16, 16)
fn product(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= COLUMNS || id.y >= ROWS) {
        return;
    }
    var sum = 0.0;
    for (var k = 0u; k < INNER; k++) {
        sum += x[id.y * INNER + k] * w[k * COLUMNS + id.x];
    }
    y[id.y * COLUMNS + id.x] = sum;
}
";

fn main() -> Result<()> {
    let gpu = Gpu::new()?;
    let info = gpu.adapter_info();
    println!("\n{} ({}, {})\n", info.name, info.driver_info, info.backend);
    step(&gpu)?;
    product(&gpu)?;
    memory()
}

/// The memory that the device has allocated after a step on as much data as MNIST's, and the sum
/// that explains it.
fn memory() -> Result<()> {
    const SAMPLES: usize = 60_000;
    let gpu = Gpu::new()?;
    let (mut model, data) = tutorial(&gpu, SAMPLES)?;
    let fit = Fit::new(Adam::default())
        .batch_size(BATCH)
        .validation_split(0.2);
    model.fit_with(&data, &fit, |_| Ok(ControlFlow::Break(())))?;
    let Some(report) = gpu.device().generate_allocator_report() else {
        return Ok(());
    };
    let memory = model.memory();
    // Labels, and the order of the samples, are u32.
    let data = SAMPLES * (PIXELS + 2 * size_of::<u32>());
    let parts = [
        ("weights", memory.weights),
        ("gradients and moments", memory.optimizer),
        ("batch, sums and activations", memory.forward),
        ("their gradients, losses", memory.backward),
        ("data set", data as u64),
    ];
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    println!("\nmemory after a step, MB:");
    for (name, bytes) in parts {
        println!("{:8.1} {name}", megabytes(bytes));
    }
    let sum = parts.iter().map(|(_, bytes)| bytes).sum();
    println!("{:8.1} in all", megabytes(sum));
    let staging = report.allocations.iter().filter(|allocation| {
        ["upload", "readback"]
            .iter()
            .any(|what| allocation.name.contains(what))
    });
    println!(
        "{:8.1} allocated by the device, of which {:.1} to upload and read back",
        megabytes(report.total_allocated_bytes),
        megabytes(staging.map(|allocation| allocation.size).sum())
    );
    Ok(())
}

/// Floating-point operations of a step: each layer's forward product, the gradient of its kernel, and,
/// except for the first, of its input.
fn step_operations() -> f64 {
    let convolution = 2 * BATCH * POSITIONS * TAPS * FILTERS;
    let dense = 2 * BATCH * (FEATURES * UNITS + UNITS * CLASSES);
    (2 * convolution + 3 * dense) as f64
}

fn step(gpu: &Gpu) -> Result<()> {
    let (mut model, data) = tutorial(gpu, BATCH * STEPS)?;
    let fit = Fit::new(Adam::default()).batch_size(BATCH);
    let start = Instant::now();
    model.fit(&data, &fit)?;
    println!(
        "first {STEPS} steps, with what is compiled: {:.2?}",
        start.elapsed()
    );
    let times = turns(|| {
        model.fit(&data, &fit)?;
        Ok(())
    })?;
    print(
        "a step of the tutorial's network",
        times,
        STEPS,
        step_operations(),
    );
    Ok(())
}

/// The product of the tutorial's first dense layer.
fn product(gpu: &Gpu) -> Result<()> {
    let operations = (2 * BATCH * FEATURES * UNITS) as f64;
    let values = |len: usize| -> Vec<f32> {
        selfnorm::random::words(2, 0, 0..len as u64)
            .map(|word| (word >> 8) as f32 / 2f32.powi(24) - 0.5)
            .collect()
    };
    let (x, w) = (values(BATCH * FEATURES), values(FEATURES * UNITS));
    let dense = Sequential::new([FEATURES])
        .add(Dense::new(UNITS).use_bias(false).weights(w.clone(), []))
        .build(gpu, 1)?;
    let x: Tensor = gpu.tensor(&x, [BATCH, FEATURES])?;
    let w = gpu.tensor(&w, [FEATURES, UNITS])?;
    let y: Tensor = gpu.zeros([BATCH, UNITS])?;
    let plain = plain(gpu);
    let bindings = [&x, &w, &y];
    let entries: Vec<_> = (0..)
        .zip(bindings)
        .map(|(binding, tensor)| wgpu::BindGroupEntry {
            binding,
            resource: tensor.binding(),
        })
        .collect();
    let group = gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &plain.get_bind_group_layout(0),
        entries: &entries,
    });
    let run_plain = || {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&plain);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(UNITS.div_ceil(16) as u32, BATCH.div_ceil(16) as u32, 1);
        drop(pass);
        gpu.queue().submit([encoder.finish()]);
        gpu.device().poll(wgpu::PollType::wait_indefinitely()).ok();
        Ok(())
    };
    let ours = dense.predict(&x)?.to_vec()?;
    run_plain()?;
    let theirs = y.to_vec()?;
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!((ours - theirs).abs() < 1e-2, "{ours}, not {theirs}");
    }
    let name = format!("{BATCH}×{FEATURES}×{UNITS}");
    let times = turns(|| dense.predict(&x)?.to_vec().map(drop))?;
    print(
        &format!("{name} as a dense layer, with what is copied"),
        times,
        1,
        operations,
    );
    print(
        &format!("{name} in a plain loop"),
        turns(run_plain)?,
        1,
        operations,
    );
    Ok(())
}

fn plain(gpu: &Gpu) -> wgpu::ComputePipeline {
    let device = gpu.device();
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(PLAIN.into()),
    });
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: None,
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &[
                ("ROWS", BATCH as f64),
                ("INNER", FEATURES as f64),
                ("COLUMNS", UNITS as f64),
            ],
            ..Default::default()
        },
        cache: None,
    })
}

/// The times of some turns, the shortest first.
fn turns(mut turn: impl FnMut() -> Result<()>) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for _ in 0..TURNS {
        let start = Instant::now();
        turn()?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times)
}

fn print(what: &str, times: Vec<Duration>, steps: usize, operations: f64) {
    let [shortest, median] = [times[0], times[times.len() / 2]].map(|time| time / steps as u32);
    println!(
        "{what}: {median:.3?}, {:.1} GFLOP/s (best {shortest:.3?}, {:.1} GFLOP/s)",
        operations / median.as_secs_f64() / 1e9,
        operations / shortest.as_secs_f64() / 1e9
    );
}
