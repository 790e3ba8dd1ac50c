// y = x * w + b on the last axis, and its gradients, as products. x is [batch, in], w [in, out]
// followed by b [out].
//
// forward: left x [batch, in], right w [in, out]
// kernel gradient: left x^T [in + 1, batch], whose last line is all ones, right dz [batch, out]
// input gradient: left dz [batch, out], right w^T [out, in]

fn left_digits(line: u32, q: ProductParams) -> vec4i { return vec4i(i32(line), 0, 0, 0); }
fn left_next_digits(line: vec4i, q: ProductParams) -> vec4i { return line + vec4i(1, 0, 0, 0); }

fn left_line(line: vec4i, q: ProductParams) -> vec4i {
    return select(line * i32(q.inner), line, PRODUCT == PRODUCT_KERNEL_GRADIENT);
}

fn left_first(k: u32, q: ProductParams) -> vec4i {
    return vec4i(i32(select(k, k * q.ones, PRODUCT == PRODUCT_KERNEL_GRADIENT)), 0, 0, 0);
}

fn left_next(at: vec4i, by: i32, q: ProductParams) -> vec4i {
    return vec4i(at.x + select(by, by * i32(q.ones), PRODUCT == PRODUCT_KERNEL_GRADIENT), 0, 0, 0);
}

fn left_place(line: vec4i, at: vec4i, q: ProductParams) -> i32 {
    let is_one = PRODUCT == PRODUCT_KERNEL_GRADIENT && line.x >= i32(q.ones);
    return select(line.x + at.x, ONE, is_one);
}

fn right_line(column: u32, q: ProductParams) -> vec4i {
    return vec4i(i32(select(column, column * q.inner, PRODUCT == PRODUCT_INPUT_GRADIENT)), 0, 0, 0);
}

fn right_first(k: u32, q: ProductParams) -> vec4i {
    return vec4i(i32(select(k * q.columns, k, PRODUCT == PRODUCT_INPUT_GRADIENT)), 0, 0, 0);
}

fn right_next(at: vec4i, by: i32, q: ProductParams) -> vec4i {
    return vec4i(at.x + select(by * i32(q.columns), by, PRODUCT == PRODUCT_INPUT_GRADIENT), 0, 0, 0);
}

fn right_place(line: vec4i, at: vec4i, q: ProductParams) -> u32 {
    return u32(line.x + at.x);
}
