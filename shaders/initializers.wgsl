// Initial weights: truncated normal, uniform, constant. w is [n], in lanes; element e takes word e
// mod 4 of block e / 4 of the random stream.

struct InitializerParams {
    lanes: u32,
    // the element of the first lane, a multiple of four
    first: u32,
    seed: vec2u,
    // the value of a constant; else what the random value is multiplied by
    scale: f32,
}

@group(0) @binding(0) var<storage, read_write> w: array<Lane>;

fn draw(i: u32, j: u32) -> PhiloxPair {
    let block = p.first / 4u;
    let pair = philox_pair(block + block_of(i), block + block_of(j), vec3u(0u), p.seed);
    return PhiloxPair(words_of(pair.a, i), words_of(pair.b, j));
}

// A standard normal truncated at 2, as a multiple of 2^-22: the inverse CDF of one word. With
// x = (2 u + 1) / 2^32, where u is the word without its sign bit, it is x P(x^2), and P is a
// polynomial whose coefficients are all positive, so that the result grows with the word.
fn truncated_normal(word: vec4u) -> vec4i {
    let x = vec4<Wide>((word << vec4u(1u)) | vec4u(1u));
    let s = mul_high(x, x);
    let s2 = mul_high(s, s);
    let s4 = mul_high(s2, s2);
    let s8 = mul_high(s4, s4);
    let s16 = mul_high(s8, s8);
    var y = vec4<Wide>(Wide(ICDF_56));
    y = mul_high(y, s16) + vec4<Wide>(Wide(ICDF_40));
    y = mul_high(y, s16) + vec4<Wide>(Wide(ICDF_24));
    y = mul_high(y, s8) + vec4<Wide>(Wide(ICDF_16));
    y = mul_high(y, s4) + vec4<Wide>(Wide(ICDF_12));
    y = mul_high(y, s4) + vec4<Wide>(Wide(ICDF_8));
    y = mul_high(y, s2) + vec4<Wide>(Wide(ICDF_6));
    y = mul_high(y, s2) + vec4<Wide>(Wide(ICDF_4));
    y = mul_high(y, s) + vec4<Wide>(Wide(ICDF_3));
    y = mul_high(y, s) + vec4<Wide>(Wide(ICDF_2));
    y = mul_high(y, s) + vec4<Wide>(Wide(ICDF_1));
    y = mul_high(y, s) + vec4<Wide>(Wide(ICDF_0));
    // from multiples of 2^-30 to the nearest multiple of 2^-22
    let z = vec4i((vec4u(mul_high(y, x)) + 128u) >> vec4u(8u));
    return select(z, -z, word >= vec4u(0x80000000u));
}

fn normal_lane(words: vec4u) -> Lane {
    return narrow(p.scale * vec4f(truncated_normal(words)));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn fill_truncated_normal(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    for (var k = 0u; k < LANES_PER_INVOCATION; k += 2u) {
        let i = lane_index(group, local, k);
        let j = lane_index(group, local, k + 1u);
        let words = draw(i, j);
        if (i < p.lanes) {
            w[i] = normal_lane(words.a);
        }
        if (j < p.lanes) {
            w[j] = normal_lane(words.b);
        }
    }
}

// Uniform in (-1, 1): an odd multiple of 2^-24 below 1, so that no value is 0.
fn uniform_lane(words: vec4u) -> Lane {
    let odd = vec4i((words >> vec4u(7u)) | vec4u(1u)) - 0x1000000;
    return narrow(p.scale * vec4f(odd));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn fill_uniform(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    for (var k = 0u; k < LANES_PER_INVOCATION; k += 2u) {
        let i = lane_index(group, local, k);
        let j = lane_index(group, local, k + 1u);
        let words = draw(i, j);
        if (i < p.lanes) {
            w[i] = uniform_lane(words.a);
        }
        if (j < p.lanes) {
            w[j] = uniform_lane(words.b);
        }
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn fill_constant(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
    for (var k = 0u; k < LANES_PER_INVOCATION; k++) {
        let i = lane_index(group, local, k);
        if (i < p.lanes) {
            w[i] = narrow(vec4f(p.scale));
        }
    }
}
