// Masks that are broadcast: several elements of a tensor are kept or dropped together.

// The mask's elements for those of the tensor.
fn mask_elements(elements: vec4u, b: BroadcastParams) -> vec4u {
    var rest = elements;
    var sum = vec4u(0u);
    for (var d = 0u; d < b.rank; d++) {
        let extent = select(b.more_extents, b.extents, d < 4u)[d % 4u];
        sum += rest % extent * select(b.more_strides, b.strides, d < 4u)[d % 4u];
        rest /= vec4u(extent);
    }
    return sum;
}

// The words of four elements of the tensor; the mask begins with random block `first`.
fn broadcast_words(elements: vec4u, b: BroadcastParams, first: vec2u, call: vec2u, key: vec2u) -> vec4u {
    let chosen = mask_elements(elements, b);
    let block = chosen / 4u;
    let word = chosen % 4u;
    let low = philox_pair(philox_block(first, block.x), philox_block(first, block.y), call, key);
    let high = philox_pair(philox_block(first, block.z), philox_block(first, block.w), call, key);
    return vec4u(low.a[word.x], low.b[word.y], high.a[word.z], high.b[word.w]);
}
