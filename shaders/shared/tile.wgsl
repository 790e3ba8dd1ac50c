// A workgroup owns a run of WORKGROUP_SIZE * LANES_PER_INVOCATION lanes; its invocations take
// neighbouring lanes of it at a time, which coalesces their loads and stores.
fn lane_index(group: vec3u, local: u32, j: u32) -> u32 {
    return (group.x * LANES_PER_INVOCATION + j) * WORKGROUP_SIZE + local;
}
