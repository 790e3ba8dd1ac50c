// sin(frequency x).

fn activate(x: vec4f, a: ActivationParams) -> vec4f {
    return sine4(x, a.positive);
}

fn activate_backward(x: vec4f, dy: vec4f, a: ActivationParams) -> vec4f {
    return sine_backward4(x, dy, a.positive);
}
