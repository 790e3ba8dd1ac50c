// The right operand of a product, a value at a time.
@group(0) @binding(1) var<storage, read_write> right: array<f32>;

fn biases(i: u32) -> vec4f {
    if (LANE_VALUES == 1u) {
        return vec4f(right[i]);
    }
    return vec4f(right[i], right[i + 1u], right[i + 2u], right[i + 3u]);
}
