//! The learning rate: a number, or a schedule, with Keras's names.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use super::settings::is_f32;
use crate::ops::require;
use crate::{Error, Result};

/// The learning rate η, as a function of the optimizer's steps. It is computed on the host, step by step:
/// a change compiles nothing.
///
/// ```
/// use selfnorm::nn::{Adam, CosineDecay, LearningRate};
///
/// let adam = Adam::new(CosineDecay::new(0.0, 900).warmup(0.001, 100));
/// assert_eq!(adam.learning_rate.at(50), 0.0005);
/// let adam = Adam::new(LearningRate::custom(|step| 0.01 / (1.0 + step as f64).sqrt()));
/// assert_eq!(adam.learning_rate.at(3), 0.005);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LearningRate {
    /// The same in each step.
    Constant(f64),
    /// Falls by a factor.
    ExponentialDecay(ExponentialDecay),
    /// Falls along a cosine.
    CosineDecay(CosineDecay),
    /// A number for each run of steps.
    PiecewiseConstantDecay(PiecewiseConstantDecay),
    /// A function of the step.
    Custom(CustomLearningRate),
}

/// η = initial_learning_rate · decay_rate^(step / decay_steps).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExponentialDecay {
    /// η of step 0.
    pub initial_learning_rate: f64,
    /// The steps in which η changes by the factor `decay_rate`.
    pub decay_steps: u64,
    /// The factor.
    pub decay_rate: f64,
    /// Whether step / decay_steps is rounded down, `false`.
    pub staircase: bool,
}

/// η = η₀ · ((1 − alpha) · (1 + cos(π · step / decay_steps)) / 2 + alpha), and η₀ · alpha after
/// decay_steps (Loshchilov and Hutter 2017, arXiv 1608.03983).
///
/// η₀ is `initial_learning_rate`. With a warm-up, η first rises from there to `warmup_target` in
/// `warmup_steps` on a straight line; then η₀ is the target, and the decay's steps count from there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineDecay {
    /// η of step 0.
    pub initial_learning_rate: f64,
    /// The steps of the decay.
    pub decay_steps: u64,
    /// The share of η₀ that is left at the end, 0.
    pub alpha: f64,
    /// η at the end of the warm-up: none, so there is no warm-up.
    pub warmup_target: Option<f64>,
    /// The steps of the warm-up, 0.
    pub warmup_steps: u64,
}

/// η = the first of the values up to, and with, the step that is the first of the boundaries; the second
/// value up to the second boundary; and so on. There is one value more than there are boundaries.
#[derive(Clone, Debug, PartialEq)]
pub struct PiecewiseConstantDecay {
    /// The last steps of the runs, in ascending order.
    pub boundaries: Vec<u64>,
    /// η in each of the runs.
    pub values: Vec<f64>,
}

/// A function of the step. Two are equal if they are clones of one.
#[derive(Clone)]
pub struct CustomLearningRate(Option<Function>);

/// None is one that a file could not hold.
type Function = Arc<dyn Fn(u64) -> f64 + Send + Sync>;

impl Debug for CustomLearningRate {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        f.write_str("CustomLearningRate")
    }
}

impl PartialEq for CustomLearningRate {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(this), Some(other)) => Arc::ptr_eq(this, other),
            (this, other) => this.is_none() && other.is_none(),
        }
    }
}

impl ExponentialDecay {
    /// A decay by the factor `decay_rate` every `decay_steps`.
    pub fn new(initial_learning_rate: f64, decay_steps: u64, decay_rate: f64) -> Self {
        Self {
            initial_learning_rate,
            decay_steps,
            decay_rate,
            staircase: false,
        }
    }

    /// In one jump every `decay_steps`, or a little each step.
    pub fn staircase(mut self, staircase: bool) -> Self {
        self.staircase = staircase;
        self
    }

    fn at(&self, step: u64) -> f64 {
        let mut power = step as f64 / self.decay_steps as f64;
        if self.staircase {
            power = power.floor();
        }
        self.initial_learning_rate * self.decay_rate.powf(power)
    }
}

impl CosineDecay {
    /// A decay to 0 in `decay_steps`.
    pub fn new(initial_learning_rate: f64, decay_steps: u64) -> Self {
        Self {
            initial_learning_rate,
            decay_steps,
            alpha: 0.0,
            warmup_target: None,
            warmup_steps: 0,
        }
    }

    /// Down to this share of the rate that the decay begins with.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// After `warmup_steps` in which the rate rises to `warmup_target`.
    pub fn warmup(mut self, warmup_target: f64, warmup_steps: u64) -> Self {
        self.warmup_target = Some(warmup_target);
        self.warmup_steps = warmup_steps;
        self
    }

    fn at(&self, step: u64) -> f64 {
        let initial = self.initial_learning_rate;
        let (from, step) = match self.warmup_target {
            Some(target) if step < self.warmup_steps => {
                let done = step as f64 / self.warmup_steps as f64;
                return (target - initial) * done + initial;
            }
            Some(target) => (target, step - self.warmup_steps),
            None => (initial, step),
        };
        let done = step.min(self.decay_steps) as f64 / self.decay_steps as f64;
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
        from * ((1.0 - self.alpha) * cosine + self.alpha)
    }
}

impl PiecewiseConstantDecay {
    /// The first of `values` up to step `boundaries[0]`, the second from the step after it, and so on.
    pub fn new(boundaries: impl Into<Vec<u64>>, values: impl Into<Vec<f64>>) -> Self {
        Self {
            boundaries: boundaries.into(),
            values: values.into(),
        }
    }

    fn at(&self, step: u64) -> f64 {
        let run = self.boundaries.partition_point(|&last| last < step);
        // Checked before any step: there is a value for each run.
        self.values.get(run).copied().unwrap_or(f64::NAN)
    }

    fn check(&self) -> Result<()> {
        let wrong = |detail| {
            let op = "piecewise_constant_decay";
            Err(Error::Data { op, detail })
        };
        let (boundaries, values) = (self.boundaries.len(), self.values.len());
        if values != boundaries + 1 {
            return wrong(format!(
                "{boundaries} boundaries need {} values, there are {values}",
                boundaries + 1
            ));
        }
        if let Some(pair) = self.boundaries.windows(2).find(|pair| pair[0] >= pair[1]) {
            return wrong(format!(
                "boundaries must ascend, {} comes before {}",
                pair[0], pair[1]
            ));
        }
        Ok(())
    }
}

impl From<f64> for LearningRate {
    fn from(rate: f64) -> Self {
        Self::Constant(rate)
    }
}

impl From<ExponentialDecay> for LearningRate {
    fn from(decay: ExponentialDecay) -> Self {
        Self::ExponentialDecay(decay)
    }
}

impl From<CosineDecay> for LearningRate {
    fn from(decay: CosineDecay) -> Self {
        Self::CosineDecay(decay)
    }
}

impl From<PiecewiseConstantDecay> for LearningRate {
    fn from(decay: PiecewiseConstantDecay) -> Self {
        Self::PiecewiseConstantDecay(decay)
    }
}

impl LearningRate {
    /// A function of the step, counted from 0. A file can't hold it: compile the network that reads a
    /// checkpoint with the function, and give it to a network that is opened, before you train it.
    pub fn custom(rate: impl Fn(u64) -> f64 + Send + Sync + 'static) -> Self {
        Self::Custom(CustomLearningRate(Some(Arc::new(rate))))
    }

    /// The function that a file could not hold.
    pub(super) fn lost() -> Self {
        Self::Custom(CustomLearningRate(None))
    }

    pub(super) fn is_lost(&self) -> bool {
        *self == Self::lost()
    }

    /// η of a step of the optimizer, counted from 0. NaN for a function that a file could not hold.
    pub fn at(&self, step: u64) -> f64 {
        match self {
            Self::Constant(rate) => *rate,
            Self::ExponentialDecay(decay) => decay.at(step),
            Self::CosineDecay(decay) => decay.at(step),
            Self::PiecewiseConstantDecay(decay) => decay.at(step),
            Self::Custom(CustomLearningRate(rate)) => {
                rate.as_ref().map_or(f64::NAN, |rate| rate(step))
            }
        }
    }

    /// As in [`Error::Parameter`], and in checkpoints.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Constant(_) => "constant",
            Self::ExponentialDecay(_) => "exponential_decay",
            Self::CosineDecay(_) => "cosine_decay",
            Self::PiecewiseConstantDecay(_) => "piecewise_constant_decay",
            Self::Custom(_) => "custom",
        }
    }

    /// An error if a parameter is not allowed; `optimizer` is whose rate it is.
    pub(super) fn check(&self, optimizer: &'static str) -> Result<()> {
        let op = self.name();
        let rule = "at least 0, and a finite f32";
        let rate = |op, name, value| require(op, name, value, is_f32(value), rule);
        let at_least_1 =
            |name, steps: u64| require(op, name, steps as f64, steps > 0, "at least 1");
        match self {
            Self::Constant(value) => {
                rate(optimizer, "learning_rate", *value)?;
            }
            Self::ExponentialDecay(decay) => {
                rate(op, "initial_learning_rate", decay.initial_learning_rate)?;
                rate(op, "decay_rate", decay.decay_rate)?;
                at_least_1("decay_steps", decay.decay_steps)?;
            }
            Self::CosineDecay(decay) => {
                rate(op, "initial_learning_rate", decay.initial_learning_rate)?;
                rate(op, "alpha", decay.alpha)?;
                rate(op, "warmup_target", decay.warmup_target.unwrap_or(0.0))?;
                at_least_1("decay_steps", decay.decay_steps)?;
            }
            Self::PiecewiseConstantDecay(decay) => {
                decay.check()?;
                for &value in &decay.values {
                    rate(op, "values", value)?;
                }
            }
            Self::Custom(_) => {}
        }
        Ok(())
    }
}
