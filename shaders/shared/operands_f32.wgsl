// The operands of a product, a value at a time.
@group(0) @binding(0) var<storage, read_write> left: array<f32>;

fn left_at(line: vec4i, at: vec4i, q: ProductParams) -> f32 {
    let place = left_place(line, at, q);
    let value = left[u32(max(place, 0))];
    return select(value, f32(OUTSIDE - place), place < 0);
}

fn right_at(line: vec4i, at: vec4i, q: ProductParams) -> f32 {
    return right[right_place(line, at, q)];
}
