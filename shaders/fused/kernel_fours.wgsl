// Eight columns of a kernel, as two loads of four.

// Eight columns of the line that begins at `first`. Columns beyond the last repeat it.
fn weights_eight(first: u32, column: u32, layer: Layer) -> Eight {
    return Eight(weights_four(first, column, layer), weights_four(first, column + 4u, layer));
}

// A loop, since there are up to 64 loads. The kernel's lines from k on, in eight columns. Lines beyond the last are 0.
fn kernel_octet(k: u32, column: u32, layer: Layer) -> Octet {
    var o = Octet();
    for (var i = k; i < k + 8u; i++) {
        let line = weights_eight(layer.kernel + min(i, layer.inputs - 1u) * layer.outputs, column, layer);
        let is_there = i < layer.inputs;
        o = pushed(o, Eight(select(vec4f(), line.a, is_there), select(vec4f(), line.b, is_there)));
    }
    return o;
}
