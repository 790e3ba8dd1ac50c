// Dropout with a mask that is broadcast, and its gradient. Every tensor is [n], in lanes. In training kept x
// become scale * x + shift, the others `dropped`; the gradient is the same with a shift and a `dropped` of 0.

// y = dropout(x)
@group(0) @binding(0) var<storage, read_write> x: array<Lane>;
@group(0) @binding(1) var<storage, read_write> y: array<Lane>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn drop_out(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i >= q.lanes) {
        return;
    }
    if (step.training == 0u) {
        y[i] = x[i];
        return;
    }
    let v = widen(x[i]);
    let words = broadcast_words(elements_of(i), q.broadcast, first_block(q.row), step.call, q.seed);
    // A NaN counts as kept, and stays one.
    let is_dropped = (words < vec4u(q.threshold)) & !is_nan4(v);
    y[i] = narrow(select(q.keep_scale * v + q.keep_shift, vec4f(q.dropped), is_dropped));
}
