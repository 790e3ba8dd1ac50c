// The sum over a workgroup of what each of its invocations has, a Share, always in the same order.

var<workgroup> shares: array<Share, WORKGROUP_SIZE>;

// In two steps of 16, not in eight of 2: barriers are what a software GPU spends its time on here.
const SUMS = 16u;

// The sum of the shares, for the first invocation.
fn group_sum(local: u32, share: Share) -> Share {
    shares[local] = share;
    workgroupBarrier();
    if (local < SUMS) {
        var sum = Share();
        for (var i = local; i < WORKGROUP_SIZE; i += SUMS) {
            sum += shares[i];
        }
        shares[local] = sum;
    }
    workgroupBarrier();
    var sum = Share();
    if (local == 0u) {
        for (var i = 0u; i < SUMS; i++) {
            sum += shares[i];
        }
    }
    return sum;
}
