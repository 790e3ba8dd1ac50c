// Only the biases follow the sums.
const IS_FINISHED_LATER = false;

// Finishes lane i of the sums, which is in the columns from `column` on.
fn finish(i: u32, column: u32, sum: vec4f, q: ProductParams) {
    sums[i] = narrow(biased(column, sum, q));
}

fn finish_stored(i: u32, q: ProductParams) {}
