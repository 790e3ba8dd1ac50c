// Blocks of 4 lines and 4 inners, a value at a time.
@group(0) @binding(0) var<storage, read_write> left: array<f32>;

fn left_at(line: vec4i, at: vec4i, q: ProductParams) -> f32 {
    let place = left_place(line, at, q);
    let value = left[u32(max(place, 0))];
    return select(value, f32(OUTSIDE - place), place < 0);
}

fn left_inner(lines: Fours, at: vec4i, q: ProductParams) -> vec4f {
    return vec4f(left_at(lines.l0, at, q), left_at(lines.l1, at, q), left_at(lines.l2, at, q), left_at(lines.l3, at, q));
}

fn left_block(lines: Fours, at: vec4i, q: ProductParams) -> mat4x4f {
    let at_1 = left_next(at, 1, q);
    let at_2 = left_next(at_1, 1, q);
    let at_3 = left_next(at_2, 1, q);
    return mat4x4f(
        left_inner(lines, at, q), left_inner(lines, at_1, q), left_inner(lines, at_2, q), left_inner(lines, at_3, q),
    );
}

fn right_inner(lines: Fours, at: vec4i, q: ProductParams) -> vec4f {
    return vec4f(
        right[right_place(lines.l0, at, q)], right[right_place(lines.l1, at, q)],
        right[right_place(lines.l2, at, q)], right[right_place(lines.l3, at, q)],
    );
}

fn right_block(lines: Fours, at: vec4i, q: ProductParams) -> mat4x4f {
    let at_1 = right_next(at, 1, q);
    let at_2 = right_next(at_1, 1, q);
    let at_3 = right_next(at_2, 1, q);
    return mat4x4f(
        right_inner(lines, at, q), right_inner(lines, at_1, q), right_inner(lines, at_2, q), right_inner(lines, at_3, q),
    );
}
