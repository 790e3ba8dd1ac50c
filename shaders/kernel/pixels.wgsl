// Places in images [batch, height, width, channels], and the windows of a pool.

// (batch, row, column, channel) of value i of a tensor with this height and width
fn place_of(i: u32, extent: vec2u, channels: u32) -> vec4u {
    let pixel = i / channels;
    let row = pixel / extent.y;
    return vec4u(row / extent.x, row % extent.x, pixel % extent.y, i % channels);
}

// the index of such a place
fn index_of(batch: u32, pixel: vec2u, channel: u32, extent: vec2u, channels: u32) -> u32 {
    return ((batch * extent.x + pixel.x) * extent.y + pixel.y) * channels + channel;
}

// The windows that have an input's pixel: (first row, first column, end of the rows, end of the columns).
fn windows_of(pixel: vec2u, q: Pool2dParams) -> vec4u {
    let padded = pixel + q.padding;
    let first = select((padded - q.pool) / q.strides + 1u, vec2u(0u), padded < q.pool);
    return vec4u(first, min(padded / q.strides + 1u, q.output));
}
