// The piece that another invocation of the subgroup has loaded.
fn piece_of(piece: Piece, lane: u32) -> Piece { return subgroupShuffle(piece, lane); }
