//! A network learns a picture while it is shown: 32 Fourier features of a pixel → 4 SELU layers → its
//! colour. Training and inference are part of egui's frame: they are recorded into its encoder, and
//! nothing else is submitted, so the window can be resized at any time.
//!
//! `cargo run --release -p image_fit [PICTURE] [--frames N] [--budget MS] [--lose-device N]`

mod app;
mod fit;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eframe::egui_wgpu::{WgpuConfiguration, WgpuSetupCreateNew};
use eframe::{NativeOptions, egui};
use meter::Arguments;
use selfnorm::{Gpu, wgpu};

use app::App;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = Arguments::parse()?;
    loop {
        let is_lost = Arc::new(AtomicBool::new(false));
        let mut setup = WgpuSetupCreateNew::without_display_handle();
        setup.device_descriptor = Arc::new(device_for);
        let options = NativeOptions {
            viewport: egui::ViewportBuilder::default().with_inner_size([960.0, 640.0]),
            wgpu_options: WgpuConfiguration {
                wgpu_setup: setup.into(),
                ..Default::default()
            },
            ..Default::default()
        };
        eframe::run_native(
            "selfnorm: image fit",
            options,
            Box::new(|context| Ok(Box::new(App::new(context, &arguments, &is_lost)?))),
        )?;
        if !is_lost.load(Ordering::Acquire) {
            return Ok(());
        }
        // All that was on the device is gone with it. eframe makes another for a new window.
        eprintln!("the GPU device was lost; starting again");
        arguments.lose_device = None;
    }
}

/// egui's device, with what selfnorm is faster with, and timestamps.
fn device_for(adapter: &wgpu::Adapter) -> wgpu::DeviceDescriptor<'static> {
    wgpu::DeviceDescriptor {
        label: Some("egui and selfnorm"),
        required_features: Gpu::useful_features(adapter)
            | adapter.features() & wgpu::Features::TIMESTAMP_QUERY,
        required_limits: Gpu::useful_limits(adapter),
        ..Default::default()
    }
}
