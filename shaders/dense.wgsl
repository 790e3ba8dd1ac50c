// y = x * w + b on the last axis, and its gradients, as products. x is [batch, in], w [in, out] with b
// [out] behind it.
//
// forward: left x [batch, in], right w [in, out].
// kernel gradient: left x^T [in + 1, batch], whose last line is of ones, right dz [batch, out].
// input gradient: left dz [batch, out], right w^T [out, in].

fn left_line(line: u32, q: ProductParams) -> vec4i {
    if (PRODUCT == PRODUCT_KERNEL_GRADIENT) {
        return vec4i(i32(line), i32(q.ones), 0, 0);
    }
    return vec4i(i32(line * q.inner), 0, 0, 0);
}

fn left_place(line: vec4i, k: u32, q: ProductParams) -> i32 {
    if (PRODUCT == PRODUCT_KERNEL_GRADIENT) {
        return select(i32(k) * line.y + line.x, ONE, line.x >= line.y);
    }
    return line.x + i32(k);
}

fn right_line(column: u32, q: ProductParams) -> vec4i {
    return vec4i(i32(select(column, column * q.inner, PRODUCT == PRODUCT_INPUT_GRADIENT)), 0, 0, 0);
}

fn right_place(line: vec4i, k: u32, q: ProductParams) -> u32 {
    return u32(line.x) + select(k * q.columns, k, PRODUCT == PRODUCT_INPUT_GRADIENT);
}
