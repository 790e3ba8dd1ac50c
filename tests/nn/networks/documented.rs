//! The documentation's networks.

use std::collections::HashSet;

use super::{assert_score, cross_entropy, dataset, one_hot, real, still};
use crate::common::reference::{self, Case, assert_close, conv2d, dense};
use crate::common::{self, ALPHA, SCALE, gpu};
use selfnorm::nn::Activation::{Elu, Linear, Selu, Softmax};
use selfnorm::nn::Initializer::LecunNormal;
use selfnorm::nn::{AlphaDropout, Conv2d, Dense, Fit, Flatten, MaxPool2d, Sequential, Tiling};

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn dense_layers_on_images_work_on_the_last_axis() {
    let selu = |units| {
        Dense::new(units)
            .kernel_initializer(LecunNormal)
            .activation(Selu)
    };
    let mut model = Sequential::new([28, 28, 1])
        .add(selu(64))
        .add(selu(32))
        .add(selu(16))
        .add(Dense::new(10).activation(Softmax))
        .build(gpu(), 1)
        .unwrap();
    assert_eq!(model.output_shape(), [28, 28, 10]);
    let weights = model.weights().unwrap();
    let parameters: usize = weights.iter().map(|(_, w)| w.len()).sum();
    assert_eq!(
        parameters,
        (64 + 64) + (64 * 32 + 32) + (32 * 16 + 16) + (16 * 10 + 10)
    );

    let case = Case {
        input: vec![28, 28, 1],
        layers: vec![
            dense(64, Selu),
            dense(32, Selu),
            dense(16, Selu),
            dense(10, Softmax),
        ],
        batch: 2,
        tiling: Tiling::Registers,
        seed: 1,
    };
    let x = gpu().tensor(&case.x(), [2, 28, 28, 1]).unwrap();
    let own: Vec<_> = weights
        .iter()
        .map(|(_, w)| real(&w.to_vec().unwrap()))
        .collect();
    let y = model.predict(&x).unwrap();
    let (expected, _) = case.forward(&own, &real(&case.x()), None);
    assert_close("y", &y.to_vec().unwrap(), &expected);

    // A class for each of the 28 × 28 positions of each image.
    let labels: Vec<_> = (0..2 * 28 * 28).map(|i| (i / 3 % 10) as u32).collect();
    let data = dataset(&case.x(), &labels, [28, 28, 1]);
    let (logits, _) = {
        let mut linear = case.clone();
        linear.layers[3] = dense(10, Linear);
        linear.forward(&own, &real(&case.x()), None)
    };
    let rows = cross_entropy(&logits, &real(&one_hot(&labels, 10)), 10);
    assert_score("evaluate", model.evaluate(&data).unwrap(), &rows);
    let history = model.fit(&data, &Fit::new(still())).unwrap();
    assert_score("fit", history.epochs[0].training, &rows);
}

/// As Keras 3 prints TensorFlow's tutorial on convolutional networks.
const ELU_CNN: &str = "\
Model: \"sequential\"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ conv2d (Conv2D)                 │ (None, 30, 30, 32)     │           896 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ max_pooling2d (MaxPooling2D)    │ (None, 15, 15, 32)     │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ conv2d_1 (Conv2D)               │ (None, 13, 13, 64)     │        18,496 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ max_pooling2d_1 (MaxPooling2D)  │ (None, 6, 6, 64)       │             0 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ conv2d_2 (Conv2D)               │ (None, 4, 4, 64)       │        36,928 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 56,320 (220.00 KB)
 Trainable params: 56,320 (220.00 KB)
 Non-trainable params: 0 (0.00 B)
";

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_elu_cnn_is_summed_up_as_keras_prints_it_and_computes_the_reference() {
    let elu = |filters| Conv2d::new(filters, [3, 3]).activation(Elu(1.0));
    let network = Sequential::new([32, 32, 3])
        .add(elu(32))
        .add(MaxPool2d::new([2, 2]))
        .add(elu(64))
        .add(MaxPool2d::new([2, 2]))
        .add(elu(64));
    let model = network.build(gpu(), 1).unwrap();
    assert_eq!(model.summary(), ELU_CNN);
    let case = Case {
        input: vec![32, 32, 3],
        layers: vec![
            conv2d(32, [3, 3], Elu(1.0)),
            reference::max_pool2d([2, 2]),
            conv2d(64, [3, 3], Elu(1.0)),
            reference::max_pool2d([2, 2]),
            conv2d(64, [3, 3], Elu(1.0)),
        ],
        batch: 1,
        tiling: Tiling::Registers,
        seed: 1,
    };
    let weights = model.weights().unwrap();
    let own: Vec<_> = weights
        .iter()
        .map(|(_, w)| real(&w.to_vec().unwrap()))
        .collect();
    let x = gpu().tensor(&case.x(), [1, 32, 32, 3]).unwrap();
    let (expected, _) = case.forward(&own, &real(&case.x()), None);
    let y = model.predict(&x).unwrap();
    assert_eq!(y.shape(), [1, 4, 4, 64]);
    assert_close("y", &y.to_vec().unwrap(), &expected);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_summary_counts_frozen_parameters_and_cuts_what_is_too_long() {
    let model = Sequential::new([5])
        .add(Dense::new(300).trainable(false))
        .add(AlphaDropout::new(0.1))
        .add(Dense::new(7).name("a_name_that_is_too_long_for_its_column"))
        .build(gpu(), 1)
        .unwrap();
    let summary = model.summary();
    assert!(
        summary.contains(
            "│ alpha_dropout (AlphaDropout)    │ (None, 300)            │             0 │\n"
        ),
        "{summary}"
    );
    let dense = 5 * 300 + 300;
    assert_eq!(dense, 1800);
    assert!(
        summary.contains(
            "│ dense (Dense)                   │ (None, 300)            │         1,800 │\n"
        ),
        "{summary}"
    );
    assert!(summary.contains(" Total params: 3,907 (15.26 KB)\n Trainable params: 2,107 (8.23 KB)\n Non-trainable params: 1,800 (7.03 KB)\n"), "{summary}");
    let widths: HashSet<_> = summary
        .lines()
        .skip(1)
        .take(9)
        .map(|line| line.chars().count())
        .collect();
    assert_eq!(widths, HashSet::from([76]), "{summary}");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_tutorial_s_network_has_5_540_938_parameters() {
    let model = Sequential::new([28, 28, 1])
        .add(
            Conv2d::new(32, [3, 3])
                .kernel_initializer(LecunNormal)
                .activation(Selu),
        )
        .add(AlphaDropout::new(0.25))
        .add(Flatten::new())
        .add(
            Dense::new(256)
                .kernel_initializer(LecunNormal)
                .activation(Selu),
        )
        .add(Dense::new(10).activation(Softmax))
        .build(gpu(), 42)
        .unwrap();
    let expected = (9 * 32 + 32) + (26 * 26 * 32 * 256 + 256) + (256 * 10 + 10);
    let parameters: usize = model.weights().unwrap().iter().map(|(_, w)| w.len()).sum();
    assert_eq!(parameters, expected);
    let summary = model.summary();
    assert!(
        summary.contains(" Total params: 5,540,938 (21.14 MB)\n"),
        "{summary}"
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_selu_layer_stands_alone() {
    let model = Sequential::new([3, 2]).add(Selu).build(gpu(), 1).unwrap();
    assert_eq!(model.output_shape(), [3, 2]);
    assert!(model.weights().unwrap().is_empty());
    let x = [-30.0, -1.0, -1e-3, 0.0, 0.5, 2.0f32];
    let y = model
        .predict(&gpu().tensor(&x, [1, 3, 2]).unwrap())
        .unwrap();
    assert_eq!(y.shape(), [1, 3, 2]);
    for (y, x) in y.to_vec().unwrap().into_iter().zip(real(&x)) {
        let expected = if x > 0.0 {
            SCALE * x
        } else {
            SCALE * ALPHA * x.exp_m1()
        };
        assert!(common::ulps(y, expected) <= 2.0, "SELU({x}) is {y}");
    }
}
