// A workgroup owns a run of WORKGROUP_SIZE * LANES_PER_INVOCATION lanes; its invocations take
// neighbouring lanes of it at a time, which coalesces their loads and stores.
fn lane_index(group: vec3u, local: u32, j: u32) -> u32 {
    return (group.x * LANES_PER_INVOCATION + j) * WORKGROUP_SIZE + local;
}

// The item of an invocation that has one to itself. From the number of items on there is nothing to do:
// the last workgroup is cut short, and of the workgroups in x and y some may be too many.
fn item_index(group: vec3u, groups: vec3u, local: u32) -> u32 {
    return (group.y * groups.x + group.x) * WORKGROUP_SIZE + local;
}
