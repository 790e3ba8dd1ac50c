//! `cargo bench --bench encoding`: what recording an op costs the CPU, in instructions, which are the
//! same whatever else the machine does. It runs itself under valgrind's callgrind, which counts those
//! of [`counted`] alone: the recording thread's, once everything is warm.

use std::process::Command;

use selfnorm::{AlphaDropout, Gpu, Pass, Result, Tensor, wgpu};

/// Ops that are counted together.
const OPS: u64 = 1000;

const LEN: usize = 1 << 10;

type Row = (&'static str, fn(&Gpu) -> Result<()>);

const ROWS: [Row; 5] = [
    ("bare wgpu, the dispatch of selu", bare),
    ("Pass::selu", |gpu| {
        recorded(gpu, |pass, x, y| pass.selu(x, y))
    }),
    ("Pass::alpha_dropout", |gpu| {
        let dropout = AlphaDropout::new(0.1).seed(7);
        recorded(gpu, |pass, x, y| pass.alpha_dropout(x, &dropout, y))
    }),
    ("Tensor::selu, submission included", |gpu| {
        let x: Tensor = gpu.zeros([LEN])?;
        counted(|ops| (0..ops).try_for_each(|_| x.selu().map(drop)))
    }),
    ("Gpu::tensor, submission included", |gpu| {
        let data = [1.0; LEN];
        counted(|ops| (0..ops).try_for_each(|_| gpu.tensor(&data, [LEN]).map(drop)))
    }),
];

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().collect();
    if let Some(row) = arguments.iter().position(|argument| argument == "--row") {
        let row: usize = arguments[row + 1].parse().expect("a row's number");
        return ROWS[row].1(&Gpu::new()?);
    }
    println!("| recorded | instructions | of bare wgpu |\n| --- | --- | --- |");
    let mut bare = None;
    for (row, (name, _)) in ROWS.into_iter().enumerate() {
        let Some(instructions) = instructions(row) else {
            println!("\n(needs valgrind)");
            return Ok(());
        };
        let each = instructions / OPS;
        let ratio = each as f64 / *bare.get_or_insert(each) as f64;
        println!("| {name} | {each} | {ratio:.2} |");
    }
    Ok(())
}

/// Of [`counted`] in a process of its own.
fn instructions(row: usize) -> Option<u64> {
    let run = Command::new("valgrind")
        // Without it, the driver's threads keep the others from running.
        .arg("--fair-sched=yes")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no", "--toggle-collect=*count_here*"])
        .arg(std::env::current_exe().ok()?)
        .args(["--row", &row.to_string()])
        .output()
        .ok()?;
    let report = String::from_utf8_lossy(&run.stderr);
    let (_, count) = report.rsplit_once("Collected : ")?;
    count.split_whitespace().next()?.parse().ok()
}

/// Records `OPS` ops, after some that find everything for the first time.
fn counted(mut record: impl FnMut(u64) -> Result<()>) -> Result<()> {
    record(OPS / 10)?;
    count_here(&mut record)
}

/// callgrind knows it by its name.
#[inline(never)]
fn count_here(record: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
    record(OPS)
}

fn recorded(gpu: &Gpu, record: impl Fn(&mut Pass, &Tensor, &Tensor) -> Result<()>) -> Result<()> {
    let (x, y): (Tensor, Tensor) = (gpu.zeros([LEN])?, gpu.zeros([LEN])?);
    counted(|ops| {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let mut pass = gpu.pass(&mut encoder);
        (0..ops).try_for_each(|_| record(&mut pass, &x, &y))?;
        drop(pass);
        drop(encoder.finish());
        Ok(())
    })
}

/// With the same shader, and a pipeline and a bind group that are there already.
fn bare(gpu: &Gpu) -> Result<()> {
    let device = gpu.device();
    let (x, y): (Tensor, Tensor) = (gpu.zeros([LEN])?, gpu.zeros([LEN])?);
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
    let entry = |(binding, tensor)| wgpu::BindGroupEntry {
        binding,
        resource: Tensor::binding(tensor),
    };
    let tensors = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[(0, &x), (1, &y)].map(entry),
    });
    counted(|ops| {
        let mut encoder = device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for _ in 0..ops {
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &tensors, &[]);
            pass.set_immediates(0, &[0; 16]);
            pass.dispatch_workgroups(1, 1, 1);
        }
        drop(pass);
        drop(encoder.finish());
        Ok(())
    })
}
