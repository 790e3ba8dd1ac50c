//! ELU against x and α(eˣ − 1) in f64, whose own error is below a millionth of an f32's ulp.

use crate::common::{
    self, HUGE, LENGTHS, activations, all_floats, every_float, gpu, record, special, worst, wrapped,
};
use selfnorm::Selu;

/// As the documentation of `Tensor::elu` and `Tensor::elu_backward` promises.
const MAX_ULPS: f64 = 2.0;

/// Keras's default, the golden values' others, one with all mantissa bits, and the odd ones.
const ALPHAS: [f64; 7] = [1.0, 0.25, 1.5, 1.999_999_9, 0.7, 0.0, -3.3];

fn elu(x: f32, alpha: f64) -> f64 {
    let x = f64::from(x);
    if x > 0.0 {
        x
    } else {
        f64::from(alpha as f32) * x.exp_m1()
    }
}

fn derivative(x: f32, alpha: f64) -> f64 {
    let x = f64::from(x);
    match x {
        x if x.is_nan() => x,
        x if x > 0.0 => 1.0,
        x => f64::from(alpha as f32) * x.exp(),
    }
}

fn tested_floats() -> Vec<f32> {
    let mut x = all_floats(11, 4093);
    x.extend(special());
    x
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn elu_is_within_two_ulp_of_the_real_value_for_every_alpha() {
    let x = tested_floats();
    let tensor = gpu().tensor(&x, [x.len()]).unwrap();
    for alpha in ALPHAS {
        let y = tensor.elu(alpha).unwrap().to_vec().unwrap();
        let (error, at) = worst(&y, &x, |x| elu(x, alpha));
        println!("alpha {alpha}: worst error {error:.3} ulp at {at:e}");
        assert!(error <= MAX_ULPS, "alpha {alpha}: {error} ulp at {at:e}");
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn elu_backward_is_within_two_ulp_of_the_real_value_for_any_gradient() {
    let x = tested_floats();
    let dy: Vec<f32> = (0..x.len())
        .map(|i| 1.0 + (i as f32 * 0.618_034).fract())
        .collect();
    let tensor = gpu().tensor(&x, [x.len()]).unwrap();
    for alpha in ALPHAS {
        let hardest = |(i, &x): (usize, &f32)| common::hardest_gradient(derivative(x, alpha), i);
        for dy in [dy.clone(), x.iter().enumerate().map(hardest).collect()] {
            let gradient = gpu().tensor(&dy, [x.len()]).unwrap();
            let dx = tensor.elu_backward(alpha, &gradient).unwrap();
            for ((&x, &dy), &dx) in x.iter().zip(&dy).zip(&dx.to_vec().unwrap()) {
                common::assert_gradient(dx, dy, derivative(x, alpha), x);
            }
        }
    }
}

#[test]
#[ignore = "all 2^32 floats, forward and backward, three alphas: minutes"]
fn elu_is_within_two_ulp_of_the_real_value_at_every_float() {
    for alpha in [1.0, 0.25, 1.5] {
        let p = Selu { alpha, scale: 1.0 };
        let worst = every_float::sweep(gpu(), &p, 1, |x, ones| {
            Ok([x.elu(alpha)?, x.elu_backward(alpha, ones)?])
        });
        let worst = worst.unwrap();
        println!("alpha {alpha}, forward and backward, in ulp: {worst:?}");
        assert!(worst.iter().all(|(error, _)| *error <= MAX_ULPS));
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_derivative_at_zero_is_the_left_one_and_limits_are_exact() {
    let x = gpu()
        .tensor(&[0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY], [4])
        .unwrap();
    let ones = gpu().tensor(&[1.0; 4], [4]).unwrap();
    let y = x.elu(1.5).unwrap().to_vec().unwrap();
    assert_eq!(y, [0.0, 0.0, f32::INFINITY, -1.5]);
    assert!(y[1].is_sign_negative());
    assert_eq!(
        x.elu_backward(1.5, &ones).unwrap().to_vec().unwrap(),
        [1.5, 1.5, 1.0, 0.0]
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn every_length_and_every_way_in_gives_the_same_bits_and_writes_nothing_else() {
    let gpu = gpu();
    for len in LENGTHS {
        let data = activations(len);
        let gradients: Vec<f32> = data.iter().rev().copied().collect();
        let x = gpu.tensor(&data, [len]).unwrap();
        let y = x.elu(0.7).unwrap().to_vec().unwrap();
        let (error, at) = worst(&y, &data, |x| elu(x, 0.7));
        assert!(error <= MAX_ULPS, "length {len}: {error} ulp at {at}");
        let dx = x
            .elu_backward(0.7, &gpu.tensor(&gradients, [len]).unwrap())
            .unwrap()
            .to_vec()
            .unwrap();

        let (x_buffer, x) = wrapped(gpu, &data);
        let (dy_buffer, dy) = wrapped(gpu, &gradients);
        let (y_buffer, y_wrapped) = wrapped(gpu, &vec![0.0; len]);
        let (dx_buffer, dx_wrapped) = wrapped(gpu, &vec![0.0; len]);
        record(gpu, |pass| {
            pass.elu(&x, 0.7, &y_wrapped)?;
            pass.elu_backward(&x, 0.7, &dy, &dx_wrapped)?;
            pass.elu_backward_in_place(&x, 0.7, &dy)?;
            pass.elu_in_place(&x, 0.7)
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
fn a_gradient_beyond_one_binding_and_one_dispatch_is_whole() {
    let data = activations(HUGE);
    let x = gpu().tensor(&data, [HUGE]).unwrap();
    let dx = x.elu_backward(1.0, &x).unwrap().to_vec().unwrap();
    let (error, at) = worst(&dx, &data, |x| derivative(x, 1.0) * f64::from(x));
    assert!(error <= MAX_ULPS, "{error} ulp at {at}");
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
        .elu_backward(1.5, &ones)
        .unwrap()
        .to_vec()
        .unwrap();
    let real = |x: f64| if x > 0.0 { x } else { 1.5 * x.exp_m1() };
    let h = 1e-5;
    for (&x, &dx) in x.iter().zip(&dx) {
        let slope = (real(f64::from(x) + h) - real(f64::from(x) - h)) / (2.0 * h);
        approx::assert_relative_eq!(f64::from(dx), slope, max_relative = 1e-6);
    }
}
