// Initial weights: truncated normal, uniform, constant. w is [n], in lanes; element e takes word e
// mod 4 of the random stream's block e / 4, counted from `block`.

@group(0) @binding(0) var<storage, read_write> w: array<Lane>;

fn draw(i: u32, j: u32, q: InitializerParams) -> PhiloxPair {
    let a = philox_block(q.block, q.first / 4u + block_of(i));
    let b = philox_block(q.block, q.first / 4u + block_of(j));
    let pair = philox_pair(a, b, q.call, q.seed);
    return PhiloxPair(words_of(pair.a, i), words_of(pair.b, j));
}

// A standard normal truncated at 2, as a multiple of 2^-22: the inverse CDF of one word. With
// x = (2 u + 1) / 2^32, where u is the word without its sign bit, it is x P(x^2), and P is a
// polynomial whose coefficients are all positive, so that the result grows with u.
fn truncated_normal(word: vec4u) -> vec4i {
    let x = vec4<Wide>((word << vec4u(1u)) | vec4u(1u));
    let s = mul_high(x, x);
    let s2 = mul_high(s, s);
    let s3 = mul_high(s2, s);
    let s5 = mul_high(s3, s2);
    let s7 = mul_high(s5, s2);
    let s12 = mul_high(s7, s5);
    let s24 = mul_high(s12, s12);
    let s48 = mul_high(s24, s24);
    let p = vec4<Wide>(Wide(ICDF_0)) + term(s, ICDF_1) + term(s2, ICDF_2) + term(s3, ICDF_3)
        + term(s5, ICDF_5) + term(s7, ICDF_7) + term(s12, ICDF_12) + term(s24, ICDF_24)
        + term(s48, ICDF_48);
    // from multiples of 2^-30 to the nearest multiple of 2^-22
    let z = vec4i((vec4u(mul_high(x, p)) + 128u) >> vec4u(8u));
    return select(z, -z, word >= vec4u(0x80000000u));
}

fn term(power: vec4<Wide>, coefficient: u32) -> vec4<Wide> {
    return mul_high(power, vec4<Wide>(Wide(coefficient)));
}

fn set_normal(i: u32, words: vec4u, q: InitializerParams) {
    if (i < q.lanes) {
        w[i] = narrow(q.scale * vec4f(truncated_normal(words)));
    }
}

// No loop, here and below: software drivers keep in memory what one needs, and mask what it changes.
@compute @workgroup_size(WORKGROUP_SIZE)
fn fill_truncated_normal(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let params = p;
    let i = lane_indices(group, local);
    let front = draw(i.x, i.y, params);
    let back = draw(i.z, i.w, params);
    set_normal(i.x, front.a, params);
    set_normal(i.y, front.b, params);
    set_normal(i.z, back.a, params);
    set_normal(i.w, back.b, params);
}

// Uniform in (-1, 1): an odd multiple of 2^-24 below 1, so that no value is 0.
fn set_uniform(i: u32, words: vec4u, q: InitializerParams) {
    if (i < q.lanes) {
        let odd = vec4i((words >> vec4u(7u)) | vec4u(1u)) - 0x1000000;
        w[i] = narrow(q.scale * vec4f(odd));
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn fill_uniform(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let params = p;
    let i = lane_indices(group, local);
    let front = draw(i.x, i.y, params);
    let back = draw(i.z, i.w, params);
    set_uniform(i.x, front.a, params);
    set_uniform(i.y, front.b, params);
    set_uniform(i.z, back.a, params);
    set_uniform(i.w, back.b, params);
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn fill_constant(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    let params = p;
    for (var k = 0u; k < LANES_PER_INVOCATION; k++) {
        let i = lane_index(group, local, k);
        if (i < params.lanes) {
            w[i] = narrow(vec4f(params.scale));
        }
    }
}
