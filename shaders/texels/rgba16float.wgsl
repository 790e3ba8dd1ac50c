// Texels of 16-bit floats, to which the device rounds.
alias Texels = texture_storage_2d<rgba16float, write>;

fn stored(value: vec4f) -> vec4f { return value; }
