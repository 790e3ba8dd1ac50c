// Leaky ReLU: x for x > 0, negative_slope * x else; by the bits, see classify.wgsl.
//
// The slope as f32 taken for exact, within 0.5 ulp, and dy times the derivative too. Below 2^-126 a result
// may be 0.

fn leaky_relu4(x: vec4f, negative_slope: f32) -> vec4f {
    // A slope of 0 gives 0 for -inf, too, not the NaN of 0 * inf.
    let flat = is_infinite4(x) & vec4<bool>(negative_slope == 0.0);
    let negative = select(negative_slope * x, vec4f(0.0), flat);
    // A device may take a subnormal x for 0, which matters where the result is not subnormal, too.
    let small = subnormal_size4(x) * (negative_slope * -0x1p-126);
    let is_small = is_subnormal4(x) & vec4<bool>(abs(negative_slope) >= 1.0);
    return select(select(negative, small, is_small), x, is_positive4(x) | is_nan4(x));
}

fn leaky_relu(x: f32, negative_slope: f32) -> f32 {
    return leaky_relu4(vec4f(x), negative_slope).x;
}

// dy times the derivative at x; at 0 it is the one from the left.
fn leaky_relu_backward4(x: vec4f, dy: vec4f, negative_slope: f32) -> vec4f {
    return select(select(negative_slope * dy, dy, is_positive4(x)), x, is_nan4(x));
}

fn leaky_relu_derivative4(x: vec4f, negative_slope: f32) -> vec4f {
    return leaky_relu_backward4(x, vec4f(1.0), negative_slope);
}

fn leaky_relu_derivative(x: f32, negative_slope: f32) -> f32 {
    return leaky_relu_derivative4(vec4f(x), negative_slope).x;
}
