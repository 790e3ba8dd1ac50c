// SELU, and ELU, a SELU of scale 1.

fn activate(x: vec4f, a: ActivationParams) -> vec4f {
    return scaled_elu(x, a.positive, a.negative);
}

fn activate_backward(x: vec4f, dy: vec4f, a: ActivationParams) -> vec4f {
    return scaled_elu_backward(x, dy, a.positive, a.negative, a.residual);
}
