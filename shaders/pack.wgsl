// Puts a network's weights into the order in which its WGSL function reads them, one value per invocation.

// weights is [parameters], places and packed are [values]: packed[i] = weights[places[i]], or 0.
@group(0) @binding(0) var<storage, read_write> weights: array<f32>;
@group(0) @binding(1) var<storage, read_write> places: array<u32>;
@group(0) @binding(2) var<storage, read_write> packed: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn pack(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let i = item_index(group, groups, local);
    if (i >= p.values) {
        return;
    }
    let place = places[i];
    var value = 0.0;
    if (place != NO_PLACE) {
        value = weights[place];
    }
    packed[i] = value;
}
