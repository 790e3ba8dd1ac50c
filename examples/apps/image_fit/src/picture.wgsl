// SIDE, FREQUENCIES and WORKGROUP come before this text, see fit.rs.

const PIXELS = SIDE * SIDE;
const TAU = 6.2831853;
// Waves across the picture, for a frequency of 1.
const BANDWIDTH = 6.0;

@group(0) @binding(0) var<storage, read> frequencies: array<vec2f>;   // [FREQUENCIES]
@group(0) @binding(1) var<storage, read> picture: array<u32>;         // [SIDE, SIDE], rgba8
@group(0) @binding(2) var<storage, read_write> x: array<f32>;         // [rows, 2 FREQUENCIES]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;         // [rows, 3]
@group(0) @binding(4) var<uniform> frame: u32;
@group(0) @binding(5) var<storage, read> colours: array<f32>;         // [SIDE, SIDE, 3]

// Cosine and sine of each frequency: a network of few layers learns no detail from two coordinates.
fn write_features(row: u32, pixel: u32) {
    let p = (vec2f(vec2u(pixel % SIDE, pixel / SIDE)) + 0.5) / f32(SIDE);
    for (var i = 0u; i < FREQUENCIES; i++) {
        let angle = TAU * BANDWIDTH * dot(frequencies[i], p);
        x[row * 2u * FREQUENCIES + 2u * i] = cos(angle);
        x[row * 2u * FREQUENCIES + 2u * i + 1u] = sin(angle);
    }
}

// The features of all pixels, in order.
@compute @workgroup_size(WORKGROUP)
fn encode(@builtin(global_invocation_id) id: vec3u) {
    write_features(id.x, id.x);
}

// PCG (Jarzynski and Olano 2020).
fn hash(value: u32) -> u32 {
    let state = value * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

// Features and colours of random pixels, others in each frame.
@compute @workgroup_size(WORKGROUP)
fn sample_batches(@builtin(global_invocation_id) id: vec3u) {
    let row = id.x;
    let pixel = hash(row ^ hash(frame)) % PIXELS;
    write_features(row, pixel);
    let colour = unpack4x8unorm(picture[pixel]);
    y[3u * row] = colour.r;
    y[3u * row + 1u] = colour.g;
    y[3u * row + 2u] = colour.b;
}

struct Corner {
    @builtin(position) position: vec4f,
    @location(0) uv: vec2f,
}

// One triangle over the whole viewport.
@vertex
fn cover(@builtin(vertex_index) index: u32) -> Corner {
    let uv = vec2f(vec2u((index << 1u) & 2u, index & 2u));
    return Corner(vec4f(2.0 * uv.x - 1.0, 1.0 - 2.0 * uv.y, 0.0, 1.0), uv);
}

@fragment
fn show(corner: Corner) -> @location(0) vec4f {
    let at = min(vec2u(corner.uv * f32(SIDE)), vec2u(SIDE - 1u));
    let first = 3u * (at.y * SIDE + at.x);
    return vec4f(colours[first], colours[first + 1u], colours[first + 2u], 1.0);
}
