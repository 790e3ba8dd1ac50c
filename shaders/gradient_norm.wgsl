// The sum of the squares of each piece of the gradients: a workgroup a piece, always in the same order.

// [n], four values a lane
@group(0) @binding(0) var<storage, read_write> g: array<vec4f>;
// [pieces]: a piece is the values from x up to y
@group(0) @binding(1) var<storage, read_write> pieces: array<vec4u>;
// [at least pieces]
@group(0) @binding(2) var<storage, read_write> norms: array<f32>;

var<workgroup> shares: array<f32, WORKGROUP_SIZE>;

// In two steps of 16, not in eight of 2: barriers are what a software GPU spends its time on here.
const SUMS = 16u;

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
    shares[local] = (share.x + share.y) + (share.z + share.w);
    workgroupBarrier();
    if (local < SUMS) {
        var sum = 0.0;
        for (var i = local; i < WORKGROUP_SIZE; i += SUMS) {
            sum += shares[i];
        }
        shares[local] = sum;
    }
    workgroupBarrier();
    if (local == 0u) {
        var sum = 0.0;
        for (var i = 0u; i < SUMS; i++) {
            sum += shares[i];
        }
        norms[piece] = sum;
    }
}
