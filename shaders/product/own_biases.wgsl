// Biases in a tensor of their own. [columns]
@group(0) @binding(3) var<storage, read_write> bias: array<Lane>;

fn own_biases(column: u32) -> vec4f { return widen(bias[column / LANE_VALUES]); }
