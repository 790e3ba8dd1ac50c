// The whole window, one color a pixel from the network, whose function `image` is appended.

// One over the window's width and height.
@group(0) @binding(0) var<uniform> pixel: vec2f;

@vertex
fn corner(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
    // A triangle around the window.
    return vec4f(f32(i / 2u) * 4.0 - 1.0, f32(i % 2u) * 4.0 - 1.0, 0.0, 1.0);
}

@fragment
fn color(@builtin(position) at: vec4f) -> @location(0) vec4f {
    let place = at.xy * pixel;
    let color = image(array<f32, 2>(place.x, place.y));
    return vec4f(color[0], color[1], color[2], 1.0);
}
