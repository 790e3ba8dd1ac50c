//! Softmax against eˣ / Σ eˣ in f64, and its gradient against y (dy − Σ dy y).

use crate::common::{activations, golden, gpu_async, record};
use selfnorm::{Error, Tensor};
use wasm_bindgen_test::wasm_bindgen_test;

/// (rows, classes): one class, one row, around a workgroup of rows, and long rows.
const SHAPES: [[usize; 2]; 5] = [[1, 1], [257, 3], [1, 1000], [31, 10], [5, 64]];

fn logits(shape: [usize; 2], spread: f32) -> Vec<f32> {
    let values = activations(shape.iter().product());
    values.into_iter().map(|x| x * spread).collect()
}

/// Of each value, its own and the largest of its row.
fn exact(x: &[f32], classes: usize) -> Vec<(f64, f64)> {
    let rows = x.chunks(classes).flat_map(|row| {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exp = move |&x: &f32| (f64::from(x) - f64::from(largest)).exp();
        let sum: f64 = row.iter().map(exp).sum();
        let value = move |x: &f32| (exp(x) / sum, f64::from(largest) - f64::from(*x));
        row.iter().map(value)
    });
    rows.collect()
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn softmax_is_within_its_bound() {
    let gpu = gpu_async().await;
    for shape in SHAPES {
        for spread in [0.0, 1.0, 20.0, 1e4] {
            let x = logits(shape, spread);
            let tensor = gpu.tensor(&x, shape).unwrap();
            let y = tensor.softmax().unwrap().read().await.unwrap();
            for (&y, (expected, d)) in y.iter().zip(exact(&x, shape[1])) {
                let bound = (2.0 * shape[1] as f64 + d + 12.0) * 2f64.powi(-24);
                let error = (f64::from(y) - expected).abs();
                let underflow = if expected < 2f64.powi(-126) {
                    expected
                } else {
                    0.0
                };
                assert!(
                    error <= (bound * expected).max(underflow),
                    "{shape:?}: {y:e}, not {expected:e}"
                );
            }
            record(gpu, |pass| pass.softmax_in_place(&tensor));
            assert_eq!(tensor.read().await.unwrap(), y, "in place");
        }
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn softmax_backward_is_within_its_bound() {
    let gpu = gpu_async().await;
    for shape in SHAPES {
        let x = gpu.tensor(&logits(shape, 3.0), shape).unwrap();
        let y = x.softmax().unwrap();
        let dy = logits(shape, 1.0).into_iter().rev().collect::<Vec<_>>();
        let dy_tensor = gpu.tensor(&dy, shape).unwrap();
        let dx = y
            .softmax_backward(&dy_tensor)
            .unwrap()
            .read()
            .await
            .unwrap();
        let y_values = y.read().await.unwrap();
        let classes = shape[1];
        let rows = y_values.chunks(classes).zip(dy.chunks(classes));
        for ((y, dy), dx) in rows.zip(dx.chunks(classes)) {
            let products = y
                .iter()
                .zip(dy)
                .map(|(&y, &dy)| f64::from(y) * f64::from(dy));
            let sum: f64 = products.sum();
            let largest = dy
                .iter()
                .fold(0f64, |most, &dy| most.max(f64::from(dy).abs()));
            for ((&y, &dy), &dx) in y.iter().zip(dy).zip(dx) {
                let expected = f64::from(y) * (f64::from(dy) - sum);
                let bound = (classes + 4) as f64 * 2f64.powi(-23) * f64::from(y) * largest;
                assert!(
                    (f64::from(dx) - expected).abs() <= bound,
                    "{dx:e}, not {expected:e}"
                );
            }
        }
        record(gpu, |pass| pass.softmax_backward_in_place(&y, &dy_tensor));
        assert_eq!(dy_tensor.read().await.unwrap(), dx, "in place");
    }
}

/// Keras 3 in float64; of size 1, so 10⁻⁶ is the bound at ten classes.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn softmax_and_its_gradient_are_keras_s() {
    let gpu = gpu_async().await;
    let golden = golden("softmax");
    let tensor = |name: &str| {
        let shape = golden.shape(name);
        gpu.tensor(&golden.f32(name), shape).unwrap()
    };
    let y = tensor("x").softmax().unwrap();
    let dx = y.softmax_backward(&tensor("dy")).unwrap();
    for (found, name) in [(&y, "y"), (&dx, "dx")] {
        for (found, expected) in found
            .read()
            .await
            .unwrap()
            .into_iter()
            .zip(golden.f64(name))
        {
            assert!((f64::from(found) - expected).abs() < 1e-6, "{name}");
        }
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_row_with_a_nan_is_nan_and_the_others_are_not() {
    let gpu = gpu_async().await;
    let nan = f32::NAN;
    let x = [
        1.0,
        nan,
        2.0,
        1.0,
        f32::NEG_INFINITY,
        1.0,
        f32::INFINITY,
        0.0,
        0.0,
    ];
    let y = gpu.tensor(&x, [3, 3]).unwrap().softmax().unwrap();
    let y = y.read().await.unwrap();
    assert!(y[..3].iter().all(|y| y.is_nan()));
    assert_eq!(y[3..6], [0.5, 0.0, 0.5]);
    assert!(y[6..].iter().all(|y| y.is_nan()));
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn a_wrong_call_is_an_error_and_nothing_is_fine() {
    let gpu = gpu_async().await;
    let [x, y]: [Tensor; 2] = [[2, 3], [3, 2]].map(|shape| gpu.zeros(shape).unwrap());
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let mut pass = gpu.pass(&mut encoder);
    let error = pass.softmax(&x, &y).unwrap_err();
    assert_eq!(
        error.to_string(),
        "softmax: expected shape [2, 3] for y, got [3, 2]"
    );
    let error = pass.softmax(&x, &x).unwrap_err();
    assert!(matches!(error, Error::Aliased { .. }), "{error}");
    let error = pass.softmax_backward(&x, &x, &y).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
    for shape in [[0, 3], [3, 0]] {
        let empty = gpu.zeros::<f32>(shape).unwrap();
        assert_eq!(empty.softmax().unwrap().shape(), shape);
    }
}
