//! The functions of `selfnorm::wgsl` in an application's own shader, against f64 and, for the random
//! words, against the host and the published vectors.

use crate::common::functions;
use crate::common::ops::{Op, Parameter, Real};
use crate::common::{SAMPLE, all_floats, compute_pipeline, gpu_async, special, worst};
use selfnorm::{random, wgpu, wgsl};
use wasm_bindgen_test::wasm_bindgen_test;

/// As the documentation of `selfnorm::wgsl` promises.
const MAX_ULPS: f64 = 2.0;
const EXPM1_MAX_ULPS: f64 = 1.5;

/// Runs an application's kernel, one lane of four words an invocation: no `Pass`, no `Tensor` operation,
/// only its own pipeline on the device.
async fn run(source: &str, inputs: &[&[f32]]) -> Vec<f32> {
    let gpu = gpu_async().await;
    let device = gpu.device();
    let len = inputs[0].len();
    let output = vec![0.0; len];
    let buffers: Vec<_> = inputs
        .iter()
        .copied()
        .chain([&output[..]])
        .map(|data| gpu.tensor(data, [len]).unwrap())
        .collect();
    let pipeline = compute_pipeline(device, source);
    let entries: Vec<_> = buffers
        .iter()
        .zip(0..)
        .map(|(tensor, binding)| wgpu::BindGroupEntry {
            binding,
            resource: tensor.slice().try_into().unwrap(),
        })
        .collect();
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &entries,
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(&pipeline);
    pass.set_bind_group(0, &group, &[]);
    pass.dispatch_workgroups(len.div_ceil(4 * 64) as u32, 1, 1);
    drop(pass);
    gpu.queue().submit([encoder.finish()]);
    buffers.last().unwrap().read().await.unwrap()
}

/// The values at `x` of `name(x, arguments)`, which must be those of its version for a `vec4f`, too.
async fn values(constant: &str, name: &str, arguments: &str, x: &[f32]) -> Vec<f32> {
    let kernel = async |expression: String| {
        let source = format!(
            "@group(0) @binding(0) var<storage> x: array<vec4f>;
            @group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

            @compute @workgroup_size(64)
            fn main(@builtin(global_invocation_id) id: vec3u) {{
                if (id.x < arrayLength(&y)) {{
                    let v = x[id.x];
                    y[id.x] = {expression};
                }}
            }}
            {constant}"
        );
        run(&source, &[x]).await
    };
    let of = |component| format!("{name}(v.{component}{arguments})");
    let scalars = kernel(format!(
        "vec4f({}, {}, {}, {})",
        of('x'),
        of('y'),
        of('z'),
        of('w')
    ))
    .await;
    let name4 = match name {
        "expm1" => "expm1_4".into(),
        "tanh1" => "tanh4".into(),
        name => format!("{name}4"),
    };
    let vectors = kernel(format!("{name4}(v{arguments})")).await;
    assert!(
        bytemuck::cast_slice::<_, u8>(&scalars) == bytemuck::cast_slice::<_, u8>(&vectors),
        "{name} and {name4} differ"
    );
    scalars
}

/// Floats of every kind, whole lanes of them.
fn everywhere(step: u32) -> Vec<f32> {
    let mut x = all_floats(1, step);
    x.extend(special());
    x.truncate(x.len() / 4 * 4);
    x
}

fn check(actual: &[f32], x: &[f32], real: Real, p: &Parameter) {
    let (error, at) = worst(actual, x, |x| real(p, x.into()));
    assert!(error <= MAX_ULPS, "{p:?}: {error} ulp at {at:e}");
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn expm1_is_within_one_and_a_half_ulp_over_all_binades() {
    let x = everywhere(1021);
    let y = values(wgsl::EXPM1, "expm1", "", &x).await;
    let (error, at) = worst(&y, &x, |x| f64::from(x).exp_m1());
    println!("worst error {error:.3} ulp at {at:e}");
    assert!(error <= EXPM1_MAX_ULPS, "{error} ulp at {at:e}");
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn expm1_is_within_one_and_a_half_ulp_where_it_bends() {
    // From 2⁻¹⁰ to beyond the overflow at 88.72 and to −18, where the result has become −1.
    let floats = |from: f32, to: f32| (from.to_bits()..to.to_bits()).step_by(37 * SAMPLE as usize);
    let x: Vec<f32> = floats(2f32.powi(-10), 89.5)
        .chain(floats(-(2f32.powi(-10)), -18.5))
        .map(f32::from_bits)
        .collect();
    let x = &x[..x.len() / 4 * 4];
    let y = values(wgsl::EXPM1, "expm1", "", x).await;
    let (error, at) = worst(&y, x, |x| f64::from(x).exp_m1());
    println!("worst error {error:.3} ulp at {at:e}");
    assert!(error <= EXPM1_MAX_ULPS, "{error} ulp at {at:e}");
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn expm1_keeps_zeros_and_nans_and_has_the_limits_of_the_real_function() {
    // The two floats around ln(2¹²⁸): e to the first is the last that is below 2¹²⁸.
    let below = 88.722_83;
    let above = f32::from_bits(f32::to_bits(below) + 1);
    let x = [
        0.0,
        -0.0,
        f32::NEG_INFINITY,
        -1e30,
        f32::INFINITY,
        f32::MAX,
        above,
        below,
    ];
    let y = values(wgsl::EXPM1, "expm1", "", &x).await;
    let expected = [0.0, -0.0, -1.0, -1.0]
        .into_iter()
        .chain([f32::INFINITY; 3]);
    for ((x, y), expected) in x.into_iter().zip(&y).zip(expected) {
        assert_eq!(y.to_bits(), expected.to_bits(), "expm1({x:e}) is {y:e}");
    }
    assert!(y[7].is_finite(), "expm1({below}) is {}", y[7]);
    let nans = [0x7f80_0001, 0x7fc0_0000, 0xff80_0001, 0xffff_ffff].map(f32::from_bits);
    let y = values(wgsl::EXPM1, "expm1", "", &nans).await;
    assert!(y.iter().all(|y| y.is_nan()), "{y:?}");
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn elu_and_its_derivative_are_within_two_ulp() {
    let x = everywhere(2039);
    for alpha in [1.0, 0.3f32, -2.1] {
        let (argument, p) = (
            format!(", {alpha:?}"),
            Parameter::Constant("alpha", alpha.into()),
        );
        let y = values(wgsl::ELU, "elu", &argument, &x).await;
        check(&y, &x, functions::elu, &p);
        let dx = values(wgsl::ELU, "elu_derivative", &argument, &x).await;
        check(&dx, &x, functions::elu_derivative, &p);
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn selu_and_its_derivative_are_within_two_ulp() {
    let x = everywhere(2039);
    let y = values(wgsl::SELU, "selu", "", &x).await;
    check(&y, &x, functions::selu, &Parameter::None);
    let dx = values(wgsl::SELU, "selu_derivative", "", &x).await;
    check(&dx, &x, functions::selu_derivative, &Parameter::None);
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn selu_is_the_tensor_operation_bit_for_bit() {
    let gpu = gpu_async().await;
    let x = everywhere(65_521);
    let tensor = gpu.tensor(&x, [x.len()]).unwrap();
    let ones = gpu.tensor(&vec![1.0; x.len()], [x.len()]).unwrap();
    for (name, expected) in [
        ("selu", tensor.selu()),
        ("selu_derivative", tensor.selu_backward(&ones)),
    ] {
        let expected = expected.unwrap().read().await.unwrap();
        let found = values(wgsl::SELU, name, "", &x).await;
        for ((x, y), expected) in x.iter().zip(found).zip(expected) {
            let same = y.to_bits() == expected.to_bits() || y.is_nan() && expected.is_nan();
            assert!(same, "{name}({x:e}) is {y:e}, not {expected:e}");
        }
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_other_functions_and_their_derivatives_are_within_the_operations_bounds() {
    let x = everywhere(8191);
    let slope = Parameter::Constant("negative_slope", 0.2);
    let frequency = Parameter::Constant("frequency", 30.0);
    for (source, function, argument, op, p) in [
        (wgsl::LEAKY_RELU, "leaky_relu", ", 0.2", "leaky_relu", slope),
        (wgsl::SIGMOID, "sigmoid", "", "sigmoid", Parameter::None),
        (wgsl::TANH, "tanh", "", "tanh", Parameter::None),
        (wgsl::SILU, "silu", "", "silu", Parameter::None),
        (wgsl::GELU, "gelu", "", "gelu", Parameter::Exact),
        (
            wgsl::GELU_TANH,
            "gelu_tanh",
            "",
            "gelu",
            Parameter::Approximate,
        ),
        (wgsl::SOFTPLUS, "softplus", "", "softplus", Parameter::None),
        (wgsl::SINE, "sine", ", 30.0", "sine", frequency),
    ] {
        // WGSL has a tanh of its own.
        let value = if function == "tanh" {
            "tanh1"
        } else {
            function
        };
        for source in [source, wgsl::ACTIVATIONS] {
            for (name, op) in [
                (value.to_owned(), op.to_owned()),
                (format!("{function}_derivative"), format!("{op}_backward")),
            ] {
                let (real, bound) = Op::<f32>::of(&op, &p).real();
                let results = values(source, &name, argument, &x).await;
                for (&x, y) in x.iter().zip(results) {
                    let error = bound.error(y, real(&p, x.into()));
                    assert!(error <= bound.ulps, "{name}({x:e}) is {y:e}: {error} ulp");
                }
            }
        }
    }
}

/// As WGSL requires, directives come first, and then the functions can only be behind the kernel.
#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn the_functions_go_behind_a_kernel_that_begins_with_a_directive() {
    let gpu = gpu_async().await;
    let x = [-1.5f32, -0.0, 0.25, 3.0];
    // All are f16, too.
    let mut kernels = vec![("diagnostic(off, derivative_uniformity);", "x[id.x]")];
    if gpu.supports_f16() {
        kernels.push(("enable f16;", "vec4f(vec4<f16>(x[id.x]))"));
    }
    for (directive, argument) in kernels {
        let kernel = format!(
            "{directive}
            @group(0) @binding(0) var<storage> x: array<vec4f>;
            @group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

            @compute @workgroup_size(64)
            fn main(@builtin(global_invocation_id) id: vec3u) {{
                if (id.x < arrayLength(&y)) {{
                    y[id.x] = selu4({argument});
                }}
            }}"
        );
        for functions in [wgsl::SELU, wgsl::ACTIVATIONS] {
            let y = run(&format!("{kernel}\n{functions}"), &[&x]).await;
            check(&y, &x, functions::selu, &Parameter::None);
        }
    }
}

/// `philox` of a shader, of counters and keys.
async fn shader_philox(calls: &[([u32; 4], [u32; 2])]) -> Vec<[u32; 4]> {
    // Together with SELU, as the documentation says it goes.
    let source = format!(
        "@group(0) @binding(0) var<storage> counters: array<vec4u>;
        @group(0) @binding(1) var<storage> keys: array<vec4u>;
        @group(0) @binding(2) var<storage, read_write> words: array<vec4u>;

        @compute @workgroup_size(64)
        fn main(@builtin(global_invocation_id) id: vec3u) {{
            if (id.x < arrayLength(&words)) {{
                words[id.x] = philox(counters[id.x], keys[id.x].xy);
            }}
        }}
        {}{}",
        wgsl::SELU,
        wgsl::PHILOX
    );
    let counters: Vec<_> = calls.iter().map(|(counter, _)| *counter).collect();
    let keys: Vec<_> = calls.iter().map(|(_, [a, b])| [*a, *b, 0, 0]).collect();
    // Tensors hold floats, but only move their bits.
    let bits = bytemuck::cast_slice::<[u32; 4], f32>;
    let words = run(&source, &[bits(&counters), bits(&keys)]).await;
    bytemuck::cast_slice(&words).to_vec()
}

/// Random123's kat_vectors, the lines of philox4x32 with 10 rounds.
const KNOWN_ANSWERS: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
    (
        [0; 4],
        [0; 2],
        [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
    ),
    (
        [0xffff_ffff; 4],
        [0xffff_ffff; 2],
        [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
    ),
    (
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
        [0xa409_3822, 0x299f_31d0],
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
    ),
];

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn philox_gives_the_published_words() {
    let calls = KNOWN_ANSWERS.map(|(counter, key, _)| (counter, key));
    let expected = KNOWN_ANSWERS.map(|(_, _, words)| words);
    assert_eq!(shader_philox(&calls).await, expected);
}

#[wasm_bindgen_test(unsupported = test)]
fn philox_on_the_host_gives_the_published_words() {
    for (counter, key, words) in KNOWN_ANSWERS {
        assert_eq!(random::philox4x32_10(counter, key), words);
    }
}

#[wasm_bindgen_test(unsupported = pollster::test)]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
async fn philox_is_the_host_s_for_any_counter_and_key() {
    // Its own output as counters and keys: words of all sizes.
    let words: Vec<u32> = random::words(3, 1, 0..60_000).collect();
    let calls: Vec<_> = words
        .chunks_exact(6)
        .map(|w| ([w[0], w[1], w[2], w[3]], [w[4], w[5]]))
        .collect();
    let expected: Vec<_> = calls
        .iter()
        .map(|&(counter, key)| random::philox4x32_10(counter, key))
        .collect();
    assert_eq!(shader_philox(&calls).await, expected);
}
