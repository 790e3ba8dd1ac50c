// The mean over the outputs of a function of y - target, one row per invocation, and its gradient. The metric
// is the mean of |y - target|. The functions error_loss and its derivative error_slope are a file of losses/.

@compute @workgroup_size(WORKGROUP_SIZE)
fn regression(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let row = item_index(group, groups, local);
    if (row >= q.rows) {
        return;
    }
    if (!row_counts(row, q)) {
        leave_out(row, q, false);
        return;
    }
    let first = row * q.outputs;
    let outputs = f32(q.outputs);
    let weight = rows[row];
    let scale = weight / outputs;
    var is_valid = true;
    var loss = 0.0;
    var distance = 0.0;
    for (var i = first; i < first + q.outputs; i++) {
        is_valid = is_valid && is_finite(targets[i]);
        let error = y[i] - targets[i];
        loss += error_loss(error, q.delta);
        distance += abs(error);
        // A NaN of y must stay one.
        gradient[i] = select(error_slope(error, q.delta) * scale, error, is_nan4(vec4f(error)).x);
    }
    if (!is_valid) {
        leave_out(row, q, true);
        return;
    }
    set_sums(row, q, vec4f(weight * (loss / outputs), distance / outputs, 1.0, 0.0));
}
