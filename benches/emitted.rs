//! Networks as WGSL functions: how long a driver compiles a pipeline, and how long 65,536 points take, in a
//! compute and in a fragment shader. 32 Fourier features of two values, four layers of SELU, three outputs.
//!
//! ```sh
//! MESA_SHADER_CACHE_DISABLE=true cargo bench --bench emitted
//! ```

use std::sync::LazyLock;
use std::time::Instant;

use selfnorm::nn::Activation::Selu;
use selfnorm::nn::Initializer::LecunNormal;
use selfnorm::nn::{Dense, FourierFeatures, Sequential, Wgsl};
use selfnorm::wgpu::{self, BufferUsages};
use selfnorm::{Gpu, Result, Tensor, random};

const SIDE: u32 = 256;
const RUNS: u32 = 5;

fn main() -> Result<()> {
    let gpu = Gpu::new()?;
    println!("{}", gpu.adapter_info().name);
    println!(
        "width, form: seconds to compile, milliseconds for {} points, of processor time",
        SIDE * SIDE
    );
    let points = |function: Wgsl, points| (function.points(points), points as u32);
    for width in [16, 32, 48, 64] {
        let model = network(&gpu, width)?;
        let loops = || Wgsl::new("image").encoding(features());
        let mut forms = vec![
            ("loops, storage", (loops(), 1)),
            ("loops, uniform", (loops().uniform(1, 0), 1)),
            ("loops of a known count", (loops(), 1)),
            ("two points", points(loops(), 2)),
            ("four points", points(loops(), 4)),
        ];
        if width == 16 {
            forms.push(("unrolled, storage", (loops().unrolled(), 1)));
            forms.push(("unrolled, uniform", (loops().unrolled().uniform(1, 0), 1)));
            forms.push(("constants", (loops().constants(), 1)));
        }
        for (name, (function, points)) in forms {
            let mut source = model.wgsl(function)?;
            if name.contains("known count") {
                source = source.replace(" + more", "");
            }
            let has_weights = source.contains("@group(1)");
            let weights = has_weights.then(|| packed(&model)).transpose()?;
            measure(&gpu, &format!("{width}, {name}, compute"), || {
                compute(&gpu, &source, weights.as_ref(), points)
            });
            if points == 1 {
                measure(&gpu, &format!("{width}, {name}, fragment"), || {
                    fragment(&gpu, &source, weights.as_ref())
                });
            }
        }
    }
    Ok(())
}

fn features() -> FourierFeatures {
    let normal = |word| random::truncated_normal(word) as f32 * 2f32.powi(-20);
    FourierFeatures::new(
        random::words(1, 0, 0..32).map(normal).collect::<Vec<_>>(),
        2,
    )
}

fn network(gpu: &Gpu, width: usize) -> Result<Sequential> {
    let hidden = || {
        Dense::new(width)
            .kernel_initializer(LecunNormal)
            .activation(Selu)
    };
    let network = (0..4).fold(Sequential::new([32]), |network, _| network.add(hidden()));
    network.add(Dense::new(3)).build(gpu, 42)
}

/// The packed weights, for either kind of binding.
fn packed(model: &Sequential) -> Result<wgpu::Buffer> {
    let gpu = model.gpu();
    let len = model.packed_len()?;
    let buffer = gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: len as u64 * 4,
        usage: BufferUsages::STORAGE | BufferUsages::UNIFORM,
        mapped_at_creation: false,
    });
    let tensor: Tensor = gpu.wrap(buffer.slice(..), [len])?;
    let mut encoder = gpu.device().create_command_encoder(&Default::default());
    gpu.pass(&mut encoder).pack(model, &tensor)?;
    gpu.queue().submit([encoder.finish()]);
    Ok(buffer)
}

/// Records what is measured.
type Record = Box<dyn Fn(&mut wgpu::CommandEncoder)>;

/// Prints the processor time of a pipeline and its first run, less that of later runs, and theirs.
fn measure(gpu: &Gpu, name: &str, make: impl FnOnce() -> Record) {
    let run = |record: &Record| {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        record(&mut encoder);
        gpu.queue().submit([encoder.finish()]);
        let waited = gpu.device().poll(wgpu::PollType::wait_indefinitely());
        waited.expect("the device is there");
    };
    let began = processor_time();
    let record = make();
    run(&record);
    let first = processor_time() - began;
    let began = processor_time();
    (0..RUNS).for_each(|_| run(&record));
    let later = (processor_time() - began) / f64::from(RUNS);
    println!("{name}: {:.2} s, {:.0} ms", first - later, later * 1e3);
}

/// The seconds that this process has had of all cores, which other work on the machine disturbs less than
/// elapsed time; where there is no /proc, elapsed time.
fn processor_time() -> f64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let ticks = || {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // Behind the name: of the fields from the state on, user and system time in ticks of 10 ms.
        let fields = stat.rsplit_once(')')?.1.split_whitespace();
        let times = fields.skip(11).take(2).map(str::parse::<f64>);
        times.sum::<std::result::Result<f64, _>>().ok()
    };
    ticks().map_or_else(|| BEGAN.elapsed().as_secs_f64(), |ticks| ticks / 100.0)
}

fn module(gpu: &Gpu, source: String) -> wgpu::ShaderModule {
    let source = wgpu::ShaderSource::Wgsl(source.into());
    let label = None;
    gpu.device()
        .create_shader_module(wgpu::ShaderModuleDescriptor { label, source })
}

fn bind(gpu: &Gpu, layout: &wgpu::BindGroupLayout, buffer: &wgpu::Buffer) -> wgpu::BindGroup {
    gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout,
        entries: &[wgpu::BindGroupEntry {
            binding: 0,
            resource: buffer.as_entire_binding(),
        }],
    })
}

fn compute(gpu: &Gpu, image: &str, weights: Option<&wgpu::Buffer>, points: u32) -> Record {
    let body = match points {
        1 => "let y = image(place(id.x)); colors[id.x] = vec4f(y[0], y[1], y[2], 1.0);".into(),
        n => {
            let places: Vec<_> = (0..n)
                .map(|p| format!("place({n}u * id.x + {p}u)"))
                .collect();
            let store = |p| {
                format!("colors[{n}u * id.x + {p}u] = vec4f(y[{p}][0], y[{p}][1], y[{p}][2], 1.0);")
            };
            let stores: String = (0..n).map(store).collect();
            format!(
                "let y = image(array<array<f32, 2>, {n}>({})); {stores}",
                places.join(", ")
            )
        }
    };
    let source = format!(
        "@group(0) @binding(0) var<storage, read_write> colors: array<vec4f>;
        fn place(i: u32) -> array<f32, 2> {{
            return array<f32, 2>(f32(i % {SIDE}u) / {SIDE}.0, f32(i / {SIDE}u) / {SIDE}.0);
        }}
        @compute @workgroup_size(64)
        fn main(@builtin(global_invocation_id) id: vec3u) {{ {body} }}
        {image}"
    );
    let device = gpu.device();
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module(gpu, source),
        entry_point: None,
        compilation_options: Default::default(),
        cache: None,
    });
    let colors = device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: u64::from(SIDE * SIDE * 16),
        usage: BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
    let mine = bind(gpu, &pipeline.get_bind_group_layout(0), &colors);
    let group = weights.map(|weights| bind(gpu, &pipeline.get_bind_group_layout(1), weights));
    Box::new(move |encoder| {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &mine, &[]);
        if let Some(group) = &group {
            pass.set_bind_group(1, group, &[]);
        }
        pass.dispatch_workgroups(SIDE * SIDE / 64 / points, 1, 1);
    })
}

fn fragment(gpu: &Gpu, image: &str, weights: Option<&wgpu::Buffer>) -> Record {
    let source = format!(
        "@vertex
        fn corner(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {{
            return vec4f(f32(i / 2u) * 4.0 - 1.0, f32(i % 2u) * 4.0 - 1.0, 0.0, 1.0);
        }}
        @fragment
        fn color(@builtin(position) at: vec4f) -> @location(0) vec4f {{
            let y = image(array<f32, 2>(at.x / {SIDE}.0, at.y / {SIDE}.0));
            return vec4f(y[0], y[1], y[2], 1.0);
        }}
        {image}"
    );
    let device = gpu.device();
    let format = wgpu::TextureFormat::Rgba8Unorm;
    let module = module(gpu, source);
    let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: None,
        layout: None,
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
        primitive: Default::default(),
        depth_stencil: None,
        multisample: Default::default(),
        multiview_mask: None,
        cache: None,
    });
    let group = weights.map(|weights| bind(gpu, &pipeline.get_bind_group_layout(1), weights));
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d {
            width: SIDE,
            height: SIDE,
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
        view_formats: &[],
    });
    let view = texture.create_view(&Default::default());
    Box::new(move |encoder| {
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: None,
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations::default(),
            })],
            ..Default::default()
        });
        pass.set_pipeline(&pipeline);
        if let Some(group) = &group {
            pass.set_bind_group(1, group, &[]);
        }
        pass.draw(0..3, 0..1);
    })
}
