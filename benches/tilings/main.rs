//! `cargo bench --bench tilings`: the kernels of products and of SELU with other sizes of tiles, workgroups and lanes,
//! for the choice of these on a GPU that nobody has measured. Each computes the right sums before it is timed. On
//! software devices the tiles are those of GPUs all the same, and the products small: there what bounds the
//! products of these devices follows, how fast their loads are alone, and their multiplications and additions.

use selfnorm::nn::Tiling;
use selfnorm::{Error, Gpu, Result, Tensor, wgpu};

use common::clock::{Clock, is_software, median, wait};
use common::dispatch::{Dispatch, shader};
use common::networks::TUTORIAL;
use product::{CHUNKS, Kind, Operands, Shaders, Shape, layer};
use tile::{Tile, tiles};

#[path = "../common"]
mod common {
    pub mod bare_selu;
    pub mod clock;
    pub mod dispatch;
    pub mod networks;
}
mod limits;
mod product;
mod selu;
mod tile;

const TURNS: usize = 5;
/// So many multiplications are timed together that submitting them is negligible.
const TURN_MULTIPLICATIONS: usize = 1 << 32;

const TUTORIAL_LAYER: [Shape; 3] = layer(TUTORIAL.batch, TUTORIAL.features(), TUTORIAL.units);
const SMALL_LAYER: [Shape; 3] = layer(100, 520, 96);
const OTHERS: [Shape; 3] = [
    Shape::new(Kind::Forward, [256, 4096, 256]),
    Shape::new(Kind::Forward, [1024; 3]),
    Shape::new(Kind::Forward, [4096; 3]),
];
const SMALL_OTHERS: [Shape; 1] = [Shape::new(Kind::Forward, [128; 3])];

/// What is compared.
struct Column {
    name: String,
    /// Each with its dispatches, if the device is large enough.
    rows: Vec<Option<Vec<Dispatch>>>,
    repeats: usize,
}

impl Column {
    /// The times of each row in microseconds, in turns.
    fn times(&self, clock: &Clock) -> Result<Vec<Vec<f64>>> {
        let mut times = vec![Vec::new(); self.rows.len()];
        for turn in 0..=TURNS {
            for (row, times) in self.rows.iter().zip(&mut times) {
                let Some(dispatches) = row else { continue };
                let time = clock.time(|encoder| {
                    let mut pass = encoder.begin_compute_pass(&Default::default());
                    for _ in 0..self.repeats {
                        dispatches
                            .iter()
                            .for_each(|dispatch| dispatch.record(&mut pass));
                    }
                    Ok(())
                })?;
                // The first turn compiles.
                if turn > 0 {
                    times.push(time.best().as_secs_f64() * 1e6 / self.repeats as f64);
                }
            }
        }
        Ok(times)
    }
}

/// Prints the times of all columns, the best of each marked; the last row may be a yardstick, which is none of them.
fn print(
    gpu: &Gpu,
    what: &str,
    rows: &[String],
    yardstick: Option<&str>,
    columns: &[Column],
) -> Result<()> {
    let clock = Clock::new(gpu);
    head(what, columns.iter().map(|column| column.name.as_str()));
    let times = columns.iter().map(|column| {
        let times = column.times(&clock)?.into_iter();
        Ok(times
            .map(|times| (!times.is_empty()).then(|| median(times)))
            .collect())
    });
    let times: Vec<Vec<_>> = times.collect::<Result<_>>()?;
    for (i, row) in rows.iter().map(String::as_str).chain(yardstick).enumerate() {
        let cells = times.iter().map(|times| {
            let best = times[..rows.len()]
                .iter()
                .flatten()
                .copied()
                .fold(f64::INFINITY, f64::min);
            match times[i] {
                None => "–".into(),
                Some(time) if time == best => format!("**{time:.1}**"),
                Some(time) => format!("{time:.1}"),
            }
        });
        println!("| {row} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    Ok(())
}

fn head<'a>(what: &str, names: impl Iterator<Item = &'a str>) {
    let names: Vec<_> = names.collect();
    println!("\n| {what} | {} |", names.join(" | "));
    println!("|{}", " --- |".repeat(1 + names.len()));
}

/// Submits it once, with zeros in `result` before, and waits.
fn run_once(gpu: &Gpu, dispatches: &[Dispatch], result: &Tensor) {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let range = result.slice();
    encoder.clear_buffer(range.buffer(), range.offset(), Some(range.size()));
    let mut pass = encoder.begin_compute_pass(&Default::default());
    dispatches
        .iter()
        .for_each(|dispatch| dispatch.record(&mut pass));
    drop(pass);
    gpu.queue().submit([encoder.finish()]);
    wait(gpu);
}

fn products(gpu: &Gpu) -> Result<()> {
    let shaders = Shaders {
        product: shader(
            "dense block_fours workgroup part_f32 sums_own end_sums",
            "f32x4",
        ),
        chunks: shader("dense chunks end_sums", "f32x4"),
    };
    let shapes: Vec<_> = match is_software(gpu) {
        true => SMALL_LAYER.into_iter().chain(SMALL_OTHERS).collect(),
        false => TUTORIAL_LAYER.into_iter().chain(OTHERS).collect(),
    };
    let tiles = tiles();
    let in_chunks = CHUNKS.map(|chunks| (Tile::PRESENT, chunks));
    let (mut by_tile, mut by_chunks) = (Vec::new(), Vec::new());
    for shape in shapes {
        let operands = Operands::new(gpu, shape)?;
        let present = operands.prepare(&shaders, &Tile::PRESENT, 1);
        let all = operands.right_sums(&present.unwrap_or_default())?;
        let column = |ways: &[(Tile, usize)]| -> Result<Column> {
            let prepared = ways.iter().map(|(tile, chunks)| {
                let Some(dispatches) = operands.prepare(&shaders, tile, *chunks) else {
                    return Ok(None);
                };
                let is_right = operands.sums(&dispatches)? == all;
                if !is_right {
                    println!(
                        "wrong sums: {}, {}, {chunks} chunks",
                        shape.name(),
                        tile.name()
                    );
                }
                Ok(is_right.then_some(dispatches))
            });
            Ok(Column {
                name: shape.name(),
                rows: prepared.collect::<Result<_>>()?,
                repeats: if is_software(gpu) {
                    1
                } else {
                    (TURN_MULTIPLICATIONS / shape.multiplications()).clamp(1, 50)
                },
            })
        };
        by_tile.push(column(
            &tiles
                .iter()
                .map(|tile| (*tile, tile.chunks(&shape)))
                .collect::<Vec<_>>(),
        )?);
        by_chunks.push(column(&in_chunks)?);
        operands.refill()?;
    }
    let names: Vec<_> = tiles.iter().map(Tile::name).collect();
    print(gpu, "µs by the workgroup's tile", &names, None, &by_tile)?;
    let names = CHUNKS.map(|chunks| format!("{}, chunks: {chunks}", Tile::PRESENT.name()));
    print(gpu, "µs by chunks", &names, None, &by_chunks)
}

fn main() -> Result<()> {
    let gpu = common::clock::gpu()?;
    let info = gpu.adapter_info();
    println!("\n{} ({}, {})", info.name, info.driver_info, info.backend);
    if !gpu.device().features().contains(wgpu::Features::IMMEDIATES) {
        println!("\n(no immediates here: nothing is compared)");
        return Ok(());
    }
    // `cargo bench --bench tilings -- selu` measures that alone.
    let wanted = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let is_wanted = |part: &str| wanted.as_ref().is_none_or(|wanted| wanted == part);
    if is_wanted("limits") && Tiling::of(&gpu) == Tiling::Subgroups {
        limits::limits(&gpu)?;
    }
    if is_wanted("products") {
        products(&gpu)?;
    }
    if is_wanted("selu") {
        match selu::selu(&gpu) {
            // A smaller GPU is no failure.
            Err(error @ (Error::TooLarge { .. } | Error::OutOfMemory { .. })) => {
                println!("\nSELU: {error}")
            }
            measured => measured?,
        }
    }
    Ok(())
}
