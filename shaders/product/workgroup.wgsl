// For GPUs: a workgroup of 16 x 8 invocations computes 64 x 64 sums, four rows of four in each half of the rows an
// invocation. The operands go through workgroup memory in tiles of 64 lines and 16 inners; while one is multiplied, the
// next is loaded. Half of the invocations load left and the others right: a block of 4 lines and 4 inners each.

const TILE_INNER = 16u;
const TILE_LINES = PRODUCT_ROWS;
const TILE_FOURS = TILE_LINES / 4u;
const BLOCKS = PRODUCT_WORKGROUP / 2u;
const BLOCKS_ALONG_INNER = TILE_INNER / 4u;
const HALF = TILE_LINES / 2u;

// [left's inners, then right's, fours of lines]. Indexed twice, and with the second index the same for all inners: so
// drivers see that what naga does to keep an index inside is needed once, and not for each load.
var<workgroup> tiles: array<array<vec4f, TILE_FOURS>, 2u * TILE_INNER>;

// Where lines or columns of an operand begin: each of four.
struct Fours { l0: vec4i, l1: vec4i, l2: vec4i, l3: vec4i }

// The four of lines and the four of inners of an invocation's block: neighbours in memory for neighbouring invocations.
fn block_place(i: u32, along_inner: bool) -> vec2u {
    return select(vec2u(i % TILE_FOURS, i / TILE_FOURS), vec2u(i / BLOCKS_ALONG_INNER, i % BLOCKS_ALONG_INNER), along_inner);
}

// Lines beyond the last repeat lines of the last four; their sums are not stored.
fn left_lines(line: u32, q: ProductParams) -> Fours {
    let last = q.rows - 1u;
    let first = min(line, last / 4u * 4u);
    return Fours(
        left_line(left_digits(first, q), q), left_line(left_digits(min(first + 1u, last), q), q),
        left_line(left_digits(min(first + 2u, last), q), q), left_line(left_digits(min(first + 3u, last), q), q),
    );
}

fn right_lines(line: u32, q: ProductParams) -> Fours {
    let last = q.columns - 1u;
    let first = min(line, last / 4u * 4u);
    return Fours(
        right_line(first, q), right_line(min(first + 1u, last), q),
        right_line(min(first + 2u, last), q), right_line(min(first + 3u, last), q),
    );
}

// A block, a column of the matrix for each inner from k on: zeros from `end` on.
fn block(is_left: bool, lines: Fours, k: u32, end: u32, q: ProductParams) -> mat4x4f {
    let first = min(k, end - 1u);
    var b: mat4x4f;
    if (is_left) {
        b = left_block(lines, left_first(first, q), q);
    } else {
        b = right_block(lines, right_first(first, q), q);
    }
    let zero = vec4f();
    return mat4x4f(
        select(zero, b[0], k < end), select(zero, b[1], k + 1u < end),
        select(zero, b[2], k + 2u < end), select(zero, b[3], k + 3u < end),
    );
}

// Adds the products of four rows and four columns. A column of the matrix is a row of the sums.
fn add_products(s: mat4x4f, l: vec4f, r: vec4f) -> mat4x4f {
    return s + mat4x4f(r * l.x, r * l.y, r * l.z, r * l.w);
}

// Finishes 4 x 4 sums, a row of them in each column of the matrix, except those beyond the last.
fn finish_tile(chunk: u32, row: u32, column: u32, tile: mat4x4f, q: ProductParams) {
    if (row >= q.rows || column >= q.columns) {
        return;
    }
    var s = tile;
    let rows = min(q.rows - row, 4u);
    let values = min(q.columns - column, 4u);
    for (var r = 0u; r < rows; r++) {
        let first = (chunk * q.rows + row + r) * q.columns + column;
        for (var c = 0u; c < values; c += LANE_VALUES) {
            finish((first + c) / LANE_VALUES, column + c, lane_of(s[0], c), q);
        }
        s = mat4x4f(s[1], s[2], s[3], vec4f());
    }
}

@compute @workgroup_size(PRODUCT_WORKGROUP)
fn product(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let across = (q.columns + PRODUCT_COLUMNS - 1u) / PRODUCT_COLUMNS;
    let down = (q.rows + PRODUCT_ROWS - 1u) / PRODUCT_ROWS;
    let tile = group.y * groups.x + group.x;
    let chunk = tile / (across * down);
    if (chunk >= q.chunks) {
        return;
    }
    let place = tile_place(tile % (across * down), down, across, q);
    let first_row = place.x * PRODUCT_ROWS;
    let first_column = place.y * PRODUCT_COLUMNS;

    let is_left = local < BLOCKS;
    let along_inner = select(RIGHT_ALONG_INNER, LEFT_ALONG_INNER, is_left) != 0u;
    let at = block_place(local % BLOCKS, along_inner);
    var lines: Fours;
    if (is_left) {
        lines = left_lines(first_row + at.x * 4u, q);
    } else {
        lines = right_lines(first_column + at.x * 4u, q);
    }
    let inner = at.y * 4u;
    let stored = select(TILE_INNER, 0u, is_left) + inner;

    let row = local / TILE_FOURS;
    let column = local % TILE_FOURS;
    // Variables, not an array, so that they stay in registers.
    var upper = mat4x4f();
    var lower = mat4x4f();
    let start = chunk * q.chunk;
    let end = min(start + q.chunk, q.inner);
    var loaded = block(is_left, lines, start + inner, end, q);
    for (var first = start; first < end; first += TILE_INNER) {
        tiles[stored][at.x] = loaded[0];
        tiles[stored + 1u][at.x] = loaded[1];
        tiles[stored + 2u][at.x] = loaded[2];
        tiles[stored + 3u][at.x] = loaded[3];
        workgroupBarrier();
        let next = first + TILE_INNER;
        if (next < end) {
            loaded = block(is_left, lines, next + inner, end, q);
        }
        for (var k = 0u; k < TILE_INNER; k++) {
            let r = tiles[TILE_INNER + k][column];
            upper = add_products(upper, tiles[k][row], r);
            lower = add_products(lower, tiles[k][row + HALF / 4u], r);
        }
        workgroupBarrier();
    }
    // A loop, since the code that follows the sums is long.
    for (var below = 0u; below < TILE_LINES; below += HALF) {
        finish_tile(chunk, first_row + row * 4u + below, first_column + column * 4u, upper, q);
        upper = lower;
    }
}
