//! What the application draws, and what the network makes of it: everything in one encoder.

use std::time::{Duration, Instant};

use meter::{Budget, FrameTimes, GpuTimer, Work};
use selfnorm::nn::{Predict, Sequential};
use selfnorm::{Gpu, Result, Tensor, wgpu};

use crate::network::{CHANNELS, HALO, SIDE, TILE};

const WIDTH: usize = 256;
const HEIGHT: usize = 160;
const TILES: usize = (WIDTH / TILE) * (HEIGHT / TILE);
/// Of a training step, in tiles.
const BATCH: usize = 4;
/// Of a pixel that the network learns from.
const CLEAN_SAMPLES: usize = 64;
const WORKGROUP: usize = 64;
const LIGHT_CHANNELS: usize = 3;
const MAX_STEPS: usize = 8;

/// Makes what frames need, on any thread.
pub fn prepare(mut model: Sequential) -> Result<Sequential> {
    model.prepare_train_on_batch(BATCH, |_| ())?;
    model.prepare_predict(Predict::rows(TILES), |_| ())?;
    Ok(model)
}

/// What the shaders' `Frame` is.
fn frame_bytes(seconds: f32, number: u32, divider: f32, has_network: bool) -> [u8; 16] {
    let words = [
        seconds.to_bits(),
        number,
        divider.to_bits(),
        has_network.into(),
    ];
    let mut bytes = [0; 16];
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// A pipeline of the application and what it works on.
struct Step<P> {
    pipeline: P,
    bound: wgpu::BindGroup,
}

pub struct Scene {
    gpu: Gpu,
    pub model: Option<Sequential>,
    textures: [wgpu::TextureView; 3],
    frame: wgpu::Buffer,
    window: wgpu::Buffer,
    draw: Step<wgpu::RenderPipeline>,
    cut_frame: Step<wgpu::ComputePipeline>,
    cut_batch: Step<wgpu::ComputePipeline>,
    clean_batch: Step<wgpu::ComputePipeline>,
    show: Step<wgpu::RenderPipeline>,
    /// The frame in tiles, and its light.
    x: Tensor,
    denoised: Tensor,
    /// A batch of tiles, and their light with many samples.
    batch: (Tensor, Tensor),
    timer: Option<GpuTimer>,
    budget: Budget,
    began: Instant,
    number: u32,
    pub times: Option<FrameTimes>,
    /// The CPU's time in selfnorm's calls of the last frame.
    pub calls: Duration,
    /// The mean squared error of the last step whose score has arrived.
    pub loss: Option<f64>,
}

impl Scene {
    /// `format` is the window's.
    pub fn new(gpu: &Gpu, format: wgpu::TextureFormat, budget_ms: f64) -> Result<Self> {
        let device = gpu.device();
        let constants = format!(
            "const WIDTH = {WIDTH}u; const HEIGHT = {HEIGHT}u; const TILE = {TILE}u; \
             const HALO = {HALO}u; const TILES = {TILES}u; const CLEAN_SAMPLES = {CLEAN_SAMPLES}u; \
             const WORKGROUP = {WORKGROUP}u;\n"
        );
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("scene"),
            source: wgpu::ShaderSource::Wgsl((constants + include_str!("scene.wgsl")).into()),
        });
        let uniform = |label, size| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let (frame, window) = (uniform("frame", 16), uniform("window", 8));
        use wgpu::TextureFormat::{Rgba8Unorm, Rgba16Float};
        let formats = [Rgba16Float, Rgba16Float, Rgba8Unorm];
        let textures = formats.map(|format| {
            let texture = device.create_texture(&wgpu::TextureDescriptor {
                label: Some("scene"),
                size: wgpu::Extent3d {
                    width: WIDTH as u32,
                    height: HEIGHT as u32,
                    depth_or_array_layers: 1,
                },
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format,
                usage: wgpu::TextureUsages::RENDER_ATTACHMENT
                    | wgpu::TextureUsages::TEXTURE_BINDING,
                view_formats: &[],
            });
            texture.create_view(&Default::default())
        });
        let x = gpu.zeros([TILES, SIDE, SIDE, CHANNELS])?;
        let denoised = gpu.zeros([TILES, TILE, TILE, LIGHT_CHANNELS])?;
        let batch = (
            gpu.zeros([BATCH, SIDE, SIDE, CHANNELS])?,
            gpu.zeros([BATCH, TILE, TILE, LIGHT_CHANNELS])?,
        );

        let bind = |layout: wgpu::BindGroupLayout, entries: &[wgpu::BindGroupEntry]| {
            device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &layout,
                entries,
            })
        };
        let render = |entry_point, formats: &[wgpu::TextureFormat]| {
            let targets: Vec<_> = formats.iter().map(|&format| Some(format.into())).collect();
            device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
                label: Some(entry_point),
                layout: None,
                vertex: wgpu::VertexState {
                    module: &module,
                    entry_point: Some("cover"),
                    compilation_options: Default::default(),
                    buffers: &[],
                },
                primitive: Default::default(),
                depth_stencil: None,
                multisample: Default::default(),
                fragment: Some(wgpu::FragmentState {
                    module: &module,
                    entry_point: Some(entry_point),
                    compilation_options: Default::default(),
                    targets: &targets,
                }),
                multiview_mask: None,
                cache: None,
            })
        };
        let compute = |entry_point, entries: &[wgpu::BindGroupEntry]| {
            let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry_point),
                layout: None,
                module: &module,
                entry_point: Some(entry_point),
                compilation_options: Default::default(),
                cache: None,
            });
            let bound = bind(pipeline.get_bind_group_layout(0), entries);
            Step { pipeline, bound }
        };
        let drawing = render("draw", &formats);
        let showing = render("show", &[format]);
        let [light, normal, albedo] = textures.each_ref().map(wgpu::BindingResource::TextureView);
        let at = |binding, resource| wgpu::BindGroupEntry { binding, resource };
        let frame_entry = at(0, frame.as_entire_binding());
        let (light, normal, albedo) = (at(1, light), at(2, normal), at(3, albedo));
        let surfaces = [light.clone(), normal, albedo.clone()];
        Ok(Self {
            draw: Step {
                bound: bind(
                    drawing.get_bind_group_layout(0),
                    std::slice::from_ref(&frame_entry),
                ),
                pipeline: drawing,
            },
            cut_frame: compute(
                "cut_frame",
                &[&surfaces[..], &[at(4, x.binding())]].concat(),
            ),
            cut_batch: compute(
                "cut_batch",
                &[
                    &surfaces[..],
                    &[frame_entry.clone(), at(4, batch.0.binding())],
                ]
                .concat(),
            ),
            clean_batch: compute(
                "clean_batch",
                &[frame_entry.clone(), at(5, batch.1.binding())],
            ),
            show: Step {
                bound: bind(
                    showing.get_bind_group_layout(0),
                    &[
                        frame_entry,
                        light,
                        albedo,
                        at(6, denoised.binding()),
                        at(7, window.as_entire_binding()),
                    ],
                ),
                pipeline: showing,
            },
            textures,
            frame,
            window,
            x,
            denoised,
            batch,
            model: None,
            timer: GpuTimer::new(device, gpu.queue()),
            budget: Budget::new(budget_ms, 1..=MAX_STEPS),
            began: Instant::now(),
            number: 0,
            times: None,
            calls: Duration::ZERO,
            loss: None,
            gpu: gpu.clone(),
        })
    }

    /// Records a frame of `size` pixels into `view`: drawn noisily, learned from, denoised, shown.
    pub fn record(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        view: &wgpu::TextureView,
        size: [u32; 2],
        divider: f32,
    ) -> Result<()> {
        self.number = self.number.wrapping_add(1);
        let seconds = self.began.elapsed().as_secs_f32();
        let frame = frame_bytes(seconds, self.number, divider, self.model.is_some());
        let queue = self.gpu.queue();
        queue.write_buffer(&self.frame, 0, &frame);
        let window = size.map(|extent| (extent as f32).to_le_bytes());
        queue.write_buffer(&self.window, 0, window.as_flattened());

        cover(encoder, &self.draw, &self.textures);
        if let Some(mut model) = self.model.take() {
            let result = self.learn_and_denoise(encoder, &mut model);
            self.model = Some(model);
            result?;
        }
        cover(encoder, &self.show, std::slice::from_ref(view));
        Ok(())
    }

    fn learn_and_denoise(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        model: &mut Sequential,
    ) -> Result<()> {
        dispatch(encoder, &self.cut_frame, TILES * SIDE * SIDE);
        dispatch(encoder, &self.cut_batch, BATCH * SIDE * SIDE);
        dispatch(encoder, &self.clean_batch, BATCH * TILE * TILE);
        let mark = |encoder: &mut wgpu::CommandEncoder, index| {
            if let Some(timer) = &self.timer {
                timer.mark(encoder, index);
            }
        };
        mark(encoder, 0);
        let began = Instant::now();
        let steps = self.budget.steps();
        let mut pass = self.gpu.pass(encoder);
        for _ in 0..steps {
            pass.train_on_batch(model, &self.batch.0, &self.batch.1)?;
        }
        drop(pass);
        let trained = began.elapsed();
        mark(encoder, 1);
        let began = Instant::now();
        self.gpu
            .pass(encoder)
            .predict(model, &self.x, &self.denoised)?;
        self.calls = trained + began.elapsed();
        mark(encoder, 2);
        if let Some(timer) = &mut self.timer {
            let work = Work { steps, share: 1.0 };
            for times in timer.finish(encoder, work) {
                self.budget.learn(&times);
                self.times = Some(times);
            }
        }
        if let Some(score) = model.try_score()? {
            self.loss = Some(score.loss);
        }
        Ok(())
    }
}

/// One triangle over all pixels.
fn cover(
    encoder: &mut wgpu::CommandEncoder,
    step: &Step<wgpu::RenderPipeline>,
    views: &[wgpu::TextureView],
) {
    let attachments: Vec<_> = views
        .iter()
        .map(|view| {
            Some(wgpu::RenderPassColorAttachment {
                view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations::default(),
            })
        })
        .collect();
    let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
        color_attachments: &attachments,
        ..Default::default()
    });
    pass.set_pipeline(&step.pipeline);
    pass.set_bind_group(0, &step.bound, &[]);
    pass.draw(0..3, 0..1);
}

fn dispatch(
    encoder: &mut wgpu::CommandEncoder,
    step: &Step<wgpu::ComputePipeline>,
    invocations: usize,
) {
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(&step.pipeline);
    pass.set_bind_group(0, &step.bound, &[]);
    pass.dispatch_workgroups(invocations.div_ceil(WORKGROUP) as u32, 1, 1);
}
