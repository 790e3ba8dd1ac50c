//! The network, its data on the GPU, and what a frame records.

use std::time::{Duration, Instant};

use eframe::egui_wgpu::RenderState;
use meter::{Budget, FrameTimes, GpuTimer, Work};
use selfnorm::nn::{Activation, Adam, Dense, Initializer, Loss, Predict, Sequential};
use selfnorm::{Gpu, Result, Tensor, wgpu};

/// Of the picture, in pixels.
pub const SIDE: usize = 256;
const PIXELS: usize = SIDE * SIDE;
const FREQUENCIES: usize = 16;
const FEATURES: usize = 2 * FREQUENCIES;
const CHANNELS: usize = 3;
const BATCH: usize = 1024;
const HIDDEN_LAYERS: usize = 4;
/// That a frame may take.
const MAX_STEPS: usize = 16;
const WORKGROUP: usize = 64;
/// That the picture is painted in, where a frame has no time for all of it.
const PARTS: usize = 8;

/// What a network is made from.
#[derive(Clone, Copy, PartialEq)]
pub struct Design {
    pub width: usize,
    pub activation: Activation,
}

impl Design {
    /// A network whose pipelines and buffers are yet to be made. It submits the weights.
    pub fn build(self, gpu: &Gpu) -> Result<Sequential> {
        let mut layers = Sequential::new([FEATURES]);
        for _ in 0..HIDDEN_LAYERS {
            let layer = Dense::new(self.width).kernel_initializer(Initializer::LecunNormal);
            layers = layers.add(layer.activation(self.activation));
        }
        let mut model = layers.add(Dense::new(CHANNELS)).build(gpu, 1)?;
        model.compile(Adam::default(), Loss::MeanSquaredError)?;
        Ok(model)
    }
}

/// Makes what frames need, on any thread. `progress` is called with the share that is done.
pub fn prepare(mut model: Sequential, progress: impl Fn(f32)) -> Result<Sequential> {
    model.prepare_train_on_batch(BATCH, |done| progress(0.8 * done))?;
    model.prepare_predict(Predict::rows(PIXELS), |done| progress(0.8 + 0.1 * done))?;
    model.prepare_predict(Predict::rows(PIXELS / PARTS), |done| {
        progress(0.9 + 0.1 * done)
    })?;
    Ok(model)
}

pub struct Fit {
    gpu: Gpu,
    pub model: Option<Sequential>,
    /// The features of all pixels, and the colours that the network gives them; and of each part.
    all: (Tensor, Tensor),
    parts: Vec<(Tensor, Tensor)>,
    part: usize,
    /// Random pixels, for as many steps as a frame may take.
    batches: Vec<(Tensor, Tensor)>,
    picture: wgpu::Buffer,
    frame_number: wgpu::Buffer,
    frames: u32,
    sampling: (wgpu::ComputePipeline, wgpu::BindGroup),
    showing: (wgpu::RenderPipeline, wgpu::BindGroup),
    timer: Option<GpuTimer>,
    pub budget: Budget,
    pub times: Option<FrameTimes>,
    /// The CPU's time in selfnorm's calls of the last frame.
    pub calls: Duration,
    /// The score that has arrived last, and the step at that time.
    pub score: Option<(u64, f64)>,
    pub error: Option<selfnorm::Error>,
}

impl Fit {
    pub fn new(state: &RenderState, budget_ms: f64) -> Result<Self> {
        let (device, queue) = (&state.device, &state.queue);
        let gpu = Gpu::from_wgpu(device.clone(), queue.clone())?;
        let buffer = |label, floats: usize, usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: 4 * floats as u64,
                usage,
                mapped_at_creation: false,
            })
        };
        use wgpu::BufferUsages as Usage;
        let all_features = buffer("features", PIXELS * FEATURES, Usage::STORAGE);
        let all_colours = buffer("colours", PIXELS * CHANNELS, Usage::STORAGE);
        let rows = MAX_STEPS * BATCH;
        let batch_features = buffer("batches", rows * FEATURES, Usage::STORAGE);
        let batch_colours = buffer("batches' colours", rows * CHANNELS, Usage::STORAGE);
        let picture = buffer("picture", PIXELS, Usage::STORAGE | Usage::COPY_DST);
        let frame_number = buffer("frame", 1, Usage::UNIFORM | Usage::COPY_DST);
        // Normal, of deviation 1: the fan-in is 1.
        let frequencies: Tensor = gpu.lecun_normal([1, FEATURES], 3)?;

        let constants = format!(
            "const SIDE = {SIDE}u; const FREQUENCIES = {FREQUENCIES}u; const WORKGROUP = {WORKGROUP}u;\n"
        );
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("picture"),
            source: wgpu::ShaderSource::Wgsl((constants + include_str!("picture.wgsl")).into()),
        });
        let compute = |entry_point| {
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry_point),
                layout: None,
                module: &module,
                entry_point: Some(entry_point),
                compilation_options: Default::default(),
                cache: None,
            })
        };
        let at = |binding, resource| wgpu::BindGroupEntry { binding, resource };
        let bind = |layout: wgpu::BindGroupLayout, entries: &[wgpu::BindGroupEntry]| {
            device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &layout,
                entries,
            })
        };

        // On the thread that also configures the surface, so nothing is submitted meanwhile.
        let encode = compute("encode");
        let bound = bind(
            encode.get_bind_group_layout(0),
            &[
                at(0, frequencies.binding()),
                at(2, all_features.as_entire_binding()),
            ],
        );
        let mut encoder = device.create_command_encoder(&Default::default());
        dispatch(&mut encoder, &encode, &bound, PIXELS);
        queue.submit([encoder.finish()]);

        let sample = compute("sample_batches");
        let sampled = bind(
            sample.get_bind_group_layout(0),
            &[
                at(0, frequencies.binding()),
                at(1, picture.as_entire_binding()),
                at(2, batch_features.as_entire_binding()),
                at(3, batch_colours.as_entire_binding()),
                at(4, frame_number.as_entire_binding()),
            ],
        );
        let show = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("show"),
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
                entry_point: Some("show"),
                compilation_options: Default::default(),
                targets: &[Some(state.target_format.into())],
            }),
            multiview_mask: None,
            cache: None,
        });
        let shown = bind(
            show.get_bind_group_layout(0),
            &[at(5, all_colours.as_entire_binding())],
        );

        let share = |buffers: [&wgpu::Buffer; 2], rows: usize, i: usize| {
            let tensor = |buffer: &wgpu::Buffer, channels: usize| {
                let bytes = (4 * rows * channels) as u64;
                let first = i as u64 * bytes;
                gpu.wrap(buffer.slice(first..first + bytes), [rows, channels])
            };
            Ok((tensor(buffers[0], FEATURES)?, tensor(buffers[1], CHANNELS)?))
        };
        let all = [&all_features, &all_colours];
        let parts = (0..PARTS).map(|i| share(all, PIXELS / PARTS, i));
        let batches = [&batch_features, &batch_colours];
        let batches = (0..MAX_STEPS).map(|i| share(batches, BATCH, i));
        Ok(Self {
            all: share(all, PIXELS, 0)?,
            parts: parts.collect::<Result<_>>()?,
            part: 0,
            batches: batches.collect::<Result<_>>()?,
            model: None,
            picture,
            frame_number,
            frames: 0,
            sampling: (sample, sampled),
            showing: (show, shown),
            timer: GpuTimer::new(device, queue),
            budget: Budget::new(budget_ms, 1..=MAX_STEPS),
            times: None,
            calls: Duration::ZERO,
            score: None,
            error: None,
            gpu,
        })
    }

    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Goes on with another network.
    pub fn restart(&mut self, model: Sequential) {
        self.model = Some(model);
        self.score = None;
        self.error = None;
        self.times = None;
        self.budget.forget();
    }

    /// The picture to learn, as rgba8.
    pub fn set_picture(&mut self, rgba: &[u8]) {
        self.gpu.queue().write_buffer(&self.picture, 0, rgba);
    }

    /// Records training and inference into the frame's encoder; whoever drew the frame submits it.
    pub fn record(&mut self, encoder: &mut wgpu::CommandEncoder) {
        if let Err(error) = self.try_record(encoder) {
            self.error = Some(error);
        }
    }

    fn try_record(&mut self, encoder: &mut wgpu::CommandEncoder) -> Result<()> {
        let Some(model) = &mut self.model else {
            return Ok(());
        };
        let steps = self.budget.steps();
        self.frames = self.frames.wrapping_add(1);
        let number = self.frames.to_le_bytes();
        self.gpu
            .queue()
            .write_buffer(&self.frame_number, 0, &number);
        let (sample, sampled) = &self.sampling;
        dispatch(encoder, sample, sampled, steps * BATCH);

        let mark = |encoder: &mut wgpu::CommandEncoder, index| {
            if let Some(timer) = &self.timer {
                timer.mark(encoder, index);
            }
        };
        mark(encoder, 0);
        let began = Instant::now();
        let mut pass = self.gpu.pass(encoder);
        for (x, y) in &self.batches[..steps] {
            pass.train_on_batch(model, x, y)?;
        }
        drop(pass);
        let trained = began.elapsed();
        mark(encoder, 1);
        let began = Instant::now();
        let has_time = |times: FrameTimes| times.inference_ms / times.work.share < self.budget.ms;
        let (share, (x, colours)) = if self.times.is_none_or(has_time) {
            (1.0, &self.all)
        } else {
            self.part = (self.part + 1) % PARTS;
            (1.0 / PARTS as f64, &self.parts[self.part])
        };
        self.gpu.pass(encoder).predict(model, x, colours)?;
        self.calls = trained + began.elapsed();
        mark(encoder, 2);

        if let Some(timer) = &mut self.timer {
            for times in timer.finish(encoder, Work { steps, share }) {
                self.budget.learn(&times);
                self.times = Some(times);
            }
        }
        if let Some(score) = model.try_score()? {
            self.score = Some((model.step(), score.loss));
        }
        Ok(())
    }

    /// Draws the network's picture into the viewport.
    pub fn show(&self, pass: &mut wgpu::RenderPass) {
        let (pipeline, colours) = &self.showing;
        pass.set_pipeline(pipeline);
        pass.set_bind_group(0, colours, &[]);
        pass.draw(0..3, 0..1);
    }
}

fn dispatch(
    encoder: &mut wgpu::CommandEncoder,
    pipeline: &wgpu::ComputePipeline,
    bound: &wgpu::BindGroup,
    invocations: usize,
) {
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, bound, &[]);
    pass.dispatch_workgroups((invocations / WORKGROUP) as u32, 1, 1);
}
