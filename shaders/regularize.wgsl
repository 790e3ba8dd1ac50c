// What regularized weights add to a loss, l1 * sum(|w|) + l2 * sum(w^2), and to its gradient, l1 * sign(w) +
// 2 * l2 * w: a workgroup a piece of them. The sums are always in the same order.

// [pieces]: a piece is the values from start up to end
@group(0) @binding(0) var<storage, read_write> pieces: array<Piece>;
// [2]: (the sum of the loss, of hits, the rows that count, those with invalid targets), then another kernel's
@group(0) @binding(1) var<storage, read_write> totals: array<vec4f>;
// weights [n], four values a lane
@group(0) @binding(2) var<storage, read_write> w: array<vec4f>;
// [n]: their gradients, summed over the rows that count
@group(0) @binding(3) var<storage, read_write> g: array<vec4f>;

// (sum(|w|), sum(w^2))
alias Share = vec2f;

// Lane i, without the values of others that the piece ends among.
fn weights_of(i: u32, piece: Piece) -> vec4f {
    let at = 4u * i + vec4u(0u, 1u, 2u, 3u);
    return select(vec4f(0.0), w[i], (at >= vec4u(piece.start)) & (at < vec4u(piece.end)));
}

// (sum(|w|), sum(w^2)) of a lane.
fn magnitudes(weights: vec4f) -> vec2f {
    let sizes = abs(weights);
    return vec2f((sizes.x + sizes.y) + (sizes.z + sizes.w), dot(weights, weights));
}

// A factor of 0 is for no sum, not even an infinite one.
fn penalty_of(piece: Piece, sums: vec2f) -> f32 {
    let factors = vec2f(piece.l1, piece.l2);
    let parts = select(vec2f(0.0), factors * sums, factors > vec2f(0.0));
    return parts.x + parts.y;
}

// The penalties.
@compute @workgroup_size(WORKGROUP_SIZE)
fn penalize(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group.y * groups.x + group.x;
    if (number >= p.pieces) {
        return;
    }
    let piece = pieces[number];
    var share = vec2f(0.0);
    for (var i = piece.start / 4u + local; 4u * i < piece.end; i += WORKGROUP_SIZE) {
        share += magnitudes(weights_of(i, piece));
    }
    let sums = group_sum(local, share);
    if (local == 0u) {
        pieces[number].penalty = penalty_of(piece, sums);
    }
}

// The penalties, and their gradient, as that of as many rows as count.
@compute @workgroup_size(WORKGROUP_SIZE)
fn regularize(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let number = group.y * groups.x + group.x;
    if (number >= p.pieces) {
        return;
    }
    let piece = pieces[number];
    let rows = totals[0].z;
    var share = vec2f(0.0);
    for (var i = piece.start / 4u + local; 4u * i < piece.end; i += WORKGROUP_SIZE) {
        let weights = weights_of(i, piece);
        share += magnitudes(weights);
        g[i] += rows * (piece.l1 * sign(weights) + 2.0 * (piece.l2 * weights));
    }
    let sums = group_sum(local, share);
    if (local == 0u) {
        pieces[number].penalty = penalty_of(piece, sums);
    }
}

// totals += the penalties, as the loss of as many rows as count, by one workgroup.
@compute @workgroup_size(WORKGROUP_SIZE)
fn add_penalties(@builtin(local_invocation_index) local: u32) {
    let count = p.pieces;
    var share = vec2f(0.0);
    for (var i = local; i < count; i += WORKGROUP_SIZE) {
        share.x += pieces[i].penalty;
    }
    let sum = group_sum(local, share);
    if (local == 0u) {
        totals[0].x += totals[0].z * sum.x;
    }
}
