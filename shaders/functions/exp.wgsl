// exp(x) for x <= 0, from the parts of expm1, within 1.5 ulp. Results below 2^-126 may be 0. (exp_sum4 takes x in
// two parts; to use it here would change the bits of every softmax.)
fn exp4(x: vec4f) -> vec4f {
    // From -88 down, 2^k is 0.
    let t = max(x, vec4f(-88.0));
    let k = exp_binade(t);
    let high = exp_reduced(t, k);
    let low = exp_exponent(k) * EXP_LN_2_LOW;
    let r = high - low;
    let r2 = r * r;
    // This max changes nothing: it keeps a compiler from adding 1 to high alone.
    let expm1 = max(high + (r2 * exp_tail(r, r2) - low), vec4f(-0.5));
    let y = exp_power_of_two(k) * (1.0 + expm1);
    return select(y, x, is_nan4(x));
}

fn exp1(x: f32) -> f32 {
    return exp4(vec4f(x)).x;
}
