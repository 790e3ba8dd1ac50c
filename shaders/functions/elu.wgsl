// ELU, and SELU as a scaled ELU: scale * x for x > 0, scale * alpha * (exp(x) - 1) else.

fn scaled_elu(x: vec4f, scale: f32, scale_alpha: f32) -> vec4f {
    let negative = is_negative4(x);
    let y = select(scale * x, scaled_expm1(x, scale_alpha), negative);
    // Where the device takes a subnormal x for 0.
    let slope = select(vec4f(scale * 0x1p-126), vec4f(scale_alpha * -0x1p-126), negative);
    return select(y, subnormal_size4(x) * slope, is_subnormal4(x));
}

// dy times the derivative at x: scale for x > 0, scale * alpha * exp(x) else. `residual` is the part
// lost in rounding scale * alpha to scale_alpha, relative to it.
fn scaled_elu_backward(x: vec4f, dy: vec4f, scale: f32, scale_alpha: f32, residual: f32) -> vec4f {
    // From k = -251 down, x = -173.6, the first half of 2^k is 0.
    let t = max(x, vec4f(-175.0));
    let k = exp_binade(t);
    let high = exp_reduced(t, k);
    let low = exp_exponent(k) * EXP_LN_2_LOW;
    let r = high - low;
    let r2 = r * r;
    // exp(r) - 1 = high + rest; summed last, so that it is rounded once.
    let rest = r2 * exp_tail(r, r2) + (residual - low);
    // 2^k in two halves, so that nothing is subnormal or infinite unless dy or the result is. No max here changes
    // anything: they keep a compiler from multiplying dy by scale_alpha, and s by rounded sums.
    let s = dy * max(exp_first_half(k) * scale_alpha, vec4f(-3e38));
    let small = max(max(s * high, vec4f(-3e38)) + s * rest, vec4f(-3e38));
    // The terms of an infinite s would cancel.
    let sum = select(s + small, s, is_infinite4(s));
    let negative = sum * exp_second_half(k);
    return select(select(negative, scale * dy, is_positive4(x)), x, is_nan4(x));
}

fn elu4(x: vec4f, alpha: f32) -> vec4f {
    return scaled_elu(x, 1.0, alpha);
}

// x for x > 0, alpha * (exp(x) - 1) else.
fn elu(x: f32, alpha: f32) -> f32 {
    return elu4(vec4f(x), alpha).x;
}

fn elu_derivative4(x: vec4f, alpha: f32) -> vec4f {
    return scaled_elu_backward(x, vec4f(1.0), 1.0, alpha, 0.0);
}

// 1 for x > 0, alpha * exp(x) else.
fn elu_derivative(x: f32, alpha: f32) -> f32 {
    return elu_derivative4(vec4f(x), alpha).x;
}
