//! Initial weights: the host's bits, and the distributions they are drawn from.

use crate::common::ops::{Op, Parameter, WEIGHTS, Weights};
use crate::common::{self, LENGTHS, gpu_async, record, wrapped};
use half::f16;
use selfnorm::{
    GlorotNormal, GlorotUniform, HeNormal, HeUniform, LecunNormal, LecunUniform, Tensor, fans,
    random,
};
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn every_initializer_has_the_host_s_bits_at_every_length() {
    let gpu = gpu_async().await;
    for len in LENGTHS {
        for (seed, call) in [(0, 0), (7, 1), (u64::MAX, (1 << 62) - 1)] {
            let p = Parameter::Weights(Weights {
                fan: 300,
                seed,
                call,
                ..WEIGHTS
            });
            for op in Op::initializers() {
                let w: Tensor = gpu.zeros([len]).unwrap();
                let (buffer, wrapped) = wrapped(gpu, &vec![0.0; len]);
                record(gpu, |pass| {
                    op.record(pass, false, &[&w], &p)?;
                    op.record(pass, false, &[&wrapped], &p)
                });
                let (expected, title) = ((op.host())(&p, len).unwrap(), op.title(&p));
                let in_buffer = wrapped.read().await.unwrap();
                assert!(w.read().await.unwrap() == expected, "{title}, length {len}");
                assert!(
                    in_buffer == expected,
                    "{title}, in somebody's buffer, length {len}"
                );
                assert!(
                    common::guards_hold_async(gpu, &buffer).await,
                    "{title}: a write outside, length {len}"
                );
            }
        }
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_gpu_makes_the_weights_of_a_kernel() {
    let gpu = gpu_async().await;
    let (gpu, shape, len) = (gpu, [3, 2, 5, 7], 210);
    for (made, host) in [
        (
            gpu.lecun_normal(shape, 3),
            LecunNormal::new(30).seed(3).values(len),
        ),
        (
            gpu.lecun_uniform(shape, 3),
            LecunUniform::new(30).seed(3).values(len),
        ),
        (
            gpu.he_normal(shape, 3),
            HeNormal::new(30).seed(3).values(len),
        ),
        (
            gpu.he_uniform(shape, 3),
            HeUniform::new(30).seed(3).values(len),
        ),
        (
            gpu.glorot_normal(shape, 3),
            GlorotNormal::new(30, 42).seed(3).values(len),
        ),
        (
            gpu.glorot_uniform(shape, 3),
            GlorotUniform::new(30, 42).seed(3).values(len),
        ),
    ] {
        let made = made.unwrap();
        assert_eq!(made.shape(), shape);
        assert_eq!(made.read().await.unwrap(), host.unwrap());
    }
}

#[cfg(not(target_family = "wasm"))]
#[pollster::test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn weights_beyond_one_binding_and_one_dispatch_are_the_host_s() {
    let gpu = gpu_async().await;
    let w = gpu
        .lecun_normal([common::HUGE / 1757, 1757], 9)
        .unwrap()
        .read()
        .await
        .unwrap();
    let fan_in = common::HUGE / 1757;
    assert!(
        w == LecunNormal::new(fan_in)
            .seed(9)
            .values(fan_in * 1757)
            .unwrap()
    );
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn zeros_are_zeros_whatever_the_buffer_held() {
    let gpu = gpu_async().await;
    for len in LENGTHS {
        drop(gpu.tensor(&vec![7.0; len], [len]).unwrap());
        assert_eq!(
            gpu.zeros::<f32>([len]).unwrap().read().await.unwrap(),
            vec![0.0; len]
        );
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn half_precision_weights_are_the_rounded_ones() {
    let gpu = gpu_async().await;
    if !gpu.supports_f16() {
        return common::assert_f16_is_an_error(gpu);
    }
    let p = LecunNormal::new(64).seed(3);
    for len in [1, 3, 1757, 65_536] {
        let w: Tensor<f16> = gpu.zeros([len]).unwrap();
        record(gpu, |pass| pass.lecun_normal(&p, &w));
        let expected: Vec<f16> = p
            .values(len)
            .unwrap()
            .into_iter()
            .map(f16::from_f32)
            .collect();
        // A weight below f16's normal range may be flushed.
        let same = |a: f16, b: f16| {
            a == b || a == f16::ZERO && b.to_f32().abs() < f16::MIN_POSITIVE.to_f32()
        };
        assert!(
            w.read()
                .await
                .unwrap()
                .into_iter()
                .zip(expected)
                .all(|(w, expected)| same(w, expected))
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn fans_are_counted_as_keras_does() {
    // keras.src.initializers.random_initializers.compute_fans
    assert_eq!(fans([]), (1, 1));
    assert_eq!(fans([7]), (7, 7));
    assert_eq!(fans([784, 256]), (784, 256));
    assert_eq!(fans([3, 3, 16, 32]), (144, 288));
    assert_eq!(
        LecunNormal::for_kernel([3, 3, 16, 32]),
        LecunNormal::new(144)
    );
    assert_eq!(
        GlorotUniform::for_kernel([3, 3, 16, 32]),
        GlorotUniform::new(144, 288)
    );
    // no inputs at all count as one
    assert_eq!(
        LecunNormal::new(0).values(9).unwrap(),
        LecunNormal::new(1).values(9).unwrap()
    );
}

/// Φ(x) for |x| ≤ 2 to 1e-15, by the series of erf (Abramowitz and Stegun 7.1.5).
fn normal_cdf(x: f64) -> f64 {
    let t = x / std::f64::consts::SQRT_2;
    let mut term = t;
    let mut sum = t;
    for n in 1..40 {
        term *= -t * t / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    0.5 + sum / std::f64::consts::PI.sqrt()
}

/// The CDF of a standard normal truncated at ±2.
fn truncated_cdf(x: f64) -> f64 {
    let (low, high) = (normal_cdf(-2.0), normal_cdf(2.0));
    (normal_cdf(x.clamp(-2.0, 2.0)) - low) / (high - low)
}

/// The largest distance of the values' empirical CDF from `cdf`.
fn kolmogorov_smirnov(mut values: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let distance = |(i, &x): (usize, &f64)| {
        let p = cdf(x);
        (p - i as f64 / n).abs().max(((i + 1) as f64 / n - p).abs())
    };
    values.iter().enumerate().map(distance).fold(0.0, f64::max)
}

/// The distance that a sample of `n` stays below in 99 % of all cases (Kolmogorov).
fn critical_distance(n: usize) -> f64 {
    1.628 / (n as f64).sqrt()
}

#[wasm_bindgen_test(unsupported = test)]
fn truncated_normals_are_within_the_documented_error_of_the_true_quantile() {
    let half_mass = normal_cdf(2.0) - 0.5;
    for i in 0..=200_000u64 {
        let word = (i * 0x7fff_ffff / 200_000) as u32;
        let z = f64::from(random::truncated_normal(word)) * 2f64.powi(-22);
        // The word's place in (0, 1), and how far the CDF of z is from it, as a distance in z.
        let x = (2.0 * f64::from(word) + 1.0) * 2f64.powi(-32);
        let density = (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let error = (normal_cdf(z) - 0.5 - x * half_mass) / density;
        assert!(
            error.abs() <= 1.1e-6,
            "word {word}: z = {z} is off by {error:e}"
        );
        assert_eq!(
            random::truncated_normal(word | 1 << 31),
            -random::truncated_normal(word)
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn truncated_normals_grow_with_the_word_and_end_at_two() {
    let z: Vec<i32> = (0..1 << 22)
        .map(|i| random::truncated_normal(i << 9))
        .collect();
    assert!(z.is_sorted());
    let end = f64::from(random::truncated_normal(0x7fff_ffff)) * 2f64.powi(-22);
    assert!(end <= 2.0 && end > 2.0 - 1e-6, "{end}");
}

/// A browser's bits are the same, and it would take a while.
#[cfg(not(target_family = "wasm"))]
#[test]
fn lecun_normal_weights_follow_the_truncated_normal() {
    let fan_in = 144;
    let sigma = (1.0 / fan_in as f64).sqrt();
    let weights = |seed, len| LecunNormal::new(fan_in).seed(seed).values(len).unwrap();

    // Of 100 seeds one is beyond the 1 % level, on average; more than 5 in 1 of 2,000 such tests.
    let len = 1 << 16;
    let is_beyond = |&seed: &u64| {
        // The deviation of a standard normal truncated at ±2.
        let z: Vec<f64> = weights(seed, len)
            .iter()
            .map(|&w| f64::from(w) / sigma * 0.879_625_661_034_239_8)
            .collect();
        kolmogorov_smirnov(z, truncated_cdf) > critical_distance(len)
    };
    let beyond: Vec<u64> = (1..=100).filter(is_beyond).collect();
    println!("beyond the 1 % level: seeds {beyond:?} of 100");
    assert!(beyond.len() <= 5, "{beyond:?}");

    let len = 1 << 20;
    for seed in [1, 2, 3] {
        let weights = weights(seed, len);
        let mean = weights.iter().map(|&w| f64::from(w)).sum::<f64>() / len as f64;
        let variance =
            weights.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() / len as f64 - mean * mean;
        // four standard errors; the fourth moment of this distribution is 2.37 σ⁴
        let n = (len as f64).sqrt();
        assert!(mean.abs() < 4.0 * sigma / n, "seed {seed}: mean {mean}");
        assert!(
            (variance / sigma.powi(2) - 1.0).abs() < 4.0 * 1.17 / n,
            "seed {seed}: variance {variance}"
        );
    }
}

/// Scale, mode and distribution of each are those of keras.src.initializers.random_initializers, as is what
/// they mean: `VarianceScaling`.
#[wasm_bindgen_test(unsupported = test)]
fn weights_have_keras_s_distributions() {
    let (kernel, len) = ([3, 3, 16, 32], 1 << 20);
    let (fan_in, fan_avg) = (144.0, (144.0 + 288.0) / 2.0);
    let lecun_normal = LecunNormal::for_kernel(kernel).seed(4).values(len);
    let lecun_uniform = LecunUniform::for_kernel(kernel).seed(5).values(len);
    let he_normal = HeNormal::for_kernel(kernel).seed(6).values(len);
    let he_uniform = HeUniform::for_kernel(kernel).seed(7).values(len);
    let glorot_normal = GlorotNormal::for_kernel(kernel).seed(8).values(len);
    let glorot_uniform = GlorotUniform::for_kernel(kernel).seed(9).values(len);
    for (name, weights, scale, fan, is_normal) in [
        ("lecun_normal", lecun_normal, 1.0, fan_in, true),
        ("lecun_uniform", lecun_uniform, 1.0, fan_in, false),
        ("he_normal", he_normal, 2.0, fan_in, true),
        ("he_uniform", he_uniform, 2.0, fan_in, false),
        ("glorot_normal", glorot_normal, 1.0, fan_avg, true),
        ("glorot_uniform", glorot_uniform, 1.0, fan_avg, false),
    ] {
        let variance: f64 = scale / fan;
        let (limit, kurtosis): (f64, f64) = if is_normal {
            // The fourth moment of a normal truncated at ±2, of variance 1, is 2.37.
            (2.0 * variance.sqrt() / 0.879_625_661_034_239_8, 2.37)
        } else {
            ((3.0 * variance).sqrt(), 9.0 / 5.0)
        };
        let scaled: Vec<f64> = weights
            .unwrap()
            .into_iter()
            .map(|w| f64::from(w) / limit)
            .collect();
        // The limit is rounded to f32.
        let within = |u: &f64| u.abs() < 1.0 + 1e-7 && (is_normal || *u != 0.0);
        assert!(scaled.iter().all(within), "{name}");
        // Four standard errors.
        let (n, to_one) = (len as f64, limit.powi(2) / variance);
        let found = scaled.iter().map(|u| u * u).sum::<f64>() / n * to_one;
        assert!(
            (found - 1.0).abs() < 4.0 * ((kurtosis - 1.0) / n).sqrt(),
            "{name}: {found} of the variance"
        );
        let distance = kolmogorov_smirnov(scaled, |u| match is_normal {
            true => truncated_cdf(2.0 * u),
            false => (u + 1.0) / 2.0,
        });
        assert!(distance < critical_distance(len), "{name}: {distance}");
    }
}

/// Kernels for which two initializers have the same variance, 1 / 72.
#[wasm_bindgen_test(unsupported = test)]
fn weights_of_one_variance_and_distribution_have_the_same_bits() {
    let (len, seed, call, offset) = (1757, 11, 5, 400);
    let lecun = LecunNormal::new(72).seed(seed).call(call).offset(offset);
    let he = HeNormal::new(144).seed(seed).call(call).offset(offset);
    let glorot = GlorotNormal::new(100, 44)
        .seed(seed)
        .call(call)
        .offset(offset);
    let normal = lecun.values(len).unwrap();
    assert_eq!(he.values(len).unwrap(), normal);
    assert_eq!(glorot.values(len).unwrap(), normal);

    let lecun = LecunUniform::new(72).seed(seed).call(call).offset(offset);
    let he = HeUniform::new(144).seed(seed).call(call).offset(offset);
    let glorot = GlorotUniform::new(100, 44)
        .seed(seed)
        .call(call)
        .offset(offset);
    let uniform = lecun.values(len).unwrap();
    assert_eq!(he.values(len).unwrap(), uniform);
    assert_eq!(glorot.values(len).unwrap(), uniform);
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_parts_of_a_kernel_are_those_of_the_whole() {
    let gpu = gpu_async().await;
    // Across the end of the 2³² blocks that a counter's low word counts; the host counts in u64.
    let start = (1u64 << 34) - 400;
    let whole = LecunNormal::new(3)
        .seed(9)
        .offset(start)
        .values(1757)
        .unwrap();
    for range in [0..1757, 0..400, 400..1757, 396..404] {
        let w: Tensor = gpu.zeros([range.len()]).unwrap();
        let part = LecunNormal::new(3)
            .seed(9)
            .offset(start + range.start as u64);
        record(gpu, |pass| pass.lecun_normal(&part, &w));
        assert_eq!(w.read().await.unwrap(), whole[range]);
    }
}
