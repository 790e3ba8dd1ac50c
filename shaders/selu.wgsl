// SELU and ELU (a SELU of scale 1), forward and backward. Every tensor is [n], in lanes.

struct SeluParams { lanes: u32, scale: f32, scale_alpha: f32, residual: f32 }

// y = selu(x)
@group(0) @binding(0) var<storage, read_write> forward_x: array<Lane>;
@group(0) @binding(1) var<storage, read_write> forward_y: array<Lane>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn selu_forward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    for (var j = 0u; j < LANES_PER_INVOCATION; j++) {
        let i = lane_index(group, local, j);
        if (i < p.lanes) {
            forward_y[i] = narrow(scaled_elu(widen(forward_x[i]), p.scale, p.scale_alpha));
        }
    }
}

// x = selu(x)
@group(0) @binding(0) var<storage, read_write> in_place_x: array<Lane>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn selu_in_place(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    for (var j = 0u; j < LANES_PER_INVOCATION; j++) {
        let i = lane_index(group, local, j);
        if (i < p.lanes) {
            in_place_x[i] = narrow(scaled_elu(widen(in_place_x[i]), p.scale, p.scale_alpha));
        }
    }
}

// dx = dy * selu'(x)
@group(0) @binding(0) var<storage, read_write> backward_x: array<Lane>;
@group(0) @binding(1) var<storage, read_write> backward_dy: array<Lane>;
@group(0) @binding(2) var<storage, read_write> backward_dx: array<Lane>;

fn gradient(x: Lane, dy: Lane) -> Lane {
    return narrow(scaled_elu_backward(widen(x), widen(dy), p.scale, p.scale_alpha, p.residual));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn selu_backward(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    for (var j = 0u; j < LANES_PER_INVOCATION; j++) {
        let i = lane_index(group, local, j);
        if (i < p.lanes) {
            backward_dx[i] = gradient(backward_x[i], backward_dy[i]);
        }
    }
}

// dy = dy * selu'(x)
@compute @workgroup_size(WORKGROUP_SIZE)
fn selu_backward_in_place(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    for (var j = 0u; j < LANES_PER_INVOCATION; j++) {
        let i = lane_index(group, local, j);
        if (i < p.lanes) {
            backward_dy[i] = gradient(backward_x[i], backward_dy[i]);
        }
    }
}
