//! Writes the seeds: `cargo run --manifest-path fuzz/Cargo.toml --example seeds`. Networks and
//! packers make them, so they change only if a format does. Those called earlier are as the crate once wrote them.

use std::fs;
use std::io::{Result, Write};
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use safetensors::tensor::{Dtype as Stored, TensorView, serialize};
use selfnorm::Gpu;
use selfnorm::nn::{Dtype, Mapping, Origin};
use selfnorm_fuzz::network::{Kind, Network, torch};

fn main() -> Result<()> {
    let saved = |kind| Network::new(kind).saved();
    let (weights, checkpoint) = (saved(Kind::Weights), saved(Kind::Checkpoint));
    let model = saved(Kind::Model);
    // Of a network that is not the targets'.
    let half = TensorView::new(Stored::F16, vec![2, 3], &[0; 12]).expect("12 bytes");
    let other = serialize([("conv2d/kernel", half)], None).expect("a small file");
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = seeds.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)
    };
    write("weights", "weights", &weights)?;
    write("weights", "checkpoint", &checkpoint)?;
    write("weights", "other", &other)?;
    write("weights", "cut_off", &weights[..weights.len() - 1])?;
    write("checkpoint", "checkpoint", &checkpoint)?;
    write("checkpoint", "weights", &weights)?;
    write("checkpoint", "model", &model)?;
    write("model", "model", &model)?;
    write("model", "checkpoint", &checkpoint)?;
    write("model", "weights", &weights)?;
    // Of the target's network, and what PyTorch has written of another.
    let gpu = Gpu::new().expect("a device");
    let model = torch().build(&gpu, 1).expect("a small network");
    for (name, dtype) in [
        ("own_f32", Dtype::F32),
        ("own_f16", Dtype::F16),
        ("own_bf16", Dtype::Bf16),
    ] {
        let mapping = Mapping::new(Origin::PyTorch).dtype(dtype);
        let file = pollster::block_on(model.to_bytes_with(&mapping));
        write("mapping", name, &file.expect("a file"))?;
    }
    let other = fs::read(seeds.join("../../tests/data/torch/f64.safetensors"))?;
    write("mapping", "f64", &other)?;

    // Two images of 2 × 3 pixels.
    let labels = [0, 0, 8, 1, 0, 0, 0, 2, 7, 9];
    let images = [
        &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3][..],
        &[0, 9, 99, 127, 128, 255, 1, 2, 3, 4, 5, 6],
    ]
    .concat();
    let idx = |flags: u8, labels: &[u8], images: &[u8]| {
        let [low, high] = (labels.len() as u16).to_le_bytes();
        [&[flags, low, high], labels, images].concat()
    };
    let mut bomb = images.clone();
    bomb.resize(1 << 20, 0);
    write("idx", "plain", &idx(0, &labels, &images))?;
    write("idx", "packed", &idx(3, &labels, &images))?;
    write(
        "idx",
        "packed_itself",
        &idx(0, &packed(&labels)?, &packed(&images)?),
    )?;
    write("idx", "bomb", &idx(0, &labels, &packed(&bomb)?))?;
    write(
        "idx",
        "too_many",
        &idx(0, &labels, &[&images[..4], &[255; 12]].concat()),
    )?;

    let rows = format!("{}9\n{}0\n", "16,".repeat(64), "0,".repeat(64));
    write("csv", "rows", rows.as_bytes())?;
    write("csv", "packed", &packed(rows.as_bytes())?)?;
    write("csv", "bomb", &packed(&vec![b'1'; 1 << 21])?)
}

fn packed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}
