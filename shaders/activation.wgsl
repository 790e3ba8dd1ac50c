// Activations, forward and backward, with the functions of a file in activations/. Every tensor is [n],
// in lanes. `p`, here and in every op, is read once, before the loop: software drivers would load it
// again for each lane.

fn value(x: Lane, q: ElementwiseParams) -> Lane {
    return narrow(activate(widen(x), q.activation));
}

// y = activate(x)
@group(0) @binding(0) var<storage, read_write> forward_x: array<Lane>;
@group(0) @binding(1) var<storage, read_write> forward_y: array<Lane>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn activation(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let params = p;
    for (var j = 0u; j < LANES_PER_INVOCATION; j++) {
        let i = lane_index(group, local, j);
        if (i < params.lanes) {
            forward_y[i] = value(forward_x[i], params);
        }
    }
}

// x = activate(x)
@group(0) @binding(0) var<storage, read_write> in_place_x: array<Lane>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn activation_in_place(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let params = p;
    for (var j = 0u; j < LANES_PER_INVOCATION; j++) {
        let i = lane_index(group, local, j);
        if (i < params.lanes) {
            in_place_x[i] = value(in_place_x[i], params);
        }
    }
}

// dx = dy * activate'(x)
@group(0) @binding(0) var<storage, read_write> backward_x: array<Lane>;
@group(0) @binding(1) var<storage, read_write> backward_dy: array<Lane>;
@group(0) @binding(2) var<storage, read_write> backward_dx: array<Lane>;

fn gradient(x: Lane, dy: Lane, q: ElementwiseParams) -> Lane {
    return narrow(activate_backward(widen(x), widen(dy), q.activation));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn activation_backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let params = p;
    for (var j = 0u; j < LANES_PER_INVOCATION; j++) {
        let i = lane_index(group, local, j);
        if (i < params.lanes) {
            backward_dx[i] = gradient(backward_x[i], backward_dy[i], params);
        }
    }
}

// dy = dy * activate'(x)
@compute @workgroup_size(WORKGROUP_SIZE)
fn activation_backward_in_place(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let params = p;
    for (var j = 0u; j < LANES_PER_INVOCATION; j++) {
        let i = lane_index(group, local, j);
        if (i < params.lanes) {
            backward_dy[i] = gradient(backward_x[i], backward_dy[i], params);
        }
    }
}
