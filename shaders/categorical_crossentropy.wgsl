// The cross-entropy of softmax(y) and targets, one row per invocation, and its gradient. The metric is 1 if
// the first of the largest y is where the first of the largest targets is. A row of zeros is void.

@compute @workgroup_size(WORKGROUP_SIZE)
fn categorical_crossentropy(
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
    let end = first + q.outputs;
    var guess = first;
    var truth = first;
    var is_valid = true;
    for (var i = first; i < end; i++) {
        guess = select(guess, i, y[i] > y[guess]);
        truth = select(truth, i, targets[i] > targets[truth]);
        is_valid = is_valid && is_share(targets[i]);
    }
    if (!is_valid || targets[truth] == 0.0) {
        leave_out(row, q, !is_valid);
        return;
    }
    let largest = y[guess];
    var sum = 0.0;
    var target_sum = 0.0;
    for (var i = first; i < end; i++) {
        let e = exp1(y[i] - largest);
        gradient[i] = e;
        sum += e;
        target_sum += smoothed(targets[i], q);
    }
    let ln_sum = ln(sum);
    let weight = rows[row];
    var loss = 0.0;
    for (var i = first; i < end; i++) {
        let t = smoothed(targets[i], q);
        // An impossible class may have a logit of -inf.
        loss += select(t * (ln_sum + (largest - y[i])), 0.0, t == 0.0);
        gradient[i] = (gradient[i] / sum * target_sum - t) * weight;
    }
    set_sums(row, q, vec4f(weight * loss, select(0.0, 1.0, guess == truth), 1.0, 0.0));
}
