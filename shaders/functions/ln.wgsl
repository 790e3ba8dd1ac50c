// The natural logarithm of normal x > 0, within 1.5 ulp, even if division is as inexact as WGSL allows.
//
// x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), and with s = f / (2 + f),
// ln(1 + f) = f - f^2 / 2 + s (f^2 / 2 + R(s^2)); R is minimax, from FreeBSD's e_logf.c (Sun
// Microsystems 1993). An error of s matters little, because f dominates.

// the bits of sqrt(1/2)
const LN_SQRT_HALF_BITS = 0x3f3504f3;
// ln 2 in two parts; the first has 16 significant bits, so k * LN_2_HIGH is exact.
const LN_2_HIGH = 0.693138122558593750;
const LN_2_LOW = 9.0580006144591607e-6;

fn ln(x: f32) -> f32 {
    let bits = bitcast<i32>(x);
    let k = (bits - LN_SQRT_HALF_BITS) >> 23u;
    let f = bitcast<f32>(bits - (k << 23u)) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let odd = z * (0.66666662693023682 + w * 0.28498786687850952);
    let even = w * (0.40000972151756287 + w * 0.24279078841209412);
    let half = 0.5 * f * f;
    // The max changes nothing: it keeps a compiler from adding the two parts of ln 2.
    let rest = max((s * (half + (odd + even)) + f32(k) * LN_2_LOW - half) + f, -1.0);
    let y = rest + f32(k) * LN_2_HIGH;
    return select(y, x, is_nan4(vec4f(x)).x);
}
