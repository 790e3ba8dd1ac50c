//! A contestant in a process of its own: one that may crash, or that is no Rust.
//!
//! Its last argument is the folder of the inputs, `0.f32`, `1.f32` and so on. It answers each line that it
//! reads with one: `output FILE`, when it has written its result to the file, with `done`; `turn N`, when
//! it has run N times, with the nanoseconds that a run took.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::{Contestant, Result};

/// For an answer.
const LIMIT: Duration = Duration::from_secs(300);
/// Threads of a pool look for more work for a while, which is not to be at another's cost.
const PAUSE: Duration = Duration::from_millis(50);

pub struct Process {
    child: Child,
    answers: Receiver<String>,
    output: PathBuf,
}

impl Process {
    pub fn boxed(
        command: &mut Command,
        folder: &Path,
        inputs: &[Vec<f32>],
    ) -> Result<Box<dyn Contestant>> {
        for (i, values) in inputs.iter().enumerate() {
            write(&folder.join(format!("{i}.f32")), values)?;
        }
        let mut child = command
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (sender, answers) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stdout).lines().map_while(|line| line.ok());
                lines.try_for_each(|line| sender.send(line))
            });
        }
        Ok(Box::new(Self {
            child,
            answers,
            output: folder.join("output.f32"),
        }))
    }

    fn ask(&mut self, question: &str) -> Result<String> {
        if let Some(stdin) = &mut self.child.stdin {
            // Where nobody reads any more, there is no answer either.
            writeln!(stdin, "{question}").ok();
        }
        match self.answers.recv_timeout(LIMIT) {
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Timeout) => Err(format!("not done after {LIMIT:?}").into()),
            Err(RecvTimeoutError::Disconnected) => {
                Err(format!("crashes ({})", self.child.wait()?).into())
            }
        }
    }
}

impl Contestant for Process {
    fn turn(&mut self, repeats: u32) -> Result<Duration> {
        let nanoseconds = self.ask(&format!("turn {repeats}"))?.parse()?;
        std::thread::sleep(PAUSE);
        Ok(Duration::from_nanos(nanoseconds))
    }

    fn output(&mut self) -> Result<Vec<f32>> {
        let question = format!("output {}", self.output.display());
        self.ask(&question)?;
        read(&self.output)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The other side: answers until there are no more questions.
pub fn serve(contestant: &mut dyn Contestant) -> Result<()> {
    for line in std::io::stdin().lines() {
        let line = line?;
        match line.split_once(' ') {
            Some(("turn", repeats)) => {
                println!("{}", contestant.turn(repeats.parse()?)?.as_nanos());
            }
            Some(("output", file)) => {
                write(Path::new(file), &contestant.output()?)?;
                println!("done");
            }
            _ => return Err(format!("no such question: {line}").into()),
        }
    }
    Ok(())
}

/// What the other side was given.
pub fn inputs(folder: &Path) -> Result<Vec<Vec<f32>>> {
    (0..)
        .map(|i| folder.join(format!("{i}.f32")))
        .take_while(|file| file.exists())
        .map(|file| read(&file))
        .collect()
}

fn write(file: &Path, values: &[f32]) -> Result<()> {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    Ok(fs::write(file, bytes)?)
}

fn read(file: &Path) -> Result<Vec<f32>> {
    let bytes = fs::read(file)?;
    let (values, _) = bytes.as_chunks();
    Ok(values
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect())
}
