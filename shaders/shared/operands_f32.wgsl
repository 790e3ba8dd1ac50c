// The operands of a product, a value at a time.
@group(0) @binding(0) var<storage, read_write> left: array<f32>;
@group(0) @binding(1) var<storage, read_write> right: array<f32>;

fn biases(i: u32) -> vec4f {
    if (LANE_VALUES == 1u) {
        return vec4f(right[i]);
    }
    return vec4f(right[i], right[i + 1u], right[i + 2u], right[i + 3u]);
}

fn left_at(line: vec4i, at: vec4i, q: ProductParams) -> f32 {
    let place = left_place(line, at, q);
    let value = left[u32(max(place, 0))];
    return select(value, f32(OUTSIDE - place), place < 0);
}

fn right_at(line: vec4i, at: vec4i, q: ProductParams) -> f32 {
    return right[right_place(line, at, q)];
}
