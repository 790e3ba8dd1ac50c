// Activation and dropout, and their gradients, applied to a sum before it is stored. DROPOUT is a
// constant of the form, so nothing that a form does not need is compiled.

// Which elements of the tensor's lane i the training step drops.
fn is_dropped(i: u32, e: EpilogueParams) -> vec4<bool> {
    let block = philox_block(first_block(e.row), block_of(i));
    let words = words_of(philox(vec4u(block, step.call), e.seed), i);
    return (words < vec4u(e.threshold)) & vec4<bool>(step.training != 0u);
}

// y of lane i from z, the sum.
fn epilogue(i: u32, z: vec4f, e: EpilogueParams) -> vec4f {
    let h = activate(z, e.activation);
    if (DROPOUT == 0u || step.training == 0u) {
        return h;
    }
    // A NaN counts as kept, and stays one.
    return select(e.keep_scale * h + e.keep_shift, vec4f(e.dropped), is_dropped(i, e) & !is_nan4(h));
}

// dz of lane i from dy.
fn epilogue_backward(i: u32, z: vec4f, dy: vec4f, e: EpilogueParams) -> vec4f {
    if (DROPOUT == 0u || step.training == 0u) {
        return activate_backward(z, dy, e.activation);
    }
    return select(activate_backward(z, e.keep_scale * dy, e.activation), vec4f(0.0), is_dropped(i, e) & !is_nan4(dy));
}
