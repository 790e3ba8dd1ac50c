// The random block of the first element of a batch that came after `step.row` others, a multiple of 8,
// with `row` elements of the mask each: a 64-bit product, low word first.
fn first_block(row: u32) -> vec2u {
    let blocks = vec4<Wide>(vec4u(row, step.row / 4u, 0u, 0u));
    let low = mul_low(blocks, blocks.yxzw);
    let high = mul_high(blocks, blocks.yxzw);
    return vec2u(vec4u(low).x, vec4u(high).x);
}
