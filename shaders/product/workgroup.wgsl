// For GPUs: a workgroup of 16 x 16 invocations computes 64 x 64 sums, 4 x 4 each, or 128 x 128 in
// quarters of 64 x 64, 4 x 4 of each quarter. Neighbouring invocations have neighbouring columns. The
// operands go through tiles in workgroup memory, 1024 values of each, and every value is loaded once.

const QUARTER = 64u;
const IS_LARGE = PRODUCT_ROWS > QUARTER;
const TILE_LINES = PRODUCT_ROWS;
const TILE_INNER = 1024u / TILE_LINES;

// [TILE_INNER, TILE_LINES]. Not of vec4f: writing one value of a vector may write all of it.
var<workgroup> left_tile: array<f32, 1024>;
var<workgroup> right_tile: array<f32, 1024>;

// (line, inner) of the value that an invocation loads: neighbours in memory for neighbouring
// invocations.
fn loaded(v: u32, along_inner: bool) -> vec2u {
    return select(vec2u(v % TILE_LINES, v / TILE_LINES), vec2u(v / TILE_INNER, v % TILE_INNER), along_inner);
}

fn tile_value(k: u32, line: u32) -> u32 {
    return k * TILE_LINES + line;
}

fn left_four(i: u32) -> vec4f {
    return vec4f(left_tile[i], left_tile[i + 1u], left_tile[i + 2u], left_tile[i + 3u]);
}

fn right_four(i: u32) -> vec4f {
    return vec4f(right_tile[i], right_tile[i + 1u], right_tile[i + 2u], right_tile[i + 3u]);
}

// A column of the matrix is a row of the sums.
fn products(l: vec4f, r: vec4f) -> mat4x4f {
    return mat4x4f(r * l.x, r * l.y, r * l.z, r * l.w);
}

// Finishes 4 x 4 sums, a row of them in each column of the matrix, except those beyond the last.
fn finish_tile(chunk: u32, row: u32, column: u32, tile: mat4x4f, q: ProductParams) {
    if (row >= q.rows || column >= q.columns) {
        return;
    }
    var s = tile;
    let rows = min(q.rows - row, 4u);
    let values = min(q.columns - column, 4u);
    for (var r = 0u; r < rows; r++) {
        let first = (chunk * q.rows + row + r) * q.columns + column;
        for (var c = 0u; c < values; c += LANE_VALUES) {
            let sum = s[r];
            finish((first + c) / LANE_VALUES, column + c, lane_of(sum, c), q);
        }
    }
}

@group(0) @binding(0) var<storage, read_write> left: array<f32>;

fn left_at(line: vec4i, at: vec4i, q: ProductParams) -> f32 {
    let place = left_place(line, at, q);
    let value = left[u32(max(place, 0))];
    return select(value, f32(OUTSIDE - place), place < 0);
}

fn right_at(line: vec4i, at: vec4i, q: ProductParams) -> f32 {
    return right[right_place(line, at, q)];
}

@compute @workgroup_size(PRODUCT_WORKGROUP)
fn product(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let across = (q.columns + PRODUCT_COLUMNS - 1u) / PRODUCT_COLUMNS;
    let down = (q.rows + PRODUCT_ROWS - 1u) / PRODUCT_ROWS;
    let tile = group.y * groups.x + group.x;
    let chunk = tile / (across * down);
    if (chunk >= q.chunks) {
        return;
    }
    let place = tile_place(tile % (across * down), down, across, q);
    let first_row = place.x * PRODUCT_ROWS;
    let first_column = place.y * PRODUCT_COLUMNS;
    let row = local / 16u * 4u;
    let column = local % 16u * 4u;
    // s01 has the upper rows of the right columns. Variables, not an array, so that they stay in registers.
    var s00 = mat4x4f();
    var s01 = mat4x4f();
    var s10 = mat4x4f();
    var s11 = mat4x4f();
    let end = min((chunk + 1u) * q.chunk, q.inner);
    for (var first = chunk * q.chunk; first < end; first += TILE_INNER) {
        for (var v = local; v < TILE_LINES * TILE_INNER; v += PRODUCT_WORKGROUP) {
            let l = loaded(v, LEFT_ALONG_INNER != 0u);
            let left_k = min(first + l.y, end - 1u);
            let left_value = left_at(left_line(left_digits(min(first_row + l.x, q.rows - 1u), q), q), left_first(left_k, q), q);
            left_tile[tile_value(l.y, l.x)] = select(0.0, left_value, first + l.y < end);
            let r = loaded(v, RIGHT_ALONG_INNER != 0u);
            let right_k = min(first + r.y, end - 1u);
            let right_value = right_at(right_line(min(first_column + r.x, q.columns - 1u), q), right_first(right_k, q), q);
            right_tile[tile_value(r.y, r.x)] = select(0.0, right_value, first + r.y < end);
        }
        workgroupBarrier();
        for (var k = 0u; k < TILE_INNER; k++) {
            let i = tile_value(k, row);
            let j = tile_value(k, column);
            let l0 = left_four(i);
            let r0 = right_four(j);
            s00 += products(l0, r0);
            if (IS_LARGE) {
                let l1 = left_four(i + QUARTER);
                let r1 = right_four(j + QUARTER);
                s01 += products(l0, r1);
                s10 += products(l1, r0);
                s11 += products(l1, r1);
            }
        }
        workgroupBarrier();
    }
    // A loop, since the code that follows the sums is long.
    var quarters = array<mat4x4f, 4>(s00, s01, s10, s11);
    for (var i = 0u; i < select(1u, 4u, IS_LARGE); i++) {
        let quarter_row = first_row + row + i / 2u * QUARTER;
        let quarter_column = first_column + column + i % 2u * QUARTER;
        finish_tile(chunk, quarter_row, quarter_column, quarters[i], q);
    }
}
