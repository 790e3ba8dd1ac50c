//! What Keras's own callbacks do with the same numbers: `tests/data/keras_callbacks.json`, by Keras 3.15.1.

use serde::Deserialize;

use super::{EarlyStopping, Monitor, ReduceLrOnPlateau};

#[derive(Deserialize)]
struct Golden {
    early_stopping: Vec<Stopping>,
    reduce_lr_on_plateau: Vec<Plateau>,
}

/// JSON has no NaN and no infinity.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Named(Named),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Named {
    Nan,
    Inf,
}

impl Number {
    fn value(self) -> f64 {
        match self {
            Self::Finite(value) => value,
            Self::Named(Named::Nan) => f64::NAN,
            Self::Named(Named::Inf) => f64::INFINITY,
        }
    }
}

/// Epochs are counted from 1.
#[derive(Deserialize)]
struct Stopping {
    values: Vec<Number>,
    patience: usize,
    min_delta: f64,
    baseline: Option<f64>,
    start_from_epoch: usize,
    max: bool,
    stopped: Option<usize>,
    restored: usize,
}

#[derive(Deserialize)]
struct Plateau {
    values: Vec<Number>,
    patience: usize,
    cooldown: usize,
    min_lr: f64,
    rates: Vec<f64>,
}

fn golden() -> Golden {
    let text = include_str!("../../../tests/data/keras_callbacks.json");
    serde_json::from_str(text).unwrap()
}

#[test]
fn early_stopping_stops_after_the_epoch_that_keras_does_and_restores_the_same() {
    let all = golden().early_stopping;
    assert_eq!(all.len(), 336);
    for case in all {
        let monitor = match case.max {
            true => Monitor::ValidationAccuracy,
            false => Monitor::ValidationLoss,
        };
        let mut stopping = EarlyStopping::new()
            .monitor(monitor)
            .patience(case.patience)
            .min_delta(case.min_delta)
            .start_from_epoch(case.start_from_epoch);
        if let Some(baseline) = case.baseline {
            stopping = stopping.baseline(baseline);
        }
        let values = (1..).zip(case.values.iter().map(|value| value.value()));
        let stopped = values
            .filter(|(epoch, _)| *epoch > case.start_from_epoch)
            .find(|&(epoch, value)| stopping.judge(epoch, value).0)
            .map(|(epoch, _)| epoch);
        let values: Vec<_> = case.values.iter().map(|value| value.value()).collect();
        let found = (stopped, stopping.best_epoch());
        assert_eq!(
            found,
            (case.stopped, case.restored),
            "{stopping:?} {values:?}"
        );
    }
}

#[test]
fn the_learning_rate_on_a_plateau_is_keras_s_after_each_epoch() {
    let all = golden().reduce_lr_on_plateau;
    assert_eq!(all.len(), 84);
    for case in all {
        let mut plateau = ReduceLrOnPlateau::new()
            .factor(0.5)
            .patience(case.patience)
            .cooldown(case.cooldown)
            .min_lr(case.min_lr);
        let mut rate = 0.01;
        for (value, expected) in case.values.iter().zip(&case.rates) {
            rate = plateau.judge(value.value(), rate);
            assert_eq!(rate, *expected, "{plateau:?}");
        }
    }
}
