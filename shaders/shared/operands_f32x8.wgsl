// The operands of a product, eight neighbouring values at a time.
struct Eight { a: vec4f, b: vec4f }

@group(0) @binding(0) var<storage, read_write> left: array<Run>;
@group(0) @binding(1) var<storage, read_write> right: array<Run>;

fn right_value(i: u32) -> f32 {
    let run = eight(right[i / 8u]);
    return select(run.b, run.a, i % 8u < 4u)[i % 4u];
}

fn left_run(line: vec4i, k: u32, q: ProductParams) -> Eight {
    let place = left_place(line, k, q);
    let run = eight(left[u32(max(place, 0)) / 8u]);
    if (LEFT_IS_WHOLE != 0u) {
        return run;
    }
    let nowhere = vec4f(f32(OUTSIDE - place));
    return Eight(select(run.a, nowhere, place < 0), select(run.b, nowhere, place < 0));
}

fn right_run(line: vec4i, k: u32, q: ProductParams) -> Eight {
    return eight(right[right_place(line, k, q) / 8u]);
}
