// What every loss works on. A row is a position of a sample. The first step.count * positions rows are the
// batch's; the others don't count.

// [rows, outputs]
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read_write> targets: array<f32>;
// [rows, outputs]: of the sum over rows of weight * loss
@group(0) @binding(2) var<storage, read_write> gradient: array<f32>;
// weights [rows], below 0 where a row is void, and does not count; and from q.sums on, sums [rows, 4]: weight *
// loss, the metric, 1 if the row counts, 1 if its targets are not allowed. In one, as some devices bind four.
@group(0) @binding(3) var<storage, read_write> rows: array<f32>;

fn row_counts(row: u32, q: LossParams) -> bool {
    return row < step.count * q.positions && !(rows[row] < 0.0);
}

fn set_sums(row: u32, q: LossParams, sums: vec4f) {
    let i = q.sums + 4u * row;
    rows[i] = sums.x;
    rows[i + 1u] = sums.y;
    rows[i + 2u] = sums.z;
    rows[i + 3u] = sums.w;
}

// A row without a loss.
fn leave_out(row: u32, q: LossParams, is_invalid: bool) {
    let first = row * q.outputs;
    for (var i = first; i < first + q.outputs; i++) {
        gradient[i] = 0.0;
    }
    set_sums(row, q, vec4f(0.0, 0.0, 0.0, select(0.0, 1.0, is_invalid)));
}

// From 0 to 1, by the bits, since NaNs are not.
fn is_share(t: f32) -> bool {
    let bits = bitcast<u32>(t);
    return bits <= 0x3f800000u || bits == 0x80000000u;
}

fn is_finite(t: f32) -> bool {
    return (bitcast<u32>(t) & 0x7fffffffu) < 0x7f800000u;
}

// A target with label smoothing.
fn smoothed(t: f32, q: LossParams) -> f32 {
    return t * q.kept + q.added;
}
