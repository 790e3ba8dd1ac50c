// sums = left * right, with left [rows, inner] and right [inner, columns], and what follows. How the
// sums are cut into tiles depends on the device. An op says where the operands' values are:
//
// left_line(left_digits(row)) and right_line(column): the part of a place that depends on the line;
// left_next_digits gives the digits of the next row;
// left_first(k) and right_first(k): the part that depends on the inner k; left_next and right_next give
// the one for the next inner, or for a run of eight further: neither takes a division;
// left_place and right_place: the index into the operand; for left also OUTSIDE for a 0 that is stored
// nowhere (padding), or ONE for a 1 (the input of the biases).

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

// (row, column) of a tile. The longer side is walked along slowly: consecutive tiles need the same part
// of the larger operand, and all of the smaller one stays in caches.
fn tile_place(tile: u32, down: u32, across: u32, q: ProductParams) -> vec2u {
    if (q.rows < q.columns) {
        return vec2u(tile % down, tile / down);
    }
    return vec2u(tile / across, tile % across);
}
