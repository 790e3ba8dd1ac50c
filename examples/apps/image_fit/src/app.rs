//! The window.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eframe::egui::{
    self, Color32, ColorImage, Rect, Slider, TextureHandle, TextureOptions, Ui, Vec2,
};
use eframe::egui_wgpu::{Callback, CallbackResources, CallbackTrait, ScreenDescriptor};
use eframe::{CreationContext, egui_wgpu::RenderState};
use egui_plot::{Line, Plot};
use meter::{Arguments, Meter};
use selfnorm::nn::{Activation, Sequential};
use selfnorm::wgpu;

use crate::fit::{Design, Fit, SIDE, prepare};
use crate::target;

const ACTIVATIONS: [(&str, Activation); 3] = [
    ("SELU", Activation::Selu),
    ("ReLU", Activation::Relu),
    // What SIREN's layers are with weights of variance 1/n.
    ("sine", Activation::Sine(std::f64::consts::SQRT_2)),
];

/// Points of the curve; with more, every second one goes.
const MAX_POINTS: usize = 2000;

pub struct App {
    fit: Arc<Mutex<Fit>>,
    design: Design,
    learning_rate: f64,
    /// The network that a thread is preparing, and a picture that it is reading.
    coming: Option<Coming>,
    dropped: Option<Receiver<Result<Vec<u8>, String>>>,
    target: TextureHandle,
    curve: Curve,
    message: Option<String>,
    device: wgpu::Device,
    is_lost: Arc<AtomicBool>,
    arguments: Arguments,
    meter: Meter,
    frames: u64,
}

struct Coming {
    model: Receiver<selfnorm::Result<Sequential>>,
    percent: Arc<AtomicU32>,
}

/// The loss, by steps.
#[derive(Default)]
struct Curve {
    points: Vec<[f64; 2]>,
    /// Of how many scores one is a point.
    every: usize,
    seen: usize,
    last_step: u64,
    mean: Option<f64>,
}

impl Curve {
    fn add(&mut self, step: u64, loss: f64) {
        if step == self.last_step {
            return;
        }
        // Of several steps in a frame only the last one's score is known, and stands for all.
        let steps = step.saturating_sub(self.last_step);
        self.last_step = step;
        let mean = self.mean.unwrap_or(loss);
        let mean = loss + 0.95f64.powf(steps as f64) * (mean - loss);
        self.mean = Some(mean);
        if self.seen.is_multiple_of(self.every.max(1)) {
            // Its logarithm is drawn.
            let mean = mean.max(1e-12);
            self.points.push([step as f64, mean.log10()]);
        }
        self.seen += 1;
        if self.points.len() >= MAX_POINTS {
            let mut is_even = false;
            self.points.retain(|_| {
                is_even = !is_even;
                is_even
            });
            self.every = 2 * self.every.max(1);
        }
    }

    /// Of colours from 0 to 1.
    fn psnr(&self) -> Option<f64> {
        self.mean.map(|loss| -10.0 * loss.log10())
    }
}

impl App {
    pub fn new(
        context: &CreationContext,
        arguments: &Arguments,
        is_lost: &Arc<AtomicBool>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let state: &RenderState = context
            .wgpu_render_state
            .as_ref()
            .ok_or("eframe has no wgpu")?;
        let (lost, egui) = (is_lost.clone(), context.egui_ctx.clone());
        state.device.set_device_lost_callback(move |_, _| {
            lost.store(true, Ordering::Release);
            egui.request_repaint();
        });
        let mut fit = Fit::new(state, arguments.budget_ms)?;
        let picture = match arguments.rest.first() {
            Some(path) => target::load(&PathBuf::from(path))?,
            None => target::drawn(),
        };
        fit.set_picture(&picture);
        let mut app = Self {
            fit: Arc::new(Mutex::new(fit)),
            design: Design {
                width: 64,
                activation: Activation::Selu,
            },
            learning_rate: 5e-3,
            coming: None,
            dropped: None,
            target: context.egui_ctx.load_texture(
                "target",
                as_image(&picture),
                TextureOptions::NEAREST,
            ),
            curve: Curve::default(),
            message: None,
            device: state.device.clone(),
            is_lost: is_lost.clone(),
            arguments: arguments.clone(),
            meter: Meter::default(),
            frames: 0,
        };
        app.prepare();
        Ok(app)
    }

    /// Makes the network, and prepares it on a thread, so that the window does not wait for the compiler.
    fn prepare(&mut self) {
        let (sender, receiver) = mpsc::channel();
        let gpu = lock(&self.fit).gpu().clone();
        match self.design.build(&gpu) {
            Ok(model) => {
                let percent = Arc::new(AtomicU32::new(0));
                let shared = percent.clone();
                std::thread::spawn(move || {
                    // An error here means that the window is closed.
                    let progress =
                        |done: f32| shared.store((100.0 * done) as u32, Ordering::Relaxed);
                    let _ = sender.send(prepare(model, progress));
                });
                self.coming = Some(Coming {
                    model: receiver,
                    percent,
                });
            }
            Err(error) => self.message = Some(error.to_string()),
        }
    }

    /// Takes over what threads have finished.
    fn take(&mut self) {
        if let Some(coming) = &self.coming {
            match coming.model.try_recv() {
                Ok(Ok(mut model)) => {
                    let rate = model.set_learning_rate(self.learning_rate);
                    self.message = rate.err().map(|error| error.to_string());
                    lock(&self.fit).restart(model);
                    self.curve = Curve::default();
                    self.coming = None;
                }
                Ok(Err(error)) => {
                    self.message = Some(error.to_string());
                    self.coming = None;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.coming = None,
            }
        }
        if let Some(dropped) = &self.dropped {
            match dropped.try_recv() {
                Ok(Ok(picture)) => {
                    lock(&self.fit).set_picture(&picture);
                    self.target.set(as_image(&picture), TextureOptions::NEAREST);
                    self.curve = Curve::default();
                    self.dropped = None;
                }
                Ok(Err(error)) => {
                    self.message = Some(error);
                    self.dropped = None;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => self.dropped = None,
            }
        }
    }

    fn accept_drop(&mut self, egui: &egui::Context) {
        let path = egui.input(|input| {
            input
                .raw
                .dropped_files
                .first()
                .map(|file| file.path().to_path_buf())
        });
        if let Some(path) = path {
            let (sender, picture) = mpsc::channel();
            std::thread::spawn(move || {
                let _ = sender.send(target::load(&path));
            });
            self.dropped = Some(picture);
        }
    }

    fn controls(&mut self, ui: &mut Ui) {
        ui.heading("Image fit");
        ui.label("Drop a picture on the window.");
        ui.separator();

        let before = self.design;
        ui.add(
            Slider::new(&mut self.design.width, 16..=128)
                .step_by(16.0)
                .text("width"),
        );
        ui.horizontal(|ui| {
            for (name, activation) in ACTIVATIONS {
                ui.selectable_value(&mut self.design.activation, activation, name);
            }
        });
        let again = ui.button("Start again").clicked();
        if self.coming.is_none() && (self.design != before || again) {
            self.prepare();
        } else if self.coming.is_some() {
            // One at a time.
            self.design = before;
        }
        let rate = Slider::new(&mut self.learning_rate, 1e-4..=1e-1).logarithmic(true);
        let mut fit = lock(&self.fit);
        if ui.add(rate.text("learning rate")).changed()
            && let Some(model) = &mut fit.model
            && let Err(error) = model.set_learning_rate(self.learning_rate)
        {
            self.message = Some(error.to_string());
        }
        ui.add(
            Slider::new(&mut fit.budget.ms, 1.0..=500.0)
                .logarithmic(true)
                .text("ms of the GPU"),
        );
        ui.separator();

        if let Some(psnr) = self.curve.psnr() {
            ui.label(format!("PSNR {psnr:.1} dB"));
        }
        if let Some(model) = &fit.model {
            ui.label(format!(
                "step {}, {} a frame",
                model.step(),
                fit.budget.steps()
            ));
        }
        let dt = ui.input(|input| input.stable_dt);
        ui.label(format!("frame {:.1} ms", 1e3 * dt));
        ui.label(format!(
            "CPU {:.2} ms, selfnorm {:.2} ms",
            self.meter.frames.last, self.meter.calls.last
        ));
        if let Some(times) = fit.times {
            ui.label(format!("GPU: training {:.1} ms", times.training_ms));
            let share = 100.0 * times.work.share;
            ui.label(format!(
                "GPU: {share:.0} % of the picture {:.1} ms",
                times.inference_ms
            ));
        }
        if let Some(error) = fit
            .error
            .as_ref()
            .map(ToString::to_string)
            .or(self.message.clone())
        {
            ui.colored_label(Color32::LIGHT_RED, error);
        }
    }

    fn pictures(&mut self, ui: &mut Ui) {
        let gap = ui.spacing().item_spacing.x;
        let side = (0.5 * (ui.available_width() - gap))
            .min(0.65 * ui.available_height())
            .max(32.0);
        ui.horizontal(|ui| {
            ui.add(egui::Image::new(&self.target).fit_to_exact_size(Vec2::splat(side)));
            let (rect, _) = ui.allocate_exact_size(Vec2::splat(side), egui::Sense::hover());
            if lock(&self.fit).model.is_some() {
                let part = FramePart(self.fit.clone());
                ui.painter().add(Callback::new_paint_callback(rect, part));
            }
            if let Some(coming) = &self.coming {
                progress(ui, rect, coming);
            }
        });
        let points = self.curve.points.clone();
        Plot::new("loss")
            .y_axis_label("mean squared error")
            .y_axis_formatter(|mark, _| format!("{:.1e}", 10f64.powf(mark.value)))
            .x_axis_label("step")
            .allow_drag(false)
            .allow_scroll(false)
            .show(ui, |plot| plot.line(Line::new("loss", points)));
    }

    /// Ends the run if it has been scripted so; the previous frame's times are known by now.
    fn count(&mut self, egui: &egui::Context, frame: &eframe::Frame) {
        if self.is_lost.load(Ordering::Acquire) {
            egui.send_viewport_cmd(egui::ViewportCommand::Close);
            return;
        }
        let fit = lock(&self.fit);
        if fit.model.is_none() {
            return;
        }
        self.frames += 1;
        if let Some(seconds) = frame.info().cpu_usage {
            self.meter.frames.add(Duration::from_secs_f32(seconds));
            self.meter.calls.add(fit.calls);
        }
        drop(fit);
        if self.arguments.lose_device == Some(self.frames) {
            meter::lose(&self.device);
        }
        if self
            .arguments
            .frames
            .is_some_and(|frames| self.frames > frames)
        {
            println!("{}", self.meter.report());
            self.arguments.frames = None;
            egui.send_viewport_cmd(egui::ViewportCommand::Close);
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, egui: &egui::Context, frame: &mut eframe::Frame) {
        self.count(egui, frame);
        self.take();
    }

    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        if self.is_lost.load(Ordering::Acquire) {
            // egui-wgpu panics when it has something to draw on a lost device.
            return;
        }
        self.accept_drop(ui.ctx());
        let score = lock(&self.fit).score;
        if let Some((step, loss)) = score {
            self.curve.add(step, loss);
        }
        egui::Panel::left("controls")
            .resizable(false)
            .show(ui, |ui| self.controls(ui));
        egui::CentralPanel::default().show(ui, |ui| self.pictures(ui));
        ui.ctx().request_repaint();
    }
}

fn progress(ui: &mut Ui, rect: Rect, coming: &Coming) {
    ui.painter()
        .rect_filled(rect, 0.0, Color32::from_black_alpha(160));
    let share = coming.percent.load(Ordering::Relaxed) as f32 / 100.0;
    let bar = Rect::from_center_size(rect.center(), Vec2::new(0.7 * rect.width(), 20.0));
    ui.put(bar, egui::ProgressBar::new(share).text("compiling"));
}

/// What training and inference are in egui's frame.
struct FramePart(Arc<Mutex<Fit>>);

impl CallbackTrait for FramePart {
    fn prepare(
        &self,
        _: &wgpu::Device,
        _: &wgpu::Queue,
        _: &ScreenDescriptor,
        encoder: &mut wgpu::CommandEncoder,
        _: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        lock(&self.0).record(encoder);
        Vec::new()
    }

    fn paint(
        &self,
        _: egui::PaintCallbackInfo,
        pass: &mut wgpu::RenderPass<'static>,
        _: &CallbackResources,
    ) {
        lock(&self.0).show(pass);
    }
}

fn as_image(rgba: &[u8]) -> ColorImage {
    ColorImage::from_rgba_unmultiplied([SIDE, SIDE], rgba)
}

fn lock(fit: &Mutex<Fit>) -> MutexGuard<'_, Fit> {
    fit.lock().unwrap_or_else(PoisonError::into_inner)
}
