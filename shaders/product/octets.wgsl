// Slices of eight inners, loaded eight neighbouring values at a time.
const SLICE = 8u;

// 8 lines and 8 inners, in quarters. In a left slice, a column of a matrix is a line: t01 has lines 0
// to 3 at inner 4 to 7. In a right slice, a column is an inner: t01 has inner 0 to 3 at columns 4 to 7.
alias Slice = Octet;

struct Eight { a: vec4f, b: vec4f }

// The part of left that is loaded at a time: eight inners of a line, or eight lines of an inner. Eight
// pieces make a slice.
alias Piece = Eight;
const PIECES_ARE_LINES = LEFT_ALONG_INNER != 0u;

@group(0) @binding(0) var<storage, read_write> left: array<Run>;
@group(0) @binding(1) var<storage, read_write> right: array<Run>;

// The biases of a lane of four.
fn biases(i: u32) -> vec4f {
    let run = eight(right[i / 8u]);
    return select(run.b, run.a, i % 8u < 4u);
}

fn left_piece(line: vec4i, at: vec4i, q: ProductParams) -> Piece {
    let place = left_place(line, at, q);
    let run = eight(left[u32(max(place, 0)) / 8u]);
    if (LEFT_IS_WHOLE != 0u) {
        return run;
    }
    let nowhere = vec4f(f32(OUTSIDE - place));
    return Eight(select(run.a, nowhere, place < 0), select(run.b, nowhere, place < 0));
}

fn right_run(line: vec4i, at: vec4i, q: ProductParams) -> Eight {
    return eight(right[right_place(line, at, q) / 8u]);
}

fn octet(e0: Eight, e1: Eight, e2: Eight, e3: Eight, e4: Eight, e5: Eight, e6: Eight, e7: Eight) -> Slice {
    return Slice(
        mat4x4f(e0.a, e1.a, e2.a, e3.a), mat4x4f(e0.b, e1.b, e2.b, e3.b),
        mat4x4f(e4.a, e5.a, e6.a, e7.a), mat4x4f(e4.b, e5.b, e6.b, e7.b),
    );
}

fn transposed(o: Slice) -> Slice {
    return Slice(transpose(o.t00), transpose(o.t10), transpose(o.t01), transpose(o.t11));
}

fn left_slice_of(e0: Piece, e1: Piece, e2: Piece, e3: Piece, e4: Piece, e5: Piece, e6: Piece, e7: Piece) -> Slice {
    let tile = octet(e0, e1, e2, e3, e4, e5, e6, e7);
    if (PIECES_ARE_LINES) {
        return tile;
    }
    return transposed(tile);
}

// The position one slice further.
fn left_next_slice(at: vec4i, q: ProductParams) -> vec4i {
    if (LEFT_ALONG_INNER != 0u) {
        return left_next(at, 8, q);
    }
    let at_2 = left_next(left_next(at, 1, q), 1, q);
    let at_4 = left_next(left_next(at_2, 1, q), 1, q);
    let at_6 = left_next(left_next(at_4, 1, q), 1, q);
    return left_next(left_next(at_6, 1, q), 1, q);
}

fn right_slice(lines: Lines, at: vec4i, q: ProductParams) -> Slice {
    if (RIGHT_ALONG_INNER == 0u) {
        // A run is eight columns.
        let line = lines.l0;
        let at_1 = right_next(at, 1, q);
        let at_2 = right_next(at_1, 1, q);
        let at_3 = right_next(at_2, 1, q);
        let at_4 = right_next(at_3, 1, q);
        let at_5 = right_next(at_4, 1, q);
        let at_6 = right_next(at_5, 1, q);
        let at_7 = right_next(at_6, 1, q);
        let tile = octet(
            right_run(line, at, q), right_run(line, at_1, q), right_run(line, at_2, q), right_run(line, at_3, q),
            right_run(line, at_4, q), right_run(line, at_5, q), right_run(line, at_6, q), right_run(line, at_7, q),
        );
        return tile;
    }
    let tile = octet(
        right_run(lines.l0, at, q), right_run(lines.l1, at, q), right_run(lines.l2, at, q), right_run(lines.l3, at, q),
        right_run(lines.l4, at, q), right_run(lines.l5, at, q), right_run(lines.l6, at, q), right_run(lines.l7, at, q),
    );
    return transposed(tile);
}

// The position one slice further.
fn right_next_slice(at: vec4i, q: ProductParams) -> vec4i {
    if (RIGHT_ALONG_INNER != 0u) {
        return right_next(at, 8, q);
    }
    let at_2 = right_next(right_next(at, 1, q), 1, q);
    let at_4 = right_next(right_next(at_2, 1, q), 1, q);
    let at_6 = right_next(right_next(at_4, 1, q), 1, q);
    return right_next(right_next(at_6, 1, q), 1, q);
}

fn accumulate(s: Octet, l: Slice, r: Slice) -> Octet {
    return Octet(
        s.t00 + r.t00 * l.t00 + r.t10 * l.t01, s.t01 + r.t01 * l.t00 + r.t11 * l.t01,
        s.t10 + r.t00 * l.t10 + r.t10 * l.t11, s.t11 + r.t01 * l.t10 + r.t11 * l.t11,
    );
}
