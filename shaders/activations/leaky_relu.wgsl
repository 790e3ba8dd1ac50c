// x for x > 0, a multiple of x else.

fn activate(x: vec4f, a: ActivationParams) -> vec4f {
    return leaky_relu4(x, a.negative);
}

fn activate_backward(x: vec4f, dy: vec4f, a: ActivationParams) -> vec4f {
    return leaky_relu_backward4(x, dy, a.negative);
}
