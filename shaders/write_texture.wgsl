// Values as the texels of a texture, x [height, width, channels]. Channels that x lacks are 0, alpha is 1.

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var texels: Texels;

@compute @workgroup_size(WORKGROUP_SIZE)
fn write_texture(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i >= q.texels) {
        return;
    }
    var texel = vec4f(0.0, 0.0, 0.0, 1.0);
    for (var c = 0u; c < q.channels; c++) {
        texel[c] = x[i * q.channels + c];
    }
    textureStore(texels, vec2u(i % q.width, i / q.width), stored(texel));
}
