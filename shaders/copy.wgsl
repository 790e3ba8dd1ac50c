// The first q.len values of x, from q.x on, become the values of y from q.y on; 0s follow them, q.total values in all.

@group(0) @binding(0) var<storage, read_write> x: array<Lane>;
@group(0) @binding(1) var<storage, read_write> y: array<Lane>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn copy_values(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i * LANE_VALUES >= q.total) {
        return;
    }
    var value = Lane();
    if (i * LANE_VALUES < q.len) {
        value = x[q.x / LANE_VALUES + i];
    }
    y[q.y / LANE_VALUES + i] = value;
}
