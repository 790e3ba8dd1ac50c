// Rows copied bit by bit, from where they begin every so many words to where they begin every so many
// others.

@group(0) @binding(0) var<storage, read_write> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> destination: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn copy_rows(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i >= q.words) {
        return;
    }
    let row = i / q.row;
    let word = i % q.row;
    destination[q.destination.x + row * q.destination.y + word] = source[q.source.x + row * q.source.y + word];
}
