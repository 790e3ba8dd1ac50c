// The sums are a layer's, and what follows is its output.
const IS_FINISHED_LATER = true;

@group(0) @binding(3) var<storage, read_write> activations: array<Lane>;

// The end of lane i of the sums, which is in the columns from `column` on.
fn finish(i: u32, column: u32, sum: vec4f, q: ProductParams) {
    let z = biased(column, sum, q);
    sums[i] = narrow(z);
    activations[i] = narrow(epilogue(i, z, q.epilogue));
}

// The same of sums that are stored, biases and all.
fn finish_stored(i: u32, q: ProductParams) {
    activations[i] = narrow(epilogue(i, widen(sums[i]), q.epilogue));
}
