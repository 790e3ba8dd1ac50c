//! An application with its own device, buffers, shaders and encoder runs SELU between two of its
//! passes: one submission, on its own buffers.
//!
//! A field of waves becomes a map: on the left unchanged, on the right mirrored and after SELU,
//! which flattens everything below zero towards −1.76.
//!
//! `cargo run --release --example own_device` writes `own_device.png`, or the path given to it.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;

use selfnorm::{Gpu, Tensor, wgpu};

const SIDE: usize = 1024;
const BYTES: u64 = (SIDE * SIDE * 4) as u64;

const SHADER: &str = "
// Two fields, the second for SELU of the first.
@group(0) @binding(0) var<storage, read_write> field: array<f32>;
@group(0) @binding(1) var<storage, read_write> picture: array<u32>;

@compute @workgroup_size(8, 8)
fn waves(@builtin(global_invocation_id) id: vec3u) {
    // The right half mirrors the left one.
    let from_middle = vec2f(abs(f32(id.x) + 0.5 - f32(SIDE / 2u)), f32(id.y));
    var p = 9.0 * from_middle / f32(SIDE) + vec2f(2.1, 0.6);
    // Each turn bends the coordinates by waves that follow the turns before.
    for (var turn = 1.0; turn < 4.0; turn += 1.0) {
        p += 0.8 * sin(p.yx * turn + vec2f(0.7, 2.1) * turn) / turn;
    }
    field[id.y * SIDE + id.x] = 2.0 * (sin(1.4 * p.x) + cos(1.2 * p.y));
}

fn height(x: u32, y: u32) -> f32 {
    let selu = select(0u, SIDE * SIDE, x >= SIDE / 2u);
    return field[selu + y * SIDE + x];
}

// A map: blue below zero, red above, lit from the top, with a line every half unit.
@compute @workgroup_size(8, 8)
fn paint(@builtin(global_invocation_id) id: vec3u) {
    let h = height(id.x, id.y);
    let t = clamp(h / 4.0, -1.0, 1.0);
    let far = select(vec3f(0.74, 0.17, 0.20), vec3f(0.10, 0.32, 0.60), t < 0.0);
    let colour = mix(vec3f(0.97, 0.96, 0.93), far, pow(abs(t), 0.8));
    // Pairs of pixels never reach across an edge.
    let slope = vec2f(
        height(id.x | 1u, id.y) - height(id.x & ~1u, id.y),
        height(id.x, id.y | 1u) - height(id.x, id.y & ~1u),
    );
    let light = 1.0 + clamp(8.0 * slope.y, -0.2, 0.2);
    let pixels_to_line = abs(h - round(2.0 * h) / 2.0) / max(length(slope), 1e-6);
    let ink = 0.4 * (1.0 - smoothstep(0.4, 1.4, pixels_to_line));
    picture[id.y * SIDE + id.x] = pack4x8unorm(vec4f(colour * light * (1.0 - ink), 1.0));
}
";

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or("own_device.png".into());

    // The application: a device with WebGPU's default limits and no features.
    let instance = wgpu::Instance::default();
    let adapter = pollster::block_on(instance.request_adapter(&Default::default()))?;
    let (device, queue) = pollster::block_on(adapter.request_device(&Default::default()))?;
    let buffer = |size, usage| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage,
            mapped_at_creation: false,
        })
    };
    let field = buffer(2 * BYTES, wgpu::BufferUsages::STORAGE);
    let picture = buffer(
        BYTES,
        wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
    );
    let readback = buffer(
        BYTES,
        wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
    );
    let shader = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(format!("const SIDE = {SIDE}u;\n{SHADER}").into()),
    });

    // selfnorm on that device: tensors are ranges of the application's buffer.
    let gpu = Gpu::from_wgpu(device.clone(), queue.clone())?;
    let before: Tensor = gpu.wrap(field.slice(..BYTES), [SIDE, SIDE])?;
    let after: Tensor = gpu.wrap(field.slice(BYTES..), [SIDE, SIDE])?;

    let mut encoder = device.create_command_encoder(&Default::default());
    dispatch(&device, &mut encoder, &shader, "waves", &[&field]);
    gpu.pass(&mut encoder).selu(&before, &after)?;
    dispatch(&device, &mut encoder, &shader, "paint", &[&field, &picture]);
    encoder.copy_buffer_to_buffer(&picture, 0, &readback, 0, BYTES);
    queue.submit([encoder.finish()]);

    readback.map_async(wgpu::MapMode::Read, .., |_| {});
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let pixels = readback.get_mapped_range(..)?;
    let mut png = png::Encoder::new(
        BufWriter::new(File::create(&path)?),
        SIDE as u32,
        SIDE as u32,
    );
    png.set_color(png::ColorType::Rgba);
    png.write_header()?.write_image_data(&pixels)?;
    println!("{path}: waves on the left, SELU of them on the right");
    Ok(())
}

/// Records a pass of the application, with one invocation per pixel.
fn dispatch(
    device: &wgpu::Device,
    encoder: &mut wgpu::CommandEncoder,
    shader: &wgpu::ShaderModule,
    entry_point: &str,
    buffers: &[&wgpu::Buffer],
) {
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(entry_point),
        layout: None,
        module: shader,
        entry_point: Some(entry_point),
        compilation_options: Default::default(),
        cache: None,
    });
    let entries: Vec<_> = buffers
        .iter()
        .zip(0..)
        .map(|(buffer, binding)| wgpu::BindGroupEntry {
            binding,
            resource: buffer.as_entire_binding(),
        })
        .collect();
    let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(entry_point),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &entries,
    });
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(&pipeline);
    pass.set_bind_group(0, &bind_group, &[]);
    pass.dispatch_workgroups(SIDE as u32 / 8, SIDE as u32 / 8, 1);
}
