// For GPUs: a workgroup computes a tile of TILE_VALUES / WIDTH rows, four rows and eight columns an invocation. What a
// layer gives stays in workgroup memory for the next; weights are the same for all workgroups, and come from caches.

const TILE_VALUES = 2048u;
// Rows in fours.
const FOURS = TILE_VALUES / WIDTH / 4u;
const COLUMNS = 8u;
const INVOCATIONS = TILE_VALUES / 4u / COLUMNS;

// [WIDTH, FOURS]: the values of four rows in a column.
var<workgroup> tile: array<vec4f, 512>;

// [rows, inputs]
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
// [rows, outputs]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

// Sums of four rows: a column of a matrix is a column of the layer.
struct Sums { a: mat4x4f, b: mat4x4f }

fn products(rows: vec4f, w: vec4f) -> mat4x4f {
    return mat4x4f(rows * w.x, rows * w.y, rows * w.z, rows * w.w);
}

// Neighbouring invocations load neighbouring columns. Rows beyond the last repeat it; their results are not stored.
fn load_x(first: u32, local: u32, q: FusedParams) {
    for (var i = local; i < q.inputs * FOURS; i += INVOCATIONS) {
        let column = i % q.inputs;
        let four = i / q.inputs;
        let rows = min(first + four * 4u + vec4u(0u, 1u, 2u, 3u), vec4u(q.rows - 1u)) * q.inputs + column;
        tile[column * FOURS + four] = vec4f(x[rows.x], x[rows.y], x[rows.z], x[rows.w]);
    }
}

fn hidden_sums(layer: Layer, four: u32, column: u32) -> Sums {
    var s = Sums();
    if (layer.is_biased) {
        let a = weights_four(layer.bias, column, layer);
        let b = weights_four(layer.bias, column + 4u, layer);
        s = Sums(products(vec4f(1.0), a), products(vec4f(1.0), b));
    }
    for (var k = 0u; k < layer.inputs; k++) {
        let rows = tile[k * FOURS + four];
        let line = layer.kernel + k * layer.outputs;
        s.a += products(rows, weights_four(line, column, layer));
        s.b += products(rows, weights_four(line, column + 4u, layer));
    }
    return s;
}

fn finish(z: vec4f, four: u32, column: u32, layer: Layer, q: FusedParams) {
    if (column >= layer.outputs) {
        return;
    }
    var h = z;
    if (layer.is_activated) {
        h = activate(z, q.activation);
    }
    tile[column * FOURS + four] = h;
}

fn finish_hidden(sums: Sums, four: u32, column: u32, layer: Layer, q: FusedParams) {
    var s = sums;
    // A loop, since the code of an activation is long.
    for (var c = column; c < column + 4u; c++) {
        finish(s.a[0], four, c, layer, q);
        finish(s.b[0], four, c + 4u, layer, q);
        s = Sums(mat4x4f(s.a[1], s.a[2], s.a[3], s.a[0]), mat4x4f(s.b[1], s.b[2], s.b[3], s.b[0]));
    }
}

// The last layer has few columns: four rows and one column an invocation.
fn store_last(layer: Layer, first: u32, local: u32, q: FusedParams) {
    for (var i = local; i < layer.outputs * FOURS; i += INVOCATIONS) {
        let column = i % layer.outputs;
        let four = i / layer.outputs;
        var z = vec4f();
        if (layer.is_biased) {
            z = vec4f(weight_at(layer.bias + column));
        }
        for (var k = 0u; k < layer.inputs; k++) {
            z += tile[k * FOURS + four] * weight_at(layer.kernel + k * layer.outputs + column);
        }
        z = activate_last(z, q.last);
        let row = first + four * 4u;
        let at = row * layer.outputs + column;
        if (row < q.rows) { y[at] = z.x; }
        if (row + 1u < q.rows) { y[at + layer.outputs] = z.y; }
        if (row + 2u < q.rows) { y[at + 2u * layer.outputs] = z.z; }
        if (row + 3u < q.rows) { y[at + 3u * layer.outputs] = z.w; }
    }
}

@compute @workgroup_size(INVOCATIONS)
fn predict(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let first = (group.y * groups.x + group.x) * FOURS * 4u;
    let four = local / (WIDTH / COLUMNS);
    let column = local % (WIDTH / COLUMNS) * COLUMNS;
    load_x(first, local, q);
    workgroupBarrier();
    var inputs = q.inputs;
    let last = q.layers - 1u;
    for (var i = 0u; i < last; i++) {
        let layer = layer_of(i, inputs, q);
        let sums = hidden_sums(layer, four, column);
        workgroupBarrier();
        finish_hidden(sums, four, column, layer, q);
        workgroupBarrier();
        inputs = layer.outputs;
    }
    store_last(layer_of(last, inputs, q), first, local, q);
}
