// The sums are a layer's, and their epilogue gives its output.
const IS_FINISHED_LATER = true;

@group(0) @binding(3) var<storage, read_write> activations: array<Lane>;

// Finishes lane i of the sums, which is in the columns from `column` on.
fn finish(i: u32, column: u32, sum: vec4f, q: ProductParams) {
    let z = biased(column, sum, q);
    sums[i] = narrow(z);
    activations[i] = narrow(epilogue(i, z, q.epilogue));
}

// The same for sums that are already stored, biases included.
fn finish_stored(i: u32, q: ProductParams) {
    activations[i] = narrow(epilogue(i, widen(sums[i]), q.epilogue));
}
