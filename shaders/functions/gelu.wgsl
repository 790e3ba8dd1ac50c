// GELU, x Phi(x), Phi the normal distribution function: x t for x < 0 and x (1 - t) else, where
// t = Phi(-|x|) = exp(-x^2 / 2) R(|x|), and R(a) = S(u) / (a + 1.25) with u = a / (a + 3) and a minimax
// S, error 5.6e-9 relative up to a = 14.6. S is nearly constant, and hardly feels an error of u. t is
// computed times 2^24, because x t is a normal number for some x where t is none.
//
// Within 5.5 ulp, the derivative within 5, around its zero too, dy times it within 6.
// This holds whether or not a compiler fuses multiply and add, or regroups; below 2^-126 a result may be 0.

// 2^24 exp(-size^2 / 2) for 0 <= size <= 14.456, where it is 0: size^2 / 2 is 104.49, see exp_sum4. The first 12 bits of size have an exact square.
fn gelu_exp4(size: vec4f) -> vec4f {
    let head = bitcast<vec4f>(bitcast<vec4u>(size) & vec4u(0xfffff000u));
    return exp_sum4(-0.5 * head * head, -0.5 * (size - head) * (size + head), 24);
}

// 1 / d within 1.3e-4, for normal d that have a normal 1 / d: subtracting bits gives it within 1/19, and
// the step leaves the third power of that error. WGSL's own division may be 2.5 ulp off, and what
// follows here costs no more.
fn gelu_reciprocal4(d: vec4f) -> vec4f {
    let start = bitcast<vec4f>(0x7ef311c7 - bitcast<vec4i>(d));
    let h = 1.0 - d * start;
    return start + start * (h + h * h);
}

// a / (a + 3) for 0 <= a, within 1.5e-7 relative.
fn gelu_variable4(a: vec4f) -> vec4f {
    let d = a + 3.0;
    let y = gelu_reciprocal4(d);
    return a * (y + y * (1.0 - d * y));
}

fn gelu4(x: vec4f) -> vec4f {
    let size = min(abs(x), vec4f(14.456));
    let u = gelu_variable4(size);
    let s = 0.625 + u * (0.0039659007452428341 + u * (-0.77398258447647095 + u * (0.70927822589874268 + u * (0.018558695912361145 + u * (-0.23538327217102051 + u * (0.066017016768455505 + u * (-0.20347939431667328 + u * (0.36825159192085266 + u * (-0.22754800319671631 + u * 0.048253372311592102)))))))));
    // One step for the quotient; 1.25 and size by themselves, for their sum would be rounded;
    // and a max that changes nothing, as in sigmoid_tail4.
    let y = gelu_reciprocal4(size + 1.25);
    let r = max(s * y, vec4f(0.0));
    let ratio = r + y * ((s - 1.25 * r) - size * r);
    let t = gelu_exp4(size) * ratio;
    let result = select(x * (1.0 - t * 0x1p-24), exp_lower4(-size * t), x < vec4f(0.0));
    // As silu4.
    return select(result, x, is_nan4(x) | (x > vec4f(30.0)));
}

fn gelu(x: f32) -> f32 {
    return gelu4(vec4f(x)).x;
}

// dy times the derivative at x. For x < 0 that is v = exp(-x^2 / 2) (R(-x) + x / sqrt(2 pi)), and for
// x > 0 it is 1 - v at -x. It has a zero: R(a) - a / sqrt(2 pi) is (GELU_ZERO - a) G(u) with a minimax
// G, error 2e-8 relative up to a = 14.6.
const GELU_ZERO_HIGH = 0.7517915368080139;
const GELU_ZERO_LOW = -1.211444946e-8;

fn gelu_backward4(x: vec4f, dy: vec4f) -> vec4f {
    let size = min(abs(x), vec4f(14.456));
    let u = gelu_variable4(size);
    let g = 0.66507798433303833 + u * (-0.5299607515335083 + u * (0.34812837839126587 + u * (-0.046244554221630096 + u * (-0.0516083724796772 + u * (-0.0057573202066123486 + u * (0.024376505985856056 + u * (-0.001806450542062521 + u * -0.0032756982836872339)))))));
    let factor = exp_apart4(GELU_ZERO_HIGH - size, u) + GELU_ZERO_LOW;
    let v = exp_lower4(gelu_exp4(size) * (factor * g));
    return select(dy * select(1.0 - v, v, x < vec4f(0.0)), x, is_nan4(x));
}

fn gelu_derivative4(x: vec4f) -> vec4f {
    return gelu_backward4(x, vec4f(1.0));
}

fn gelu_derivative(x: f32) -> f32 {
    return gelu_derivative4(vec4f(x)).x;
}
