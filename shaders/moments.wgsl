// Count, mean and sum of squared deviations of each workgroup's share of the values of x, for the host
// to merge.

// [at least len]
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
// [workgroups]: (count, mean, sum of squared deviations, 0)
@group(0) @binding(1) var<storage, read_write> partials: array<vec4f>;

var<workgroup> shares: array<vec3f, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn moments(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let len = p.len;
    // (count, mean, sum of squared deviations)
    var share = vec3f(0.0);
    for (var i = group.x * WORKGROUP_SIZE + local; i < len; i += groups.x * WORKGROUP_SIZE) {
        share = with_value(share, x[i]);
    }
    shares[local] = share;
    for (var half = WORKGROUP_SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (local < half) {
            shares[local] = merged(shares[local], shares[local + half]);
        }
    }
    if (local == 0u) {
        partials[group.x] = vec4f(shares[0], 0.0);
    }
}
