// Softmax over the last axis and its gradient, one row per invocation. Every tensor is [rows, classes].

// y = exp(z) / (sum of exp(z))
@group(0) @binding(0) var<storage, read_write> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> probabilities: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn softmax_forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let row = item_index(group, groups, local);
    if (row >= q.rows) {
        return;
    }
    let first = row * q.classes;
    let end = first + q.classes;
    var largest = logits[first];
    for (var i = first; i < end; i++) {
        largest = max(largest, logits[i]);
    }
    var sum = 0.0;
    for (var i = first; i < end; i++) {
        let y = exp1(logits[i] - largest);
        probabilities[i] = y;
        sum += y;
    }
    for (var i = first; i < end; i++) {
        probabilities[i] /= sum;
    }
}

// x = exp(x) / (sum of exp(x))
@group(0) @binding(0) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn softmax_in_place(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let row = item_index(group, groups, local);
    if (row >= q.rows) {
        return;
    }
    let first = row * q.classes;
    let end = first + q.classes;
    var largest = x[first];
    for (var i = first; i < end; i++) {
        largest = max(largest, x[i]);
    }
    var sum = 0.0;
    for (var i = first; i < end; i++) {
        let y = exp1(x[i] - largest);
        x[i] = y;
        sum += y;
    }
    for (var i = first; i < end; i++) {
        x[i] /= sum;
    }
}

// dz = y (dy - (sum of dy y))
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read_write> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dz: array<f32>;

fn weighted_sum(first: u32, end: u32) -> f32 {
    var sum = 0.0;
    for (var i = first; i < end; i++) {
        sum += dy[i] * y[i];
    }
    return sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn softmax_backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let row = item_index(group, groups, local);
    if (row >= q.rows) {
        return;
    }
    let first = row * q.classes;
    let end = first + q.classes;
    let sum = weighted_sum(first, end);
    for (var i = first; i < end; i++) {
        dz[i] = y[i] * (dy[i] - sum);
    }
}

// dy = y (dy - (sum of dy y))
@compute @workgroup_size(WORKGROUP_SIZE)
fn softmax_backward_in_place(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let row = item_index(group, groups, local);
    if (row >= q.rows) {
        return;
    }
    let first = row * q.classes;
    let end = first + q.classes;
    let sum = weighted_sum(first, end);
    for (var i = first; i < end; i++) {
        dy[i] = y[i] * (dy[i] - sum);
    }
}

// dz, and then through the epilogue of z, from which the logits came
@group(0) @binding(3) var<storage, read_write> z: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn softmax_backward_through(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let row = item_index(group, groups, local);
    if (row >= q.rows) {
        return;
    }
    let first = row * q.classes;
    let end = first + q.classes;
    let sum = weighted_sum(first, end);
    for (var i = first; i < end; i++) {
        dz[i] = epilogue_backward(i, vec4f(z[i]), vec4f(y[i] * (dy[i] - sum)), q.epilogue).x;
    }
}
