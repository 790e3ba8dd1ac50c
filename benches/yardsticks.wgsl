// What ops are compared with: 256 invocations of four vec4 each, in the order that the ops have, for it is the
// fastest known here.

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

fn lane_index(group: u32, local: u32, j: u32) -> u32 {
    return (group * 32u + local / 8u) * 32u + j * 8u + local % 8u;
}

@compute @workgroup_size(256)
fn copy(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    for (var j = 0u; j < 4u; j++) {
        let i = lane_index(group.x, local, j);
        if (i < arrayLength(&y)) {
            y[i] = x[i];
        }
    }
}

@compute @workgroup_size(256)
fn fill(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    for (var j = 0u; j < 4u; j++) {
        let i = lane_index(group.x, local, j);
        if (i < arrayLength(&y)) {
            y[i] = vec4f(f32(i));
        }
    }
}
