// Rows of a data set: row r of out is sample order[step.first + r], and 0 from step.count on.

// [steps' samples]
@group(0) @binding(1) var<storage, read_write> order: array<u32>;
// [rows, values]
@group(0) @binding(2) var<storage, read_write> out: array<Lane>;

fn sample_of(row: u32) -> u32 {
    return order[step.first + row];
}

// data is [samples, values]
@group(0) @binding(0) var<storage, read_write> floats: array<Lane>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn gather_floats(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i >= q.lanes) {
        return;
    }
    let row = i / q.row_lanes;
    if (row >= step.count) {
        out[i] = Lane();
        return;
    }
    out[i] = floats[sample_of(row) * q.row_lanes + i % q.row_lanes];
}

// data is [samples, values] of packed bytes: value = byte * scale + shift
@group(0) @binding(0) var<storage, read_write> bytes: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn gather_bytes(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i >= q.lanes) {
        return;
    }
    let row = i / q.row_lanes;
    if (row >= step.count) {
        out[i] = Lane();
        return;
    }
    // A lane comes from one word: it is one of its bytes, or all four.
    let first = (sample_of(row) * q.row_lanes + i % q.row_lanes) * LANE_VALUES;
    let word = bytes[first / 4u] >> (first % 4u * 8u);
    let four = (vec4u(word) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u);
    out[i] = narrow(vec4f(four) * q.scale + q.shift);
}

// data is [samples, positions]; out is [rows, positions, classes], one-hot
@group(0) @binding(0) var<storage, read_write> labels: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn gather_classes(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i >= q.lanes) {
        return;
    }
    let row = i / q.row_lanes;
    if (row >= step.count) {
        out[i] = Lane();
        return;
    }
    let position = i / q.class_lanes % q.positions;
    let label = labels[sample_of(row) * q.positions + position];
    let column = vec4u(i % q.class_lanes * LANE_VALUES) + vec4u(0u, 1u, 2u, 3u);
    out[i] = narrow(select(vec4f(0.0), vec4f(1.0), column == vec4u(label)));
}
