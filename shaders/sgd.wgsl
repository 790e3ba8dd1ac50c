// A step of gradient descent, as in Keras. Every tensor is [n], in lanes.

// the weights and their gradient
@group(0) @binding(0) var<storage, read_write> w: array<Lane>;
@group(0) @binding(1) var<storage, read_write> g: array<Lane>;
@group(0) @binding(2) var<storage, read_write> velocity: array<Lane>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn sgd(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let i = item_index(group, groups, local);
    if (i < p.lanes) {
        w[i] = narrow(widen(w[i]) - step.rate * widen(g[i]));
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
    if (i < q.lanes) {
        let v = q.momentum * widen(velocity[i]) - step.rate * widen(g[i]);
        velocity[i] = narrow(v);
        w[i] = narrow(widen(w[i]) + v);
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
    if (i < q.lanes) {
        let change = step.rate * widen(g[i]);
        let v = q.momentum * widen(velocity[i]) - change;
        velocity[i] = narrow(v);
        w[i] = narrow(widen(w[i]) + q.momentum * v - change);
    }
}
