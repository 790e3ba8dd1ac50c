//! Networks in an application's frame: what they compute there, and what they ask of the device, counted.

use crate::common;
use crate::common::calls::{Calls, Counted};
use selfnorm::nn::Activation::{Relu, Selu, Softmax};
use selfnorm::nn::{
    Adam, AlphaDropout, Conv2d, Dataset, Dense, Fit, Flatten, Loss, MaxPool2d, Predict, Progress,
    Regularizer, Sequential, SequentialBuilder, Tiling,
};
use selfnorm::{Error, Gpu, Pass, Tensor, wgpu};

/// The network of a live image fit: 32 features of a position become a colour.
fn image(gpu: &Gpu) -> Sequential {
    let mut layers = Sequential::new([32]);
    for _ in 0..4 {
        layers = layers.add(Dense::new(64).activation(Selu));
    }
    layers.add(Dense::new(3)).build(gpu, 42).unwrap()
}

/// Values for `rows` samples of `shape`, in an application's own buffer.
fn samples(gpu: &Gpu, rows: usize, shape: &[usize]) -> Tensor {
    let values = common::activations(rows * shape.iter().product::<usize>());
    wrapped(gpu, &values, &[&[rows], shape].concat())
}

fn wrapped(gpu: &Gpu, values: &[f32], shape: &[usize]) -> Tensor {
    use wgpu::BufferUsages as Usage;
    let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
    let bytes = bytemuck::cast_slice(values);
    let buffer = common::foreign_buffer(gpu, bytes.len() as u64, usage);
    gpu.queue().write_buffer(&buffer, 0, bytes);
    gpu.wrap(buffer.slice(..), shape).unwrap()
}

fn empty(gpu: &Gpu, shape: &[usize]) -> Tensor {
    wrapped(gpu, &vec![f32::NAN; shape.iter().product()], shape)
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let values = tensor.to_vec().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

/// Counts of a frame that are to be 0.
fn assert_quiet(calls: &Calls, what: &str) {
    let expected = Calls {
        passes: calls.passes,
        dispatches: calls.dispatches,
        // A pass looks once whether the encoder can be recorded into.
        error_scopes: 3,
        ..Calls::default()
    };
    assert_eq!(*calls, expected, "{what}");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn predictions_in_a_frame_ask_for_nothing_from_the_second_on() {
    for gpu in [Counted::new(), Counted::smallest()] {
        let model = image(&gpu);
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        for rows in [1, 1024, 65_536, 1000] {
            let x = samples(&gpu, rows, &[32]);
            let y = empty(&gpu, &[rows, 3]);
            for time in 0..3 {
                let predict = || gpu.pass(&mut encoder).predict(&model, &x, &y);
                let (calls, result) = gpu.calls(predict);
                result.unwrap();
                println!("{rows} rows, {time}: {calls:?}");
                if time > 0 {
                    assert_quiet(&calls, &format!("{rows} rows"));
                    assert_eq!(calls.passes, 1, "{rows} rows");
                }
            }
        }
    }
}

/// A small network with a dropout.
fn small(gpu: &Gpu) -> Sequential {
    let mut model = Sequential::new([6])
        .add(Dense::new(16).activation(Selu))
        .add(AlphaDropout::new(0.2))
        .add(Dense::new(3))
        .build(gpu, 1)
        .unwrap();
    model
        .compile(Adam::new(0.01).clipnorm(0.1), Loss::MeanSquaredError)
        .unwrap();
    model
}

fn weights(model: &Sequential) -> Vec<u32> {
    let weights = model.weights().unwrap();
    weights
        .iter()
        .flat_map(|(_, tensor)| bits(tensor))
        .collect()
}

fn frame(gpu: &Gpu, record: impl FnOnce(&mut Pass)) {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    record(&mut gpu.pass(&mut encoder));
    gpu.queue().submit([encoder.finish()]);
}

/// The expected weights and scores are those of the blocking call.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn steps_in_a_frame_are_those_of_train_on_batch_bit_for_bit() {
    let gpu = common::gpu();
    for rows in [1, 13, 64] {
        let (mut blocking, mut framed) = (small(gpu), small(gpu));
        let (x, y) = (samples(gpu, rows, &[6]), samples(gpu, rows, &[3]));
        let on_gpu = empty(gpu, &[2]);
        for steps in [1, 3, 2] {
            let mut expected = None;
            for _ in 0..steps {
                expected = Some(blocking.train_on_batch(&x, &y).unwrap());
            }
            frame(gpu, |pass| {
                for _ in 0..steps {
                    pass.train_on_batch(&mut framed, &x, &y).unwrap();
                }
                framed.score_into(pass, &on_gpu).unwrap();
            });
            assert_eq!(weights(&framed), weights(&blocking), "{rows} rows");
            // Reading the weights has waited for the steps.
            assert_eq!(framed.try_score().unwrap(), expected);
            assert_eq!(framed.unfinished_steps(), 0);
            let score = on_gpu.to_vec().unwrap();
            let expected = expected.unwrap();
            assert!((f64::from(score[0]) - expected.loss).abs() < 1e-6 * expected.loss);
            let error = expected.mean_absolute_error.unwrap();
            assert!((f64::from(score[1]) - error).abs() < 1e-6 * error);
        }
        assert_eq!(framed.step(), 6);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn steps_in_a_frame_ask_for_nothing_once_their_staging_buffers_have_come_back() {
    for gpu in [Counted::new(), Counted::smallest()] {
        let mut model = small(&gpu);
        let (x, y) = (samples(&gpu, 64, &[6]), samples(&gpu, 64, &[3]));
        for time in 0..6 {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            let step = || gpu.pass(&mut encoder).train_on_batch(&mut model, &x, &y);
            let (calls, result) = gpu.calls(step);
            result.unwrap();
            println!("{time}: {calls:?}");
            if time > 1 {
                let expected = Calls {
                    passes: calls.passes,
                    dispatches: calls.dispatches,
                    copies: calls.copies,
                    error_scopes: 3,
                    ..Calls::default()
                };
                assert_eq!(calls, expected, "step {time}");
            }
            gpu.queue().submit([encoder.finish()]);
            gpu.device()
                .poll(wgpu::PollType::wait_indefinitely())
                .unwrap();
            assert!(model.try_score().unwrap().is_some());
        }
    }
}

/// Of both kernels together, one pass and the sum of its pieces, in steps and in evaluations; none without.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn penalties_take_two_dispatches_and_kernels_without_take_none() {
    let gpu = Counted::new();
    let (x, y) = (samples(&gpu, 64, &[6]), samples(&gpu, 64, &[3]));
    let data = Dataset::from_tensors(&x, &y).unwrap();
    let dispatches = |regularizer| {
        let mut layers = Sequential::new([6]);
        for units in [16, 3] {
            let layer = Dense::new(units);
            layers = match regularizer {
                Some(regularizer) => layers.add(layer.kernel_regularizer(regularizer)),
                None => layers.add(layer),
            };
        }
        let mut model = layers.build(&gpu, 1).unwrap();
        model
            .compile(Adam::new(0.01), Loss::MeanSquaredError)
            .unwrap();
        let (step, result) = gpu.calls(|| model.train_on_batch(&x, &y));
        result.unwrap();
        let (evaluation, result) = gpu.calls(|| model.evaluate(&data));
        result.unwrap();
        [step, evaluation].map(|calls| calls.dispatches)
    };
    let without = dispatches(None);
    assert_eq!(dispatches(Some(Regularizer::L2(0.0))), without);
    let with = dispatches(Some(Regularizer::L1L2 { l1: 0.1, l2: 0.1 }));
    assert_eq!(with, without.map(|count| count + 2));
}

/// Networks of every kind of stage, with input and output widths that are multiples of nothing, too.
fn networks() -> Vec<(&'static str, Vec<usize>, SequentialBuilder)> {
    let image = Sequential::new([6, 5, 2])
        .add(Conv2d::new(4, [3, 3]).activation(Selu))
        .add(MaxPool2d::new([2, 2]))
        .add(AlphaDropout::new(0.3).noise_shape([None, Some(1), Some(1), None]))
        .add(Flatten::new())
        .add(Dense::new(7).activation(Relu))
        .add(Dense::new(3).activation(Softmax));
    let dense = |widths: &[usize]| {
        let [input, hidden @ .., outputs] = widths else {
            unreachable!()
        };
        let layers = Sequential::new([*input]);
        let layers = hidden.iter().fold(layers, |layers, &units| {
            layers.add(Dense::new(units).activation(Selu))
        });
        layers.add(Dense::new(*outputs))
    };
    // The small device can't bind 64 rows of it, whose beginnings it could bind.
    let large = Sequential::new([33, 31, 3])
        .add(Conv2d::new(2, [5, 5]).strides([4, 4]))
        .add(Flatten::new())
        .add(Dense::new(3));
    vec![
        ("an image", vec![6, 5, 2], image),
        ("a large image", vec![33, 31, 3], large),
        ("a small chain", vec![5], dense(&[5, 16, 17, 3])),
        ("a wide one", vec![300], dense(&[300, 200, 129])),
        ("one layer", vec![8], dense(&[8, 8])),
        (
            "nothing",
            vec![2, 3],
            Sequential::new([2, 3]).add(Flatten::new()),
        ),
    ]
}

/// The expected values are those of `gradient`, whose forward pass is tested against f64.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn predictions_in_a_frame_are_the_network_s_output() {
    let small = wgpu::Limits {
        max_storage_buffer_binding_size: 1 << 17,
        ..wgpu::Limits::default()
    };
    let small = common::gpu_with(wgpu::Features::empty(), small);
    let large = common::gpu();
    for gpu in [large, &small] {
        for tiling in [Tiling::Registers, Tiling::Subgroups, Tiling::Workgroup] {
            for (name, input, layers) in networks() {
                let layers = layers.tiling(tiling);
                let model = match layers.build(gpu, 3) {
                    // The smaller device can't bind so many parameters.
                    Err(Error::TooLarge { .. }) if std::ptr::eq(gpu, &small) => continue,
                    model => model.unwrap(),
                };
                let reference = layers.build(large, 3).unwrap();
                for (rows, batch) in [(1, None), (7, None), (150, None), (150, Some(9))] {
                    let what = format!("{name}, {tiling:?}, {rows} rows by {batch:?}");
                    let x = samples(gpu, rows, &input);
                    let y_shape = [&[rows], model.output_shape()].concat();
                    let y = empty(gpu, &y_shape);
                    if let Some(batch) = batch {
                        let predict = Predict::rows(rows).batch(batch);
                        model.prepare_predict(predict, |_| ()).unwrap();
                    }
                    frame(gpu, |pass| pass.predict(&model, &x, &y).unwrap());
                    // The smaller device has no room for all that a gradient takes.
                    let (x_there, dy) = (samples(large, rows, &input), empty(large, &y_shape));
                    let expected = reference.gradient(&x_there, &dy, false).unwrap().y;
                    let (found, expected) = (y.to_vec().unwrap(), expected.to_vec().unwrap());
                    // Each is within the layers' bound of the real value, 1e-5.
                    let size = expected.iter().map(|y| y * y).sum::<f32>() / expected.len() as f32;
                    for (found, expected) in found.iter().zip(&expected) {
                        let bound = 2e-5 * expected.abs().max(size.sqrt());
                        assert!(
                            (found - expected).abs() <= bound,
                            "{what}: {found} {expected}"
                        );
                    }
                    let whole = model.predict(&x).unwrap();
                    assert_eq!(bits(&whole), bits(&y), "{what}");
                }
            }
        }
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_prediction_is_of_the_weights_at_its_place_in_the_order() {
    let gpu = common::gpu();
    let mut model = small(gpu);
    let (x, y) = (samples(gpu, 24, &[6]), samples(gpu, 24, &[3]));
    let before = bits(&model.predict(&x).unwrap());
    let [first, second] = [empty(gpu, &[24, 3]), empty(gpu, &[24, 3])];
    frame(gpu, |pass| {
        pass.predict(&model, &x, &first).unwrap();
        pass.train_on_batch(&mut model, &x, &y).unwrap();
        pass.predict(&model, &x, &second).unwrap();
    });
    assert_eq!(bits(&first), before);
    assert_eq!(bits(&second), bits(&model.predict(&x).unwrap()));
    assert_ne!(bits(&second), before);

    // Recorded before they are set, and submitted after.
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    gpu.pass(&mut encoder).predict(&model, &x, &first).unwrap();
    let weights = model.weights().unwrap();
    let zeros: Vec<_> = weights
        .iter()
        .map(|(name, weight)| (name.clone(), gpu.zeros(weight.shape()).unwrap()))
        .collect();
    model.set_weights(&zeros).unwrap();
    gpu.queue().submit([encoder.finish()]);
    assert_eq!(first.to_vec().unwrap(), [0.0; 72]);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_frame_finds_what_it_reads_as_the_encoder_has_written_it() {
    let gpu = common::gpu();
    let model = small(gpu);
    let (x, y) = (samples(gpu, 8, &[6]), empty(gpu, &[8, 3]));
    let later = samples(gpu, 9, &[6]);
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let (from, to) = (later.slice(), x.slice());
    // All but the first row.
    encoder.copy_buffer_to_buffer(from.buffer(), 24, to.buffer(), 0, 8 * 24);
    gpu.pass(&mut encoder).predict(&model, &x, &y).unwrap();
    gpu.queue().submit([encoder.finish()]);
    let copied = wrapped(gpu, &later.to_vec().unwrap()[6..], &[8, 6]);
    assert_eq!(bits(&y), bits(&model.predict(&copied).unwrap()));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn operations_and_predictions_are_recorded_into_an_open_compute_pass_and_training_is_not() {
    let gpu = common::gpu();
    let mut model = small(gpu);
    let (x, y) = (samples(gpu, 8, &[6]), empty(gpu, &[8, 3]));
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let mut compute_pass = encoder.begin_compute_pass(&Default::default());
    let mut pass = gpu.record_in(&mut compute_pass);
    pass.predict(&model, &x, &y).unwrap();
    pass.selu_in_place(&y).unwrap();
    let trained = pass.train_on_batch(&mut model, &x, &y);
    let op = "train_on_batch";
    assert_eq!(trained, Err(Error::NeedsEncoder { op }));
    assert_eq!(model.step(), 0);
    drop(compute_pass);
    gpu.queue().submit([encoder.finish()]);
    let expected = model.predict(&x).unwrap().selu().unwrap();
    assert_eq!(bits(&y), bits(&expected));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_locked_encoder_is_an_error_of_networks_too() {
    let gpu = common::gpu();
    let mut model = small(gpu);
    let (x, y) = (samples(gpu, 8, &[6]), empty(gpu, &[8, 3]));
    for train in [false, true] {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let open = encoder.begin_compute_pass(&Default::default());
        let open = open.forget_lifetime();
        let mut pass = gpu.pass(&mut encoder);
        for _ in 0..2 {
            let result = match train {
                false => pass.predict(&model, &x, &y),
                true => pass.train_on_batch(&mut model, &x, &y),
            };
            assert_eq!(result, Err(Error::EncoderLocked));
        }
        drop(pass);
        drop(open);
        // The encoder is of no use any more; finishing it is an error of the application's.
        drop(encoder);
    }
    assert_eq!(model.step(), 0);
    model.train_on_batch(&x, &samples(gpu, 8, &[3])).unwrap();
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn mistakes_in_a_frame_are_errors_that_record_nothing() {
    let (gpu, other) = (common::gpu(), common::new_gpu());
    let mut model = small(gpu);
    let (x, y) = (samples(gpu, 8, &[6]), samples(gpu, 8, &[3]));
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let mut pass = gpu.pass(&mut encoder);
    let says = |result: Result<(), Error>, expected: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let few = samples(gpu, 7, &[3]);
    says(
        pass.predict(&model, &x, &few),
        "predict: expected shape [8, 3] for y",
    );
    says(
        pass.predict(&model, &y, &y),
        "predict: expected shape [8, 6] for x",
    );
    let foreign = samples(&other, 8, &[6]);
    says(
        pass.predict(&model, &foreign, &y),
        "predict: x belongs to another Gpu",
    );
    let elsewhere = small(&other);
    says(
        pass.predict(&elsewhere, &x, &y),
        "predict: the network belongs to another Gpu",
    );
    let both = samples(gpu, 8, &[9]);
    let x_of = gpu.wrap::<f32>(both.slice(), [8, 6]).unwrap();
    let y_of = gpu.wrap::<f32>(both.slice(), [8, 3]).unwrap();
    says(
        pass.predict(&model, &x_of, &y_of),
        "predict: x and y overlap in memory",
    );
    says(
        pass.train_on_batch(&mut model, &x, &few),
        "train_on_batch: expected shape [8, 3] for y",
    );
    says(
        pass.train_on_batch(&mut model, &foreign, &y),
        "train_on_batch: x belongs",
    );
    let (no_x, no_y) = (samples(gpu, 0, &[6]), samples(gpu, 0, &[3]));
    says(
        pass.train_on_batch(&mut model, &no_x, &no_y),
        "the batch has no samples",
    );
    pass.predict(&model, &no_x, &no_y).unwrap();
    says(
        model.score_into(&mut pass, &few),
        "score_into: expected shape [2] for score",
    );
    let score = empty(gpu, &[2]);
    says(
        model.score_into(&mut pass, &score),
        "has not been trained yet",
    );
    let batch = Predict::rows(0);
    model.prepare_predict(batch, |_| ()).unwrap();
    says(
        model.prepare_train_on_batch(0, |_| ()),
        "at least one sample",
    );
    drop(pass);
    gpu.queue().submit([encoder.finish()]);
    assert_eq!(model.step(), 0);
}

/// A loss that is not finite, from weights whose products are not.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_step_in_a_frame_that_is_not_finite_changes_nothing_and_is_said_once() {
    let gpu = common::gpu();
    let mut model = small(gpu);
    let (x, y) = (samples(gpu, 8, &[6]), samples(gpu, 8, &[3]));
    let wrong = wrapped(gpu, &[f32::MAX; 48], &[8, 6]);
    frame(gpu, |pass| pass.train_on_batch(&mut model, &x, &y).unwrap());
    let before = weights(&model);
    assert!(model.try_score().unwrap().is_some());
    frame(gpu, |pass| {
        pass.train_on_batch(&mut model, &wrong, &y).unwrap();
        pass.train_on_batch(&mut model, &x, &y).unwrap();
    });
    assert_eq!(weights(&model), before);
    assert_eq!(model.step(), 3);
    assert_eq!(model.try_score(), Err(Error::NotFinite { step: 2 }));
    assert_eq!(model.step(), 1);
    assert_eq!(model.try_score(), Ok(None));
    // It goes on as if that had not been.
    let mut other = small(gpu);
    for _ in 0..2 {
        other.train_on_batch(&x, &y).unwrap();
    }
    frame(gpu, |pass| pass.train_on_batch(&mut model, &x, &y).unwrap());
    assert_eq!(weights(&model), weights(&other));

    // The next training on the host's own says it, too.
    frame(gpu, |pass| {
        pass.train_on_batch(&mut model, &wrong, &y).unwrap()
    });
    let result = model.train_on_batch(&x, &y);
    assert_eq!(result.unwrap_err(), Error::NotFinite { step: 3 });
    // Of the step before, for which nobody has asked.
    assert!(model.try_score().unwrap().is_some());
    assert_eq!(model.try_score(), Ok(None));
    // Targets that a loss does not take.
    model
        .compile(Adam::new(0.01), Loss::MeanSquaredError)
        .unwrap();
    let nan = wrapped(gpu, &[f32::NAN; 24], &[8, 3]);
    frame(gpu, |pass| {
        pass.train_on_batch(&mut model, &x, &nan).unwrap()
    });
    weights(&model);
    let error = model.try_score().unwrap_err().to_string();
    assert!(error.contains("8 rows have targets that"), "{error}");
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn encoders_may_be_dropped_or_submitted_in_another_order() {
    let gpu = common::gpu();
    let mut model = small(gpu);
    let (x, y) = (samples(gpu, 8, &[6]), samples(gpu, 8, &[3]));
    let before = weights(&model);
    let mut encoders: Vec<_> = (0..3)
        .map(|_| gpu.device().create_command_encoder(&Default::default()))
        .collect();
    for encoder in &mut encoders {
        gpu.pass(encoder)
            .train_on_batch(&mut model, &x, &y)
            .unwrap();
    }
    assert_eq!(model.unfinished_steps(), 3);
    drop(encoders.pop());
    assert_eq!(weights(&model), before);
    let later = encoders.pop().unwrap();
    let earlier = encoders.pop().unwrap();
    gpu.queue().submit([later.finish(), earlier.finish()]);
    let after = weights(&model);
    assert_ne!(after, before);
    assert!(model.try_score().unwrap().is_some());
    assert_eq!(model.unfinished_steps(), 0);
    assert_eq!(model.step(), 3);
}

/// The expected history and weights are those of `fit`.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_run_in_frames_is_fit_bit_for_bit() {
    let gpu = common::gpu();
    let (x, y) = (common::activations(50 * 6), common::activations(50 * 3));
    let data = Dataset::from_floats(gpu, &x, [6]).unwrap();
    let data = data.targets(&y, [3]).unwrap();
    let fit = Fit::default().batch_size(8).epochs(3).validation_split(0.3);
    let (mut expected, mut framed) = (small(gpu), small(gpu));
    let history = expected.fit(&data, &fit).unwrap();
    let mut run = framed.train(&data, &fit).unwrap();
    let mut epochs = Vec::new();
    let mut has_more = true;
    while has_more || run.unfinished() > 0 {
        // Several pieces a frame, of more than an epoch.
        frame(gpu, |pass| {
            for _ in 0..9 {
                has_more = run.record(pass).unwrap();
            }
        });
        gpu.device()
            .poll(wgpu::PollType::wait_indefinitely())
            .unwrap();
        while let Some(progress) = run.try_next().unwrap() {
            if let Progress::Epoch(end) = progress {
                epochs.push((end.epoch, end.scores));
            }
        }
    }
    let error = pollster::block_on(run.next()).unwrap_err().to_string();
    assert!(error.contains("begun with record"), "{error}");
    assert_eq!(run.finish(), history);
    assert_eq!(epochs.len(), 3);
    assert_eq!(epochs[2], (3, history.epochs[2]));
    assert_eq!(weights(&framed), weights(&expected));

    let mut run = framed.train(&data, &fit).unwrap();
    assert!(pollster::block_on(run.next()).unwrap().is_some());
    frame(gpu, |pass| {
        let error = run.record(pass).unwrap_err().to_string();
        assert!(error.contains("begun with next"), "{error}");
    });
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_is_prepared_is_not_compiled_in_a_frame() {
    for gpu in [Counted::new(), Counted::smallest()] {
        let mut model = small(&gpu);
        let mut shares = Vec::new();
        let (calls, ()) = gpu.calls(|| {
            model
                .prepare_predict(Predict::rows(40), |share| shares.push(share))
                .unwrap();
            model
                .prepare_train_on_batch(40, |share| shares.push(share))
                .unwrap();
        });
        assert_eq!((calls.submissions, calls.polls), (0, 0), "{calls:?}");
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
        assert_eq!(shares.iter().filter(|&&share| share == 1.0).count(), 2);
        assert!(shares.len() > 5, "{shares:?}");
        let (x, y) = (samples(&gpu, 40, &[6]), samples(&gpu, 40, &[3]));
        let out = empty(&gpu, &[40, 3]);
        let score = empty(&gpu, &[2]);
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let (calls, ()) = gpu.calls(|| {
            let mut pass = gpu.pass(&mut encoder);
            pass.predict(&model, &x, &out).unwrap();
            pass.train_on_batch(&mut model, &x, &y).unwrap();
            model.score_into(&mut pass, &score).unwrap();
        });
        assert_eq!((calls.pipelines, calls.polls), (0, 0), "{calls:?}");
        // What was prepared is uploaded now.
        assert!(calls.submissions <= 1, "{calls:?}");
    }
}

/// What is bound for an application's tensors goes with them, and with the network.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_thousand_frames_with_new_tensors_take_no_more_memory() {
    let gpu = common::new_gpu();
    let model = small(&gpu);
    let round = |frames| {
        for _ in 0..frames {
            let (x, y) = (samples(&gpu, 16, &[6]), empty(&gpu, &[16, 3]));
            frame(&gpu, |pass| pass.predict(&model, &x, &y).unwrap());
            drop((x, y));
            gpu.device()
                .poll(wgpu::PollType::wait_indefinitely())
                .unwrap();
        }
        common::allocated(&gpu)
    };
    let before = round(50);
    assert_eq!(round(1000), before);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn steps_recorded_before_an_error_is_seen_change_nothing_after_it() {
    let gpu = common::gpu();
    let mut model = small(gpu);
    let (x, y) = (samples(gpu, 8, &[6]), samples(gpu, 8, &[3]));
    let wrong = wrapped(gpu, &[f32::MAX; 48], &[8, 6]);
    let before = weights(&model);
    let mut later = gpu.device().create_command_encoder(&Default::default());
    frame(gpu, |pass| {
        pass.train_on_batch(&mut model, &wrong, &y).unwrap();
    });
    gpu.pass(&mut later)
        .train_on_batch(&mut model, &x, &y)
        .unwrap();
    weights(&model);
    assert_eq!(model.try_score(), Err(Error::NotFinite { step: 1 }));
    gpu.queue().submit([later.finish()]);
    assert_eq!(weights(&model), before);
    assert_eq!((model.step(), model.try_score()), (0, Ok(None)));
    frame(gpu, |pass| {
        pass.train_on_batch(&mut model, &x, &y).unwrap();
    });
    assert_ne!(weights(&model), before);
    assert!(model.try_score().unwrap().is_some());
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn what_comes_back_does_not_pile_up_if_nobody_asks_for_it() {
    let gpu = common::new_gpu();
    let mut model = small(&gpu);
    let (x, y) = (samples(&gpu, 8, &[6]), samples(&gpu, 8, &[3]));
    let mut round = |frames| {
        for _ in 0..frames {
            frame(&gpu, |pass| {
                pass.train_on_batch(&mut model, &x, &y).unwrap();
            });
            gpu.device()
                .poll(wgpu::PollType::wait_indefinitely())
                .unwrap();
        }
        assert_eq!(model.unfinished_steps(), 1);
        common::allocated(&gpu)
    };
    let before = round(50);
    assert_eq!(round(500), before);
    assert!(model.try_score().unwrap().is_some());
}

fn run_in_frames(
    gpu: &Gpu,
    model: &mut Sequential,
    data: &Dataset,
    fit: &Fit,
    drop_first: bool,
) -> selfnorm::Result<selfnorm::nn::History> {
    let mut run = model.train(data, fit)?;
    if drop_first {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        run.record(&mut gpu.pass(&mut encoder))?;
    }
    let mut has_more = true;
    while has_more || run.unfinished() > 0 {
        let mut recorded = Ok(false);
        frame(gpu, |pass| recorded = run.record(pass));
        has_more = recorded?;
        gpu.device()
            .poll(wgpu::PollType::wait_indefinitely())
            .unwrap();
        while run.try_next()?.is_some() {}
    }
    Ok(run.finish())
}

/// As `fit`, which says so in the second step.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_run_in_frames_skips_no_more_steps_than_are_allowed() {
    let gpu = common::gpu();
    let data = Dataset::from_floats(gpu, &[f32::MAX; 64 * 6], [6]).unwrap();
    let data = data.targets(&[0.5; 64 * 3], [3]).unwrap();
    let fit = Fit::default().batch_size(8).skip_non_finite(1);
    let error = run_in_frames(gpu, &mut small(gpu), &data, &fit, false);
    assert_eq!(error.unwrap_err(), Error::NotFinite { step: 2 });
    assert_eq!(
        small(gpu).fit(&data, &fit).unwrap_err(),
        Error::NotFinite { step: 2 }
    );
}

/// With a learning rate of 0 a loss is that of its samples.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_run_whose_first_encoder_is_dropped_goes_on_with_the_right_samples() {
    let gpu = common::gpu();
    let data = Dataset::from_floats(gpu, &common::activations(50 * 6), [6]).unwrap();
    let data = data.targets(&common::activations(50 * 3), [3]).unwrap();
    let fit = Fit::new(Adam::new(0.0))
        .batch_size(8)
        .epochs(2)
        .validation_split(0.3);
    let expected = small(gpu).fit(&data, &fit).unwrap();
    let found = run_in_frames(gpu, &mut small(gpu), &data, &fit, true).unwrap();
    assert_eq!(found.losses, expected.losses[1..]);
    assert_eq!(found.epochs[0].validation, expected.epochs[0].validation);
    assert_eq!(found.epochs[1], expected.epochs[1]);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_run_that_is_stopped_keeps_the_epochs_that_were_whole() {
    let gpu = common::gpu();
    let data = Dataset::from_floats(gpu, &common::activations(50 * 6), [6]).unwrap();
    let data = data.targets(&common::activations(50 * 3), [3]).unwrap();
    let fit = Fit::default().batch_size(8).epochs(9).validation_split(0.3);
    let expected = small(gpu).fit(&data, &fit).unwrap();
    let mut model = small(gpu);
    let mut run = model.train(&data, &fit).unwrap();
    // Five steps and two batches of the validation, and two steps.
    frame(gpu, |pass| {
        for _ in 0..9 {
            assert!(run.record(pass).unwrap());
        }
    });
    run.stop();
    frame(gpu, |pass| {
        assert!(!run.record(pass).unwrap());
        assert!(!run.record(pass).unwrap());
    });
    gpu.device()
        .poll(wgpu::PollType::wait_indefinitely())
        .unwrap();
    let mut ended = 0;
    while run.try_next().unwrap().is_some() {
        ended += 1;
    }
    let history = run.finish();
    assert_eq!((ended, history.epochs.len()), (2, 2));
    assert_eq!(history.epochs[0], expected.epochs[0]);
    assert_eq!(history.epochs[1].validation, None);
    assert!(history.stopped);

    let mut run = model.train(&data, &fit).unwrap();
    run.stop();
    frame(gpu, |pass| {
        assert!(!run.record(pass).unwrap());
        assert!(!run.record(pass).unwrap());
    });
}
