// A step of Adam (Kingma and Ba 2015), as in Keras: step.rate is the learning rate times
// sqrt(1 - beta_2^t) / (1 - beta_1^t). Every tensor is [n], in lanes.

// the weights
@group(0) @binding(0) var<storage, read_write> w: array<Lane>;
// their gradients, and the guard's state
@group(0) @binding(1) var<storage, read_write> g: array<Lane>;
// running means of the gradient and its square
@group(0) @binding(2) var<storage, read_write> m: array<Lane>;
@group(0) @binding(3) var<storage, read_write> v: array<Lane>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn adam(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (!is_updated(i, q.lanes)) {
        return;
    }
    let gradient = gradient_of(i, q.lanes, q.clipvalue);
    var mean = widen(m[i]);
    var square = widen(v[i]);
    mean += (gradient - mean) * q.mean_rate;
    square += (gradient * gradient - square) * q.square_rate;
    m[i] = narrow(mean);
    v[i] = narrow(square);
    w[i] = narrow(decayed(widen(w[i])) - step.rate * mean / (sqrt(square) + q.epsilon));
}
