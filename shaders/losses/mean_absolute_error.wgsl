// |e|, with a slope of 0 at 0
fn error_loss(e: f32, delta: f32) -> f32 {
    return abs(e);
}

fn error_slope(e: f32, delta: f32) -> f32 {
    return sign(e);
}
