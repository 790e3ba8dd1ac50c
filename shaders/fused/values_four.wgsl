// Four columns of the line that begins at `first`, one at a time. Columns beyond the last repeat it.
fn values_four(first: u32, column: u32, layer: Layer) -> vec4f {
    let last = layer.outputs - 1u;
    return vec4f(
        weight_at(first + min(column, last)), weight_at(first + min(column + 1u, last)),
        weight_at(first + min(column + 2u, last)), weight_at(first + min(column + 3u, last)),
    );
}
