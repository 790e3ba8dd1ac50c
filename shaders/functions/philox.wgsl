// Philox4x32-10 (Salmon et al. 2011): four random words from a counter and a key, with no state.
// Vectors are of (block 0, block 1): two blocks at a time keep a pipelined multiplier busy.

const PHILOX_M0 = 0xd2511f53u;
const PHILOX_M1 = 0xcd9e8d57u;
const PHILOX_W = vec2u(0x9e3779b9u, 0xbb67ae85u);
const PHILOX_ROUNDS = 10;

struct PhiloxPair { a: vec4u, b: vec4u }

// The block that comes n after `first`: a 64-bit sum, low word first.
fn philox_block(first: vec2u, n: u32) -> vec2u {
    let low = first.x + n;
    return vec2u(low, first.y + u32(low < n));
}

// The words of the counters (block_a, call) and (block_b, call).
fn philox_pair(block_a: vec2u, block_b: vec2u, call: vec2u, key: vec2u) -> PhiloxPair {
    // (a, b, a, b) of words 0 and 2, and of words 1 and 3
    var even = vec4<Wide>(vec4u(block_a.x, block_b.x, call.xx));
    var odd = vec4<Wide>(vec4u(block_a.y, block_b.y, call.yy));
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
    return philox_pair(counter.xy, counter.xy, counter.zw, key).a;
}
