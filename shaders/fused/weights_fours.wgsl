// Weights, four at a time: for hidden layers whose outputs are multiples of 4.
@group(0) @binding(1) var<storage, read_write> weights: array<vec4f>;

fn weight_at(i: u32) -> f32 { return weights[i / 4u][i % 4u]; }

// Four columns of the line that begins at `first`. Columns beyond the last repeat it.
fn weights_four(first: u32, column: u32, layer: Layer) -> vec4f {
    return weights[(first + min(column, layer.outputs - 4u)) / 4u];
}
