// Weights, one at a time: for hidden layers of any width.
@group(0) @binding(1) var<storage, read_write> weights: array<f32>;

fn weight_at(i: u32) -> f32 { return weights[i]; }

fn weights_four(first: u32, column: u32, layer: Layer) -> vec4f { return values_four(first, column, layer); }
