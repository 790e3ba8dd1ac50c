//! Optimizers as text, for files.

use serde_json::{Map, Value, json};

use super::{
    Adam, CosineDecay, ExponentialDecay, LearningRate, Optimizer, PiecewiseConstantDecay, Sgd,
};

const CUSTOM: &str = "custom";

type Result<T> = std::result::Result<T, String>;

impl Optimizer {
    /// All of it, with numbers that read back exactly. A function as the learning rate is "custom".
    pub(crate) fn to_json(&self) -> String {
        let settings = self.settings();
        let mut all = json!({
            "optimizer": self.name(),
            "learning_rate": rate_to_json(settings.learning_rate),
            "weight_decay": settings.weight_decay,
            "clipnorm": settings.clipnorm,
            "global_clipnorm": settings.global_clipnorm,
            "clipvalue": settings.clipvalue,
        });
        match self {
            Self::Adam(adam) => {
                all["beta_1"] = adam.beta_1.into();
                all["beta_2"] = adam.beta_2.into();
                all["epsilon"] = adam.epsilon.into();
            }
            Self::Sgd(sgd) => {
                all["momentum"] = sgd.momentum.into();
                all["nesterov"] = sgd.nesterov.into();
            }
        }
        all.to_string()
    }

    /// The optimizer of [`to_json`](Self::to_json), or what is wrong with it. If the network is
    /// `compiled`, it must be of that kind, and a custom learning rate is that one's; otherwise it is lost.
    pub(crate) fn from_json(text: &str, compiled: Option<&Self>) -> Result<Self> {
        let value =
            serde_json::from_str(text).map_err(|problem| format!("the optimizer: {problem}"))?;
        let mut fields = Fields::of("the optimizer", value)?;
        let name = fields.text("optimizer")?;
        if let Some(compiled) = compiled.map(Self::name).filter(|&kind| kind != name) {
            return Err(format!(
                "a checkpoint of {name}, the network is compiled for {compiled}"
            ));
        }
        let learning_rate = rate_from_json(fields.take("learning_rate")?, compiled)?;
        let weight_decay = fields.number("weight_decay")?;
        let clipnorm = fields.optional("clipnorm")?;
        let global_clipnorm = fields.optional("global_clipnorm")?;
        let clipvalue = fields.optional("clipvalue")?;
        let optimizer = match name.as_str() {
            "adam" => Self::Adam(Adam {
                learning_rate,
                beta_1: fields.number("beta_1")?,
                beta_2: fields.number("beta_2")?,
                epsilon: fields.number("epsilon")?,
                weight_decay,
                clipnorm,
                global_clipnorm,
                clipvalue,
            }),
            "sgd" => Self::Sgd(Sgd {
                learning_rate,
                momentum: fields.number("momentum")?,
                nesterov: fields.truth("nesterov")?,
                weight_decay,
                clipnorm,
                global_clipnorm,
                clipvalue,
            }),
            _ => return Err(format!("{name:?} is not an optimizer of this version")),
        };
        fields.end()?;
        let stored = optimizer.slots();
        if let Some(needed) = compiled.map(Self::slots).filter(|&needed| needed != stored) {
            return Err(format!(
                "a checkpoint with {stored:?} for each weight, the compiled {name} needs {needed:?}"
            ));
        }
        optimizer.check().map_err(|problem| problem.to_string())?;
        Ok(optimizer)
    }
}

fn rate_to_json(rate: &LearningRate) -> Value {
    let mut all = match rate {
        LearningRate::Constant(rate) => return (*rate).into(),
        LearningRate::Custom(_) => return CUSTOM.into(),
        LearningRate::ExponentialDecay(decay) => json!({
            "initial_learning_rate": decay.initial_learning_rate,
            "decay_steps": decay.decay_steps,
            "decay_rate": decay.decay_rate,
            "staircase": decay.staircase,
        }),
        LearningRate::CosineDecay(decay) => json!({
            "initial_learning_rate": decay.initial_learning_rate,
            "decay_steps": decay.decay_steps,
            "alpha": decay.alpha,
            "warmup_target": decay.warmup_target,
            "warmup_steps": decay.warmup_steps,
        }),
        LearningRate::PiecewiseConstantDecay(decay) => json!({
            "boundaries": decay.boundaries,
            "values": decay.values,
        }),
    };
    all["schedule"] = rate.name().into();
    all
}

fn rate_from_json(value: Value, compiled: Option<&Optimizer>) -> Result<LearningRate> {
    if let Some(rate) = value.as_f64() {
        return Ok(rate.into());
    }
    if value == CUSTOM {
        return match compiled.map(Optimizer::learning_rate) {
            Some(custom @ LearningRate::Custom(_)) => Ok(custom.clone()),
            None => Ok(LearningRate::lost()),
            Some(_) => Err(
                "its learning rate is a function of the step, which a file can't hold; compile the network with one"
                    .into(),
            ),
        };
    }
    let mut fields = Fields::of("learning_rate", value)?;
    let schedule = fields.text("schedule")?;
    let rate = match schedule.as_str() {
        "exponential_decay" => ExponentialDecay {
            initial_learning_rate: fields.number("initial_learning_rate")?,
            decay_steps: fields.count("decay_steps")?,
            decay_rate: fields.number("decay_rate")?,
            staircase: fields.truth("staircase")?,
        }
        .into(),
        "cosine_decay" => CosineDecay {
            initial_learning_rate: fields.number("initial_learning_rate")?,
            decay_steps: fields.count("decay_steps")?,
            alpha: fields.number("alpha")?,
            warmup_target: fields.optional("warmup_target")?,
            warmup_steps: fields.count("warmup_steps")?,
        }
        .into(),
        "piecewise_constant_decay" => PiecewiseConstantDecay {
            boundaries: fields.list("boundaries", Value::as_u64)?,
            values: fields.list("values", Value::as_f64)?,
        }
        .into(),
        _ => return Err(format!("{schedule:?} is not a schedule of this version")),
    };
    fields.end()?;
    Ok(rate)
}

/// The fields of an object that are yet to be read.
struct Fields {
    of: &'static str,
    left: Map<String, Value>,
}

impl Fields {
    fn of(of: &'static str, value: Value) -> Result<Self> {
        match value {
            Value::Object(left) => Ok(Self { of, left }),
            _ => Err(format!("{of} is {value}, not an object")),
        }
    }

    fn take(&mut self, name: &str) -> Result<Value> {
        let missing = || format!("{} has no {name}", self.of);
        self.left.remove(name).ok_or_else(missing)
    }

    fn read<T>(&mut self, name: &str, what: &str, read: impl Fn(&Value) -> Option<T>) -> Result<T> {
        let value = self.take(name)?;
        read(&value).ok_or_else(|| format!("{name} of {} is {value}, not {what}", self.of))
    }

    fn number(&mut self, name: &str) -> Result<f64> {
        self.read(name, "a number", Value::as_f64)
    }

    fn optional(&mut self, name: &str) -> Result<Option<f64>> {
        self.read(name, "a number or null", |value| match value {
            Value::Null => Some(None),
            value => value.as_f64().map(Some),
        })
    }

    fn count(&mut self, name: &str) -> Result<u64> {
        self.read(name, "a number of steps", Value::as_u64)
    }

    fn truth(&mut self, name: &str) -> Result<bool> {
        self.read(name, "true or false", Value::as_bool)
    }

    fn text(&mut self, name: &str) -> Result<String> {
        self.read(name, "a text", |value| value.as_str().map(str::to_owned))
    }

    fn list<T>(&mut self, name: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>> {
        self.read(name, "a list of numbers", |value| {
            value.as_array()?.iter().map(&read).collect()
        })
    }

    /// An error if there is more.
    fn end(self) -> Result<()> {
        match self.left.keys().next() {
            Some(name) => Err(format!("{} has {name}, which it can't have", self.of)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::AdamW;
    use super::*;

    fn optimizers() -> Vec<Optimizer> {
        // Numbers that take all digits, and the smallest and largest.
        let warmup = CosineDecay::new(0.1 + 0.2, u64::MAX)
            .alpha(5e-324)
            .warmup(1.0 / 3.0, 7);
        vec![
            Adam::default().into(),
            Adam::new(1.0 / 3.0).clipnorm(0.1 + 0.2).into(),
            AdamW::new(warmup).global_clipnorm(1e30 / 3.0).into(),
            Sgd::new(0.0).into(),
            Sgd::new(CosineDecay::new(0.1, 3)).clipvalue(2.0).into(),
            Sgd::new(ExponentialDecay::new(0.7, 9, 0.96).staircase(true))
                .momentum(1.0 - f64::EPSILON)
                .nesterov(true)
                .weight_decay(1e-3)
                .into(),
            Sgd::new(PiecewiseConstantDecay::new(
                [3, u64::MAX],
                [0.1, 2.5e-5, 1e-300],
            ))
            .into(),
            Adam::new(PiecewiseConstantDecay::new([], [0.1])).into(),
        ]
    }

    #[test]
    fn what_is_written_reads_back_exactly() {
        for optimizer in optimizers() {
            let text = optimizer.to_json();
            let read = Optimizer::from_json(&text, Some(&optimizer));
            assert_eq!(read, Ok(optimizer), "{text}");
        }
        // Every third of 0.001 · 2⁻ⁿ: a parser that rounds twice misses some.
        for i in 0..2000 {
            let rate = (0.001 + f64::from(i)) / 3.0;
            let optimizer = Optimizer::from(Sgd::new(rate));
            let read = Optimizer::from_json(&optimizer.to_json(), None);
            assert_eq!(read, Ok(optimizer));
        }
    }

    #[test]
    fn a_function_is_the_compiled_one() {
        let custom = |factor: f64| LearningRate::custom(move |step| factor * step as f64);
        let written = Optimizer::from(Adam::new(custom(1.0)));
        let compiled = Optimizer::from(Adam {
            beta_1: 0.5,
            ..Adam::new(custom(2.0))
        });
        let read = Optimizer::from_json(&written.to_json(), Some(&compiled)).unwrap();
        assert_eq!(read.learning_rate(), compiled.learning_rate());
        assert_ne!(read.learning_rate(), written.learning_rate());
        assert_eq!(read, Adam::new(compiled.learning_rate().clone()).into());
        let error = Optimizer::from_json(&written.to_json(), Some(&Adam::default().into()));
        assert!(error.unwrap_err().contains("is a function of the step"));
        // A network that is opened has none, and is not trained without.
        let opened = Optimizer::from_json(&written.to_json(), None).unwrap();
        assert_eq!(opened.to_json(), written.to_json());
        let error = opened.rates(0).unwrap_err().to_string();
        assert!(
            error.contains("set_learning_rate before you train"),
            "{error}"
        );
    }

    #[test]
    fn another_text_is_an_error_that_says_why() {
        let adam = Optimizer::from(Adam::default());
        let text = adam.to_json();
        let other = |from: &str, to: &str| {
            assert!(text.contains(from), "{text}");
            text.replace(from, to)
        };
        for (text, expected) in [
            (
                "adam".into(),
                "the optimizer: expected value at line 1 column 1",
            ),
            ("[]".into(), "the optimizer is [], not an object"),
            (
                other(r#""adam""#, r#""sgd""#),
                "a checkpoint of sgd, the network is compiled for adam",
            ),
            (
                other(r#""epsilon""#, r#""other""#),
                "the optimizer has no epsilon",
            ),
            (
                other(r#""epsilon""#, r#""other":1,"epsilon""#),
                "the optimizer has other, which it can't have",
            ),
            (
                other("0.9,", "1.5,"),
                "adam: beta_1 is 1.5, must be at least 0 and below 1",
            ),
            (
                other("0.9,", "null,"),
                "beta_1 of the optimizer is null, not a number",
            ),
            (
                other(":0.001", r#":{"schedule":"linear"}"#),
                r#""linear" is not a schedule of this version"#,
            ),
            (
                other(":0.001", ":-0.001"),
                "adam: learning_rate is -0.001, must be at least 0, and a finite f32",
            ),
        ] {
            assert_eq!(
                Optimizer::from_json(&text, Some(&adam)),
                Err(expected.into())
            );
        }
        let (plain, momentum) = (Sgd::new(0.1), Sgd::new(0.1).momentum(0.9));
        let error = Optimizer::from_json(&Optimizer::from(plain).to_json(), Some(&momentum.into()));
        let expected =
            r#"a checkpoint with [] for each weight, the compiled sgd needs ["momentum"]"#;
        assert_eq!(error, Err(expected.into()));
    }
}
