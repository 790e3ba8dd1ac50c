// A workgroup owns a run of WORKGROUP_SIZE * LANES_PER_INVOCATION lanes; its invocations work on
// neighbouring lanes at the same time, which coalesces their loads and stores.
fn lane_index(group: vec3u, local: u32, j: u32) -> u32 {
    return (group.x * LANES_PER_INVOCATION + j) * WORKGROUP_SIZE + local;
}

// The item of an invocation, in kernels with one item per invocation. Indices from the number of items
// on have nothing to do: the last workgroup may be partly unused, and the grid in x and y too large.
fn item_index(group: vec3u, groups: vec3u, local: u32) -> u32 {
    return (group.y * groups.x + group.x) * WORKGROUP_SIZE + local;
}
