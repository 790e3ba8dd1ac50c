//! What callbacks do to a training. That they decide as Keras's do, `src/nn/callbacks` tests.

use std::ops::ControlFlow;

use super::{blobs, classifier, numbered, numbering, still, weight_bits};
use crate::common::gpu;
use selfnorm::nn::{
    Adam, BatchEnd, Callback, CosineDecay, CsvLogger, Dataset, EarlyStopping, EpochEnd, Fit,
    LearningRate, ModelCheckpoint, Monitor, ReduceLrOnPlateau, Sequential, Sgd,
};
use selfnorm::{Error, Result};

fn data() -> Dataset {
    let (points, classes) = blobs(60, 4, 3);
    let data = Dataset::from_floats(gpu(), &points, [4]).unwrap();
    data.classes(&classes).unwrap()
}

/// The weights after each epoch.
struct Weights(Vec<Vec<(String, Vec<u32>)>>);

impl Callback for Weights {
    fn on_epoch_end(&mut self, end: &mut EpochEnd) -> Result<ControlFlow<()>> {
        self.0.push(weight_bits(end.model()));
        Ok(ControlFlow::Continue(()))
    }
}

/// Stops the training at a batch or an epoch, and counts what it is told.
#[derive(Default)]
struct Stopper {
    stop_at_batch: Option<usize>,
    stop_at_epoch: Option<usize>,
    told: [usize; 3],
}

impl Callback for Stopper {
    fn on_batch_end(&mut self, end: &mut BatchEnd) -> Result<ControlFlow<()>> {
        self.told[0] += 1;
        Ok(match self.stop_at_batch == Some(end.batch) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    }

    fn on_epoch_end(&mut self, end: &mut EpochEnd) -> Result<ControlFlow<()>> {
        self.told[1] += 1;
        Ok(match self.stop_at_epoch == Some(end.epoch) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    }

    fn on_train_end(&mut self) -> Result<()> {
        self.told[2] += 1;
        Ok(())
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn callbacks_are_told_once_that_the_training_ends() {
    let data = numbered(4);
    let fit = Fit::new(still()).batch_size(1).epochs(3);
    for (stop_at_batch, stop_at_epoch, told) in [
        (None, None, [12, 3, 1]),
        (None, Some(2), [8, 2, 1]),
        (None, Some(3), [12, 3, 1]),
        (Some(2), None, [2, 0, 1]),
    ] {
        let (mut other, mut stopping) = (Stopper::default(), Stopper::default());
        (stopping.stop_at_batch, stopping.stop_at_epoch) = (stop_at_batch, stop_at_epoch);
        numbering()
            .fit_with(&data, &fit, |mut progress| {
                progress.notify(&mut [&mut other, &mut stopping])
            })
            .unwrap();
        assert_eq!([other.told, stopping.told], [told; 2]);
    }
}

/// At a learning rate that is too large, the loss goes up and down.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn early_stopping_restores_the_weights_of_the_best_epoch() {
    let data = data();
    for (patience, epochs) in [(3, 60), (100, 7)] {
        let mut model = classifier(4, 3).build(gpu(), 1).unwrap();
        let mut stopping = EarlyStopping::new()
            .patience(patience)
            .restore_best_weights(true);
        let mut weights = Weights(Vec::new());
        let fit = Fit::new(Adam::new(0.3))
            .epochs(epochs)
            .validation_split(0.3);
        let history = model
            .fit_with(&data, &fit, |mut progress| {
                progress.notify(&mut [&mut weights, &mut stopping])
            })
            .unwrap();
        let losses: Vec<_> = history
            .epochs
            .iter()
            .map(|epoch| epoch.validation.unwrap().loss)
            .collect();
        let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let best = losses.iter().position(|loss| *loss == least).unwrap();
        assert_eq!(
            (stopping.best(), stopping.best_epoch()),
            (Some(least), best + 1)
        );
        assert_eq!(history.stopped, losses.len() < epochs);
        assert_eq!(losses.len(), epochs.min(best + 1 + patience), "{losses:?}");
        assert_eq!(weight_bits(&model), weights.0[best]);
        assert_eq!(
            stopping.best_weights().unwrap().len(),
            weights.0[best].len()
        );
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_is_monitored_must_be_there() {
    let data = numbered(4);
    let mut stopping = EarlyStopping::new();
    let fit = Fit::new(still());
    let error = numbering().fit_with(&data, &fit, |mut end| end.notify(&mut [&mut stopping]));
    assert_eq!(
        error.unwrap_err().to_string(),
        "early stopping: there is no val_loss, only loss and mean_absolute_error; for the others give validation_data, or a validation_split"
    );
    let mut stopping = EarlyStopping::new().monitor(Monitor::Accuracy);
    let error = numbering().fit_with(&data, &fit, |mut end| end.notify(&mut [&mut stopping]));
    assert_eq!(
        error.unwrap_err().to_string(),
        "early stopping: there is no accuracy, only loss and mean_absolute_error"
    );
}

/// The loss does not change, so each epoch is one without improvement.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_learning_rate_falls_on_a_plateau() {
    let data = numbered(4).select(&[0]).unwrap();
    let mut model = numbering();
    let mut plateau = ReduceLrOnPlateau::new()
        .monitor(Monitor::Loss)
        .patience(2)
        .min_lr(1e-4);
    let mut rates = Vec::new();
    let fit = Fit::new(Sgd::new(0.05)).epochs(9);
    model
        .fit_with(&data, &fit, |mut progress| {
            let flow = progress.notify(&mut [&mut plateau])?;
            if let selfnorm::nn::Progress::Epoch(end) = progress {
                let LearningRate::Constant(rate) = end.model().optimizer().learning_rate() else {
                    panic!()
                };
                rates.push(*rate);
            }
            Ok(flow)
        })
        .unwrap();
    let reduced = [0.05, 0.05, 0.005, 0.005, 0.0005, 0.0005, 1e-4, 1e-4, 1e-4];
    for (rate, expected) in rates.iter().zip(reduced) {
        assert!((rate / expected - 1.0).abs() < 1e-12, "{rates:?}");
    }

    let schedule = CosineDecay::new(0.1, 10);
    let fit = Fit::new(Sgd::new(schedule));
    let error = model.fit_with(&data, &fit, |mut end| end.notify(&mut [&mut plateau]));
    assert_eq!(
        error.unwrap_err().to_string(),
        "reduce learning rate on plateau: the learning rate is a schedule, and only a constant can be reduced"
    );
    let mut plateau = ReduceLrOnPlateau::new().factor(1.0);
    let fit = Fit::new(still());
    let error = model.fit_with(&data, &fit, |mut end| end.notify(&mut [&mut plateau]));
    assert!(matches!(
        error,
        Err(Error::Parameter { name: "factor", .. })
    ));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_checkpoint_of_the_best_epoch_is_the_model_of_that_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let [best, last] = ["best", "last"].map(|name| folder.path().join(name));
    let data = data();
    let mut model = classifier(4, 3).build(gpu(), 1).unwrap();
    let mut weights = Weights(Vec::new());
    let mut to_best = ModelCheckpoint::new(&best)
        .monitor(Monitor::ValidationAccuracy)
        .save_best_only(true);
    let mut to_last = ModelCheckpoint::new(&last);
    let fit = Fit::new(Adam::new(0.3)).epochs(8).validation_split(0.3);
    let history = model
        .fit_with(&data, &fit, |mut progress| {
            progress.notify(&mut [&mut weights, &mut to_best, &mut to_last])
        })
        .unwrap();
    let accuracies: Vec<_> = history
        .epochs
        .iter()
        .map(|epoch| epoch.validation.unwrap().accuracy.unwrap())
        .collect();
    let most = accuracies.iter().copied().fold(0.0, f64::max);
    let first = accuracies.iter().position(|&accuracy| accuracy == most);
    assert_eq!(to_best.best(), Some(most));
    let open = |path| Sequential::open(gpu(), path).unwrap();
    assert_eq!(weight_bits(&open(&best)), weights.0[first.unwrap()]);
    assert_eq!(weight_bits(&open(&last)), weights.0[7]);
    assert_eq!(open(&last).epoch(), 8);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_log_has_keras_s_columns_and_the_history_s_numbers() {
    let data = data();
    let mut model = classifier(4, 3).build(gpu(), 1).unwrap();
    let mut log = Vec::new();
    let mut logger = CsvLogger::new(&mut log).separator(';');
    let fit = Fit::default().epochs(2).validation_split(0.3);
    let history = model
        .fit_with(&data, &fit, |mut progress| {
            progress.notify(&mut [&mut logger])
        })
        .unwrap();
    let mut expected = String::from("epoch;accuracy;loss;val_accuracy;val_loss\n");
    for (number, epoch) in history.epochs.iter().enumerate() {
        let (training, validation) = (epoch.training, epoch.validation.unwrap());
        let [a, b] = [training, validation].map(|score| (score.accuracy.unwrap(), score.loss));
        expected += &format!("{number};{};{};{};{}\n", a.0, a.1, b.0, b.1);
    }
    assert_eq!(String::from_utf8(log).unwrap(), expected);
}

/// Counts, and wants to stop after some batches.
struct Counter(usize, usize);

impl Callback for Counter {
    fn on_batch_end(&mut self, _: &mut BatchEnd) -> Result<ControlFlow<()>> {
        self.0 += 1;
        Ok(match self.0 == self.1 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn all_callbacks_are_called_also_when_one_ends_the_training() {
    let (mut first, mut second) = (Counter(0, 3), Counter(0, 5));
    let fit = Fit::new(still()).batch_size(1);
    let history = numbering()
        .fit_with(&numbered(10), &fit, |mut progress| {
            progress.notify(&mut [&mut first, &mut second])
        })
        .unwrap();
    assert!(history.stopped);
    assert_eq!((first.0, second.0, history.losses.len()), (3, 3, 3));
}
