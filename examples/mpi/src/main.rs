//! Trains the digits on all ranks of MPI: `mpirun -n 4 target/release/selfnorm-mpi --checkpoint digits.checkpoint`.
//!
//! Each rank computes its rows of every batch on a GPU of its own, and MPI adds up the gradients. Rank 0 prints, and
//! saves a checkpoint after every epoch, from which the next run goes on, with any number of ranks. A rank that fails
//! or dies ends all of them.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use lexopt::prelude::*;
use mpi::collective::SystemOperation;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use selfnorm::nn::{
    Activation::{Selu, Softmax},
    Adam, AlphaDropout, Conv2d, Dataset, Dense, Exchange, Fit, Flatten,
    Initializer::LecunNormal,
    Progress, Sequential, SequentialBuilder,
};
use selfnorm::{Gpu, GpuOptions, random};

#[path = "../../common/digits.rs"]
mod digits;

const USAGE: &str = "\
usage: mpirun -n RANKS selfnorm-mpi [--epochs N] [--batch N] [--seed N] [--checkpoint FILE] [--tutorial STEPS]

Trains on the digits that come with the crate, or for a measurement STEPS steps of the network of Keras's SELU
tutorial on noise.";

type Failure = Box<dyn Error + Send + Sync>;

/// All ranks of MPI.
#[derive(Debug, Default)]
struct Mpi {
    /// Bytes that were added up.
    summed: AtomicU64,
}

impl Mpi {
    /// A communicator may not be used by several threads, so it is not kept.
    fn world(&self) -> SimpleCommunicator {
        SimpleCommunicator::world()
    }
}

impl Exchange for Mpi {
    fn rank(&self) -> usize {
        self.world().rank() as usize
    }

    fn size(&self) -> usize {
        self.world().size() as usize
    }

    fn sum(&self, values: &mut [f32]) -> Result<(), Failure> {
        let mut sums = vec![0.0; values.len()];
        self.world()
            .all_reduce_into(values, &mut sums, SystemOperation::sum());
        values.copy_from_slice(&sums);
        self.summed.fetch_add(size_of_val(values) as u64, Relaxed);
        Ok(())
    }
}

fn main() -> ExitCode {
    let Some(universe) = mpi::initialize() else {
        eprintln!("MPI can't be initialized");
        return ExitCode::FAILURE;
    };
    let world = universe.world();
    match run(&world) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("rank {}: {problem}", world.rank());
            // The others wait for this one.
            world.abort(1)
        }
    }
}

fn run(world: &SimpleCommunicator) -> Result<(), Failure> {
    let Some(arguments) = Arguments::parse()? else {
        if world.rank() == 0 {
            println!("{USAGE}");
        }
        return Ok(());
    };
    let exchange = Mpi::default();
    let is_first = exchange.rank() == 0;
    // Ranks of one machine share its GPUs out.
    let neighbours = world.split_shared(world.rank());
    let options = GpuOptions::new().nth(neighbours.rank() as usize);
    let gpu = &pollster::block_on(Gpu::request(&options))?;
    if is_first {
        println!("{} ranks, {}", exchange.size(), gpu.adapter_info().name);
    }

    let (data, network, steps) = match arguments.tutorial {
        None => (digits(gpu)?, network([8, 8, 1], 8, 128, 0.1), None),
        Some(steps) => (
            noise(gpu, 250)?,
            network([28, 28, 1], 32, 256, 0.25),
            Some(steps),
        ),
    };
    let checkpoint = arguments.checkpoint.as_ref();
    let mut model = match checkpoint.filter(|path| path.exists()) {
        Some(path) => Sequential::open(gpu, path)?,
        None => network.build(gpu, arguments.seed)?,
    };
    let epochs = steps
        .unwrap_or(arguments.epochs)
        .saturating_sub(model.epoch() as usize);
    let batch_size = if steps.is_some() {
        250
    } else {
        arguments.batch
    };
    let fit = Fit::new(Adam::default())
        .batch_size(batch_size)
        .epochs(epochs);
    let mut start = Instant::now();
    let history = model.fit_with(&data, &fit.exchange(&exchange), |progress| {
        let Progress::Epoch(end) = progress else {
            return Ok(ControlFlow::Continue(()));
        };
        if is_first && let Some(path) = checkpoint {
            end.model().save_checkpoint(path)?;
        }
        if is_first && steps.is_none() {
            println!(
                "epoch {}: loss {:.6}",
                end.model().epoch(),
                end.scores.training.loss
            );
        }
        if end.epoch == 1 {
            // Everything is compiled, and settings are compared.
            start = Instant::now();
            exchange.summed.store(0, Relaxed);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if is_first && history.losses.is_empty() {
        println!("{} epochs are done already", model.epoch());
    } else if is_first {
        let last: Vec<_> = history.losses.iter().rev().take(3).rev().collect();
        println!("the last losses: {last:.6?}");
        if let Some(steps) = steps.filter(|&steps| steps > 1) {
            println!("a step: {:.1?}", start.elapsed() / (steps as u32 - 1));
        }
        // Those after the first epoch.
        let steps = history.losses.len() - history.losses.len() / history.epochs.len();
        let summed = exchange.summed.load(Relaxed);
        if let Some(bytes) = summed.checked_div(steps as u64) {
            println!("{bytes} bytes of gradients and totals a step");
        }
    }
    let checksum = checksum(&model)?;
    let mut checksums = vec![0u64; exchange.size()];
    world.all_gather_into(&checksum, &mut checksums[..]);
    if is_first {
        println!("checksums of the weights: {checksums:016x?}");
    }
    match checksums.iter().all(|other| *other == checksum) {
        true => Ok(()),
        false => Err("the ranks have different weights".into()),
    }
}

/// That of Keras's SELU tutorial, in any size.
fn network(shape: [usize; 3], filters: usize, units: usize, rate: f64) -> SequentialBuilder {
    Sequential::new(shape)
        .add(
            Conv2d::new(filters, [3, 3])
                .kernel_initializer(LecunNormal)
                .activation(Selu),
        )
        .add(AlphaDropout::new(rate))
        .add(Flatten::new())
        .add(
            Dense::new(units)
                .kernel_initializer(LecunNormal)
                .activation(Selu),
        )
        .add(Dense::new(10).activation(Softmax))
}

fn digits(gpu: &Gpu) -> Result<Dataset, Failure> {
    let (pixels, labels) = digits::digits().map_err(|problem| problem.to_string())?;
    let data = Dataset::from_bytes(gpu, &pixels, [8, 8, 1])?.scaled(1.0 / 16.0, -0.5);
    Ok(data.classes(&labels)?)
}

/// So many images of random pixels, of random classes.
fn noise(gpu: &Gpu, count: usize) -> Result<Dataset, Failure> {
    let words: Vec<_> = random::words(1, 0, 0..count as u64 * 784).collect();
    let pixels: Vec<_> = words.iter().map(|word| (word >> 24) as u8).collect();
    let labels: Vec<_> = words[..count].iter().map(|word| word % 10).collect();
    Ok(Dataset::from_bytes(gpu, &pixels, [28, 28, 1])?
        .scaled(1.0 / 255.0, 0.0)
        .classes(&labels)?)
}

/// Of all weights' bits.
fn checksum(model: &Sequential) -> Result<u64, Failure> {
    let mut sum = 0u64;
    for (_, weight) in model.weights()? {
        for value in weight.to_vec()? {
            sum =
                sum.rotate_left(5).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(value.to_bits());
        }
    }
    Ok(sum)
}

struct Arguments {
    epochs: usize,
    batch: usize,
    seed: u64,
    checkpoint: Option<PathBuf>,
    tutorial: Option<usize>,
}

impl Arguments {
    /// `None` if help was requested.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        let mut parsed = Self {
            epochs: 5,
            batch: 64,
            seed: 1,
            checkpoint: None,
            tutorial: None,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("epochs") => parsed.epochs = parser.value()?.parse()?,
                Long("batch") => parsed.batch = parser.value()?.parse()?,
                Long("seed") => parsed.seed = parser.value()?.parse()?,
                Long("checkpoint") => parsed.checkpoint = Some(parser.value()?.into()),
                Long("tutorial") => parsed.tutorial = Some(parser.value()?.parse()?),
                Long("help") | Short('h') => return Ok(None),
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(Some(parsed))
    }
}
