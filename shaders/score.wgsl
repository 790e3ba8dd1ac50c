// The score of a batch from its totals: (loss, metric), each the mean over the rows that count.

// (the sum of the loss, of the metric, the rows that count, …)
@group(0) @binding(0) var<storage, read_write> totals: array<f32>;
@group(0) @binding(1) var<storage, read_write> score: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn score_batch(@builtin(local_invocation_index) local: u32) {
    if (local < p.means) {
        score[local] = totals[local] / max(totals[p.means], 1.0);
    }
}
