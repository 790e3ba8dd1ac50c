//! Every operation, with each of its parameters, against its definition.

use half::f16;

use crate::common::gpu_async;
use crate::common::ops::Op;
use crate::common::value::Value;
use crate::unary::tested_floats;
use selfnorm::Gpu;
use wasm_bindgen_test::wasm_bindgen_test;

/// Of a matrix, whose rows and columns masks may be for.
async fn check<T: Value>(gpu: &Gpu) {
    let mut x: Vec<_> = tested_floats().into_iter().map(f64::from).collect();
    x.truncate(x.len() / 251 * 251);
    let shape = [x.len() / 251, 251];
    let x: Vec<T> = x.into_iter().map(T::rounded).collect();
    let dy: Vec<T> = x.iter().rev().copied().collect();
    let tensors = [&x, &dy].map(|values| gpu.tensor(values, shape).unwrap());
    let (tensors, values) = (tensors.each_ref(), [x, dy]);
    for (op, p) in Op::<T>::cases() {
        let inputs = op.inputs.len();
        let y = op.apply(gpu, &shape, &tensors[..inputs], p).unwrap();
        let y = y.read().await.unwrap();
        op.check(p, &shape, &values[..inputs], &y);
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn every_operation_gives_what_its_definition_says() {
    let gpu = gpu_async().await;
    check::<f32>(gpu).await;
    if gpu.supports_f16() {
        check::<f16>(gpu).await;
    }
}
