// Blocks of 4 lines and 4 inners, four values that are neighbours in memory at a time: inners of a line, or lines of an
// inner.
@group(0) @binding(0) var<storage, read_write> left: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> right: array<vec4f>;

fn biases(i: u32) -> vec4f { return right[i / 4u]; }

fn left_four(line: vec4i, at: vec4i, q: ProductParams) -> vec4f {
    let place = left_place(line, at, q);
    let four = left[u32(max(place, 0)) / 4u];
    if (LEFT_IS_WHOLE != 0u) {
        return four;
    }
    return select(four, vec4f(f32(OUTSIDE - place)), place < 0);
}

fn left_block(lines: Fours, at: vec4i, q: ProductParams) -> mat4x4f {
    if (LEFT_ALONG_INNER != 0u) {
        return transpose(mat4x4f(
            left_four(lines.l0, at, q), left_four(lines.l1, at, q), left_four(lines.l2, at, q), left_four(lines.l3, at, q),
        ));
    }
    let at_1 = left_next(at, 1, q);
    let at_2 = left_next(at_1, 1, q);
    let at_3 = left_next(at_2, 1, q);
    return mat4x4f(
        left_four(lines.l0, at, q), left_four(lines.l0, at_1, q), left_four(lines.l0, at_2, q), left_four(lines.l0, at_3, q),
    );
}

fn right_four(line: vec4i, at: vec4i, q: ProductParams) -> vec4f {
    return right[right_place(line, at, q) / 4u];
}

fn right_block(lines: Fours, at: vec4i, q: ProductParams) -> mat4x4f {
    if (RIGHT_ALONG_INNER != 0u) {
        return transpose(mat4x4f(
            right_four(lines.l0, at, q), right_four(lines.l1, at, q),
            right_four(lines.l2, at, q), right_four(lines.l3, at, q),
        ));
    }
    let at_1 = right_next(at, 1, q);
    let at_2 = right_next(at_1, 1, q);
    let at_3 = right_next(at_2, 1, q);
    return mat4x4f(
        right_four(lines.l0, at, q), right_four(lines.l0, at_1, q),
        right_four(lines.l0, at_2, q), right_four(lines.l0, at_3, q),
    );
}
