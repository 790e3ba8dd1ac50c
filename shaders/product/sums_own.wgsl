// An invocation's sums: four rows of four in each half of a tile's rows.

const PADDING = 0u;
const HALF = TILE_LINES / 2u;

// A column of a matrix is a row of the sums. Two of them, not an array, so that they stay in registers.
struct Sums { upper: mat4x4f, lower: mat4x4f }

// Adds the products of four rows and four columns.
fn add_products(s: mat4x4f, l: vec4f, r: vec4f) -> mat4x4f {
    return s + mat4x4f(r * l.x, r * l.y, r * l.z, r * l.w);
}

fn add_tile(sums: Sums, owner: u32) -> Sums {
    let row = owner / TILE_FOURS;
    let column = owner % TILE_FOURS;
    var s = sums;
    for (var k = 0u; k < TILE_INNER; k++) {
        let r = vec4f(tiles[TILE_INNER + k][column]);
        s.upper = add_products(s.upper, vec4f(tiles[k][row]), r);
        s.lower = add_products(s.lower, vec4f(tiles[k][row + HALF / 4u]), r);
    }
    return s;
}

// Loops, since the code that follows the sums is long.
fn finish_sums(sums: Sums, owner: u32, local: u32, chunk: u32, first_row: u32, first_column: u32, q: ProductParams) {
    let row = first_row + owner / TILE_FOURS * 4u;
    let column = first_column + owner % TILE_FOURS * 4u;
    var s = sums;
    for (var below = 0u; below < TILE_LINES; below += HALF) {
        var rows = s.upper;
        for (var r = 0u; r < 4u; r++) {
            finish_four(chunk, row + below + r, column, rows[0], q);
            rows = mat4x4f(rows[1], rows[2], rows[3], vec4f());
        }
        s.upper = s.lower;
    }
}

@compute @workgroup_size(PRODUCT_WORKGROUP)
fn product(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    make_sums(group.y * groups.x + group.x, local, local);
}
