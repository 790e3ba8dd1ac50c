// Rows of a data set: row r of out is sample order[step.first + r], and 0 from step.count on. A data set may be in
// several buffers: a dispatch has one of them, with q.samples samples from q.first on, and leaves the rows of
// the others alone; the first one also writes the zeros.

// [steps' samples]
@group(0) @binding(1) var<storage, read_write> order: array<u32>;
// [rows, values]
@group(0) @binding(2) var<storage, read_write> out: array<Lane>;

// The sample of a row, counted from `first` on: one of an earlier buffer wraps, to more than there are.
fn sample_of(row: u32, first: u32) -> u32 {
    return order[step.first + row] - first;
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
        if (q.first == 0u) {
            out[i] = Lane();
        }
        return;
    }
    let sample = sample_of(row, q.first);
    if (sample < q.samples) {
        out[i] = floats[sample * q.row_lanes + i % q.row_lanes];
    }
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
        if (q.first == 0u) {
            out[i] = Lane();
        }
        return;
    }
    let sample = sample_of(row, q.first);
    if (sample < q.samples) {
        // A lane comes from one word: it is one of its bytes, or all four.
        let first = (sample * q.row_lanes + i % q.row_lanes) * LANE_VALUES;
        let word = bytes[first / 4u] >> (first % 4u * 8u);
        let four = (vec4u(word) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u);
        out[i] = narrow(vec4f(four) * q.scale + q.shift);
    }
}

// data is [samples, positions]; out is [rows, positions, outputs]: 1 for the label's class, and 0, or, for labels
// that don't count, -1. Output c is that of class q.first_class + c.
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
        if (q.first == 0u) {
            out[i] = Lane();
        }
        return;
    }
    let sample = sample_of(row, q.first);
    if (sample < q.samples) {
        let position = i / q.class_lanes % q.positions;
        let label = labels[sample * q.positions + position];
        let class_of = vec4u(q.first_class + i % q.class_lanes * LANE_VALUES) + vec4u(0u, 1u, 2u, 3u);
        let one_hot = select(vec4f(0.0), vec4f(1.0), class_of == vec4u(label));
        out[i] = narrow(select(one_hot, vec4f(-1.0), label == q.ignored || label >= q.classes));
    }
}

// data is [samples, sample_weights]; out is [rows, positions]: a sample has one weight, or one a position
@group(0) @binding(0) var<storage, read_write> weights: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn gather_weights(
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
        if (q.first == 0u) {
            out[i] = Lane();
        }
        return;
    }
    let sample = sample_of(row, q.first);
    if (sample < q.samples) {
        out[i] = narrow(vec4f(weights[sample * q.sample_weights + i % q.row_lanes % q.sample_weights]));
    }
}
