//! Metrics, compared with scikit-learn's: `tests/data/sklearn_metrics.json`, by scikit-learn 1.9.1 from random
//! classes, scores and numbers, among them equal scores, classes without a sample and samples of one class
//! only; and what mistakes are answered with.

use selfnorm::Result;
use selfnorm::nn::metrics::{self, ByClass};
use serde::Deserialize;

/// Sums of some ten numbers near 1, in another order than NumPy's.
const BOUND: f64 = 1e-12;

#[derive(Deserialize)]
struct Golden {
    classification: Vec<Classification>,
    several: Vec<Several>,
    binary: Vec<Binary>,
    regression: Vec<Regression>,
}

#[derive(Deserialize)]
struct Classification {
    truth: Vec<u32>,
    predicted: Vec<u32>,
    classes: usize,
    matrix: Vec<u64>,
    accuracy: f64,
    precision: Averaged,
    recall: Averaged,
    f1: Averaged,
}

#[derive(Deserialize)]
struct Averaged {
    per_class: Vec<f64>,
    #[serde(rename = "macro")]
    macro_average: f64,
    weighted: f64,
}

/// Of several classes.
#[derive(Deserialize)]
struct Several {
    truth: Vec<u8>,
    probabilities: Vec<f64>,
    scores: Vec<f64>,
    /// For each k.
    top: Vec<f64>,
    roc_auc: Option<f64>,
    log_loss: f64,
    brier: f64,
}

#[derive(Deserialize)]
struct Binary {
    truth: Vec<u8>,
    probabilities: Vec<f64>,
    scores: Vec<f64>,
    roc_auc: Option<f64>,
    log_loss: f64,
    brier: f64,
    both: Both,
    calibration: Vec<Calibration>,
}

/// Of the probabilities of both classes.
#[derive(Deserialize)]
struct Both {
    log_loss: f64,
    brier: f64,
}

#[derive(Deserialize)]
struct Calibration {
    bins: usize,
    share: Vec<f64>,
    probability: Vec<f64>,
}

#[derive(Deserialize)]
struct Regression {
    truth: Vec<f64>,
    predicted: Vec<f64>,
    r2: Option<f64>,
    mean_squared_error: f64,
    mean_absolute_error: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../data/sklearn_metrics.json")).unwrap()
}

#[track_caller]
fn assert_near(actual: f64, expected: f64) {
    let error = (actual - expected).abs() / expected.abs().max(1.0);
    assert!(error <= BOUND, "{actual:?}, not {expected:?}");
}

#[track_caller]
fn assert_all_near(actual: impl IntoIterator<Item = f64>, expected: &[f64]) {
    let actual: Vec<_> = actual.into_iter().collect();
    assert_eq!(actual.len(), expected.len());
    for (actual, expected) in actual.into_iter().zip(expected) {
        assert_near(actual, *expected);
    }
}

#[track_caller]
fn assert_error<T>(result: Result<T>, expected: &str) {
    let Err(error) = result else {
        panic!("no error, but it should say: {expected}");
    };
    assert_eq!(error.to_string(), expected);
}

#[test]
fn confusion_matrices_and_what_follows_from_them_are_scikit_learn_s() {
    for case in golden().classification {
        let (truth, predicted) = (&case.truth, &case.predicted);
        let matrix = metrics::confusion_matrix(truth, predicted, case.classes).unwrap();
        let pairs = (0..case.classes).flat_map(|t| (0..case.classes).map(move |p| (t, p)));
        let counts: Vec<_> = pairs.map(|(t, p)| matrix.count(t, p)).collect();
        assert_eq!(counts, case.matrix);
        assert_eq!(matrix.classes(), case.classes);
        assert_near(matrix.accuracy(), case.accuracy);
        assert_near(metrics::accuracy(truth, predicted).unwrap(), case.accuracy);
        let check = |found: ByClass, expected: &Averaged| {
            assert_all_near(found.per_class, &expected.per_class);
            assert_near(found.macro_average, expected.macro_average);
            assert_near(found.weighted_average, expected.weighted);
        };
        check(matrix.precision(), &case.precision);
        check(matrix.recall(), &case.recall);
        check(matrix.f1(), &case.f1);
    }
}

#[test]
fn scores_of_several_classes_are_judged_as_scikit_learn_judges_them() {
    for case in golden().several {
        let (truth, probabilities) = (&case.truth, &case.probabilities);
        let tops = (1..=case.top.len()).map(|k| metrics::top_k_accuracy(truth, &case.scores, k));
        assert_all_near(tops.map(Result::unwrap), &case.top);
        let area = metrics::roc_auc_one_vs_rest(truth, probabilities);
        match case.roc_auc {
            Some(expected) => assert_near(area.unwrap(), expected),
            None => assert!(area.is_err()),
        }
        assert_near(
            metrics::log_loss(truth, probabilities).unwrap(),
            case.log_loss,
        );
        assert_near(metrics::brier(truth, probabilities).unwrap(), case.brier);
    }
}

#[test]
fn scores_of_two_classes_are_judged_as_scikit_learn_judges_them() {
    for case in golden().binary {
        let (truth, probabilities) = (&case.truth, &case.probabilities);
        let area = metrics::roc_auc(truth, &case.scores);
        match case.roc_auc {
            Some(expected) => assert_near(area.unwrap(), expected),
            None => assert!(area.is_err()),
        }
        assert_near(
            metrics::log_loss(truth, probabilities).unwrap(),
            case.log_loss,
        );
        assert_near(metrics::brier(truth, probabilities).unwrap(), case.brier);
        let both: Vec<_> = probabilities.iter().flat_map(|p| [1.0 - p, *p]).collect();
        assert_near(metrics::log_loss(truth, &both).unwrap(), case.both.log_loss);
        assert_near(metrics::brier(truth, &both).unwrap(), case.both.brier);
        for expected in case.calibration {
            let bins = metrics::calibration(truth, probabilities, expected.bins).unwrap();
            assert_all_near(bins.iter().map(|bin| bin.share), &expected.share);
            let found = bins.iter().map(|bin| bin.probability);
            assert_all_near(found, &expected.probability);
            let samples: usize = bins.iter().map(|bin| bin.samples).sum();
            assert_eq!(samples, truth.len());
        }
    }
}

#[test]
fn errors_of_regression_are_scikit_learn_s() {
    for case in golden().regression {
        let (truth, predicted) = (&case.truth, &case.predicted);
        let r2 = metrics::r2(truth, predicted);
        match case.r2 {
            Some(expected) => assert_near(r2.unwrap(), expected),
            None => assert_error(r2, "r2: a single sample has no variance; there must be two"),
        }
        let squared = metrics::mean_squared_error(truth, predicted).unwrap();
        assert_near(squared, case.mean_squared_error);
        let absolute = metrics::mean_absolute_error(truth, predicted).unwrap();
        assert_near(absolute, case.mean_absolute_error);
    }
}

/// scikit-learn divides by what rounding leaves of the variance.
#[test]
fn equal_true_values_have_no_variance_whatever_their_mean_rounds_to() {
    let truth = [0.1f64; 6];
    assert_eq!(metrics::r2(&truth, &[0.2f64; 6]).unwrap(), 0.0);
    assert_eq!(metrics::r2(&truth, &truth).unwrap(), 1.0);
}

/// As in scikit-learn for an array of f32s: −ln 2⁻²³.
#[test]
fn a_probability_of_0_costs_as_much_as_the_type_s_epsilon() {
    let loss = metrics::log_loss(&[1], &[0f32]).unwrap();
    assert_near(loss, 23.0 * 2f64.ln());
    let loss = metrics::log_loss(&[1], &[0f64]).unwrap();
    assert_near(loss, 52.0 * 2f64.ln());
}

#[test]
fn class_numbers_are_of_any_integer_or_bool() {
    let truth = [true, false, true];
    assert_eq!(
        metrics::accuracy(&truth, &[1usize, 0, 0]).unwrap(),
        2.0 / 3.0
    );
    let matrix = metrics::confusion_matrix(&[0i8, 1, 1], &[0u64, 1, 0], 2).unwrap();
    assert_eq!(matrix.to_string(), "1 0\n1 1\n");
    let negative = metrics::accuracy(&[-1i64, 4], &[-1, 5]).unwrap();
    assert_eq!(negative, 0.5);
}

#[test]
fn wrong_calls_are_errors_that_name_the_first_sample() {
    let none: [u8; 0] = [];
    assert_error(
        metrics::accuracy(&none, &none),
        "accuracy: there are no samples",
    );
    assert_error(
        metrics::confusion_matrix(&[0, 1], &[0], 2),
        "confusion_matrix: there are 1 predictions for 2 samples",
    );
    assert_error(
        metrics::confusion_matrix(&[0, 1, 3], &[0, 1, 2], 3),
        "confusion_matrix: the class of sample 2 is 3; there are 3 classes, 0 to 2",
    );
    assert_error(
        metrics::confusion_matrix(&[0, 1], &[0, -1], 2),
        "confusion_matrix: the predicted class of sample 1 is -1; there are 2 classes, 0 to 1",
    );
    assert_error(
        metrics::confusion_matrix(&[0], &[0], 0),
        "confusion_matrix: there must be at least 1 class",
    );
    assert_error(
        metrics::accuracy(&[0], &[u64::MAX]),
        "accuracy: the predicted class of sample 0 does not fit into an i64",
    );
    assert_error(
        metrics::top_k_accuracy(&[0, 1], &[0.5; 5], 1),
        "top_k_accuracy: 5 scores are no whole number for each of 2 samples",
    );
    assert_error(
        metrics::top_k_accuracy(&[0, 1], &[0.5; 4], 0),
        "top_k_accuracy: k must be at least 1",
    );
    assert_error(
        metrics::roc_auc(&[0, 1], &[0.5, f64::NAN]),
        "roc_auc: score 1 is NaN, must be finite",
    );
    assert_error(
        metrics::roc_auc(&[1, 1], &[0.5, 0.6]),
        "roc_auc: all samples are of class 1; there must be some of either",
    );
    assert_error(
        metrics::roc_auc(&[1, 2], &[0.5, 0.6]),
        "roc_auc: the class of sample 1 is 2; there are 2 classes, 0 to 1",
    );
    assert_error(
        metrics::roc_auc_one_vs_rest(&[0, 1], &[0.5; 6]),
        "roc_auc_one_vs_rest: class 2 must have some of the samples, and not all",
    );
    assert_error(
        metrics::r2(&[0.0, 1.0], &[0.5, f32::INFINITY]),
        "r2: prediction 1 is inf, must be finite",
    );
    assert_error(
        metrics::mean_squared_error(&[f64::NAN], &[0.5]),
        "mean_squared_error: true value 0 is NaN, must be finite",
    );
    assert_error(
        metrics::mean_absolute_error(&[0.0], &[0.5, 1.0]),
        "mean_absolute_error: there are 2 predictions for 1 samples",
    );
    // Logits are no probabilities.
    assert_error(
        metrics::log_loss(&[0, 1], &[0.5, 0.5, -2.5, 1.0]),
        "log_loss: probability 2 is -2.5, must be at least 0 and at most 1",
    );
    assert_error(
        metrics::brier(&[0, 1], &[0.5, 0.5, 0.5, 0.75]),
        "brier: the probabilities of sample 1 sum to 1.25; those of all classes sum to 1",
    );
    assert_error(
        metrics::calibration(&[0, 1], &[0.5, 1.5], 10),
        "calibration: probability 1 is 1.5, must be at least 0 and at most 1",
    );
    assert_error(
        metrics::calibration(&[0, 1], &[0.5, 1.0], 0),
        "calibration: there must be at least 1 bin",
    );
}
