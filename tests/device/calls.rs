//! What the crate asks of wgpu, counted.

use crate::common;
use crate::common::calls::{Calls, Counted};
use selfnorm::nn::{Activation::Selu, Dataset, Dense, Predict, Sequential};
use selfnorm::{Tensor, wgpu};

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_bare_wgpu_calls_is_counted() {
    let gpu = Counted::new();
    let (calls, ()) = gpu.calls(|| {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let buffer = common::foreign_buffer(&gpu, 16, wgpu::BufferUsages::COPY_DST);
        encoder.clear_buffer(&buffer, 0, None);
        drop(encoder.begin_compute_pass(&Default::default()));
        gpu.queue().write_buffer(&buffer, 0, &[0; 4]);
        gpu.queue().submit([encoder.finish()]);
    });
    let expected = Calls {
        submissions: 1,
        buffers: 1,
        encoders: 1,
        passes: 1,
        copies: 1,
        writes: 1,
        ..Calls::default()
    };
    assert_eq!(calls, expected);
}
/// 6 features, 3 outputs.
fn network(gpu: &Counted) -> Sequential {
    Sequential::new([6])
        .add(Dense::new(16).activation(Selu))
        .add(Dense::new(3))
        .build(gpu, 1)
        .unwrap()
}

fn batch(gpu: &Counted, rows: usize) -> [Tensor; 2] {
    [6, 3].map(|columns| {
        let values = common::activations(rows * columns);
        gpu.tensor(&values, [rows, columns]).unwrap()
    })
}

/// What is made for a call, rather than found.
fn made(calls: &Calls) -> u64 {
    calls.buffers + calls.bind_groups + calls.pipelines + calls.writes
}

/// Three filters are one error scope.
const SCOPE: u64 = 3;

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_training_step_is_one_submission_in_one_error_scope_and_makes_nothing() {
    for gpu in [Counted::new(), Counted::smallest()] {
        let mut model = network(&gpu);
        let [x, y] = batch(&gpu, 32);
        model.train_on_batch(&x, &y).unwrap();
        let (calls, score) = gpu.calls(|| model.train_on_batch(&x, &y));
        score.unwrap();
        assert_eq!((calls.submissions, calls.encoders, calls.passes), (1, 1, 1));
        assert_eq!((made(&calls), calls.error_scopes), (0, SCOPE), "{calls:?}");

        // With other work that has waited for it.
        let waiting = x.selu().unwrap();
        let (calls, score) = gpu.calls(|| model.train_on_batch(&x, &y));
        score.unwrap();
        assert_eq!((calls.submissions, calls.encoders), (1, 1));
        assert_eq!(
            (made(&calls), calls.error_scopes),
            (0, 2 * SCOPE),
            "{calls:?}"
        );
        let (calls, _) = gpu.calls(|| waiting.to_vec().unwrap());
        assert_eq!(calls.submissions, 1, "the read's own");

        // On an application's buffers.
        let [x, y] = [&x, &y].map(|t| gpu.wrap::<f32>(t.slice(), t.shape()).unwrap());
        let (calls, score) = gpu.calls(|| model.train_on_batch(&x, &y));
        score.unwrap();
        assert_eq!((calls.submissions, calls.encoders, calls.passes), (1, 1, 1));
        assert_eq!((made(&calls), calls.error_scopes), (0, SCOPE), "{calls:?}");
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_prediction_and_an_evaluation_are_one_submission_a_batch() {
    let gpu = Counted::new();
    let mut model = network(&gpu);
    let [x, y] = batch(&gpu, 32);
    model.train_on_batch(&x, &y).unwrap();
    for batches in [1, 10] {
        let rows = batches as usize * 32;
        let [x, _] = batch(&gpu, rows);
        let predict = Predict::rows(rows).batch(32);
        model.prepare_predict(predict, |_| ()).unwrap();
        // The output's buffer.
        model.predict(&x).unwrap();
        let (calls, _) = gpu.calls(|| model.predict(&x).unwrap());
        assert_eq!((calls.submissions, calls.encoders), (batches, batches));
        // One dispatch, which x and the new y are bound to.
        assert_eq!((calls.dispatches, calls.bind_groups), (batches, batches));
        assert_eq!((calls.buffers, calls.pipelines), (0, 0), "{calls:?}");
        assert_eq!(calls.error_scopes, 2 * batches * SCOPE);

        let data = Dataset::from_floats(&gpu, &vec![0.5; rows * 6], [6]).unwrap();
        let data = data.targets(&vec![0.5; rows * 3], [3]).unwrap();
        model.evaluate(&data).unwrap();
        let (calls, _) = gpu.calls(|| model.evaluate(&data).unwrap());
        assert_eq!((calls.submissions, calls.passes), (batches, batches));
    }
    // Nobody asks for the rest of a lane by itself.
    let [x, _] = batch(&gpu, 0);
    let (calls, y) = gpu.calls(|| model.predict(&x).unwrap());
    assert_eq!(calls.submissions, 0);
    assert!(y.to_vec().unwrap().is_empty());
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn an_operation_on_an_application_s_buffers_asks_for_nothing_but_its_submission() {
    let gpu = Counted::new();
    let own = gpu.tensor(&[1.0f32; 64], [64]).unwrap();
    let x: Tensor = gpu.wrap(own.slice(), [64]).unwrap();
    drop(x.selu().unwrap());
    let (calls, y) = gpu.calls(|| x.selu().unwrap());
    let expected = Calls {
        submissions: 1,
        bind_groups: 1,
        encoders: 1,
        passes: 1,
        dispatches: 1,
        error_scopes: 2 * SCOPE,
        ..Calls::default()
    };
    assert_eq!(calls, expected);
    y.to_vec().unwrap();
    let (calls, _) = gpu.calls(|| y.to_vec().unwrap());
    assert_eq!((calls.submissions, made(&calls)), (1, 0), "a read");
}
