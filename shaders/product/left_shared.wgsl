// Each of the SHARED_BY invocations that need a slice of left loads one of its pieces, or two if there
// are four invocations; they get the others from each other. A workgroup is a subgroup.
struct At { near: vec4i, far: vec4i }

// The lines of the pieces that an invocation loads.
struct Pair { near: vec4i, far: vec4i }

struct Rows { o0: Pair, o1: Pair, o2: Pair, o3: Pair }

const HAS_FAR = SHARED_BY < 8u;

// The piece of a slice that an invocation loads, by its position among those that share.
fn own_piece(lane: u32) -> u32 { return lane % min(SHARED_BY, 8u); }

fn four_on(d: vec4i, q: ProductParams) -> vec4i {
    return left_next_digits(left_next_digits(left_next_digits(left_next_digits(d, q), q), q), q);
}

fn left_rows(row: u32, lane: u32, q: ProductParams) -> Rows {
    let d = left_digits(select(row, row + own_piece(lane), PIECES_ARE_LINES), q);
    let d_4 = four_on(d, q);
    let d_8 = four_on(d_4, q);
    let d_12 = four_on(d_8, q);
    let d_16 = four_on(d_12, q);
    let d_20 = four_on(d_16, q);
    let d_24 = four_on(d_20, q);
    let d_28 = four_on(d_24, q);
    return Rows(
        Pair(left_line(d, q), left_line(d_4, q)), Pair(left_line(d_8, q), left_line(d_12, q)),
        Pair(left_line(d_16, q), left_line(d_20, q)), Pair(left_line(d_24, q), left_line(d_28, q)),
    );
}

fn left_start(k: u32, lane: u32, q: ProductParams) -> At {
    if (PIECES_ARE_LINES) {
        let at = left_first(k, q);
        return At(at, at);
    }
    let at = k + own_piece(lane);
    return At(left_first(at, q), left_first(at + 4u, q));
}

fn left_next_start(at: At, q: ProductParams) -> At {
    let near = left_next_slice(at.near, q);
    if (PIECES_ARE_LINES || !HAS_FAR) {
        return At(near, near);
    }
    return At(near, left_next_slice(at.far, q));
}

fn left_slice(lines: Pair, at: At, lane: u32, q: ProductParams) -> Slice {
    let near = left_piece(lines.near, at.near, q);
    var far = near;
    if (HAS_FAR) {
        far = left_piece(select(lines.near, lines.far, PIECES_ARE_LINES), at.far, q);
    }
    let first = lane / SHARED_BY * SHARED_BY;
    let fifth = first + select(4u, 0u, HAS_FAR);
    return left_slice_of(
        piece_of(near, first), piece_of(near, first + 1u), piece_of(near, first + 2u), piece_of(near, first + 3u),
        piece_of(far, fifth), piece_of(far, fifth + 1u), piece_of(far, fifth + 2u), piece_of(far, fifth + 3u),
    );
}

@compute @workgroup_size(PRODUCT_WORKGROUP)
fn product(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    make_tiles(group.y * groups.x + group.x, lane);
}
