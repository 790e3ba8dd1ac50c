//! Balls under a lamp, drawn with one random sample of light a pixel, and a small convolutional network
//! that takes the noise away. It learns in each frame, from a few tiles of that frame which are drawn
//! with many samples, and denoises the frame in the same encoder. Left of the line is what was drawn,
//! right of it what the network makes of it; the line follows the pointer.
//!
//! `cargo run --release -p denoiser [--frames N] [--budget MS] [--lose-device N]`

mod network;
mod scene;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Instant;

use meter::{Arguments, Meter};
use selfnorm::nn::Sequential;
use selfnorm::{Gpu, wgpu};
use winit::application::ApplicationHandler;
use winit::dpi::LogicalSize;
use winit::event::WindowEvent;
use winit::event_loop::{ActiveEventLoop, EventLoop};
use winit::window::{Window, WindowId};

use scene::Scene;

fn main() -> Result<(), Box<dyn Error>> {
    let mut app = App {
        arguments: Arguments::parse()?,
        graphics: None,
        meter: Meter::default(),
        frames: 0,
        divider: 0.5,
        error: None,
    };
    EventLoop::new()?.run_app(&mut app)?;
    app.error.map_or(Ok(()), Err)
}

struct App {
    arguments: Arguments,
    graphics: Option<Graphics>,
    meter: Meter,
    frames: u64,
    divider: f32,
    error: Option<Box<dyn Error>>,
}

/// A device, and everything that is lost with it.
struct Graphics {
    window: Arc<Window>,
    surface: wgpu::Surface<'static>,
    config: wgpu::SurfaceConfiguration,
    gpu: Gpu,
    scene: Scene,
    /// The network that a thread is preparing.
    coming: Option<Receiver<selfnorm::Result<Sequential>>>,
    is_lost: Arc<AtomicBool>,
}

impl Graphics {
    fn new(
        events: &ActiveEventLoop,
        window: Arc<Window>,
        budget_ms: f64,
    ) -> Result<Self, Box<dyn Error>> {
        let display = Box::new(events.owned_display_handle());
        let descriptor = wgpu::InstanceDescriptor::new_with_display_handle_from_env(display);
        let instance = wgpu::Instance::new(descriptor);
        let surface = instance.create_surface(window.clone())?;
        let options = wgpu::RequestAdapterOptions {
            compatible_surface: Some(&surface),
            ..Default::default()
        };
        let adapter = pollster::block_on(instance.request_adapter(&options))?;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("denoiser"),
            required_features: Gpu::useful_features(&adapter)
                | adapter.features() & wgpu::Features::TIMESTAMP_QUERY,
            required_limits: Gpu::useful_limits(&adapter),
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))?;
        let is_lost = Arc::new(AtomicBool::new(false));
        let (lost, redrawn) = (is_lost.clone(), window.clone());
        device.set_device_lost_callback(move |_, _| {
            lost.store(true, Ordering::Release);
            redrawn.request_redraw();
        });

        let size = window.inner_size();
        let mut config = surface
            .get_default_config(&adapter, size.width.max(1), size.height.max(1))
            .ok_or("the adapter cannot draw into the window")?;
        // The shaders write linear colours.
        let format = config.format.add_srgb_suffix();
        config.view_formats = vec![format];
        config.present_mode = wgpu::PresentMode::AutoVsync;
        surface.configure(&device, &config);

        let gpu = Gpu::from_wgpu(device, queue)?;
        let (sender, coming) = mpsc::channel();
        let model = network::build(&gpu)?;
        std::thread::spawn(move || {
            // An error here means that the window is closed.
            let _ = sender.send(scene::prepare(model));
        });
        Ok(Self {
            scene: Scene::new(&gpu, format, budget_ms)?,
            coming: Some(coming),
            window,
            surface,
            config,
            gpu,
            is_lost,
        })
    }

    /// A window of no size, when it is minimized, has no surface.
    fn resize(&mut self, width: u32, height: u32) {
        if width > 0 && height > 0 {
            (self.config.width, self.config.height) = (width, height);
            self.surface.configure(self.gpu.device(), &self.config);
        }
    }

    fn take_network(&mut self) -> selfnorm::Result<()> {
        if let Some(coming) = &self.coming {
            match coming.try_recv() {
                Ok(model) => {
                    self.scene.model = Some(model?);
                    self.coming = None;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.coming = None,
            }
        }
        Ok(())
    }

    /// Draws a frame, unless the window cannot be drawn to now.
    fn draw(&mut self, divider: f32, meter: &mut Meter) -> Result<(), Box<dyn Error>> {
        use wgpu::CurrentSurfaceTexture::*;
        self.take_network()?;
        let (texture, is_outdated) = match self.surface.get_current_texture() {
            Success(texture) => (texture, false),
            Suboptimal(texture) => (texture, true),
            Outdated | Lost => {
                self.surface.configure(self.gpu.device(), &self.config);
                return Ok(());
            }
            Timeout | Occluded | Validation => return Ok(()),
        };
        let began = Instant::now();
        let view = texture.texture.create_view(&wgpu::TextureViewDescriptor {
            format: self.config.view_formats.first().copied(),
            ..Default::default()
        });
        let device = self.gpu.device();
        let mut encoder = device.create_command_encoder(&Default::default());
        let size = [self.config.width, self.config.height];
        self.scene.record(&mut encoder, &view, size, divider)?;
        self.gpu.queue().submit([encoder.finish()]);
        let time = began.elapsed();
        self.window.pre_present_notify();
        self.gpu.queue().present(texture);
        if self.scene.model.is_some() {
            meter.frames.add(time);
            meter.calls.add(self.scene.calls);
        }
        if is_outdated {
            self.surface.configure(self.gpu.device(), &self.config);
        }
        Ok(())
    }

    fn title(&self) -> String {
        let Some(model) = &self.scene.model else {
            return "denoiser: compiling".into();
        };
        let mut title = format!("denoiser: step {}", model.step());
        if let Some(loss) = self.scene.loss {
            title += &format!(", error {loss:.4}");
        }
        if let Some(times) = self.scene.times {
            let (training, inference) = (times.training_ms, times.inference_ms);
            title += &format!(", GPU: training {training:.1} ms, denoising {inference:.1} ms");
        }
        title
    }
}

impl App {
    fn start(&mut self, events: &ActiveEventLoop) -> Result<(), Box<dyn Error>> {
        let window = match self.graphics.take() {
            // All that was on the device is gone with it.
            Some(lost) => lost.window.clone(),
            None => {
                let attributes = Window::default_attributes()
                    .with_title("denoiser")
                    .with_inner_size(LogicalSize::new(960, 600));
                Arc::new(events.create_window(attributes)?)
            }
        };
        window.request_redraw();
        self.graphics = Some(Graphics::new(events, window, self.arguments.budget_ms)?);
        Ok(())
    }

    fn redraw(&mut self, events: &ActiveEventLoop) -> Result<(), Box<dyn Error>> {
        let Some(graphics) = &mut self.graphics else {
            return Ok(());
        };
        if graphics.is_lost.load(Ordering::Acquire) {
            eprintln!("the GPU device was lost; starting again");
            return self.start(events);
        }
        match graphics.draw(self.divider, &mut self.meter) {
            // The callback has told of it, or will.
            Err(error) if matches!(error.downcast_ref(), Some(selfnorm::Error::DeviceLost)) => {}
            result => result?,
        }
        self.frames = self.meter.frames.count();
        if self.arguments.lose_device == Some(self.frames) {
            self.arguments.lose_device = None;
            meter::lose(graphics.gpu.device());
        }
        if self.frames.is_multiple_of(8) {
            graphics.window.set_title(&graphics.title());
        }
        if self.arguments.frames == Some(self.frames) {
            println!("{}", self.meter.report());
            events.exit();
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
                    graphics.resize(size.width, size.height);
                    graphics.window.request_redraw();
                }
            }
            WindowEvent::CursorMoved { position, .. } => {
                if let Some(graphics) = &self.graphics {
                    self.divider = position.x as f32 / graphics.config.width as f32;
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
