// AlphaDropout, forward and backward. The mask is a function of (seed, call, element), drawn again
// wherever it is needed. Every tensor is [n], in lanes. Kept x become scale * x + shift, the others
// `dropped`; backward is the same with a shift and a `dropped` of 0.

fn drop_out(x: Lane, words: vec4u, q: AlphaDropoutParams) -> Lane {
    let v = widen(x);
    // A NaN counts as kept, and stays one.
    let is_dropped = (words < vec4u(q.threshold)) & !is_nan4(v);
    return narrow(select(q.scale * v + q.shift, vec4f(q.dropped), is_dropped));
}

// The words of lanes i and j.
fn draw(i: u32, j: u32, q: AlphaDropoutParams) -> PhiloxPair {
    let a = philox_block(q.block, q.first / 4u + block_of(i));
    let b = philox_block(q.block, q.first / 4u + block_of(j));
    let pair = philox_pair(a, b, q.call, q.seed);
    return PhiloxPair(words_of(pair.a, i), words_of(pair.b, j));
}

// The words of lane i under a mask of noise_shape.
fn draw_broadcast(i: u32, q: AlphaDropoutParams) -> vec4u {
    return broadcast_words(q.first + elements_of(i), q.broadcast, q.block, q.call, q.seed);
}

// y = alpha_dropout(x)
@group(0) @binding(0) var<storage, read_write> x: array<Lane>;
@group(0) @binding(1) var<storage, read_write> y: array<Lane>;

fn drop_lane(i: u32, words: vec4u, q: AlphaDropoutParams) {
    if (i < q.lanes) {
        y[i] = drop_out(x[i], words, q);
    }
}

// No loop, here and below: software drivers keep in memory what one needs, and mask what it changes.
@compute @workgroup_size(WORKGROUP_SIZE)
fn alpha_dropout(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let params = p;
    let i = lane_indices(group, local);
    let front = draw(i.x, i.y, params);
    let back = draw(i.z, i.w, params);
    drop_lane(i.x, front.a, params);
    drop_lane(i.y, front.b, params);
    drop_lane(i.z, back.a, params);
    drop_lane(i.w, back.b, params);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn alpha_dropout_broadcast(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let params = p;
    for (var k = 0u; k < LANES_PER_INVOCATION; k++) {
        let i = lane_index(group, local, k);
        if (i < params.lanes) {
            y[i] = drop_out(x[i], draw_broadcast(i, params), params);
        }
    }
}

// x = alpha_dropout(x)
fn drop_lane_in_place(i: u32, words: vec4u, q: AlphaDropoutParams) {
    if (i < q.lanes) {
        x[i] = drop_out(x[i], words, q);
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn alpha_dropout_in_place(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let params = p;
    let i = lane_indices(group, local);
    let front = draw(i.x, i.y, params);
    let back = draw(i.z, i.w, params);
    drop_lane_in_place(i.x, front.a, params);
    drop_lane_in_place(i.y, front.b, params);
    drop_lane_in_place(i.z, back.a, params);
    drop_lane_in_place(i.w, back.b, params);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn alpha_dropout_broadcast_in_place(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let params = p;
    for (var k = 0u; k < LANES_PER_INVOCATION; k++) {
        let i = lane_index(group, local, k);
        if (i < params.lanes) {
            x[i] = drop_out(x[i], draw_broadcast(i, params), params);
        }
    }
}
