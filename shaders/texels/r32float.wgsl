// Texels of one float.
alias Texels = texture_storage_2d<r32float, write>;

fn stored(value: vec4f) -> vec4f { return value; }
