// Softplus.

fn activate(x: vec4f, a: ActivationParams) -> vec4f {
    return softplus4(x);
}

fn activate_backward(x: vec4f, dy: vec4f, a: ActivationParams) -> vec4f {
    return softplus_backward4(x, dy);
}
