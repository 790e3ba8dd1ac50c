//! The checks that every elementwise function has to pass, forward and backward. The file of an operation
//! names its claims and calls them; the function, its derivative and its bounds are in the operation's row
//! of `tests/common/ops.rs`.

use half::f16;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::common::ops::{Bound, Op, Parameter};
use crate::common::value::Value;
use crate::common::{
    self, HUGE, LENGTHS, SAMPLE, activations, all_floats, gpu_async, guards_hold_async, is_rounded,
    largest, record, special, wrapped,
};

/// Of all binades and both signs, and the special ones.
pub fn tested_floats() -> Vec<f32> {
    let mut x = all_floats(7, 1021);
    x.extend(special());
    x
}

/// An operation, with its parameter; its gradient has the same name with `_backward`.
#[derive(Clone, Debug)]
pub struct Unary {
    pub name: &'static str,
    pub p: Parameter,
}

impl Unary {
    fn forward<T: Value>(&self) -> &'static Op<T> {
        Op::of(self.name, &self.p)
    }

    fn backward<T: Value>(&self) -> &'static Op<T> {
        Op::of(&format!("{}_backward", self.name), &self.p)
    }

    async fn call<T: Value>(&self, x: &[T]) -> Vec<T> {
        apply(self.forward(), [x], &self.p).await
    }

    async fn gradient<T: Value>(&self, x: &[T], dy: &[T]) -> Vec<T> {
        apply(self.backward(), [x, dy], &self.p).await
    }

    /// The function, and the bound of its values.
    fn value(&self) -> (impl Fn(f64) -> f64, Bound) {
        let (value, bound) = self.forward::<f32>().real();
        (move |x| value(&self.p, x), bound)
    }

    /// The derivative, and the bound of gradients.
    fn derivative(&self) -> (impl Fn(f64) -> f64, Bound) {
        let (derivative, bound) = self.backward::<f32>().real();
        (move |x| derivative(&self.p, x), bound)
    }

    fn title(&self) -> String {
        self.forward::<f32>().title(&self.p)
    }

    fn assert_values(&self, x: &[f32], y: &[f32]) {
        assert_eq!(x.len(), y.len());
        let (value, bound) = self.value();
        let pairs = x.iter().zip(y);
        let errors = pairs.map(|(&x, &y)| (bound.error(y, value(x.into())), x));
        let (error, at) = largest(errors);
        let title = self.title();
        println!("{title}: worst error {error:.3} ulp at {at:e}");
        assert!(error <= bound.ulps, "{title}: {error} ulp at {at:e}");
    }

    async fn assert_gradients(&self, x: &[f32], dy: &[f32]) {
        let (derivative, bound) = self.derivative();
        for ((&x, &dy), dx) in x.iter().zip(dy).zip(self.gradient(x, dy).await) {
            common::assert_gradient(dx, dy, derivative(x.into()), x, &bound);
        }
    }

    pub async fn is_within_its_bound(&self, x: &[f32]) {
        self.assert_values(x, &self.call(x).await);
    }

    /// Gradients of all mantissas and both signs, one of them a power of two, and the hardest.
    pub async fn gradient_is_within_its_bound(&self, x: &[f32]) {
        let mut gradients: Vec<Vec<f32>> = [(0.0, 1.0), (0.999_97, 1.000_01), (-317.3, -1.0)]
            .map(|(scale, offset)| {
                let dy = |i| offset + scale * (i as f32 * 0.618_034).fract();
                (0..x.len()).map(dy).collect()
            })
            .into();
        let (derivative, _) = self.derivative();
        let hardest = |(i, &x): (usize, &f32)| common::hardest_gradient(derivative(x.into()), i);
        gradients.push(x.iter().enumerate().map(hardest).collect());
        for dy in gradients {
            self.assert_gradients(x, &dy).await;
        }
    }

    /// Where the derivative has no zero any more, down to where it vanishes.
    pub async fn gradient_has_no_floor_below(&self, start: f32) {
        let x: Vec<f32> = (start.to_bits()..(-120f32).to_bits())
            .step_by(1021 * SAMPLE as usize)
            .map(f32::from_bits)
            .collect();
        let (derivative, bound) = self.derivative();
        let bound = Bound {
            floor: 0.0,
            ..bound
        };
        let hardest = |(i, &x): (usize, &f32)| common::hardest_gradient(derivative(x.into()), i);
        let dy: Vec<f32> = x.iter().enumerate().map(hardest).collect();
        for ((&x, &dy), dx) in x.iter().zip(&dy).zip(self.gradient(&x, &dy).await) {
            common::assert_gradient(dx, dy, derivative(x.into()), x, &bound);
        }
    }

    pub async fn gradient_is_within_its_bound_for_the_largest_and_smallest(&self) {
        let mut values = special();
        values.extend([2e38, 2.5e38, 3.4e38, 1e-36, 2e-38, 1e38, -0.34, -0.2, -1.7]);
        let (derivative, _) = self.derivative();
        let pairs = values
            .iter()
            .flat_map(|&x| values.iter().map(move |&dy| (x, dy)));
        // Where the derivative may count as 0, an infinite gradient has no limit.
        let pairs = pairs.filter(|&(x, dy)| {
            let vanishes = derivative(x.into()).abs() < 2.0 * f64::from(f32::MIN_POSITIVE);
            !(vanishes && dy.is_infinite())
        });
        let (x, dy): (Vec<f32>, Vec<f32>) = pairs.unzip();
        self.assert_gradients(&x, &dy).await;
    }

    /// Forward and backward; takes minutes.
    #[cfg(not(target_family = "wasm"))]
    pub fn is_within_its_bounds_at_every_float(&self) {
        let op = self.forward::<f32>();
        let worst = common::every_float::sweep(common::gpu(), op, &self.p, 1).unwrap();
        println!("{}, forward and backward, in ulp: {worst:?}", self.title());
        for ((error, _), op) in worst.iter().zip([op, self.backward()]) {
            let (_, bound) = op.real();
            assert!(*error <= bound.ulps, "{}: {worst:?}", self.title());
        }
    }

    /// Each x, its value, to the bit, and its derivative.
    pub async fn gives(&self, expected: &[[f32; 3]]) {
        let [x, y, dx] = [0, 1, 2].map(|i| expected.iter().map(|row| row[i]).collect::<Vec<_>>());
        let bits = |values: &[f32]| values.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
        assert_eq!(
            bits(&self.call(&x).await),
            bits(&y),
            "{} of {x:?}",
            self.title()
        );
        let ones = vec![1.0; x.len()];
        let gradient = self.gradient(&x, &ones).await;
        assert_eq!(gradient, dx, "{} of {x:?}", self.title());
    }

    /// So it is still to be had after a forward pass in place. Devices may flush subnormal numbers on the way.
    pub async fn gradient_from_the_output_is_the_one_from_the_input(&self) {
        let mut x = tested_floats();
        x.retain(|x| !x.is_subnormal());
        let y = self.call(&x).await;
        let dy: Vec<f32> = x.iter().rev().copied().collect();
        let from_x = self.gradient(&x, &dy).await;
        let from_y = self.gradient(&y, &dy).await;
        for ((from_x, from_y), x) in from_x.into_iter().zip(from_y).zip(x) {
            assert!(
                from_x.to_bits() == from_y.to_bits() || from_x.is_nan() && from_y.is_nan(),
                "{} at {x:e}: {from_x:e} from the input, {from_y:e} from the output",
                self.title()
            );
        }
    }

    pub async fn nans_of_every_kind_come_out_as_nans(&self) {
        let nans = [
            0x7f80_0001,
            0x7fc0_0000,
            0x7fff_ffff,
            0xff80_0001,
            0xffc0_0000,
            0xffff_ffff,
        ]
        .map(f32::from_bits);
        let ones = [1.0; 6];
        for results in [
            self.call(&nans).await,
            self.gradient(&nans, &ones).await,
            self.gradient(&ones, &nans).await,
        ] {
            assert!(
                results.iter().all(|y| y.is_nan()),
                "{}: {results:?}",
                self.title()
            );
        }
    }

    /// [`every_way_in_gives_the_same_bits`], and they are the right ones.
    pub async fn every_length_and_every_way_in_gives_the_same_bits(&self) {
        for len in LENGTHS {
            self.is_within_its_bound(&activations(len)).await;
        }
        every_way_in_gives_the_same_bits(self.name, &self.p).await;
    }

    pub async fn is_whole_beyond_one_binding_and_one_dispatch(&self) {
        let data = activations(HUGE);
        let y = self.call(&data).await;
        // Everything, as bits: the first million are those that the other tests check.
        let period = 1 << 20;
        assert_eq!(y[..period], self.call(&data[..period]).await);
        // Values differ everywhere, so a chunk that is missing, shifted or done twice is seen.
        self.assert_values(&data, &y);
    }

    #[cfg(not(target_family = "wasm"))]
    pub async fn gradient_is_whole_beyond_one_binding_and_one_dispatch(&self) {
        let data = activations(HUGE);
        let (derivative, bound) = self.derivative();
        let pairs = data.iter().zip(self.gradient(&data, &data).await);
        let errors = pairs.map(|(&x, dx)| {
            let dy = f64::from(x);
            let error = bound.times(dy).error(dx, derivative(dy) * dy);
            (error / bound.ulps, x)
        });
        let (share, at) = largest(errors);
        assert!(
            share <= 1.0,
            "{}: {share} of its bound at {at:e}",
            self.title()
        );
    }

    /// Central differences in f64 of the reference: error h² f''' / 6 < 1e-9 relative.
    pub async fn gradient_is_the_slope_of_the_function(&self) {
        self.compare_with_slopes(0.0).await;
    }

    /// The same for a function that is nearly constant somewhere, where what rounds its values counts.
    pub async fn gradient_is_the_slope_of_the_rounded_function(&self) {
        self.compare_with_slopes(2.0 * f64::EPSILON).await;
    }

    /// `rounding` is what f64 may be off by in the difference of two values, relative to one.
    async fn compare_with_slopes(&self, rounding: f64) {
        let x: Vec<f32> = activations(4000)
            .into_iter()
            .filter(|x| x.abs() > 1e-3)
            .collect();
        let (value, _) = self.value();
        let (_, bound) = self.derivative();
        let h = 1e-5;
        let gradient = self.gradient(&x, &vec![1.0; x.len()]).await;
        for (&x, dx) in x.iter().zip(gradient) {
            let real = f64::from(x);
            let slope = (value(real + h) - value(real - h)) / (2.0 * h);
            approx::assert_relative_eq!(
                f64::from(dx),
                slope,
                max_relative = 1e-6,
                epsilon = 1e-6 * bound.floor + rounding * value(real).abs() / h
            );
        }
    }

    /// For every f16.
    pub async fn half_precision_is_the_rounded_single_precision_result(&self) {
        let gpu = gpu_async().await;
        if !gpu.supports_f16() {
            return common::assert_f16_is_an_error(gpu);
        }
        let x: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let single: Vec<f32> = x.iter().map(|x| x.to_f32()).collect();
        for (half, single) in [
            (self.call(&x).await, self.call(&single).await),
            (
                self.gradient(&x, &x).await,
                self.gradient(&single, &single).await,
            ),
        ] {
            for ((x, half), single) in x.iter().zip(half).zip(single) {
                assert!(
                    is_rounded(half, single),
                    "{} at {x}: {half}, not {single}",
                    self.title()
                );
            }
        }
    }

    pub async fn half_precision_of_odd_lengths_writes_nothing_else(&self) {
        let gpu = gpu_async().await;
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
            let expected = self.call(&data[..len]).await;
            record(gpu, |pass| {
                self.forward().record(pass, true, &[&x], &self.p)
            });
            let all = gpu.wrap::<f16>(buffer.slice(..), [len + 8]).unwrap();
            let all = all.read().await.unwrap();
            assert_eq!(all[..len], expected);
            assert_eq!(all[len..], data[len..], "a write outside, length {len}");
        }
    }
}

/// A new tensor, a destination, and in place; in our own buffers, and in ranges of an application's, which
/// have no room for a whole last lane. Nothing is written outside.
pub async fn every_way_in_gives_the_same_bits(name: &str, p: &Parameter) {
    let gpu = gpu_async().await;
    let [forward, backward] =
        ["", "_backward"].map(|suffix| Op::<f32>::of(&format!("{name}{suffix}"), p));
    for len in LENGTHS {
        let data = activations(len);
        let gradients: Vec<f32> = data.iter().rev().copied().collect();
        let [x, dy] = [&data, &gradients].map(|values| gpu.tensor(values, [len]).unwrap());
        // Some gradients need no x.
        let reads = backward.inputs.len();
        let y = forward.apply(gpu, &[len], &[&x], p).unwrap();
        let dx = backward.apply(gpu, &[len], &[&x, &dy][2 - reads..], p);
        let y = y.read().await.unwrap();
        let dx = dx.unwrap().read().await.unwrap();

        let (x_buffer, x) = wrapped(gpu, &data);
        let (dy_buffer, dy) = wrapped(gpu, &gradients);
        let (y_buffer, y_wrapped) = wrapped(gpu, &vec![0.0; len]);
        let (dx_buffer, dx_wrapped) = wrapped(gpu, &vec![0.0; len]);
        let all = [&x, &dy, &dx_wrapped];
        record(gpu, |pass| {
            forward.record(pass, false, &[&x, &y_wrapped], p)?;
            backward.record(pass, false, &all[2 - reads..], p)?;
            backward.record(pass, true, &all[2 - reads..2], p)?;
            forward.record(pass, true, &[&x], p)
        });
        for (what, written, expected) in [
            ("into a destination", &y_wrapped, &y),
            ("in place", &x, &y),
            ("backward into a destination", &dx_wrapped, &dx),
            ("backward in place", &dy, &dx),
        ] {
            let written = written.read().await.unwrap();
            assert_eq!(&written, expected, "{name} {what}, length {len}");
        }
        for buffer in [&x_buffer, &dy_buffer, &y_buffer, &dx_buffer] {
            let hold = guards_hold_async(gpu, buffer).await;
            assert!(hold, "a write outside, length {len}");
        }
    }
}

async fn apply<T: Value, const N: usize>(op: &Op<T>, inputs: [&[T]; N], p: &Parameter) -> Vec<T> {
    let gpu = gpu_async().await;
    let tensors = inputs.map(|values| gpu.tensor(values, [values.len()]).unwrap());
    let shape = tensors[0].shape();
    let y = op.apply(gpu, shape, &tensors.each_ref(), p);
    y.unwrap().read().await.unwrap()
}

#[wasm_bindgen_test(unsupported = test)]
fn an_error_below_the_floor_is_counted_in_the_floor_s_ulp() {
    let bound = Bound {
        ulps: 2.0,
        floor: 0.5,
    };
    assert_eq!(bound.error(2f32.powi(-23), 0.0), 2.0);
    assert_eq!(bound.error(1.0 + f32::EPSILON, 1.0), 1.0);
    assert_eq!(bound.error(f32::NAN, 0.0), f64::INFINITY);
    assert_eq!(bound.tolerance(0.0), 2f64.powi(-23));
    // A gradient's floor grows with dy.
    assert_eq!(bound.times(-4.0).error(2f32.powi(-20), 0.0), 4.0);
}
