// sums = left * right, with left [rows, inner] and right [inner, columns], and what follows. An op
// says where the operands' values lie; how the sums are cut into tiles is a matter of the device.
//
// A value's place is an index into the operand, or OUTSIDE for a 0 that is nowhere (padding), or ONE
// for a 1 (the input of the biases).

const OUTSIDE = -1;
const ONE = -2;

struct ProductParams {
    rows: u32,
    inner: u32,
    columns: u32,
    // inner is cut into chunks of this length, a multiple of 8, whose sums another kernel adds up
    chunks: u32,
    chunk: u32,
    // where the biases begin in right
    bias: u32,
    // the line of left that is ones
    ones: u32,
    // of a dense layer: inputs; of a convolution: extents of input, output and kernel, strides, and the padding in front
    channels: u32,
    filters: u32,
    input: vec2u,
    output: vec2u,
    kernel: vec2u,
    strides: vec2u,
    padding: vec2u,
    epilogue: Epilogue,
}

// [chunks, rows, columns]: the sums, plus the biases
@group(0) @binding(2) var<storage, read_write> sums: array<Lane>;

fn biased(column: u32, sum: vec4f, q: ProductParams) -> vec4f {
    if (BIAS == 0u) {
        return sum;
    }
    return sum + biases(q.bias + column);
}

fn biases(i: u32) -> vec4f {
    if (LANE_VALUES == 1u) {
        return vec4f(right_value(i));
    }
    return vec4f(right_value(i), right_value(i + 1u), right_value(i + 2u), right_value(i + 3u));
}
