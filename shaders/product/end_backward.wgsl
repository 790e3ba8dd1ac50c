// The sums are the gradient of an earlier layer's output, which it computed from its sums z.
const IS_FINISHED_LATER = true;

@group(0) @binding(3) var<storage, read_write> z: array<Lane>;

// Finishes lane i of the sums, which is in the columns from `column` on.
fn finish(i: u32, column: u32, sum: vec4f, q: ProductParams) {
    sums[i] = narrow(epilogue_backward(i, widen(z[i]), sum, q.epilogue));
}

// The same for sums that are already stored.
fn finish_stored(i: u32, q: ProductParams) {
    sums[i] = narrow(epilogue_backward(i, widen(z[i]), widen(sums[i]), q.epilogue));
}
