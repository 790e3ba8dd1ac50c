// Texels of four floats.
alias Texels = texture_storage_2d<rgba32float, write>;

fn stored(value: vec4f) -> vec4f { return value; }
