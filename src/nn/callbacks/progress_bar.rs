use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use indicatif::{ProgressDrawTarget, ProgressStyle};

use super::Callback;
use crate::Result;
use crate::nn::training::{BatchEnd, EpochEnd, EpochScores, Score};

/// Shows the training on the terminal, as Keras does: for each epoch a bar with the time left, the time of a
/// step, loss and accuracy, then a line that stays. Needs the crate's feature `progress-bar`.
///
/// ```
/// # fn main() -> selfnorm::Result<()> {
/// # let gpu = selfnorm::Gpu::new()?;
/// use selfnorm::nn::{Activation::Softmax, Dataset, Dense, Fit, ProgressBar, Sequential};
///
/// # let data = Dataset::from_floats(&gpu, &[0.0, 1.0, 1.0, 0.0], [2])?.classes(&[0, 1])?;
/// let mut model = Sequential::new([2]).add(Dense::new(2).activation(Softmax)).build(&gpu, 42)?;
/// let (fit, mut bar) = (Fit::default().epochs(3), ProgressBar::new());
/// model.fit_with(&data, &fit, |mut progress| progress.notify(&mut [&mut bar]))?;
/// # Ok(())
/// # }
/// ```
///
/// It writes to the standard output, and only the lines that stay if that is no terminal. The score of an epoch
/// that is not over is read four times a second, since reading it means waiting for the GPU.
#[derive(Debug)]
#[must_use]
pub struct ProgressBar {
    one_line: bool,
    bar: indicatif::ProgressBar,
    start: Instant,
    asked: Instant,
    /// The steps since `start`.
    steps: usize,
    /// Of the epoch before, in a single line.
    last: String,
}

/// Reading the score means waiting for the GPU, so it is read no more often than this.
const INTERVAL: Duration = Duration::from_millis(250);

const WIDTH: usize = 20;

impl Default for ProgressBar {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            one_line: false,
            bar: indicatif::ProgressBar::hidden(),
            start: now,
            asked: now,
            steps: 0,
            last: String::new(),
        }
    }
}

impl ProgressBar {
    /// A bar and a line for each epoch.
    pub fn new() -> Self {
        Self::default()
    }

    /// A single bar for all epochs, with the scores of the last one, for trainings of many short epochs.
    pub fn one_line(mut self) -> Self {
        self.one_line = true;
        self
    }

    /// Begins to count, to `len` if that is known.
    fn begin(&mut self, len: Option<usize>, unit: &str) {
        (self.start, self.steps) = (Instant::now(), 0);
        self.asked = self.start;
        if std::io::stdout().is_terminal() {
            let target = ProgressDrawTarget::stdout();
            self.bar = indicatif::ProgressBar::with_draw_target(len.map(|len| len as u64), target);
            self.bar.set_style(style(len, unit));
        }
    }

    /// Leaves a line in place of the bar.
    fn leave(&self, line: &str) {
        self.bar.finish_and_clear();
        say(line);
    }

    fn per_step(&self) -> Duration {
        self.start.elapsed() / self.steps.max(1) as u32
    }
}

impl Callback for ProgressBar {
    fn on_batch_end(&mut self, end: &mut BatchEnd) -> Result<ControlFlow<()>> {
        if end.batch == 1 && !self.one_line {
            say(&format!("Epoch {}/{}", end.epoch, end.epochs));
            self.begin(end.batches, "");
        }
        if self.one_line && end.batch == 1 && end.epoch == 1 {
            self.begin(Some(end.epochs), "epoch ");
        }
        self.steps += 1;
        if self.one_line || self.bar.is_hidden() {
            return Ok(ControlFlow::Continue(()));
        }
        self.bar.set_position(end.batch as u64);
        if is_due(self.asked.elapsed(), end.batch, end.batches) {
            let score = end.score()?;
            self.asked = Instant::now();
            let step = self.per_step();
            let left = end
                .batches
                .map(|batches| step * (batches - end.batch) as u32);
            let left = left.map(clock).unwrap_or_default();
            let message = format!("{left} {} - {}", time(step), scores("", score));
            self.bar.set_message(message);
        }
        Ok(ControlFlow::Continue(()))
    }

    fn on_epoch_end(&mut self, end: &mut EpochEnd) -> Result<ControlFlow<()>> {
        let took = self.start.elapsed();
        let rest = format!("{} - {}", time(self.per_step()), both(&end.scores));
        let full = "━".repeat(WIDTH);
        if !self.one_line {
            let (steps, seconds) = (self.steps, took.as_secs_f64());
            self.leave(&format!("{steps}/{steps} {full} {seconds:.0}s {rest}"));
            return Ok(ControlFlow::Continue(()));
        }
        let left = took / end.epoch as u32 * (end.epochs - end.epoch) as u32;
        self.bar.set_position(end.epoch as u64);
        self.bar.set_message(format!("{} {rest}", clock(left)));
        let (epoch, epochs, seconds) = (end.epoch, end.epochs, took.as_secs_f64());
        self.last = format!("epoch {epoch}/{epochs} {seconds:.0}s {rest}");
        Ok(ControlFlow::Continue(()))
    }

    fn on_train_end(&mut self) -> Result<()> {
        self.bar.finish_and_clear();
        let last = std::mem::take(&mut self.last);
        if !last.is_empty() {
            self.leave(&last);
        }
        Ok(())
    }
}

fn style(len: Option<usize>, unit: &str) -> ProgressStyle {
    let bar = match len.map(|len| len.to_string().len()) {
        Some(digits) => format!("{{pos:>{digits}}}/{{len}} {{bar:{WIDTH}.green/black.bright}}"),
        None => "{pos} {spinner}".into(),
    };
    let bar = format!("{unit}{bar} {{wide_msg}}");
    ProgressStyle::with_template(&bar)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸━")
}

/// Whether a step's score is read, for which the GPU is waited for: now and then, and that of the last step, which
/// stands while the validation runs. Batches from the host may not say which is the last.
fn is_due(since: Duration, batch: usize, batches: Option<usize>) -> bool {
    since >= INTERVAL || batches == Some(batch)
}

/// Prints a line. Nobody may be there to read it.
fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").ok();
}

/// The time left.
fn clock(left: Duration) -> String {
    let seconds = left.as_secs_f64().round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn time(step: Duration) -> String {
    match step.as_secs_f64() {
        s if s >= 1.0 => format!("{s:.2}s/step"),
        s if s >= 1e-3 => format!("{:.0}ms/step", s * 1e3),
        s => format!("{:.0}µs/step", s * 1e6),
    }
}

fn both(scored: &EpochScores) -> String {
    let validation = scored.validation.map(|score| scores("val_", score));
    let validation = validation.map_or(String::new(), |scores| format!(" - {scores}"));
    scores("", scored.training) + &validation
}

fn scores(prefix: &str, score: Score) -> String {
    let mut text = format!("{prefix}loss: {:.4}", score.loss);
    let metrics = [
        ("accuracy", score.accuracy),
        ("mean_absolute_error", score.mean_absolute_error),
    ];
    for (name, value) in metrics {
        if let Some(value) = value {
            text += &format!(" - {prefix}{name}: {value:.4}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gpu_is_waited_for_four_times_a_second_and_at_the_last_step() {
        let [soon, late] = [249, 250].map(Duration::from_millis);
        assert!(!is_due(soon, 1, Some(2)) && is_due(soon, 2, Some(2)));
        assert!(!is_due(soon, 1, None) && !is_due(soon, 2, None));
        assert!(is_due(late, 1, Some(2)) && is_due(late, 1, None));
    }
}
