// The texels of a texture as values, x [height, width, channels].

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var texels: texture_2d<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn read_texture(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i >= q.texels) {
        return;
    }
    let texel = textureLoad(texels, vec2u(i % q.width, i / q.width), 0);
    for (var c = 0u; c < q.channels; c++) {
        x[i * q.channels + c] = texel[c];
    }
}
