//! A network in a fragment shader: the window shows, in every frame, what the network has learned so far of
//! a picture. Each pixel is computed by `fn image`, the network as WGSL, behind the application's own
//! shader; a training step and `Pass::pack` keep its weights current.
//!
//! `cargo run --release [-- --frames N] [--lose-device N]` ends, or loses its device, after N frames.

mod picture;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use selfnorm::nn::Wgsl;
use selfnorm::{Gpu, Tensor, wgpu};
use winit::application::ApplicationHandler;
use winit::dpi::PhysicalSize;
use winit::event::WindowEvent;
use winit::event_loop::{ActiveEventLoop, EventLoop};
use winit::window::{Window, WindowId};

use picture::Picture;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut app = App::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let number = arguments.next().and_then(|number| number.parse().ok());
        match (&name[..], number) {
            ("--frames", Some(_)) => app.last_frame = number,
            ("--lose-device", Some(_)) => app.lose_device = number,
            _ => return Err("usage: fragment_shader [--frames N] [--lose-device N]".into()),
        }
    }
    EventLoop::new()?.run_app(&mut app)?;
    app.error.map_or(Ok(()), Err)
}

#[derive(Default)]
struct App {
    graphics: Option<Graphics>,
    frames: u64,
    last_frame: Option<u64>,
    lose_device: Option<u64>,
    error: Option<Box<dyn Error>>,
}

/// A device, and all that is lost with it.
struct Graphics {
    window: Arc<Window>,
    surface: wgpu::Surface<'static>,
    config: wgpu::SurfaceConfiguration,
    gpu: Gpu,
    is_lost: Arc<AtomicBool>,
    picture: Picture,
    pipeline: wgpu::RenderPipeline,
    pixel: wgpu::Buffer,
    pixel_group: wgpu::BindGroup,
    loss: f64,
    /// The packed weights, and the bind group that the shader reads them from.
    weights: Tensor,
    weights_group: wgpu::BindGroup,
}

impl Graphics {
    fn new(events: &ActiveEventLoop, window: Arc<Window>) -> Result<Self> {
        let display = Box::new(events.owned_display_handle());
        let descriptor = wgpu::InstanceDescriptor::new_with_display_handle_from_env(display);
        let instance = wgpu::Instance::new(descriptor);
        let surface = instance.create_surface(window.clone())?;
        let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions {
            compatible_surface: Some(&surface),
            ..Default::default()
        }))?;
        let (device, queue) = pollster::block_on(adapter.request_device(&Default::default()))?;
        let is_lost = Arc::new(AtomicBool::new(false));
        let (lost, woken) = (is_lost.clone(), window.clone());
        device.set_device_lost_callback(move |_, _| {
            lost.store(true, Ordering::Release);
            woken.request_redraw();
        });
        let size = window.inner_size();
        let mut config = surface
            .get_default_config(&adapter, size.width.max(1), size.height.max(1))
            .ok_or("the adapter cannot draw into this window")?;
        // Colors as in files: nothing converts what the network gives.
        let format = config.format.remove_srgb_suffix();
        config.view_formats = vec![format];

        let gpu = Gpu::from_wgpu(device, queue)?;
        let device = gpu.device();
        let picture = Picture::new(&gpu)?;

        // The application's shader, and the network behind it.
        let function = Wgsl::new("image").encoding(picture.encoding.clone());
        let source = include_str!("image.wgsl").to_owned() + &picture.model.wgsl(function)?;
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("image"),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let began = Instant::now();
        let pipeline = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("image"),
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
        println!("the pipeline took {:.2?}", began.elapsed());

        let pixel = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("pixel"),
            size: size_of::<[f32; 2]>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let weights: Tensor = gpu.zeros([picture.model.packed_len()?])?;
        let bind = |group, resource| {
            device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &pipeline.get_bind_group_layout(group),
                entries: &[wgpu::BindGroupEntry {
                    binding: 0,
                    resource,
                }],
            })
        };
        let mut graphics = Self {
            pixel_group: bind(0, pixel.as_entire_binding()),
            weights_group: bind(1, weights.binding()),
            window,
            surface,
            config,
            gpu,
            is_lost,
            picture,
            pipeline,
            pixel,
            weights,
            loss: f64::NAN,
        };
        graphics.resize(size);
        Ok(graphics)
    }

    /// A window without a size, which a minimized one is, has no surface.
    fn resize(&mut self, size: PhysicalSize<u32>) {
        if size.width == 0 || size.height == 0 {
            return;
        }
        (self.config.width, self.config.height) = (size.width, size.height);
        self.surface.configure(self.gpu.device(), &self.config);
        let pixel = [1.0 / size.width as f32, 1.0 / size.height as f32];
        let bytes: Vec<_> = pixel.iter().flat_map(|value| value.to_ne_bytes()).collect();
        self.gpu.queue().write_buffer(&self.pixel, 0, &bytes);
    }

    /// A training step and a frame, in one submission; false where the window can't be drawn to now.
    fn draw(&mut self) -> Result<bool> {
        use wgpu::CurrentSurfaceTexture::{
            Lost, Occluded, Outdated, Suboptimal, Success, Timeout, Validation,
        };
        let texture = match self.surface.get_current_texture() {
            Success(texture) | Suboptimal(texture) => texture,
            Outdated | Lost => {
                self.resize(self.window.inner_size());
                return Ok(false);
            }
            Timeout | Occluded | Validation => return Ok(false),
        };
        let view = texture.texture.create_view(&wgpu::TextureViewDescriptor {
            format: Some(self.config.format.remove_srgb_suffix()),
            ..Default::default()
        });
        let mut encoder = self
            .gpu
            .device()
            .create_command_encoder(&Default::default());
        let mut pass = self.gpu.pass(&mut encoder);
        self.picture.learn(&mut pass, &self.weights)?;
        drop(pass);
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("image"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations::default(),
            })],
            ..Default::default()
        });
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.pixel_group, &[]);
        pass.set_bind_group(1, &self.weights_group, &[]);
        pass.draw(0..3, 0..1);
        drop(pass);
        self.gpu.queue().submit([encoder.finish()]);
        self.window.pre_present_notify();
        self.gpu.queue().present(texture);
        // Of a step some frames ago.
        if let Some(score) = self.picture.model.try_score()? {
            self.loss = score.loss;
        }
        Ok(true)
    }
}

impl App {
    fn start(&mut self, events: &ActiveEventLoop) -> Result<()> {
        // The surface of a lost device must be gone before its window gets another.
        let window = match self.graphics.take() {
            Some(lost) => lost.window.clone(),
            None => {
                let attributes = Window::default_attributes()
                    .with_title("fragment shader")
                    .with_inner_size(PhysicalSize::new(320, 320));
                Arc::new(events.create_window(attributes)?)
            }
        };
        window.request_redraw();
        self.graphics = Some(Graphics::new(events, window)?);
        Ok(())
    }

    fn redraw(&mut self, events: &ActiveEventLoop) -> Result<()> {
        let Some(graphics) = &mut self.graphics else {
            return Ok(());
        };
        // wgpu tells of a lost device when it is polled, and of its surface only that it is not valid.
        let _ = graphics.gpu.device().poll(wgpu::PollType::Poll);
        if graphics.is_lost.load(Ordering::Acquire) {
            println!("the device was lost; starting again");
            return self.start(events);
        }
        let began = Instant::now();
        match graphics.draw() {
            // Hidden or minimized: not at full speed.
            Ok(false) => std::thread::sleep(Duration::from_millis(20)),
            Ok(true) => {
                self.frames += 1;
                let (step, time) = (graphics.picture.model.step(), began.elapsed());
                let loss = graphics.loss;
                let title = format!("step {step}, loss {loss:.5}, {time:.1?} a frame");
                graphics.window.set_title(&title);
                if self.last_frame == Some(self.frames) {
                    println!("{title}");
                    events.exit();
                }
                if self.lose_device == Some(self.frames) {
                    graphics.gpu.device().destroy();
                }
            }
            // The callback has told of it, or will.
            Err(error) if matches!(error.downcast_ref(), Some(selfnorm::Error::DeviceLost)) => {}
            Err(error) => return Err(error),
        }
        graphics.window.request_redraw();
        Ok(())
    }
}

impl ApplicationHandler for App {
    fn resumed(&mut self, events: &ActiveEventLoop) {
        if self.graphics.is_none()
            && let Err(error) = self.start(events)
        {
            self.error = Some(error);
            events.exit();
        }
    }

    fn window_event(&mut self, events: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        match event {
            WindowEvent::CloseRequested => events.exit(),
            WindowEvent::Resized(size) => {
                if let Some(graphics) = &mut self.graphics {
                    graphics.resize(size);
                }
            }
            WindowEvent::RedrawRequested => {
                if let Err(error) = self.redraw(events) {
                    self.error = Some(error);
                    events.exit();
                }
            }
            _ => {}
        }
    }
}
