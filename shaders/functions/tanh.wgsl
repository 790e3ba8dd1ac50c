// tanh(x): x + x^3 P(x^2) up to |x| = 0.55, where P is minimax, error 1.2e-9 relative; else 1 - 2q with
// the sign of x, where q = e / (1 + e), e = exp(-2|x|), is at most 1/4 and so are its errors.
//
// Within 1.5 ulp, the derivative within 3, dy times it within 4.5.
// This holds whether or not a compiler fuses multiply and add, or regroups; below 2^-126 a result may be 0.

fn tanh4(x: vec4f) -> vec4f {
    let size = abs(x);
    let q = sigmoid_tail4(max(-2.0 * size, vec4f(-104.5)), vec4f(0.0));
    let far = 1.0 - q * 0x1p-23;
    let z = x * x;
    let low = -0.33333316445350647 + z * 0.13332544267177582;
    let high = -0.053847547620534897 + z * (0.021050713956356049 + z * -0.0062428493984043598);
    let near = x + x * (z * (low + z * z * high));
    let y = select(select(far, -far, x < vec4f(0.0)), near, size < vec4f(0.55));
    // Below 2^-13 x itself is nearest, with the sign of a zero.
    return select(y, x, is_nan4(x) | (size < vec4f(0x1p-13)));
}

// tanh(x) with the bits of tanh4, unlike WGSL's own.
fn tanh1(x: f32) -> f32 {
    return tanh4(vec4f(x)).x;
}

// dy times the derivative at x, 4 q (1 - q).
fn tanh_backward4(x: vec4f, dy: vec4f) -> vec4f {
    let q = sigmoid_tail4(max(-2.0 * abs(x), vec4f(-104.5)), vec4f(0.0));
    // The max changes nothing: it keeps a compiler from multiplying dy by 2^24 q first, which may be infinite.
    return select(dy * max(q * (1.0 - q * 0x1p-24) * 0x1p-22, vec4f(0.0)), x, is_nan4(x));
}

fn tanh_derivative4(x: vec4f) -> vec4f {
    return tanh_backward4(x, vec4f(1.0));
}

fn tanh_derivative(x: f32) -> f32 {
    return tanh_derivative4(vec4f(x)).x;
}
