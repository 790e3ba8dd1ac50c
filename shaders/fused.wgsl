// A chain of dense layers in one dispatch: h = f(h w + b) for each layer, from x to y. x is [rows, inputs], y [rows,
// outputs of the last layer], and no layer takes or gives more than WIDTH values. How rows are cut into tiles depends on
// the device; what a tile's hidden layers compute never leaves it.

// A layer's kernel [inputs, outputs] and its biases [outputs], as places in the weights.
struct Layer { inputs: u32, outputs: u32, kernel: u32, bias: u32, is_biased: bool, is_activated: bool }

// Layer i, after one of `inputs` outputs.
fn layer_of(i: u32, inputs: u32, q: FusedParams) -> Layer {
    let outputs = (q.outputs[i / 4u] >> (8u * (i % 4u))) & 0xffu;
    let kernels = select(q.first_kernels[i / 2u % 4u], q.other_kernels[i / 2u % 4u], i >= 8u);
    let kernel = 8u * ((kernels >> (16u * (i % 2u))) & 0xffffu);
    let is_biased = ((q.biased >> i) & 1u) != 0u;
    let is_activated = ((q.activated >> i) & 1u) != 0u;
    return Layer(inputs, outputs, kernel, kernel + inputs * outputs, is_biased, is_activated);
}
