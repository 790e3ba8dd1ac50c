//! Shows training as Keras does: for each epoch a bar with the time left, the time per step, loss
//! and accuracy; then a line that stays.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use selfnorm::Result;
use selfnorm::nn::{BatchEnd, Dataset, EpochEnd, Fit, History, Progress, Score, Sequential};

/// Reading the score means waiting for the GPU, so it is read no more often than this.
const INTERVAL: Duration = Duration::from_millis(250);

/// [`Sequential::fit`] with a progress bar. If the output is not a terminal, it prints only the
/// lines that stay.
pub fn fit(model: &mut Sequential, data: &Dataset, fit: &Fit) -> Result<History> {
    let mut epoch = Epoch::new();
    let history = model.fit_with(data, fit, |progress| {
        match progress {
            Progress::Batch(mut end) => epoch.batch(&mut end)?,
            Progress::Epoch(end) => {
                epoch.end(&end);
                epoch = Epoch::new();
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    });
    epoch.bar.finish_and_clear();
    history
}

struct Epoch {
    bar: ProgressBar,
    steps: usize,
    start: Instant,
    asked: Instant,
}

impl Epoch {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            bar: ProgressBar::hidden(),
            steps: 0,
            start: now,
            asked: now,
        }
    }

    fn batch(&mut self, end: &mut BatchEnd) -> Result<()> {
        self.steps = end.batch;
        // A data set knows.
        let batches = end.batches.unwrap_or(end.batch);
        if end.batch == 1 {
            println!("Epoch {}/{}", end.epoch, end.epochs);
            if std::io::stdout().is_terminal() {
                self.bar = bar(batches);
            }
        }
        self.bar.set_position(end.batch as u64);
        // The last step's score stands while the validation runs.
        let ask = self.asked.elapsed() >= INTERVAL || end.batch == batches;
        if ask && !self.bar.is_hidden() {
            let score = end.score()?;
            self.asked = Instant::now();
            let step = self.start.elapsed() / end.batch as u32;
            let left = (step * (batches - end.batch) as u32).as_secs_f64().round() as u64;
            self.bar.set_message(format!(
                "{}:{:02} {} - {}",
                left / 60,
                left % 60,
                per_step(step),
                scores("", score)
            ));
        }
        Ok(())
    }

    fn end(&self, end: &EpochEnd) {
        self.bar.finish_and_clear();
        let time = self.start.elapsed();
        let validation = end.scores.validation.map(|score| scores("val_", score));
        println!(
            "{0}/{0} {1} {2:.0}s {3} - {4}{5}",
            self.steps,
            "━".repeat(WIDTH),
            time.as_secs_f64(),
            per_step(time / self.steps.max(1) as u32),
            scores("", end.scores.training),
            validation.map_or(String::new(), |scores| format!(" - {scores}")),
        );
    }
}

const WIDTH: usize = 20;

fn bar(steps: usize) -> ProgressBar {
    let digits = steps.to_string().len();
    let template = format!("{{pos:>{digits}}}/{{len}} {{bar:{WIDTH}.green/black.bright}} {{msg}}");
    let style = ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸━");
    ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stdout())
        .with_style(style)
}

fn per_step(step: Duration) -> String {
    match step.as_secs_f64() {
        s if s >= 1.0 => format!("{s:.2}s/step"),
        s if s >= 1e-3 => format!("{:.0}ms/step", s * 1e3),
        s => format!("{:.0}µs/step", s * 1e6),
    }
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
