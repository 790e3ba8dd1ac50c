// For software devices, where a load costs several multiplications and workgroup memory is no faster
// than any other: 16 x 16 sums an invocation, in registers, as four octets. A slice is what an octet of
// sums takes of an operand at a time.

// Sums of 8 x 8 by quarters: t01 has rows 0 to 3 of columns 4 to 7, a row in a column of the matrix.
struct Octet { t00: mat4x4f, t01: mat4x4f, t10: mat4x4f, t11: mat4x4f }

// Four sums, of which the first is value i.
fn store_four(i: u32, column: u32, four: vec4f, q: ProductParams) {
    for (var c = 0u; c < 4u && column + c < q.columns; c += LANE_VALUES) {
        sums[(i + c) / LANE_VALUES] = narrow(lane_of(four, c));
    }
}

// Eight sums of a row, of which the first is value i.
fn store_row(i: u32, row: u32, column: u32, a: vec4f, b: vec4f, q: ProductParams) {
    if (row < q.rows) {
        store_four(i, column, a, q);
        store_four(i + 4u, column + 4u, b, q);
    }
}

fn store(first: u32, row: u32, column: u32, s: Octet, q: ProductParams) {
    let i = first + row * q.columns + column;
    store_row(i, row, column, s.t00[0], s.t01[0], q);
    store_row(i + q.columns, row + 1u, column, s.t00[1], s.t01[1], q);
    store_row(i + 2u * q.columns, row + 2u, column, s.t00[2], s.t01[2], q);
    store_row(i + 3u * q.columns, row + 3u, column, s.t00[3], s.t01[3], q);
    store_row(i + 4u * q.columns, row + 4u, column, s.t10[0], s.t11[0], q);
    store_row(i + 5u * q.columns, row + 5u, column, s.t10[1], s.t11[1], q);
    store_row(i + 6u * q.columns, row + 6u, column, s.t10[2], s.t11[2], q);
    store_row(i + 7u * q.columns, row + 7u, column, s.t10[3], s.t11[3], q);
}

// Eight lines. Those beyond the last repeat it; what is summed there is not stored.
struct Lines { l0: vec4i, l1: vec4i, l2: vec4i, l3: vec4i, l4: vec4i, l5: vec4i, l6: vec4i, l7: vec4i }

fn left_lines(row: u32, q: ProductParams) -> Lines {
    let last = q.rows - 1u;
    let d0 = left_digits(min(row, last), q);
    let d1 = select(d0, left_next_digits(d0, q), row + 1u <= last);
    let d2 = select(d1, left_next_digits(d1, q), row + 2u <= last);
    let d3 = select(d2, left_next_digits(d2, q), row + 3u <= last);
    let d4 = select(d3, left_next_digits(d3, q), row + 4u <= last);
    let d5 = select(d4, left_next_digits(d4, q), row + 5u <= last);
    let d6 = select(d5, left_next_digits(d5, q), row + 6u <= last);
    let d7 = select(d6, left_next_digits(d6, q), row + 7u <= last);
    return Lines(
        left_line(d0, q), left_line(d1, q), left_line(d2, q), left_line(d3, q),
        left_line(d4, q), left_line(d5, q), left_line(d6, q), left_line(d7, q),
    );
}

fn right_lines(column: u32, q: ProductParams) -> Lines {
    let last = q.columns - 1u;
    return Lines(
        right_line(min(column, last), q), right_line(min(column + 1u, last), q),
        right_line(min(column + 2u, last), q), right_line(min(column + 3u, last), q),
        right_line(min(column + 4u, last), q), right_line(min(column + 5u, last), q),
        right_line(min(column + 6u, last), q), right_line(min(column + 7u, last), q),
    );
}

@compute @workgroup_size(PRODUCT_WORKGROUP)
fn product(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let across = (q.columns + PRODUCT_TILE - 1u) / PRODUCT_TILE;
    let down = (q.rows + PRODUCT_TILE - 1u) / PRODUCT_TILE;
    let tile = (group.y * groups.x + group.x) * PRODUCT_WORKGROUP + local;
    let chunk = tile / (across * down);
    if (chunk >= q.chunks) {
        return;
    }
    let row = tile / across % down * PRODUCT_TILE;
    let column = tile % across * PRODUCT_TILE;
    let rows_0 = left_lines(row, q);
    let rows_1 = left_lines(row + 8u, q);
    let columns_0 = right_lines(column, q);
    let columns_1 = right_lines(min(column + 8u, q.columns - 1u) / 8u * 8u, q);
    var s00 = Octet();
    var s01 = Octet();
    var s10 = Octet();
    var s11 = Octet();
    let start = chunk * q.chunk;
    let end = min(start + q.chunk, q.inner);
    var left_k = left_first(start, q);
    var right_k = right_first(start, q);
    for (var k = start; k < end; k += SLICE) {
        let l0 = left_slice(rows_0, left_k, q);
        let l1 = left_slice(rows_1, left_k, q);
        let r0 = right_slice(columns_0, right_k, q);
        let r1 = right_slice(columns_1, right_k, q);
        s00 = accumulate(s00, l0, r0);
        s01 = accumulate(s01, l0, r1);
        s10 = accumulate(s10, l1, r0);
        s11 = accumulate(s11, l1, r1);
        left_k = left_next_slice(left_k, q);
        right_k = right_next_slice(right_k, q);
    }
    let first = chunk * q.rows * q.columns;
    store(first, row, column, s00, q);
    store(first, row, column + 8u, s01, q);
    store(first, row + 8u, column, s10, q);
    store(first, row + 8u, column + 8u, s11, q);
    if (IS_FINISHED_LATER) {
        // A loop needs the sums in memory: there are too many for the end of each to be compiled.
        let last_row = min(row + PRODUCT_TILE, q.rows);
        let last_column = min(column + PRODUCT_TILE, q.columns);
        for (var r = row; r < last_row; r++) {
            for (var c = column; c < last_column; c += LANE_VALUES) {
                let i = (r * q.columns + c) / LANE_VALUES;
                finish(i, c, widen(sums[i]), q);
            }
        }
    }
}
