//! `cargo bench --bench fused`: a small network of 32 inputs, 4 hidden layers of SELU and 3 outputs in one dispatch, layer
//! by layer, and as kernels written by hand with one and with eight rows an invocation and the weights in a storage and
//! in a uniform buffer; all in turns, and all compared with the first before they are timed.

use std::fmt::Write;
use std::time::{Duration, Instant};

use selfnorm::nn::{Activation, Dense, Initializer::LecunNormal, Sequential};
use selfnorm::wgpu::util::DeviceExt;
use selfnorm::{Gpu, GpuOptions, Result, Selu, Tensor, wgpu, wgsl};

const INPUTS: usize = 32;
const HIDDEN: usize = 4;
const OUTPUTS: usize = 3;
const TURNS: usize = 7;
/// One turn of a kernel is as many dispatches as take about this many rows, but not more than `MOST_REPEATS`.
const TURN_ROWS: usize = 1 << 16;
const MOST_REPEATS: usize = 100;

fn main() -> Result<()> {
    // Without pipelines of earlier runs: they are timed, too.
    let gpu = pollster::block_on(Gpu::request(&GpuOptions::new().pipeline_cache(false)))?;
    let info = gpu.adapter_info();
    println!("\n{} ({}, {})\n", info.name, info.driver_info, info.backend);
    println!("| width | rows | kernel | first use | time | of layer by layer |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for width in [16, 32, 64, 128] {
        for rows in [65_536, 1024, 64, 1] {
            compare(&gpu, width, rows, subjects(&gpu, width)?)?;
        }
    }
    Ok(())
}

/// What is timed, the layers first, and how long its first use took.
struct Subject {
    name: String,
    kernel: Kernel,
    first: Option<Duration>,
}

enum Kernel {
    Model(Box<Sequential>),
    ByHand(ByHand),
}

fn network(gpu: &Gpu, width: usize, fused: bool) -> Result<Sequential> {
    // Two kinds of SELU, by a rounding, are no chain.
    let other = Selu {
        scale: Selu::default().scale * 1.000_000_2,
        ..Selu::default()
    };
    let mut network = Sequential::new([INPUTS]);
    for i in 0..HIDDEN {
        let activation = match fused || i > 0 {
            true => Activation::Selu,
            false => Activation::SeluWith(other),
        };
        let dense = Dense::new(width).kernel_initializer(LecunNormal);
        network = network.add(dense.activation(activation));
    }
    network.add(Dense::new(OUTPUTS)).build(gpu, 1)
}

fn subjects(gpu: &Gpu, width: usize) -> Result<Vec<Subject>> {
    let fused = network(gpu, width, true)?;
    let weights = packed(&fused)?;
    let subject = |name: &str, kernel| Subject {
        name: name.into(),
        kernel,
        first: None,
    };
    let mut subjects = vec![
        subject(
            "layer by layer",
            Kernel::Model(Box::new(network(gpu, width, false)?)),
        ),
        subject("in one dispatch", Kernel::Model(Box::new(fused))),
    ];
    for (address, name) in [("storage, read", "storage"), ("uniform", "uniform")] {
        let limit = gpu.device().limits().max_uniform_buffer_binding_size;
        if address == "uniform" && size_of_val(&weights[..]) as u64 > limit {
            continue;
        }
        for pixels in [1, 8] {
            let start = Instant::now();
            let kernel = ByHand::new(gpu, width, pixels, address, &weights);
            subjects.push(Subject {
                first: Some(start.elapsed()),
                ..subject(
                    &format!("by hand, {pixels} an invocation, {name}"),
                    Kernel::ByHand(kernel),
                )
            });
        }
    }
    Ok(subjects)
}

fn compare(gpu: &Gpu, width: usize, rows: usize, mut subjects: Vec<Subject>) -> Result<()> {
    let values: Vec<_> = (0..rows * INPUTS)
        .map(|i| (i * 7919 % 2003) as f32 / 1000.0 - 1.0)
        .collect();
    let x = gpu.tensor(&values, [rows, INPUTS])?;
    let y: Tensor = gpu.zeros([rows, OUTPUTS])?;
    let repeats = (TURN_ROWS / rows).clamp(1, MOST_REPEATS);
    let mut expected: Option<Vec<f32>> = None;
    for subject in &mut subjects {
        let start = Instant::now();
        let found = match &subject.kernel {
            Kernel::Model(model) => model.predict(&x)?.to_vec()?,
            Kernel::ByHand(kernel) => {
                kernel.run(gpu, &x, &y, 1);
                y.to_vec()?
            }
        };
        subject.first.get_or_insert(start.elapsed());
        let expected = expected.get_or_insert_with(|| found.clone());
        for (found, expected) in found.iter().zip(expected.iter()) {
            assert!(
                (found - expected).abs() < 1e-4,
                "{}: {found}, {expected}",
                subject.name
            );
        }
    }
    let timed = |subject: &Subject| -> Result<f64> {
        let start = Instant::now();
        match &subject.kernel {
            Kernel::Model(model) => {
                (0..repeats).try_for_each(|_| model.predict(&x).map(drop))?;
                let end = gpu.device().poll(wgpu::PollType::wait_indefinitely());
                end.expect("the device works");
            }
            Kernel::ByHand(kernel) => kernel.run(gpu, &x, &y, repeats),
        }
        Ok(start.elapsed().as_secs_f64() / repeats as f64)
    };
    let turns = (0..TURNS)
        .map(|_| subjects.iter().map(timed).collect::<Result<Vec<_>>>())
        .collect::<Result<Vec<_>>>()?;
    for (i, subject) in subjects.iter().enumerate() {
        let time = median(turns.iter().map(|times| times[i]));
        let ratio = median(turns.iter().map(|times| times[i] / times[0]));
        println!(
            "| {width} | {rows} | {} | {:.0?} | {:.3} ms | {ratio:.2} |",
            subject.name,
            subject.first.unwrap_or_default(),
            time * 1e3,
        );
    }
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The kernels [inputs, outputs], each followed by its biases, with the last layer's columns padded to four.
fn packed(model: &Sequential) -> Result<Vec<f32>> {
    let mut packed = Vec::new();
    for (_, weight) in model.weights()? {
        let columns = weight.shape().last().copied().unwrap_or(1);
        for line in weight.to_vec()?.chunks(columns) {
            packed.extend(line);
            packed.resize(packed.len().next_multiple_of(4), 0.0);
        }
    }
    Ok(packed)
}

/// What somebody writes for one network: rows in private arrays, weights four at a time.
struct ByHand {
    pipeline: wgpu::ComputePipeline,
    weights: wgpu::Buffer,
    pixels: usize,
}

const INVOCATIONS: usize = 64;

impl ByHand {
    fn new(gpu: &Gpu, width: usize, pixels: usize, address: &str, weights: &[f32]) -> Self {
        let device = gpu.device();
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::UNIFORM;
        let weights = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: None,
            contents: bytemuck::cast_slice(weights),
            usage,
        });
        let source = source(width, pixels, address, weights.size() / 16);
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some("predict"),
            compilation_options: Default::default(),
            cache: None,
        });
        Self {
            pipeline,
            weights,
            pixels,
        }
    }

    fn run(&self, gpu: &Gpu, x: &Tensor, y: &Tensor, repeats: usize) {
        let device = gpu.device();
        let resources = [x.binding(), self.weights.as_entire_binding(), y.binding()];
        let entries: Vec<_> = resources
            .into_iter()
            .zip(0..)
            .map(|(resource, binding)| wgpu::BindGroupEntry { binding, resource })
            .collect();
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &self.pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        let rows = x.shape()[0];
        let groups = rows.div_ceil(INVOCATIONS * self.pixels) as u32;
        let mut encoder = device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &group, &[]);
        (0..repeats).for_each(|_| pass.dispatch_workgroups(groups, 1, 1));
        drop(pass);
        gpu.queue().submit([encoder.finish()]);
        let end = device.poll(wgpu::PollType::wait_indefinitely());
        end.expect("the device works");
    }
}

fn source(width: usize, pixels: usize, address: &str, weights: u64) -> String {
    let each = |line: &dyn Fn(usize) -> String| (0..pixels).map(line).collect::<String>();
    let length = width.max(INPUTS) / 4;
    let arrays = each(&|p| {
        format!(
            "var<private> h{p}: array<vec4f, {length}>;\nvar<private> next{p}: array<vec4f, {length}>;\n"
        )
    });
    let loads = each(&|p| {
        format!(
            "        h{p}[k] = x[min(first + {p}u, rows - 1u) * {}u + k];\n",
            INPUTS / 4
        )
    });
    let biases = each(&|p| format!("        var s{p} = bias;\n"));
    let sums = each(&|p| {
        format!(
            "            let v{p} = h{p}[k];\n            s{p} += w0 * v{p}.x + w1 * v{p}.y + w2 * v{p}.z + w3 * v{p}.w;\n"
        )
    });
    let ends = each(&|p| format!("        next{p}[c] = s{p};\n"));
    let activations = each(&|p| format!("        h{p}[c] = selu4(next{p}[c]);\n"));
    let stores = each(&|p| {
        let at = format!("(first + {p}u) * {OUTPUTS}u");
        format!(
            "    if (first + {p}u < rows) {{ y[{at}] = next{p}[0].x; y[{at} + 1u] = next{p}[0].y; y[{at} + 2u] = next{p}[0].z; }}\n"
        )
    });
    let mut layers = String::new();
    let (mut inputs, mut at) = (INPUTS / 4, 0);
    for outputs in [width; HIDDEN].map(|width| width / 4) {
        _ = writeln!(
            layers,
            "    layer({inputs}u, {outputs}u, {at}u);\n    activate({outputs}u);"
        );
        at += (inputs * 4 + 1) * outputs;
        inputs = outputs;
    }
    _ = writeln!(layers, "    layer({inputs}u, 1u, {at}u);");
    format!(
        "
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<{address}> weights: array<vec4f, {weights}>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
{arrays}
fn layer(inputs: u32, outputs: u32, at: u32) {{
    for (var c = 0u; c < outputs; c++) {{
        let bias = weights[at + inputs * 4u * outputs + c];
{biases}
        for (var k = 0u; k < inputs; k++) {{
            let line = at + k * 4u * outputs + c;
            let w0 = weights[line];
            let w1 = weights[line + outputs];
            let w2 = weights[line + 2u * outputs];
            let w3 = weights[line + 3u * outputs];
{sums}
        }}
{ends}
    }}
}}

fn activate(outputs: u32) {{
    for (var c = 0u; c < outputs; c++) {{
{activations}
    }}
}}

@compute @workgroup_size({INVOCATIONS})
fn predict(@builtin(global_invocation_id) id: vec3u) {{
    let rows = arrayLength(&x) / {}u;
    let first = id.x * {pixels}u;
    if (first >= rows) {{
        return;
    }}
    for (var k = 0u; k < {}u; k++) {{
{loads}
    }}
{layers}
{stores}
}}
{}",
        INPUTS / 4,
        INPUTS / 4,
        wgsl::SELU,
    )
}
