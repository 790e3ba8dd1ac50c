// For GPUs: a workgroup of 16 x 16 invocations makes 64 x 64 sums, 4 x 4 each, from tiles of 64 x 16 in
// workgroup memory, which each of the values is loaded into once.

const TILE_LINES = 64u;
const TILE_INNER = 16u;

// [TILE_INNER, TILE_LINES]
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
    // a column is a row of the sums
    var s = mat4x4f();
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
            let r = vec4f(right_tile[j], right_tile[j + 1u], right_tile[j + 2u], right_tile[j + 3u]);
            s += mat4x4f(r * left_tile[i], r * left_tile[i + 1u], r * left_tile[i + 2u], r * left_tile[i + 3u]);
        }
        workgroupBarrier();
    }
    if (first_row + row < q.rows && first_column + column < q.columns) {
        finish_tile(chunk, first_row + row, first_column + column, s, q);
    }
}
