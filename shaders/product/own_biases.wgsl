// Biases in a tensor of their own. [columns]
@group(0) @binding(3) var<storage, read_write> bias: array<Lane>;

fn own_biased(column: u32, sum: vec4f) -> vec4f { return sum + widen(bias[column / LANE_VALUES]); }
