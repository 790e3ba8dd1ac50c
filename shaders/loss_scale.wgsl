// Multiplies gradients by the loss scale, or divides them by it: by a power of two, which no value's bits suffer from
// unless they leave the range of floats.

// [n], in lanes
@group(0) @binding(0) var<storage, read_write> g: array<Lane>;
@group(0) @binding(1) var<storage, read_write> guard: GuardState;

@compute @workgroup_size(WORKGROUP_SIZE)
fn scale_gradients(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let i = item_index(group, groups, local);
    if (i >= p.lanes) {
        return;
    }
    let exponent = p.sign * (f32(INITIAL_LOSS_SCALE_LOG2) + guard.loss_scale);
    let power = bitcast<f32>(u32(exponent + 127.0) << 23u);
    g[i] = narrow(widen(g[i]) * power);
}
