// The sums are a layer's, and their activation takes their place: nothing else of them is kept.
const IS_FINISHED_LATER = true;

// Finishes lane i of the sums, which is in the columns from `column` on.
fn finish(i: u32, column: u32, sum: vec4f, q: ProductParams) {
    sums[i] = narrow(activate(sum + own_biases(column), q.epilogue.activation));
}

// The same for sums that are already stored.
fn finish_stored(i: u32, q: ProductParams) {
    finish(i, i * LANE_VALUES % q.columns, widen(sums[i]), q);
}
