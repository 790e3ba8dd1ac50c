// SiLU, x sigmoid(x): x q for x < 0 and x (1 - q) else, where q = e / (1 + e), e = exp(-|x|). x q is a
// normal number down to x = -91, where q is none: hence 2^24 q, as sigmoid_tail4 gives it.
//
// Within 3 ulp. The derivative is within 3.5, and dy times it within 5; for x from -1.75 to -0.75, around
// its zero, within 2.5 * 2^-26 (times dy, and 0.5 ulp).
// This holds whether or not a compiler fuses multiply and add, or regroups; below 2^-126 a result may be 0.

fn silu4(x: vec4f) -> vec4f {
    let size = min(abs(x), vec4f(104.5));
    let q = sigmoid_tail4(-size, vec4f(0.0));
    let y = select(x * (1.0 - q * 0x1p-24), exp_lower4(-size * q), x < vec4f(0.0));
    // Far above 0 it is x: a compiler may compute x (1 - q) as x - x q, which is no number for infinity.
    return select(y, x, is_nan4(x) | (x > vec4f(30.0)));
}

fn silu(x: f32) -> f32 {
    return silu4(vec4f(x)).x;
}

// dy times the derivative at x. For x < 0 that is v = q ((1 + x) - x q), which has a zero near -1.278,
// and for x > 0 it is 1 - v at -x.
fn silu_backward4(x: vec4f, dy: vec4f) -> vec4f {
    let size = min(abs(x), vec4f(104.5));
    let q = sigmoid_tail4(-size, vec4f(0.0));
    let v = exp_lower4(q * ((1.0 - size) + size * (q * 0x1p-24)));
    return select(dy * select(1.0 - v, v, x < vec4f(0.0)), x, is_nan4(x));
}

fn silu_derivative4(x: vec4f) -> vec4f {
    return silu_backward4(x, vec4f(1.0));
}

fn silu_derivative(x: f32) -> f32 {
    return silu_derivative4(vec4f(x)).x;
}
