// For software devices: 16 x 16 sums an invocation, in registers, by tiles of 8 x 8 that are loaded
// eight values at a time, since there a load costs several multiplications, and workgroup memory is no
// faster than any other.

// A tile of 8 x 8 by quarters. Of a left one, a column of a matrix is a line: t01 has lines 0 to 3 at
// inner 4 to 7. Of a right one and of sums, a column is an inner or a row: t01 has inner 0 to 3 at
// columns 4 to 7.
struct Octet { t00: mat4x4f, t01: mat4x4f, t10: mat4x4f, t11: mat4x4f }

fn octet(e0: Eight, e1: Eight, e2: Eight, e3: Eight, e4: Eight, e5: Eight, e6: Eight, e7: Eight) -> Octet {
    return Octet(
        mat4x4f(e0.a, e1.a, e2.a, e3.a), mat4x4f(e0.b, e1.b, e2.b, e3.b),
        mat4x4f(e4.a, e5.a, e6.a, e7.a), mat4x4f(e4.b, e5.b, e6.b, e7.b),
    );
}

fn octet_transposed(o: Octet) -> Octet {
    return Octet(transpose(o.t00), transpose(o.t10), transpose(o.t01), transpose(o.t11));
}

// The lines of a tile; where eight of them are neighbours in memory, the first stands for all.
struct Lines { l0: vec4i, l1: vec4i, l2: vec4i, l3: vec4i, l4: vec4i, l5: vec4i, l6: vec4i, l7: vec4i }

fn left_lines(row: u32, q: ProductParams) -> Lines {
    if (LEFT_ALONG_INNER == 0u) {
        let line = left_line(row, q);
        return Lines(line, line, line, line, line, line, line, line);
    }
    let last = q.rows - 1u;
    return Lines(
        left_line(min(row, last), q), left_line(min(row + 1u, last), q),
        left_line(min(row + 2u, last), q), left_line(min(row + 3u, last), q),
        left_line(min(row + 4u, last), q), left_line(min(row + 5u, last), q),
        left_line(min(row + 6u, last), q), left_line(min(row + 7u, last), q),
    );
}

fn right_lines(column: u32, q: ProductParams) -> Lines {
    let c = min(column, q.columns - 8u);
    if (RIGHT_ALONG_INNER == 0u) {
        let line = right_line(c, q);
        return Lines(line, line, line, line, line, line, line, line);
    }
    return Lines(
        right_line(c, q), right_line(c + 1u, q), right_line(c + 2u, q), right_line(c + 3u, q),
        right_line(c + 4u, q), right_line(c + 5u, q), right_line(c + 6u, q), right_line(c + 7u, q),
    );
}

fn left_octet(lines: Lines, k: u32, q: ProductParams) -> Octet {
    let j = select(vec4u(1u, 2u, 3u, 4u), vec4u(0u), LEFT_ALONG_INNER != 0u);
    let tile = octet(
        left_run(lines.l0, k, q), left_run(lines.l1, k + j.x, q),
        left_run(lines.l2, k + j.y, q), left_run(lines.l3, k + j.z, q),
        left_run(lines.l4, k + j.w, q), left_run(lines.l5, k + j.w + j.x, q),
        left_run(lines.l6, k + j.w + j.y, q), left_run(lines.l7, k + j.w + j.z, q),
    );
    if (LEFT_ALONG_INNER != 0u) {
        return tile;
    }
    return octet_transposed(tile);
}

fn right_octet(lines: Lines, k: u32, q: ProductParams) -> Octet {
    let j = select(vec4u(1u, 2u, 3u, 4u), vec4u(0u), RIGHT_ALONG_INNER != 0u);
    let tile = octet(
        right_run(lines.l0, k, q), right_run(lines.l1, k + j.x, q),
        right_run(lines.l2, k + j.y, q), right_run(lines.l3, k + j.z, q),
        right_run(lines.l4, k + j.w, q), right_run(lines.l5, k + j.w + j.x, q),
        right_run(lines.l6, k + j.w + j.y, q), right_run(lines.l7, k + j.w + j.z, q),
    );
    if (RIGHT_ALONG_INNER != 0u) {
        return octet_transposed(tile);
    }
    return tile;
}

fn accumulate(s: Octet, l: Octet, r: Octet) -> Octet {
    return Octet(
        s.t00 + r.t00 * l.t00 + r.t10 * l.t01, s.t01 + r.t01 * l.t00 + r.t11 * l.t01,
        s.t10 + r.t00 * l.t10 + r.t10 * l.t11, s.t11 + r.t01 * l.t10 + r.t11 * l.t11,
    );
}

// One row of four lanes of quarters, from lane i on.
fn store_row(i: u32, row: u32, column: u32, a: vec4f, b: vec4f, q: ProductParams) {
    if (row < q.rows && column < q.columns) {
        sums[i] = narrow(a);
        sums[i + 1u] = narrow(b);
    }
}

fn store(first: u32, row: u32, column: u32, s: Octet, q: ProductParams) {
    let lanes = q.columns / 4u;
    let i = first + row * lanes + column / 4u;
    store_row(i, row, column, s.t00[0], s.t01[0], q);
    store_row(i + lanes, row + 1u, column, s.t00[1], s.t01[1], q);
    store_row(i + 2u * lanes, row + 2u, column, s.t00[2], s.t01[2], q);
    store_row(i + 3u * lanes, row + 3u, column, s.t00[3], s.t01[3], q);
    store_row(i + 4u * lanes, row + 4u, column, s.t10[0], s.t11[0], q);
    store_row(i + 5u * lanes, row + 5u, column, s.t10[1], s.t11[1], q);
    store_row(i + 6u * lanes, row + 6u, column, s.t10[2], s.t11[2], q);
    store_row(i + 7u * lanes, row + 7u, column, s.t10[3], s.t11[3], q);
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
    let left_0 = left_lines(row, q);
    let left_1 = left_lines(row + 8u, q);
    let right_0 = right_lines(column, q);
    let right_1 = right_lines(column + 8u, q);
    var s00 = Octet();
    var s01 = Octet();
    var s10 = Octet();
    var s11 = Octet();
    let end = min((chunk + 1u) * q.chunk, q.inner);
    for (var k = chunk * q.chunk; k < end; k += 8u) {
        let l0 = left_octet(left_0, k, q);
        let l1 = left_octet(left_1, k, q);
        let r0 = right_octet(right_0, k, q);
        let r1 = right_octet(right_1, k, q);
        s00 = accumulate(s00, l0, r0);
        s01 = accumulate(s01, l0, r1);
        s10 = accumulate(s10, l1, r0);
        s11 = accumulate(s11, l1, r1);
    }
    let lanes = q.columns / 4u;
    let first = chunk * q.rows * lanes;
    store(first, row, column, s00, q);
    store(first, row, column + 8u, s01, q);
    store(first, row + 8u, column, s10, q);
    store(first, row + 8u, column + 8u, s11, q);
    if (IS_FINISHED_LATER) {
        // A loop needs the sums in memory: there are too many for an epilogue of each to be compiled.
        let last_row = min(row + PRODUCT_TILE, q.rows);
        let last_column = min(column + PRODUCT_TILE, q.columns);
        for (var r = row; r < last_row; r++) {
            for (var c = column; c < last_column; c += 4u) {
                let i = r * lanes + c / 4u;
                finish(i, c, widen(sums[i]), q);
            }
        }
    }
}
