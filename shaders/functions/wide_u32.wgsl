// The high half of 32-bit products from 16-bit ones, for devices without 64-bit integers.
alias Wide = u32;

fn mul_low(a: vec4<Wide>, b: vec4<Wide>) -> vec4<Wide> {
    return a * b;
}

fn mul_high(a: vec4<Wide>, b: vec4<Wide>) -> vec4<Wide> {
    let mask = vec4u(0xffffu);
    let shift = vec4u(16u);
    let middle = (a >> shift) * (b & mask) + (((a & mask) * (b & mask)) >> shift);
    let carry = (a & mask) * (b >> shift) + (middle & mask);
    return (a >> shift) * (b >> shift) + (middle >> shift) + (carry >> shift);
}
