// The sum of the squares of each piece of the gradients: a workgroup a piece, always in the same order.

// [n], four values a lane
@group(0) @binding(0) var<storage, read_write> g: array<vec4f>;
// [pieces]: a piece is the values from x up to y
@group(0) @binding(1) var<storage, read_write> pieces: array<vec4u>;
// [at least pieces]
@group(0) @binding(2) var<storage, read_write> norms: array<f32>;

alias Share = f32;

@compute @workgroup_size(WORKGROUP_SIZE)
fn gradient_norm(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let piece = group.y * groups.x + group.x;
    if (piece >= p.pieces) {
        return;
    }
    let run = pieces[piece];
    var share = vec4f(0.0);
    for (var i = run.x / 4u + local; 4u * i < run.y; i += WORKGROUP_SIZE) {
        // A variable may begin or end within a lane.
        let at = 4u * i + vec4u(0u, 1u, 2u, 3u);
        let gradient = select(vec4f(0.0), g[i], (at >= vec4u(run.x)) & (at < vec4u(run.y)));
        share += gradient * gradient;
    }
    let sum = group_sum(local, (share.x + share.y) + (share.z + share.w));
    if (local == 0u) {
        norms[piece] = sum;
    }
}
