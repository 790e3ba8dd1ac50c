// The halves of 32-bit products on devices with 64-bit integers; a Wide stays below 2^32.
alias Wide = u64;

fn mul_low(a: vec4<Wide>, b: vec4<Wide>) -> vec4<Wide> {
    return (a * b) & vec4<Wide>(Wide(0xffffffffu));
}

fn mul_high(a: vec4<Wide>, b: vec4<Wide>) -> vec4<Wide> {
    return (a * b) >> vec4u(32u);
}
