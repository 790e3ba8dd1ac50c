// Texels of 8 bits a channel.
alias Texels = texture_storage_2d<rgba8unorm, write>;

// The nearest that there is, so that it does not matter how the device rounds; NaN becomes 0.
fn stored(value: vec4f) -> vec4f {
    return floor(select(clamp(value, vec4f(0.0), vec4f(1.0)), vec4f(0.0), is_nan4(value)) * 255.0 + 0.5) / 255.0;
}
