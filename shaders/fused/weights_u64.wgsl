// Weights as runs of eight: for hidden layers whose outputs are multiples of 8, where each load costs time.
@group(0) @binding(1) var<storage, read_write> weights: array<Run>;

fn weight_at(i: u32) -> f32 {
    let two = weights[i / 8u][i / 2u % 4u];
    return bitcast<f32>(u32(select(two, two >> 32u, i % 2u == 1u)));
}
