//! SELU against λx and λα(eˣ − 1) in f64, whose own error is below a millionth of an f32's ulp.

use crate::common::ops::Parameter;
use crate::common::{self, ALPHA, SAMPLE, SCALE, all_floats, gpu_async, special};
use crate::unary::Unary;
use selfnorm::Selu;
use wasm_bindgen_test::wasm_bindgen_test;

/// As the documentation of `Tensor::selu` and `Tensor::selu_backward` promises.
const MAX_ULPS: f64 = 2.0;

const SELU: Unary = Unary {
    name: "selu",
    p: Parameter::None,
};

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn selu_is_within_two_ulp_of_the_real_value_over_all_binades() {
    let mut x = all_floats(0, 1021);
    x.extend(special());
    SELU.is_within_its_bound(&x).await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn selu_is_within_two_ulp_where_the_negative_branch_bends() {
    // Every 17th float from −18 to −2⁻¹⁰: where the polynomial and its reconstruction matter.
    let x: Vec<f32> = ((-(2f32.powi(-10))).to_bits()..(-18f32).to_bits())
        .step_by(17 * SAMPLE as usize)
        .map(f32::from_bits)
        .collect();
    SELU.is_within_its_bound(&x).await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn selu_backward_is_within_two_ulp_of_the_real_value_for_any_gradient() {
    let mut x = all_floats(3, 2039);
    x.extend(special());
    SELU.gradient_is_within_its_bound(&x).await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn selu_backward_is_within_two_ulp_for_the_largest_and_smallest_gradients() {
    SELU.gradient_is_within_its_bound_for_the_largest_and_smallest()
        .await;
}

#[cfg(not(target_family = "wasm"))]
#[test]
#[ignore = "all 2^32 floats, forward and backward: minutes"]
fn selu_is_within_two_ulp_of_the_real_value_at_every_float() {
    SELU.is_within_its_bounds_at_every_float();
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn zeros_keep_their_sign_and_the_derivative_at_zero_is_the_left_one() {
    let gpu = gpu_async().await;
    let x = gpu.tensor(&[0.0, -0.0], [2]).unwrap();
    let bits: Vec<u32> = x
        .selu()
        .unwrap()
        .read()
        .await
        .unwrap()
        .iter()
        .map(|y| y.to_bits())
        .collect();
    assert_eq!(bits, [0f32.to_bits(), (-0f32).to_bits()]);
    let dx = x
        .selu_backward(&gpu.tensor(&[1.0; 2], [2]).unwrap())
        .unwrap()
        .read()
        .await
        .unwrap();
    assert_eq!(dx, [(SCALE * ALPHA) as f32; 2]);
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn nans_of_every_kind_come_out_as_nans() {
    SELU.nans_of_every_kind_come_out_as_nans().await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn every_length_and_every_way_in_gives_the_same_bits_and_writes_nothing_else() {
    SELU.every_length_and_every_way_in_gives_the_same_bits()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_tensor_beyond_one_binding_and_one_dispatch_is_whole() {
    SELU.is_whole_beyond_one_binding_and_one_dispatch().await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn half_precision_is_the_rounded_single_precision_result() {
    SELU.half_precision_is_the_rounded_single_precision_result()
        .await;
    let elu = Unary {
        name: "elu",
        p: Parameter::Constant("alpha", 1.5),
    };
    elu.half_precision_is_the_rounded_single_precision_result()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn half_precision_of_odd_lengths_writes_nothing_else() {
    SELU.half_precision_of_odd_lengths_writes_nothing_else()
        .await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_gradient_is_the_slope_of_the_function() {
    SELU.gradient_is_the_slope_of_the_function().await;
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn values_and_gradients_are_keras_s() {
    let gpu = gpu_async().await;
    let golden = common::golden("activations");
    let x = golden.f32("x");
    let tensor = gpu.tensor(&x, [x.len()]).unwrap();
    let ones = gpu.tensor(&vec![1.0; x.len()], [x.len()]).unwrap();
    let check = |actual: Vec<f32>, name: &str| {
        for ((&x, &actual), &expected) in x.iter().zip(&actual).zip(&golden.f64(name)) {
            // At 0 Keras takes the other derivative.
            if x != 0.0 {
                let error = common::ulps(actual, expected);
                assert!(
                    error <= MAX_ULPS,
                    "{name} at {x:e}: {actual:e}, not {expected:e}"
                );
            }
        }
    };
    check(tensor.selu().unwrap().read().await.unwrap(), "selu");
    check(
        tensor.selu_backward(&ones).unwrap().read().await.unwrap(),
        "selu_grad",
    );
    for alpha in ["0.25", "1.0", "1.5"] {
        let value: f64 = alpha.parse().unwrap();
        check(
            tensor.elu(value).unwrap().read().await.unwrap(),
            &format!("elu_{alpha}"),
        );
        check(
            tensor
                .elu_backward(value, &ones)
                .unwrap()
                .read()
                .await
                .unwrap(),
            &format!("elu_{alpha}_grad"),
        );
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn other_constants_are_within_two_and_a_half_ulp() {
    let x = all_floats(5, 8191);
    for p in [
        Selu {
            alpha: 1.67326,
            scale: 1.0507,
        },
        Selu {
            alpha: 0.3,
            scale: 7.7,
        },
        Selu {
            alpha: 0.0,
            scale: 1.0,
        },
        Selu {
            alpha: -2.1,
            scale: 0.9,
        },
    ] {
        let selu = Unary {
            p: Parameter::Selu(p),
            ..SELU
        };
        selu.is_within_its_bound(&x).await;
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_default_constants_are_the_published_ones() {
    // Klambauer et al. 2017, to the digits of their appendix, as TensorFlow and PyTorch have them.
    let digits = |text: &str| text.parse::<f64>().unwrap();
    assert_eq!(
        Selu::default().alpha,
        digits("1.6732632423543772848170429916717")
    );
    assert_eq!(
        Selu::default().scale,
        digits("1.0507009873554804934193349852946")
    );
}

/// The double-exponential rule for ∫₀^∞ φ(x) g(x) dx with the density φ of N(0, 1), whose error on what
/// is smooth in x or in ln x is that of the f64 sums: nodes x, and weights with φ in them.
fn half_normal() -> Vec<(f64, f64)> {
    use std::f64::consts::{FRAC_PI_2, TAU};
    let step = 1.0 / 64.0;
    // From x = 1e-31, below which nothing here has weight, to x = 17, where φ has none.
    (-288..=85)
        .map(|i| {
            let u = f64::from(i) * step;
            let x = (FRAC_PI_2 * u.sinh()).exp();
            let density = (-0.5 * x * x).exp() / TAU.sqrt();
            (x, step * FRAC_PI_2 * u.cosh() * x * density)
        })
        .collect()
}

/// Mean and variance of selu(z) for z ~ N(0, variance), by quadrature, and the variance's derivative by
/// that of z, which is f'(z) z / (2 variance) under the integral.
fn moments(p: &Selu, variance: f64) -> (f64, f64, f64) {
    let deviation = variance.sqrt();
    let (mut sums, mut slopes) = ([0.0; 2], [0.0; 2]);
    for (x, weight) in half_normal() {
        let z = deviation * x;
        let negative = p.scale * p.alpha * (-z).exp_m1();
        let values = [
            (p.scale * z, p.scale * z),
            (negative, -z * p.scale * p.alpha * (-z).exp()),
        ];
        for (f, f_slope_times_z) in values {
            let slope = f_slope_times_z / (2.0 * variance);
            sums[0] += weight * f;
            sums[1] += weight * f * f;
            slopes[0] += weight * slope;
            slopes[1] += weight * 2.0 * f * slope;
        }
    }
    let [mean, square] = sums;
    (
        mean,
        square - mean * mean,
        slopes[1] - 2.0 * mean * slopes[0],
    )
}

/// Fixed points (μ, ν) with their SELU: ν from 10^`least` to 10^`most`, and μ over the whole range.
fn fixed_points(least: i32, most: i32) -> Vec<(f64, f64, Selu)> {
    // On either side of where formulas follow on each other, ½, 312½ and 1250, too.
    let mut variances = vec![0.499, 0.501, 1.0, 2.0, 311.0, 313.0, 1249.0, 1251.0];
    variances.extend((least..=most).map(|exponent| 10f64.powi(exponent)));
    let mut points = Vec::new();
    for variance in variances {
        let deviation = variance.sqrt();
        // The bounds of the documentation: α = 0 above and α = ∞ below.
        let most = deviation / (std::f64::consts::PI - 1.0).sqrt();
        let step = moments(
            &Selu {
                alpha: 1e200,
                scale: 1e-200,
            },
            variance,
        );
        let least = deviation * step.0 / step.1.sqrt();
        let shares = [1e-7, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0 - 1e-7];
        let means = shares.map(|share| least + share * (most - least));
        for mean in means.into_iter().chain([0.0]) {
            let p = Selu::with_fixed_point(mean, variance).unwrap();
            points.push((mean, variance, p));
        }
    }
    points
}

#[wasm_bindgen_test(unsupported = test)]
fn with_fixed_point_gives_the_mean_and_the_variance_asked_for() {
    let mut worst = (0.0, 0.0);
    for (mean, variance, p) in fixed_points(-20, 20) {
        assert!(p.alpha > 0.0 && p.scale > 0.0, "{p:?}");
        let (its_mean, its_variance, _) = moments(&p, variance);
        let errors = (
            (its_mean - mean).abs() / variance.sqrt(),
            (its_variance - variance).abs() / variance,
        );
        // As the documentation of `Selu::with_fixed_point` promises.
        assert!(
            errors.0 <= 1e-14 && errors.1 <= 1e-14,
            "({mean}, {variance}): {p:?} is off by {errors:?}"
        );
        worst = (errors.0.max(worst.0), errors.1.max(worst.1));
    }
    println!("worst errors {worst:?}");
}

#[wasm_bindgen_test(unsupported = test)]
fn with_fixed_point_of_0_and_1_is_the_published_selu_to_the_last_bit() {
    assert_eq!(Selu::with_fixed_point(0.0, 1.0).unwrap(), Selu::default());
    // The formulas, not the constants: so small a mean changes no digit.
    for mean in [1e-300, -1e-300] {
        let p = Selu::with_fixed_point(mean, 1.0).unwrap();
        assert_eq!(
            (p.alpha as f32, p.scale as f32),
            (ALPHA as f32, SCALE as f32)
        );
        assert!((p.alpha - ALPHA).abs() <= f64::EPSILON, "{p:?}");
        assert!((p.scale - SCALE).abs() <= f64::EPSILON, "{p:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn with_fixed_point_is_the_exact_solution() {
    // (μ, ν, α, λ): the roots of the two equations as they stand in the documentation, by mpmath 1.3.0
    // with 120 digits, of the decimal numbers μ and ν.
    let exact = [
        (0.0, 1e-12, 1.000_000_626_657_128, 1.000_000_085_613_691_7),
        (0.0, 0.01, 1.063_244_576_324_725_8, 1.008_044_915_384_850_5),
        (0.0, 0.25, 1.326_436_989_830_754_4, 1.032_114_800_203_560_7),
        (0.0, 0.5, 1.468_059_870_530_505_2, 1.040_957_337_538_635),
        (0.0, 2.0, 1.971_255_750_346_268_9, 1.060_709_076_103_012_2),
        (0.0, 30.0, 5.088_938_547_971_339, 1.090_516_997_868_446_8),
        (0.0, 1250.0, 28.860_265_832_196_21, 1.103_038_693_462_518_5),
        (0.0, 1e6, 798.521_688_292_293_8, 1.105_369_319_562_993),
        (-0.1, 2.0, 2.326_990_778_819_341_4, 0.982_180_433_795_927_3),
        (0.5, 1.0, 0.326_577_670_496_372_26, 1.557_248_789_856_519_5),
        (-0.5, 1.0, 6.502_621_730_826_523, 0.434_244_937_935_136_85),
        (0.3, 0.5, 0.417_583_671_767_154_05, 1.486_222_176_539_481),
        (
            0.001,
            1e-5,
            0.421_172_918_130_364_4,
            1.367_465_488_450_219_5,
        ),
        (-2.0, 6.0, 66.367_523_323_513_18, 0.088_216_510_106_713_73),
        (-4.0, 25.0, 59.766_021_047_850_37, 0.171_739_137_208_970_7),
    ];
    for (mean, variance, alpha, scale) in exact {
        let p = Selu::with_fixed_point(mean, variance).unwrap();
        // As documented for mean 0. The nearer the mean to its bound, the more does its own rounding
        // matter: thirteen times for (−2, 6).
        let bound = if mean == 0.0 { 1e-15 } else { 1e-14 };
        println!(
            "({mean}, {variance}): {:.1e}, {:.1e}",
            p.alpha / alpha - 1.0,
            p.scale / scale - 1.0
        );
        assert!(
            (p.alpha / alpha - 1.0).abs() <= bound,
            "({mean}, {variance}): {p:?}"
        );
        assert!(
            (p.scale / scale - 1.0).abs() <= bound,
            "({mean}, {variance}): {p:?}"
        );
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn with_fixed_point_has_its_limits_at_the_smallest_and_the_largest_variance() {
    use std::f64::consts::PI;
    for variance in [5e-324, 1e-300] {
        // The identity.
        let p = Selu::with_fixed_point(0.0, variance).unwrap();
        assert_eq!((p.alpha, p.scale), (1.0, 1.0));
    }
    for variance in [1e200, 1e300, f64::MAX] {
        // A ramp and a step.
        let p = Selu::with_fixed_point(0.0, variance).unwrap();
        let (alpha, scale) = ((2.0 / PI * variance).sqrt(), (0.5 + 1.0 / PI).powf(-0.5));
        assert!((p.alpha / alpha - 1.0).abs() <= 1e-15, "{p:?}");
        assert!((p.scale / scale - 1.0).abs() <= 1e-15, "{p:?}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn every_fixed_point_attracts_where_weights_have_sum_0_and_sum_of_squares_1() {
    let mut range = (f64::INFINITY, f64::NEG_INFINITY);
    for (mean, variance, p) in fixed_points(-8, 6) {
        let (_, _, slope) = moments(&p, variance);
        assert!(0.0 < slope && slope < 1.0, "({mean}, {variance}): {slope}");
        range = (slope.min(range.0), slope.max(range.1));
    }
    println!("slopes {range:?}");
    // The paper's Jacobian for (0, 1), section 2.
    let (_, _, slope) = moments(&Selu::default(), 1.0);
    approx::assert_abs_diff_eq!(slope, 0.782648, epsilon = 5e-7);
    // Layer after layer, from far off.
    for (mean, variance) in [
        (0.0, 1.0),
        (0.0, 2.0),
        (-0.5, 1.0),
        (0.2, 3.0),
        (-4.0, 25.0),
    ] {
        let p = Selu::with_fixed_point(mean, variance).unwrap();
        for start in [0.01 * variance, 100.0 * variance] {
            let mut state = (0.0, start);
            for _ in 0..200 {
                let (mean, variance, _) = moments(&p, state.1);
                state = (mean, variance);
            }
            assert!(
                (state.0 - mean).abs() <= 1e-13 * variance.sqrt(),
                "{state:?}"
            );
            assert!((state.1 - variance).abs() <= 1e-13 * variance, "{state:?}");
        }
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_fixed_point_that_no_selu_has_is_an_error_with_the_bound() {
    let message = |mean, variance| {
        Selu::with_fixed_point(mean, variance)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        message(1.5, 4.0),
        "Selu::with_fixed_point: mean is 1.5, must be below 0.683 sqrt(variance), which is what ReLU \
         gives"
    );
    assert_eq!(
        message(-0.9, 1.0),
        "Selu::with_fixed_point: mean is -0.9, must be above what alpha = infinity gives: -0.803 for \
         variance 1, from -0.683 sqrt(variance) for small variances to -sqrt(variance) for large ones"
    );
    for mean in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(
            message(mean, 1.0),
            format!("Selu::with_fixed_point: mean is {mean:?}, must be finite")
        );
    }
    for variance in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(
            message(0.0, variance),
            format!("Selu::with_fixed_point: variance is {variance:?}, must be finite and above 0")
        );
    }
    // On either side of the bounds, and far beyond: 1/√(π − 1), and mpmath's for α = ∞.
    let (most, least) = (0.683_331_696_121_480_8, -0.803_260_834_827_569_3);
    for (bound, outside) in [(most, 1.0), (least, -1.0)] {
        let near = 1e-12 * outside;
        assert!(Selu::with_fixed_point(bound - near, 1.0).is_ok());
        assert!(Selu::with_fixed_point(bound + near, 1.0).is_err());
        assert!(Selu::with_fixed_point(outside * f64::MAX, f64::MIN_POSITIVE).is_err());
    }
}
