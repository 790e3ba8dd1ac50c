// The mean over the outputs of the cross-entropy of sigmoid(y) and target, one row per invocation, and its
// gradient. The metric is the share of outputs that are on the target's side, y of 0 and target of 1/2.
//
// With l = ln(1 + exp(-|y|)) and s = sigmoid(-|y|), -ln(sigmoid(y)) = l + max(-y, 0), and for 1 - sigmoid(y)
// l + max(y, 0). The gradient is a difference of what 1 and 0 for a target give, neither of which cancels.

@compute @workgroup_size(WORKGROUP_SIZE)
fn binary_crossentropy(
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
    var hits = 0.0;
    for (var i = first; i < first + q.outputs; i++) {
        let z = y[i];
        is_valid = is_valid && is_share(targets[i]);
        let t = smoothed(targets[i], q);
        let u = smoothed(1.0 - targets[i], q);
        let l = softplus(-abs(z));
        // An output of +-inf has no loss if the target says so, too.
        loss += select(t * (l + max(-z, 0.0)), 0.0, t == 0.0) + select(u * (l + max(z, 0.0)), 0.0, u == 0.0);
        let s = sigmoid(-abs(z));
        gradient[i] = scale * select(u * (1.0 - s) - t * s, u * s - t * (1.0 - s), z < 0.0);
        hits += select(0.0, 1.0, (z > 0.0) == (targets[i] > 0.5));
    }
    if (!is_valid) {
        leave_out(row, q, true);
        return;
    }
    set_sums(row, q, vec4f(weight * (loss / outputs), hits / outputs, 1.0, 0.0));
}
