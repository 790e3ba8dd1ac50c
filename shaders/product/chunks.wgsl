// Adds up the sums of chunks, [chunks, rows, columns] in left, one lane per invocation.

@group(0) @binding(0) var<storage, read_write> left: array<Lane>;

@compute @workgroup_size(PRODUCT_WORKGROUP)
fn product(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = (group.y * groups.x + group.x) * PRODUCT_WORKGROUP + local;
    let lanes = q.rows * q.columns / LANE_VALUES;
    if (i >= lanes) {
        return;
    }
    var sum = vec4f();
    var chunk = 0u;
    // Four loads under way at a time: there may be hundreds of chunks, and each load takes as long as many sums.
    for (; chunk + 4u <= q.chunks; chunk += 4u) {
        let first = chunk * lanes + i;
        let a = widen(left[first]);
        let b = widen(left[first + lanes]);
        let c = widen(left[first + 2u * lanes]);
        let d = widen(left[first + 3u * lanes]);
        sum = sum + a + b + c + d;
    }
    for (; chunk < q.chunks; chunk++) {
        sum += widen(left[chunk * lanes + i]);
    }
    finish(i, i * LANE_VALUES % q.columns, sum, q);
}
