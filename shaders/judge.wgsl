// Whether a step changes anything, and what its update multiplies gradients by: by one workgroup, which sums
// always in the same order.

// [pieces] of sums of squares, then [variables] of factors, which clip each variable's gradient
@group(0) @binding(0) var<storage, read_write> norms: array<f32>;
// [variables]: the pieces from x up to y are its gradient
@group(0) @binding(1) var<storage, read_write> variables: array<vec2u>;
// [2]: (the sum of the loss, of hits, the rows that count, those with invalid targets), then
// (the norm of the mean gradient, whether all is finite, whether weights change, non-finite steps so far)
@group(0) @binding(2) var<storage, read_write> totals: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> guard: GuardState;

// After so many steps in which it was small enough, the loss scale is doubled, as by Keras.
const LOSS_SCALE_STEPS = 2000u;

var<workgroup> shares: array<f32, WORKGROUP_SIZE>;

// What a gradient is multiplied by, so that its norm is at most `limit`.
fn clipping(norm: f32, limit: f32) -> f32 {
    return select(1.0, limit / norm, norm > limit);
}

// The loss scale after a step: half of it if gradients have overflowed.
fn move_loss_scale(is_overflow: bool) {
    guard.loss_scale_steps++;
    if (is_overflow) {
        guard.loss_scale -= 1.0;
        guard.loss_scale_steps = 0u;
    } else if (guard.loss_scale_steps >= LOSS_SCALE_STEPS) {
        guard.loss_scale = min(guard.loss_scale + 1.0, f32(MAX_LOSS_SCALE_LOG2) - f32(INITIAL_LOSS_SCALE_LOG2));
        guard.loss_scale_steps = 0u;
    }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn judge(@builtin(local_invocation_index) local: u32) {
    let q = p;
    var share = 0.0;
    for (var i = local; i < q.pieces; i += WORKGROUP_SIZE) {
        share += norms[i];
    }
    shares[local] = share;
    for (var half = WORKGROUP_SIZE / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (local < half) {
            shares[local] += shares[local + half];
        }
    }
    let total = totals[0];
    // Without rows nothing changes, and nothing is divided by 0.
    let rows = max(total.z, 1.0);
    for (var i = local; i < q.clipped; i += WORKGROUP_SIZE) {
        var sum = 0.0;
        for (var piece = variables[i].x; piece < variables[i].y; piece++) {
            sum += norms[piece];
        }
        norms[q.pieces + i] = clipping(sqrt(sum) / rows, q.clipnorm) / rows;
    }
    if (local > 0u) {
        return;
    }
    let sum = shares[0];
    let norm = sqrt(sum) / rows;
    let values = vec4f(total.x, sum, 0.0, 0.0);
    let is_invalid = total.w != 0.0;
    let are_wrong = is_nan4(values) | is_infinite4(values);
    let is_finite = !is_invalid && !any(are_wrong);
    if (step.generation > guard.generation) {
        guard.generation = step.generation;
        guard.halted = 0u;
        guard.bad = 0u;
    }
    let counts = guard.halted == 0u && step.generation == guard.generation;
    let is_updated = is_finite && counts && total.z > 0.0;
    // Where the loss is finite it may be its scale that makes gradients infinite, until that is 1.
    let is_overflow = q.is_scaled > 0u && !is_invalid && are_wrong.y && !are_wrong.x
        && guard.loss_scale > -f32(INITIAL_LOSS_SCALE_LOG2);
    if (q.is_scaled > 0u && counts && (is_overflow || is_updated)) {
        move_loss_scale(is_overflow);
    }
    if (!is_finite && counts && !is_overflow) {
        guard.bad++;
        guard.halted = select(0u, 1u, is_invalid || guard.bad > step.allowed);
        guard.step = step.call;
    }
    guard.judged = step.call.x;
    // A gradient that is clipped by variable is divided there.
    guard.scale = select(clipping(norm, q.global_clipnorm) / rows, 1.0, q.clipped > 0u);
    guard.update = select(0.0, 1.0, is_updated);
    totals[1] = vec4f(norm, select(0.0, 1.0, is_finite), guard.update, f32(guard.bad));
}
