// The tanh form of GELU.

fn activate(x: vec4f, a: ActivationParams) -> vec4f {
    return gelu_tanh4(x);
}

fn activate_backward(x: vec4f, dy: vec4f, a: ActivationParams) -> vec4f {
    return gelu_tanh_backward4(x, dy);
}
