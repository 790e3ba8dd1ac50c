//! Runs the plugin without a window, and prints how the network learns.

use std::time::Duration;

use bevy::app::ScheduleRunnerPlugin;
use bevy::prelude::*;
use bevy::render::renderer::{FlushCommands, RenderGraph, RenderGraphSystems};
use bevy::render::{Render, RenderApp, RenderSystems};
use bevy_network::{Network, NetworkPlugin};

const STEPS: u64 = 500;

fn main() {
    let mut app = App::new();
    app.add_plugins(DefaultPlugins)
        .add_plugins(ScheduleRunnerPlugin::run_loop(Duration::from_millis(1)))
        .add_plugins(NetworkPlugin);
    if let Some(render) = app.get_sub_app_mut(RenderApp) {
        render
            .add_systems(Render, report.in_set(RenderSystems::Cleanup))
            // bevy_render by itself has no system that submits what the graph has recorded.
            .add_systems(RenderGraph, submit.in_set(RenderGraphSystems::Submit));
    }
    app.run();
}

fn submit(mut commands: FlushCommands) {
    commands.flush();
}

fn report(mut network: ResMut<Network>, mut loss: Local<f64>) -> Result {
    if let Some(score) = network.model.try_score()? {
        *loss = score.loss;
    }
    let step = network.model.step();
    if step.is_multiple_of(50) {
        println!("step {step}: loss {:.5}", *loss);
    }
    if step == STEPS {
        std::process::exit(0);
    }
    Ok(())
}
