// What follows a sum before it is stored: activation and dropout, and their gradients. ACTIVATION,
// DROPOUT and so on are constants of the form, so what a form does not do is not compiled.

const ACTIVATION_LINEAR = 0u;
const ACTIVATION_ELU = 1u;
const ACTIVATION_RELU = 2u;

fn activate(z: vec4f, e: EpilogueParams) -> vec4f {
    if (ACTIVATION == ACTIVATION_ELU) {
        return scaled_elu(z, e.scale, e.scale_alpha);
    }
    if (ACTIVATION == ACTIVATION_RELU) {
        return select(z, vec4f(0.0), is_negative4(z));
    }
    return z;
}

fn activate_backward(z: vec4f, dy: vec4f, e: EpilogueParams) -> vec4f {
    if (ACTIVATION == ACTIVATION_ELU) {
        return scaled_elu_backward(z, dy, e.scale, e.scale_alpha, e.residual);
    }
    if (ACTIVATION == ACTIVATION_RELU) {
        return select(select(vec4f(0.0), dy, is_positive4(z)), z, is_nan4(z));
    }
    return dy;
}

// Of lane i of the tensor: which elements the training step drops.
fn is_dropped(i: u32, e: EpilogueParams) -> vec4<bool> {
    let words = words_of(philox(vec4u(block_of(i), 0u, step.call), e.seed), i);
    return (words < vec4u(e.threshold)) & vec4<bool>(step.training != 0u);
}

// y of lane i from z, the sum.
fn epilogue(i: u32, z: vec4f, e: EpilogueParams) -> vec4f {
    let h = activate(z, e);
    if (DROPOUT == 0u || step.training == 0u) {
        return h;
    }
    // A NaN counts as kept, and stays one.
    return select(e.keep_scale * h + e.keep_shift, vec4f(e.dropped), is_dropped(i, e) & !is_nan4(h));
}

// dz of lane i from dy.
fn epilogue_backward(i: u32, z: vec4f, dy: vec4f, e: EpilogueParams) -> vec4f {
    if (DROPOUT == 0u || step.training == 0u) {
        return activate_backward(z, dy, e);
    }
    return select(activate_backward(z, e.keep_scale * dy, e), vec4f(0.0), is_dropped(i, e) & !is_nan4(dy));
}
