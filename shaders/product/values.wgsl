// Slices of one inner, for operands whose extents are not multiples of 8: left a value at a time, right
// in lanes of the sums.
const SLICE = 1u;

// The part of left that is loaded at a time; eight pieces make a slice.
alias Piece = f32;
const PIECES_ARE_LINES = true;

// Eight lines.
struct Slice { a: vec4f, b: vec4f }

@group(0) @binding(0) var<storage, read_write> left: array<f32>;
@group(0) @binding(1) var<storage, read_write> right: array<Lane>;

fn biases(i: u32) -> vec4f { return widen(right[i / LANE_VALUES]); }

fn left_piece(line: vec4i, at: vec4i, q: ProductParams) -> Piece {
    let place = left_place(line, at, q);
    let value = left[u32(max(place, 0))];
    return select(value, f32(OUTSIDE - place), place < 0);
}

fn right_at(line: vec4i, at: vec4i, q: ProductParams) -> f32 {
    let place = right_place(line, at, q);
    return value_of(right[place / LANE_VALUES], place % LANE_VALUES);
}

// The values of four neighbouring columns.
fn right_four(l0: vec4i, l1: vec4i, l2: vec4i, l3: vec4i, at: vec4i, q: ProductParams) -> vec4f {
    if (RIGHT_ALONG_INNER == 0u && LANE_VALUES == 4u) {
        return widen(right[right_place(l0, at, q) / LANE_VALUES]);
    }
    return vec4f(right_at(l0, at, q), right_at(l1, at, q), right_at(l2, at, q), right_at(l3, at, q));
}

fn left_slice_of(e0: Piece, e1: Piece, e2: Piece, e3: Piece, e4: Piece, e5: Piece, e6: Piece, e7: Piece) -> Slice {
    return Slice(vec4f(e0, e1, e2, e3), vec4f(e4, e5, e6, e7));
}

fn right_slice(lines: Lines, at: vec4i, q: ProductParams) -> Slice {
    return Slice(
        right_four(lines.l0, lines.l1, lines.l2, lines.l3, at, q),
        right_four(lines.l4, lines.l5, lines.l6, lines.l7, at, q),
    );
}

fn left_next_slice(at: vec4i, q: ProductParams) -> vec4i { return left_next(at, 1, q); }
fn right_next_slice(at: vec4i, q: ProductParams) -> vec4i { return right_next(at, 1, q); }

// The products of four rows and four columns, a row in each column of the matrix.
fn outer(rows: vec4f, columns: vec4f) -> mat4x4f {
    return mat4x4f(columns * rows.x, columns * rows.y, columns * rows.z, columns * rows.w);
}

fn accumulate(s: Octet, l: Slice, r: Slice) -> Octet {
    return Octet(s.t00 + outer(l.a, r.a), s.t01 + outer(l.a, r.b), s.t10 + outer(l.b, r.a), s.t11 + outer(l.b, r.b));
}
