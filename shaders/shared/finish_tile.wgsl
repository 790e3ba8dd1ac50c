// The end of 4 x 4 sums, a row of them in a column of the matrix; of none where they are beyond the last.
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
            let sum = s[r];
            finish((first + c) / LANE_VALUES, column + c, lane_of(sum, c), q);
        }
    }
}
