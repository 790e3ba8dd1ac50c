//! Products of 16-bit floats, with cooperative matrices where the adapter has some, and without. The bound of a
//! product of any operands is tested beside the kernels; here, of operands that a 16-bit float has exactly, products
//! are those of f32, and networks train as in f32.

use super::{assert_near, blobs, classifier, dataset, weight_bits};
use crate::common::reference::{assert_close, for_all, normal};
use crate::common::{adapter, gpu, gpu_with_cooperative_matrices, smallest_gpu};
use proptest::prelude::*;
use selfnorm::nn::Activation::Selu;
use selfnorm::nn::{
    Adam, Conv2d, Dataset, Dense, Fit, Gradient, Loss, Padding, Precision, Sequential,
    SequentialBuilder, Sgd, Tiling,
};
use selfnorm::{Error, Gpu, Tensor, wgpu};

/// Those of the adapter's devices that have 16-bit floats: with cooperative matrices, if there are some, and without.
fn gpus() -> Vec<&'static Gpu> {
    let mut gpus = vec![gpu()];
    gpus.extend(gpu_with_cooperative_matrices());
    gpus.retain(|gpu| gpu.supports_f16());
    gpus
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn cooperative_matrices_that_the_adapter_lists_are_used_when_asked_for() {
    assert_eq!(gpu().cooperative_matrices(), None);
    let adapter = adapter();
    let needed = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
        | wgpu::Features::SHADER_F16
        | wgpu::Features::SUBGROUP;
    let info = adapter.get_info();
    let listed = adapter.cooperative_matrix_properties().into_iter();
    let sides = listed
        .filter(|matrix| {
            [matrix.ab_type, matrix.cr_type]
                == [
                    wgpu::CooperativeScalarType::F16,
                    wgpu::CooperativeScalarType::F32,
                ]
                && [matrix.m_size, matrix.n_size] == [matrix.k_size; 2]
        })
        .map(|matrix| matrix.m_size);
    // Of subgroups of one size, large enough to load a matrix of inners at a time.
    let (least, most) = (info.subgroup_min_size, info.subgroup_max_size);
    let fits = |side: &u32| [8, 16].contains(side) && least == most && side * side / 8 <= least;
    let expected = sides.filter(fits).max();
    let expected = expected.filter(|_| adapter.features().contains(needed));
    let gpu = gpu_with_cooperative_matrices();
    let found = gpu.and_then(Gpu::cooperative_matrices);
    assert_eq!(found, expected);
    match found {
        Some(side) => println!("{}: cooperative matrices of {side} x {side}", info.name),
        None => println!("{}: no cooperative matrices", info.name),
    }
}

/// Numbers that a 16-bit float has, of size one.
fn exact(len: usize, seed: u64) -> Vec<f32> {
    let values = normal(len, seed, 0);
    let rounded = values
        .iter()
        .map(|&value| half::f16::from_f32(value).to_f32());
    rounded.collect()
}

/// The output and all gradients of a layer without an activation, whose operands 16-bit floats have.
fn passes(gpu: &Gpu, builder: SequentialBuilder, batch: usize) -> Vec<(String, Vec<f32>)> {
    let mut model = builder.build(gpu, 1).unwrap();
    let mut weights = model.weights().unwrap();
    for (seed, (_, weight)) in (2..).zip(&mut weights) {
        *weight = gpu
            .tensor(&exact(weight.len(), seed), weight.shape())
            .unwrap();
    }
    model.set_weights(&weights).unwrap();
    let tensor = |shape: &[usize], seed| {
        let shape = [&[batch], shape].concat();
        let values = exact(shape.iter().product(), seed);
        gpu.tensor(&values, shape).unwrap()
    };
    let x = tensor(model.input_shape(), 10);
    let dy = tensor(model.output_shape(), 11);
    let Gradient { y, dx, weights, .. } = model.gradient(&x, &dy, false).unwrap();
    let all = [("y".into(), y), ("dx".into(), dx)]
        .into_iter()
        .chain(weights);
    all.map(|(name, values): (String, Tensor)| (name, values.to_vec().unwrap()))
        .collect()
}

/// A product of two 16-bit floats has 22 bits, so f32 has it exactly: without cooperative matrices the sums have the
/// bits of f32, with them, which may add in another order, the bound of f32.
fn assert_exact(builder: SequentialBuilder, batch: usize) {
    for gpu in gpus() {
        let f32s = passes(gpu, builder.clone().tiling(Tiling::Workgroup), batch);
        let f16s = passes(gpu, builder.clone().precision(Precision::F16), batch);
        for ((name, expected), (_, found)) in f32s.into_iter().zip(f16s) {
            match gpu.cooperative_matrices() {
                None => assert_eq!(found, expected, "{name}"),
                Some(_) => {
                    let expected: Vec<_> = expected.into_iter().map(f64::from).collect();
                    assert_close(&name, &found, &expected);
                }
            }
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn dense_layers_of_16_bit_operands_are_those_of_f32() {
    let extent = || prop_oneof![1usize..24, 60usize..70, Just(300)];
    let values = (extent(), extent(), extent(), any::<bool>());
    for_all(12, values, |(batch, inputs, units, bias)| {
        let dense = Dense::new(units).use_bias(bias);
        assert_exact(Sequential::new([inputs]).add(dense), batch);
    });
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn convolutions_of_16_bit_operands_are_those_of_f32() {
    let padding = prop::sample::select(&[Padding::Valid, Padding::Same][..]);
    let image = ([5usize..14, 5..14], [1usize..5, 1..5], [1usize..4, 1..4]);
    let values = (image, 1usize..10, 1usize..20, padding, 1usize..4);
    for_all(12, values, |(image, channels, filters, padding, batch)| {
        let ([height, width], kernel, strides) = image;
        let layer = Conv2d::new(filters, kernel)
            .strides(strides)
            .padding(padding);
        assert_exact(Sequential::new([height, width, channels]).add(layer), batch);
    });
}

/// With dropout and Adam. Rounding to eleven bits moves the first loss by less than a thousandth. What the weights drift
/// apart by in thirty steps was below two thousandths on every driver; the bound is five.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn networks_train_in_16_bit_floats_as_in_f32_and_again_to_the_same_bits() {
    let (points, classes) = blobs(160, 6, 3);
    let points: Vec<_> = points.iter().map(|x| x * 0.4).collect();
    for gpu in gpus() {
        let data = Dataset::from_floats(gpu, &points, [6]).unwrap();
        let data = data.classes(&classes).unwrap();
        let train = |precision| {
            let mut model = classifier(6, 3).precision(precision).build(gpu, 1).unwrap();
            let fit = Fit::new(Adam::new(0.005)).batch_size(32).epochs(6);
            let losses = model.fit(&data, &fit).unwrap().losses;
            (losses, model)
        };
        let (expected, _) = train(Precision::F32);
        let (losses, model) = train(Precision::F16);
        assert!(expected[29] < 0.5 * expected[0], "{expected:?}");
        assert_ne!(losses, expected);
        for (loss, expected) in losses.iter().zip(&expected) {
            let error = (loss - expected).abs();
            assert!(error <= 5e-3 * expected, "{loss}, not {expected}");
        }
        let (again, copy) = train(Precision::F16);
        assert_eq!(again, losses);
        assert_eq!(weight_bits(&copy), weight_bits(&model));
    }
}

/// Weights of 10^-8 make gradients 10^-8 of what they were: zeros, as 16-bit floats without a loss scale. Adam's steps
/// do not depend on their size.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn gradients_smaller_than_any_16_bit_float_train() {
    let (points, classes) = blobs(64, 6, 3);
    for gpu in gpus() {
        let data = Dataset::from_floats(gpu, &points, [6]).unwrap();
        let data = data.classes(&classes).unwrap();
        let data = data.sample_weights(&[1e-8; 64]).unwrap();
        let mut optimizer = Adam::new(0.01);
        optimizer.epsilon = 1e-12;
        let fit = Fit::new(optimizer).batch_size(64).epochs(30);
        let mut losses = [Precision::F32, Precision::F16].map(|precision| {
            let mut model = classifier(6, 3).precision(precision).build(gpu, 1).unwrap();
            model.fit(&data, &fit).unwrap().losses
        });
        let [f32s, f16s] = &mut losses;
        assert!(f16s[29] < 0.5 * f16s[0], "{f16s:?}");
        assert!(
            (f16s[29] - f32s[29]).abs() < 0.02 * f32s[0],
            "{f16s:?}, not {f32s:?}"
        );
    }
}

/// A loss whose gradients are 2^5 or more, times the initial scale of 2^15, are infinite as 16-bit floats.
pub fn steep() -> (Sequential, Dataset) {
    let gpu = gpu_with_cooperative_matrices().unwrap_or_else(gpu);
    let model = Sequential::new([4])
        .add(Dense::new(8).activation(Selu))
        .add(Dense::new(1))
        .precision(Precision::F16)
        .build(gpu, 3)
        .unwrap();
    let x = normal(64 * 4, 1, 0);
    let targets: Vec<_> = (0..64).map(|i| 30.0 + 10.0 * x[i * 4]).collect();
    let data = Dataset::from_floats(gpu, &x, [4]).unwrap();
    (model, data.targets(&targets, [1]).unwrap())
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_step_whose_scaled_gradients_overflow_is_skipped_and_the_next_has_half_the_scale() {
    if gpus().is_empty() {
        return;
    }
    let (mut model, data) = steep();
    let fit = || {
        Fit::new(Sgd::new(1e-3))
            .loss(Loss::MeanSquaredError)
            .batch_size(64)
    };
    let before = weight_bits(&model);
    let history = model.fit(&data, &fit().epochs(1)).unwrap();
    // Its loss is known all the same.
    let [epoch] = &history.epochs[..] else {
        panic!("{history:?}");
    };
    assert_eq!(epoch.training.loss, history.losses[0]);
    assert_eq!((history.skipped, weight_bits(&model)), (vec![1], before));
    let history = model.fit(&data, &fit().epochs(40)).unwrap();
    let skipped = history.skipped;
    // One after the other until the scale is small enough, and at most once for each of its fifteen halves.
    assert!(
        skipped.starts_with(&[2, 3]) && skipped.len() < 15,
        "{skipped:?}"
    );
    let losses = history.losses;
    assert!(losses[39] < 0.5 * losses[0], "{losses:?}");
    // What is not the scale's doing is an error all the same: here an operand, and the loss with it, is infinite.
    let large = Dataset::from_floats(model.gpu(), &[1e6; 4], [4]).unwrap();
    let large = large.targets(&[1.0], [1]).unwrap();
    let error = model.fit(&large, &fit()).unwrap_err();
    assert_eq!(error, Error::NotFinite { step: 42 });
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_checkpoint_and_a_copy_go_on_with_the_loss_scale_to_the_same_bits() {
    if gpus().is_empty() {
        return;
    }
    let (mut model, data) = steep();
    let fit = Fit::new(Sgd::new(1e-3))
        .loss(Loss::MeanSquaredError)
        .batch_size(64);
    let skipped = model.fit(&data, &fit.clone().epochs(12)).unwrap().skipped;
    assert!(skipped.starts_with(&[1, 2]), "{skipped:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    model.save_checkpoint(&path).unwrap();
    let mut copy = model.duplicate().unwrap();
    let mut loaded = Sequential::open(model.gpu(), &path).unwrap();
    assert_eq!(loaded.builder().to_json(), model.builder().to_json());
    let on = |model: &mut Sequential| {
        let history = model.fit(&data, &fit.clone().epochs(6)).unwrap();
        // From the initial scale, the first ones would be skipped again.
        assert!(!history.skipped.contains(&13), "{:?}", history.skipped);
        (history, weight_bits(model))
    };
    let expected = on(&mut model);
    assert_eq!(on(&mut copy), expected);
    assert_eq!(on(&mut loaded), expected);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn operands_beyond_16_bit_floats_become_infinite() {
    for gpu in gpus() {
        let dense = Dense::new(1).weights(vec![1.0, 0.0], vec![0.0]);
        let builder = Sequential::new([2])
            .add(dense)
            .add(Dense::new(1).weights([1.0], [0.0]));
        // Wide enough that it is not predicted in one dispatch, which is in f32.
        let builder = builder.add(Dense::new(2048)).precision(Precision::F16);
        let model = builder.build(gpu, 1).unwrap();
        let y = |x: f32| {
            let x = gpu.tensor(&[x, 1.0], [1, 2]).unwrap();
            model.predict(&x).unwrap().to_vec().unwrap()
        };
        assert!(y(65504.0).iter().all(|y| y.is_finite()));
        assert!(y(65505.0).iter().all(|y| !y.is_finite()));
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_device_without_16_bit_floats_says_what_is_missing() {
    let builder = classifier(4, 3).precision(Precision::F16);
    let error = builder.build(&smallest_gpu(), 1).unwrap_err();
    let Error::UnsupportedDevice(detail) = error else {
        panic!("{error}");
    };
    assert!(
        detail.contains("Precision::F16") && detail.contains("SHADER_F16"),
        "{detail}"
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn networks_train_in_f32_unless_they_are_told_otherwise() {
    let (points, classes) = blobs(32, 4, 3);
    let data = dataset(&points, &classes, [4]);
    let score = |builder: SequentialBuilder| {
        let mut model = builder.build(gpu(), 1).unwrap();
        model.fit(&data, &Fit::default()).unwrap().losses[0]
    };
    let plain = score(classifier(4, 3));
    assert_near(
        "loss",
        score(classifier(4, 3).precision(Precision::F32)),
        plain,
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_summary_ends_with_the_precision_unless_it_is_f32() {
    if !gpu().supports_f16() {
        return;
    }
    let summary = |precision| {
        let model = classifier(4, 3).precision(precision).build(gpu(), 1);
        model.unwrap().summary()
    };
    let line = " Precision: products of 16-bit floats\n";
    assert_eq!(summary(Precision::F32) + line, summary(Precision::F16));
}
