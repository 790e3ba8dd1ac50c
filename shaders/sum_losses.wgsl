// totals[0] = the sum of the rows of a loss, by one workgroup, always in the same order. Of a
// batch in parts, the first part sets it and the others add to it.

// [rows]
@group(0) @binding(0) var<storage, read_write> sums: array<vec4f>;
// [2]; the second is another kernel's
@group(0) @binding(1) var<storage, read_write> totals: array<vec4f>;

var<workgroup> shares: array<vec4f, WORKGROUP_SIZE>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn sum_losses(@builtin(local_invocation_index) local: u32) {
    let rows = p.rows;
    var share = vec4f(0.0);
    for (var row = local; row < rows; row += WORKGROUP_SIZE) {
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
        totals[0] = select(totals[0] + shares[0], shares[0], step.row == 0u);
    }
}
