// sums = left * right, with left [rows, inner] and right [inner, columns], and what follows. How the
// sums are cut into tiles is a matter of the device. An op says where the operands' values lie:
//
// left_line(left_digits(row)) and right_line(column): what of a place depends on the line, and
// left_next_digits those of the next row;
// left_first(k) and right_first(k): what depends on the inner k, and left_next and right_next the same
// of an inner that is one more, or a run of eight more: neither takes a division;
// left_place and right_place: the index into the operand, or of left OUTSIDE for a 0 that is nowhere
// (padding), or ONE for a 1 (the input of the biases).

const OUTSIDE = -1;
const ONE = -2;

// [chunks, rows, columns]: the sums, plus the biases
@group(0) @binding(2) var<storage, read_write> sums: array<Lane>;

fn biased(column: u32, sum: vec4f, q: ProductParams) -> vec4f {
    if (BIAS == 0u) {
        return sum;
    }
    return sum + biases(q.bias + column);
}

// (row, column) of a tile. The longer side is walked along slowly: tiles that follow each other take the
// same part of the larger operand, and all of the smaller one stays in caches.
fn tile_place(tile: u32, down: u32, across: u32, q: ProductParams) -> vec2u {
    if (q.rows < q.columns) {
        return vec2u(tile % down, tile / down);
    }
    return vec2u(tile / across, tile % across);
}
