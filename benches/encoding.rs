//! `cargo bench --bench encoding`: what recording an op costs the CPU, in instructions, whose
//! number does not depend on what else the machine does. It runs itself under valgrind's callgrind,
//! which counts only those of [`counted`]: the recording thread's, once everything is warm.

use std::process::Command;

use selfnorm::{AlphaDropout, Gpu, Pass, Result, Tensor};

use common::bare_selu::bare_selu;

mod common {
    pub mod bare_selu;
    pub mod dispatch;
}

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

/// The instructions of [`counted`], in a process of its own.
fn instructions(row: usize) -> Option<u64> {
    let run = Command::new("valgrind")
        // Without it, the driver's threads keep the others from running.
        .arg("--fair-sched=yes")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no", "--toggle-collect=*count_here*"])
        .arg(std::env::current_exe().ok()?)
        .args(["--row", &row.to_string()])
        // Otherwise Mesa may cache code for valgrind's processor, which has shorter vectors.
        .env("MESA_SHADER_CACHE_DISABLE", "true")
        .output()
        .ok()?;
    let report = String::from_utf8_lossy(&run.stderr);
    let (_, count) = report.rsplit_once("Collected : ")?;
    count.split_whitespace().next()?.parse().ok()
}

/// Records `OPS` ops, after some that warm everything up.
fn counted(mut record: impl FnMut(u64) -> Result<()>) -> Result<()> {
    record(OPS / 10)?;
    count_here(&mut record)
}

/// callgrind finds this function by its name.
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

/// The same in bare wgpu, with the same shader, and with a pipeline and a bind group made before.
fn bare(gpu: &Gpu) -> Result<()> {
    let (x, y): (Tensor, Tensor) = (gpu.zeros([LEN])?, gpu.zeros([LEN])?);
    let selu = bare_selu(gpu, &x, &y);
    counted(|ops| {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        (0..ops).for_each(|_| selu.record(&mut pass));
        drop(pass);
        drop(encoder.finish());
        Ok(())
    })
}
