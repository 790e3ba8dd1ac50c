//! Optimizers, schedules and losses as Keras writes them.

use serde_json::{Map, Value, json};

use super::super::fields::{Problems, refuse_others};
use crate::nn::losses::Ending;
use crate::nn::network::Network;
use crate::nn::{
    Adam, CosineDecay, ExponentialDecay, LearningRate, Loss, Optimizer, PiecewiseConstantDecay, Sgd,
};
use crate::ops::network::loss::Link;

/// What can't be carried.
type Result<T> = std::result::Result<T, String>;

/// What a model was compiled with.
pub(super) struct Compiled {
    pub optimizer: Optimizer,
    pub loss: Option<Loss>,
    /// Whether the optimizer is of Keras 2's older kind.
    pub is_older: bool,
}

/// What a model was compiled with: Keras 3's `compile_config`, or a legacy `training_config`.
pub(super) fn read(found: &Value, network: &Network) -> Result<Compiled> {
    let optimizer = found.get("optimizer").or(found.get("optimizer_config"));
    let optimizer = optimizer.ok_or("there is no optimizer")?;
    let is_older = optimizer["config"].get("decay").is_some();
    let weights = &found["loss_weights"];
    if !weights.is_null() && weights.as_f64() != Some(1.0) {
        return Err(format!("its loss has the weight {weights}"));
    }
    Ok(Compiled {
        optimizer: read_optimizer(optimizer)?,
        loss: read_loss(&found["loss"], network)?,
        is_older,
    })
}

/// An error for an object of a class that is not Keras's own.
fn check(found: &Value, what: &str) -> Result<()> {
    let mut problems = Problems::new();
    if let Some(object) = found.as_object() {
        refuse_others(object, what, &mut problems);
    }
    match problems.pop() {
        None => Ok(()),
        Some(problem) => Err(problem),
    }
}

fn read_optimizer(found: &Value) -> Result<Optimizer> {
    check(found, "the optimizer")?;
    let class = found["class_name"].as_str().unwrap_or_default();
    // Keras 2 calls its own so.
    let class = class.strip_prefix("Custom>").unwrap_or(class);
    let mut fields = Fields::of(class, &found["config"])?;
    let learning_rate = match fields.0.remove("learning_rate") {
        Some(rate) => read_rate(&rate)?,
        None => return Err(format!("{class} has no learning rate")),
    };
    let weight_decay = fields.number("weight_decay")?.unwrap_or(0.0);
    let [clipnorm, global_clipnorm, clipvalue] = [
        fields.number("clipnorm")?,
        fields.number("global_clipnorm")?,
        fields.number("clipvalue")?,
    ];
    let optimizer = match class {
        "Adam" | "AdamW" => {
            let usual = Adam::default();
            Optimizer::Adam(Adam {
                learning_rate,
                beta_1: fields.number("beta_1")?.unwrap_or(usual.beta_1),
                beta_2: fields.number("beta_2")?.unwrap_or(usual.beta_2),
                epsilon: fields.number("epsilon")?.unwrap_or(usual.epsilon),
                weight_decay,
                clipnorm,
                global_clipnorm,
                clipvalue,
            })
        }
        "SGD" => Optimizer::Sgd(Sgd {
            learning_rate,
            momentum: fields.number("momentum")?.unwrap_or(0.0),
            nesterov: fields.truth("nesterov"),
            weight_decay,
            clipnorm,
            global_clipnorm,
            clipvalue,
        }),
        _ => {
            return Err(format!(
                "the optimizer {class:?} is not one of this crate's"
            ));
        }
    };
    // What compiles it, and what means nothing as long as it is not used.
    for key in [
        "name",
        "jit_compile",
        "is_legacy_optimizer",
        "ema_momentum",
        "ema_overwrite_frequency",
    ] {
        fields.0.remove(key);
    }
    for (key, value) in fields.0 {
        let is_none = value.is_null() || value == false || value.as_f64() == Some(0.0);
        if !is_none {
            return Err(format!(
                "{class}'s {key} is {value}, which is not possible here"
            ));
        }
    }
    let checked = optimizer.check();
    checked.map_err(|problem| problem.to_string())?;
    Ok(optimizer)
}

fn read_rate(found: &Value) -> Result<LearningRate> {
    if let Some(rate) = found.as_f64() {
        return Ok(rate.into());
    }
    check(found, "the schedule")?;
    let class = found["class_name"].as_str().unwrap_or_default();
    let mut fields = Fields::of(class, &found["config"])?;
    let missing = |key: &str| format!("{class} has no {key}");
    let mut number = |key| fields.number(key)?.ok_or_else(|| missing(key));
    Ok(match class {
        "ExponentialDecay" => ExponentialDecay {
            initial_learning_rate: number("initial_learning_rate")?,
            decay_rate: number("decay_rate")?,
            decay_steps: steps(number("decay_steps")?)?,
            staircase: fields.truth("staircase"),
        }
        .into(),
        "CosineDecay" => CosineDecay {
            initial_learning_rate: number("initial_learning_rate")?,
            decay_steps: steps(number("decay_steps")?)?,
            alpha: fields.number("alpha")?.unwrap_or(0.0),
            warmup_target: fields.number("warmup_target")?,
            warmup_steps: steps(fields.number("warmup_steps")?.unwrap_or(0.0))?,
        }
        .into(),
        "PiecewiseConstantDecay" => {
            let mut list = |key: &str| {
                let found = fields.0.remove(key).unwrap_or_default();
                let numbers = found.as_array().into_iter().flatten();
                let numbers: Option<Vec<_>> = numbers.map(Value::as_f64).collect();
                numbers.ok_or_else(|| missing(key))
            };
            let boundaries = list("boundaries")?.into_iter().map(steps);
            PiecewiseConstantDecay {
                boundaries: boundaries.collect::<Result<_>>()?,
                values: list("values")?,
            }
            .into()
        }
        _ => return Err(format!("the schedule {class:?} is not one of this crate's")),
    })
}

/// A number of steps, which Keras may have as a fraction.
fn steps(number: f64) -> Result<u64> {
    let is_whole = number >= 0.0 && number.fract() == 0.0 && number <= 2f64.powi(53);
    match is_whole {
        true => Ok(number as u64),
        false => Err(format!("{number} is no number of steps")),
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    fn of(class: &str, config: &Value) -> Result<Self> {
        let config = config.as_object().cloned();
        config
            .map(Self)
            .ok_or_else(|| format!("{class:?} has no config"))
    }

    fn number(&mut self, key: &str) -> Result<Option<f64>> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let number = value.as_f64();
                let wrong = || format!("{key} is {value}, not a number");
                number.map(Some).ok_or_else(wrong)
            }
        }
    }

    fn truth(&mut self, key: &str) -> bool {
        self.0.remove(key) == Some(Value::Bool(true))
    }
}

fn read_loss(found: &Value, network: &Network) -> Result<Option<Loss>> {
    if found.is_null() {
        return Ok(None);
    }
    let unknown = || Err(format!("the loss {found} is not one of this crate's"));
    let (name, config) = match found {
        Value::String(name) => (&name[..], &Value::Null),
        found => match found["class_name"].as_str() {
            // Keras's own have no other module than a user's, and Keras goes by the name, too.
            Some("function") => (found["config"].as_str().unwrap_or_default(), &Value::Null),
            Some(class) => {
                check(found, "the loss")?;
                (class, &found["config"])
            }
            None => return unknown(),
        },
    };
    let number = |key: &str, usual: f64| match config.get(key) {
        None => Some(usual),
        Some(value) => value.as_f64(),
    };
    let usual = [Value::Null, "sum_over_batch_size".into(), "auto".into()];
    let axis = config.get("axis").is_none_or(|axis| *axis == -1);
    let is_ignored = config
        .get("ignore_class")
        .is_some_and(|class| !class.is_null());
    let (Some(smoothing), Some(delta)) = (number("label_smoothing", 0.0), number("delta", 1.0))
    else {
        return unknown();
    };
    if !usual.contains(&config["reduction"]) || !axis || is_ignored {
        return unknown();
    }
    let loss = match (name, smoothing == 0.0) {
        (
            "categorical_crossentropy"
            | "CategoricalCrossentropy"
            | "sparse_categorical_crossentropy"
            | "SparseCategoricalCrossentropy",
            true,
        ) => Loss::CategoricalCrossentropy,
        ("CategoricalCrossentropy", false) => Loss::CategoricalCrossentropyWith {
            label_smoothing: smoothing,
        },
        ("binary_crossentropy" | "BinaryCrossentropy", true) => Loss::BinaryCrossentropy,
        ("BinaryCrossentropy", false) => Loss::BinaryCrossentropyWith {
            label_smoothing: smoothing,
        },
        ("mse" | "MSE" | "mean_squared_error" | "MeanSquaredError", _) => Loss::MeanSquaredError,
        ("mae" | "MAE" | "mean_absolute_error" | "MeanAbsoluteError", _) => Loss::MeanAbsoluteError,
        ("huber" | "Huber" | "huber_loss", _) => Loss::Huber(delta),
        _ => return unknown(),
    };
    // Here logits are the inputs of a softmax or sigmoid at the end, or outputs without.
    let from_logits = config["from_logits"] == true;
    let is_linear = network.ending() == Ending::Linear;
    if loss.link().is_some() && from_logits != is_linear {
        return Err(format!(
            "the loss {name} has from_logits {from_logits}, which is not possible for the last activation"
        ));
    }
    let checked = network.check_loss("its loss", loss);
    checked.map_err(|problem| problem.to_string())?;
    Ok(Some(loss))
}

/// Keras 3's `compile_config`.
pub(super) fn write(optimizer: &Optimizer, loss: Option<Loss>, network: &Network) -> Result<Value> {
    // Of a training that has named none it follows from the network.
    let implied = network.implied_loss("save_keras", None).ok();
    Ok(json!({
        "optimizer": write_optimizer(optimizer)?,
        "loss": loss.or(implied).map(|loss| write_loss(loss, network)),
        "loss_weights": null,
        "metrics": null,
        "weighted_metrics": null,
        "run_eagerly": false,
        "steps_per_execution": 1,
        "jit_compile": "auto",
    }))
}

fn write_optimizer(optimizer: &Optimizer) -> Result<Value> {
    let (class, decay, clips, mut config) = match optimizer {
        Optimizer::Adam(adam) => (
            if adam.weight_decay > 0.0 {
                "AdamW"
            } else {
                "Adam"
            },
            adam.weight_decay,
            [adam.clipnorm, adam.global_clipnorm, adam.clipvalue],
            json!({"beta_1": adam.beta_1, "beta_2": adam.beta_2, "epsilon": adam.epsilon}),
        ),
        Optimizer::Sgd(sgd) => (
            "SGD",
            sgd.weight_decay,
            [sgd.clipnorm, sgd.global_clipnorm, sgd.clipvalue],
            json!({"momentum": sgd.momentum, "nesterov": sgd.nesterov}),
        ),
    };
    config["learning_rate"] = write_rate(optimizer.learning_rate())?;
    config["weight_decay"] = (decay > 0.0).then_some(decay).into();
    for (key, clip) in ["clipnorm", "global_clipnorm", "clipvalue"]
        .into_iter()
        .zip(clips)
    {
        config[key] = clip.into();
    }
    Ok(json!({
        "module": "keras.optimizers",
        "class_name": class,
        "config": config,
        "registered_name": null,
    }))
}

fn write_rate(rate: &LearningRate) -> Result<Value> {
    let (class, config) = match rate {
        LearningRate::Constant(rate) => return Ok(json!(rate)),
        LearningRate::Custom(_) => {
            return Err(
                "its learning rate is a function of the step, which Keras can't read; set_learning_rate before"
                    .into(),
            );
        }
        LearningRate::ExponentialDecay(decay) => (
            "ExponentialDecay",
            json!({
                "initial_learning_rate": decay.initial_learning_rate,
                "decay_steps": decay.decay_steps,
                "decay_rate": decay.decay_rate,
                "staircase": decay.staircase,
            }),
        ),
        LearningRate::CosineDecay(decay) => (
            "CosineDecay",
            json!({
                "initial_learning_rate": decay.initial_learning_rate,
                "decay_steps": decay.decay_steps,
                "alpha": decay.alpha,
                "warmup_target": decay.warmup_target,
                "warmup_steps": decay.warmup_steps,
            }),
        ),
        LearningRate::PiecewiseConstantDecay(decay) => (
            "PiecewiseConstantDecay",
            json!({"boundaries": decay.boundaries, "values": decay.values}),
        ),
    };
    Ok(json!({
        "module": "keras.optimizers.schedules",
        "class_name": class,
        "config": config,
        "registered_name": null,
    }))
}

fn write_loss(loss: Loss, network: &Network) -> Value {
    let smoothing = match loss {
        Loss::CategoricalCrossentropyWith { label_smoothing }
        | Loss::BinaryCrossentropyWith { label_smoothing } => label_smoothing,
        _ => 0.0,
    };
    let (class, mut config) = match loss {
        Loss::CategoricalCrossentropy | Loss::CategoricalCrossentropyWith { .. } => (
            "CategoricalCrossentropy",
            json!({"label_smoothing": smoothing}),
        ),
        Loss::BinaryCrossentropy | Loss::BinaryCrossentropyWith { .. } => {
            ("BinaryCrossentropy", json!({"label_smoothing": smoothing}))
        }
        Loss::MeanSquaredError => ("MeanSquaredError", json!({})),
        Loss::MeanAbsoluteError => ("MeanAbsoluteError", json!({})),
        Loss::Huber(delta) => ("Huber", json!({"delta": delta})),
    };
    if matches!(loss.link(), Some(Link::Softmax | Link::Sigmoid)) {
        config["from_logits"] = (network.ending() == Ending::Linear).into();
    }
    json!({
        "module": "keras.losses",
        "class_name": class,
        "config": config,
        "registered_name": null,
    })
}
