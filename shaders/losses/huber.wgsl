// e^2 / 2 up to |e| = delta, and on along the tangent
fn error_loss(e: f32, delta: f32) -> f32 {
    let size = abs(e);
    return select(delta * (size - 0.5 * delta), 0.5 * size * size, size <= delta);
}

fn error_slope(e: f32, delta: f32) -> f32 {
    return clamp(e, -delta, delta);
}
