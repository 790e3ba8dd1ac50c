//! A network that is trained and evaluated in Bevy's render graph, on Bevy's device.

use bevy::prelude::*;
use bevy::render::renderer::{
    RenderContext, RenderDevice, RenderGraph, RenderGraphSystems, RenderQueue,
};
use bevy::render::{RenderApp, RenderStartup};
use selfnorm::nn::{Activation, Dense, Initializer, Sequential};
use selfnorm::{Gpu, Tensor};

/// Trains a step and predicts in every frame, before Bevy's cameras render.
pub struct NetworkPlugin;

impl Plugin for NetworkPlugin {
    fn build(&self, app: &mut App) {
        if let Some(render) = app.get_sub_app_mut(RenderApp) {
            render
                // Runs again after a lost device, for which Bevy makes another.
                .add_systems(RenderStartup, build_network)
                .add_systems(RenderGraph, record.in_set(RenderGraphSystems::Begin));
        }
    }
}

/// The network, and the tensors that it works on.
#[derive(Resource)]
pub struct Network {
    gpu: Gpu,
    pub model: Sequential,
    x: Tensor,
    target: Tensor,
    /// The prediction. `y.binding()` binds it in the application's own bind groups.
    pub y: Tensor,
}

/// Points of the square from −1 to 1, on a grid of so many a side.
const SIDE: usize = 32;

impl Network {
    fn new(device: &RenderDevice, queue: &RenderQueue) -> selfnorm::Result<Self> {
        let gpu = Gpu::from_wgpu(device.wgpu_device().clone(), (**queue).clone())?;
        let selu = |units| {
            let layer = Dense::new(units).kernel_initializer(Initializer::LecunNormal);
            layer.activation(Activation::Selu)
        };
        let model = Sequential::new([2])
            .add(selu(32))
            .add(selu(32))
            .add(Dense::new(1))
            .build(&gpu, 42)?;
        let at = |i: usize| 2.0 * i as f32 / (SIDE - 1) as f32 - 1.0;
        let points = (0..SIDE * SIDE).map(|i| [at(i % SIDE), at(i / SIDE)]);
        let (x, y): (Vec<_>, Vec<_>) = points
            .map(|[u, v]| ([u, v], (3.0 * u).sin() * (2.0 * v).cos()))
            .unzip();
        let rows = x.len();
        Ok(Self {
            x: gpu.tensor(x.as_flattened(), [rows, 2])?,
            target: gpu.tensor(&y, [rows, 1])?,
            y: gpu.zeros([rows, 1])?,
            model,
            gpu,
        })
    }
}

fn build_network(
    device: Res<RenderDevice>,
    queue: Res<RenderQueue>,
    mut commands: Commands,
) -> Result {
    commands.insert_resource(Network::new(&device, &queue)?);
    Ok(())
}

/// Into the encoder of Bevy's frame, which Bevy submits.
fn record(network: ResMut<Network>, mut context: RenderContext) -> Result {
    let Network {
        gpu,
        model,
        x,
        target,
        y,
    } = network.into_inner();
    let mut pass = gpu.pass(context.command_encoder());
    pass.train_on_batch(model, x, target)?;
    pass.predict(model, x, y)?;
    Ok(())
}
