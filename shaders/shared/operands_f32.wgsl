// The operands of a product, a value at a time.
@group(0) @binding(0) var<storage, read_write> left: array<f32>;
@group(0) @binding(1) var<storage, read_write> right: array<f32>;

fn right_value(i: u32) -> f32 { return right[i]; }

fn left_at(line: vec4i, k: u32, q: ProductParams) -> f32 {
    let place = left_place(line, k, q);
    let value = left[u32(max(place, 0))];
    return select(value, f32(OUTSIDE - place), place < 0);
}

fn right_at(line: vec4i, k: u32, q: ProductParams) -> f32 {
    return right[right_place(line, k, q)];
}
