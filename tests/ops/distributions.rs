//! Random numbers follow their distributions: Kolmogorov-Smirnov, moments, and serial tests of the raw
//! words. The device's numbers are the host's (`same_bits.rs`), so all but
//! the last test need no GPU.
//!
//! Ordinarily one seed and 2²² samples; three and 10⁸ with
//! `cargo test --release --test ops distributions:: -- --ignored`. Seeds are fixed, so that nothing fails by
//! chance: the bound is that of one failure in 10⁵ tests of a perfect generator.

use crate::common;
use std::f64::consts::PI;

use selfnorm::{AlphaDropout, GlorotUniform, LecunNormal, LecunUniform, Tensor, random};

const FEW: usize = 1 << 22;
const MANY: usize = 100_000_000;

const SEEDS: [u64; 3] = [1, 0xdead_beef, u64::MAX];

/// Standard errors that a normal variable exceeds once in 10⁵ times, either way.
const MAX_SIGMAS: f64 = 4.42;

fn assert_typical(what: &str, sigmas: f64) {
    println!("{what}: {sigmas:+.2} standard errors");
    assert!(
        sigmas.abs() <= MAX_SIGMAS,
        "{what}: {sigmas} standard errors"
    );
}

/// E zⁿ of a standard normal truncated at ±2, by integration by parts: zero for odd n, else
/// E zⁿ = (n − 1) E zⁿ⁻² − 2 · 2ⁿ⁻¹ φ(2) / (2 Φ(2) − 1).
fn moment(n: u32) -> f64 {
    match n {
        0 => 1.0,
        n if n % 2 == 1 => 0.0,
        n => {
            let density = (-2f64).exp() / (2.0 * PI).sqrt();
            let mass = libm::erf(2f64.sqrt());
            f64::from(n - 1) * moment(n - 2) - 2f64.powi(n as i32) * density / mass
        }
    }
}

fn truncated_normal_holds(seeds: &[u64], samples: usize) {
    let half = 1usize << 23;
    for &seed in seeds {
        // How often each multiple of 2⁻²² came.
        let mut counts = vec![0u32; 2 * half + 1];
        let mut sums = [0.0; 4];
        for word in random::words(seed, 0, 0..samples as u64) {
            let k = random::truncated_normal(word);
            counts[(k + half as i32) as usize] += 1;
            let z = f64::from(k) * 2f64.powi(-22);
            let square = z * z;
            for (sum, power) in sums
                .iter_mut()
                .zip([z, square, square * z, square * square])
            {
                *sum += power;
            }
        }
        let n = samples as f64;
        for (sum, power) in sums.into_iter().zip(1..) {
            let variance = moment(2 * power) - moment(power).powi(2);
            let sigmas = (sum / n - moment(power)) * (n / variance).sqrt();
            assert_typical(&format!("seed {seed}: moment {power}"), sigmas);
        }
        let mut below = 0;
        let mut distance = 0f64;
        for (i, count) in counts.into_iter().enumerate() {
            // The middle between this multiple and the one before.
            let x = (i as f64 - half as f64 - 0.5) * 2f64.powi(-22);
            let cdf = 0.5 + 0.5 * libm::erf(x / 2f64.sqrt()) / libm::erf(2f64.sqrt());
            distance = distance.max((f64::from(below) / n - cdf).abs());
            below += count;
        }
        // Kolmogorov's distribution: above 2.47 / √n once in 10⁵ times.
        println!(
            "seed {seed}: Kolmogorov-Smirnov distance {:.3} / √n",
            distance * n.sqrt()
        );
        assert!(distance * n.sqrt() <= 2.47, "seed {seed}: {distance}");
    }
}

#[test]
fn lecun_normal_follows_the_truncated_normal() {
    truncated_normal_holds(&SEEDS[..1], FEW);
}

#[test]
#[ignore = "10⁸ samples: minutes"]
fn lecun_normal_follows_the_truncated_normal_in_100_million_samples() {
    truncated_normal_holds(&SEEDS, MANY);
}

/// Chi-squared of `counts` against a uniform distribution, as a normal variable (Wilson and Hilferty).
fn chi_squared(counts: &[u32]) -> f64 {
    let cells = counts.len() as f64;
    let n: f64 = counts.iter().map(|&count| f64::from(count)).sum();
    let expected = n / cells;
    let squares = counts
        .iter()
        .map(|&count| (f64::from(count) - expected).powi(2));
    let degrees = cells - 1.0;
    let spread = 2.0 / (9.0 * degrees);
    let chi_squared: f64 = squares.sum::<f64>() / expected;
    ((chi_squared / degrees).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// Pairs of words that must have nothing to do with each other: the distributions of the pairs of their
/// highest and of their lowest bytes, and their correlation.
fn pairs_are_independent(
    what: &str,
    first: impl Iterator<Item = u32>,
    second: impl Iterator<Item = u32>,
) {
    let mut high = vec![0u32; 1 << 16];
    let mut low = vec![0u32; 1 << 16];
    let (mut product, mut n) = (0.0, 0.0);
    let centred = |word: u32| f64::from(word) * 2f64.powi(-32) + (2f64.powi(-33) - 0.5);
    for (a, b) in first.zip(second) {
        high[(a >> 24 << 8 | b >> 24) as usize] += 1;
        low[((a & 0xff) << 8 | b & 0xff) as usize] += 1;
        product += centred(a) * centred(b);
        n += 1.0;
    }
    assert_typical(&format!("{what}: high bytes"), chi_squared(&high));
    assert_typical(&format!("{what}: low bytes"), chi_squared(&low));
    // The variance of a uniform variable is 1/12.
    assert_typical(
        &format!("{what}: correlation"),
        product * 12.0 / f64::sqrt(n),
    );
}

fn words_are_independent(seeds: &[u64], samples: usize) {
    let n = samples as u64;
    let stream = |seed: u64, call: u64, from: u64| random::words(seed, call, from..from + n);
    for &seed in seeds {
        // The next element, the next block of four, the next row of a few lengths.
        for lag in [1, 2, 4, 28, 1024, 65_536] {
            let what = format!("seed {seed}: elements {lag} apart");
            pairs_are_independent(&what, stream(seed, 0, 0), stream(seed, 0, lag));
        }
        // Masks, then weights beside masks and each other, the seeds of layers, and orders of samples.
        let (weights, seeds, orders) = (0b10 << 62, 0b110 << 61, 0b111 << 61);
        for (call, next) in [
            (0, 1),
            (1, 2),
            (0, 1 << 32),
            (0, weights),
            (1, weights | 1),
            (weights, weights | 1),
            (0, seeds),
            (weights, seeds),
            (0, orders),
            (orders, orders | 1),
        ] {
            let what = format!("seed {seed}: calls {call:#x} and {next:#x}");
            pairs_are_independent(&what, stream(seed, call, 0), stream(seed, next, 0));
        }
        for other in [seed.wrapping_add(1), seed ^ 1 << 32, !seed] {
            let what = format!("seeds {seed} and {other}");
            pairs_are_independent(&what, stream(seed, 0, 0), stream(other, 0, 0));
        }
        // As a network gives each random thing a seed of its own: words of another Philox block.
        let layer = |position: u32| {
            let key = [seed as u32, (seed >> 32) as u32];
            let words = random::philox4x32_10([position, 0, 0, 0b110 << 29], key);
            u64::from(words[0]) | u64::from(words[1]) << 32
        };
        for (call, next) in [(1, 1), (weights, weights), (weights, 1)] {
            let what =
                format!("layers of a network with seed {seed}, calls {call:#x} and {next:#x}");
            pairs_are_independent(&what, stream(layer(0), call, 0), stream(layer(1), next, 0));
        }
    }
}

#[test]
fn neighbours_calls_and_layers_are_independent() {
    words_are_independent(&SEEDS[..1], FEW);
}

#[test]
#[ignore = "10⁸ samples: minutes"]
fn neighbours_calls_and_layers_are_independent_in_100_million_samples() {
    words_are_independent(&SEEDS, MANY);
}

/// The correlation of a mask with the weights of the same seed, their signs and their sizes.
#[test]
fn masks_and_weights_of_one_seed_are_uncorrelated() {
    let n = FEW / 4;
    for seed in SEEDS {
        let weights = [
            LecunNormal::new(3).seed(seed).values(n),
            LecunNormal::new(3).seed(seed).call(1).values(n),
            LecunUniform::new(3).seed(seed).call(2).values(n),
            GlorotUniform::new(3, 4).seed(seed).call(3).values(n),
        ]
        .map(Result::unwrap);
        let p = AlphaDropout::new(0.5).seed(seed);
        let masks = [0, 1, 2, 3].map(|call| p.clone().call(call).mask([n]).unwrap());
        let masks = masks.map(|mask| mask.into_iter().map(f64::from).collect::<Vec<_>>());
        let weights = weights.map(|w| w.into_iter().map(f64::from).collect::<Vec<_>>());
        let uncorrelated = |what: String, a: &[f64], b: &[f64]| {
            let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / n as f64;
            let (a0, b0) = (mean(&mut a.iter().copied()), mean(&mut b.iter().copied()));
            let pairs = || a.iter().zip(b).map(|(a, b)| (a - a0, b - b0));
            let deviations =
                mean(&mut pairs().map(|(a, _)| a * a)) * mean(&mut pairs().map(|(_, b)| b * b));
            let r = mean(&mut pairs().map(|(a, b)| a * b)) / deviations.sqrt();
            assert_typical(&format!("seed {seed}: {what}"), r * (n as f64).sqrt());
        };
        for (i, w) in weights.iter().enumerate() {
            let sizes: Vec<_> = w.iter().map(|w| w.abs()).collect();
            let signs: Vec<_> = w.iter().map(|w| w.signum()).collect();
            for (call, mask) in masks.iter().enumerate() {
                uncorrelated(format!("weights {i}, mask {call}"), w, mask);
                uncorrelated(format!("sizes of weights {i}, mask {call}"), &sizes, mask);
                uncorrelated(format!("signs of weights {i}, mask {call}"), &signs, mask);
            }
            for (j, other) in weights.iter().enumerate().take(i) {
                uncorrelated(format!("weights {j} and {i}"), other, w);
            }
        }
        for (call, mask) in masks.iter().enumerate() {
            for (before, other) in masks.iter().enumerate().take(call) {
                uncorrelated(format!("masks {before} and {call}"), other, mask);
            }
        }
    }
}

/// Of truncated normals of variance 1, on the device, in chunks. One seed serves weights and mask.
fn moments_stay(seeds: &[u64], samples: usize) {
    const CHUNK: usize = 1 << 22;
    let gpu = common::gpu();
    for rate in [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9] {
        for &seed in seeds {
            let mut sums = [0.0; 4];
            let chunks = samples.div_ceil(CHUNK);
            for chunk in 0..chunks as u64 {
                let x: Tensor = gpu.zeros([CHUNK]).unwrap();
                let offset = chunk * CHUNK as u64;
                let p = AlphaDropout::new(rate).seed(seed).offset(offset);
                let weights = LecunNormal::new(1).seed(seed).offset(offset);
                common::record(gpu, |pass| {
                    pass.lecun_normal(&weights, &x)?;
                    pass.alpha_dropout_in_place(&x, &p)
                });
                for y in x.to_vec().unwrap().into_iter().map(f64::from) {
                    let square = y * y;
                    for (sum, power) in
                        sums.iter_mut()
                            .zip([y, square, square * y, square * square])
                    {
                        *sum += power;
                    }
                }
            }
            let n = (chunks * CHUNK) as f64;
            let [mean, second, _, fourth] = sums.map(|sum| sum / n);
            assert_typical(&format!("rate {rate}, seed {seed}: mean"), mean * n.sqrt());
            let sigmas = (second - 1.0) * (n / (fourth - second * second)).sqrt();
            assert_typical(&format!("rate {rate}, seed {seed}: variance"), sigmas);
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn alpha_dropout_keeps_mean_0_and_variance_1() {
    moments_stay(&SEEDS[..1], FEW);
}

#[test]
#[ignore = "10⁸ samples: minutes"]
fn alpha_dropout_keeps_mean_0_and_variance_1_in_100_million_samples() {
    moments_stay(&SEEDS, MANY);
}
