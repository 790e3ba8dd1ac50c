use crate::Result;
use crate::ops::require;

/// How gradients change weights.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Optimizer {
    /// Adam.
    Adam(Adam),
    /// Stochastic gradient descent.
    Sgd(Sgd),
}

/// Adam (Kingma and Ba 2015, arXiv 1412.6980), with Keras's defaults.
///
/// m += (g − m)(1 − β₁), v += (g² − v)(1 − β₂), w −= η √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε), with
/// t = 1 in the first step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// η, 0.001.
    pub learning_rate: f64,
    /// β₁, 0.9.
    pub beta_1: f64,
    /// β₂, 0.999.
    pub beta_2: f64,
    /// ε, 10⁻⁷.
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            learning_rate: 0.001,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-7,
        }
    }
}

impl Adam {
    /// With this learning rate, the rest by default.
    pub fn new(learning_rate: f64) -> Self {
        Self {
            learning_rate,
            ..Self::default()
        }
    }
}

/// Stochastic gradient descent with momentum, with Keras's defaults.
///
/// velocity = momentum · velocity − η g, w += velocity; with Nesterov's momentum
/// w += momentum · velocity − η g.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// η, 0.01.
    pub learning_rate: f64,
    /// 0
    pub momentum: f64,
    /// `false`
    pub nesterov: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            learning_rate: 0.01,
            momentum: 0.0,
            nesterov: false,
        }
    }
}

impl Sgd {
    /// With this learning rate, the rest by default.
    pub fn new(learning_rate: f64) -> Self {
        Self {
            learning_rate,
            ..Self::default()
        }
    }

    /// With this momentum.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// With Nesterov's momentum, or without.
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }
}

impl From<Adam> for Optimizer {
    fn from(adam: Adam) -> Self {
        Self::Adam(adam)
    }
}

impl From<Sgd> for Optimizer {
    fn from(sgd: Sgd) -> Self {
        Self::Sgd(sgd)
    }
}

impl Optimizer {
    /// What it keeps of each weight, as Keras calls it.
    pub(crate) fn slots(&self) -> &'static [&'static str] {
        match self {
            Self::Adam(_) => &["momentum", "velocity"],
            Self::Sgd(sgd) if sgd.momentum == 0.0 => &[],
            Self::Sgd(_) => &["momentum"],
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Adam(_) => "adam",
            Self::Sgd(_) => "sgd",
        }
    }

    /// The learning rate of step `step`, counted from 0, with Adam's corrections.
    pub(crate) fn rate(&self, step: u64) -> f32 {
        match self {
            Self::Sgd(sgd) => sgd.learning_rate as f32,
            Self::Adam(adam) => {
                let t = (step + 1) as f64;
                let correction = (1.0 - adam.beta_2.powf(t)).sqrt() / (1.0 - adam.beta_1.powf(t));
                (adam.learning_rate * correction) as f32
            }
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let op = self.name();
        let finite = |name, value: f64| require(op, name, value, value.is_finite(), "finite");
        let below_1 = |name, value: f64| {
            let allowed = (0.0..1.0).contains(&value);
            require(op, name, value, allowed, "at least 0 and below 1")
        };
        match self {
            Self::Adam(adam) => {
                finite("learning_rate", adam.learning_rate)?;
                below_1("beta_1", adam.beta_1)?;
                below_1("beta_2", adam.beta_2)?;
                let allowed = (f32::MIN_POSITIVE..=f32::MAX).contains(&(adam.epsilon as f32));
                let rule = "above 0, and a normal f32";
                require(op, "epsilon", adam.epsilon, allowed, rule)?;
            }
            Self::Sgd(sgd) => {
                finite("learning_rate", sgd.learning_rate)?;
                below_1("momentum", sgd.momentum)?;
            }
        }
        Ok(())
    }
}

/// What training makes small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// −Σ tⱼ log pⱼ over the last axis, on average over everything else. Computed from the logits: the
    /// inputs of the softmax that the network must end with, or its outputs if its last activation is
    /// linear.
    CategoricalCrossentropy,
    /// The mean of (y − t)².
    MeanSquaredError,
}
