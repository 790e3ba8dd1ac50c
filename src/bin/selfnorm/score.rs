//! Chunks of samples, each scored by itself, so that any number of these programs can share out the work.

use std::io::{BufRead, Write};
#[cfg(unix)]
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use selfnorm::Gpu;
use selfnorm::nn::Sequential;

use crate::table::{self, Format};
use crate::{Result, model};

/// Scores each of `chunks`, or each that a line of the standard input names, and prints the names of the results. A
/// chunk that can't be scored keeps no other from it.
pub fn score(gpu: &Gpu, file: &Path, folder: &Path, chunks: Vec<PathBuf>) -> Result<()> {
    let model = model::open(gpu, file)?;
    let lines = std::io::stdin().lock().split(b'\n');
    let named =
        |line: &std::io::Result<Vec<u8>>| !matches!(line, Ok(line) if line.trim_ascii().is_empty());
    let mut chunks: Box<dyn Iterator<Item = std::io::Result<PathBuf>>> = match chunks.is_empty() {
        false => Box::new(chunks.into_iter().map(Ok)),
        true => Box::new(lines.filter(named).map(|line| line.map(path))),
    };
    let (mut all, mut failed) = (0, 0);
    chunks.try_for_each(|chunk| -> Result<()> {
        let chunk = chunk?;
        all += 1;
        match score_chunk(&model, folder, &chunk) {
            Ok(result) => {
                let mut out = std::io::stdout().lock();
                writeln!(out, "{}", result.display())?;
                out.flush()?;
            }
            Err(problem) => {
                failed += 1;
                eprintln!("selfnorm: {problem}");
            }
        }
        Ok(())
    })?;
    if all == 0 {
        eprintln!("selfnorm: no file was named");
    }
    match failed {
        0 => Ok(()),
        failed => Err(format!("{failed} of {all} chunks have no result").into()),
    }
}

/// The name that a line of the standard input has.
fn path(mut line: Vec<u8>) -> PathBuf {
    if line.ends_with(b"\r") {
        line.pop();
    }
    #[cfg(unix)]
    let name = std::ffi::OsString::from_vec(line);
    // Names there are text.
    #[cfg(not(unix))]
    let name = String::from_utf8_lossy(&line).into_owned();
    name.into()
}

/// The file of a chunk's predictions: if it is there, it is complete, and stays.
fn score_chunk(model: &Sequential, folder: &Path, chunk: &Path) -> Result<PathBuf> {
    let result = place(folder, chunk)?;
    Format::of(chunk)?;
    let there = std::fs::metadata(&result);
    if there.as_ref().is_ok_and(|there| !there.is_file()) {
        return Err(format!(
            "{}: there is no file where the result goes",
            result.display()
        )
        .into());
    }
    if there.is_ok() {
        let [from, to] = [chunk, &result].map(std::fs::canonicalize);
        if matches!((from, to), (Ok(from), Ok(to)) if from == to) {
            let problem = "its result would take its place; give another folder for results";
            return Err(format!("{}: {problem}", chunk.display()).into());
        }
        return Ok(result);
    }
    let samples = table::read(chunk)?;
    let checked = samples.check(model.input_shape());
    checked.map_err(|problem| format!("{}: {problem}", chunk.display()))?;
    let y = model.predict_floats(&samples.values)?;
    if let Some(parent) = result.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|problem| format!("{}: {problem}", parent.display()))?;
    }
    table::write(&result, samples.rows(), model.output_shape(), &y)?;
    Ok(result)
}

/// Where the results of files lie that are named from the root.
const ABSOLUTE: &str = "absolute";

/// Below the folder as the chunk is below where the program runs, or in a folder of its own as it is below the root: no
/// two chunks have one result.
fn place(folder: &Path, chunk: &Path) -> Result<PathBuf> {
    let refuse = |problem: &str| Err(format!("{}: {problem}", chunk.display()).into());
    let mut place = folder.to_path_buf();
    if chunk.is_absolute() {
        place.push(ABSOLUTE);
    } else if chunk.components().find(|part| *part != Component::CurDir)
        == Some(Component::Normal(ABSOLUTE.as_ref()))
    {
        return refuse(
            "below the folder of results, that name is for files that are named from the root",
        );
    }
    for part in chunk.components() {
        match part {
            Component::Normal(name) => place.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return refuse("a chunk is named from here on, or from the root, without ..");
            }
        }
    }
    Ok(place)
}
