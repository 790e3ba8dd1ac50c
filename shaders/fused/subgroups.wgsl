// For devices where a load costs several multiplications: a subgroup computes 32 rows, or 16 of more than 64 columns, in
// registers. Each of the SHARED_BY invocations side by side has eight columns of every row (of more than 64, eight
// of the first 64, and eight of the others), and gets what it needs of the layer before from its neighbours' registers:
// only weights are loaded, each once a tile.

struct Eight { a: vec4f, b: vec4f }

// 8 x 8 values in quarters: t01 has rows 0 to 3 of columns 4 to 7, a row in each column of the matrix. Of a kernel, a
// column of a matrix is an input.
struct Octet { t00: mat4x4f, t01: mat4x4f, t10: mat4x4f, t11: mat4x4f }

// The values of a tile that an invocation has: rows in eights, or, if split, o2 and o3 are the rows of o0 and o1 in
// the other columns.
struct Tile { o0: Octet, o1: Octet, o2: Octet, o3: Octet }

const IS_SPLIT = WIDTH > 64u;
const TILE_ROWS = select(32u, 16u, IS_SPLIT);

// [rows, inputs]
@group(0) @binding(0) var<storage, read_write> x: array<Lane>;
// [rows, outputs]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn x_value(i: u32, is_there: bool) -> f32 {
    let value = value_of(x[i / LANE_VALUES], i % LANE_VALUES);
    return select(0.0, value, is_there);
}

fn x_four(row: u32, column: u32, q: FusedParams) -> vec4f {
    let first = row * q.inputs;
    let last = q.inputs - 1u;
    if (LANE_VALUES == 4u) {
        let four = widen(x[(first + min(column, last)) / 4u]);
        return select(vec4f(), four, column < q.inputs);
    }
    return vec4f(
        x_value(first + min(column, last), column < q.inputs),
        x_value(first + min(column + 1u, last), column + 1u < q.inputs),
        x_value(first + min(column + 2u, last), column + 2u < q.inputs),
        x_value(first + min(column + 3u, last), column + 3u < q.inputs),
    );
}

// The octet without its first row, and with another last one.
fn pushed(o: Octet, row: Eight) -> Octet {
    return Octet(
        mat4x4f(o.t00[1], o.t00[2], o.t00[3], o.t10[0]), mat4x4f(o.t01[1], o.t01[2], o.t01[3], o.t11[0]),
        mat4x4f(o.t10[1], o.t10[2], o.t10[3], row.a), mat4x4f(o.t11[1], o.t11[2], o.t11[3], row.b),
    );
}

// Rows beyond the last repeat it; their results are not stored.
fn x_octet(row: u32, column: u32, q: FusedParams) -> Octet {
    var o = Octet();
    for (var r = 0u; r < 8u; r++) {
        let at = min(row + r, q.rows - 1u);
        o = pushed(o, Eight(x_four(at, column, q), x_four(at, column + 4u, q)));
    }
    return o;
}

// The octet of another invocation of the subgroup.
fn octet_of(o: Octet, lane: u32) -> Octet {
    return Octet(matrix_of(o.t00, lane), matrix_of(o.t01, lane), matrix_of(o.t10, lane), matrix_of(o.t11, lane));
}

fn matrix_of(m: mat4x4f, lane: u32) -> mat4x4f {
    return mat4x4f(
        subgroupShuffle(m[0], lane), subgroupShuffle(m[1], lane),
        subgroupShuffle(m[2], lane), subgroupShuffle(m[3], lane),
    );
}

fn chosen(a: Octet, b: Octet, is_b: bool) -> Octet {
    return Octet(
        chosen_matrix(a.t00, b.t00, is_b), chosen_matrix(a.t01, b.t01, is_b),
        chosen_matrix(a.t10, b.t10, is_b), chosen_matrix(a.t11, b.t11, is_b),
    );
}

fn chosen_matrix(a: mat4x4f, b: mat4x4f, is_b: bool) -> mat4x4f {
    return mat4x4f(select(a[0], b[0], is_b), select(a[1], b[1], is_b), select(a[2], b[2], is_b), select(a[3], b[3], is_b));
}

// s + l k, for rows l and a kernel's octet k.
fn accumulate(s: Octet, l: Octet, k: Octet) -> Octet {
    return Octet(
        s.t00 + k.t00 * l.t00 + k.t10 * l.t01, s.t01 + k.t01 * l.t00 + k.t11 * l.t01,
        s.t10 + k.t00 * l.t10 + k.t10 * l.t11, s.t11 + k.t01 * l.t10 + k.t11 * l.t11,
    );
}

fn biases(column: u32, layer: Layer) -> Eight {
    if (!layer.is_biased) {
        return Eight();
    }
    return weights_eight(layer.bias, column, layer);
}

// The sums of a hidden layer, for all rows of a tile. An invocation's first column is `column`.
fn sums_of(h: Tile, layer: Layer, first: u32, column: u32) -> Tile {
    var s = Tile();
    for (var k = 0u; k < layer.inputs; k += 8u) {
        let source = first + k / 8u % SHARED_BY;
        let w = kernel_octet(k, column, layer);
        let is_other = IS_SPLIT && k >= 64u;
        let l0 = octet_of(chosen(h.o0, h.o2, is_other), source);
        s.o0 = accumulate(s.o0, l0, w);
        let l1 = octet_of(chosen(h.o1, h.o3, is_other), source);
        s.o1 = accumulate(s.o1, l1, w);
        if (IS_SPLIT) {
            let other = kernel_octet(k, column + 64u, layer);
            s.o2 = accumulate(s.o2, l0, other);
            s.o3 = accumulate(s.o3, l1, other);
        } else {
            s.o2 = accumulate(s.o2, octet_of(h.o2, source), w);
            s.o3 = accumulate(s.o3, octet_of(h.o3, source), w);
        }
    }
    return s;
}

fn finished(z: vec4f, column: u32, layer: Layer, q: FusedParams) -> vec4f {
    var h = z;
    if (layer.is_activated) {
        h = activate(z, q.activation);
    }
    // What is in no column must not reach the next layer: 0 times infinity is NaN.
    return select(vec4f(), h, column + vec4u(0u, 1u, 2u, 3u) < vec4u(layer.outputs));
}

// A loop, since there are too many sums to compile the activation of each.
fn finished_octet(sums: Octet, bias: Eight, column: u32, layer: Layer, q: FusedParams) -> Octet {
    var o = sums;
    for (var r = 0u; r < 8u; r++) {
        let a = finished(o.t00[0] + bias.a, column, layer, q);
        let b = finished(o.t01[0] + bias.b, column + 4u, layer, q);
        o = pushed(o, Eight(a, b));
    }
    return o;
}

fn finished_tile(s: Tile, column: u32, layer: Layer, q: FusedParams) -> Tile {
    let bias = biases(column, layer);
    var other = bias;
    var other_column = column;
    if (IS_SPLIT) {
        other = biases(column + 64u, layer);
        other_column = column + 64u;
    }
    return Tile(
        finished_octet(s.o0, bias, column, layer, q), finished_octet(s.o1, bias, column, layer, q),
        finished_octet(s.o2, other, other_column, layer, q), finished_octet(s.o3, other, other_column, layer, q),
    );
}

// Eight rows of sums, in four columns.
struct Strip { a: mat4x4f, b: mat4x4f }

// Four columns of the kernel, for the eight inputs from k on.
fn kernel_strip(k: u32, column: u32, layer: Layer) -> Strip {
    var s = Strip();
    for (var i = k; i < k + 8u; i++) {
        let at = layer.kernel + min(i, layer.inputs - 1u) * layer.outputs;
        let four = select(vec4f(), values_four(at, column, layer), i < layer.inputs);
        s = Strip(mat4x4f(s.a[1], s.a[2], s.a[3], s.b[0]), mat4x4f(s.b[1], s.b[2], s.b[3], four));
    }
    return s;
}

fn partial_sums(o: Octet, w: Strip) -> Strip {
    return Strip(w.a * o.t00 + w.b * o.t01, w.a * o.t10 + w.b * o.t11);
}

fn plus_neighbour(s: Strip, lane: u32) -> Strip {
    return Strip(s.a + matrix_of(s.a, lane), s.b + matrix_of(s.b, lane));
}

// The sums over all invocations that share the rows.
fn whole_sums(partial: Strip, lane: u32) -> Strip {
    var s = partial;
    if (SHARED_BY >= 2u) {
        s = plus_neighbour(s, lane ^ 1u);
    }
    if (SHARED_BY >= 4u) {
        s = plus_neighbour(s, lane ^ 2u);
    }
    if (SHARED_BY >= 8u) {
        s = plus_neighbour(s, lane ^ 4u);
    }
    return s;
}

fn strip_row(s: Strip, r: u32) -> vec4f {
    let m01 = select(select(s.a[0], s.a[1], r == 1u), s.a[2], r == 2u);
    let m23 = select(select(s.a[3], s.b[0], r == 4u), s.b[1], r == 5u);
    let m45 = select(s.b[2], s.b[3], r == 7u);
    return select(select(m01, m23, r >= 3u), m45, r >= 6u);
}

// The last layer has few columns: its inputs stay where they are, and the invocations' parts of the sums are added up.
fn store_last(tile: Tile, layer: Layer, row: u32, lane: u32, q: FusedParams) {
    let own = lane % SHARED_BY;
    for (var column = 0u; column < layer.outputs; column += 4u) {
        let w = kernel_strip(own * 8u, column, layer);
        var other = w;
        if (IS_SPLIT) {
            other = kernel_strip(own * 8u + 64u, column, layer);
        }
        var bias = vec4f();
        if (layer.is_biased) {
            bias = values_four(layer.bias, column, layer);
        }
        var h = tile;
        for (var first = row; first < row + TILE_ROWS; first += 8u) {
            var s = partial_sums(h.o0, w);
            if (IS_SPLIT) {
                let more = partial_sums(h.o2, other);
                s = Strip(s.a + more.a, s.b + more.b);
                h = Tile(h.o1, h.o0, h.o3, h.o2);
            } else {
                h = Tile(h.o1, h.o2, h.o3, h.o0);
            }
            s = whole_sums(s, lane);
            for (var r = own; r < 8u; r += SHARED_BY) {
                store_four(first + r, column, activate_last(strip_row(s, r) + bias, q.last), layer, q);
            }
        }
    }
}

fn store_four(row: u32, column: u32, four: vec4f, layer: Layer, q: FusedParams) {
    if (row >= q.rows) {
        return;
    }
    let i = row * layer.outputs + column;
    y[i] = four.x;
    if (column + 1u < layer.outputs) { y[i + 1u] = four.y; }
    if (column + 2u < layer.outputs) { y[i + 2u] = four.z; }
    if (column + 3u < layer.outputs) { y[i + 3u] = four.w; }
}

@compute @workgroup_size(SUBGROUP)
fn predict(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let q = p;
    let tile = (group.y * groups.x + group.x) * (SUBGROUP / SHARED_BY) + lane / SHARED_BY;
    let row = tile * TILE_ROWS;
    let first = lane / SHARED_BY * SHARED_BY;
    let column = lane % SHARED_BY * 8u;
    var h = Tile();
    h.o0 = x_octet(row, column, q);
    h.o1 = x_octet(row + 8u, column, q);
    h.o2 = x_octet(select(row + 16u, row, IS_SPLIT), select(column, column + 64u, IS_SPLIT), q);
    h.o3 = x_octet(select(row + 24u, row + 8u, IS_SPLIT), select(column, column + 64u, IS_SPLIT), q);
    var inputs = q.inputs;
    let last = q.layers - 1u;
    for (var i = 0u; i < last; i++) {
        let layer = layer_of(i, inputs, q);
        h = finished_tile(sums_of(h, layer, first, column), column, layer, q);
        inputs = layer.outputs;
    }
    store_last(h, layer_of(last, inputs, q), row, lane, q);
}
