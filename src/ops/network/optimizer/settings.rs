//! What all optimizers have: a learning rate, weight decay, and clipping.

use super::LearningRate;
use crate::ops::network::guard::Clip;
use crate::ops::require;
use crate::{Error, Result};

/// The settings of an optimizer that all have.
pub(super) struct Settings<'a> {
    pub learning_rate: &'a LearningRate,
    pub weight_decay: f64,
    pub clipnorm: Option<f64>,
    pub global_clipnorm: Option<f64>,
    pub clipvalue: Option<f64>,
}

impl Settings<'_> {
    pub fn check(&self, op: &'static str) -> Result<()> {
        self.learning_rate.check(op)?;
        let decay = self.weight_decay;
        let rule = "at least 0, and a finite f32";
        require(op, "weight_decay", decay, is_f32(decay), rule)?;
        let clips = [
            ("clipnorm", self.clipnorm),
            ("global_clipnorm", self.global_clipnorm),
            ("clipvalue", self.clipvalue),
        ];
        for (name, value) in clips {
            if let Some(value) = value {
                let allowed = (f32::MIN_POSITIVE..=f32::MAX).contains(&(value as f32));
                require(op, name, value, allowed, "above 0, and a normal f32")?;
            }
        }
        let set: Vec<_> = clips.iter().filter(|(_, value)| value.is_some()).collect();
        if let [(a, _), (b, _), ..] = set[..] {
            let detail = format!("{a} and {b} are both set; gradients are clipped in one way only");
            return Err(Error::Data { op, detail });
        }
        Ok(())
    }

    pub fn clip(&self) -> Clip {
        let norm = self.clipnorm.map(|limit| Clip::Norm(limit as f32));
        let global = self.global_clipnorm;
        let global = global.map(|limit| Clip::GlobalNorm(limit as f32));
        let value = self.clipvalue.map(|limit| Clip::Value(limit as f32));
        norm.or(global).or(value).unwrap_or(Clip::None)
    }

    /// The largest value of a gradient.
    pub fn largest_value(&self) -> f32 {
        match self.clip() {
            Clip::Value(limit) => limit,
            _ => f32::MAX,
        }
    }
}

/// Whether a number is at least 0, and finite as an f32.
pub(super) fn is_f32(value: f64) -> bool {
    value >= 0.0 && (value as f32).is_finite()
}

/// How they are set, for each optimizer.
macro_rules! settings {
    ($($optimizer:ident),+) => {$(
        impl $optimizer {
            /// With this learning rate, or [schedule](LearningRate), and the default for everything else.
            pub fn new(learning_rate: impl Into<LearningRate>) -> Self {
                Self {
                    learning_rate: learning_rate.into(),
                    ..Self::default()
                }
            }

            /// With weights that decay: w −= η · weight_decay · w before each update.
            pub fn weight_decay(mut self, weight_decay: f64) -> Self {
                self.weight_decay = weight_decay;
                self
            }

            /// With gradients whose norm, of each kernel and bias, is at most this.
            pub fn clipnorm(mut self, clipnorm: f64) -> Self {
                self.clipnorm = Some(clipnorm);
                self
            }

            /// With gradients whose norm, of all weights together, is at most this.
            pub fn global_clipnorm(mut self, global_clipnorm: f64) -> Self {
                self.global_clipnorm = Some(global_clipnorm);
                self
            }

            /// With gradients whose values are at most this in magnitude.
            pub fn clipvalue(mut self, clipvalue: f64) -> Self {
                self.clipvalue = Some(clipvalue);
                self
            }
        }
    )+};
}
pub(super) use settings;
