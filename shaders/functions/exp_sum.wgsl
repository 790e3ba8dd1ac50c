// 2^lift exp(high + low), out of the parts of expm1, where low is what high has been rounded by, or
// 0: within 1.5 ulp. high + low must be at most 0 and at least -88 - 0.69 lift, where the result is 0;
// nothing here looks for NaNs. With lift, the result is a normal number where exp(high + low) is none.
fn exp_sum4(high: vec4f, low: vec4f, lift: i32) -> vec4f {
    let k = exp_binade(high + low);
    let first = exp_reduced(high, k);
    let rest = low - exp_exponent(k) * EXP_LN_2_LOW;
    let r = first + rest;
    let r2 = r * r;
    // This max changes nothing: it keeps a compiler from adding 1 to first alone.
    let expm1 = max(first + (r2 * exp_tail(r, r2) + rest), vec4f(-0.5));
    return exp_power_of_two(k + lift) * (1.0 + expm1);
}

// 2^-24 x, and 0 where that is no normal number. By the bits, because a compiler that regroups
// products could multiply something by 2^-24 that becomes subnormal.
fn exp_lower4(x: vec4f) -> vec4f {
    let y = bitcast<vec4f>(bitcast<vec4i>(x) - 0x0c000000);
    return select(y, vec4f(0.0), abs(x) < vec4f(0x1p-102));
}
