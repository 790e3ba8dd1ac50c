// Moving averages of a batch normalization, once a step has been judged: they move with the weights, or not at
// all. Every tensor is [2, columns]: means, and variances.

@group(0) @binding(0) var<storage, read_write> averages: array<f32>;
@group(0) @binding(1) var<storage, read_write> batch: array<f32>;
@group(0) @binding(2) var<storage, read_write> guard: GuardState;

@compute @workgroup_size(WORKGROUP_SIZE)
fn move_averages(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i >= q.len || guard.update == 0.0) {
        return;
    }
    averages[i] += (batch[i] - averages[i]) * q.rate;
}
