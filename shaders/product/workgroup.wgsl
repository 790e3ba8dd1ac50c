// For GPUs: a workgroup computes as many rows as columns of sums. The operands go through workgroup memory in tiles of as
// many lines, and 16 inners or as many as the invocations load at a time; while one is multiplied, the next is loaded.
// Half of the invocations load left and the others right: a block of 4 lines and 4 inners each.
//
// Sums are what an owner, an invocation or a subgroup, has of them: add_tile adds the products of a tile, and
// finish_sums ends. part is what a block's values become in workgroup memory.

const TILE_LINES = PRODUCT_ROWS;
const TILE_FOURS = TILE_LINES / 4u;
const BLOCKS = PRODUCT_WORKGROUP / 2u;
const TILE_INNER = 16u * BLOCKS / TILE_LINES;
const BLOCKS_ALONG_INNER = TILE_INNER / 4u;
const TILE_STRIDE = TILE_FOURS + PADDING;

// [left's inners, then right's, fours of lines]. Indexed twice, and with the second index the same for all inners: so
// drivers see that what naga does to keep an index inside is needed once, and not for each load.
var<workgroup> tiles: array<array<Part, TILE_STRIDE>, 2u * TILE_INNER>;

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

// Finishes the sums of a row, of four columns from `column` on, except those beyond the last.
fn finish_four(chunk: u32, row: u32, column: u32, four: vec4f, q: ProductParams) {
    if (row >= q.rows) {
        return;
    }
    let first = (chunk * q.rows + row) * q.columns + column;
    for (var c = 0u; c < 4u && column + c < q.columns; c += LANE_VALUES) {
        finish((first + c) / LANE_VALUES, column + c, lane_of(four, c), q);
    }
}

// Computes tile `number`, of which `owner` has a part.
fn make_sums(number: u32, local: u32, owner: u32) {
    let q = p;
    let across = (q.columns + PRODUCT_COLUMNS - 1u) / PRODUCT_COLUMNS;
    let down = (q.rows + PRODUCT_ROWS - 1u) / PRODUCT_ROWS;
    let chunk = number / (across * down);
    if (chunk >= q.chunks) {
        return;
    }
    let place = tile_place(number % (across * down), down, across, q);
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

    var sums = Sums();
    let start = chunk * q.chunk;
    let end = min(start + q.chunk, q.inner);
    var loaded = block(is_left, lines, start + inner, end, q);
    for (var first = start; first < end; first += TILE_INNER) {
        tiles[stored][at.x] = part(loaded[0]);
        tiles[stored + 1u][at.x] = part(loaded[1]);
        tiles[stored + 2u][at.x] = part(loaded[2]);
        tiles[stored + 3u][at.x] = part(loaded[3]);
        workgroupBarrier();
        let next = first + TILE_INNER;
        if (next < end) {
            loaded = block(is_left, lines, next + inner, end, q);
        }
        sums = add_tile(sums, owner);
        workgroupBarrier();
    }
    finish_sums(sums, owner, local, chunk, first_row, first_column, q);
}
