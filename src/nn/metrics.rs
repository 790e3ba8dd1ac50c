//! How good predictions are, computed on the host in f64, with the names and the edge cases of
//! scikit-learn's `metrics`.
//!
//! Class numbers are of any type of integer, or `bool`. Scores and probabilities are f32s or f64s: one a
//! sample, or one a class of each sample, sample after sample, as
//! [`predict_floats`](super::Sequential::predict_floats) gives them.
//!
//! ```
//! # fn main() -> selfnorm::Result<()> {
//! use selfnorm::nn::metrics;
//!
//! let matrix = metrics::confusion_matrix(&[0, 0, 1, 1, 2], &[0, 1, 1, 1, 2], 3)?;
//! assert_eq!((matrix.count(0, 1), matrix.accuracy()), (1, 0.8));
//! assert_eq!(matrix.recall().per_class, [0.5, 1.0, 1.0]);
//! let area = metrics::roc_auc(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8])?;
//! assert_eq!(area, 0.75);
//! # Ok(())
//! # }
//! ```
//!
//! # Errors
//!
//! Every function returns [`Error::Data`] if there are no samples, lengths differ, a class
//! number is none of the classes, or a value is NaN or infinite; functions of probabilities also if one is
//! below 0 or above 1, or if those of a sample do not sum to 1 within 0.001.

use std::fmt;

use crate::{Error, Result};

/// A type of scores: f32 or f64.
pub trait Real: Copy + Into<f64> + sealed::Sealed {
    /// What [`log_loss`] keeps probabilities away from 0 and 1 by: 2⁻²³ or 2⁻⁵².
    const EPSILON: f64;
}

impl Real for f32 {
    const EPSILON: f64 = f32::EPSILON as f64;
}

impl Real for f64 {
    const EPSILON: f64 = f64::EPSILON;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// How often each class was taken for which, see [`confusion_matrix`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    /// [truth, predicted]
    counts: Vec<u64>,
}

/// A metric of each class, and its averages.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ByClass {
    /// Of each class; 0 where it would be 0 / 0.
    pub per_class: Vec<f64>,
    /// The mean over all classes, also those without a sample.
    pub macro_average: f64,
    /// The mean over the samples, each with the value of its class.
    pub weighted_average: f64,
}

/// How often each of `classes` was taken for which: `truth` and `predicted` have the class of each sample.
///
/// # Errors
///
/// See [the module](self).
pub fn confusion_matrix<T, P>(
    truth: &[T],
    predicted: &[P],
    classes: usize,
) -> Result<ConfusionMatrix>
where
    T: Copy + TryInto<i64>,
    P: Copy + TryInto<i64>,
{
    const OP: &str = "confusion_matrix";
    check_lengths(OP, truth.len(), predicted.len(), "predictions")?;
    let truth = labels(OP, "class", truth, classes)?;
    let predicted = labels(OP, "predicted class", predicted, classes)?;
    let mut counts = vec![0; classes * classes];
    for (truth, predicted) in truth.into_iter().zip(predicted) {
        counts[truth * classes + predicted] += 1;
    }
    Ok(ConfusionMatrix { classes, counts })
}

impl ConfusionMatrix {
    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// How many samples of the class `truth` were taken for `predicted`.
    ///
    /// # Panics
    ///
    /// If there is no such class, as an index into an array does.
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.row(truth)[predicted]
    }

    /// The samples of a class, by the class that was predicted.
    fn row(&self, truth: usize) -> &[u64] {
        &self.counts[truth * self.classes..][..self.classes]
    }

    /// The share of the samples that are classified right.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes)
            .map(|class| self.count(class, class))
            .sum();
        right as f64 / self.counts.iter().sum::<u64>() as f64
    }

    /// The share of the samples predicted as a class that are of it.
    pub fn precision(&self) -> ByClass {
        self.by_class(|right, _, predicted| share(right, predicted))
    }

    /// The share of the samples of a class that are predicted as it.
    pub fn recall(&self) -> ByClass {
        self.by_class(|right, samples, _| share(right, samples))
    }

    /// The harmonic mean of precision and recall.
    pub fn f1(&self) -> ByClass {
        self.by_class(|right, samples, predicted| share(2 * right, samples + predicted))
    }

    /// `of` each class: how many samples are right, how many are of it, and how many predicted as it.
    fn by_class(&self, of: impl Fn(u64, u64, u64) -> f64) -> ByClass {
        let classes = 0..self.classes;
        let samples: Vec<u64> = classes.clone().map(|i| self.row(i).iter().sum()).collect();
        let predicted = |i: usize| classes.clone().map(|truth| self.count(truth, i)).sum();
        let values = classes
            .clone()
            .map(|i| of(self.count(i, i), samples[i], predicted(i)));
        let per_class: Vec<f64> = values.collect();
        let weighted = per_class
            .iter()
            .zip(&samples)
            .map(|(value, &n)| value * n as f64);
        ByClass {
            macro_average: mean(per_class.iter().copied()),
            weighted_average: weighted.sum::<f64>() / samples.iter().sum::<u64>() as f64,
            per_class,
        }
    }
}

/// A row for each class, with what its samples were predicted as.
impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let largest = self.counts.iter().max().copied().unwrap_or(0);
        let width = largest.to_string().len();
        for truth in 0..self.classes {
            let row = self.row(truth).iter();
            let row: Vec<_> = row.map(|count| format!("{count:width$}")).collect();
            writeln!(f, "{}", row.join(" "))?;
        }
        Ok(())
    }
}

/// The share of the samples whose class is the predicted one.
///
/// # Errors
///
/// See [the module](self).
pub fn accuracy<T, P>(truth: &[T], predicted: &[P]) -> Result<f64>
where
    T: Copy + TryInto<i64>,
    P: Copy + TryInto<i64>,
{
    const OP: &str = "accuracy";
    check_lengths(OP, truth.len(), predicted.len(), "predictions")?;
    let truth = integers(OP, "class", truth)?;
    let predicted = integers(OP, "predicted class", predicted)?;
    let right = truth.iter().zip(&predicted).filter(|(t, p)| t == p);
    Ok(right.count() as f64 / truth.len() as f64)
}

/// The share of the samples whose class is among the `k` with the highest scores; of equal scores that of
/// the last class counts as the highest. `scores` has one for each class of each sample.
///
/// # Errors
///
/// See [the module](self); [`Error::Data`] if `k` is 0.
pub fn top_k_accuracy<T: Copy + TryInto<i64>, S: Real>(
    truth: &[T],
    scores: &[S],
    k: usize,
) -> Result<f64> {
    const OP: &str = "top_k_accuracy";
    if k == 0 {
        return wrong(OP, "k must be at least 1");
    }
    let (truth, scores, classes) = rows(OP, truth, scores, "score")?;
    let is_hit = |(class, row): &(&usize, &[f64])| {
        let class = **class;
        let score = row[class];
        let before = row[..class].iter().filter(|&&other| other > score).count();
        let after = row[class..].iter().skip(1).filter(|&&other| other >= score);
        before + after.count() < k
    };
    let hits = truth.iter().zip(scores.chunks(classes)).filter(is_hit);
    Ok(hits.count() as f64 / truth.len() as f64)
}

/// The area under the ROC curve: the probability that a sample of class 1 has a higher score than one of
/// class 0, where equal scores count half. The classes are 0 and 1, or `bool`s.
///
/// # Errors
///
/// See [the module](self); [`Error::Data`] if all samples are of one class.
pub fn roc_auc<T: Copy + TryInto<i64>, S: Real>(truth: &[T], scores: &[S]) -> Result<f64> {
    const OP: &str = "roc_auc";
    check_lengths(OP, truth.len(), scores.len(), "scores")?;
    let truth = labels(OP, "class", truth, 2)?;
    let scores = finite(OP, "score", scores)?;
    let pairs = scores
        .into_iter()
        .zip(truth.iter().map(|&class| class == 1));
    match area(pairs.collect()) {
        Some(area) => Ok(area),
        None => wrong(
            OP,
            format!(
                "all samples are of class {}; there must be some of either",
                truth[0]
            ),
        ),
    }
}

/// The mean over the classes of the area under the ROC curve of a class against all others. `scores` has
/// one for each class of each sample.
///
/// # Errors
///
/// See [the module](self); [`Error::Data`] if a class has no samples, or all of them.
pub fn roc_auc_one_vs_rest<T: Copy + TryInto<i64>, S: Real>(
    truth: &[T],
    scores: &[S],
) -> Result<f64> {
    const OP: &str = "roc_auc_one_vs_rest";
    let (truth, scores, classes) = rows(OP, truth, scores, "score")?;
    let mut sum = 0.0;
    for class in 0..classes {
        let scores = scores.iter().skip(class).step_by(classes).copied();
        let pairs = scores.zip(truth.iter().map(|&of| of == class));
        sum += match area(pairs.collect()) {
            Some(area) => area,
            None => {
                return wrong(
                    OP,
                    format!("class {class} must have some of the samples, and not all"),
                );
            }
        };
    }
    Ok(sum / classes as f64)
}

/// The area under the ROC curve, if there is one.
fn area(mut samples: Vec<(f64, bool)>) -> Option<f64> {
    samples.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = samples.iter().filter(|sample| sample.1).count() as u64;
    let negatives = samples.len() as u64 - positives;
    // Pairs count 2, and 1 if the scores are equal. (-0.0 is 0.0.)
    let (mut below, mut pairs) = (0, 0);
    for equal in samples.chunk_by(|a, b| a.0 == b.0) {
        let positive = equal.iter().filter(|sample| sample.1).count() as u64;
        let negative = equal.len() as u64 - positive;
        pairs += u128::from(positive) * u128::from(2 * below + negative);
        below += negative;
    }
    let all = u128::from(positives) * u128::from(negatives);
    (all > 0).then(|| pairs as f64 / (2 * all) as f64)
}

/// The coefficient of determination, 1 − Σ(t − p)² / Σ(t − mean t)²: 1 is perfect, 0 what the mean of the
/// truth would get. If all true values are equal it is 1 if the predictions are they, and else 0.
///
/// # Errors
///
/// See [the module](self); [`Error::Data`] if there is only one sample.
pub fn r2<T: Real, P: Real>(truth: &[T], predicted: &[P]) -> Result<f64> {
    const OP: &str = "r2";
    let (truth, predicted) = values(OP, truth, predicted)?;
    if truth.len() < 2 {
        return wrong(OP, "a single sample has no variance; there must be two");
    }
    let center = mean(truth.iter().copied());
    let missed: f64 = differences(&truth, &predicted).map(|e| e * e).sum();
    let total: f64 = truth.iter().map(|t| (t - center) * (t - center)).sum();
    let is_constant = truth.iter().all(|&t| t == truth[0]);
    Ok(match (is_constant, missed == 0.0) {
        (_, true) => 1.0,
        (true, false) => 0.0,
        (false, false) => 1.0 - missed / total,
    })
}

/// The mean of (t − p)².
///
/// # Errors
///
/// See [the module](self).
pub fn mean_squared_error<T: Real, P: Real>(truth: &[T], predicted: &[P]) -> Result<f64> {
    let (truth, predicted) = values("mean_squared_error", truth, predicted)?;
    Ok(mean(differences(&truth, &predicted).map(|e| e * e)))
}

/// The mean of |t − p|.
///
/// # Errors
///
/// See [the module](self).
pub fn mean_absolute_error<T: Real, P: Real>(truth: &[T], predicted: &[P]) -> Result<f64> {
    let (truth, predicted) = values("mean_absolute_error", truth, predicted)?;
    Ok(mean(differences(&truth, &predicted).map(f64::abs)))
}

/// The mean of −ln p, where p is the probability of the sample's class. `probabilities` has that of class
/// 1 for each sample, or that of each class for each sample. It keeps p away from 0 and 1 by
/// [`Real::EPSILON`].
///
/// # Errors
///
/// See [the module](self).
pub fn log_loss<T: Copy + TryInto<i64>, S: Real>(truth: &[T], probabilities: &[S]) -> Result<f64> {
    let (truth, rows, classes) = distributions("log_loss", truth, probabilities)?;
    let rows = truth.iter().zip(rows.chunks(classes));
    let probability = rows.map(|(&class, row)| row[class].clamp(S::EPSILON, 1.0 - S::EPSILON));
    Ok(mean(probability.map(|p| -p.ln())))
}

/// The Brier score. Of two classes, the mean of (p − t)², with the probability p and the truth t, 0 or 1,
/// of class 1; of more, the mean of Σ (p − t)² over the classes. `probabilities` has that of class 1 for
/// each sample, or that of each class for each sample.
///
/// # Errors
///
/// See [the module](self).
pub fn brier<T: Copy + TryInto<i64>, S: Real>(truth: &[T], probabilities: &[S]) -> Result<f64> {
    let (truth, rows, classes) = distributions("brier", truth, probabilities)?;
    let rows = truth.iter().zip(rows.chunks(classes));
    let squares = rows.map(|(&class, row)| {
        let truth = |i: usize| if i == class { 1.0 } else { 0.0 };
        let errors = row.iter().enumerate().map(|(i, p)| p - truth(i));
        errors.map(|e| e * e).sum::<f64>()
    });
    let scale = if classes == 2 { 0.5 } else { 1.0 };
    Ok(scale * mean(squares))
}

/// Samples with similar probabilities, see [`calibration`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct CalibrationBin {
    /// The mean of their probabilities.
    pub probability: f64,
    /// The share of them that are of class 1.
    pub share: f64,
    /// How many there are.
    pub samples: usize,
}

/// What share of the samples with such a probability is of class 1: of a calibrated network, as many as it
/// says. The probabilities of class 1 are cut into `bins` of equal width, each with its upper end; bins
/// without samples are left out.
///
/// # Errors
///
/// See [the module](self); [`Error::Data`] if there are no bins.
pub fn calibration<T: Copy + TryInto<i64>, S: Real>(
    truth: &[T],
    probabilities: &[S],
    bins: usize,
) -> Result<Vec<CalibrationBin>> {
    const OP: &str = "calibration";
    if bins == 0 {
        return wrong(OP, "there must be at least 1 bin");
    }
    check_lengths(OP, truth.len(), probabilities.len(), "probabilities")?;
    let truth = labels(OP, "class", truth, 2)?;
    let probabilities = probable(OP, probabilities)?;
    // Rounded as in NumPy's linspace: a probability on an end falls into the same bin.
    let width = 1.0 / bins as f64;
    let ends: Vec<_> = (1..bins).map(|i| i as f64 * width).collect();
    let mut sums = vec![(0.0, 0, 0); bins];
    for (class, p) in truth.into_iter().zip(probabilities) {
        let (sum, positives, samples) = &mut sums[ends.partition_point(|&end| end < p)];
        *sum += p;
        *positives += class;
        *samples += 1;
    }
    let filled = sums.into_iter().filter(|bin| bin.2 > 0);
    Ok(filled
        .map(|(sum, positives, samples)| CalibrationBin {
            probability: sum / samples as f64,
            share: positives as f64 / samples as f64,
            samples,
        })
        .collect())
}

fn wrong<T>(op: &'static str, detail: impl Into<String>) -> Result<T> {
    let detail = detail.into();
    Err(Error::Data { op, detail })
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// 0 of nothing.
fn share(part: u64, all: u64) -> f64 {
    if all == 0 {
        0.0
    } else {
        part as f64 / all as f64
    }
}

fn differences(a: &[f64], b: &[f64]) -> impl ExactSizeIterator<Item = f64> {
    a.iter().zip(b).map(|(a, b)| a - b)
}

fn check_lengths(op: &'static str, samples: usize, given: usize, what: &str) -> Result<()> {
    if samples == 0 {
        return wrong(op, "there are no samples");
    }
    if samples != given {
        return wrong(
            op,
            format!("there are {given} {what} for {samples} samples"),
        );
    }
    Ok(())
}

fn integers<C: Copy + TryInto<i64>>(op: &'static str, what: &str, given: &[C]) -> Result<Vec<i64>> {
    let mut integers = Vec::with_capacity(given.len());
    for (i, &label) in given.iter().enumerate() {
        match label.try_into() {
            Ok(label) => integers.push(label),
            Err(_) => {
                return wrong(
                    op,
                    format!("the {what} of sample {i} does not fit into an i64"),
                );
            }
        }
    }
    Ok(integers)
}

/// Class numbers, each one of so many classes.
fn labels<C: Copy + TryInto<i64>>(
    op: &'static str,
    what: &str,
    given: &[C],
    classes: usize,
) -> Result<Vec<usize>> {
    let mut labels = Vec::with_capacity(given.len());
    for (i, label) in integers(op, what, given)?.into_iter().enumerate() {
        match usize::try_from(label) {
            Ok(label) if label < classes => labels.push(label),
            _ if classes == 0 => return wrong(op, "there must be at least 1 class"),
            _ => {
                let last = classes - 1;
                return wrong(
                    op,
                    format!(
                        "the {what} of sample {i} is {label}; there are {classes} classes, 0 to {last}"
                    ),
                );
            }
        }
    }
    Ok(labels)
}

fn finite<S: Real>(op: &'static str, what: &str, given: &[S]) -> Result<Vec<f64>> {
    let values: Vec<f64> = given.iter().map(|&value| value.into()).collect();
    match values.iter().position(|value| !value.is_finite()) {
        Some(i) => wrong(op, format!("{what} {i} is {}, must be finite", values[i])),
        None => Ok(values),
    }
}

fn probable<S: Real>(op: &'static str, given: &[S]) -> Result<Vec<f64>> {
    let values = finite(op, "probability", given)?;
    match values.iter().position(|p| !(0.0..=1.0).contains(p)) {
        Some(i) => wrong(
            op,
            format!(
                "probability {i} is {:?}, must be at least 0 and at most 1",
                values[i]
            ),
        ),
        None => Ok(values),
    }
}

/// As many values as true ones.
fn values<T: Real, P: Real>(
    op: &'static str,
    truth: &[T],
    predicted: &[P],
) -> Result<(Vec<f64>, Vec<f64>)> {
    check_lengths(op, truth.len(), predicted.len(), "predictions")?;
    let truth = finite(op, "true value", truth)?;
    Ok((truth, finite(op, "prediction", predicted)?))
}

/// How many values each sample has.
fn each(op: &'static str, samples: usize, values: usize, what: &str) -> Result<usize> {
    if samples == 0 {
        return wrong(op, "there are no samples");
    }
    if values == 0 || !values.is_multiple_of(samples) {
        return wrong(
            op,
            format!("{values} {what} are no whole number for each of {samples} samples"),
        );
    }
    Ok(values / samples)
}

/// Classes, and scores of as many classes for each sample.
fn rows<T: Copy + TryInto<i64>, S: Real>(
    op: &'static str,
    truth: &[T],
    scores: &[S],
    what: &str,
) -> Result<(Vec<usize>, Vec<f64>, usize)> {
    let classes = each(op, truth.len(), scores.len(), &format!("{what}s"))?;
    let truth = labels(op, "class", truth, classes)?;
    Ok((truth, finite(op, what, scores)?, classes))
}

/// Classes, and the probability of each of two or more classes for each sample.
fn distributions<T: Copy + TryInto<i64>, S: Real>(
    op: &'static str,
    truth: &[T],
    probabilities: &[S],
) -> Result<(Vec<usize>, Vec<f64>, usize)> {
    /// Probabilities that were computed and rounded as f32s still sum to 1 within this.
    const ROUNDED: f64 = 1e-3;
    let classes = each(op, truth.len(), probabilities.len(), "probabilities")?;
    let truth = labels(op, "class", truth, classes.max(2))?;
    let probabilities = probable(op, probabilities)?;
    if classes == 1 {
        let both = probabilities.iter().flat_map(|&p| [1.0 - p, p]);
        return Ok((truth, both.collect(), 2));
    }
    let sums = probabilities
        .chunks(classes)
        .map(|row| row.iter().sum::<f64>());
    if let Some((i, sum)) = sums
        .enumerate()
        .find(|(_, sum)| (sum - 1.0).abs() > ROUNDED)
    {
        return wrong(
            op,
            format!("the probabilities of sample {i} sum to {sum}; those of all classes sum to 1"),
        );
    }
    Ok((truth, probabilities, classes))
}
