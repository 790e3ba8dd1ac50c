//! Copies of networks and tensors, and what they look like in a log.

use super::{blobs, classifier, weight_bits};
use crate::common::gpu;
use selfnorm::Tensor;
use selfnorm::nn::{Adam, Dataset, Fit};

/// With dropout and Adam: masks, moments and counts must be the same.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_duplicate_is_trained_on_to_the_same_bits_and_by_itself() {
    let (points, classes) = blobs(60, 4, 3);
    let data = Dataset::from_floats(gpu(), &points, [4]).unwrap();
    let data = data.classes(&classes).unwrap();
    let mut model = classifier(4, 3).build(gpu(), 1).unwrap();
    let untrained = model.duplicate().unwrap();
    assert_eq!(weight_bits(&untrained), weight_bits(&model));
    model
        .fit(&data, &Fit::new(Adam::new(0.01)).epochs(3))
        .unwrap();
    assert_ne!(weight_bits(&untrained), weight_bits(&model));

    let mut copy = model.duplicate().unwrap();
    assert_eq!(weight_bits(&copy), weight_bits(&model));
    assert_eq!((copy.step(), copy.epoch()), (model.step(), model.epoch()));
    assert_eq!(copy.history(), model.history());
    let before = weight_bits(&model);
    copy.fit(&data, &Fit::default().epochs(2)).unwrap();
    assert_eq!(weight_bits(&model), before);
    model.fit(&data, &Fit::default().epochs(2)).unwrap();
    assert_eq!(weight_bits(&model), weight_bits(&copy));
}

/// Of any length, odd ones of 16-bit floats included.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_duplicate_of_a_tensor_has_its_values() {
    for len in [0, 1, 3, 4, 1001] {
        let values: Vec<_> = (0..len).map(|i| i as f32).collect();
        let x = gpu().tensor(&values, [len]).unwrap();
        let y: Tensor = x.duplicate().unwrap();
        x.selu().unwrap();
        assert_eq!((y.shape(), y.to_vec().unwrap()), (&[len][..], values));
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn networks_data_and_tensors_print_layers_shapes_and_lengths() {
    let x = gpu().tensor(&[1.0; 6], [2, 3]).unwrap();
    assert_eq!(
        format!("{x:?}"),
        r#"Tensor { type: "f32", shape: [2, 3], .. }"#
    );
    let data = Dataset::from_floats(gpu(), &[1.0; 6], [3]).unwrap();
    assert_eq!(format!("{data:?}"), "Dataset { len: 2, shape: [3], .. }");
    let data = data.classes(&[0, 1]).unwrap();
    assert_eq!(
        format!("{data:?}"),
        "Dataset { len: 2, shape: [3], classes: 2, .. }"
    );
    let model = classifier(4, 3).build(gpu(), 1).unwrap();
    let text = format!("{model:?}");
    assert!(text.contains("Dense") && text.contains("dense_1"), "{text}");
    assert!(text.len() < 3000 && !text.contains("Buffer"), "{text}");
    assert_eq!(model.builder().layers().len(), 3);
}
