// Eight columns of a kernel as one load.

// Eight columns of the line that begins at `first`. Columns beyond the last repeat it.
fn weights_eight(first: u32, column: u32, layer: Layer) -> Eight {
    return eight(weights[(first + min(column, layer.outputs - 8u)) / 8u]);
}

fn kernel_line(k: u32, column: u32, layer: Layer) -> Eight {
    let line = weights_eight(layer.kernel + min(k, layer.inputs - 1u) * layer.outputs, column, layer);
    let is_there = k < layer.inputs;
    return Eight(select(vec4f(), line.a, is_there), select(vec4f(), line.b, is_there));
}

// The kernel's lines from k on, in eight columns. Lines beyond the last are 0.
fn kernel_octet(k: u32, column: u32, layer: Layer) -> Octet {
    let e0 = kernel_line(k, column, layer);
    let e1 = kernel_line(k + 1u, column, layer);
    let e2 = kernel_line(k + 2u, column, layer);
    let e3 = kernel_line(k + 3u, column, layer);
    let e4 = kernel_line(k + 4u, column, layer);
    let e5 = kernel_line(k + 5u, column, layer);
    let e6 = kernel_line(k + 6u, column, layer);
    let e7 = kernel_line(k + 7u, column, layer);
    return Octet(
        mat4x4f(e0.a, e1.a, e2.a, e3.a), mat4x4f(e0.b, e1.b, e2.b, e3.b),
        mat4x4f(e4.a, e5.a, e6.a, e7.a), mat4x4f(e4.b, e5.b, e6.b, e7.b),
    );
}
