// The sums are a layer's, and only its output is stored.
const IS_FINISHED_LATER = true;

// Finishes lane i of the sums, which is in the columns from `column` on.
fn finish(i: u32, column: u32, sum: vec4f, q: ProductParams) {
    sums[i] = narrow(epilogue(i, biased(column, sum, q), q.epilogue));
}

// The same for sums that are already stored, biases included.
fn finish_stored(i: u32, q: ProductParams) {
    sums[i] = narrow(epilogue(i, widen(sums[i]), q.epilogue));
}
