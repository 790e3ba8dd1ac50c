// exp(x) - 1 without the cancellation that exp(x) - 1 has near zero.
//
// x = k ln 2 + r with |r| <= ln 2 / 2, and exp(r) - 1 = r + r^2 tail(r); then
// exp(x) - 1 = 2^k (exp(r) - 1) + (2^k - 1). Nothing here changes by more than a rounding if a
// compiler fuses multiply and add, or regroups sums and products: k is taken from the bits of the
// rounded sum, so that no compiler can cancel the rounding constant away, and what must not be
// regrouped goes through a max that changes nothing, or through exp_apart4.

const EXP_LOG2_E = 1.4426950408889634;
const EXP_LN_2 = 0.6931471805599453;
// ln 2 in two parts; the first has 15 significant bits, so k * EXP_LN_2_HIGH is exact.
const EXP_LN_2_HIGH = 0.693145751953125;
const EXP_LN_2_LOW = 1.4286068202862268e-6;
// 1.5 * 2^23 + 127: adding it to t leaves round(t) + 127, an f32's exponent field, in the low bits.
const EXP_ROUND = 12583039.0;
const EXP_ROUND_BITS = 0x4b40007f;

// The bits of round(x / ln 2) + EXP_ROUND.
fn exp_binade(x: vec4f) -> vec4i {
    return bitcast<vec4i>(x * EXP_LOG2_E + EXP_ROUND);
}

fn exp_exponent(k: vec4i) -> vec4f {
    return vec4f(k - EXP_ROUND_BITS);
}

// 2^exponent, for exponents from -127, where it is 0, to 127.
fn exp_power_of_two(k: vec4i) -> vec4f {
    return bitcast<vec4f>(k << vec4u(23u));
}

// 2^(floor(exponent / 2) - 1), for exponents from -252; 0 for -252 and -251; and 2^(ceil(exponent / 2) + 1).
fn exp_first_half(k: vec4i) -> vec4f {
    return bitcast<vec4f>((((k - EXP_ROUND_BITS) >> vec4u(1u)) + 126) << vec4u(23u));
}

fn exp_second_half(k: vec4i) -> vec4f {
    return bitcast<vec4f>((((k - (EXP_ROUND_BITS - 1)) >> vec4u(1u)) + 128) << vec4u(23u));
}

// x itself. Because no compiler can know that the sign bit of `positive` is 0, none can take x and what is added to it
// for one sum.
fn exp_apart4(x: vec4f, positive: vec4f) -> vec4f {
    return bitcast<vec4f>(bitcast<vec4i>(x) ^ (bitcast<vec4i>(positive) >> vec4u(31u)));
}

// x - k ln 2 without the part of ln 2 that EXP_LN_2_LOW is: exact. The max changes nothing but keeps a compiler from
// adding the two parts of ln 2.
fn exp_reduced(x: vec4f, k: vec4i) -> vec4f {
    return max(x - exp_exponent(k) * EXP_LN_2_HIGH, vec4f(-1.0));
}

// (exp(r) - 1 - r) / r^2 for |r| <= ln 2 / 2; minimax, relative error of exp(r) - 1 below 1.4e-8.
fn exp_tail(r: vec4f, r2: vec4f) -> vec4f {
    let low = 0.49999997019767761 + r * 0.16666543483734131;
    let high = 0.041667502373456955 + r * 0.0083665335550904274;
    return low + r2 * (high + r2 * 0.0013864530483260751);
}

// scale * (exp(x) - 1) for x <= 0. Below -18 the result is -scale to the last bit.
fn scaled_expm1(x: vec4f, scale: f32) -> vec4f {
    let t = max(x, vec4f(-18.0));
    let k = exp_binade(t);
    // |k| <= 26: one constant for ln 2 is exact enough.
    let r = t - exp_exponent(k) * EXP_LN_2;
    let r2 = r * r;
    let power = exp_power_of_two(k);
    let s = power * scale;
    return s * (r + r2 * exp_tail(r, r2)) + exp_apart4(s - scale, power);
}

fn expm1_4(x: vec4f) -> vec4f {
    let t = clamp(x, vec4f(-18.0), vec4f(89.0));
    let k = exp_binade(t);
    let high = exp_reduced(t, k);
    let low = exp_exponent(k) * EXP_LN_2_LOW;
    let r = high - low;
    let r2 = r * r;
    // Half of 2^k, because 2^128 is not an f32.
    let s = exp_power_of_two(k - 1);
    // The large terms first: where they cancel, they do so without rounding. The max changes nothing but keeps
    // them together.
    let large = max(s * high + exp_apart4(s - 0.5, s), vec4f(-1e38));
    let y = 2.0 * (large + s * (r2 * exp_tail(r, r2) - low));
    // Below 2^-25, x itself is nearest, and keeps the sign of a zero.
    return select(y, x, is_nan4(x) | (abs(x) < vec4f(0x1p-25)));
}

// exp(x) - 1 for every x.
fn expm1(x: f32) -> f32 {
    return expm1_4(vec4f(x)).x;
}
