// What is in data that can't be used, or is not what it seems: the lowest index of each kind, or the largest u32.

@group(0) @binding(0) var<storage, read_write> values: array<Lane>;
// [parts, FACTS]
@group(0) @binding(1) var<storage, read_write> found: array<atomic<u32>>;

const NONE = 0xffffffffu;

fn note(part: u32, fact: u32, index: u32) {
    if (index != NONE) {
        atomicMin(&found[part * FACTS + fact], index);
    }
}

fn is_not_finite(x: vec4f) -> vec4<bool> {
    return is_nan4(x) | is_infinite4(x);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn find_not_finite(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i >= q.items) {
        return;
    }
    let bad = select(vec4u(NONE), elements_of(i), is_not_finite(widen(values[i])));
    note(q.part, NOT_FINITE, min(min(bad.x, bad.y), min(bad.z, bad.w)));
}

// [rows, outputs], a row an invocation
@group(0) @binding(0) var<storage, read_write> targets: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn inspect_targets(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let row = item_index(group, groups, local);
    if (row >= q.items) {
        return;
    }
    let first = row * q.outputs;
    var not_finite = NONE;
    var below_0 = NONE;
    var above_1 = NONE;
    var not_binary = NONE;
    var not_0 = NONE;
    var sum = 0.0;
    for (var i = first; i < first + q.outputs; i++) {
        let x = targets[i];
        not_finite = min(not_finite, select(NONE, i, any(is_not_finite(vec4f(x)))));
        below_0 = min(below_0, select(NONE, i, x < 0.0));
        above_1 = min(above_1, select(NONE, i, x > 1.0));
        not_binary = min(not_binary, select(NONE, i, x != 0.0 && x != 1.0));
        not_0 = min(not_0, select(NONE, i, x != 0.0));
        sum += x;
    }
    note(q.part, NOT_FINITE, not_finite);
    note(q.part, BELOW_0, below_0);
    note(q.part, ABOVE_1, above_1);
    note(q.part, NOT_BINARY, not_binary);
    note(q.part, NOT_0, not_0);
    // A row of zeros is void.
    note(q.part, NOT_DISTRIBUTED, select(NONE, first, not_0 != NONE && abs(sum - 1.0) > 1e-3));
}
