// What an optimizer's update goes by. Behind the `lanes` lanes of the gradients g stands the guard's state:
// there, since an update has no storage binding to spare.

fn guard_value(lanes: u32, i: u32) -> f32 {
    return value_of(g[lanes + i / LANE_VALUES], i % LANE_VALUES);
}

// Whether lane i is one of these, and the step changes anything.
fn is_updated(i: u32, lanes: u32) -> bool {
    return i < lanes && guard_value(lanes, 1u) != 0.0;
}

// Lane i of the batch's mean gradient, clipped.
fn gradient_of(i: u32, lanes: u32, clipvalue: f32) -> vec4f {
    let gradient = widen(g[i]) * guard_value(lanes, 0u);
    return clamp(gradient, vec4f(-clipvalue), vec4f(clipvalue));
}

// A weight after its decay. Without one it stays what it is, infinity included.
fn decayed(weight: vec4f) -> vec4f {
    if (step.decay == 0.0) {
        return weight;
    }
    return weight - weight * step.decay;
}
