// A subgroup's sums: 2 x 2 cooperative matrices of SIDE x SIDE, of four subgroups a tile.

// Sixteen bytes, so that the lines of an inner and of the next are in other banks of workgroup memory.
const PADDING = 2u;

struct Sums { s00: Total, s01: Total, s10: Total, s11: Total }

// [subgroup, SIDE, SIDE]: a matrix of each on its way to memory.
var<workgroup> staged: array<f32, 4u * SIDE * SIDE>;

// Left is there by columns and right by rows: [inner, line]. Places and strides count fours.
fn add_tile(sums: Sums, owner: u32) -> Sums {
    let upper = owner / 2u * SIDE / 2u;
    let lower = upper + SIDE / 4u;
    let before = owner % 2u * SIDE / 2u;
    let after = before + SIDE / 4u;
    var s = sums;
    for (var k = 0u; k < TILE_INNER; k += SIDE) {
        let i = TILE_INNER + k;
        let l0 = coopLoad<Left>(&tiles[k][upper], TILE_STRIDE);
        let l1 = coopLoad<Left>(&tiles[k][lower], TILE_STRIDE);
        let r0 = coopLoadT<Right>(&tiles[i][before], TILE_STRIDE);
        let r1 = coopLoadT<Right>(&tiles[i][after], TILE_STRIDE);
        s = Sums(
            coopMultiplyAdd(l0, r0, s.s00), coopMultiplyAdd(l0, r1, s.s01),
            coopMultiplyAdd(l1, r0, s.s10), coopMultiplyAdd(l1, r1, s.s11),
        );
    }
    return s;
}

fn finish_sums(sums: Sums, owner: u32, local: u32, chunk: u32, first_row: u32, first_column: u32, q: ProductParams) {
    let own = owner * SIDE * SIDE;
    var s = sums;
    for (var matrix = 0u; matrix < 4u; matrix++) {
        coopStoreT(s.s00, &staged[own], SIDE);
        workgroupBarrier();
        for (var i = 4u * local; i < 4u * SIDE * SIDE; i += 4u * PRODUCT_WORKGROUP) {
            let quarter = i / (SIDE * SIDE);
            let row = first_row + (quarter / 2u * 2u + matrix / 2u) * SIDE + i / SIDE % SIDE;
            let column = first_column + (quarter % 2u * 2u + matrix % 2u) * SIDE + i % SIDE;
            let four = vec4f(staged[i], staged[i + 1u], staged[i + 2u], staged[i + 3u]);
            finish_four(chunk, row, column, four, q);
        }
        workgroupBarrier();
        s = Sums(s.s01, s.s10, s.s11, s.s00);
    }
}

@compute @workgroup_size(PRODUCT_WORKGROUP)
fn product(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    make_sums(group.y * groups.x + group.x, local, subgroup);
}
