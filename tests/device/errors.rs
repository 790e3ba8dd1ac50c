//! Every error of the contract, provoked: the right one, with a message that helps, nothing of it in the
//! application's own error handlers, nothing changed, and everything works afterwards.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::common::ops::{Op, Parameter, WEIGHTS, Weights};
use crate::common::{self, Watched, activations, foreign_buffer, smallest_gpu, without_hanging};
use half::f16;
use selfnorm::nn::{Dense, Sequential};
use selfnorm::{AlphaDropout, Element, Error, Gpu, GpuOptions, Pass, Result, Selu, Tensor, wgpu};
use wgpu::BufferUsages as Usage;

fn watched() -> Watched {
    Watched::new(common::new_gpu())
}

/// The documentation's example.
fn works(gpu: &Gpu) {
    let x = gpu.tensor(&[-1.0, 0.0, 2.0], [3]).unwrap();
    let y = x.selu().unwrap().to_vec().unwrap();
    assert_eq!(y, [-1.1113307, 0.0, 2.101402]);
}

/// Records, and submits even if recording failed.
fn attempt(gpu: &Gpu, record: impl FnOnce(&mut Pass) -> Result<()>) -> Result<()> {
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let result = record(&mut gpu.pass(&mut encoder));
    gpu.queue().submit([encoder.finish()]);
    result
}

/// An operation of [`Pass`] on its arguments, of which it writes the last.
struct Call<T: Element> {
    op: &'static Op<T>,
    in_place: bool,
}

impl<T: Element> Call<T> {
    fn all() -> impl Iterator<Item = Self> {
        let calls =
            |op: &'static Op<T>| op.ways().iter().map(move |&in_place| Self { op, in_place });
        Op::ALL.iter().flat_map(calls)
    }

    fn arguments(&self) -> Vec<&'static str> {
        self.op.arguments(self.in_place)
    }

    /// Takes as many of the tensors as it has arguments.
    fn record(&self, pass: &mut Pass, tensors: [&Tensor<T>; 3]) -> Result<()> {
        let tensors = &tensors[..self.arguments().len()];
        self.op
            .record(pass, self.in_place, tensors, &self.op.parameters[0])
    }
}

/// Tensors for the arguments of any call, and their values.
fn arguments(gpu: &Gpu) -> ([Tensor; 3], [Vec<f32>; 3]) {
    let values = [6, 12, 18].map(|end| activations(end).split_off(end - 6));
    let tensors = values
        .each_ref()
        .map(|values| gpu.tensor(values, [2, 3]).unwrap());
    (tensors, values)
}

fn unchanged((tensors, values): &([Tensor; 3], [Vec<f32>; 3])) {
    assert_eq!(
        tensors.each_ref().map(|tensor| tensor.to_vec().unwrap()),
        *values
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn data_that_does_not_fill_its_shape_is_an_error() {
    let gpu = watched();
    let error = gpu.tensor(&[1.0; 5], [2, 3]).unwrap_err();
    assert_eq!(
        error,
        Error::Length {
            shape: vec![2, 3],
            expected: 6,
            actual: 5
        }
    );
    assert_eq!(
        error.to_string(),
        "tensor: shape [2, 3] has 6 elements, the data has 5"
    );
    for (data, shape) in [(&[1.0; 7][..], &[2, 3][..]), (&[], &[1]), (&[1.0], &[0])] {
        let error = gpu.tensor(data, shape).unwrap_err();
        assert!(matches!(error, Error::Length { .. }), "{error}");
    }
    // No dimensions: a scalar, one element.
    assert_eq!(gpu.tensor(&[1.0f32], []).unwrap().to_vec().unwrap(), [1.0]);
    works(&gpu);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn arguments_of_different_shapes_are_an_error() {
    let gpu = watched();
    let given = arguments(&gpu);
    // The same number of elements is not the same shape.
    let other = gpu.tensor(&[1.0; 6], [3, 2]).unwrap();
    for call in Call::all() {
        let (op, arguments) = (call.op.name, call.arguments());
        for i in 1..arguments.len() {
            let mut tensors = given.0.each_ref();
            tensors[i] = &other;
            assert_eq!(
                attempt(&gpu, |pass| call.record(pass, tensors)),
                Err(Error::Shape {
                    op,
                    operand: arguments[i],
                    expected: vec![2, 3],
                    actual: vec![3, 2]
                })
            );
        }
    }
    unchanged(&given);
    assert_eq!(other.to_vec().unwrap(), [1.0; 6]);
    let error = given.0[0].selu_backward(&other).unwrap_err();
    assert_eq!(
        error.to_string(),
        "selu_backward: expected shape [2, 3] for dy, got [3, 2]"
    );
    works(&gpu);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_tensor_of_another_gpu_is_an_error() {
    let (gpu, other_gpu) = (watched(), watched());
    let (given, others) = (arguments(&gpu), arguments(&other_gpu));
    for call in Call::all() {
        let (op, arguments) = (call.op.name, call.arguments());
        for i in 0..arguments.len() {
            let mut tensors = given.0.each_ref();
            tensors[i] = &others.0[i];
            assert_eq!(
                attempt(&gpu, |pass| call.record(pass, tensors)),
                Err(Error::OtherGpu {
                    op,
                    operand: arguments[i]
                })
            );
        }
    }
    unchanged(&given);
    unchanged(&others);
    let error = given.0[0].selu_backward(&others.0[1]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "selu_backward: dy belongs to another Gpu; share one Gpu, which is cheap to clone; to_vec and tensor move data to another"
    );
    // A clone is no other.
    let clone = gpu.clone().tensor(&[1.0; 6], [2, 3]).unwrap();
    given.0[0].selu_backward(&clone).unwrap();
    works(&gpu);
    works(&other_gpu);
}

/// wgpu does not say whose a buffer is, so this is found late, but found, and not by the application's
/// own error scope. (Of an instance of its own, wgpu itself would take it for another buffer.)
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_wrapped_buffer_of_another_device_is_an_error() {
    let adapter = common::adapter();
    let [gpu, other_gpu] = [(); 2].map(|()| {
        let request = adapter.request_device(&Default::default());
        let (device, queue) = pollster::block_on(request).unwrap();
        Watched::new(Gpu::from_wgpu(device, queue).unwrap())
    });
    let buffer = other_gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("theirs"),
        size: 40,
        usage: Usage::STORAGE | Usage::COPY_SRC,
        mapped_at_creation: false,
    });
    let x: Tensor = gpu.wrap(buffer.slice(..), [10]).unwrap();
    let own: Tensor = gpu.tensor(&[1.0; 10], [10]).unwrap();
    let waiting = own.selu().unwrap();
    let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
    for result in [
        x.selu().map(|_| ()),
        x.to_vec().map(|_| ()),
        attempt(&gpu, |pass| pass.selu_in_place(&x)),
    ] {
        let error = result.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the buffer labelled \"theirs\" belongs to another wgpu::Device; wrap it with the Gpu of \
             its own"
        );
    }
    assert!(pollster::block_on(scope.pop()).is_none());
    let selu = own.selu().unwrap().to_vec().unwrap();
    assert_eq!(waiting.to_vec().unwrap(), selu);
    works(&gpu);
    works(&other_gpu);
}

/// wgpu counts the resources of each instance from the start, and a buffer is its number: nothing tells
/// whose it is. `Gpu::wrap`'s documentation says so; once this fails, `wrap` can refuse it.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_wrapped_buffer_of_another_instance_is_taken_for_one_of_this() {
    let [(gpu, ones), (_other_gpu, twos)] = [1.0f32, 2.0].map(|value| {
        let request = common::adapter().request_device(&Default::default());
        let (device, queue) = pollster::block_on(request).unwrap();
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 16,
            usage: Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST,
            mapped_at_creation: false,
        });
        queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&[value; 4]));
        queue.submit([]);
        (Watched::new(Gpu::from_wgpu(device, queue).unwrap()), buffer)
    });
    let x: Tensor = gpu.wrap(twos.slice(..), [4]).unwrap();
    assert_eq!(x.to_vec().unwrap(), [1.0; 4]);
    drop(ones);
}

/// Everything that takes a wrapped tensor. The networks take 4 features to 4 outputs.
type Use = fn(&Gpu, &mut Sequential, &Tensor, &Tensor) -> Result<()>;
const USES: [(&str, Use); 12] = [
    ("selu", |_, _, x, _| x.selu().map(drop)),
    ("selu_backward", |_, _, x, own| {
        own.selu_backward(x).map(drop)
    }),
    ("to_vec", |_, _, x, _| x.to_vec().map(drop)),
    ("read", |_, _, x, _| pollster::block_on(x.read()).map(drop)),
    ("predict", |_, model, x, _| model.predict(x).map(drop)),
    ("train_on_batch on x", |_, model, x, own| {
        model.train_on_batch(x, own).map(drop)
    }),
    ("train_on_batch on y", |_, model, x, own| {
        model.train_on_batch(own, x).map(drop)
    }),
    ("gradient of x", |_, model, x, own| {
        model.gradient(x, own, false).map(drop)
    }),
    ("gradient by dy", |_, model, x, own| {
        model.gradient(own, x, false).map(drop)
    }),
    ("statistics", |_, model, x, _| model.statistics(x).map(drop)),
    ("layer_output", |_, model, x, _| {
        model.layer_output("dense", x, false).map(drop)
    }),
    ("set_weights", |_, model, x, _| {
        model.set_weights(&[("dense/kernel", clone(x))])
    }),
];

/// Another tensor over the same buffer.
fn clone(x: &Tensor) -> Tensor {
    x.gpu().wrap(x.slice(), x.shape()).unwrap()
}

/// Uses a buffer that can't be used in every way there is. Each time other work is waiting to be
/// submitted, which must not be lost.
fn a_buffer_of_no_use(
    expected: &Error,
    create: impl Fn(&Gpu) -> wgpu::Buffer,
    spoil: impl Fn(&wgpu::Buffer),
) {
    let gpu = watched();
    let build = || {
        let layers = Sequential::new([4]).add(Dense::new(4));
        layers.build(&gpu, 1).unwrap()
    };
    let mut model = build();
    let own = gpu.tensor(&activations(16), [4, 4]).unwrap();
    let works = own.selu().unwrap().to_vec().unwrap();
    model.train_on_batch(&own, &own).unwrap();
    let weights = |model: &Sequential| -> Vec<Vec<f32>> {
        let weights = model.weights().unwrap();
        weights.iter().map(|(_, w)| w.to_vec().unwrap()).collect()
    };
    let before = weights(&model);
    for (name, use_it) in USES {
        let buffer = create(&gpu);
        let x: Tensor = gpu.wrap(buffer.slice(..), [4, 4]).unwrap();
        spoil(&buffer);
        let waiting = own.selu().unwrap();
        let result = use_it(&gpu, &mut model, &x, &own);
        assert_eq!(result.as_ref(), Err(expected), "{name}");
        assert_eq!(waiting.to_vec().unwrap(), works, "deferred before {name}");
        assert_eq!(weights(&model), before, "{name}");
    }
    let score = model.train_on_batch(&own, &own).unwrap();
    let mut other = build();
    other.train_on_batch(&own, &own).unwrap();
    assert_eq!(score, other.train_on_batch(&own, &own).unwrap());
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_wrapped_buffer_that_the_application_has_destroyed_is_an_error_by_name() {
    let label = "image".to_owned();
    let error = Error::Destroyed { label };
    let create = |gpu: &Gpu| {
        gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("image"),
            size: 64,
            usage: Usage::STORAGE | Usage::COPY_SRC,
            mapped_at_creation: false,
        })
    };
    a_buffer_of_no_use(&error, create, wgpu::Buffer::destroy);
    let gpu = watched();
    let buffer = create(&gpu);
    let x: Tensor = gpu.wrap(buffer.slice(..), [16]).unwrap();
    buffer.destroy();
    let result = attempt(&gpu, |pass| pass.selu_in_place(&x));
    assert_eq!(result.as_ref(), Err(&error), "a pass");
    assert_eq!(
        error.to_string(),
        "the buffer or texture labelled \"image\" has been destroyed, and there is still work on it; \
         destroy it after the last operation on its tensors, and wrap the new one"
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_wrapped_buffer_that_is_mapped_is_an_error_by_name() {
    let label = "it's mapped".to_owned();
    let error = Error::Mapped { label };
    let create = |gpu: &Gpu| {
        gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("it's mapped"),
            size: 64,
            usage: Usage::STORAGE | Usage::COPY_SRC,
            mapped_at_creation: true,
        })
    };
    a_buffer_of_no_use(&error, create, |_| {});
    assert_eq!(
        error.to_string(),
        "the buffer labelled \"it's mapped\" is mapped; unmap it before an operation on its tensors"
    );
}

/// The crate's own buffer, but only the application can have destroyed it.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_tensor_whose_buffer_the_application_has_destroyed_is_an_error_by_name() {
    let gpu = watched();
    let x = gpu.tensor(&[1.0f32; 4], [4]).unwrap();
    let other = gpu.tensor(&[1.0f32; 4], [4]).unwrap();
    x.slice().buffer().destroy();
    let waiting = other.selu().unwrap();
    let label = "selfnorm".to_owned();
    assert_eq!(x.to_vec(), Err(Error::Destroyed { label }));
    assert_eq!(
        waiting.to_vec().unwrap(),
        other.selu().unwrap().to_vec().unwrap()
    );
    works(&gpu);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_destination_that_is_also_a_source_is_an_error() {
    let gpu = watched();
    let given = arguments(&gpu);
    for call in Call::all() {
        let (op, arguments) = (call.op.name, call.arguments());
        let last = arguments.len() - 1;
        for i in 0..last {
            let mut tensors = given.0.each_ref();
            tensors[last] = tensors[i];
            // The in-place operation overwrites the last thing it reads.
            let detail = if i + 1 == last && !call.in_place {
                "or call the in-place variant".into()
            } else {
                String::new()
            };
            assert_eq!(
                attempt(&gpu, |pass| call.record(pass, tensors)),
                Err(Error::Aliased {
                    op,
                    a: arguments[i],
                    b: arguments[last],
                    detail
                })
            );
        }
    }
    unchanged(&given);
    let [x, ..] = &given.0;
    let error = attempt(&gpu, |pass| pass.selu(x, x)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "selu: x and y overlap in memory; give them separate ranges (or call the in-place variant)"
    );
    // What is only read may be the same twice.
    let [_, dx, _] = &given.0;
    attempt(&gpu, |pass| pass.selu_backward(x, x, dx)).unwrap();
    assert_eq!(
        dx.to_vec().unwrap(),
        x.selu_backward(x).unwrap().to_vec().unwrap()
    );
    works(&gpu);
}

/// A buffer of `len` values for the ranges of one buffer.
fn one_buffer(gpu: &Gpu, values: &[f32]) -> wgpu::Buffer {
    let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
    let buffer = foreign_buffer(gpu, values.len() as u64 * 4, usage);
    gpu.queue()
        .write_buffer(&buffer, 0, bytemuck::cast_slice(values));
    buffer
}

/// wgpu gives an encoder up that is used while a pass of it is open, and there is no way to ask before.
/// So the operation says what is wrong, and the application hears of it only from its own `finish`.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn an_encoder_that_is_locked_by_an_open_pass_is_an_error() {
    let gpu = watched();
    let given = arguments(&gpu);
    for call in Call::all() {
        let op = call.op.name;
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        let open = encoder
            .begin_compute_pass(&Default::default())
            .forget_lifetime();
        let mut pass = gpu.pass(&mut encoder);
        for _ in 0..2 {
            let result = call.record(&mut pass, given.0.each_ref());
            assert_eq!(result, Err(Error::EncoderLocked), "{op}");
        }
        drop(pass);
        drop(open);
        assert_eq!(gpu.uncaptured(), [""; 0], "{op}");
        let scope = gpu.device().push_error_scope(wgpu::ErrorFilter::Validation);
        encoder.finish();
        let error = pollster::block_on(scope.pop()).expect("the encoder is lost");
        assert!(error.to_string().contains("Encoder is locked"), "{error}");
    }
    unchanged(&given);
    // A pass that nothing is recorded into does no harm.
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let open = encoder
        .begin_compute_pass(&Default::default())
        .forget_lifetime();
    drop(gpu.pass(&mut encoder));
    drop(open);
    gpu.queue().submit([encoder.finish()]);
    assert_eq!(
        Error::EncoderLocked.to_string(),
        "the encoder is locked by a pass that is still open; end that pass, or record into it with \
         Gpu::record_in"
    );
    works(&gpu);
}

/// As many values as every device aligns ranges to: 256 bytes.
const ALIGNED: usize = 64;

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn ranges_of_one_buffer_that_overlap_are_an_error_and_others_work() {
    let gpu = watched();
    let values = activations(4 * ALIGNED);
    let buffer = one_buffer(&gpu, &values);
    let range = |first: usize, len: usize| -> Tensor {
        let bytes = first as u64 * 4..(first + len) as u64 * 4;
        gpu.wrap(buffer.slice(bytes), [len]).unwrap()
    };
    let aliased = |x: &Tensor, y: &Tensor| match attempt(&gpu, |pass| pass.selu(x, y)) {
        Err(Error::Aliased { detail, .. }) => detail,
        result => panic!("{result:?}"),
    };
    // By one element, by half, and from either side.
    let x = range(0, ALIGNED + 1);
    assert_eq!(aliased(&x, &range(ALIGNED, ALIGNED + 1)), "");
    assert_eq!(aliased(&range(ALIGNED, ALIGNED + 1), &x), "");
    let x = range(0, 2 * ALIGNED);
    assert_eq!(aliased(&x, &range(ALIGNED, 2 * ALIGNED)), "");
    // Made twice, but the same.
    assert_eq!(
        aliased(&x, &range(0, 2 * ALIGNED)),
        "or call the in-place variant"
    );
    let all = range(0, 4 * ALIGNED);
    assert_eq!(all.to_vec().unwrap(), values);

    // Side by side, and the gap between them stays as it is.
    for (first, len) in [(2 * ALIGNED, 2 * ALIGNED), (2 * ALIGNED, 2 * ALIGNED - 3)] {
        gpu.queue()
            .write_buffer(&buffer, 0, bytemuck::cast_slice(&values));
        let (x, y) = (range(0, len), range(first, len));
        attempt(&gpu, |pass| pass.selu(&x, &y)).unwrap();
        let selu = gpu.tensor(&values[..len], [len]).unwrap().selu().unwrap();
        let mut expected = values.clone();
        expected[first..first + len].copy_from_slice(&selu.to_vec().unwrap());
        assert_eq!(all.to_vec().unwrap(), expected);
    }
    // Ranges that are only read may overlap.
    gpu.queue()
        .write_buffer(&buffer, 0, bytemuck::cast_slice(&values));
    let (x, dy) = (range(0, 2 * ALIGNED), range(ALIGNED, 2 * ALIGNED));
    let dx = x.selu_backward(&dy).unwrap().to_vec().unwrap();
    let tensor = |first: usize| {
        gpu.tensor(&values[first..first + 2 * ALIGNED], [2 * ALIGNED])
            .unwrap()
    };
    let expected = tensor(0).selu_backward(&tensor(ALIGNED)).unwrap();
    assert_eq!(dx, expected.to_vec().unwrap());
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_rate_outside_zero_to_one_is_an_error() {
    let gpu = watched();
    let given = arguments(&gpu);
    let [x, y, _] = &given.0;
    for rate in [-0.1, 1.0, 1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let p = AlphaDropout::new(rate);
        for result in [
            x.alpha_dropout(&p).map(|_| ()),
            x.alpha_dropout_backward(&p).map(|_| ()),
            attempt(&gpu, |pass| pass.alpha_dropout(x, &p, y)),
            attempt(&gpu, |pass| pass.alpha_dropout_in_place(x, &p)),
            attempt(&gpu, |pass| pass.alpha_dropout_backward(x, &p, y)),
            attempt(&gpu, |pass| pass.alpha_dropout_backward_in_place(x, &p)),
            // Nothing to drop, but wrong all the same.
            x.alpha_dropout(&p.clone().training(false)).map(|_| ()),
            p.coefficients().map(|_| ()),
            p.mask([2, 3]).map(|_| ()),
        ] {
            match result {
                Err(Error::Parameter {
                    name: "rate",
                    value,
                    ..
                }) => assert!(value == rate || value.is_nan() && rate.is_nan(), "{value}"),
                result => panic!("{rate}: {result:?}"),
            }
        }
    }
    unchanged(&given);
    assert_eq!(
        x.alpha_dropout(&AlphaDropout::new(1.5))
            .unwrap_err()
            .to_string(),
        "alpha_dropout: rate is 1.5, must be at least 0 and below 1"
    );
    works(&gpu);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn an_offset_that_no_block_begins_at_is_an_error() {
    let gpu = watched();
    let given = arguments(&gpu);
    let [x, y, _] = &given.0;
    for offset in [1, 4 + 2, (1 << 63) + 4, u64::MAX] {
        let p = AlphaDropout::new(0.5).offset(offset);
        let weights = Parameter::Weights(Weights { offset, ..WEIGHTS });
        let of_weights = Op::initializers().flat_map(|op| {
            let on_host = (op.host())(&weights, 9).map(|_| ());
            let on_device = attempt(&gpu, |pass| op.record(pass, false, &[y], &weights));
            [on_host, on_device]
        });
        let of_masks = [
            x.alpha_dropout(&p).map(|_| ()),
            attempt(&gpu, |pass| pass.alpha_dropout_backward(x, &p, y)),
            p.mask([2, 3]).map(|_| ()),
        ];
        for result in of_masks.into_iter().chain(of_weights) {
            let message = result.unwrap_err().to_string();
            let rule = if offset % 4 == 0 {
                "must be at most 2^63"
            } else {
                "must be a multiple of 4"
            };
            assert!(message.ends_with(rule), "{message}");
        }
    }
    unchanged(&given);
    works(&gpu);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_call_in_another_stream_is_an_error() {
    let gpu = watched();
    let given = arguments(&gpu);
    let [x, y, _] = &given.0;
    for call in [1 << 63, (1 << 63) + 1, u64::MAX] {
        let p = AlphaDropout::new(0.5).call(call);
        for result in [
            x.alpha_dropout(&p).map(|_| ()),
            x.alpha_dropout_backward(&p).map(|_| ()),
            attempt(&gpu, |pass| pass.alpha_dropout(x, &p, y)),
            attempt(&gpu, |pass| pass.alpha_dropout_in_place(y, &p)),
            attempt(&gpu, |pass| pass.alpha_dropout_backward(x, &p, y)),
            attempt(&gpu, |pass| pass.alpha_dropout_backward_in_place(y, &p)),
            // the identity, too: what is wrong outside training is wrong in training
            x.alpha_dropout(&p.clone().training(false)).map(|_| ()),
            p.mask([2, 3]).map(|_| ()),
        ] {
            let message = result.unwrap_err().to_string();
            let rule = "must be below 2^63, where the calls of weights begin";
            assert!(message.starts_with("alpha_dropout"), "{message}");
            assert!(
                message.contains("call is ") && message.ends_with(rule),
                "{message}"
            );
        }
    }
    for call in [1 << 62, 1 << 63, u64::MAX] {
        let weights = Parameter::Weights(Weights { call, ..WEIGHTS });
        for op in Op::initializers() {
            for result in [
                (op.host())(&weights, 9).map(|_| ()),
                attempt(&gpu, |pass| op.record(pass, false, &[y], &weights)),
            ] {
                let message = result.unwrap_err().to_string();
                let expected =
                    format!("{}: call is {:?}, must be below 2^62", op.name, call as f64);
                assert_eq!(message, expected);
            }
        }
    }
    unchanged(&given);
    works(&gpu);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn constants_that_are_not_finite_floats_are_an_error() {
    let gpu = watched();
    let given = arguments(&gpu);
    let [x, dy, y] = &given.0;
    let is_parameter = |result: Result<()>, expected: (&str, &str, f64)| match result {
        Err(Error::Parameter {
            op, name, value, ..
        }) => assert!(
            (op, name) == (expected.0, expected.1)
                && (value == expected.2 || value.is_nan() && expected.2.is_nan()),
            "{op}, {name}, {value}, not {expected:?}"
        ),
        result => panic!("{expected:?}: {result:?}"),
    };
    // The last is finite, but not as an f32.
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
        let alpha = Selu {
            alpha: value,
            ..Selu::default()
        };
        let scale = Selu {
            scale: value,
            ..Selu::default()
        };
        for (name, p) in [("alpha", alpha), ("scale", scale)] {
            let forward = ("selu", name, value);
            is_parameter(x.selu_with(&p).map(|_| ()), forward);
            is_parameter(attempt(&gpu, |pass| pass.selu_with(x, &p, y)), forward);
            is_parameter(
                attempt(&gpu, |pass| pass.selu_with_in_place(x, &p)),
                forward,
            );
            let backward = ("selu_backward", name, value);
            is_parameter(x.selu_backward_with(&p, dy).map(|_| ()), backward);
            is_parameter(
                attempt(&gpu, |pass| pass.selu_backward_with(x, &p, dy, y)),
                backward,
            );
            is_parameter(
                attempt(&gpu, |pass| pass.selu_backward_with_in_place(x, &p, dy)),
                backward,
            );
        }
        let forward = ("elu", "alpha", value);
        is_parameter(x.elu(value).map(|_| ()), forward);
        is_parameter(attempt(&gpu, |pass| pass.elu(x, value, y)), forward);
        is_parameter(attempt(&gpu, |pass| pass.elu_in_place(x, value)), forward);
        let backward = ("elu_backward", "alpha", value);
        is_parameter(x.elu_backward(value, dy).map(|_| ()), backward);
        is_parameter(
            attempt(&gpu, |pass| pass.elu_backward(x, value, dy, y)),
            backward,
        );
        is_parameter(
            attempt(&gpu, |pass| pass.elu_backward_in_place(x, value, dy)),
            backward,
        );
    }
    // Each finite, the product not.
    let p = Selu {
        alpha: 1e30,
        scale: 1e30,
    };
    is_parameter(
        x.selu_with(&p).map(|_| ()),
        ("selu", "alpha * scale", 1e30 * 1e30),
    );
    unchanged(&given);
    assert_eq!(
        x.elu(f64::NAN).unwrap_err().to_string(),
        "elu: alpha is NaN, must be a finite f32"
    );
    // Not three hundred digits.
    assert_eq!(
        x.elu(1e300).unwrap_err().to_string(),
        "elu: alpha is 1e300, must be a finite f32"
    );
    works(&gpu);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_noise_shape_that_does_not_fit_is_an_error() {
    let gpu = watched();
    let given = arguments(&gpu);
    let [x, y, _] = &given.0;
    let is_noise_shape = |result: Result<()>| match result {
        Err(Error::NoiseShape { .. }) => {}
        result => panic!("{result:?}"),
    };
    for noise_shape in [
        &[][..],
        &[3],
        &[3, 2],
        &[2, 2],
        &[0, 3],
        &[2, 3, 1],
        &[6],
        &[usize::MAX, 3],
    ] {
        let p = AlphaDropout::new(0.5).noise_shape(noise_shape);
        is_noise_shape(x.alpha_dropout(&p).map(|_| ()));
        is_noise_shape(x.alpha_dropout_backward(&p).map(|_| ()));
        is_noise_shape(attempt(&gpu, |pass| pass.alpha_dropout(x, &p, y)));
        is_noise_shape(attempt(&gpu, |pass| pass.alpha_dropout_in_place(x, &p)));
        is_noise_shape(p.mask([2, 3]).map(|_| ()));
    }
    unchanged(&given);
    // Nothing to drop, but wrong all the same.
    let empty = gpu.tensor::<f32>(&[], [0, 3]).unwrap();
    is_noise_shape(
        empty
            .alpha_dropout(&AlphaDropout::new(0.5).noise_shape([0, 2]))
            .map(|_| ()),
    );
    // Dimensions that are broadcast and such that are not, in turns, more than there is room for.
    let shape = [2; 9];
    let deep = gpu.tensor(&[1.0; 1 << 9], shape).unwrap();
    let turns = std::array::from_fn::<_, 9, _>(|i| 1 + i % 2);
    is_noise_shape(
        deep.alpha_dropout(&AlphaDropout::new(0.5).noise_shape(turns))
            .map(|_| ()),
    );
    let error = x.alpha_dropout(&AlphaDropout::new(0.5).noise_shape([3, 1]));
    assert_eq!(
        error.unwrap_err().to_string(),
        "alpha_dropout: noise_shape [3, 1] must have as many dimensions as the tensor [2, 3], each \
         equal to the tensor's or 1"
    );
    works(&gpu);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_range_that_can_t_be_wrapped_is_an_error() {
    let gpu = watched();
    let buffer = foreign_buffer(&gpu, 1024, Usage::STORAGE | Usage::COPY_SRC);

    let alignment = gpu.device().limits().min_storage_buffer_offset_alignment;
    let error = gpu.wrap::<f32>(buffer.slice(4..), [1]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "wrap: the range starts at byte 4, the device needs a multiple of {alignment} \
             (min_storage_buffer_offset_alignment)"
        )
    );
    let error = gpu.wrap::<f32>(buffer.slice(..36), [2, 5]).unwrap_err();
    assert_eq!(
        error,
        Error::TooShort {
            shape: vec![2, 5],
            needed: 40,
            actual: 36
        }
    );
    assert_eq!(
        error.to_string(),
        "wrap: shape [2, 5] needs 40 bytes, the range has 36"
    );
    // Three f16 are six bytes, but a copy moves multiples of four.
    assert_eq!(
        gpu.wrap::<f16>(buffer.slice(..6), [3]).unwrap_err(),
        Error::TooShort {
            shape: vec![3],
            needed: 8,
            actual: 6
        }
    );
    assert!(gpu.wrap::<f16>(buffer.slice(..8), [3]).is_ok());
    let error = gpu.wrap::<f32>(buffer.slice(..), [usize::MAX, 2]);
    assert!(matches!(error, Err(Error::TooLarge { .. })), "{error:?}");

    let copied = foreign_buffer(&gpu, 1024, Usage::COPY_SRC | Usage::COPY_DST);
    let error = gpu.wrap::<f32>(copied.slice(..), [1]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "wrap: the buffer must be created with BufferUsages::STORAGE"
    );
    works(&gpu);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_wrapped_buffer_without_copy_src_can_be_computed_with_but_not_read() {
    let gpu = watched();
    let buffer = foreign_buffer(&gpu, 12, Usage::STORAGE | Usage::COPY_DST);
    gpu.queue()
        .write_buffer(&buffer, 0, bytemuck::cast_slice(&[-1.0f32, 0.0, 2.0]));
    let x: Tensor = gpu.wrap(buffer.slice(..), [3]).unwrap();
    for result in [x.to_vec(), pollster::block_on(x.read())] {
        let error = result.unwrap_err();
        assert_eq!(
            error,
            Error::MissingUsage {
                op: "read",
                usage: "COPY_SRC"
            }
        );
        assert_eq!(
            error.to_string(),
            "read: the buffer must be created with BufferUsages::COPY_SRC"
        );
    }
    assert_eq!(
        x.selu().unwrap().to_vec().unwrap(),
        [-1.1113307, 0.0, 2.101402]
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn half_precision_on_a_device_without_it_is_an_error() {
    let gpu = Watched::new(smallest_gpu());
    assert!(!gpu.supports_f16());
    let values = [1.0, 2.0, 3.0].map(f16::from_f32);
    let tensors = [(); 3].map(|()| gpu.tensor(&values, [3]).unwrap());
    for call in Call::all() {
        let op = call.op.name;
        assert_eq!(
            attempt(&gpu, |pass| call.record(pass, tensors.each_ref())),
            Err(Error::MissingFeature {
                op,
                feature: "SHADER_F16"
            })
        );
    }
    assert_eq!(
        tensors[0].selu().unwrap_err().to_string(),
        "selu: the device must be created with Features::SHADER_F16"
    );
    assert!(matches!(
        gpu.zeros::<f16>([3]),
        Err(Error::MissingFeature { op: "zeros", .. })
    ));
    // What needs no arithmetic is there.
    for tensor in tensors {
        assert_eq!(tensor.to_vec().unwrap(), values);
    }
    works(&gpu);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn more_elements_than_can_be_counted_are_an_error() {
    let gpu = watched();
    for shape in [
        &[1 << 32][..],
        &[usize::MAX, 2],
        &[1 << 16, 1 << 16],
        &[usize::MAX; 3],
    ] {
        for error in [
            gpu.tensor(&[1.0], shape).unwrap_err(),
            gpu.zeros::<f32>(shape).unwrap_err(),
            gpu.lecun_normal(shape, 0).unwrap_err(),
        ] {
            assert_eq!(
                error,
                Error::TooLarge {
                    shape: shape.into(),
                    limit: "elements are counted in 32 bits, 4294967295 at most".into()
                }
            );
        }
    }
    let error = AlphaDropout::new(0.5).mask([usize::MAX, 2]).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    assert_eq!(
        gpu.zeros::<f32>([1 << 32]).unwrap_err().to_string(),
        "a tensor of shape [4294967296] is too large: elements are counted in 32 bits, 4294967295 at most"
    );
    works(&gpu);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn more_bytes_than_a_buffer_may_have_are_an_error() {
    let gpu = Watched::new(smallest_gpu());
    let len = gpu.device().limits().max_buffer_size as usize / 4;
    assert_eq!(
        gpu.zeros::<f32>([len + 1]).unwrap_err().to_string(),
        "a tensor of shape [67108865] is too large: it takes 268435472 bytes, the device's \
         max_buffer_size is 268435456"
    );
    let error = gpu.lecun_normal([len + 1], 0).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    assert!(gpu.zeros::<f32>([len]).is_ok());
    works(&gpu);
}

fn zero_length_tensors_work_everywhere<T: Element + std::fmt::Debug + PartialEq>(gpu: &Gpu) {
    // A zero decides, whatever the product of the others is.
    for shape in [
        &[0][..],
        &[0, 5],
        &[5, 0, 2],
        &[usize::MAX, 0],
        &[0, usize::MAX, 2],
        &[usize::MAX, 2, 0],
    ] {
        let tensors = [(); 3].map(|()| gpu.tensor::<T>(&[], shape).unwrap());
        for call in Call::all() {
            attempt(gpu, |pass| call.record(pass, tensors.each_ref())).unwrap();
        }
        let [x, dy, _] = &tensors;
        let p = AlphaDropout::new(0.5);
        let mask = AlphaDropout::new(0.5).noise_shape(vec![1; shape.len()]);
        let inputs = [x, dy];
        let called = Op::ALL.iter().filter_map(|op| {
            let call = op.call?;
            Some(call(&inputs[..op.inputs.len()], &op.parameters[0]))
        });
        for y in called.chain([x.alpha_dropout(&mask), gpu.zeros(shape)]) {
            let y = y.unwrap();
            assert_eq!(y.shape(), shape);
            assert_eq!(y.to_vec().unwrap(), []);
            assert_eq!(pollster::block_on(y.read()).unwrap(), []);
        }
        assert!(gpu.lecun_normal(shape, 1).unwrap().is_empty());
        assert!(p.mask(shape).unwrap().is_empty());
    }
    let buffer = foreign_buffer(gpu, 256, Usage::STORAGE | Usage::COPY_SRC);
    let x = gpu.wrap::<T>(buffer.slice(..0), [0]).unwrap();
    assert_eq!(x.selu().unwrap().to_vec().unwrap(), []);
    assert_eq!(x.slice().size(), 0);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn tensors_without_elements_are_no_error() {
    let gpu = watched();
    zero_length_tensors_work_everywhere::<f32>(&gpu);
    if gpu.supports_f16() {
        zero_length_tensors_work_everywhere::<f16>(&gpu);
    }
    works(&gpu);
}

/// Makes tensors, at most so many, until one is an error.
fn fill(
    kept: &mut Vec<Tensor>,
    most: usize,
    mut make: impl FnMut() -> Result<Tensor>,
) -> Option<Error> {
    for _ in 0..most {
        match make() {
            Ok(tensor) => kept.push(tensor),
            Err(error) => return Some(error),
        }
    }
    None
}

/// A software driver's memory is the process's, so a limit on that is a GPU that is full; elsewhere it is a budget. What
/// is promised is that of buffers that don't fit; wgpu 30 gives up a device whose driver fails elsewhere.
#[cfg(target_os = "linux")]
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_full_gpu_is_an_error_and_goes_on_working() {
    const APART: &str = "SELFNORM_TEST_FULL";
    if std::env::var_os(APART).is_none() {
        // In a process of its own, because the limit is the process's.
        common::passes_without_memory(
            "errors::a_full_gpu_is_an_error_and_goes_on_working",
            &[(APART, "1")],
        );
        return;
    }
    let is_process = common::gpu().adapter_info().device_type == wgpu::DeviceType::Cpu;
    let gpu = match is_process {
        true => watched(),
        false => Watched::new(common::gpu_with_budget()),
    };
    let x = gpu.tensor(&activations(1000), [1000]).unwrap();
    if gpu.adapter_info().backend == wgpu::Backend::Gl {
        eprintln!("not run: wgpu is not told on OpenGL");
        return;
    }
    let expected = x.selu().unwrap().to_vec().unwrap();
    gpu.zeros::<f32>([1]).unwrap();
    works(&gpu);
    if is_process {
        common::limit_memory(256 << 20);
    }

    // Too much at once.
    let mut kept = Vec::new();
    let bytes = 512 << 20;
    let zeros = |bytes: u64| gpu.zeros::<f32>([bytes as usize / 4]);
    let Some(error) = fill(&mut kept, 16, || zeros(bytes)) else {
        eprintln!("not run: the driver does not say how much memory there is");
        return;
    };
    assert_eq!(error, Error::OutOfMemory { bytes });
    assert_eq!(
        error.to_string(),
        "out of GPU memory: 536870912 bytes were asked for"
    );
    kept.pop();
    works(&gpu);

    // Bit by bit, until nothing is left for the smallest buffer.
    for bytes in (4..=26).rev().step_by(2).map(|log| 1 << log) {
        let error = fill(&mut kept, usize::MAX, || zeros(bytes)).unwrap();
        assert_eq!(error, Error::OutOfMemory { bytes });
    }
    let tensor = || gpu.tensor(&expected, [1000]);
    let error = fill(&mut kept, usize::MAX, tensor).unwrap();
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    match x.to_vec() {
        Ok(_) | Err(Error::OutOfMemory { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    drop(kept);
    // A driver may be late to say what is free.
    let is_full = |_: &i32| matches!(x.selu(), Err(Error::OutOfMemory { .. }));
    for _ in (0..if is_process { 0 } else { 100 }).take_while(is_full) {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(x.selu().unwrap().to_vec().unwrap(), expected);
    works(&gpu);
}

/// What asks something of the device, besides operations.
type Request = fn(&Gpu, &[Tensor; 3]) -> Result<()>;
const REQUESTS: [(&str, Request); 9] = [
    ("tensor", |gpu, _| gpu.tensor(&[1.0; 5], [5]).map(|_| ())),
    ("tensor of f16", |gpu, _| {
        gpu.tensor(&[f16::ONE; 5], [5]).map(|_| ())
    }),
    ("to_vec", |_, [x, ..]| x.to_vec().map(|_| ())),
    ("read", |_, [x, ..]| {
        pollster::block_on(x.read()).map(|_| ())
    }),
    ("to_vec of a wrapped tensor", |gpu, [x, ..]| {
        let slice = x.slice();
        let wrapped: Tensor = gpu.wrap(slice, x.shape())?;
        wrapped.to_vec().map(|_| ())
    }),
    ("zeros", |gpu, _| gpu.zeros::<f32>([5]).map(|_| ())),
    ("zeros of a new size", |gpu, _| {
        gpu.zeros::<f32>([54_321]).map(|_| ())
    }),
    ("lecun_normal", |gpu, _| {
        gpu.lecun_normal([2, 3], 1).map(|_| ())
    }),
    ("lecun_normal of a new size", |gpu, _| {
        gpu.lecun_normal([54_322], 1).map(|_| ())
    }),
];

/// The answers to everything that asks something of the device.
fn answers(gpu: &Gpu, tensors: &[Tensor; 3]) -> Vec<(String, Result<()>)> {
    let [x, dy, _] = tensors;
    let called = Op::cases().filter_map(|(op, p)| {
        let y = op.call?(&[x, dy][..op.inputs.len()], p);
        Some((op.title(p), y.map(drop)))
    });
    let requested = REQUESTS.map(|(name, request)| (name.into(), request(gpu, tensors)));
    called.chain(requested).collect()
}

/// `used`: everything has been called before, so that pipelines and buffers are there.
fn a_destroyed_device_is_an_error(gpu: Gpu, used: bool) {
    let gpu = Watched::new(gpu);
    let (tensors, _) = arguments(&gpu);
    if used {
        for (name, answer) in answers(&gpu, &tensors) {
            answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        for call in Call::all() {
            attempt(&gpu, |pass| call.record(pass, tensors.each_ref())).unwrap();
        }
    }
    gpu.device().destroy();
    for (name, answer) in answers(&gpu, &tensors) {
        assert_eq!(answer, Err(Error::DeviceLost), "{name}, used: {used}");
    }
    // These record, or say that there is nothing to record for.
    for call in Call::all() {
        let op = call.op.name;
        let result = attempt(&gpu, |pass| call.record(pass, tensors.each_ref()));
        assert!(
            matches!(result, Ok(()) | Err(Error::DeviceLost)),
            "{op}: {result:?}"
        );
    }
    assert_eq!(
        Error::DeviceLost.to_string(),
        "the GPU device is lost or was destroyed; create a new Gpu"
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn after_its_device_is_destroyed_everything_is_an_error_and_a_new_gpu_works() {
    for used in [false, true] {
        without_hanging(move || a_destroyed_device_is_an_error(common::new_gpu(), used));
        without_hanging(move || a_destroyed_device_is_an_error(smallest_gpu(), used));
    }
    works(&watched());
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn reads_that_are_under_way_when_the_device_is_destroyed_end() {
    let gpu = watched();
    let data = activations(1757);
    let x = gpu.tensor(&data, [1757]).unwrap();
    x.to_vec().unwrap();
    let device = gpu.device().clone();
    let (started, first_read) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        without_hanging(move || {
            loop {
                let result = pollster::block_on(x.read()).and_then(|_| x.to_vec());
                let _ = started.send(());
                match result {
                    Ok(values) => assert_eq!(values, data),
                    Err(error) => return error,
                }
            }
        })
    });
    first_read.recv().unwrap();
    device.destroy();
    assert_eq!(reader.join().unwrap(), Error::DeviceLost);
    works(&watched());
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_application_is_still_told_that_its_device_is_lost() {
    let gpu = watched();
    let told = Arc::new(AtomicBool::new(false));
    let callback = told.clone();
    gpu.device()
        .set_device_lost_callback(move |_, _| callback.store(true, Ordering::Relaxed));
    works(&gpu);
    gpu.device().destroy();
    assert_eq!(gpu.zeros::<f32>([1]).map(|_| ()), Err(Error::DeviceLost));
    gpu.device()
        .poll(wgpu::PollType::wait_indefinitely())
        .unwrap();
    assert!(told.load(Ordering::Relaxed));
}

/// Needs no GPU.
#[test]
fn a_machine_without_a_driver_is_an_error_that_says_what_to_install() {
    const APART: &str = "SELFNORM_TEST_NO_DRIVER";
    if std::env::var_os(APART).is_none() {
        common::passes_apart(
            "errors::a_machine_without_a_driver_is_an_error_that_says_what_to_install",
            &[
                (APART, "1"),
                ("WGPU_BACKEND", "vulkan"),
                ("VK_DRIVER_FILES", "/nowhere.json"),
                ("VK_ICD_FILENAMES", "/nowhere.json"),
            ],
        );
        return;
    }
    let error = Gpu::new().unwrap_err();
    assert_eq!(error, Error::NoAdapter);
    assert_eq!(
        error.to_string(),
        "no GPU adapter found. Install a Vulkan driver: your GPU's, or Mesa's software driver, which \
         needs no GPU (Debian, Ubuntu: `apt-get install mesa-vulkan-drivers`; Fedora: `dnf install \
         mesa-vulkan-drivers`; Arch: `pacman -S vulkan-swrast`)"
    );
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_request_that_no_adapter_fits_is_an_error_that_lists_what_there_is() {
    let info = common::gpu().adapter_info();
    let options = GpuOptions::new().adapter_name("Voodoo 9");
    let error = pollster::block_on(Gpu::request(&options)).unwrap_err();
    let Error::AdapterNotFound { found, .. } = &error else {
        panic!("{error}");
    };
    let listed = format!("{} ({})", info.name, info.backend);
    assert!(found.contains(&listed), "{found:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "no adapter with compute shaders fits the name \"Voodoo 9\"; there are: {}",
            found.join(", ")
        )
    );
    // Neither software nor a GPU.
    let software = info.device_type != wgpu::DeviceType::Cpu;
    let options = GpuOptions::new()
        .software(software)
        .adapter_name(&info.name);
    let error = pollster::block_on(Gpu::request(&options)).unwrap_err();
    assert!(matches!(error, Error::AdapterNotFound { .. }), "{error}");
}
