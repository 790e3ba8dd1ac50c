//! Networks as WGSL functions: in shaders of each kind they give the values of the f64 reference, within
//! the bound of `predict`, for any chain of layers in any form; and weights are packed as documented.

use proptest::prelude::*;
use selfnorm::nn::Activation::{
    self, Elu, Gelu, LeakyRelu, Linear, Relu, Selu, Sigmoid, Silu, Sine, Softmax, Softplus, Tanh,
};
use selfnorm::nn::{
    Conv2d, Dense, Flatten, FourierFeatures, MaxPool2d, Sequential, SequentialBuilder, Sgd, Tiling,
    Wgsl,
};
use selfnorm::wgpu::{self, BufferUsages, ShaderStages};
use selfnorm::{Error, Gpu, Tensor, wgsl};

use crate::common::reference::{BOUND, Case, Spec, assert_close, dense, for_all};
use crate::common::{
    self, compute_pipeline, foreign_buffer, gpu, guards_hold, record, smallest_gpu, wrapped,
};

/// A function in a shader, and how it is called.
#[derive(Clone, Debug)]
struct Form {
    points: usize,
    vectors: bool,
    unrolled: bool,
    weights: Place,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Storage,
    Uniform,
    Constants,
}

impl Form {
    fn simple(weights: Place) -> Self {
        Self {
            points: 1,
            vectors: false,
            unrolled: false,
            weights,
        }
    }

    fn wgsl(&self, name: &str) -> Wgsl {
        let wgsl = Wgsl::new(name).points(self.points);
        let wgsl = if self.vectors { wgsl.vectors() } else { wgsl };
        let wgsl = if self.unrolled { wgsl.unrolled() } else { wgsl };
        match self.weights {
            Place::Storage => wgsl.storage(1, 0),
            Place::Uniform => wgsl.uniform(1, 0),
            Place::Constants => wgsl.constants(),
        }
    }

    /// A compute shader that puts f(xs) into ys, row by row.
    fn shader(&self, inputs: usize, outputs: usize) -> String {
        let array = |len: usize| match self.vectors {
            true => format!("array<vec4f, {}>", len.div_ceil(4)),
            false => format!("array<f32, {len}>"),
        };
        let points = self.points;
        let (mut x, mut at) = (array(inputs), "");
        if points > 1 {
            (x, at) = (format!("array<{x}, {points}>"), "[p]");
        }
        let [i, o] = match self.vectors {
            true => ["[i / 4u][i % 4u]", "[o / 4u][o % 4u]"],
            false => ["[i]", "[o]"],
        };
        // What fills the last vector up is none of the function's business.
        let filled = match self.vectors {
            true => inputs.next_multiple_of(4),
            false => inputs,
        };
        format!(
            "@group(0) @binding(0) var<storage, read_write> xs: array<f32>;
            @group(0) @binding(1) var<storage, read_write> ys: array<f32>;

            @compute @workgroup_size(64)
            fn main(@builtin(global_invocation_id) id: vec3u) {{
                let first = id.x * {points}u;
                let rows = arrayLength(&xs) / {inputs}u;
                var x: {x};
                for (var p = 0u; p < {points}u; p++) {{
                    for (var i = 0u; i < {filled}u; i++) {{
                        x{at}{i} = 1e38;
                        if (i < {inputs}u) {{ x{at}{i} = xs[(first + p) * {inputs}u + i]; }}
                    }}
                }}
                var y = image(x);
                for (var p = 0u; p < {points}u && first + p < rows; p++) {{
                    for (var o = 0u; o < {outputs}u; o++) {{
                        ys[(first + p) * {outputs}u + o] = y{at}{o};
                    }}
                }}
            }}
            "
        )
    }
}

/// The packed weights in a buffer of an application's.
fn packed(model: &Sequential) -> wgpu::Buffer {
    let gpu = model.gpu();
    let len = model.packed_len().unwrap();
    let usage = BufferUsages::STORAGE | BufferUsages::UNIFORM | BufferUsages::COPY_SRC;
    let buffer = foreign_buffer(gpu, len as u64 * 4, usage);
    let tensor = gpu.wrap(buffer.slice(..), [len]).unwrap();
    record(gpu, |pass| pass.pack(model, &tensor));
    buffer
}

/// The layout of a binding for weights.
fn layout(gpu: &Gpu, uniform: bool, visibility: ShaderStages) -> wgpu::BindGroupLayout {
    let ty = match uniform {
        true => wgpu::BufferBindingType::Uniform,
        false => wgpu::BufferBindingType::Storage { read_only: true },
    };
    gpu.device()
        .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: None,
            entries: &[wgpu::BindGroupLayoutEntry {
                binding: 0,
                visibility,
                ty: wgpu::BindingType::Buffer {
                    ty,
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            }],
        })
}

fn bind(
    gpu: &Gpu,
    layout: &wgpu::BindGroupLayout,
    resources: &[wgpu::BindingResource],
) -> wgpu::BindGroup {
    let entries: Vec<_> = resources
        .iter()
        .zip(0..)
        .map(|(resource, binding)| wgpu::BindGroupEntry {
            binding,
            resource: resource.clone(),
        })
        .collect();
    gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout,
        entries: &entries,
    })
}

fn module(gpu: &Gpu, source: String) -> wgpu::ShaderModule {
    gpu.device()
        .create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(source.into()),
        })
}

/// What a compute shader, with bindings for x and y in group 0, leaves in y.
fn compute(
    gpu: &Gpu,
    source: String,
    weights: &[&wgpu::Buffer],
    x: &[f32],
    outputs: usize,
    invocations: usize,
) -> Vec<f32> {
    let device = gpu.device();
    let pipeline = compute_pipeline(device, &source);
    let x = gpu.tensor(x, [x.len()]).unwrap();
    let y: Tensor = gpu.zeros([outputs]).unwrap();
    let mine = pipeline.get_bind_group_layout(0);
    let mine = bind(gpu, &mine, &[x.binding(), y.binding()]);
    let mut groups = vec![mine];
    for (buffer, group) in weights.iter().zip(1..) {
        let layout = pipeline.get_bind_group_layout(group);
        groups.push(bind(gpu, &layout, &[buffer.as_entire_binding()]));
    }
    let mut encoder = device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(&pipeline);
    for (group, index) in groups.iter().zip(0..) {
        pass.set_bind_group(index, group, &[]);
    }
    pass.dispatch_workgroups(invocations.div_ceil(64) as u32, 1, 1);
    drop(pass);
    gpu.queue().submit([encoder.finish()]);
    y.to_vec().unwrap()
}

/// The values of the function of `model`, in a compute shader.
fn values(model: &Sequential, form: &Form, x: &[f32]) -> Vec<f32> {
    let inputs = model.input_shape().iter().product();
    let outputs: usize = model.output_shape().iter().product();
    let source = form.shader(inputs, outputs) + &model.wgsl(form.wgsl("image")).unwrap();
    let has_binding = source.contains("@group(1)");
    let buffer = packed(model);
    let weights: &[_] = if has_binding { &[&buffer] } else { &[] };
    let rows = x.len() / inputs;
    let invocations = rows.div_ceil(form.points);
    compute(model.gpu(), source, weights, x, rows * outputs, invocations)
}

fn reference(case: &Case) -> Vec<f64> {
    let wide = |values: &Vec<f32>| -> Vec<f64> { values.iter().copied().map(f64::from).collect() };
    let weights: Vec<_> = case.weights().iter().map(wide).collect();
    case.forward(&weights, &wide(&case.x()), None).0
}

fn case(input: &[usize], layers: Vec<Spec>, batch: usize) -> Case {
    Case {
        input: input.into(),
        layers,
        batch,
        tiling: Tiling::Registers,
        seed: 7,
    }
}

fn activation() -> impl Strategy<Value = Activation> {
    prop::sample::select(vec![
        Linear,
        Selu,
        Elu(0.25),
        Relu,
        LeakyRelu(0.2),
        Sigmoid,
        Tanh,
        Silu,
        Gelu { approximate: false },
        Gelu { approximate: true },
        Softplus,
        Sine(1.5),
        Softmax,
    ])
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn any_chain_in_any_form_is_the_reference() {
    let layer = prop_oneof![
        4 => (2usize..12, any::<bool>(), activation()).prop_map(|(units, bias, activation)| {
            Spec::Dense { units, bias, activation }
        }),
        1 => activation().prop_map(Spec::Activation),
        1 => Just(Spec::AlphaDropout(0.5)),
        1 => Just(Spec::Dropout(0.5)),
    ];
    let form = (
        1usize..4,
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(&[Place::Storage, Place::Uniform, Place::Constants][..]),
    );
    let layers = prop::collection::vec(layer, 1..5);
    let values = (2usize..10, layers, form, 1usize..9, any::<u64>());
    for_all(
        24,
        values,
        |(inputs, mut layers, (points, vectors, unrolled, weights), batch, seed)| {
            layers.insert(0, Spec::Flatten);
            let case = Case {
                seed,
                ..case(&[inputs], layers, batch)
            };
            let form = Form {
                points,
                vectors,
                unrolled,
                weights,
            };
            let model = case.model(gpu());
            let found = self::values(&model, &form, &case.x());
            assert_close(&format!("{form:?}"), &found, &reference(&case));
        },
    );
}

/// As wide as the function is made for, on a device with WebGPU's limits and no features.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn wide_networks_are_the_reference_on_the_smallest_device() {
    let gpu = smallest_gpu();
    for (width, place) in [(64, Place::Uniform), (128, Place::Storage)] {
        let layers = vec![dense(width, Selu), dense(width, Selu), dense(3, Linear)];
        let case = case(&[2, 3], [vec![Spec::Flatten], layers].concat(), 9);
        let found = values(&case.model(&gpu), &Form::simple(place), &case.x());
        assert_close(&format!("{width}"), &found, &reference(&case));
    }
}

/// What fills vectors up has no part in a value: not where it would be infinity times 0, either.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn infinite_inputs_give_what_predict_gives_and_nan_gives_nan() {
    let mut layers = vec![dense(5, Sigmoid), dense(3, Softmax)];
    for ends in [Softmax, Relu, Tanh] {
        layers[1] = dense(3, ends);
        let model = case(&[2], layers.clone(), 1).model(gpu());
        let x = [f32::INFINITY, 1.0, f32::NEG_INFINITY, 0.5, f32::NAN, 0.0];
        let expected = model.predict(&gpu().tensor(&x, [3, 2]).unwrap()).unwrap();
        let expected = expected.to_vec().unwrap();
        let found = values(&model, &Form::simple(Place::Storage), &x);
        assert!(found[..6].iter().all(|y| y.is_finite()), "{found:?}");
        for (found, expected) in found.iter().zip(&expected).take(6) {
            let bound = 2.0 * BOUND as f32;
            assert!((found - expected).abs() <= bound, "{found} {expected}");
        }
        assert!(found[6..].iter().all(|y| y.is_nan()), "{found:?}");
    }
}

const SIZE: u32 = 16;

/// A picture of SIZE × SIZE points, by a pipeline with these entry points.
fn drawn(
    gpu: &Gpu,
    source: String,
    weights: &wgpu::Buffer,
    uniform: bool,
    topology: wgpu::PrimitiveTopology,
    vertices: u32,
) -> Vec<[f32; 4]> {
    let device = gpu.device();
    let format = wgpu::TextureFormat::Rgba32Float;
    let stages = ShaderStages::VERTEX_FRAGMENT;
    let layout = layout(gpu, uniform, stages);
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let module = module(gpu, source);
    let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: None,
        layout: Some(&pipeline_layout),
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: None,
            compilation_options: Default::default(),
            buffers: &[],
        },
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: None,
            compilation_options: Default::default(),
            targets: &[Some(format.into())],
        }),
        primitive: wgpu::PrimitiveState {
            topology,
            ..Default::default()
        },
        depth_stencil: None,
        multisample: Default::default(),
        multiview_mask: None,
        cache: None,
    });
    let size = wgpu::Extent3d {
        width: SIZE,
        height: SIZE,
        depth_or_array_layers: 1,
    };
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: None,
        size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    });
    let row_bytes = SIZE * 16;
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_DST | BufferUsages::COPY_SRC;
    let pixels = foreign_buffer(gpu, u64::from(row_bytes * SIZE), usage);
    let group = bind(gpu, &layout, &[weights.as_entire_binding()]);
    let mut encoder = device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        label: None,
        color_attachments: &[Some(wgpu::RenderPassColorAttachment {
            view: &texture.create_view(&Default::default()),
            depth_slice: None,
            resolve_target: None,
            ops: wgpu::Operations::default(),
        })],
        ..Default::default()
    });
    pass.set_pipeline(&pipeline);
    pass.set_bind_group(0, &group, &[]);
    pass.draw(0..vertices, 0..1);
    drop(pass);
    encoder.copy_texture_to_buffer(
        texture.as_image_copy(),
        wgpu::TexelCopyBufferInfo {
            buffer: &pixels,
            layout: wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(row_bytes),
                rows_per_image: None,
            },
        },
        size,
    );
    gpu.queue().submit([encoder.finish()]);
    let len = (SIZE * SIZE * 4) as usize;
    let pixels: Tensor = gpu.wrap(pixels.slice(..), [len]).unwrap();
    let values = pixels.to_vec().unwrap();
    values.as_chunks().0.to_vec()
}

/// The middles of the pixels, in 0..1.
fn pixels() -> Vec<f32> {
    let at = |i: u32| (i as f32 + 0.5) / SIZE as f32;
    (0..SIZE * SIZE)
        .flat_map(|i| [at(i % SIZE), at(i / SIZE)])
        .collect()
}

fn picture() -> Sequential {
    let layers = vec![dense(16, Selu), dense(16, Selu), dense(3, Sigmoid)];
    case(&[2], layers, 1).model(gpu())
}

fn assert_is_predicted(model: &Sequential, picture: &[[f32; 4]]) {
    let x = gpu()
        .tensor(&pixels(), [(SIZE * SIZE) as usize, 2])
        .unwrap();
    let expected = model.predict(&x).unwrap().to_vec().unwrap();
    let found: Vec<f32> = picture.iter().flat_map(|p| p[..3].to_vec()).collect();
    let expected: Vec<f64> = expected.iter().copied().map(f64::from).collect();
    assert_close("a picture", &found, &expected);
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_fragment_shader_draws_what_predict_gives() {
    let model = picture();
    for (uniform, function) in [
        (false, Wgsl::new("image").storage(0, 0)),
        (true, Wgsl::new("image").uniform(0, 0)),
    ] {
        let source = format!(
            "@vertex
            fn corner(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {{
                return vec4f(f32(i / 2u) * 4.0 - 1.0, f32(i % 2u) * 4.0 - 1.0, 0.0, 1.0);
            }}

            @fragment
            fn color(@builtin(position) at: vec4f) -> @location(0) vec4f {{
                let c = image(array<f32, 2>(at.x / {SIZE}.0, at.y / {SIZE}.0));
                return vec4f(c[0], c[1], c[2], 1.0);
            }}
            {}",
            model.wgsl(function).unwrap()
        );
        let triangles = wgpu::PrimitiveTopology::TriangleList;
        let picture = drawn(gpu(), source, &packed(&model), uniform, triangles, 3);
        assert_is_predicted(&model, &picture);
    }
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn a_vertex_shader_computes_what_predict_gives() {
    let model = picture();
    // One vertex for each pixel, and its color from the network there.
    let source = format!(
        "struct Point {{
            @builtin(position) at: vec4f,
            @location(0) @interpolate(flat) color: vec3f,
        }}

        @vertex
        fn point(@builtin(vertex_index) i: u32) -> Point {{
            let at = (vec2f(f32(i % {SIZE}u), f32(i / {SIZE}u)) + 0.5) / {SIZE}.0;
            let c = image(array<f32, 2>(at.x, at.y));
            let clip = vec2f(at.x, 1.0 - at.y) * 2.0 - 1.0;
            return Point(vec4f(clip, 0.0, 1.0), vec3f(c[0], c[1], c[2]));
        }}

        @fragment
        fn color(point: Point) -> @location(0) vec4f {{
            return vec4f(point.color, 1.0);
        }}
        {}",
        model.wgsl(Wgsl::new("image").uniform(0, 0)).unwrap()
    );
    let points = wgpu::PrimitiveTopology::PointList;
    let picture = drawn(gpu(), source, &packed(&model), true, points, SIZE * SIZE);
    assert_is_predicted(&model, &picture);
}

/// Each under its own name, and beside the crate's functions, which the author calls herself.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn two_networks_and_the_public_functions_are_in_one_shader() {
    let layers = [dense(1, Gelu { approximate: false }), dense(2, Softmax)];
    let [first, second] = layers.map(|last| case(&[2], vec![dense(6, Selu), last], 4));
    let models = [&first, &second].map(|case| case.model(gpu()));
    let functions = [
        models[0].wgsl(Wgsl::new("height").storage(1, 0)).unwrap(),
        models[1].wgsl(Wgsl::new("kind").storage(2, 0)).unwrap(),
    ]
    .concat();
    let source = format!(
        "@group(0) @binding(0) var<storage, read_write> xs: array<f32>;
        @group(0) @binding(1) var<storage, read_write> ys: array<f32>;

        @compute @workgroup_size(64)
        fn main(@builtin(global_invocation_id) id: vec3u) {{
            if (id.x >= 4u) {{ return; }}
            let x = array<f32, 2>(xs[2u * id.x], xs[2u * id.x + 1u]);
            ys[3u * id.x] = height(x)[0];
            ys[3u * id.x + 1u] = kind(x)[0];
            ys[3u * id.x + 2u] = selu(-1.0);
        }}
        {functions}{}",
        wgsl::ACTIVATIONS
    );
    let buffers = models.each_ref().map(packed);
    let found = compute(gpu(), source, &buffers.each_ref(), &first.x(), 12, 4);
    assert_close("heights", &every_third(&found, 0), &reference(&first));
    let first_kinds: Vec<_> = reference(&second).into_iter().step_by(2).collect();
    assert_close("kinds", &every_third(&found, 1), &first_kinds);
    // λα(e⁻¹ − 1)
    let expected = 1.7580993408473768 * ((-1f64).exp() - 1.0);
    for selu in every_third(&found, 2) {
        assert!(common::ulps(selu, expected) <= 2.0, "{selu}");
    }
}

fn every_third(values: &[f32], from: usize) -> Vec<f32> {
    values[from..].iter().step_by(3).copied().collect()
}

/// Tancik et al. 2020: sines of 2πBx, then cosines; the bound is that of lavapipe's and other devices' sin,
/// far within the 2^-11 that WGSL allows, which tests cannot ask.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn an_encoding_in_the_shader_is_the_host_s() {
    // Six features, no multiple of 4; the second wave has many periods.
    let encoding = FourierFeatures::new([1.0, 0.5, -30.0, 17.0, 0.25, 0.0], 2);
    let case = case(&[6], vec![dense(8, Selu), dense(3, Linear)], 1);
    let model = case.model(gpu());
    let x = common::reference::normal(20, 3, 3);
    let features = encoding.encode(&x).unwrap();
    let (points, turns) = (features.as_chunks::<6>().0, std::f64::consts::TAU);
    for (point, x) in points.iter().zip(x.as_chunks::<2>().0) {
        let [x, y] = x.map(f64::from);
        let angles = [x + 0.5 * y, -30.0 * x + 17.0 * y, 0.25 * x].map(|t| turns * t);
        let expected = [angles.map(f64::sin), angles.map(f64::cos)].concat();
        for (found, expected) in point.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-6);
        }
    }
    let expected = model.predict(&gpu().tensor(&features, [10, 6]).unwrap());
    let expected = expected.unwrap().to_vec().unwrap();
    for vectors in [false, true] {
        let form = Form {
            vectors,
            ..Form::simple(Place::Storage)
        };
        let function = form.wgsl("image").encoding(encoding.clone());
        let source = form.shader(2, 3) + &model.wgsl(function).unwrap();
        let found = compute(gpu(), source, &[&packed(&model)], &x, 30, 10);
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 2f32.powi(-11),
                "{found} {expected}"
            );
        }
    }
}

/// Mildenhall et al. 2020: sin and cos of 2^k π x.
#[test]
fn octaves_are_half_waves_and_their_multiples() {
    let features = FourierFeatures::octaves(1, 3).encode(&[0.3]).unwrap();
    let angles = [1.0, 2.0, 4.0].map(|octave| octave * std::f64::consts::PI * f64::from(0.3f32));
    let expected = [angles.map(f64::sin), angles.map(f64::cos)].concat();
    for (found, expected) in features.iter().zip(expected) {
        assert!((f64::from(*found) - expected).abs() < 1e-7);
    }
    let both = FourierFeatures::octaves(2, 2);
    let expected = FourierFeatures::new([0.5, 0.0, 0.0, 0.5, 1.0, 0.0, 0.0, 1.0], 2);
    assert_eq!(both, expected);
}

/// The documented order: four zeros; then for each four units the biases, and for each input the weights.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn packed_weights_are_in_the_documented_order() {
    let case = case(&[3], vec![dense(5, Selu), dense(2, Linear)], 1);
    let model = case.model(gpu());
    let mut expected = vec![0.0; 4];
    for (layer, (inputs, outputs)) in [(3, 5), (5, 2)].into_iter().enumerate() {
        let [kernel, bias] = [0, 1].map(|i| case.weights()[2 * layer + i].clone());
        for block in 0..usize::div_ceil(outputs, 4) {
            let units = 4 * block..4 * block + 4;
            let value = |values: &[f32], i: usize, n: usize| match n < outputs {
                true => values[i * outputs + n],
                false => 0.0,
            };
            expected.extend(units.clone().map(|n| value(&bias, 0, n)));
            for i in 0..usize::next_multiple_of(inputs, 4) {
                expected.extend(units.clone().map(|n| match i < inputs {
                    true => value(&kernel, i, n),
                    false => 0.0,
                }));
            }
        }
    }
    assert_eq!(model.packed_len().unwrap(), expected.len());
    let (buffer, tensor) = wrapped(gpu(), &vec![9.0; expected.len()]);
    record(gpu(), |pass| pass.pack(&model, &tensor));
    assert_eq!(tensor.to_vec().unwrap(), expected);
    assert!(guards_hold(gpu(), &buffer));
}

/// A step between two packings in one program changes what the function gives to what predict gives then,
/// and packing again allocates nothing.
#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn packing_after_a_step_keeps_the_function_current() {
    let gpu = common::new_gpu();
    let case = case(&[2], vec![dense(8, Selu), dense(3, Linear)], 8);
    let mut model = case.model(&gpu);
    let x = gpu.tensor(&case.x(), [8, 2]).unwrap();
    let weights: Tensor = gpu.zeros([model.packed_len().unwrap()]).unwrap();
    record(&gpu, |pass| pass.pack(&model, &weights));
    let before = weights.to_vec().unwrap();

    let targets = gpu.tensor(&case.dy(), [8, 3]).unwrap();
    let loss = selfnorm::nn::Loss::MeanSquaredError;
    model.compile(Sgd::new(0.1), loss).unwrap();
    model.train_on_batch(&x, &targets).unwrap();
    let allocated = common::allocated(&gpu);
    record(&gpu, |pass| pass.pack(&model, &weights));
    assert_eq!(common::allocated(&gpu), allocated);
    assert_ne!(weights.to_vec().unwrap(), before);
    let found = values(&model, &Form::simple(Place::Storage), &case.x());
    let predicted = model.predict(&x).unwrap().to_vec().unwrap();
    let predicted: Vec<f64> = predicted.iter().copied().map(f64::from).collect();
    assert_close("after a step", &found, &predicted);
}

fn refused(network: &SequentialBuilder, function: impl Into<Wgsl>) -> String {
    network.wgsl(function).unwrap_err().to_string()
}

#[test]
fn layers_that_cannot_be_in_a_function_are_named() {
    let network = Sequential::new([6, 6, 1])
        .add(Conv2d::new(2, [3, 3]).name("edges"))
        .add(MaxPool2d::new([2, 2]))
        .add(Dense::new(3).name("each"))
        .add(Flatten::new())
        .add(Dense::new(2).activation(Softmax));
    let error = network.wgsl("image").unwrap_err();
    assert!(matches!(&error, Error::Layer { layer, .. } if layer == "edges"));
    let message = error.to_string();
    for part in [
        "edges (a convolution)",
        "max_pooling2d (a pool)",
        "each (it takes 4 vectors a sample, without a Flatten before it)",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains("dense"), "{message}");
}

#[test]
fn options_that_do_not_fit_are_errors() {
    let network = Sequential::new([2]).add(Dense::new(3).activation(Selu));
    for name in ["", "1st", "a-b", "__x", "_"] {
        assert!(
            refused(&network, name).contains("no name of WGSL"),
            "{name}"
        );
    }
    for name in ["fn", "true", "while", "priv", "yield"] {
        let message = refused(&network, name);
        assert!(message.contains("reserved word of WGSL"), "{message}");
    }
    // Words of the source: of the function, of what it calls.
    for name in ["select", "sum", "vec4f"] {
        let message = refused(&network, name);
        assert!(message.contains("the source itself uses"), "{message}");
    }
    let message = refused(&network, Wgsl::new("f").points(0));
    assert!(message.contains("0 points"), "{message}");
    let message = refused(&network, Wgsl::new("f").constants());
    assert!(message.contains("a network that is built"), "{message}");
    let encoding = |matrix: &[f32], inputs| {
        let encoding = FourierFeatures::new(matrix, inputs);
        refused(&network, Wgsl::new("f").encoding(encoding))
    };
    let message = encoding(&[1.0, 2.0], 1);
    assert!(message.contains("4 features of 1 values, the network takes 2"));
    assert!(encoding(&[1.0, 2.0, 3.0], 2).contains("rows of 2, but 3 values"));
    assert!(encoding(&[f32::NAN], 1).contains("NaN"));
    assert!(FourierFeatures::new([1.0, 0.0], 2).encode(&[1.0]).is_err());

    let wide = Sequential::new([64]).add(Dense::new(256));
    assert!(wide.wgsl("f").is_ok());
    let error = wide.wgsl(Wgsl::new("f").uniform(0, 0)).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }));
    assert!(refused(&wide, Wgsl::new("f").unrolled()).contains("2048 at most"));
}

#[test]
#[cfg_attr(feature = "ignore-gpu-tests", ignore = "needs a GPU")]
fn constants_must_be_numbers_and_packed_weights_must_fit() {
    let layer = Dense::new(2).weights([1.0, f32::NAN], [0.0, 0.0]);
    let model = Sequential::new([1]).add(layer).build(gpu(), 1).unwrap();
    let error = model.wgsl(Wgsl::new("f").constants()).unwrap_err();
    assert!(error.to_string().contains("NaN"), "{error}");

    let mut encoder = gpu().device().create_command_encoder(&Default::default());
    let mut pass = gpu().pass(&mut encoder);
    let short: Tensor = gpu().zeros([model.packed_len().unwrap() - 1]).unwrap();
    let error = pass.pack(&model, &short).unwrap_err();
    assert!(matches!(error, Error::Shape { op: "pack", .. }), "{error}");
    let other = common::new_gpu();
    let elsewhere: Tensor = other.zeros([model.packed_len().unwrap()]).unwrap();
    let error = pass.pack(&model, &elsewhere).unwrap_err();
    assert!(matches!(error, Error::OtherGpu { op: "pack", .. }));
}
