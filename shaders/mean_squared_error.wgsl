// The mean over the outputs of (y - target)^2, one row per invocation, and its gradient. The first
// step.count rows are the batch's; the others don't count.

// [rows, outputs]
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read_write> targets: array<f32>;
// the gradient of the sum over the batch
@group(0) @binding(2) var<storage, read_write> dy: array<f32>;
// [rows]: the loss, and 0
@group(0) @binding(3) var<storage, read_write> sums: array<vec2f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn mean_squared_error(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let row = item_index(group, groups, local);
    if (row >= q.rows) {
        return;
    }
    let first = row * q.outputs;
    let is_sample = row < step.count;
    let scale = 2.0 / f32(q.outputs);
    var sum = 0.0;
    for (var i = first; i < first + q.outputs; i++) {
        let difference = select(0.0, y[i] - targets[i], is_sample);
        dy[i] = select(0.0, difference * scale, is_sample);
        sum += difference * difference;
    }
    sums[row] = vec2f(sum / f32(q.outputs), 0.0);
}
