// sin(frequency x), for frequencies from 1e-6 to 1e6, whose products with x have parts that are normal numbers.
//
// frequency x = z + low is exact. k is the even multiple of pi / 2 next to it for the sine, the odd one for the cosine;
// r = z + low - k pi / 2 is within 1.5725 of 0, and either is sin(r) = r + r^3 P(r^2) but for its sign: P is minimax,
// error 6.3e-9. pi / 2 is in three parts, the first two of 11 bits, so that their products with k, of 13 bits, and
// what they leave of z are exact, and r is within 2^-33, apart from its own rounding. Built-in functions do not do:
// WGSL's sin may be 2^-11 off, and has no bound beyond pi.
//
// Where frequency x is beyond SINE_LIMIT, the crest of the 1304th wave, the value stays there, 1 or -1, and the
// derivative is 0. There is no limit at infinity: it gives NaN.
//
// Within 3 ulp of the value, or of 1/256, dy times the derivative within 4.5, or of frequency |dy| / 256.
// This holds whether or not a compiler fuses multiply and add, or regroups: no max here changes anything, but each
// keeps a sum apart whose order counts.

// 5213 pi / 2
const SINE_LIMIT = 8188.56103515625;
const SINE_INVERSE_PI = 0.3183098861837907;
const SINE_HALF_PI_HIGH = 1.5703125;
const SINE_HALF_PI_MIDDLE = 0.0004837512969970703;
const SINE_HALF_PI_LOW = 7.549790126404332e-8;
// 1.5 * 2^13: adding it to t leaves round(1024 t) in the low bits.
const SINE_ROUND = 12288.0;
const SINE_ROUND_BITS = 0x46400000;

// The first 12 bits of x.
fn sine_head4(x: vec4f) -> vec4f {
    return bitcast<vec4f>(bitcast<vec4u>(x) & vec4u(0xfffff000u));
}

// What rounding has taken from z = frequency x: Dekker's product, by parts of 12 bits.
fn sine_low4(x: vec4f, frequency: vec4f, z: vec4f) -> vec4f {
    let x_head = sine_head4(x);
    let x_tail = x - x_head;
    let head = sine_head4(frequency);
    let tail = frequency - head;
    let first = max(x_head * head - z, vec4f(-1e38));
    let second = max(first + x_head * tail, vec4f(-1e38));
    let third = max(second + x_tail * head, vec4f(-1e38));
    return third + x_tail * tail;
}

// amplitude sin(z + low) where odd is 0, and amplitude cos(z + low) where it is 1.
fn sine_wave4(z: vec4f, low: vec4f, odd: i32, amplitude: f32) -> vec4f {
    let half_turns = bitcast<vec4i>(z * SINE_INVERSE_PI + SINE_ROUND) - SINE_ROUND_BITS;
    // Rounded for the sine, for the cosine the half turns that are whole; so in integers, which no compiler adds to SINE_ROUND.
    let n = (half_turns + 512 * (1 - odd)) >> vec4u(10u);
    let k = vec4f(2 * n + odd);
    let high = max(z - k * SINE_HALF_PI_HIGH, vec4f(-1e38));
    let r = max(high - k * SINE_HALF_PI_MIDDLE, vec4f(-1e38)) + (low - k * SINE_HALF_PI_LOW);
    let r2 = r * r;
    let p = -0.16666659712791443 + r2 * (0.008333069272339344 + r2 * (-0.00019809766672551632 + r2 * 2.6060472464450868e-6));
    let y = r + r * (r2 * p);
    // Odd half turns change the sign, and so does what an odd k leaves, which is -cos; last, by the bits, so that
    // no compiler multiplies what follows by the amplitude first, which may be infinite.
    return bitcast<vec4f>(bitcast<vec4i>(amplitude * y) ^ ((n + odd) << vec4u(31u)));
}

// NaN where x is NaN or infinite, y elsewhere.
fn sine_of_finite4(y: vec4f, x: vec4f) -> vec4f {
    let bits = bitcast<vec4u>(x);
    let nan = bitcast<vec4f>(bits | vec4u(0x7fc00000u));
    return select(y, nan, (bits & vec4u(0x7fffffffu)) >= vec4u(0x7f800000u));
}

fn sine4(x: vec4f, frequency: f32) -> vec4f {
    let product = x * frequency;
    let z = clamp(product, vec4f(-SINE_LIMIT), vec4f(SINE_LIMIT));
    // Fused or regrouped, a crest could be an ulp above 1.
    let wave = clamp(sine_wave4(z, sine_low4(x, vec4f(frequency), z), 0, 1.0), vec4f(-1.0), vec4f(1.0));
    let crest = select(vec4f(-1.0), vec4f(1.0), z > vec4f(0.0));
    let y = select(wave, crest, abs(z) >= vec4f(SINE_LIMIT));
    // Below 2^-12 the product itself is nearest, with the sign of a zero.
    return sine_of_finite4(select(y, product, abs(product) < vec4f(0x1p-12)), x);
}

// sin(frequency x) with the bits of sine4.
fn sine(x: f32, frequency: f32) -> f32 {
    return sine4(vec4f(x), frequency).x;
}

// dy times the derivative at x, frequency cos(frequency x).
fn sine_backward4(x: vec4f, dy: vec4f, frequency: f32) -> vec4f {
    let z = clamp(x * frequency, vec4f(-SINE_LIMIT), vec4f(SINE_LIMIT));
    let wave = sine_wave4(z, sine_low4(x, vec4f(frequency), z), 1, frequency);
    return sine_of_finite4(dy * select(wave, vec4f(0.0), abs(z) >= vec4f(SINE_LIMIT)), x);
}

fn sine_derivative4(x: vec4f, frequency: f32) -> vec4f {
    return sine_backward4(x, vec4f(1.0), frequency);
}

fn sine_derivative(x: f32, frequency: f32) -> f32 {
    return sine_derivative4(vec4f(x), frequency).x;
}
