// The weights of a batch's rows, [rows]: a row is a position of a sample. The first step.count * q.positions rows are
// the batch's; the others weigh nothing.

@group(0) @binding(0) var<storage, read_write> filled: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn fill_weights(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let row = item_index(group, groups, local);
    if (row < q.rows) {
        filled[row] = select(0.0, 1.0, row < step.count * q.positions);
    }
}

// [rows, outputs]
@group(0) @binding(0) var<storage, read_write> targets: array<f32>;
// [classes]
@group(0) @binding(1) var<storage, read_write> class_weights: array<f32>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;

// Multiplies by the weight of the row's class. A row whose label doesn't count, with targets of -1, has weight -1.
@compute @workgroup_size(WORKGROUP_SIZE)
fn weigh_classes(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let row = item_index(group, groups, local);
    if (row >= min(q.rows, step.count * q.positions)) {
        return;
    }
    let first = row * q.outputs;
    if (q.are_labels != 0u && targets[first] < 0.0) {
        weights[row] = -1.0;
        return;
    }
    // The class of one output is its target, rounded.
    var largest = first + select(0u, 1u, q.outputs == 1u && targets[first] > 0.5);
    for (var i = first + 1u; i < first + q.outputs; i++) {
        largest = select(largest, i, targets[i] > targets[largest]);
    }
    weights[row] *= class_weights[largest - first];
}
