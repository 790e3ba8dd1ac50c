// Convolutions and their gradients as products, without ever storing a patch. x is [batch, height,
// width, channels], w [kernel height, kernel width, channels, filters] with b [filters] behind it, y
// [batch, output height, output width, filters].
//
// forward: left patches of x [positions, taps], right w [taps, filters]
// kernel gradient: left patches of x [taps + 1, positions], whose last line is of ones, right dz
// [positions, filters]
// input gradient: left patches of dz [input positions, kernel positions * filters], right w, a line of
// it a channel
//
// A position is (image, y, x), a tap (kernel y, kernel x, channel).

struct Position { image: i32, at: vec2i }
struct Tap { at: vec2i, channel: i32 }

fn position(i: u32, extents: vec2u) -> Position {
    let x = i % extents.y;
    let rest = i / extents.y;
    return Position(i32(rest / extents.x), vec2i(vec2u(rest % extents.x, x)));
}

fn tap(i: u32, channels: u32, q: ProductParams) -> Tap {
    let rest = i / channels;
    return Tap(vec2i(vec2u(rest / q.kernel.y, rest % q.kernel.y)), i32(i % channels));
}

fn inside(at: vec2i, extents: vec2u) -> bool {
    return all(at >= vec2i(0)) && all(at < vec2i(extents));
}

fn place_of(image: i32, at: vec2i, channel: i32, extents: vec2u, channels: u32) -> i32 {
    let e = vec2i(extents);
    let place = ((image * e.x + at.x) * e.y + at.y) * i32(channels) + channel;
    return select(OUTSIDE, place, inside(at, extents));
}

fn left_line(line: u32, q: ProductParams) -> vec4i {
    if (PRODUCT == PRODUCT_KERNEL_GRADIENT) {
        let t = tap(line, q.channels, q);
        return vec4i(t.at - vec2i(q.padding), t.channel, i32(line) - i32(q.ones));
    }
    if (PRODUCT == PRODUCT_INPUT_GRADIENT) {
        let here = position(line, q.input);
        return vec4i(here.at + vec2i(q.padding), here.image, 0);
    }
    let out = position(line, q.output);
    return vec4i(out.at * vec2i(q.strides) - vec2i(q.padding), out.image, 0);
}

fn left_place(line: vec4i, k: u32, q: ProductParams) -> i32 {
    if (PRODUCT == PRODUCT_KERNEL_GRADIENT) {
        let out = position(k, q.output);
        let place = place_of(out.image, out.at * vec2i(q.strides) + line.xy, line.z, q.input, q.channels);
        return select(place, ONE, line.w >= 0);
    }
    if (PRODUCT == PRODUCT_INPUT_GRADIENT) {
        let t = tap(k, q.filters, q);
        let strided = line.xy - t.at;
        let out = strided / vec2i(q.strides);
        let place = place_of(line.z, out, t.channel, q.output, q.filters);
        return select(OUTSIDE, place, all(strided >= vec2i(0)) && all(out * vec2i(q.strides) == strided));
    }
    let t = tap(k, q.channels, q);
    return place_of(line.z, line.xy + t.at, t.channel, q.input, q.channels);
}

fn right_line(column: u32, q: ProductParams) -> vec4i {
    return vec4i(i32(select(column, column * q.filters, PRODUCT == PRODUCT_INPUT_GRADIENT)), 0, 0, 0);
}

fn right_place(line: vec4i, k: u32, q: ProductParams) -> u32 {
    if (PRODUCT == PRODUCT_INPUT_GRADIENT) {
        let kernel_position = k / q.filters;
        return u32(line.x) + kernel_position * q.channels * q.filters + k % q.filters;
    }
    return u32(line.x) + k * q.filters;
}
