// No biases, or such as follow the kernel.
fn own_biased(column: u32, sum: vec4f) -> vec4f { return sum; }
