// Activation and dropout where they follow no sum, and their gradients. Every tensor is [n], in lanes.

// y = epilogue(x)
@group(0) @binding(0) var<storage, read_write> x: array<Lane>;
@group(0) @binding(1) var<storage, read_write> y: array<Lane>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn apply_epilogue(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i < q.lanes) {
        y[i] = narrow(epilogue(i, widen(x[i]), q.epilogue));
    }
}

// dx = dy through the epilogue of z
@group(0) @binding(0) var<storage, read_write> z: array<Lane>;
@group(0) @binding(1) var<storage, read_write> dy: array<Lane>;
@group(0) @binding(2) var<storage, read_write> dx: array<Lane>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn apply_epilogue_backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i < q.lanes) {
        dx[i] = narrow(epilogue_backward(i, widen(z[i]), widen(dy[i]), q.epilogue));
    }
}

// dy = dy through the epilogue of z
@compute @workgroup_size(WORKGROUP_SIZE)
fn apply_epilogue_backward_in_place(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i < q.lanes) {
        dy[i] = narrow(epilogue_backward(i, widen(z[i]), widen(dy[i]), q.epilogue));
    }
}
