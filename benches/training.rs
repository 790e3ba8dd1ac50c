//! `cargo bench --bench training`: a training step of the digits' network and of the tutorial's for MNIST,
//! the guard's part in the latter, the same recorded, both with and without a penalty of their kernels, the same
//! from the host's batches, its largest product and others beside it in a plain loop, and the inference of a small
//! network. Times are of the host's clock, from a call to its end, and of the device's timestamps where it says so.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use selfnorm::nn::{
    Activation, Adam, Batch, Batches, Dataset, Dense, Fit, Initializer, Loss, Precision,
    Regularizer, Samples, Sequential,
};
use selfnorm::wgpu::util::DeviceExt;
use selfnorm::{Gpu, Result, Tensor, wgpu, wgsl};

use common::clock::{Clock, Time, is_software, wait};
use common::dispatch::Dispatch;
use common::networks::{CLASSES, DIGITS, FILTERS, Network, TAPS, TUTORIAL};

mod common {
    pub mod clock;
    pub mod dispatch;
    pub mod networks;
}

const BATCH: usize = TUTORIAL.batch;
const STEPS: usize = 8;
const TURNS: usize = 5;
/// A GPU raises its clock under load, and takes its time. A software device's minutes are short, and its clock is the
/// processor's, which nothing else leaves idle.
const STEADY: Duration = Duration::from_secs(3);

const PIXELS: usize = TUTORIAL.pixels();
const FEATURES: usize = TUTORIAL.features();
const UNITS: usize = TUTORIAL.units;

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
    let gpu = common::clock::gpu()?;
    let info = gpu.adapter_info();
    println!("\n{} ({}, {})\n", info.name, info.driver_info, info.backend);
    small_step(&gpu)?;
    step(&gpu)?;
    recorded_step(&gpu, Precision::F32)?;
    f16_step(&gpu)?;
    penalty(&gpu, "digits'", &DIGITS)?;
    penalty(&gpu, "tutorial's", &TUTORIAL)?;
    stream(&gpu)?;
    product(&gpu)?;
    products(&gpu, Precision::F32)?;
    if gpu.supports_f16() {
        products(&gpu, Precision::F16)?;
    }
    inference(&gpu)?;
    memory()
}

/// The memory that the device has allocated after a step on as much data as MNIST's, and the sum
/// that explains it.
fn memory() -> Result<()> {
    const SAMPLES: usize = 60_000;
    let gpu = Gpu::new()?;
    let (mut model, data) = TUTORIAL.with_samples(&gpu, SAMPLES)?;
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

/// The network, its data, and how it is trained, after its first steps.
fn trained(gpu: &Gpu, network: &Network) -> Result<(Sequential, Dataset, Fit<'static>)> {
    let (mut model, data) = network.with_samples(gpu, network.batch * STEPS)?;
    let fit = Fit::new(Adam::default()).batch_size(network.batch);
    let start = Instant::now();
    model.fit(&data, &fit)?;
    println!(
        "first {STEPS} steps, with what is compiled: {:.2?}",
        start.elapsed()
    );
    Ok((model, data, fit))
}

fn small_step(gpu: &Gpu) -> Result<()> {
    let (mut model, data, fit) = trained(gpu, &DIGITS)?;
    let times = turns(TURNS, || model.fit(&data, &fit).map(drop))?;
    let operations = DIGITS.step_operations();
    print(
        "a step of the digits' network",
        &timed(times),
        STEPS,
        operations,
    );
    Ok(())
}

fn step(gpu: &Gpu) -> Result<()> {
    let (mut model, data, fit) = trained(gpu, &TUTORIAL)?;
    let guard = Guard::new(gpu);
    let (mut times, mut guarded) = (Vec::new(), Vec::new());
    let steady = if is_software(gpu) {
        Duration::ZERO
    } else {
        STEADY
    };
    let start = Instant::now();
    while times.len() < TURNS || start.elapsed() < steady {
        times.extend(turns(1, || model.fit(&data, &fit).map(drop))?);
        guarded.extend(turns(1, || {
            guard.run();
            Ok(())
        })?);
    }
    if !steady.is_zero() {
        // The later half.
        times.drain(..times.len() / 2);
        guarded.drain(..guarded.len() / 2);
    }
    times.sort();
    guarded.sort();
    let part = |i: usize| {
        let step = times[i].as_secs_f64() / STEPS as f64;
        100.0 * guarded[i].as_secs_f64() / GUARDS as f64 / step
    };
    let middle = times.len() / 2;
    println!(
        "the guard: {:.3?}, {:.2} % of a step (best {:.3?}, {:.2} %)",
        guarded[middle] / GUARDS as u32,
        part(middle),
        guarded[0] / GUARDS as u32,
        part(0)
    );
    print(
        "a step of the tutorial's network",
        &timed(times),
        STEPS,
        TUTORIAL.step_operations(),
    );
    Ok(())
}

/// Steps in an encoder: without the shuffle of a data set, and without a wait in between, so that what the device
/// takes is known by itself.
fn recorded_step(gpu: &Gpu, precision: Precision) -> Result<()> {
    let network = TUTORIAL.builder(Regularizer::L2(0.0));
    let mut model = network.precision(precision).build(gpu, 1)?;
    model.compile(Adam::default(), Loss::CategoricalCrossentropy)?;
    let (pixels, labels) = TUTORIAL.samples(BATCH);
    let x: Vec<_> = pixels.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let mut y = vec![0.0; BATCH * CLASSES];
    for (row, label) in labels.iter().enumerate() {
        y[row * CLASSES + *label as usize] = 1.0;
    }
    let x = gpu.tensor(&x, [BATCH, TUTORIAL.side, TUTORIAL.side, 1])?;
    let y = gpu.tensor(&y, [BATCH, CLASSES])?;
    let times = clocked(gpu, TURNS + 1, |encoder| {
        let mut pass = gpu.pass(encoder);
        (0..STEPS).try_for_each(|_| pass.train_on_batch(&mut model, &x, &y))
    })?;
    let name = format!(
        "a recorded step of the tutorial's network{}",
        label(precision)
    );
    print(&name, &times[1..], STEPS, TUTORIAL.step_operations());
    Ok(())
}

/// Steps with products of 16-bit floats, which take software devices several times as long.
fn f16_step(gpu: &Gpu) -> Result<()> {
    if is_software(gpu) || !gpu.supports_f16() {
        return Ok(());
    }
    match gpu.cooperative_matrices() {
        Some(side) => println!("f16 is by cooperative matrices of {side} × {side}"),
        None => println!("f16 is without cooperative matrices"),
    }
    let (_, data) = TUTORIAL.with_samples(gpu, BATCH * STEPS)?;
    let network = TUTORIAL.builder(Regularizer::L2(0.0));
    let mut model = network.precision(Precision::F16).build(gpu, 1)?;
    let fit = Fit::new(Adam::default()).batch_size(BATCH);
    let times = turns(TURNS + 1, || model.fit(&data, &fit).map(drop))?;
    let name = format!("a step of the tutorial's network{}", label(Precision::F16));
    print(&name, &timed(times), STEPS, TUTORIAL.step_operations());
    recorded_step(gpu, Precision::F16)
}

fn label(precision: Precision) -> &'static str {
    match precision {
        Precision::F16 => " in f16",
        _ => "",
    }
}

/// Steps of a network with a penalty of all its kernels, beside those without, in turns.
fn penalty(gpu: &Gpu, name: &str, network: &Network) -> Result<()> {
    let (mut plain, data) = network.with_samples(gpu, network.batch * STEPS)?;
    let mut regularized = network.builder(Regularizer::L2(1e-4)).build(gpu, 1)?;
    let fit = Fit::new(Adam::default()).batch_size(network.batch);
    let (mut times, mut others) = (Vec::new(), Vec::new());
    for _ in 0..4 * TURNS {
        times.extend(turns(1, || plain.fit(&data, &fit).map(drop))?);
        others.extend(turns(1, || regularized.fit(&data, &fit).map(drop))?);
    }
    times.sort();
    others.sort();
    let ratio = |i: usize| others[i].as_secs_f64() / times[i].as_secs_f64();
    println!(
        "a step of the {name} network with L2: {:.3} of one without, {:.3?} more (best {:.3})",
        ratio(2 * TURNS),
        others[2 * TURNS].saturating_sub(times[2 * TURNS]) / STEPS as u32,
        ratio(0)
    );
    Ok(())
}

/// The samples of the tutorial as batches from the host.
struct Host {
    pixels: Vec<u8>,
    labels: Vec<u32>,
    next: usize,
}

impl Batches for Host {
    fn samples(&self) -> Samples {
        Samples::bytes([28, 28, 1])
    }

    fn start(&mut self, _: u64) -> Result<()> {
        self.next = 0;
        Ok(())
    }

    fn next_batch(&mut self) -> Result<Option<Batch<'_>>> {
        let first = self.next * BATCH;
        self.next += 1;
        let Some(labels) = self.labels.get(first..first + BATCH) else {
            return Ok(None);
        };
        let pixels = &self.pixels[first * PIXELS..][..BATCH * PIXELS];
        Batch::bytes(pixels).classes(labels).map(Some)
    }
}

/// Steps from batches of the host, beside those from a data set on the GPU, in turns.
fn stream(gpu: &Gpu) -> Result<()> {
    let (mut resident, data) = TUTORIAL.with_samples(gpu, BATCH * STEPS)?;
    let mut streamed = TUTORIAL.build(gpu)?;
    let (pixels, labels) = TUTORIAL.samples(BATCH * STEPS);
    let mut host = Host {
        pixels,
        labels,
        next: 0,
    };
    let fit = Fit::new(Adam::default()).batch_size(BATCH).shuffle(false);
    let (first, second) = (resident.fit(&data, &fit)?, streamed.fit(&mut host, &fit)?);
    assert_eq!(first, second, "both are the same training");
    let (mut times, mut others) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        times.extend(turns(1, || resident.fit(&data, &fit).map(drop))?);
        others.extend(turns(1, || streamed.fit(&mut host, &fit).map(drop))?);
    }
    times.sort();
    others.sort();
    let ratio = |i: usize| others[i].as_secs_f64() / times[i].as_secs_f64();
    println!(
        "a step from the host's batches: {:.3} of one from the GPU's (best {:.3})",
        ratio(TURNS / 2),
        ratio(0)
    );
    Ok(())
}

/// How often the guard runs in a turn.
const GUARDS: usize = 50;

/// What a step does to find out whether it is finite: the norm of the tutorial's gradients, and the verdict.
struct Guard<'a> {
    gpu: &'a Gpu,
    /// Each with its bind groups, and its workgroups.
    kernels: Vec<(wgpu::ComputePipeline, Vec<wgpu::BindGroup>, u32)>,
}

impl<'a> Guard<'a> {
    fn new(gpu: &'a Gpu) -> Self {
        // As the crate cuts gradients: pieces of 2¹⁴ values, over variables that follow each other, as all of
        // the tutorial's do.
        const PIECE: u32 = 1 << 14;
        let layers = [(TAPS, FILTERS), (FEATURES, UNITS), (UNITS, CLASSES)];
        let end = layers.map(|(fan_in, units)| (fan_in + 1) * units);
        let end = end.iter().sum::<usize>() as u32;
        let pieces: Vec<[u32; 4]> = (0..end)
            .step_by(PIECE as usize)
            .map(|first| [first, end.min(first + PIECE), 0, 0])
            .collect();
        let device = gpu.device();

        let buffer = |contents: &[u32], usage| {
            device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: None,
                contents: bytemuck::cast_slice(contents),
                usage,
            })
        };
        let storage = |contents: &[u32]| buffer(contents, wgpu::BufferUsages::STORAGE);
        let gradients: Vec<_> = (0..end.next_multiple_of(64))
            .map(|i| (i as f32 * 1e-7).to_bits())
            .collect();
        let count = pieces.len() as u32;
        let (gradients, norms) = (storage(&gradients), storage(&vec![0; pieces.len()]));
        let (pieces, variables) = (storage(pieces.as_flattened()), storage(&[0; 4]));
        let (totals, state) = (storage(&[1.0f32.to_bits(); 8]), storage(&[0; 12]));
        let step = buffer(&[0; 16], wgpu::BufferUsages::UNIFORM);
        let most = f32::MAX.to_bits();
        let kernel = |name: &str, params: &[u32], tensors: &[&wgpu::Buffer], groups: u32| {
            let params = buffer(params, wgpu::BufferUsages::UNIFORM);
            let shader = wgsl::shaders()
                .into_iter()
                .find(|shader| shader.name == format!("{name} f32x4 uniform"))
                .expect("it is listed");
            let pipeline = Dispatch::pipeline(gpu, &shader.source, name);
            let group = |(index, buffers): (u32, &[&wgpu::Buffer])| {
                let entries: Vec<_> = (0..)
                    .zip(buffers)
                    .map(|(binding, buffer)| wgpu::BindGroupEntry {
                        binding,
                        resource: buffer.as_entire_binding(),
                    })
                    .collect();
                device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: None,
                    layout: &pipeline.get_bind_group_layout(index),
                    entries: &entries,
                })
            };
            let mut bound: Vec<(u32, &[&wgpu::Buffer])> = vec![(0, tensors)];
            let (params, step) = ([&params], [&step]);
            bound.push((1, &params));
            if name == "judge" {
                bound.push((2, &step));
            }
            let groups_bound = bound.into_iter().map(group).collect();
            (pipeline, groups_bound, groups)
        };
        let kernels = vec![
            kernel(
                "gradient_norm",
                &[count, 0, 0, 0],
                &[&gradients, &pieces, &norms],
                count,
            ),
            kernel(
                "judge",
                &[count, 0, most, most, 0, 0, 0, 0],
                &[&norms, &variables, &totals, &state],
                1,
            ),
        ];
        Self { gpu, kernels }
    }

    fn run(&self) {
        let mut encoder = self
            .gpu
            .device()
            .create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for _ in 0..GUARDS {
            for (pipeline, groups, workgroups) in &self.kernels {
                pass.set_pipeline(pipeline);
                for (index, group) in (0..).zip(groups) {
                    pass.set_bind_group(index, group, &[]);
                }
                pass.dispatch_workgroups(*workgroups, 1, 1);
            }
        }
        drop(pass);
        self.gpu.queue().submit([encoder.finish()]);
        wait(self.gpu);
    }
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
    let run_plain = |encoder: &mut wgpu::CommandEncoder| {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&plain);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(UNITS.div_ceil(16) as u32, BATCH.div_ceil(16) as u32, 1);
        Ok(())
    };
    let ours = dense.predict(&x)?.to_vec()?;
    let times = clocked(gpu, TURNS, run_plain)?;
    let theirs = y.to_vec()?;
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!((ours - theirs).abs() < 1e-2, "{ours}, not {theirs}");
    }
    let name = format!("{BATCH}×{FEATURES}×{UNITS} in a plain loop");
    print(&name, &times, 1, operations);
    Ok(())
}

/// Products of a dense layer, many in one submission: what the device takes for one.
fn products(gpu: &Gpu, precision: Precision) -> Result<()> {
    const ALL: [[usize; 3]; 3] = [[256, 4096, 256], [BATCH, FEATURES, UNITS], [4096; 3]];
    let (count, repeats) = match (is_software(gpu), precision) {
        (false, _) => (3, 20),
        (true, Precision::F32) => (2, 1),
        (true, _) => (1, 1),
    };
    for &[rows, inner, columns] in &ALL[..count] {
        let dense = Sequential::new([inner])
            .add(Dense::new(columns).use_bias(false))
            .precision(precision)
            .build(gpu, 1)?;
        let x: Tensor = gpu.lecun_normal([rows, inner], 1)?;
        let y: Tensor = gpu.zeros([rows, columns])?;
        let times = clocked(gpu, TURNS + 1, |encoder| {
            let mut pass = gpu.pass(encoder);
            (0..repeats).try_for_each(|_| pass.predict(&dense, &x, &y))
        })?;
        let operations = (2 * rows * inner * columns) as f64;
        let name = format!("product{} {rows}×{inner}×{columns}", label(precision));
        print(&name, &times[1..], repeats, operations);
    }
    Ok(())
}

/// Four layers of 64 SELU: a call and the wait for its end; the same with the values on the host; and many
/// predictions in one submission, which is what the device takes for one.
fn inference(gpu: &Gpu) -> Result<()> {
    const WIDTH: usize = 64;
    const LAYERS: usize = 4;
    const CALLS: usize = 20;
    let mut model = Sequential::new([WIDTH]);
    for _ in 0..LAYERS {
        let dense = Dense::new(WIDTH).kernel_initializer(Initializer::LecunNormal);
        model = model.add(dense.activation(Activation::Selu));
    }
    let model = model.build(gpu, 1)?;
    for rows in [1, 1024, 65_536] {
        let x: Tensor = gpu.lecun_normal([rows, WIDTH], 1)?;
        let operations = (2 * rows * WIDTH * WIDTH * LAYERS) as f64;
        let ended = || {
            model.predict(&x)?;
            wait(gpu);
            Ok(())
        };
        let read = || model.predict(&x)?.to_vec().map(drop);
        (0..CALLS).try_for_each(|_| ended())?;
        let times = timed(turns(CALLS, ended)?);
        print(&format!("inference {rows}"), &times, 1, operations);
        let times = timed(turns(CALLS, read)?);
        let name = format!("inference and read {rows}");
        print(&name, &times, 1, operations);
        let y: Tensor = gpu.zeros([rows, WIDTH])?;
        let times = clocked(gpu, TURNS + 1, |encoder| {
            let mut pass = gpu.pass(encoder);
            (0..CALLS).try_for_each(|_| pass.predict(&model, &x, &y))
        })?;
        let name = format!("recorded inference {rows}");
        print(&name, &times[1..], CALLS, operations);
    }
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
fn turns(count: usize, mut turn: impl FnMut() -> Result<()>) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for _ in 0..count {
        let start = Instant::now();
        turn()?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times)
}

/// The same on the host's clock alone.
fn timed(times: Vec<Duration>) -> Vec<Time> {
    times.into_iter().map(Time::from).collect()
}

/// The times of some submissions.
fn clocked(
    gpu: &Gpu,
    count: usize,
    mut record: impl FnMut(&mut wgpu::CommandEncoder) -> Result<()>,
) -> Result<Vec<Time>> {
    let clock = Clock::new(gpu);
    (0..count).map(|_| clock.time(&mut record)).collect()
}

fn print(what: &str, times: &[Time], steps: usize, operations: f64) {
    let shortest = times.iter().map(|time| time.host).min();
    let rated = |time: Duration| {
        let time = time / steps as u32;
        let rate = operations / time.as_secs_f64() / 1e9;
        format!("{time:.3?}, {rate:.1} GFLOP/s")
    };
    let median = Time::median(times);
    print!("{what}: {}", rated(median.host));
    if let Some(shortest) = shortest {
        print!(" (best {})", rated(shortest));
    }
    if let Some(device) = median.device {
        print!("; on the device {}", rated(device));
    }
    println!();
}
