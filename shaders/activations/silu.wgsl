// SiLU.

fn activate(x: vec4f, a: ActivationParams) -> vec4f {
    return silu4(x);
}

fn activate_backward(x: vec4f, dy: vec4f, a: ActivationParams) -> vec4f {
    return silu_backward4(x, dy);
}
