// What ops are compared with: 256 invocations of four vec4 each, as the ops have.

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(256)
fn copy(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    for (var j = 0u; j < 4u; j++) {
        let i = (group.x * 4u + j) * 256u + local;
        if (i < arrayLength(&y)) {
            y[i] = x[i];
        }
    }
}

@compute @workgroup_size(256)
fn fill(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    for (var j = 0u; j < 4u; j++) {
        let i = (group.x * 4u + j) * 256u + local;
        if (i < arrayLength(&y)) {
            y[i] = vec4f(f32(i));
        }
    }
}
