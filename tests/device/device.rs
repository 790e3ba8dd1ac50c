//! One device or another, shared or not, an application's or our own: the same bits everywhere, and
//! memory that is reused, but never under anybody who still refers to it.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use crate::common::ops::Op;
use crate::common::{self, activations, allocated, gpu, gpu_with, record, smallest_gpu};
use half::f16;
use selfnorm::{AlphaDropout, Error, Gpu, GpuOptions, LecunNormal, Result, Tensor, wgpu};

fn dropout() -> AlphaDropout {
    AlphaDropout::new(0.3).seed(1 << 40 | 7).call(1 << 33 | 1)
}

/// Seven rows, of a length that is no multiple of anything.
const SMALL: [usize; 2] = [7, 251];
/// Just beyond 128 MiB, what one binding holds at WebGPU's limits; no multiple of four.
const LARGE: [usize; 2] = [133_701, 251];

fn matrix(gpu: &Gpu, shape: [usize; 2]) -> Result<Tensor> {
    let len = shape[0] * shape[1];
    // The period divides no power of two, so that a chunk in another's place is seen.
    let period = activations(len.min(1_000_003));
    let mut data = period.repeat(len.div_ceil(period.len()));
    data.truncate(len);
    gpu.tensor(&data, shape)
}

fn bits(tensor: &Tensor) -> Vec<u8> {
    bytemuck::cast_slice(&tensor.to_vec().unwrap()).to_vec()
}

/// The operations that fail on `device`, or give other bits there than on the device with everything.
fn differences(device: &Gpu, shape: [usize; 2]) -> Vec<String> {
    let reference = matrix(gpu(), shape).unwrap();
    let x = match matrix(device, shape) {
        Ok(x) => x,
        Err(error) => return vec![format!("tensor: {error}")],
    };
    let difference =
        |name: String, op: &dyn Fn(&Gpu, &Tensor) -> Result<Tensor>| match op(device, &x) {
            Err(error) => Some(format!("{name}: {error}")),
            Ok(y) => (bits(&y) != bits(&op(gpu(), &reference).unwrap()))
                .then(|| format!("{name} gives other bits")),
        };
    let made = difference("Gpu::lecun_normal".into(), &|gpu, x| {
        gpu.lecun_normal(x.shape(), 1 << 40)
    });
    let computed = Op::<f32>::cases().filter_map(|(op, p)| {
        difference(op.title(p), &|gpu, x| {
            op.apply(gpu, x.shape(), &[x, x][..op.inputs.len()], p)
        })
    });
    made.into_iter().chain(computed).collect()
}

const NONE: [String; 0] = [];

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn webgpu_s_default_limits_and_no_features_give_the_same_bits() {
    let device = smallest_gpu();
    let binding = device.device().limits().max_storage_buffer_binding_size;
    assert!(binding < LARGE.iter().product::<usize>() as u64 * 4);
    assert!(device.device().features().is_empty());
    assert_eq!(differences(&device, SMALL), NONE);
    assert_eq!(differences(&device, LARGE), NONE);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn features_change_no_bit() {
    let available = common::adapter().features();
    let immediates = |max_immediate_size| wgpu::Limits {
        max_immediate_size,
        ..Default::default()
    };
    for (features, limits) in [
        (wgpu::Features::SHADER_INT64, wgpu::Limits::default()),
        // Room for the parameters of some operations and not of others.
        (wgpu::Features::IMMEDIATES, immediates(16)),
        (wgpu::Features::IMMEDIATES, immediates(128)),
    ] {
        if available.contains(features) {
            let bytes = limits.max_immediate_size;
            let device = gpu_with(features, limits);
            assert_eq!(
                differences(&device, SMALL),
                NONE,
                "{features:?}, {bytes} bytes of immediates"
            );
        }
    }
}

/// A browser offers no less than WebGPU's defaults, but a native application may ask for less. Limits that
/// are too low are reported when the [`Gpu`] is made, not by an operation.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_device_with_what_is_useful_lacks_nothing_that_the_crate_s_own_has() {
    let adapter = common::adapter();
    let useful = gpu_with(Gpu::useful_features(&adapter), Gpu::useful_limits(&adapter));
    let (found, own) = (useful.device(), gpu().device());
    let cache = wgpu::Features::PIPELINE_CACHE;
    assert_eq!(found.features() - cache, own.features() - cache);
    assert!(
        !found.features().contains(cache),
        "no file is written for an application"
    );
    let used = |limits: wgpu::Limits| {
        [
            limits.max_buffer_size,
            limits.max_storage_buffer_binding_size,
            limits.max_compute_workgroups_per_dimension.into(),
            limits.min_storage_buffer_offset_alignment.into(),
            limits.min_uniform_buffer_offset_alignment.into(),
            limits.max_immediate_size.into(),
        ]
    };
    assert_eq!(used(found.limits()), used(own.limits()));
    // The others are what every application gets.
    let textures = wgpu::Limits::default().max_texture_dimension_2d;
    assert_eq!(found.limits().max_texture_dimension_2d, textures);
    assert_eq!(differences(&useful, SMALL), NONE);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_limit_below_webgpu_s_is_an_unsupported_device_or_does_no_harm() {
    type Lower = fn(&mut wgpu::Limits);
    let too_low: [(&str, Lower); 9] = [
        ("max_compute_workgroup_size_x", |limits| {
            limits.max_compute_workgroup_size_x = 128
        }),
        ("max_compute_invocations_per_workgroup", |limits| {
            limits.max_compute_invocations_per_workgroup = 128
        }),
        ("max_compute_workgroups_per_dimension", |limits| {
            limits.max_compute_workgroups_per_dimension = 0
        }),
        ("max_bind_groups", |limits| limits.max_bind_groups = 1),
        ("max_bindings_per_bind_group", |limits| {
            limits.max_bindings_per_bind_group = 2
        }),
        ("max_storage_buffers_per_shader_stage", |limits| {
            limits.max_storage_buffers_per_shader_stage = 2
        }),
        // Less than a workgroup takes.
        ("max_storage_buffer_binding_size", |limits| {
            limits.max_storage_buffer_binding_size = 8 << 10
        }),
        // Parameters, where there are no immediates.
        ("max_uniform_buffers_per_shader_stage", |limits| {
            limits.max_uniform_buffers_per_shader_stage = 0
        }),
        ("max_uniform_buffer_binding_size", |limits| {
            limits.max_uniform_buffer_binding_size = 64
        }),
    ];
    let low: [(&str, Lower); 3] = [
        ("one workgroup a dispatch", |limits| {
            limits.max_compute_workgroups_per_dimension = 1
        }),
        ("one workgroup a binding", |limits| {
            limits.max_storage_buffer_binding_size = 16 << 10
        }),
        // Enough for the tensors; what is staged must fit as well.
        ("no power of two a buffer", |limits| {
            limits.max_buffer_size = 60_000
        }),
    ];
    let make = |lower: Lower| {
        let mut required_limits = wgpu::Limits::default();
        lower(&mut required_limits);
        let descriptor = wgpu::DeviceDescriptor {
            required_limits,
            ..Default::default()
        };
        let request = common::adapter().request_device(&descriptor);
        let (device, queue) = pollster::block_on(request).unwrap();
        Gpu::from_wgpu(device, queue)
    };
    let mut failures = Vec::new();
    for (name, lower) in too_low {
        match make(lower) {
            Err(Error::UnsupportedDevice(message)) => {
                assert!(message.contains(name), "{name}: {message}");
            }
            result => failures.push(format!("{name}: {:?}", result.map(|_| "accepted"))),
        }
    }
    for (name, lower) in low {
        // Three workgroups and a bit.
        for difference in differences(&make(lower).unwrap(), [53, 251]) {
            failures.push(format!("{name}: {difference}"));
        }
    }
    assert_eq!(failures, NONE);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn the_message_for_an_unsupported_device_names_the_limit() {
    let limits = wgpu::Limits {
        max_compute_invocations_per_workgroup: 128,
        ..Default::default()
    };
    let descriptor = wgpu::DeviceDescriptor {
        required_limits: limits,
        ..Default::default()
    };
    let (device, queue) =
        pollster::block_on(common::adapter().request_device(&descriptor)).unwrap();
    assert_eq!(
        Gpu::from_wgpu(device, queue).unwrap_err().to_string(),
        "the device does not support selfnorm: its limit max_compute_invocations_per_workgroup is \
         128, the shaders need 256"
    );
}

/// Checked by the compiler: threads share all of it, and a read may be awaited on any of them.
#[allow(dead_code)]
fn everything_can_be_shared(gpu: Gpu, tensor: &Tensor, half: &Tensor<f16>) {
    fn shared<T: Send + Sync>(_: T) {}
    fn sent<T: Send>(_: T) {}
    shared(gpu.clone());
    shared(tensor);
    shared(half);
    shared(GpuOptions::new());
    shared(Error::DeviceLost);
    sent(tensor.read());
    sent(Gpu::request(&GpuOptions::new()));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn eight_threads_get_right_results_from_one_device() {
    let expected: Vec<_> = [1usize, 255, 1757, 4096, 70_000]
        .map(|len| {
            let data = activations(len);
            let x = gpu().tensor(&data, [len]).unwrap();
            let y = x.selu().unwrap().alpha_dropout(&dropout()).unwrap();
            (
                data,
                y.to_vec().unwrap(),
                bits(&gpu().lecun_normal([len], 3).unwrap()),
            )
        })
        .into();
    // A fresh one, whose pipelines the threads are the first to need.
    let gpu = common::new_gpu();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (gpu, expected) = (gpu.clone(), &expected);
            scope.spawn(move || {
                for round in 0..40 {
                    let (data, y, w) = &expected[(thread + round) % expected.len()];
                    let x = gpu.tensor(data, [data.len()]).unwrap();
                    let actual = x.selu().unwrap().alpha_dropout(&dropout()).unwrap();
                    let weights = gpu.lecun_normal([data.len()], 3).unwrap();
                    assert_eq!(&actual.to_vec().unwrap(), y);
                    assert!(&bits(&weights) == w);
                    assert_eq!(&pollster::block_on(x.read()).unwrap(), data);
                }
            });
        }
    });
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn repeated_work_allocates_and_frees_nothing() {
    let gpu = common::new_gpu();
    let data = activations(100_003);
    let work = || {
        let x = gpu.tensor(&data, [data.len()]).unwrap();
        let y = x.selu().unwrap().alpha_dropout(&dropout()).unwrap();
        let w = gpu.lecun_normal([data.len()], 1).unwrap();
        y.to_vec().unwrap();
        pollster::block_on(w.read()).unwrap();
        // While the tensors are there.
        allocated(&gpu)
    };
    let first = work();
    // The tensors are gone; their buffers are kept.
    assert_eq!(allocated(&gpu), first);
    for _ in 0..50 {
        assert_eq!(work(), first);
    }
}

/// Their buffers cannot be reused, because the application's encoders may still refer to them, so nothing
/// of ours may keep them either.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn tensors_that_an_application_has_recorded_are_freed() {
    let gpu = common::new_gpu();
    let data = activations(100_003);
    let work = || {
        let x = gpu.tensor(&data, [data.len()]).unwrap();
        let y = gpu.zeros(x.shape()).unwrap();
        record(&gpu, |pass| pass.selu(&x, &y));
        y.to_vec().unwrap();
        drop((x, y));
        allocated(&gpu)
    };
    let first = work();
    for _ in 0..10 {
        assert_eq!(work(), first);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_dropped_gpu_frees_its_device() {
    let instance =
        wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let devices = || {
        let report = instance.generate_report().unwrap();
        let hub = report.hub_report();
        [hub.devices.num_allocated, hub.buffers.num_allocated]
    };
    let info = gpu().adapter_info();
    let adapter = pollster::block_on(instance.enumerate_adapters(info.backend.into()))
        .into_iter()
        .find(|adapter| adapter.get_info().name == info.name)
        .unwrap();
    let (device, queue) = pollster::block_on(adapter.request_device(&Default::default())).unwrap();
    let gpu = Gpu::from_wgpu(device, queue).unwrap();
    assert_eq!(devices()[0], 1);
    // The last thing is an upload that nobody waits for.
    let x = gpu.tensor(&[1.0; 1000], [1000]).unwrap();
    x.selu().unwrap().to_vec().unwrap();
    let y = gpu.tensor(&[2.0; 1000], [1000]).unwrap();
    drop((x, y, gpu));
    assert_eq!(devices(), [0, 0]);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_tensor_is_not_reused_while_an_unsubmitted_encoder_refers_to_it() {
    let gpu = common::new_gpu();
    let data = activations(1757);
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    let x = gpu.tensor(&data, [1757]).unwrap();
    let y = gpu.zeros(x.shape()).unwrap();
    let z = gpu.zeros::<f32>(x.shape()).unwrap();
    let mut pass = gpu.pass(&mut encoder);
    pass.selu(&x, &y).unwrap();
    pass.selu_in_place(&x).unwrap();
    drop(pass);
    // The application's own command on a tensor's buffer.
    encoder.clear_buffer(z.slice().buffer(), 0, None);
    drop((x, y, z));
    let others: Vec<_> = (0..6).map(|_| gpu.tensor(&data, [1757]).unwrap()).collect();
    gpu.queue().submit([encoder.finish()]);
    for other in others {
        assert_eq!(other.to_vec().unwrap(), data);
    }
}

/// Without immediates, parameters are in buffers, which a later recording must not change.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_recording_keeps_its_parameters_until_it_is_submitted() {
    let gpu = smallest_gpu();
    let data = activations(1757);
    let x = gpu.tensor(&data, [1757]).unwrap();
    let seeds = [1, 2, 3];
    let reference = common::gpu().tensor(&data, [1757]).unwrap();
    let expected = seeds.map(|seed| {
        let y = reference.alpha_dropout(&dropout().seed(seed));
        bits(&y.unwrap())
    });
    assert!(expected[0] != expected[1] && expected[1] != expected[2]);
    let outputs = seeds.map(|_| gpu.zeros::<f32>([1757]).unwrap());
    let recorded: Vec<_> = seeds
        .iter()
        .zip(&outputs)
        .map(|(&seed, y)| {
            let mut encoder = gpu.device().create_command_encoder(&Default::default());
            gpu.pass(&mut encoder)
                .alpha_dropout(&x, &dropout().seed(seed), y)
                .unwrap();
            encoder.finish()
        })
        .collect();
    // More of them than are kept.
    for seed in 100..400 {
        x.alpha_dropout(&dropout().seed(seed)).unwrap();
    }
    for commands in recorded.into_iter().rev() {
        gpu.queue().submit([commands]);
    }
    for (y, expected) in outputs.iter().zip(expected) {
        assert!(bits(y) == expected);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn operations_of_one_pass_see_each_other_s_results_in_order() {
    let gpu = gpu();
    let x = matrix(gpu, [1000, 251]).unwrap();
    let selu = x.selu().unwrap();
    let elu = selu.elu(0.7).unwrap();
    let expected = [
        bits(&elu.alpha_dropout(&dropout()).unwrap()),
        bits(&x.selu_backward(&elu).unwrap()),
        bits(&selu),
    ];
    let [a, b, c] = [(); 3].map(|()| gpu.zeros::<f32>(x.shape()).unwrap());
    record(gpu, |pass| {
        pass.selu(&x, &a)?;
        pass.elu(&a, 0.7, &b)?;
        pass.selu_backward(&x, &b, &c)?;
        pass.alpha_dropout_in_place(&b, &dropout())
    });
    assert!([b, c, a].map(|y| bits(&y)) == expected);
}

/// A pass that is recorded again and again with the same tensors, whose bindings are kept.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn recording_the_same_tensors_again_gives_what_is_in_them_then() {
    let gpu = gpu();
    let (x, y) = (gpu.zeros([1757]).unwrap(), gpu.zeros([1757]).unwrap());
    for seed in 0..3 {
        let weights = LecunNormal::new(4).seed(seed);
        record(gpu, |pass| {
            pass.lecun_normal(&weights, &x)?;
            pass.selu(&x, &y)
        });
        let values = gpu.tensor(&weights.values(1757).unwrap(), [1757]).unwrap();
        assert!(bits(&y) == bits(&values.selu().unwrap()));
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_part_of_its_name_chooses_an_adapter_in_any_case() {
    let name = gpu().adapter_info().name;
    let part = name[..name.len() / 2].to_uppercase();
    let chosen = pollster::block_on(Gpu::request(&GpuOptions::new().adapter_name(part))).unwrap();
    assert_eq!(chosen.adapter_info().name, name);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn wgpu_adapter_name_chooses_an_adapter() {
    const NAME: &str = "SELFNORM_TEST_ADAPTER";
    let Ok(name) = std::env::var(NAME) else {
        let name = gpu().adapter_info().name;
        common::passes_apart(
            "device::wgpu_adapter_name_chooses_an_adapter",
            &[("WGPU_ADAPTER_NAME", "Voodoo 9"), (NAME, &name)],
        );
        return;
    };
    let error = Gpu::new().unwrap_err();
    assert!(
        matches!(&error, Error::AdapterNotFound { wanted, .. } if wanted.contains("Voodoo 9")),
        "{error}"
    );
    // An adapter that the program itself asks for takes precedence.
    let gpu = pollster::block_on(Gpu::request(&GpuOptions::new().adapter_name(&name))).unwrap();
    assert_eq!(gpu.adapter_info().name, name);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn reads_arrive_without_anybody_polling_and_side_by_side() {
    let gpu = common::new_gpu();
    let data = activations(1757);
    let x = gpu.tensor(&data, [1757]).unwrap();
    let y = x.selu().unwrap();
    let selu = y.to_vec().unwrap();
    assert_eq!(pollster::block_on(x.read()).unwrap(), data);

    let (mut a, mut b) = (pin!(x.read()), pin!(y.read()));
    let (mut first, mut second) = (None, None);
    pollster::block_on(std::future::poll_fn(|context| {
        // Both are under way before either is done.
        if first.is_none() {
            first = ready(a.as_mut().poll(context));
        }
        if second.is_none() {
            second = ready(b.as_mut().poll(context));
        }
        if first.is_some() && second.is_some() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }));
    assert_eq!(first.unwrap().unwrap(), data);
    assert_eq!(second.unwrap().unwrap(), selu);
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Three staging buffers, one after the other.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_read_in_pieces_is_whole() {
    let data: Vec<f32> = (0..(20 << 20) + 3).map(|i| i as f32).collect();
    let x = gpu().tensor(&data, [data.len()]).unwrap();
    assert!(pollster::block_on(x.read()).unwrap() == data);
}
