// For software devices: 4 x 4 sums an invocation, in registers, value by value, for operands whose
// extents are no multiples of 8.

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
    let last_row = q.rows - 1u;
    let last_column = q.columns - 1u;
    let left_0 = left_line(row, q);
    let left_1 = left_line(min(row + 1u, last_row), q);
    let left_2 = left_line(min(row + 2u, last_row), q);
    let left_3 = left_line(min(row + 3u, last_row), q);
    let right_0 = right_line(column, q);
    let right_1 = right_line(min(column + 1u, last_column), q);
    let right_2 = right_line(min(column + 2u, last_column), q);
    let right_3 = right_line(min(column + 3u, last_column), q);
    // a column is a row of the sums
    var s = mat4x4f();
    let end = min((chunk + 1u) * q.chunk, q.inner);
    for (var k = chunk * q.chunk; k < end; k++) {
        let r = vec4f(right_at(right_0, k, q), right_at(right_1, k, q), right_at(right_2, k, q), right_at(right_3, k, q));
        s += mat4x4f(
            r * left_at(left_0, k, q), r * left_at(left_1, k, q),
            r * left_at(left_2, k, q), r * left_at(left_3, k, q),
        );
    }
    finish_tile(chunk, row, column, s, q);
}
