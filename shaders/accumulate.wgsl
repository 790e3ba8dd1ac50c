// Adds up the gradients of a batch that comes in parts: the first part begins the sum. Both are [n], in
// lanes.

@group(0) @binding(0) var<storage, read_write> part: array<Lane>;
@group(0) @binding(1) var<storage, read_write> sum: array<Lane>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn accumulate(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let i = item_index(group, groups, local);
    if (i >= p.lanes) {
        return;
    }
    if (step.row == 0u) {
        sum[i] = part[i];
    } else {
        sum[i] += part[i];
    }
}
