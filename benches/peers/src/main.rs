//! selfnorm beside others: Burn on the same adapter, candle on the CPU and, where a Python with
//! `requirements.txt` is named, Keras on TensorFlow and PyTorch on the CPU. Prints one Markdown table.
//!
//! ```sh
//! cargo run --release
//! python3 -m venv /tmp/venv && /tmp/venv/bin/pip install -r requirements.txt
//! cargo run --release -- --python /tmp/venv/bin/python
//! ```
//!
//! All begin with the same inputs, on their device. What comes out is first compared with f64; what
//! does not agree is not timed. Then they take turns, after one to warm up, so that a machine that is
//! busy for a while slows all. Where Burn has been seen to crash, and Python, run in processes of their
//! own, which do nothing while it is not their turn. `WGPU_ADAPTER_NAME` chooses the adapter.

mod burn;
mod candle;
mod ours;
mod process;
mod rows;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use process::Process;
use rows::{Expected, Row};
use selfnorm::Gpu;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// One way to do what a row says.
trait Contestant {
    /// The time of a run, done so often.
    fn turn(&mut self, repeats: u32) -> Result<Duration>;

    /// The result of a run.
    fn output(&mut self) -> Result<Vec<f32>>;
}

/// Runs, each of which ends when its result is there, and how to read one.
struct Timed<T, Run> {
    run: Run,
    read: fn(T) -> Result<Vec<f32>>,
}

impl<T: 'static, Run: FnMut() -> Result<T> + 'static> Timed<T, Run> {
    fn boxed(run: Run, read: fn(T) -> Result<Vec<f32>>) -> Box<dyn Contestant> {
        Box::new(Self { run, read })
    }
}

impl<T, Run: FnMut() -> Result<T>> Contestant for Timed<T, Run> {
    fn turn(&mut self, repeats: u32) -> Result<Duration> {
        let start = Instant::now();
        for _ in 0..repeats {
            (self.run)()?;
        }
        Ok(start.elapsed() / repeats)
    }

    fn output(&mut self) -> Result<Vec<f32>> {
        (self.read)((self.run)()?)
    }
}

/// A column.
struct Peer {
    heading: String,
    /// Whether it does the same: a yardstick does not.
    compared: bool,
    /// Makes its contestant. An error is what the cell says.
    start: Box<Start>,
}

type Start = dyn Fn(Row, &[Vec<f32>]) -> Result<Box<dyn Contestant>>;

impl Peer {
    fn new(
        heading: impl Into<String>,
        start: impl Fn(Row, &[Vec<f32>]) -> Result<Box<dyn Contestant>> + 'static,
    ) -> Self {
        Self {
            heading: heading.into(),
            compared: true,
            start: Box::new(start),
        }
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => table(None),
        ["--python", python] => table(Some(python)),
        ["burn", row, folder] => burn_alone(row, Path::new(folder)),
        _ => Err("expected no arguments, or --python and a path".into()),
    }
}

/// Burn in a process of its own.
fn burn_alone(row: &str, folder: &Path) -> Result<()> {
    let mut rows = Row::ALL.into_iter();
    let row = rows
        .find(|known| known.name() == row)
        .ok_or("no such row")?;
    let device = burn::device(&Gpu::new()?.adapter_info())?;
    let mut contestant = burn::contestant(&device, row, &process::inputs(folder)?)?;
    process::serve(contestant.as_mut())
}

fn table(python: Option<&str>) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("selfnorm-peers-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = print(python, &folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn print(python: Option<&str>, folder: &Path) -> Result<()> {
    let gpu = Gpu::new()?;
    let info = gpu.adapter_info();
    let mut peers = vec![
        Peer::new("selfnorm", {
            let gpu = gpu.clone();
            move |row, inputs| ours::contestant(&gpu, row, inputs)
        }),
        Peer {
            compared: false,
            ..Peer::new("copy or fill", move |row, _| ours::yardstick(&gpu, row))
        },
        Peer::new("Burn 0.22", {
            let (device, folder) = (burn::device(&info)?, folder.to_path_buf());
            move |row, inputs| match row {
                Row::Product | Row::Step => {
                    let mut command = Command::new(std::env::current_exe()?);
                    Process::boxed(command.args(["burn", row.name()]), &folder, inputs)
                }
                _ => burn::contestant(&device, row, inputs),
            }
        }),
        Peer::new("candle 0.9", candle::contestant),
    ];
    for framework in ["keras", "torch"] {
        peers.extend(
            python
                .map(|python| in_python(python, framework, folder))
                .transpose()?,
        );
    }
    println!(
        "selfnorm and Burn on {} ({}, {}), the others on {} cores.",
        info.name,
        info.driver_info,
        info.backend,
        std::thread::available_parallelism()?
    );
    println!("Medians; in brackets selfnorm's time divided by the other's.\n");
    let headings: Vec<_> = peers.iter().map(|peer| &peer.heading[..]).collect();
    println!("| | {} |", headings.join(" | "));
    println!("|{}", " --- |".repeat(headings.len() + 1));
    for row in Row::ALL {
        println!(
            "| {} | {} |",
            row.title(),
            measure(row, &peers)?.join(" | ")
        );
    }
    Ok(())
}

fn in_python(python: &str, framework: &'static str, folder: &Path) -> Result<Peer> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers.py");
    let python = python.to_string();
    let command = move || {
        let mut command = Command::new(&python);
        command.arg(&script).arg(framework);
        command
    };
    let versions = command().stderr(Stdio::inherit()).output()?;
    if !versions.status.success() {
        return Err(format!("{framework} does not start: {}", versions.status).into());
    }
    let heading = String::from_utf8_lossy(&versions.stdout).trim().to_string();
    let folder = folder.to_path_buf();
    Ok(Peer::new(heading, move |row, inputs| {
        Process::boxed(command().arg(row.name()), &folder, inputs)
    }))
}

/// The cells of a row.
fn measure(row: Row, peers: &[Peer]) -> Result<Vec<String>> {
    let inputs = row.inputs()?;
    let mut expected = row.expected(&inputs)?;
    let mut contestants: Vec<_> = peers
        .iter()
        .map(|peer| checked(peer, row, &inputs, &mut expected))
        .collect();
    let mut times = vec![vec![]; peers.len()];
    // The first turn warms up.
    for turn in 0..=row.turns() {
        for (entry, times) in contestants.iter_mut().zip(&mut times) {
            let Ok(contestant) = entry else { continue };
            match contestant.turn(row.repeats()) {
                Ok(time) if turn > 0 => times.push(time.as_secs_f64()),
                Ok(_) => {}
                Err(error) => *entry = Err(error),
            }
        }
    }
    let ours = &times[0];
    let cells = contestants.iter().zip(&times).enumerate();
    Ok(cells
        .map(|(i, (entry, times))| {
            if let Err(error) = entry {
                let error = error.to_string();
                return error.lines().next().unwrap_or_default().into();
            }
            let time = median(times.clone());
            let mut cell = format!("{:.1?}", Duration::from_secs_f64(time));
            if let Some(operations) = row.operations() {
                cell += &format!(", {:.1} GFLOP/s", operations / time / 1e9);
            }
            if i > 0 && contestants[0].is_ok() {
                let ratios = ours.iter().zip(times).map(|(ours, theirs)| ours / theirs);
                cell += &format!(" ({:.2})", median(ratios.collect()));
            }
            cell
        })
        .collect())
}

/// A contestant whose result is what is expected; where nothing is yet, its result is from then on.
fn checked(
    peer: &Peer,
    row: Row,
    inputs: &[Vec<f32>],
    expected: &mut Option<Expected>,
) -> Result<Box<dyn Contestant>> {
    eprintln!("{}: {}", row.name(), peer.heading);
    let mut contestant = (peer.start)(row, inputs)?;
    if peer.compared {
        let mut output = vec![];
        for _ in 0..row.outputs() {
            output.extend(contestant.output()?);
        }
        expected
            .get_or_insert_with(|| Expected::losses(&output))
            .check(&output)?;
    }
    Ok(contestant)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
