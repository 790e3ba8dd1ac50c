// Convolutions and their gradients as products, without ever storing a patch. x is [batch, height,
// width, channels], w [kernel height, kernel width, channels, filters] followed by b [filters], y
// [batch, output height, output width, filters].
//
// forward: left patches of x [positions, taps], right w [taps, filters]
// kernel gradient: left patches of x [taps + 1, positions], whose last line is all ones, right dz
// [positions, filters]
// input gradient: left patches of dz [input positions, kernel positions * filters], right w, one line
// per channel
//
// A position is (image, y, x), a tap (kernel y, kernel x, channel or filter): numbers of three digits.

// The digits of i, whose lower two are below these extents.
fn digits(i: u32, extents: vec2u) -> vec3i {
    let rest = i / extents.y;
    return vec3i(vec3u(rest / extents.x, rest % extents.x, i % extents.y));
}

// Adds to the last digit, whose extent is a multiple of what is added.
fn next_digits(d: vec3i, by: i32, extents: vec2u) -> vec3i {
    let e = vec2i(extents);
    let low = d.z + by;
    let middle = d.y + select(0, 1, low >= e.y);
    let high = d.x + select(0, 1, middle >= e.x);
    return vec3i(high, select(middle, 0, middle >= e.x), select(low, 0, low >= e.y));
}

// The extents of the two lower digits along the inner axis of left.
fn inner_extents(q: ProductParams) -> vec2u {
    if (PRODUCT == PRODUCT_KERNEL_GRADIENT) {
        return q.output;
    }
    return vec2u(q.kernel.y, select(q.channels, q.filters, PRODUCT == PRODUCT_INPUT_GRADIENT));
}

// The index of a value, or OUTSIDE if (y, x) is not inside the image. Conditions are joined by &: a && is a branch, and
// SwiftShader compiles dozens of them, one for each value that an invocation loads, for minutes.
fn place_of(image: i32, at: vec2i, channel: i32, extents: vec2u, channels: u32) -> i32 {
    let e = vec2i(extents);
    let place = ((image * e.x + at.x) * e.y + at.y) * i32(channels) + channel;
    if (IS_UNPADDED != 0u) {
        return place;
    }
    return select(OUTSIDE, place, all(at >= vec2i(0)) & all(at < e));
}

// The extents of the two lower digits of a line of left.
fn line_extents(q: ProductParams) -> vec2u {
    if (PRODUCT == PRODUCT_KERNEL_GRADIENT) {
        return vec2u(q.kernel.y, q.channels);
    }
    if (PRODUCT == PRODUCT_INPUT_GRADIENT) {
        return q.input;
    }
    return q.output;
}

// The digits of a line, and its number counted from the line of ones.
fn left_digits(line: u32, q: ProductParams) -> vec4i {
    return vec4i(digits(line, line_extents(q)), i32(line) - i32(q.ones));
}

fn left_next_digits(d: vec4i, q: ProductParams) -> vec4i {
    return vec4i(next_digits(d.xyz, 1, line_extents(q)), d.w + 1);
}

fn left_line(d: vec4i, q: ProductParams) -> vec4i {
    if (PRODUCT == PRODUCT_KERNEL_GRADIENT) {
        return vec4i(d.xy - vec2i(q.padding), d.zw);
    }
    if (PRODUCT == PRODUCT_INPUT_GRADIENT) {
        return vec4i(d.yz + vec2i(q.padding), d.x, 0);
    }
    return vec4i(d.yz * vec2i(q.strides) - vec2i(q.padding), d.x, 0);
}

fn left_first(k: u32, q: ProductParams) -> vec4i {
    return vec4i(digits(k, inner_extents(q)), 0);
}

fn left_next(at: vec4i, by: i32, q: ProductParams) -> vec4i {
    return vec4i(next_digits(at.xyz, by, inner_extents(q)), 0);
}

fn left_place(line: vec4i, at: vec4i, q: ProductParams) -> i32 {
    if (PRODUCT == PRODUCT_KERNEL_GRADIENT) {
        let place = place_of(at.x, at.yz * vec2i(q.strides) + line.xy, line.z, q.input, q.channels);
        return select(place, ONE, line.w >= 0);
    }
    if (PRODUCT == PRODUCT_INPUT_GRADIENT) {
        let strided = line.xy - at.xy;
        // Strides of 1 are worth testing for: a division takes as long as several multiplications.
        let is_strided = any(q.strides != vec2u(1u));
        var out = strided;
        if (is_strided) {
            out = strided / vec2i(q.strides);
        }
        let place = place_of(line.z, out, at.z, q.output, q.filters);
        return select(OUTSIDE, place, all(strided >= vec2i(0)) & all(out * vec2i(q.strides) == strided));
    }
    return place_of(line.z, line.xy + at.xy, at.z, q.input, q.channels);
}

fn right_line(column: u32, q: ProductParams) -> vec4i {
    return vec4i(i32(select(column, column * q.filters, PRODUCT == PRODUCT_INPUT_GRADIENT)), 0, 0, 0);
}

// (the start of the kernel's position, or of the inner; the filter)
fn right_first(k: u32, q: ProductParams) -> vec4i {
    if (PRODUCT == PRODUCT_INPUT_GRADIENT) {
        return vec4i(i32(k / q.filters * (q.channels * q.filters)), i32(k % q.filters), 0, 0);
    }
    return vec4i(i32(k * q.filters), 0, 0, 0);
}

fn right_next(at: vec4i, by: i32, q: ProductParams) -> vec4i {
    if (PRODUCT == PRODUCT_INPUT_GRADIENT) {
        let low = at.y + by;
        let is_over = low >= i32(q.filters);
        return vec4i(at.x + select(0, i32(q.channels * q.filters), is_over), select(low, 0, is_over), 0, 0);
    }
    return vec4i(at.x + by * i32(q.filters), 0, 0, 0);
}

fn right_place(line: vec4i, at: vec4i, q: ProductParams) -> u32 {
    return u32(line.x + at.x + at.y);
}
