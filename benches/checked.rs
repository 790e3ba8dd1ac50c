//! `cargo bench --bench checked`: what wgpu's run-time checks cost each kernel. The same work on several devices, in
//! turns: with all checks, without one kind, and without any. Each dispatch is timed by itself, by timestamps on either
//! side. Nothing here needs the checks: the crate's own tests look for indices that are out of bounds.

use std::time::{Duration, Instant};

use selfnorm::nn::{
    Activation::{Selu, Softmax},
    Adam, AveragePooling2d, BatchNormalization, Conv2d, Dense, Dropout, Flatten,
    Initializer::LecunNormal,
    LayerNormalization, Loss, MaxPool2d, Padding, Regularizer, Sequential, SequentialBuilder, Sgd,
    Tiling,
};
use selfnorm::{Gpu, Result, Tensor, wgpu};

use common::clock::{Timestamps, is_software, wait};
use common::networks::TUTORIAL;
use common::ops::{Operands, ops};
use common::tests::calls::{Counted, Traced};

mod common {
    pub mod clock;
    pub mod networks;
    pub mod ops;
    #[path = "../../tests/common/mod.rs"]
    pub mod tests;
}

/// So often at least, and for so long.
const TURNS: usize = 7;
const LONG_ENOUGH: Duration = Duration::from_millis(500);

/// What the devices do without: whether indices are kept in bounds, loops are, and divisions by zero are looked for. The
/// first one's shaders are compiled as the crate's are everywhere; workgroup memory is zeroed there, whatever is asked.
const WITHOUT: [(&str, Option<[bool; 3]>); 6] = [
    ("nothing", None),
    ("zeros of workgroup memory", Some([true, true, true])),
    ("bounds of indices", Some([false, true, true])),
    ("bounds of loops", Some([true, false, true])),
    ("checks of divisions", Some([true, true, false])),
    ("all three", Some([false; 3])),
];
/// The device that the last four are compared with.
const CHECKED: usize = 1;

/// Records some work of the crate.
type Record = Box<dyn FnMut(&mut wgpu::CommandEncoder) -> Result<()>>;

/// A device, its timestamps, and the work that is recorded for it.
struct Subject {
    gpu: Counted,
    timestamps: Timestamps,
    record: Option<Record>,
}

impl Subject {
    fn new(kept: Option<[bool; 3]>) -> Option<Self> {
        let wanted = wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS
            | wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES;
        let adapter = common::tests::adapter();
        if !adapter.features().contains(wanted) {
            return None;
        }
        let checks = kept.map(|[indices, loops, divisions]| {
            let mut checks = wgpu::ShaderRuntimeChecks::checked();
            checks.bounds_checks = indices;
            checks.force_loop_bounding = loops;
            checks.int_div_checks = divisions;
            checks
        });
        let features = Gpu::useful_features(&adapter) | wanted;
        let gpu = Counted::checking(checks, features, adapter.limits());
        Some(Self {
            timestamps: Timestamps::new(&gpu, wgpu::QUERY_SET_MAX_QUERIES),
            gpu,
            record: None,
        })
    }

    /// The kernels of the work, and what each took.
    fn run(&mut self) -> Result<Vec<(String, Duration)>> {
        let mut encoder = self
            .gpu
            .device()
            .create_command_encoder(&Default::default());
        if let Some(record) = &mut self.record {
            record(&mut encoder)?;
        }
        self.gpu.queue().submit([encoder.finish()]);
        wait(&self.gpu);
        let kernels = self.gpu.dispatched();
        let at = self.timestamps.read(&self.gpu, kernels.len() as u32 * 2);
        let times = at.chunks(2).map(|at| at[1].saturating_sub(at[0]));
        Ok(kernels
            .iter()
            .map(|kernel| name(kernel))
            .zip(times)
            .collect())
    }
}

/// The entry point, of a product also which of a layer's three it is, and how many sums a tile has.
fn name(kernel: &Traced) -> String {
    let Traced {
        module,
        entry_point,
        source,
    } = kernel;
    let constant = |name: &str| {
        let begin = format!("const {name} = ");
        let line = source.lines().find_map(|line| line.strip_prefix(&begin))?;
        Some(line.trim_end_matches("u;"))
    };
    let (Some(kind), Some(rows), Some(columns)) = (
        constant("PRODUCT"),
        constant("PRODUCT_ROWS"),
        constant("PRODUCT_COLUMNS"),
    ) else {
        return entry_point.clone();
    };
    let kind = ["forward", "kernel's gradient", "input's gradient"]
        [kind.parse::<usize>().expect("it is a number")];
    match rows {
        "1" => format!("{module}, {kind}, chunks"),
        _ => format!("{module}, {kind}, {rows}×{columns}"),
    }
}

fn main() -> Result<()> {
    let subjects: Option<Vec<_>> = WITHOUT
        .into_iter()
        .map(|(_, kept)| Subject::new(kept))
        .collect();
    let Some(mut subjects) = subjects else {
        println!("the device has no timestamps inside passes");
        return Ok(());
    };
    let info = subjects[0].gpu.adapter_info();
    println!("\n{} ({}, {})\n", info.name, info.driver_info, info.backend);
    println!(
        "| work | kernel | as it is | of it for {} |",
        WITHOUT[1..]
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(" | ")
    );
    println!("|{}", " --- |".repeat(3 + WITHOUT[1..].len()));
    let wanted = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'))
        .unwrap_or_default();
    for op in ops() {
        let record = |gpu: &Gpu| -> Result<Record> {
            let len = if is_software(gpu) { 1 << 22 } else { 1 << 25 };
            let (gpu, operands) = (gpu.clone(), Operands::new(gpu, len)?);
            Ok(Box::new(move |encoder| {
                operands.record(op, &mut gpu.pass(encoder))
            }))
        };
        if op.name.contains(&wanted) {
            compare(&mut subjects, op.name, record)?;
        }
    }
    for (name, network) in networks() {
        if name.contains(&wanted) {
            compare(&mut subjects, name, |gpu| network(gpu))?;
        }
    }
    Ok(())
}

/// Measures work on all devices, in turns, and prints a row for each kernel of it.
fn compare(
    subjects: &mut [Subject],
    work: &str,
    record: impl Fn(&Gpu) -> Result<Record>,
) -> Result<()> {
    for subject in subjects.iter_mut() {
        subject.record = Some(record(&subject.gpu)?);
        // The first turn compiles, and touches memory for the first time.
        subject.run()?;
    }
    let mut turns: Vec<Vec<_>> = Vec::new();
    let start = Instant::now();
    while turns.len() < TURNS || start.elapsed() < LONG_ENOUGH {
        turns.push(
            subjects
                .iter_mut()
                .map(Subject::run)
                .collect::<Result<_>>()?,
        );
    }
    // The kernels in the order of their first dispatches, which are the same on all devices.
    let mut kernels: Vec<&String> = Vec::new();
    for (kernel, _) in &turns[0][0] {
        if !kernels.contains(&kernel) {
            kernels.push(kernel);
        }
    }
    for kernel in kernels {
        // The least of the turns: whatever else runs only adds.
        let least = |subject: usize| {
            let times = turns.iter().map(|turn| {
                let own = turn[subject].iter().filter(|(name, _)| name == kernel);
                own.map(|(_, time)| *time).sum::<Duration>()
            });
            times.min().unwrap_or_default()
        };
        print!("| {work} | {kernel} | {:.1?} |", least(0));
        for other in 1..WITHOUT.len() {
            let base = if other == CHECKED { 0 } else { CHECKED };
            let left = least(other).div_duration_f64(least(base));
            print!(" {:.0} % |", 100.0 * (1.0 - left));
        }
        println!();
    }
    for subject in subjects {
        subject.record = None;
    }
    Ok(())
}

type Work = fn(&Gpu) -> Result<Record>;

/// Between them they have every kind of layer, product and tile.
fn networks() -> [(&'static str, Work); 5] {
    [
        ("a step of the tutorial's network", |gpu| {
            let model = TUTORIAL.build(gpu)?;
            step(gpu, model, Adam::default(), TUTORIAL.batch)
        }),
        ("the same for another tiling", |gpu| {
            let other = match Tiling::of(gpu) {
                Tiling::Workgroup => Tiling::Registers,
                _ => Tiling::Workgroup,
            };
            let model = TUTORIAL
                .builder(Regularizer::L2(0.0))
                .tiling(other)
                .build(gpu, 1)?;
            step(gpu, model, Adam::default(), TUTORIAL.batch)
        }),
        ("a step with pools and normalizations", |gpu| {
            let model = images().build(gpu, 1)?;
            step(gpu, model, Sgd::new(0.01), 32)
        }),
        ("a prediction of the tutorial's network", |gpu| {
            predict(gpu, TUTORIAL.build(gpu)?, TUTORIAL.batch)
        }),
        ("a fused prediction", |gpu| {
            let mut model = Sequential::new([32]);
            for _ in 0..4 {
                model = model.add(
                    Dense::new(64)
                        .kernel_initializer(LecunNormal)
                        .activation(Selu),
                );
            }
            predict(gpu, model.add(Dense::new(3)).build(gpu, 1)?, 1 << 14)
        }),
    ]
}

fn images() -> SequentialBuilder {
    let l2 = Regularizer::L2(1e-4);
    Sequential::new([32, 32, 16])
        .add(
            Conv2d::new(32, [3, 3])
                .padding(Padding::Same)
                .kernel_regularizer(l2),
        )
        .add(BatchNormalization::new())
        .add(Selu)
        .add(MaxPool2d::new([2, 2]))
        .add(
            Conv2d::new(32, [3, 3])
                .padding(Padding::Same)
                .activation(Selu),
        )
        .add(AveragePooling2d::new([2, 2]))
        .add(Dropout::new(0.1))
        .add(Flatten::new())
        .add(LayerNormalization::new())
        .add(Dense::new(10).activation(Softmax))
}

/// A training step on constant inputs: all that is computed is the same for others.
fn step(
    gpu: &Gpu,
    mut model: Sequential,
    optimizer: impl Into<selfnorm::nn::Optimizer>,
    batch: usize,
) -> Result<Record> {
    model.compile(optimizer, Loss::CategoricalCrossentropy)?;
    let tensor = |shape: &[usize]| {
        let shape = [&[batch], shape].concat();
        gpu.tensor(&vec![0.1f32; shape.iter().product()], shape)
    };
    let (x, y) = (tensor(model.input_shape())?, tensor(model.output_shape())?);
    let gpu = gpu.clone();
    Ok(Box::new(move |encoder| {
        gpu.pass(encoder).train_on_batch(&mut model, &x, &y)
    }))
}

fn predict(gpu: &Gpu, model: Sequential, rows: usize) -> Result<Record> {
    let shape = |shape: &[usize]| [&[rows], shape].concat();
    let x: Tensor = gpu.lecun_normal(shape(model.input_shape()), 1)?;
    let y: Tensor = gpu.zeros(shape(model.output_shape()))?;
    let gpu = gpu.clone();
    Ok(Box::new(move |encoder| {
        gpu.pass(encoder).predict(&model, &x, &y)
    }))
}
