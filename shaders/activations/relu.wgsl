// x for x > 0, 0 else.

fn activate(x: vec4f, a: ActivationParams) -> vec4f {
    return select(x, vec4f(0.0), is_negative4(x));
}

fn activate_backward(x: vec4f, dy: vec4f, a: ActivationParams) -> vec4f {
    return select(select(vec4f(0.0), dy, is_positive4(x)), x, is_nan4(x));
}
