// The tanh form of GELU, x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3), which is
// x sigmoid(2u): x q for x < 0 and x (1 - q) else, where q = e / (1 + e), e = exp(-2 |u|). q is
// computed times 2^24, because x q is a normal number for some x where q is none.
//
// Within 3 ulp. The derivative is within 5, and dy times it within 6.5; for x from -2 to -0.5, around its
// zero, within 3.5 * 2^-26 (times dy, and 0.5 ulp).
// This holds whether or not a compiler fuses multiply and add, or regroups; below 2^-126 a result may be 0.

// sqrt(8 / pi) in two parts; the first is 3268 * 2^-11.
const GELU_TANH_1 = 1.5957691216057308;
const GELU_TANH_1_LOW = 6.5996605730766e-5;
const GELU_TANH_1_UNITS = 3268;
// sqrt(8 / pi) * 0.044715 in two parts; the first has 7 significant bits.
const GELU_TANH_3 = 0.07135481627260025;
const GELU_TANH_3_HIGH = 0.0712890625;
const GELU_TANH_3_LOW = 6.575377260025e-5;
// 1.5 * 2^12: adding it to t < 2^11 leaves round(2^11 t) in the low bits.
const GELU_TANH_ROUND = 6144.0;
const GELU_TANH_ROUND_BITS = 0x45c00000;

// 2^24 q for |x| = size <= 10.7, where 2 |u| is 104.5 and q is 0, see exp_sum4. 2 |u| = size w, w = GELU_TANH_1 + GELU_TANH_3 size^2, in two parts, since
// an error of it is 2 |u| times one of q: the heads have so few bits that their products are exact.
// Integers, and a max that changes nothing, keep a compiler from another order of the sums.
fn gelu_tanh_tail4(size: vec4f) -> vec4f {
    let head = bitcast<vec4f>((bitcast<vec4u>(size) + 0x8000u) & vec4u(0xffff0000u));
    let rest = size - head;
    let cubic = GELU_TANH_3_HIGH * (head * head);
    let units = bitcast<vec4i>(cubic + GELU_TANH_ROUND) - GELU_TANH_ROUND_BITS;
    let cubic_rest = max(cubic - vec4f(units) * 0x1p-11, vec4f(-1.0));
    let small = GELU_TANH_3_HIGH * (rest * (size + head)) + (GELU_TANH_3_LOW * (size * size) + GELU_TANH_1_LOW);
    let w_head = vec4f(units + GELU_TANH_1_UNITS) * 0x1p-11;
    return sigmoid_tail4(-head * w_head, -(rest * w_head + size * (cubic_rest + small)));
}

fn gelu_tanh4(x: vec4f) -> vec4f {
    let size = min(abs(x), vec4f(10.7));
    let q = gelu_tanh_tail4(size);
    let y = select(x * (1.0 - q * 0x1p-24), exp_lower4(-size * q), x < vec4f(0.0));
    // As silu4.
    return select(y, x, is_nan4(x) | (x > vec4f(30.0)));
}

fn gelu_tanh(x: f32) -> f32 {
    return gelu_tanh4(vec4f(x)).x;
}

// dy times the derivative at x. With s = 2x du/dx, that is v = q ((1 - |s|) + |s| q) for x < 0, which has
// a zero near -0.752, and for x > 0 it is 1 - v at -x.
fn gelu_tanh_backward4(x: vec4f, dy: vec4f) -> vec4f {
    let size = min(abs(x), vec4f(10.7));
    let q = gelu_tanh_tail4(size);
    let s = size * (GELU_TANH_1 + 3.0 * GELU_TANH_3 * size * size);
    let v = exp_lower4(q * ((1.0 - s) + s * (q * 0x1p-24)));
    return select(dy * select(1.0 - v, v, x < vec4f(0.0)), x, is_nan4(x));
}

fn gelu_tanh_derivative4(x: vec4f) -> vec4f {
    return gelu_tanh_backward4(x, vec4f(1.0));
}

fn gelu_tanh_derivative(x: f32) -> f32 {
    return gelu_tanh_derivative4(vec4f(x)).x;
}
