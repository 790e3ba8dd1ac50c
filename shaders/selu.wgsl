// SELU and ELU (a SELU of scale 1), forward and backward. Every tensor is [n], in lanes. `p`, here and
// in every op, is read once, before the loop: software drivers would load it again for each lane.

fn value(x: Lane, q: SeluParams) -> Lane {
    return narrow(scaled_elu(widen(x), q.scale, q.scale_alpha));
}

// y = selu(x)
@group(0) @binding(0) var<storage, read_write> forward_x: array<Lane>;
@group(0) @binding(1) var<storage, read_write> forward_y: array<Lane>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn selu_forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let params = p;
    for (var j = 0u; j < LANES_PER_INVOCATION; j++) {
        let i = lane_index(group, local, j);
        if (i < params.lanes) {
            forward_y[i] = value(forward_x[i], params);
        }
    }
}

// x = selu(x)
@group(0) @binding(0) var<storage, read_write> in_place_x: array<Lane>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn selu_in_place(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let params = p;
    for (var j = 0u; j < LANES_PER_INVOCATION; j++) {
        let i = lane_index(group, local, j);
        if (i < params.lanes) {
            in_place_x[i] = value(in_place_x[i], params);
        }
    }
}

// dx = dy * selu'(x)
@group(0) @binding(0) var<storage, read_write> backward_x: array<Lane>;
@group(0) @binding(1) var<storage, read_write> backward_dy: array<Lane>;
@group(0) @binding(2) var<storage, read_write> backward_dx: array<Lane>;

fn gradient(x: Lane, dy: Lane, q: SeluParams) -> Lane {
    return narrow(scaled_elu_backward(widen(x), widen(dy), q.scale, q.scale_alpha, q.residual));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn selu_backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let params = p;
    for (var j = 0u; j < LANES_PER_INVOCATION; j++) {
        let i = lane_index(group, local, j);
        if (i < params.lanes) {
            backward_dx[i] = gradient(backward_x[i], backward_dy[i], params);
        }
    }
}

// dy = dy * selu'(x)
@compute @workgroup_size(WORKGROUP_SIZE)
fn selu_backward_in_place(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let params = p;
    for (var j = 0u; j < LANES_PER_INVOCATION; j++) {
        let i = lane_index(group, local, j);
        if (i < params.lanes) {
            backward_dy[i] = gradient(backward_x[i], backward_dy[i], params);
        }
    }
}
