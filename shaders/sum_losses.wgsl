// totals[2 * step.result] = (the sum of the rows of a loss, of hits, the rows that count, 0), by one workgroup,
// always in the same order.

// [rows]
@group(0) @binding(0) var<storage, read_write> sums: array<vec2f>;
// [results, 2]
@group(0) @binding(1) var<storage, read_write> totals: array<vec4f>;

var<workgroup> shares: array<vec2f, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn sum_losses(@builtin(local_invocation_index) local: u32) {
    let q = p;
    var share = vec2f(0.0);
    for (var row = local; row < q.rows; row += WORKGROUP_SIZE) {
        share += sums[row];
    }
    shares[local] = share;
    for (var half = WORKGROUP_SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (local < half) {
            shares[local] += shares[local + half];
        }
    }
    if (local == 0u) {
        totals[2u * step.result] = vec4f(shares[0], f32(step.count * q.positions), 0.0);
    }
}
