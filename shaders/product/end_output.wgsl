// The sums are a layer's, and their activation takes their place: nothing else of them is kept.
const IS_FINISHED_LATER = true;

// Finishes lane i of the sums, which is in the columns from `column` on.
fn finish(i: u32, column: u32, sum: vec4f, q: ProductParams) {
    sums[i] = narrow(activate(own_biased(column, biased(column, sum, q)), q.epilogue.activation));
}

// The same for sums that are already stored, with biases that follow the kernel.
fn finish_stored(i: u32, q: ProductParams) {
    let sum = own_biased(i * LANE_VALUES % q.columns, widen(sums[i]));
    sums[i] = narrow(activate(sum, q.epilogue.activation));
}
