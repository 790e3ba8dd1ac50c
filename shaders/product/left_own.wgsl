// Each invocation loads all of left that it needs.
alias At = vec4i;

struct Rows { o0: Lines, o1: Lines, o2: Lines, o3: Lines }

fn eight_lines(row: u32, q: ProductParams) -> Lines {
    let d0 = left_digits(row, q);
    let d1 = left_next_digits(d0, q);
    let d2 = left_next_digits(d1, q);
    let d3 = left_next_digits(d2, q);
    let d4 = left_next_digits(d3, q);
    let d5 = left_next_digits(d4, q);
    let d6 = left_next_digits(d5, q);
    let d7 = left_next_digits(d6, q);
    return Lines(
        left_line(d0, q), left_line(d1, q), left_line(d2, q), left_line(d3, q),
        left_line(d4, q), left_line(d5, q), left_line(d6, q), left_line(d7, q),
    );
}

fn left_rows(row: u32, lane: u32, q: ProductParams) -> Rows {
    // At most 16 rows.
    var rows = Rows(eight_lines(row, q), Lines(), Lines(), Lines());
    if (PRODUCT_ROWS > 8u) {
        rows.o1 = eight_lines(row + 8u, q);
    }
    return rows;
}

fn left_start(k: u32, lane: u32, q: ProductParams) -> At { return left_first(k, q); }

fn left_next_start(at: At, q: ProductParams) -> At { return left_next_slice(at, q); }

fn left_slice(lines: Lines, at: At, lane: u32, q: ProductParams) -> Slice {
    if (!PIECES_ARE_LINES) {
        let line = lines.l0;
        let at_1 = left_next(at, 1, q);
        let at_2 = left_next(at_1, 1, q);
        let at_3 = left_next(at_2, 1, q);
        let at_4 = left_next(at_3, 1, q);
        let at_5 = left_next(at_4, 1, q);
        let at_6 = left_next(at_5, 1, q);
        let at_7 = left_next(at_6, 1, q);
        return left_slice_of(
            left_piece(line, at, q), left_piece(line, at_1, q), left_piece(line, at_2, q), left_piece(line, at_3, q),
            left_piece(line, at_4, q), left_piece(line, at_5, q), left_piece(line, at_6, q), left_piece(line, at_7, q),
        );
    }
    return left_slice_of(
        left_piece(lines.l0, at, q), left_piece(lines.l1, at, q), left_piece(lines.l2, at, q), left_piece(lines.l3, at, q),
        left_piece(lines.l4, at, q), left_piece(lines.l5, at, q), left_piece(lines.l6, at, q), left_piece(lines.l7, at, q),
    );
}

@compute @workgroup_size(PRODUCT_WORKGROUP)
fn product(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    make_tiles(group.y * groups.x + group.x, lane);
}
