// The hyperbolic tangent.

fn activate(x: vec4f, a: ActivationParams) -> vec4f {
    return tanh4(x);
}

fn activate_backward(x: vec4f, dy: vec4f, a: ActivationParams) -> vec4f {
    return tanh_backward4(x, dy);
}
