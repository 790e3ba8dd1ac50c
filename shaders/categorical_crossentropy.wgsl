// The cross-entropy of softmax(logits) and targets, one row per invocation, and its gradient. The first
// step.count * positions rows are the batch's; the others don't count.

// [rows, classes]
@group(0) @binding(0) var<storage, read_write> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> targets: array<f32>;
// the gradient of the sum over the batch
@group(0) @binding(2) var<storage, read_write> dlogits: array<f32>;
// [rows]: the loss, and 1 if the first of the largest logits is where the first of the largest targets is
@group(0) @binding(3) var<storage, read_write> sums: array<vec2f>;

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
    let first = row * q.classes;
    let end = first + q.classes;
    let rows = step.count * q.positions;
    if (row >= rows) {
        for (var i = first; i < end; i++) {
            dlogits[i] = 0.0;
        }
        sums[row] = vec2f(0.0);
        return;
    }
    var guess = first;
    var truth = first;
    for (var i = first; i < end; i++) {
        guess = select(guess, i, logits[i] > logits[guess]);
        truth = select(truth, i, targets[i] > targets[truth]);
    }
    let largest = logits[guess];
    var sum = 0.0;
    var target_sum = 0.0;
    for (var i = first; i < end; i++) {
        let y = exp1(logits[i] - largest);
        dlogits[i] = y;
        sum += y;
        target_sum += targets[i];
    }
    let ln_sum = ln(sum);
    var loss = 0.0;
    for (var i = first; i < end; i++) {
        let t = targets[i];
        // An impossible class may have a logit of -inf.
        loss += select(t * (ln_sum + (largest - logits[i])), 0.0, t == 0.0);
        dlogits[i] = dlogits[i] / sum * target_sum - t;
    }
    sums[row] = vec2f(loss, select(0.0, 1.0, guess == truth));
}
