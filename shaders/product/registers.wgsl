// For devices where a load costs several multiplications and workgroup memory is no faster than any
// other: 256 sums per invocation, in registers, as four octets: 32 x 8 if invocations side by side
// along the columns share the loads of left, 16 x 16 if each loads its own; or a single octet. A slice is
// the part of an operand that an octet of sums needs at a time.

// 8 x 8 sums in quarters: t01 has rows 0 to 3 of columns 4 to 7, a row in each column of the matrix.
struct Octet { t00: mat4x4f, t01: mat4x4f, t10: mat4x4f, t11: mat4x4f }

// Stores four sums, the first as value i.
fn store_four(i: u32, column: u32, four: vec4f, q: ProductParams) {
    for (var c = 0u; c < 4u && column + c < q.columns; c += LANE_VALUES) {
        sums[(i + c) / LANE_VALUES] = narrow(lane_of(four, c));
    }
}

// Stores eight sums of a row, the first as value i.
fn store_row(i: u32, row: u32, column: u32, a: vec4f, b: vec4f, q: ProductParams) {
    if (row < q.rows) {
        store_four(i, column, a, q);
        store_four(i + 4u, column + 4u, b, q);
    }
}

// The biases of four columns.
fn four_biases(column: u32, q: ProductParams) -> vec4f {
    let zero = vec4f();
    if (LANE_VALUES == 4u) {
        return biased(column, zero, q);
    }
    return vec4f(
        biased(column, zero, q).x, biased(column + 1u, zero, q).x,
        biased(column + 2u, zero, q).x, biased(column + 3u, zero, q).x,
    );
}

// Stores an octet of sums, plus the biases of its columns. In a loop through which the rows move up: one
// after the other, or at an index, they take drivers longer to compile than all the products.
fn store(first: u32, row: u32, column: u32, s: Octet, q: ProductParams) {
    let a = four_biases(column, q);
    let b = four_biases(column + 4u, q);
    var t = s;
    for (var r = 0u; r < 8u; r++) {
        store_row(first + (row + r) * q.columns + column, row + r, column, t.t00[0] + a, t.t01[0] + b, q);
        t = Octet(
            mat4x4f(t.t00[1], t.t00[2], t.t00[3], t.t10[0]), mat4x4f(t.t01[1], t.t01[2], t.t01[3], t.t11[0]),
            mat4x4f(t.t10[1], t.t10[2], t.t10[3], vec4f()), mat4x4f(t.t11[1], t.t11[2], t.t11[3], vec4f()),
        );
    }
}

// Eight lines.
struct Lines { l0: vec4i, l1: vec4i, l2: vec4i, l3: vec4i, l4: vec4i, l5: vec4i, l6: vec4i, l7: vec4i }

// Columns beyond the last repeat it; their sums are not stored.
fn right_lines(column: u32, q: ProductParams) -> Lines {
    let last = q.columns - 1u;
    return Lines(
        right_line(min(column, last), q), right_line(min(column + 1u, last), q),
        right_line(min(column + 2u, last), q), right_line(min(column + 3u, last), q),
        right_line(min(column + 4u, last), q), right_line(min(column + 5u, last), q),
        right_line(min(column + 6u, last), q), right_line(min(column + 7u, last), q),
    );
}

const IS_SMALL = PRODUCT_ROWS == 8u;
const IS_SQUARE = SHARED_BY == 1u && !IS_SMALL;
const OCTETS = select(4u, 1u, IS_SMALL);

// Computes the tiles of workgroup `group`, of which `lane` is an invocation.
fn make_tiles(group: u32, lane: u32) {
    let q = p;
    let across = (q.columns + PRODUCT_COLUMNS - 1u) / PRODUCT_COLUMNS;
    let down = (q.rows + PRODUCT_ROWS - 1u) / PRODUCT_ROWS;
    // A workgroup's tiles are of one chunk, so that all its invocations take equally many turns.
    let tiles = PRODUCT_WORKGROUP / SHARED_BY;
    let groups = (across * down + tiles - 1u) / tiles;
    let chunk = group / groups;
    if (chunk >= q.chunks) {
        return;
    }
    let tile = group % groups * tiles + lane / SHARED_BY;
    let place = tile_place(tile, down, across, q);
    let row = place.x * PRODUCT_ROWS;
    let column = place.y * PRODUCT_COLUMNS + lane % SHARED_BY * 8u;
    let start = chunk * q.chunk;
    let end = min(start + q.chunk, q.inner);
    let rows = left_rows(row, lane, q);
    let columns = right_lines(min(column, q.columns - 1u) / 8u * 8u, q);
    let more_columns = right_lines(min(column + 8u, q.columns - 1u) / 8u * 8u, q);
    var s0 = Octet();
    var s1 = Octet();
    var s2 = Octet();
    var s3 = Octet();
    var left_k = left_start(start, lane, q);
    var right_k = right_first(start, q);
    for (var k = start; k < end; k += SLICE) {
        let r = right_slice(columns, right_k, q);
        let l0 = left_slice(rows.o0, left_k, lane, q);
        s0 = accumulate(s0, l0, r);
        if (IS_SQUARE) {
            let l1 = left_slice(rows.o1, left_k, lane, q);
            s1 = accumulate(s1, l1, r);
            let more_r = right_slice(more_columns, right_k, q);
            s2 = accumulate(s2, l0, more_r);
            s3 = accumulate(s3, l1, more_r);
        } else if (!IS_SMALL) {
            s1 = accumulate(s1, left_slice(rows.o1, left_k, lane, q), r);
            s2 = accumulate(s2, left_slice(rows.o2, left_k, lane, q), r);
            s3 = accumulate(s3, left_slice(rows.o3, left_k, lane, q), r);
        }
        left_k = left_next_start(left_k, q);
        right_k = right_next_slice(right_k, q);
    }
    let first = chunk * q.rows * q.columns;
    for (var octet = 0u; octet < OCTETS; octet++) {
        let below = select(octet, octet % 2u, IS_SQUARE) * 8u;
        let beside = select(0u, octet / 2u, IS_SQUARE) * 8u;
        store(first, row + below, column + beside, s0, q);
        s0 = s1;
        s1 = s2;
        s2 = s3;
    }
    if (IS_FINISHED_LATER) {
        // A loop over the sums in memory: there are too many to compile the end of each separately.
        let last_row = min(row + PRODUCT_ROWS, q.rows);
        let last_column = min(column + select(8u, 16u, IS_SQUARE), q.columns);
        for (var r = row; r < last_row; r++) {
            for (var c = column; c < last_column; c += LANE_VALUES) {
                let i = (r * q.columns + c) / LANE_VALUES;
                finish_stored(i, q);
            }
        }
    }
}
