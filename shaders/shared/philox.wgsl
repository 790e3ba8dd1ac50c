// Philox4x32-10 (Salmon et al. 2011): four random words from a counter and a key, with no state.
// In vectors of (block 0, block 1): two blocks at a time keep a pipelined multiplier busy.

const PHILOX_M0 = 0xd2511f53u;
const PHILOX_M1 = 0xcd9e8d57u;
const PHILOX_W = vec2u(0x9e3779b9u, 0xbb67ae85u);
const PHILOX_ROUNDS = 10;

struct PhiloxPair { a: vec4u, b: vec4u }

// The words of the counters (block_a, rest) and (block_b, rest).
fn philox_pair(block_a: u32, block_b: u32, rest: vec3u, key: vec2u) -> PhiloxPair {
    // (a, b, a, b) of words 0 and 2, and of words 1 and 3
    var even = vec4<Wide>(vec4u(block_a, block_b, rest.yy));
    var odd = vec4<Wide>(vec4u(rest.xx, rest.zz));
    let m = vec4<Wide>(vec4u(vec2u(PHILOX_M0), vec2u(PHILOX_M1)));
    var k = key;
    for (var round = 0; round < PHILOX_ROUNDS; round++) {
        let high = mul_high(even, m);
        let low = mul_low(even, m);
        even = (odd ^ vec4<Wide>(vec4u(k.xx, k.yy))) ^ high.zwxy;
        odd = low.zwxy;
        k += PHILOX_W;
    }
    let w0 = vec4u(even);
    let w1 = vec4u(odd);
    return PhiloxPair(vec4u(w0.x, w1.x, w0.z, w1.z), vec4u(w0.y, w1.y, w0.w, w1.w));
}

fn philox(counter: vec4u, key: vec2u) -> vec4u {
    return philox_pair(counter.x, counter.x, counter.yzw, key).a;
}
