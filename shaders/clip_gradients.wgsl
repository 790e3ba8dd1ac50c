// Multiplies each piece of the gradients by its variable's factor: a workgroup a piece.

// [n]; one value at a time, since two variables may share a lane
@group(0) @binding(0) var<storage, read_write> g: array<f32>;
// [pieces]: a piece is the values from x up to y, all of the variable z
@group(0) @binding(1) var<storage, read_write> pieces: array<vec4u>;
// the variables' factors, from `pieces` on
@group(0) @binding(2) var<storage, read_write> norms: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn clip_gradients(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let piece = group.y * groups.x + group.x;
    if (piece >= q.pieces) {
        return;
    }
    let run = pieces[piece];
    let factor = norms[q.pieces + run.z];
    for (var i = run.x + local; i < run.y; i += WORKGROUP_SIZE) {
        g[i] *= factor;
    }
}
