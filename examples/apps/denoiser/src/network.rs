//! The network: 40 × 40 pixels of a noisy frame to the light on the 32 × 32 in their middle.

use selfnorm::nn::{Activation, Adam, Conv2d, Initializer, Loss, Sequential};
use selfnorm::{Gpu, Result};

/// Noisy light, distance, normal and albedo.
pub const CHANNELS: usize = 8;
/// Of a tile, in pixels.
pub const TILE: usize = 32;
/// What the convolutions take off on each side: 2 + 1 + 1.
pub const HALO: usize = 4;
/// The side of what the network sees.
pub const SIDE: usize = TILE + 2 * HALO;

/// Tiles overlap, so that the network, whose convolutions pad nothing, leaves no seams. It submits the
/// weights.
pub fn build(gpu: &Gpu) -> Result<Sequential> {
    let conv = |filters, side| {
        Conv2d::new(filters, [side, side])
            .kernel_initializer(Initializer::LecunNormal)
            .activation(Activation::Selu)
    };
    let mut model = Sequential::new([SIDE, SIDE, CHANNELS])
        .add(conv(16, 5))
        .add(conv(16, 3))
        .add(conv(3, 3).activation(Activation::Linear))
        .build(gpu, 1)?;
    model.compile(Adam::new(4e-3), Loss::MeanSquaredError)?;
    Ok(model)
}
