// A workgroup owns a run of WORKGROUP_SIZE * LANES_PER_INVOCATION lanes, and every NEIGHBOURS of its invocations
// a part of it. These work on neighbouring lanes at the same time, which coalesces their loads and stores; and a
// software device, which runs eight invocations after the other eight, goes through memory from front to back.
fn lane_index(group: vec3u, local: u32, j: u32) -> u32 {
    let neighbour = local % NEIGHBOURS;
    return (group.x * WORKGROUP_SIZE + local - neighbour) * LANES_PER_INVOCATION + j * NEIGHBOURS + neighbour;
}

// All four of them.
fn lane_indices(group: vec3u, local: u32) -> vec4u {
    return lane_index(group, local, 0u) + NEIGHBOURS * vec4u(0u, 1u, 2u, 3u);
}

// The item of an invocation, in kernels with one item per invocation. Indices from the number of items
// on have nothing to do: the last workgroup may be partly unused, and the grid in x and y too large.
fn item_index(group: vec3u, groups: vec3u, local: u32) -> u32 {
    return (group.y * groups.x + group.x) * WORKGROUP_SIZE + local;
}
