// The sigmoid, 1 / (1 + exp(-x)): q for x < 0 and 1 - q else, where q = e / (1 + e), e = exp(-|x|).
//
// The quotient takes no division, which WGSL lets be 2.5 ulp off: a parabola is within 1/99 of
// 1 / (1 + e), the best one since its error is a Chebyshev polynomial, one Newton step leaves
// 1/99^2, and one for q itself 1/99^4, 1.1e-8. e and 1 go into the steps by themselves, for 1 + e
// would be rounded.
//
// Within 2 ulp, the derivative within 3, dy times it within 4.5.
// This holds whether or not a compiler fuses multiply and add, or regroups; below 2^-126 a result may be 0.

// 2^24 q, where e = exp(high + low); see exp_sum4 for what these may be. Without 2^24 the last step
// would be one of subnormal numbers.
fn sigmoid_tail4(high: vec4f, low: vec4f) -> vec4f {
    let lifted = exp_sum4(high, low, 24);
    let e = lifted * 0x1p-24;
    let start = 0.98989898989898994 + e * (-0.80808080808080807 + e * 0.32323232323232326);
    let y = start + start * ((1.0 - start) - e * start);
    // No max here changes anything. The first keeps a compiler from taking lifted out of the difference, which
    // would not see the rounding of q, the second from taking q out of it, for 1 + e would be rounded.
    let q = max(lifted * y, vec4f(0.0));
    return q + y * (max(lifted - q, vec4f(0.0)) - e * q);
}

fn sigmoid4(x: vec4f) -> vec4f {
    let q = sigmoid_tail4(max(-abs(x), vec4f(-104.5)), vec4f(0.0)) * 0x1p-24;
    return select(select(1.0 - q, q, x < vec4f(0.0)), x, is_nan4(x));
}

fn sigmoid(x: f32) -> f32 {
    return sigmoid4(vec4f(x)).x;
}

// dy times the derivative at x, q (1 - q).
fn sigmoid_backward4(x: vec4f, dy: vec4f) -> vec4f {
    let q = sigmoid_tail4(max(-abs(x), vec4f(-104.5)), vec4f(0.0)) * 0x1p-24;
    // A max again, for dy times 2^24 may be infinite.
    return select(dy * max(q - q * q, vec4f(0.0)), x, is_nan4(x));
}

fn sigmoid_derivative4(x: vec4f) -> vec4f {
    return sigmoid_backward4(x, vec4f(1.0));
}

fn sigmoid_derivative(x: f32) -> f32 {
    return sigmoid_derivative4(vec4f(x)).x;
}
