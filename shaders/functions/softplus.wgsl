// Softplus, ln(1 + exp(x)) = max(x, 0) + ln(1 + e), e = exp(-|x|), and ln(1 + e) = e - e^2 P(e), where
// P is minimax, error 5.3e-9 relative.
//
// Within 2.5 ulp, the derivative within 2, dy times it within 3.
// This holds whether or not a compiler fuses multiply and add, or regroups; below 2^-126 a result may be 0.

fn softplus4(x: vec4f) -> vec4f {
    let e = exp_sum4(max(-abs(x), vec4f(-88.0)), vec4f(0.0), 0);
    let e2 = e * e;
    let a = 0.49999931454658508 + e * -0.33330464363098145;
    let b = 0.24958018958568573 + e * -0.19692102074623108;
    let c = 0.15344880521297455 + e * -0.10661128163337708;
    let d = 0.057457230985164642 + e * (-0.020086241886019707 + e * 0.0032904685940593481);
    // e last: what is rounded before is small, or x large. The max changes nothing but keeps e there.
    let rest = max(max(x, vec4f(0.0)) - e2 * ((a + e2 * b) + e2 * e2 * (c + e2 * d)), vec4f(-1.0));
    let y = rest + e;
    return select(y, x, is_nan4(x));
}

fn softplus(x: f32) -> f32 {
    return softplus4(vec4f(x)).x;
}

// dy times the derivative at x, which is the sigmoid.
fn softplus_backward4(x: vec4f, dy: vec4f) -> vec4f {
    return select(dy * sigmoid4(x), x, is_nan4(x));
}

fn softplus_derivative4(x: vec4f) -> vec4f {
    return sigmoid4(x);
}

fn softplus_derivative(x: f32) -> f32 {
    return softplus_derivative4(vec4f(x)).x;
}
