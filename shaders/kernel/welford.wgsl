// Moments of some values: (count, mean, sum of squared deviations). They are updated as in Welford 1962 and
// merged as in Chan, Golub and LeVeque 1979, so that no sum of squares cancels.

fn with_value(moments: vec3f, x: f32) -> vec3f {
    let count = moments.x + 1.0;
    let difference = x - moments.y;
    let mean = moments.y + difference / count;
    return vec3f(count, mean, moments.z + difference * (x - mean));
}

fn merged(a: vec3f, b: vec3f) -> vec3f {
    let count = a.x + b.x;
    if (count == 0.0) {
        return a;
    }
    let difference = b.y - a.y;
    let weight = b.x / count;
    return vec3f(count, a.y + difference * weight, a.z + b.z + difference * difference * (a.x * weight));
}
