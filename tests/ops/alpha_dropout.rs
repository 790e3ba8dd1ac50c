//! AlphaDropout against its definition in f64 and the mask that the host draws.

use crate::common::ops::DROPOUTS;
use crate::common::{self, ALPHA, HUGE, LENGTHS, SCALE, activations, gpu_async, record, wrapped};
use crate::unary::every_way_in_gives_the_same_bits;
use half::f16;
use selfnorm::{AlphaDropout, LecunNormal, Selu, Tensor, random};
use wasm_bindgen_test::wasm_bindgen_test;

/// Klambauer et al. 2017, section 3: (a, b, a α' + b).
fn coefficients(rate: f64) -> (f64, f64, f64) {
    let limit = -SCALE * ALPHA;
    let a = ((1.0 - rate) * (1.0 + rate * limit * limit)).powf(-0.5);
    let b = -a * limit * rate;
    (a, b, a * limit + b)
}

/// The bound that the documentation of `Tensor::alpha_dropout` promises.
fn tolerance(a: f64, b: f64, x: f32) -> f64 {
    1.5 * 2f64.powi(-23) * ((a * f64::from(x)).abs() + b.abs())
}

fn assert_dropped_out(y: &[f32], x: &[f32], kept: &[bool], rate: f64) {
    let (a, b, dropped) = coefficients(rate);
    assert_eq!((y.len(), kept.len()), (x.len(), x.len()));
    for (i, ((&y, &x), &kept)) in y.iter().zip(x).zip(kept).enumerate() {
        if kept {
            let expected = a * f64::from(x) + b;
            let error = (f64::from(y) - expected).abs();
            assert!(
                error <= tolerance(a, b, x),
                "element {i}: {y}, not {expected}"
            );
        } else {
            assert_eq!(y, dropped as f32, "element {i} is dropped");
        }
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn kept_elements_are_scaled_and_the_mask_is_the_host_s() {
    let gpu = gpu_async().await;
    for len in LENGTHS {
        for (rate, seed, call) in [
            (0.05, 1, 0),
            (0.5, u64::MAX, 1 << 40),
            (0.9, 1 << 33, 3),
            (0.0, 5, 5),
        ] {
            let dropout = AlphaDropout::new(rate).seed(seed).call(call);
            let x = activations(len);
            let y = gpu
                .tensor(&x, [len])
                .unwrap()
                .alpha_dropout(&dropout)
                .unwrap()
                .read()
                .await
                .unwrap();
            assert_dropped_out(&y, &x, &dropout.mask([len]).unwrap(), rate);
        }
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_gradient_passes_where_the_mask_keeps_and_nowhere_else() {
    let gpu = gpu_async().await;
    let len = 100_003;
    let dropout = AlphaDropout::new(0.3).seed(8).call(9);
    let (a, ..) = coefficients(0.3);
    let dy = activations(len);
    let dx = gpu
        .tensor(&dy, [len])
        .unwrap()
        .alpha_dropout_backward(&dropout)
        .unwrap()
        .read()
        .await
        .unwrap();
    for ((&dx, &dy), kept) in dx.iter().zip(&dy).zip(dropout.mask([len]).unwrap()) {
        let expected = if kept { a * f64::from(dy) } else { 0.0 };
        // The documented bound: the rounding of a, and of the product.
        assert!((f64::from(dx) - expected).abs() <= 2f64.powi(-23) * expected.abs());
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_gradient_is_the_slope_of_the_function() {
    let gpu = gpu_async().await;
    // The function is linear in x for a fixed mask: the difference of two calls is exact in f64 up to
    // the documented error of each.
    let dropout = AlphaDropout::new(0.25).seed(3);
    let x = activations(5000);
    let moved: Vec<f32> = x.iter().map(|x| x + 1.0).collect();
    let call = async |x: &[f32]| {
        gpu.tensor(x, [x.len()])
            .unwrap()
            .alpha_dropout(&dropout)
            .unwrap()
            .read()
            .await
            .unwrap()
    };
    let (low, high) = (call(&x).await, call(&moved).await);
    let ones = gpu.tensor(&vec![1.0; x.len()], [x.len()]).unwrap();
    let dx = ones
        .alpha_dropout_backward(&dropout)
        .unwrap()
        .read()
        .await
        .unwrap();
    for i in 0..x.len() {
        approx::assert_abs_diff_eq!(high[i] - low[i], dx[i], epsilon = 4e-6);
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn mean_and_variance_stay_zero_and_one() {
    let gpu = gpu_async().await;
    // Truncated normals of variance 1. 4 Mi of them: the standard error of the mean is 1/2048, of the
    // variance at most twice that for these distributions; five of each are allowed.
    let len = 1 << 22;
    let x = LecunNormal::new(1).seed(2).values(len).unwrap();
    let tensor = gpu.tensor(&x, [len]).unwrap();
    for rate in [0.05, 0.1, 0.25, 0.5, 0.9] {
        let y = tensor
            .alpha_dropout(&AlphaDropout::new(rate).seed(11))
            .unwrap()
            .read()
            .await
            .unwrap();
        let mean = y.iter().map(|&y| f64::from(y)).sum::<f64>() / len as f64;
        let variance = y
            .iter()
            .map(|&y| (f64::from(y) - mean).powi(2))
            .sum::<f64>()
            / len as f64;
        println!("rate {rate}: mean {mean:+.5}, variance {variance:.5}");
        assert!(mean.abs() < 5.0 / 2048.0, "rate {rate}: mean {mean}");
        assert!(
            (variance - 1.0).abs() < 10.0 / 2048.0,
            "rate {rate}: variance {variance}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_default_fixed_point_changes_no_bit_of_the_coefficients() {
    for rate in [0.0, 0.01, 0.05, 0.1, 0.25, 0.3, 0.5, 0.9, 0.999] {
        let dropout = AlphaDropout::new(rate);
        let (a, b, _) = coefficients(rate);
        assert_eq!(dropout.coefficients().unwrap(), (a, b), "rate {rate}");
        assert_eq!(dropout.clone().fixed_point(0.0, 1.0), dropout);
    }
}

/// The paper's general form, as `selu.py` of its authors has it: (a, b, a α' + b).
fn general_coefficients(rate: f64, mean: f64, variance: f64) -> (f64, f64, f64) {
    let selu = Selu::with_fixed_point(mean, variance).unwrap();
    let (keep, limit) = (1.0 - rate, -selu.scale * selu.alpha);
    let spread = (1.0 - keep) * (limit - mean).powi(2) + variance;
    let a = (variance / (keep * spread)).sqrt();
    let b = mean - a * (keep * mean + (1.0 - keep) * limit);
    (a, b, a * limit + b)
}

/// Of different signs, sizes and distances from what a SELU can have.
const FIXED_POINTS: [(f64, f64); 6] = [
    (0.0, 1.0),
    (0.0, 2.0),
    (-0.1, 2.0),
    (0.3, 0.5),
    (-0.5, 1.0),
    (-4.0, 25.0),
];

#[wasm_bindgen_test(unsupported = test)]
fn coefficients_are_the_paper_s_for_any_fixed_point() {
    for (mean, variance) in FIXED_POINTS {
        for rate in [0.0, 0.05, 0.5, 0.99] {
            let dropout = AlphaDropout::new(rate).fixed_point(mean, variance);
            let (a, b) = dropout.coefficients().unwrap();
            let expected = general_coefficients(rate, mean, variance);
            // Some ten roundings of each term.
            approx::assert_relative_eq!(a, expected.0, max_relative = 2e-15);
            approx::assert_abs_diff_eq!(b, expected.1, epsilon = 4e-15 * variance.sqrt());
            // What they are for: the two moments of a mixture of kept and dropped.
            let keep = 1.0 - rate;
            let its_mean = keep * (a * mean + b) + rate * expected.2;
            let of_kept = a * a * variance + (a * mean + b - mean).powi(2);
            let its_variance = keep * of_kept + rate * (expected.2 - mean).powi(2);
            approx::assert_abs_diff_eq!(its_mean, mean, epsilon = 1e-14 * variance.sqrt());
            approx::assert_relative_eq!(its_variance, variance, max_relative = 1e-14);
        }
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn mean_and_variance_stay_those_of_the_fixed_point() {
    let gpu = gpu_async().await;
    let len = 1 << 20;
    // N(0, 1) by Box and Muller.
    let words: Vec<u32> = random::words(21, 0, 0..len).collect();
    let uniform = |word: u32| (f64::from(word) + 0.5) * 2f64.powi(-32);
    let normals: Vec<f64> = words
        .chunks(2)
        .flat_map(|pair| {
            let radius = (-2.0 * uniform(pair[0]).ln()).sqrt();
            let (sin, cos) = (std::f64::consts::TAU * uniform(pair[1])).sin_cos();
            [radius * cos, radius * sin]
        })
        .collect();
    for (mean, variance) in FIXED_POINTS {
        let check = |values: &[f32], what: &str| {
            let moment = |centre: f64, power| {
                let terms = values.iter().map(|&y| (f64::from(y) - centre).powi(power));
                terms.sum::<f64>() / len as f64
            };
            let (mean_found, variance_found, fourth) =
                (moment(0.0, 1), moment(mean, 2), moment(mean, 4));
            // The standard errors of the mean of independent values, and of their squares.
            let errors = (
                (mean_found - mean) / (variance / len as f64).sqrt(),
                (variance_found - variance) / ((fourth - variance * variance) / len as f64).sqrt(),
            );
            println!("({mean}, {variance}), {what}: off by {errors:.2?} standard errors");
            assert!(
                errors.0.abs() < 5.0 && errors.1.abs() < 5.0,
                "({mean}, {variance}), {what}: {mean_found}, {variance_found}"
            );
        };
        let z: Vec<f32> = normals
            .iter()
            .map(|n| (variance.sqrt() * n) as f32)
            .collect();
        let selu = Selu::with_fixed_point(mean, variance).unwrap();
        let x = gpu.tensor(&z, [z.len()]).unwrap().selu_with(&selu).unwrap();
        check(&x.read().await.unwrap(), "selu");
        for rate in [0.05, 0.3, 0.8] {
            let dropout = AlphaDropout::new(rate).fixed_point(mean, variance).seed(31);
            let y = x.alpha_dropout(&dropout).unwrap().read().await.unwrap();
            check(&y, &format!("dropout of {rate}"));
        }
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn another_fixed_point_keeps_the_mask_and_the_bounds() {
    let gpu = gpu_async().await;
    let x = activations(1757);
    let tensor = gpu.tensor(&x, [1757]).unwrap();
    for (mean, variance) in FIXED_POINTS {
        let plain = AlphaDropout::new(0.4).seed(5);
        let dropout = plain.clone().fixed_point(mean, variance);
        let kept = dropout.mask([1757]).unwrap();
        assert_eq!(kept, plain.mask([1757]).unwrap());
        let (a, b) = dropout.coefficients().unwrap();
        let selu = Selu::with_fixed_point(mean, variance).unwrap();
        let dropped = b - a * selu.scale * selu.alpha;
        let y = tensor
            .alpha_dropout(&dropout)
            .unwrap()
            .read()
            .await
            .unwrap();
        let dx = tensor
            .alpha_dropout_backward(&dropout)
            .unwrap()
            .read()
            .await
            .unwrap();
        for (((&x, &y), &dx), &kept) in x.iter().zip(&y).zip(&dx).zip(&kept) {
            // A dropped element is rounded once, and from an f64 with a few roundings.
            let (expected, bound, slope) = if kept {
                (a * f64::from(x) + b, tolerance(a, b, x), a)
            } else {
                (dropped, 1.001 * 2f64.powi(-24) * dropped.abs(), 0.0)
            };
            let error = (f64::from(y) - expected).abs();
            assert!(error <= bound, "{y}, not {expected}");
            let expected = slope * f64::from(x);
            let error = (f64::from(dx) - expected).abs();
            assert!(
                error <= 2f64.powi(-23) * expected.abs(),
                "{dx}, not {expected}"
            );
        }
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_fixed_point_that_no_selu_has_is_an_error_where_it_is_used() {
    let gpu = gpu_async().await;
    let x = gpu.tensor(&[1.0], [1]).unwrap();
    let dropout = AlphaDropout::new(0.5).fixed_point(0.7, 1.0);
    let rule = "mean is 0.7, must be below 0.683 sqrt(variance), which is what ReLU gives";
    for (error, op) in [
        (dropout.coefficients().unwrap_err(), "alpha_dropout"),
        (dropout.mask([1]).unwrap_err(), "alpha_dropout"),
        (x.alpha_dropout(&dropout).unwrap_err(), "alpha_dropout"),
        (
            x.alpha_dropout_backward(&dropout).unwrap_err(),
            "alpha_dropout_backward",
        ),
    ] {
        assert_eq!(error.to_string(), format!("{op}: {rule}"));
    }
    let flat = AlphaDropout::new(0.5).fixed_point(0.0, 0.0);
    assert_eq!(
        flat.coefficients().unwrap_err().to_string(),
        "alpha_dropout: variance is 0.0, must be finite and above 0"
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn the_share_of_dropped_elements_is_the_rate() {
    let len = 1 << 20;
    for rate in [0.01, 0.1, 0.5, 0.99] {
        let kept = AlphaDropout::new(rate).seed(4).mask([len]).unwrap();
        let dropped = kept.iter().filter(|&&kept| !kept).count() as f64 / len as f64;
        // five standard errors of a share
        let tolerance = 5.0 * (rate * (1.0 - rate) / len as f64).sqrt();
        assert!((dropped - rate).abs() < tolerance, "rate {rate}: {dropped}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn seeds_and_calls_give_different_masks_and_the_same_ones_again() {
    let mask = |seed, call| {
        AlphaDropout::new(0.5)
            .seed(seed)
            .call(call)
            .mask([256])
            .unwrap()
    };
    assert_eq!(mask(1, 2), mask(1, 2));
    let masks = [
        mask(1, 2),
        mask(2, 2),
        mask(1, 3),
        mask(1 << 32, 2),
        mask(1, 2 << 32),
    ];
    for (i, a) in masks.iter().enumerate() {
        assert!(masks[..i].iter().all(|b| a != b));
    }
}

/// The mask by its definition: NumPy's broadcasting of a mask of `noise_shape`.
fn broadcast(dropout: &AlphaDropout, noise_shape: &[usize], shape: &[usize]) -> Vec<bool> {
    let mask = dropout
        .clone()
        .noise_shape(noise_shape)
        .mask(noise_shape)
        .unwrap();
    let len: usize = shape.iter().product();
    (0..len)
        .map(|element| {
            let (mut rest, mut index, mut stride) = (element, 0, 1);
            for (&extent, &noise) in shape.iter().zip(noise_shape).rev() {
                index += (rest % extent).min(noise - 1) * stride;
                rest /= extent;
                stride *= noise;
            }
            mask[index]
        })
        .collect()
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn noise_shape_broadcasts_as_numpy_does() {
    let gpu = gpu_async().await;
    let cases: [(&[usize], &[usize]); 8] = [
        (&[7, 13, 5], &[7, 1, 5]),
        (&[7, 13, 5], &[1, 13, 1]),
        (&[7, 13, 5], &[1, 1, 1]),
        (&[7, 13, 5], &[7, 13, 5]),
        (&[32, 28, 28, 3], &[32, 1, 1, 3]),
        (&[1757], &[1]),
        (&[3, 1, 5], &[1, 1, 5]),
        (&[2, 3, 2, 3, 2, 3, 2, 3], &[2, 1, 2, 1, 2, 1, 2, 1]),
    ];
    for (shape, noise_shape) in cases {
        let dropout = AlphaDropout::new(0.5).seed(77).call(1);
        let expected = broadcast(&dropout, noise_shape, shape);
        let dropout = dropout.noise_shape(noise_shape);
        assert_eq!(
            dropout.mask(shape).unwrap(),
            expected,
            "{noise_shape:?} on the host"
        );
        let x = activations(expected.len());
        let tensor = gpu.tensor(&x, shape).unwrap();
        let y = tensor
            .alpha_dropout(&dropout)
            .unwrap()
            .read()
            .await
            .unwrap();
        assert_dropped_out(&y, &x, &expected, 0.5);

        let (_buffer, wrapped) = wrapped(gpu, &x);
        let wrapped = gpu.wrap::<f32>(wrapped.slice(), shape).unwrap();
        record(gpu, |pass| pass.alpha_dropout_in_place(&wrapped, &dropout));
        assert_eq!(
            wrapped.read().await.unwrap(),
            y,
            "{noise_shape:?} in place, in somebody's buffer"
        );
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn every_way_in_gives_the_same_bits_and_writes_nothing_else() {
    for p in DROPOUTS {
        every_way_in_gives_the_same_bits("alpha_dropout", p).await;
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_mask_beyond_one_binding_and_one_dispatch_is_the_host_s() {
    let gpu = gpu_async().await;
    let dropout = AlphaDropout::new(0.5).seed(12);
    let x = gpu.tensor(&vec![1.0; HUGE], [HUGE]).unwrap();
    let y = x.alpha_dropout(&dropout).unwrap().read().await.unwrap();
    let mask = dropout.mask([HUGE]).unwrap();
    assert!(y.iter().zip(&mask).all(|(&y, &kept)| (y > 0.0) == kept));
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn outside_training_and_at_rate_zero_it_is_the_identity() {
    let gpu = gpu_async().await;
    let data = common::special();
    let x = gpu.tensor(&data, [data.len()]).unwrap();
    for dropout in [
        AlphaDropout::new(0.5).training(false),
        AlphaDropout::new(0.0),
    ] {
        for y in [
            x.alpha_dropout(&dropout).unwrap(),
            x.alpha_dropout_backward(&dropout).unwrap(),
        ] {
            for (y, x) in y.read().await.unwrap().into_iter().zip(&data) {
                // Devices may flush subnormals.
                let flushed = x.is_subnormal() && y == 0.0;
                assert!(
                    flushed || y.to_bits() == x.to_bits() || y.is_nan() && x.is_nan(),
                    "{x:e} became {y:e}"
                );
            }
        }
        assert!(dropout.mask([100]).unwrap().iter().all(|&kept| kept));
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn nans_stay_and_infinities_follow_the_mask() {
    let gpu = gpu_async().await;
    let dropout = AlphaDropout::new(0.5).seed(1);
    let kept = dropout.mask([64]).unwrap();
    let y = async |x: f32| {
        gpu.tensor(&[x; 64], [64])
            .unwrap()
            .alpha_dropout(&dropout)
            .unwrap()
            .read()
            .await
            .unwrap()
    };
    for nan in [f32::NAN, -f32::NAN] {
        assert!(y(nan).await.iter().all(|y| y.is_nan()));
    }
    let dropped = coefficients(0.5).2 as f32;
    for (y, &kept) in y(f32::INFINITY).await.into_iter().zip(&kept) {
        assert_eq!(y, if kept { f32::INFINITY } else { dropped });
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn half_precision_is_the_rounded_single_precision_result() {
    let gpu = gpu_async().await;
    if !gpu.supports_f16() {
        return common::assert_f16_is_an_error(gpu);
    }
    let dropout = AlphaDropout::new(0.3).seed(2);
    for len in [1, 5, 1757, 100_000] {
        let x: Vec<f16> = activations(len).into_iter().map(f16::from_f32).collect();
        let single: Vec<f32> = x.iter().map(|x| x.to_f32()).collect();
        let half = gpu
            .tensor(&x, [len])
            .unwrap()
            .alpha_dropout(&dropout)
            .unwrap()
            .read()
            .await
            .unwrap();
        let single = gpu
            .tensor(&single, [len])
            .unwrap()
            .alpha_dropout(&dropout)
            .unwrap()
            .read()
            .await
            .unwrap();
        assert!(
            half.iter()
                .zip(&single)
                .all(|(&half, &single)| half == f16::from_f32(single))
        );
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_parts_of_a_tensor_have_the_mask_of_the_whole() {
    let gpu = gpu_async().await;
    // Across the end of the 2³² blocks that a counter's low word counts; the host counts in u64.
    let start = (1u64 << 34) - 400;
    let p = AlphaDropout::new(0.5).seed(9).call(1 << 33);
    let expected: Vec<bool> = random::words(9, 1 << 33, start..start + 1757)
        .map(|word| word >= 1 << 31)
        .collect();
    let (_, b) = p.coefficients().unwrap();
    for range in [0..1757, 0..400, 400..1757, 396..404] {
        let part = p.clone().offset(start + range.start as u64);
        let len = range.len();
        assert_eq!(part.mask([len]).unwrap(), expected[range.clone()]);
        for shape in [vec![len], vec![len, 3]] {
            // Of rows with a mask of their own in the second shape.
            let part = if shape.len() == 2 {
                part.clone().noise_shape([len, 1])
            } else {
                part.clone()
            };
            let x: Tensor = gpu.zeros(&shape).unwrap();
            let y = x.alpha_dropout(&part).unwrap().read().await.unwrap();
            for (row, y) in y.chunks(shape.get(1).copied().unwrap_or(1)).enumerate() {
                let kept = expected[range.start + row];
                assert!(y.iter().all(|&y| (y == b as f32) == kept), "row {row}");
            }
        }
    }
}
