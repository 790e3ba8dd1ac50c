// What a number is, by its bits: a compiler may assume that there are no NaNs and no infinities, and a device may
// treat subnormal numbers as zeros.
fn is_nan4(x: vec4f) -> vec4<bool> {
    return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

fn is_infinite4(x: vec4f) -> vec4<bool> {
    return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) == vec4u(0x7f800000u);
}

// True from the first number below -0.0 to -inf; false for zeros, positive numbers and NaNs of either
// sign. As signed integers, the bits of -0.0 are the lowest, and one less wraps to the highest.
fn is_negative4(x: vec4f) -> vec4<bool> {
    return bitcast<vec4i>(x) - 1 < vec4i(-0x800000);
}

fn is_positive4(x: vec4f) -> vec4<bool> {
    return bitcast<vec4i>(x) > vec4i(0);
}

fn is_subnormal4(x: vec4f) -> vec4<bool> {
    return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) - 1u < vec4u(0x007fffffu);
}

// |x| * 2^126 for a subnormal x, even where the device takes x for 0: it is a difference of normal numbers. It is
// 0 for other x, since CPUs take a hundred cycles for a subnormal product.
fn subnormal_size4(x: vec4f) -> vec4f {
    let digits = min(bitcast<vec4u>(x) & vec4u(0x7fffffffu), vec4u(0x00800000u));
    return bitcast<vec4f>(digits | vec4u(0x3f800000u)) - 1.0;
}
