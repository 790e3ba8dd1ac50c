// e^2
fn error_loss(e: f32, delta: f32) -> f32 {
    return e * e;
}

fn error_slope(e: f32, delta: f32) -> f32 {
    return 2.0 * e;
}
