//! `cargo bench --bench small`: a small network, 32 inputs, 8 dense layers of 128 SELU, 2 classes: a training step
//! of 32 rows, and the prediction of one row, from numbers on the host to numbers on the host. Beside it what the
//! same upload, a dispatch of nothing and the same read take in bare wgpu. `-- --python PYTHON`, one with torch,
//! has PyTorch do the same on two threads and on one, in turns.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use selfnorm::nn::{
    Activation::{Selu, Softmax},
    Adam, Dataset, Dense, Fit,
    Initializer::LecunNormal,
    Sequential,
};
use selfnorm::{Gpu, Result, random, wgpu};

use common::dispatch::Dispatch;

mod common {
    pub mod dispatch;
}

const INPUTS: usize = 32;
const LAYERS: usize = 8;
const UNITS: usize = 128;
const CLASSES: usize = 2;
const BATCH: usize = 32;
/// The steps of an epoch.
const STEPS: usize = 32;
const PREDICTIONS: usize = 50;
const TURNS: usize = 15;

fn main() -> Result<()> {
    let gpu = Gpu::new()?;
    let info = gpu.adapter_info();
    println!("\n{} ({}, {})\n", info.name, info.driver_info, info.backend);
    let mut ours = Ours::new(&gpu, LAYERS)?;
    let bare = Bare::new(&gpu);
    let mut torch = torch();

    let mut rows = Rows::default();
    for turn in 0..=TURNS {
        // The first is to warm up.
        rows.is_warm = turn > 0;
        rows.add("a training step of 32 rows", ours.step()?);
        rows.add(
            "a training step, PyTorch, two threads",
            ask(&mut torch, "step 2"),
        );
        rows.add(
            "a training step, PyTorch, one thread",
            ask(&mut torch, "step 1"),
        );
        rows.add("a prediction of one row", ours.prediction()?);
        rows.add(
            "a prediction, PyTorch, two threads",
            ask(&mut torch, "row 2"),
        );
        rows.add(
            "a prediction, PyTorch, one thread",
            ask(&mut torch, "row 1"),
        );
        let [submit, wait, read] = bare.round()?;
        rows.add("bare wgpu: write, record and submit", Some(submit));
        rows.add("bare wgpu: wait", Some(wait));
        rows.add("bare wgpu: read", Some(read));
    }
    rows.print();
    Ok(())
}

/// Times by name, in the order of their first.
#[derive(Default)]
struct Rows {
    is_warm: bool,
    times: Vec<(&'static str, Vec<Duration>)>,
}

impl Rows {
    fn add(&mut self, name: &'static str, time: Option<Duration>) {
        let (Some(time), true) = (time, self.is_warm) else {
            return;
        };
        match self.times.iter_mut().find(|row| row.0 == name) {
            Some(row) => row.1.push(time),
            None => self.times.push((name, vec![time])),
        }
    }

    fn print(mut self) {
        println!("| | median | best |\n| --- | --- | --- |");
        for (name, times) in &mut self.times {
            times.sort();
            println!(
                "| {name} | {:.3?} | {:.3?} |",
                times[times.len() / 2],
                times[0]
            );
        }
    }
}

struct Ours {
    model: Sequential,
    data: Dataset,
    fit: Fit<'static>,
    row: Vec<f32>,
}

impl Ours {
    fn new(gpu: &Gpu, hidden: usize) -> Result<Self> {
        let mut layers = Sequential::new([INPUTS]);
        for _ in 0..hidden {
            let dense = Dense::new(UNITS).kernel_initializer(LecunNormal);
            layers = layers.add(dense.activation(Selu));
        }
        let last = Dense::new(CLASSES).kernel_initializer(LecunNormal);
        let model = layers.add(last.activation(Softmax)).build(gpu, 1)?;
        let count = BATCH * STEPS;
        let words: Vec<u32> = random::words(1, 0, 0..(count * INPUTS) as u64).collect();
        let values: Vec<_> = words
            .iter()
            .map(|word| (word >> 8) as f32 / 2f32.powi(22) - 2.0)
            .collect();
        let labels: Vec<_> = words[..count].iter().map(|word| word & 1).collect();
        Ok(Self {
            model,
            data: Dataset::from_floats(gpu, &values, [INPUTS])?.classes(&labels)?,
            fit: Fit::new(Adam::default()).batch_size(BATCH),
            row: values[..INPUTS].into(),
        })
    }

    fn step(&mut self) -> Result<Option<Duration>> {
        let start = Instant::now();
        self.model.fit(&self.data, &self.fit)?;
        Ok(Some(start.elapsed() / STEPS as u32))
    }

    fn prediction(&self) -> Result<Option<Duration>> {
        let start = Instant::now();
        for _ in 0..PREDICTIONS {
            self.model.predict_floats(&self.row)?;
        }
        Ok(Some(start.elapsed() / PREDICTIONS as u32))
    }
}

/// What a prediction asks of wgpu, with nothing to compute.
struct Bare<'a> {
    gpu: &'a Gpu,
    pipeline: wgpu::ComputePipeline,
    x: wgpu::Buffer,
    readback: wgpu::Buffer,
}

impl<'a> Bare<'a> {
    fn new(gpu: &'a Gpu) -> Self {
        let device = gpu.device();
        let source = "@compute @workgroup_size(1) fn nothing() {}";
        let pipeline = Dispatch::pipeline(gpu, source, "nothing");
        let buffer = |usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: (INPUTS * size_of::<f32>()) as u64,
                usage: usage | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        Self {
            gpu,
            pipeline,
            x: buffer(wgpu::BufferUsages::COPY_SRC),
            readback: buffer(wgpu::BufferUsages::MAP_READ),
        }
    }

    /// The mean times to submit, to wait, and to read.
    fn round(&self) -> Result<[Duration; 3]> {
        let (device, queue) = (self.gpu.device(), self.gpu.queue());
        let bytes = (CLASSES * size_of::<f32>()) as u64;
        let mut sums = [Duration::ZERO; 3];
        for _ in 0..PREDICTIONS {
            let start = Instant::now();
            queue.write_buffer(&self.x, 0, bytemuck::cast_slice(&[0.5f32; INPUTS]));
            let mut encoder = device.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&self.pipeline);
            pass.dispatch_workgroups(1, 1, 1);
            drop(pass);
            encoder.copy_buffer_to_buffer(&self.x, 0, &self.readback, 0, bytes);
            queue.submit([encoder.finish()]);
            let submitted = Instant::now();
            self.readback
                .map_async(wgpu::MapMode::Read, 0..bytes, |_| {});
            device.poll(wgpu::PollType::wait_indefinitely()).ok();
            let waited = Instant::now();
            let view = self.readback.get_mapped_range(0..bytes);
            let values: Vec<f32> = view
                .map(|view| bytemuck::cast_slice(&view).to_vec())
                .unwrap_or_default();
            std::hint::black_box(values);
            self.readback.unmap();
            let times = [submitted - start, waited - submitted, waited.elapsed()];
            for (sum, time) in sums.iter_mut().zip(times) {
                *sum += time;
            }
        }
        Ok(sums.map(|sum| sum / PREDICTIONS as u32))
    }
}

/// PyTorch, which answers a line with a time in nanoseconds.
struct Torch {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Drop for Torch {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// If there is a Python that has it.
fn torch() -> Option<Torch> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--python");
    let python = arguments.nth(1)?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/small.py");
    let sizes = [INPUTS, LAYERS, UNITS, CLASSES, BATCH, STEPS, PREDICTIONS];
    let mut process = Command::new(python)
        .arg(script)
        .args(sizes.map(|size| size.to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let (questions, answers) = (process.stdin.take()?, process.stdout.take()?);
    let mut torch = Torch {
        process,
        questions,
        answers: BufReader::new(answers),
    };
    let mut version = String::new();
    torch.answers.read_line(&mut version).ok()?;
    println!("{version}");
    Some(torch)
}

fn ask(torch: &mut Option<Torch>, question: &str) -> Option<Duration> {
    let torch = torch.as_mut()?;
    writeln!(torch.questions, "{question}").ok()?;
    let mut answer = String::new();
    torch.answers.read_line(&mut answer).ok()?;
    Some(Duration::from_nanos(answer.trim().parse().ok()?))
}
