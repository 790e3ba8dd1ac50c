//! SELU against λx and λα(eˣ − 1) in f64, whose own error is below a millionth of an f32's ulp.

mod common;

use common::{
    ALPHA, HUGE, LENGTHS, SCALE, activations, all_floats, gpu, record, special, worst, wrapped,
};
use half::f16;
use selfnorm::Selu;

/// As the documentation of `Tensor::selu` and `Tensor::selu_backward` promises.
const MAX_ULPS: f64 = 2.0;

fn selu(x: f32) -> f64 {
    let x = f64::from(x);
    if x > 0.0 {
        SCALE * x
    } else {
        SCALE * ALPHA * x.exp_m1()
    }
}

fn derivative(x: f32) -> f64 {
    let x = f64::from(x);
    match x {
        x if x.is_nan() => x,
        x if x > 0.0 => SCALE,
        x => SCALE * ALPHA * x.exp(),
    }
}

/// The derivative where the documentation bounds it in ulps: below −87, eˣ may be 0 instead.
fn bounded(x: f32) -> bool {
    x.is_nan() || x >= -87.0
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn selu_is_within_two_ulp_of_the_real_value_over_all_binades() {
    let mut x = all_floats(0, 1021);
    x.extend(special());
    let y = gpu()
        .tensor(&x, [x.len()])
        .unwrap()
        .selu()
        .unwrap()
        .to_vec()
        .unwrap();
    let (error, at) = worst(&y, &x, selu);
    println!("worst error {error:.3} ulp at {at:e}");
    assert!(error <= MAX_ULPS, "{error} ulp at {at:e}");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn selu_is_within_two_ulp_where_the_negative_branch_bends() {
    // Every 17th float from −18 to −2⁻¹⁰: where the polynomial and its reconstruction matter.
    let x: Vec<f32> = ((-(2f32.powi(-10))).to_bits()..(-18f32).to_bits())
        .step_by(17)
        .map(f32::from_bits)
        .collect();
    let y = gpu()
        .tensor(&x, [x.len()])
        .unwrap()
        .selu()
        .unwrap()
        .to_vec()
        .unwrap();
    let (error, at) = worst(&y, &x, selu);
    println!("worst error {error:.3} ulp at {at:e}");
    assert!(error <= MAX_ULPS, "{error} ulp at {at:e}");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn selu_backward_is_within_two_ulp_of_the_real_value_for_any_gradient() {
    let mut x = all_floats(3, 2039);
    x.extend(special());
    // Gradients of all mantissas and both signs; one of them a power of two.
    for (scale, offset) in [(0.0, 1.0), (0.999_97, 1.000_01), (-317.3, -1.0)] {
        let dy: Vec<f32> = (0..x.len())
            .map(|i| offset + scale * (i as f32 * 0.618_034).fract())
            .collect();
        let dx = gpu()
            .tensor(&x, [x.len()])
            .unwrap()
            .selu_backward(&gpu().tensor(&dy, [x.len()]).unwrap())
            .unwrap()
            .to_vec()
            .unwrap();
        for ((&x, &dy), &dx) in x.iter().zip(&dy).zip(&dx) {
            common::assert_gradient(dx, dy, derivative(x), x);
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn selu_backward_is_within_two_ulp_for_the_largest_and_smallest_gradients() {
    let mut values = special();
    values.extend([2e38, 2.5e38, 3.4e38, 1e-36, 2e-38, 1e38, -0.34, -0.2, -1.7]);
    let pairs = values
        .iter()
        .flat_map(|&x| values.iter().map(move |&dy| (x, dy)));
    // Where eˣ is no normal number, an infinite gradient has no limit.
    let pairs = pairs.filter(|(x, dy)| !(*x < -87.0 && dy.is_infinite()));
    let (x, dy): (Vec<f32>, Vec<f32>) = pairs.unzip();
    let dx = gpu()
        .tensor(&x, [x.len()])
        .unwrap()
        .selu_backward(&gpu().tensor(&dy, [x.len()]).unwrap())
        .unwrap()
        .to_vec()
        .unwrap();
    for ((&x, &dy), &dx) in x.iter().zip(&dy).zip(&dx) {
        common::assert_gradient(dx, dy, derivative(x), x);
    }
}

/// The two sweeps over everything, on Mesa 22.3's lavapipe on two cores: 1.93 ulp at most, in about
/// ten minutes.
#[test]
#[ignore = "all 2^32 floats, forward and backward: minutes"]
fn selu_is_within_two_ulp_of_the_real_value_at_every_float() {
    let step = 1 << 24;
    let ones = gpu().tensor(&vec![1.0; step], [step]).unwrap();
    let (mut forward, mut backward) = ((0.0, 0.0), (0.0, 0.0));
    for first in (0..1u64 << 32).step_by(step) {
        let x: Vec<f32> = (first..first + step as u64)
            .map(|bits| f32::from_bits(bits as u32))
            .collect();
        let tensor = gpu().tensor(&x, [step]).unwrap();
        let here = worst(&tensor.selu().unwrap().to_vec().unwrap(), &x, selu);
        if here.0 > forward.0 {
            forward = here;
        }
        let mut dx = tensor.selu_backward(&ones).unwrap().to_vec().unwrap();
        for (dx, &x) in dx.iter_mut().zip(&x) {
            if !bounded(x) {
                assert!(
                    (f64::from(*dx) - derivative(x)).abs() <= 2f64.powi(-125),
                    "{dx:e} at {x:e}"
                );
                *dx = derivative(x) as f32;
            }
        }
        let here = worst(&dx, &x, derivative);
        if here.0 > backward.0 {
            backward = here;
        }
    }
    println!(
        "forward: {:.3} ulp at {:e}; backward: {:.3} ulp at {:e}",
        forward.0, forward.1, backward.0, backward.1
    );
    assert!(forward.0 <= MAX_ULPS && backward.0 <= MAX_ULPS);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn zeros_keep_their_sign_and_the_derivative_at_zero_is_the_left_one() {
    let x = gpu().tensor(&[0.0, -0.0], [2]).unwrap();
    let bits: Vec<u32> = x
        .selu()
        .unwrap()
        .to_vec()
        .unwrap()
        .iter()
        .map(|y| y.to_bits())
        .collect();
    assert_eq!(bits, [0f32.to_bits(), (-0f32).to_bits()]);
    let dx = x
        .selu_backward(&gpu().tensor(&[1.0; 2], [2]).unwrap())
        .unwrap()
        .to_vec()
        .unwrap();
    assert_eq!(dx, [(SCALE * ALPHA) as f32; 2]);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn nans_of_every_kind_come_out_as_nans() {
    let x: Vec<f32> = [
        0x7f80_0001,
        0x7fc0_0000,
        0x7fff_ffff,
        0xff80_0001,
        0xffc0_0000,
        0xffff_ffff,
    ]
    .map(f32::from_bits)
    .into();
    let ones = gpu().tensor(&[1.0; 6], [6]).unwrap();
    let tensor = gpu().tensor(&x, [6]).unwrap();
    assert!(
        tensor
            .selu()
            .unwrap()
            .to_vec()
            .unwrap()
            .iter()
            .all(|y| y.is_nan())
    );
    assert!(
        tensor
            .selu_backward(&ones)
            .unwrap()
            .to_vec()
            .unwrap()
            .iter()
            .all(|dx| dx.is_nan())
    );
    assert!(
        ones.selu_backward(&tensor)
            .unwrap()
            .to_vec()
            .unwrap()
            .iter()
            .all(|dx| dx.is_nan())
    );
}

/// The same values through every way in: a new tensor, a destination, in place; own buffers and
/// ranges of an application's, which have no room for a whole last lane.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn every_length_and_every_way_in_gives_the_same_bits_and_writes_nothing_else() {
    let gpu = gpu();
    for len in LENGTHS {
        let data = activations(len);
        let gradients: Vec<f32> = data.iter().rev().copied().collect();
        let x = gpu.tensor(&data, [len]).unwrap();
        let dy = gpu.tensor(&gradients, [len]).unwrap();
        let y = x.selu().unwrap().to_vec().unwrap();
        let (error, at) = worst(&y, &data, selu);
        assert!(error <= MAX_ULPS, "length {len}: {error} ulp at {at}");
        let dx = x.selu_backward(&dy).unwrap().to_vec().unwrap();

        let (x_buffer, x) = wrapped(gpu, &data);
        let (dy_buffer, dy) = wrapped(gpu, &gradients);
        let (y_buffer, y_wrapped) = wrapped(gpu, &vec![0.0; len]);
        let (dx_buffer, dx_wrapped) = wrapped(gpu, &vec![0.0; len]);
        record(gpu, |pass| {
            pass.selu(&x, &y_wrapped)?;
            pass.selu_backward(&x, &dy, &dx_wrapped)?;
            pass.selu_backward_in_place(&x, &dy)?;
            pass.selu_in_place(&x)
        });
        assert_eq!(
            y_wrapped.to_vec().unwrap(),
            y,
            "into a destination, length {len}"
        );
        assert_eq!(x.to_vec().unwrap(), y, "in place, length {len}");
        assert_eq!(
            dx_wrapped.to_vec().unwrap(),
            dx,
            "backward into a destination, length {len}"
        );
        assert_eq!(dy.to_vec().unwrap(), dx, "backward in place, length {len}");
        for buffer in [&x_buffer, &dy_buffer, &y_buffer, &dx_buffer] {
            assert!(
                common::guards_hold(gpu, buffer),
                "a write outside, length {len}"
            );
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_tensor_beyond_one_binding_and_one_dispatch_is_whole() {
    let data = activations(HUGE);
    let y = gpu()
        .tensor(&data, [HUGE])
        .unwrap()
        .selu()
        .unwrap()
        .to_vec()
        .unwrap();
    // Everything, as bits: the first million are those that the other tests check.
    let period = 1 << 20;
    let expected = gpu()
        .tensor(&data[..period], [period])
        .unwrap()
        .selu()
        .unwrap()
        .to_vec()
        .unwrap();
    assert_eq!(y[..period], expected);
    // Values differ everywhere, so a chunk that is missing, shifted or done twice is seen.
    let (error, at) = worst(&y, &data, selu);
    assert!(error <= MAX_ULPS, "{error} ulp at {at}");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn half_precision_is_the_rounded_single_precision_result() {
    let gpu = gpu();
    if !gpu.supports_f16() {
        return common::assert_f16_is_an_error(gpu);
    }
    // Every f16.
    let x: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    let single: Vec<f32> = x.iter().map(|x| x.to_f32()).collect();
    let half = gpu.tensor(&x, [x.len()]).unwrap();
    let expected = gpu.tensor(&single, [x.len()]).unwrap();
    let pairs = [
        (half.selu().unwrap(), expected.selu().unwrap()),
        (half.elu(1.5).unwrap(), expected.elu(1.5).unwrap()),
        (
            half.selu_backward(&half).unwrap(),
            expected.selu_backward(&expected).unwrap(),
        ),
    ];
    for (half, single) in pairs {
        for (i, (half, single)) in half
            .to_vec()
            .unwrap()
            .into_iter()
            .zip(single.to_vec().unwrap())
            .enumerate()
        {
            let rounded = f16::from_f32(single);
            let flushed =
                rounded.to_f32().abs() < f16::MIN_POSITIVE.to_f32() && half.to_f32() == 0.0;
            let same = half.to_bits() == rounded.to_bits() || half.is_nan() && rounded.is_nan();
            assert!(same || flushed, "at {}: {half}, not {rounded}", x[i]);
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn half_precision_of_odd_lengths_writes_nothing_else() {
    let gpu = gpu();
    if !gpu.supports_f16() {
        return common::assert_f16_is_an_error(gpu);
    }
    for len in [1usize, 2, 3, 5, 257, 1757] {
        let data: Vec<f16> = activations(len + 8)
            .into_iter()
            .map(f16::from_f32)
            .collect();
        let usage = selfnorm::wgpu::BufferUsages::STORAGE
            | selfnorm::wgpu::BufferUsages::COPY_SRC
            | selfnorm::wgpu::BufferUsages::COPY_DST;
        let buffer =
            common::foreign_buffer(gpu, (data.len() as u64 * 2).next_multiple_of(4), usage);
        let padded: Vec<f16> = data.iter().copied().chain([f16::ONE; 1]).collect();
        gpu.queue().write_buffer(
            &buffer,
            0,
            bytemuck::cast_slice(&padded[..buffer.size() as usize / 2]),
        );
        let x = gpu.wrap::<f16>(buffer.slice(..), [len]).unwrap();
        let expected = gpu
            .tensor(&data[..len], [len])
            .unwrap()
            .selu()
            .unwrap()
            .to_vec()
            .unwrap();
        record(gpu, |pass| pass.selu_in_place(&x));
        let all = gpu
            .wrap::<f16>(buffer.slice(..), [len + 8])
            .unwrap()
            .to_vec()
            .unwrap();
        assert_eq!(all[..len], expected);
        assert_eq!(all[len..], data[len..], "a write outside, length {len}");
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_gradient_is_the_slope_of_the_function() {
    // Central differences in f64 of the reference: error h² f''' / 6 < 1e-9 relative.
    let x: Vec<f32> = activations(4000)
        .into_iter()
        .filter(|x| x.abs() > 1e-3)
        .collect();
    let ones = gpu().tensor(&vec![1.0; x.len()], [x.len()]).unwrap();
    let dx = gpu()
        .tensor(&x, [x.len()])
        .unwrap()
        .selu_backward(&ones)
        .unwrap()
        .to_vec()
        .unwrap();
    let real = |x: f64| {
        if x > 0.0 {
            SCALE * x
        } else {
            SCALE * ALPHA * x.exp_m1()
        }
    };
    let h = 1e-5;
    for (&x, &dx) in x.iter().zip(&dx) {
        let slope = (real(f64::from(x) + h) - real(f64::from(x) - h)) / (2.0 * h);
        approx::assert_relative_eq!(f64::from(dx), slope, max_relative = 1e-6);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn values_and_gradients_are_keras_s() {
    let golden = common::golden("activations");
    let x = golden.f32("x");
    let tensor = gpu().tensor(&x, [x.len()]).unwrap();
    let ones = gpu().tensor(&vec![1.0; x.len()], [x.len()]).unwrap();
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
    check(tensor.selu().unwrap().to_vec().unwrap(), "selu");
    check(
        tensor.selu_backward(&ones).unwrap().to_vec().unwrap(),
        "selu_grad",
    );
    for alpha in ["0.25", "1.0", "1.5"] {
        let value: f64 = alpha.parse().unwrap();
        check(
            tensor.elu(value).unwrap().to_vec().unwrap(),
            &format!("elu_{alpha}"),
        );
        check(
            tensor.elu_backward(value, &ones).unwrap().to_vec().unwrap(),
            &format!("elu_{alpha}_grad"),
        );
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn other_constants_are_within_two_and_a_half_ulp() {
    let x = all_floats(5, 8191);
    let tensor = gpu().tensor(&x, [x.len()]).unwrap();
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
        let (scale, product) = (f64::from(p.scale as f32), p.scale * p.alpha);
        let y = tensor.selu_with(&p).unwrap().to_vec().unwrap();
        let (error, at) = worst(&y, &x, |x| {
            let x = f64::from(x);
            if x > 0.0 {
                scale * x
            } else {
                product * x.exp_m1()
            }
        });
        assert!(error <= 2.5, "{p:?}: {error} ulp at {at:e}");
    }
}

#[test]
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
