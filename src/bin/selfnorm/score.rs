//! Chunks of samples, each scored by itself, so that any number of these programs can share out the work.

use std::io::{BufRead, Write};
use std::path::{Component, Path, PathBuf};

use selfnorm::Gpu;
use selfnorm::nn::Sequential;

use crate::table::{self, Format};
use crate::{Result, model};

/// Scores each of `chunks`, or each that a line of the standard input names, and prints the names of the results. A
/// chunk that can't be scored keeps no other from it.
pub fn score(file: &Path, folder: &Path, chunks: Vec<PathBuf>) -> Result<()> {
    let model = model::open(&Gpu::new()?, file)?;
    let lines = std::io::stdin().lock().lines();
    let mut chunks: Box<dyn Iterator<Item = _>> = match chunks.is_empty() {
        false => Box::new(chunks.into_iter().map(Ok)),
        true => Box::new(lines.map(|line| line.map(PathBuf::from))),
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
    match failed {
        0 => Ok(()),
        failed => Err(format!("{failed} of {all} chunks have no result").into()),
    }
}

/// The file of a chunk's predictions: if it is there, it is complete, and stays.
fn score_chunk(model: &Sequential, folder: &Path, chunk: &Path) -> Result<PathBuf> {
    let result = place(folder, chunk)?;
    Format::of(chunk)?;
    if result.try_exists()? {
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

/// Below the folder as the chunk is below the root, or below where the program runs: no two chunks have one result.
fn place(folder: &Path, chunk: &Path) -> Result<PathBuf> {
    let mut place = folder.to_path_buf();
    for part in chunk.components() {
        match part {
            Component::Normal(name) => place.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                let problem = "a chunk is named from here on, or from the root, without ..";
                return Err(format!("{}: {problem}", chunk.display()).into());
            }
        }
    }
    Ok(place)
}
