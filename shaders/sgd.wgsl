// A step of gradient descent, as in Keras. Every tensor is [n], in lanes.

// the weights
@group(0) @binding(0) var<storage, read_write> w: array<Lane>;
// their gradients, and the guard's state
@group(0) @binding(1) var<storage, read_write> g: array<Lane>;
@group(0) @binding(2) var<storage, read_write> velocity: array<Lane>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn sgd(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (is_updated(i, q.lanes)) {
        w[i] = narrow(decayed(widen(w[i])) - step.rate * gradient_of(i, q.lanes, q.clipvalue));
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn sgd_momentum(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (is_updated(i, q.lanes)) {
        let v = q.momentum * widen(velocity[i]) - step.rate * gradient_of(i, q.lanes, q.clipvalue);
        velocity[i] = narrow(v);
        w[i] = narrow(decayed(widen(w[i])) + v);
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn sgd_nesterov(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (is_updated(i, q.lanes)) {
        let change = step.rate * gradient_of(i, q.lanes, q.clipvalue);
        let v = q.momentum * widen(velocity[i]) - change;
        velocity[i] = narrow(v);
        w[i] = narrow(decayed(widen(w[i])) + q.momentum * v - change);
    }
}
