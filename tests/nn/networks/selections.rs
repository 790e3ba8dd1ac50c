//! Parts of a data set, told apart by their losses: see [`numbers`].

use super::{numbered, numbering, numbers, still};
use crate::common::gpu;
use selfnorm::nn::Activation::{Sigmoid, Softmax};
use selfnorm::nn::{Dataset, Dense, Fit, Sequential};

fn sorted(mut samples: Vec<usize>) -> Vec<usize> {
    samples.sort_unstable();
    samples
}

/// Samples whose class is given, and whose weight in the loss is their number.
fn classed(classes: &[u8]) -> Dataset {
    let weights: Vec<_> = (0..classes.len()).map(|i| i as f32).collect();
    Dataset::from_floats(gpu(), &vec![1.0; classes.len()], [1])
        .unwrap()
        .classes(classes)
        .unwrap()
        .sample_weights(&weights)
        .unwrap()
}

/// The numbers of such samples: with equal probabilities each loss is weight · ln 3.
fn weighed(data: &Dataset) -> Vec<usize> {
    let network = Sequential::new([1]).add(
        Dense::new(3)
            .weights([0.0; 3], [0.0; 3])
            .activation(Softmax),
    );
    let mut model = network.build(gpu(), 1).unwrap();
    let fit = Fit::new(still()).batch_size(1).shuffle(false);
    let losses = model.fit(data, &fit).unwrap().losses;
    let number = |loss: &f64| (loss / 3f64.ln()).round() as usize;
    losses.iter().map(number).collect()
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_selection_has_its_samples_in_its_order() {
    let data = numbered(10);
    let some = data.select(&[7, 2, 2, 9]).unwrap();
    assert_eq!((some.len(), data.len()), (4, 10));
    assert_eq!(numbers(&some), [7, 2, 2, 9]);
    assert_eq!(numbers(&some.select(&[3, 0]).unwrap()), [9, 7]);
    assert_eq!(numbers(&some.clone()), [7, 2, 2, 9]);
    assert_eq!(numbers(&data), (0..10).collect::<Vec<_>>());
    for part in [&data, &some, &some.select(&[3, 0]).unwrap()] {
        assert_eq!(part.indices(), numbers(part));
    }
    let score = numbering().evaluate(&some).unwrap();
    assert_eq!(score.loss, (49.0 + 4.0 + 4.0 + 81.0) / 4.0);

    let fit = Fit::new(still()).batch_size(1).validation_data(&some);
    let history = numbering().fit(&data, &fit).unwrap();
    assert_eq!(history.epochs[0].validation, Some(score));

    let error = data.select(&[3, 10]).unwrap_err();
    let sentence = "select: there is no sample 10, the data set has 10";
    assert_eq!(error.to_string(), sentence);
    let empty = data.select(&[]).unwrap();
    let error = numbering().evaluate(&empty).unwrap_err();
    assert_eq!(error.to_string(), "evaluate: the data set has no samples");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_selection_is_shuffled_and_split_in_training_like_any_data() {
    let some: Vec<_> = (0..10).map(|i| 3 * i).collect();
    let data = numbered(30).select(&some).unwrap();
    let fit = Fit::new(still()).batch_size(1).validation_split(0.2);
    let losses = numbering().fit(&data, &fit).unwrap().losses;
    let found: Vec<_> = losses.iter().map(|loss| loss.sqrt() as usize).collect();
    assert_ne!(found, some[..8]);
    assert_eq!(sorted(found), some[..8]);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn splits_have_every_sample_once() {
    let data = numbered(10);
    let (first, second) = data.split(0.75).unwrap();
    assert_eq!(numbers(&first), (0..8).collect::<Vec<_>>());
    assert_eq!(numbers(&second), [8, 9]);

    let shuffled = data.shuffled(5);
    let order = numbers(&shuffled);
    assert_ne!(order, (0..10).collect::<Vec<_>>());
    assert_eq!(sorted(order.clone()), (0..10).collect::<Vec<_>>());
    assert_eq!(order, numbers(&data.shuffled(5)));
    assert_ne!(order, numbers(&data.shuffled(6)));
    let (first, second) = shuffled.split(0.5).unwrap();
    assert_eq!([numbers(&first), numbers(&second)].concat(), order);

    for (fraction, sentence) in [
        (
            0.0,
            "split: a fraction of 0; it must be above 0 and below 1",
        ),
        (
            f64::NAN,
            "split: a fraction of NaN; it must be above 0 and below 1",
        ),
        (0.04, "split: 0.04 of 10 samples leaves one part empty"),
    ] {
        assert_eq!(data.split(fraction).unwrap_err().to_string(), sentence);
    }
}

/// As scikit-learn's KFold cuts them: of 10 samples 4, 3 and 3.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn every_sample_is_tested_in_one_fold_and_trained_on_in_the_others() {
    let data = numbered(10);
    let folds = data.k_folds(3, 1).unwrap();
    let mut tested = Vec::new();
    for (train, test) in &folds {
        let both = [numbers(train), numbers(test)].concat();
        assert_eq!(sorted(both), (0..10).collect::<Vec<_>>());
        tested.push(numbers(test));
    }
    let sizes: Vec<_> = tested.iter().map(Vec::len).collect();
    assert_eq!(sizes, [4, 3, 3]);
    assert_eq!(tested.concat(), numbers(&data.shuffled(1)));
    for k in [0, 1, 11] {
        let sentence = format!("k_folds: k is {k}, must be at least 2, and at most the 10 samples");
        assert_eq!(data.k_folds(k, 1).unwrap_err().to_string(), sentence);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_stratified_split_gives_each_part_its_share_of_every_class() {
    // 40, 15 and 5 samples, sorted.
    let classes: Vec<_> = (0..60u8)
        .map(|i| u8::from(i >= 40) + u8::from(i >= 55))
        .collect();
    let data = classed(&classes);
    let (first, second) = data.stratified_split(0.7, 3).unwrap();
    let [first, second] = [&first, &second].map(weighed);
    // 28, 10.5 and 3.5 are due of 42 in all; of equal rests the first class gets it.
    let count = |samples: &[usize], class| {
        let of_class = samples.iter().filter(|&&sample| classes[sample] == class);
        of_class.count()
    };
    assert_eq!([0, 1, 2].map(|class| count(&first, class)), [28, 11, 3]);
    assert_eq!([0, 1, 2].map(|class| count(&second, class)), [12, 4, 2]);
    assert_ne!(first, sorted(first.clone()));
    let both = [first.clone(), second].concat();
    assert_eq!(sorted(both), (0..60).collect::<Vec<_>>());
    assert_eq!(first, weighed(&data.stratified_split(0.7, 3).unwrap().0));

    // Of one-hot rows and of a single output, too.
    let rows: Vec<_> = classes
        .iter()
        .flat_map(|&class| [0, 1, 2].map(|k| f32::from(u8::from(k == class))))
        .collect();
    let weights: Vec<_> = (0..60).map(|i| i as f32).collect();
    let one_hot = Dataset::from_floats(gpu(), &[1.0; 60], [1])
        .and_then(|data| data.targets(&rows, [3])?.sample_weights(&weights))
        .unwrap();
    assert_eq!(weighed(&one_hot.stratified_split(0.7, 3).unwrap().0), first);

    let sentence =
        "stratified_split: samples need a class each: class numbers, one-hot rows, or 0 and 1";
    let error = numbered(10).stratified_split(0.5, 1).unwrap_err();
    assert_eq!(error.to_string(), sentence);
}

/// Classes 0 and 1 of three, for a network of two.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn labels_are_checked_for_the_samples_that_are_selected() {
    let data = classed(&[0, 2, 1, 2, 0]);
    let mut model = Sequential::new([1])
        .add(Dense::new(2).activation(Softmax))
        .build(gpu(), 1)
        .unwrap();
    assert!(model.fit(&data, &Fit::default()).is_err());
    let some = data.select(&[0, 2, 4]).unwrap();
    model.fit(&some, &Fit::default()).unwrap();
    let error = model.fit(&data.select(&[0, 3]).unwrap(), &Fit::default());
    assert_eq!(
        error.unwrap_err().to_string(),
        "fit: label 2 of sample 1; the network has 2 classes, 0 to 1"
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_a_sample_gets_comes_before_a_selection() {
    let some = numbered(10).select(&[1, 2]).unwrap();
    let sentence =
        |what| format!("dataset: {what} come before a selection: this is 2 of 10 samples");
    let error = some.clone().classes(&[0, 1]).unwrap_err();
    assert_eq!(error.to_string(), sentence("classes"));
    let error = some.clone().targets(&[0.0, 1.0], [1]).unwrap_err();
    assert_eq!(error.to_string(), sentence("targets"));
    let error = some.clone().sample_weights(&[0.0, 1.0]).unwrap_err();
    assert_eq!(error.to_string(), sentence("sample weights"));
    // What is of classes is of no sample.
    some.class_weights(&[1.0, 2.0]).unwrap();
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_validation_split_of_sorted_classes_is_an_error_or_a_warning() {
    let mut model = Sequential::new([1])
        .add(Dense::new(3).activation(Softmax))
        .build(gpu(), 1)
        .unwrap();
    let fit = Fit::default().validation_split(0.25);
    let data = classed(&[0, 0, 0, 1, 1, 1, 2, 2]);
    let error = model.fit(&data, &fit).unwrap_err().to_string();
    assert!(
        error.starts_with("fit: class 2 is only among the last samples"),
        "{error}"
    );
    // One that does not count is not missed.
    let ignored = data.clone().ignore_class(2);
    model
        .fit(&ignored.select(&[0, 1, 3, 4, 0, 6, 3, 6]).unwrap(), &fit)
        .unwrap();

    let mixed = data.select(&[0, 3, 6, 1, 4, 7, 2, 5]).unwrap();
    let history = model.fit(&mixed, &fit).unwrap();
    let [warning] = &history.warnings[..] else {
        panic!("{:?}", history.warnings)
    };
    assert!(
        warning.starts_with("class 2 is not among the samples that"),
        "{warning}"
    );
    let history = model.fit(&data, &Fit::default()).unwrap();
    assert!(history.warnings.is_empty());

    // Targets of 0 and 1 are classes, too.
    let data = Dataset::from_floats(gpu(), &[1.0; 8], [1]).unwrap();
    let data = data
        .targets(&[0., 0., 0., 0., 0., 0., 1., 1.], [1])
        .unwrap();
    let network = Sequential::new([1]).add(Dense::new(1).activation(Sigmoid));
    let mut model = network.build(gpu(), 1).unwrap();
    let error = model.fit(&data, &fit).unwrap_err().to_string();
    assert!(
        error.starts_with("fit: class 1 is only among the last samples"),
        "{error}"
    );
}
