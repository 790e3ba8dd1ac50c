// Normalizations of x [rows, columns]: by column with the moments of a batch or with stored ones, and by row.
// y = (x - mean) / deviation * gamma + beta. Rows beyond the step's count are padding.

// (mean, 1 / deviation)
fn statistics_of(mean: f32, variance: f32, q: NormalizationParams) -> vec2f {
    if (q.floors != 0u) {
        return vec2f(mean, 1.0 / max(sqrt(variance), q.epsilon));
    }
    return vec2f(mean, 1.0 / sqrt(variance + q.epsilon));
}

fn counted_rows(q: NormalizationParams) -> u32 {
    return min(step.count * q.positions, q.rows);
}

// Whether the batch's own moments count.
fn is_measured(q: NormalizationParams) -> bool {
    return step.training != 0u && q.frozen == 0u;
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
// [chunks, columns]: (count, mean, sum of squared deviations, 0) of some rows of a column
@group(0) @binding(1) var<storage, read_write> moments: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn measure_columns(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i >= q.chunks * q.columns || !is_measured(q)) {
        return;
    }
    let first = i / q.columns * CHUNK_ROWS;
    let end = min(first + CHUNK_ROWS, counted_rows(q));
    var share = vec3f(0.0);
    for (var row = first; row < end; row++) {
        share = with_value(share, x[row * q.columns + i % q.columns]);
    }
    moments[i] = vec4f(share, 0.0);
}

@group(0) @binding(0) var<storage, read_write> shares: array<vec4f>;
// [2, columns]: the stored means, and variances
@group(0) @binding(1) var<storage, read_write> stored: array<f32>;
// [columns]: (mean, 1 / deviation)
@group(0) @binding(2) var<storage, read_write> statistics: array<vec2f>;
// [2, columns]: means and variances of the batch
@group(0) @binding(3) var<storage, read_write> batch: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn merge_columns(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let column = item_index(group, groups, local);
    if (column >= q.columns) {
        return;
    }
    if (!is_measured(q)) {
        statistics[column] = statistics_of(stored[column], stored[q.columns + column], q);
        return;
    }
    var all = vec3f(0.0);
    for (var chunk = 0u; chunk < q.chunks; chunk++) {
        all = merged(all, shares[chunk * q.columns + column].xyz);
    }
    let variance = all.z / max(all.x, 1.0);
    statistics[column] = statistics_of(all.y, variance, q);
    batch[column] = all.y;
    batch[q.columns + column] = variance;
}

@group(0) @binding(0) var<storage, read_write> means_and_variances: array<f32>;
@group(0) @binding(1) var<storage, read_write> known: array<vec2f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn fix_columns(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let column = item_index(group, groups, local);
    if (column < q.columns) {
        known[column] = statistics_of(means_and_variances[column], means_and_variances[q.columns + column], q);
    }
}

@group(0) @binding(0) var<storage, read_write> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> of_column: array<vec2f>;
// [2, columns]: gamma and beta
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn normalize_columns(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i >= q.rows * q.columns) {
        return;
    }
    let column = i % q.columns;
    let s = of_column[column];
    y[i] = (input[i] - s.x) * s.y * weights[column] + weights[q.columns + column];
}

@group(0) @binding(2) var<storage, read_write> plain: array<f32>;

// without gamma and beta
@compute @workgroup_size(WORKGROUP_SIZE)
fn standardize_columns(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i >= q.rows * q.columns) {
        return;
    }
    let s = of_column[i % q.columns];
    plain[i] = (input[i] - s.x) * s.y;
}

@group(0) @binding(1) var<storage, read_write> scales: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;
// [rows]: (mean, 1 / deviation)
@group(0) @binding(3) var<storage, read_write> of_row: array<vec2f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn normalize_rows(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let row = item_index(group, groups, local);
    if (row >= q.rows) {
        return;
    }
    let first = row * q.columns;
    var all = vec3f(0.0);
    for (var column = 0u; column < q.columns; column++) {
        all = with_value(all, input[first + column]);
    }
    let s = statistics_of(all.y, all.z / all.x, q);
    of_row[row] = s;
    for (var column = 0u; column < q.columns; column++) {
        let normal = (input[first + column] - s.x) * s.y;
        output[first + column] = normal * scales[column] + scales[q.columns + column];
    }
}

@group(0) @binding(1) var<storage, read_write> dy: array<f32>;
// of each column, or of each row
@group(0) @binding(2) var<storage, read_write> measured: array<vec2f>;
// [chunks, columns]: sums of dy times the normalized x, and of dy, over some rows
@group(0) @binding(3) var<storage, read_write> sums: array<vec2f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn sum_gradients(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i >= q.chunks * q.columns) {
        return;
    }
    let column = i % q.columns;
    let first = i / q.columns * CHUNK_ROWS;
    let end = min(first + CHUNK_ROWS, counted_rows(q));
    var sum = vec2f(0.0);
    for (var row = first; row < end; row++) {
        let s = measured[select(column, row, q.by_row != 0u)];
        let k = row * q.columns + column;
        sum += dy[k] * vec2f((x[k] - s.x) * s.y, 1.0);
    }
    sums[i] = sum;
}

@group(0) @binding(0) var<storage, read_write> partial_sums: array<vec2f>;
// [2, columns]: the gradients of gamma and beta
@group(0) @binding(1) var<storage, read_write> gradients: array<f32>;

// the gradients of gamma and beta
@compute @workgroup_size(WORKGROUP_SIZE)
fn merge_gradients(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let column = item_index(group, groups, local);
    if (column >= q.columns) {
        return;
    }
    var sum = vec2f(0.0);
    for (var chunk = 0u; chunk < q.chunks; chunk++) {
        sum += partial_sums[chunk * q.columns + column];
    }
    gradients[column] = sum.x;
    gradients[q.columns + column] = sum.y;
}

@group(0) @binding(0) var<storage, read_write> totals: array<f32>;
@group(0) @binding(1) var<storage, read_write> gammas: array<f32>;
@group(0) @binding(2) var<storage, read_write> mean_and_inverse: array<vec2f>;
// [columns]: (a, b, c, mean), with which dx = a dy + b (x - mean) + c
@group(0) @binding(3) var<storage, read_write> factors: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn factor_columns(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let column = item_index(group, groups, local);
    if (column >= q.columns) {
        return;
    }
    let s = mean_and_inverse[column];
    let a = gammas[column] * s.y;
    var bc = vec2f(0.0);
    if (is_measured(q)) {
        let each = a / f32(max(counted_rows(q), 1u));
        bc = -each * vec2f(totals[column] * s.y, totals[q.columns + column]);
    }
    factors[column] = vec4f(a, bc, s.x);
}

// [columns]: (1 / deviation, 0, 0, mean), of what has no gamma
@group(0) @binding(0) var<storage, read_write> column_statistics: array<vec2f>;
@group(0) @binding(1) var<storage, read_write> column_factors: array<vec4f>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn factor_standardized(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let column = item_index(group, groups, local);
    if (column < q.columns) {
        let s = column_statistics[column];
        column_factors[column] = vec4f(s.y, 0.0, 0.0, s.x);
    }
}

@group(0) @binding(2) var<storage, read_write> factor: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn differentiate_columns(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i >= q.rows * q.columns) {
        return;
    }
    let f = factor[i % q.columns];
    let gradient = f.x * dy[i] + f.y * (x[i] - f.w) + f.z;
    // Padding has none.
    dx[i] = select(0.0, gradient, i / q.columns < counted_rows(q));
}

@group(0) @binding(2) var<storage, read_write> gamma: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn differentiate_rows(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let row = item_index(group, groups, local);
    if (row >= q.rows) {
        return;
    }
    let first = row * q.columns;
    // As forward: what would bring them back is a fifth buffer.
    var all = vec3f(0.0);
    for (var column = 0u; column < q.columns; column++) {
        all = with_value(all, x[first + column]);
    }
    let s = statistics_of(all.y, all.z / all.x, q);
    var sum = vec2f(0.0);
    for (var column = 0u; column < q.columns; column++) {
        let k = first + column;
        sum += gamma[column] * dy[k] * vec2f((x[k] - s.x) * s.y, 1.0);
    }
    let mean = sum / f32(q.columns);
    for (var column = 0u; column < q.columns; column++) {
        let k = first + column;
        dx[k] = s.y * (gamma[column] * dy[k] - mean.y - (x[k] - s.x) * s.y * mean.x);
    }
}
