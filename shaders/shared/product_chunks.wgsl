// The sums of chunks, [chunks, rows, columns] in left, added up: a lane an invocation.

@compute @workgroup_size(PRODUCT_WORKGROUP)
fn product(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = (group.y * groups.x + group.x) * PRODUCT_WORKGROUP + local;
    let values = q.rows * q.columns;
    let first = i * LANE_VALUES;
    if (first >= values) {
        return;
    }
    var sum = vec4f();
    for (var chunk = 0u; chunk < q.chunks; chunk++) {
        let j = chunk * values + first;
        sum += lane_of(vec4f(left[j], left[j + 1u], left[j + 2u], left[j + 3u]), 0u);
    }
    finish(i, first % q.columns, sum, q);
}
