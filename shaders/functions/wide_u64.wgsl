// The halves of 32-bit products on devices with 64-bit integers. A Wide stays below 2^32, and the masks
// tell compilers so: they emit a single multiplication and drop the mask.
alias Wide = u64;

fn mul_low(a: vec4<Wide>, b: vec4<Wide>) -> vec4<Wide> {
    return (a * b) & vec4<Wide>(Wide(0xffffffffu));
}

fn mul_high(a: vec4<Wide>, b: vec4<Wide>) -> vec4<Wide> {
    let mask = vec4<Wide>(Wide(0xffffffffu));
    return ((a & mask) * (b & mask)) >> vec4u(32u);
}
