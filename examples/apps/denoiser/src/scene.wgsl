// WIDTH, HEIGHT, TILE, HALO, TILES, CLEAN_SAMPLES and WORKGROUP come before this text, see scene.rs.

const PI = 3.14159265;
const CHANNELS = 8u;
// The network sees a tile with its surroundings.
const SIDE = TILE + 2u * HALO;

struct Frame {
    seconds: f32,
    number: u32,
    // Where the window is divided, 0 to 1: noisy on the left, denoised on the right.
    divider: f32,
    has_network: u32,
}

@group(0) @binding(0) var<uniform> frame: Frame;

// Random numbers: PCG (Jarzynski and Olano 2020).

fn hash(value: u32) -> u32 {
    let state = value * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

// Numbers that must not be those of the frame's pixels.
const STREAM_OF_TILES = 1u;
const STREAM_OF_CLEAN = 2u;

var<private> random_state: u32;

fn random() -> f32 {
    random_state = hash(random_state);
    return f32(random_state >> 8u) / 16777216.0;
}

fn random_direction() -> vec3f {
    let z = 1.0 - 2.0 * random();
    let angle = 2.0 * PI * random();
    return vec3f(sqrt(1.0 - z * z) * vec2f(cos(angle), sin(angle)), z);
}

// The scene: balls that bounce and roll on a floor, under a sky and a lamp.

struct Hit {
    t: f32,
    normal: vec3f,
    albedo: vec3f,
}

const FAR = 1e4;
const BALLS = 5u;

fn ball(i: u32) -> vec4f {
    let turn = 0.5 * frame.seconds + 1.2566 * f32(i);
    let radius = 0.45 + 0.12 * f32(i % 3u);
    let height = radius + 0.5 * abs(sin(1.7 * frame.seconds + 2.0 * f32(i)));
    return vec4f(1.7 * cos(turn), height, 1.7 * sin(turn), radius);
}

fn ball_albedo(i: u32) -> vec3f {
    return 0.55 + 0.4 * cos(vec3f(0.0, 2.1, 4.2) + 1.3 * f32(i));
}

// The distance to a ball along the ray, or FAR.
fn hit_ball(origin: vec3f, direction: vec3f, at: vec4f) -> f32 {
    let to = at.xyz - origin;
    let along = dot(to, direction);
    let inside = at.w * at.w - dot(to, to) + along * along;
    if inside < 0.0 {
        return FAR;
    }
    let t = along - sqrt(inside);
    return select(FAR, t, t > 1e-3);
}

fn trace(origin: vec3f, direction: vec3f) -> Hit {
    var hit = Hit(FAR, -direction, vec3f(0.0));
    if direction.y < 0.0 {
        let t = -origin.y / direction.y;
        let at = (origin + t * direction).xz;
        let is_dark = (i32(floor(at.x)) + i32(floor(at.y))) % 2 != 0;
        hit = Hit(t, vec3f(0.0, 1.0, 0.0), vec3f(select(0.75, 0.3, is_dark)));
    }
    for (var i = 0u; i < BALLS; i++) {
        let at = ball(i);
        let t = hit_ball(origin, direction, at);
        if t < hit.t {
            hit = Hit(t, normalize(origin + t * direction - at.xyz), ball_albedo(i));
        }
    }
    return hit;
}

fn is_free(origin: vec3f, direction: vec3f, distance: f32) -> bool {
    var nearest = FAR;
    for (var i = 0u; i < BALLS; i++) {
        nearest = min(nearest, hit_ball(origin, direction, ball(i)));
    }
    return nearest > distance;
}

fn sky(direction: vec3f) -> vec3f {
    return mix(vec3f(0.75, 0.80, 0.90), vec3f(0.25, 0.42, 0.80), max(direction.y, 0.0));
}

const LAMP = vec4f(2.5, 4.5, 1.0, 1.1);
const LAMP_COLOUR = vec3f(22.0, 19.0, 15.0);

// A random sample of the light that reaches a point: from the sky, and from the lamp, a ball.
fn sample_light(at: vec3f, normal: vec3f) -> vec3f {
    var light = vec3f(0.0);
    let to_sky = normalize(normal + 0.999 * random_direction());
    if to_sky.y > 0.0 && is_free(at, to_sky, FAR * 0.5) {
        light += sky(to_sky);
    }
    let to_lamp = LAMP.xyz + LAMP.w * random_direction() - at;
    let distance = length(to_lamp);
    let cosine = dot(normal, to_lamp) / distance;
    if cosine > 0.0 && is_free(at, to_lamp / distance, distance) {
        light += LAMP_COLOUR * cosine / (distance * distance);
    }
    return light;
}

fn camera_ray(pixel: vec2f) -> vec3f {
    let uv = (2.0 * pixel - vec2f(f32(WIDTH), f32(HEIGHT))) / f32(HEIGHT);
    let forward = normalize(vec3f(0.0, 0.7, 0.0) - EYE);
    let right = normalize(cross(forward, vec3f(0.0, 1.0, 0.0)));
    let up = cross(right, forward);
    return normalize(1.8 * forward + uv.x * right - uv.y * up);
}

const EYE = vec3f(0.0, 2.4, 5.6);

// Drawing: one sample a pixel.

@vertex
fn cover(@builtin(vertex_index) index: u32) -> @builtin(position) vec4f {
    let uv = vec2f(vec2u((index << 1u) & 2u, index & 2u));
    return vec4f(2.0 * uv.x - 1.0, 1.0 - 2.0 * uv.y, 0.0, 1.0);
}

struct Surface {
    // Noisy light, and the distance.
    @location(0) light: vec4f,
    @location(1) normal: vec4f,
    @location(2) albedo: vec4f,
}

@fragment
fn draw(@builtin(position) position: vec4f) -> Surface {
    let pixel = vec2u(position.xy);
    random_state = hash(pixel.x + hash(pixel.y + hash(frame.number)));
    let direction = camera_ray(position.xy);
    let hit = trace(EYE, direction);
    if hit.t >= FAR {
        // The sky is its own light.
        return Surface(vec4f(1.0, 1.0, 1.0, 20.0), vec4f(hit.normal, 0.0), vec4f(sky(direction), 1.0));
    }
    let at = EYE + hit.t * direction;
    let light = sample_light(at, hit.normal);
    return Surface(vec4f(light, min(hit.t, 20.0)), vec4f(hit.normal, 0.0), vec4f(hit.albedo, 1.0));
}

// From the textures to the network's tiles, and targets to learn from.

@group(0) @binding(1) var light: texture_2d<f32>;
@group(0) @binding(2) var normal: texture_2d<f32>;
@group(0) @binding(3) var albedo: texture_2d<f32>;
@group(0) @binding(4) var<storage, read_write> x: array<vec4f>;  // [tiles, SIDE, SIDE, CHANNELS]
@group(0) @binding(5) var<storage, read_write> y: array<f32>;    // [tiles, TILE, TILE, 3]

// Everything near 0, and of a deviation near 1. Pixels beyond the border are those at it.
fn write_input(index: u32, pixel: vec2i) {
    let at = clamp(pixel, vec2i(0), vec2i(vec2u(WIDTH, HEIGHT)) - 1);
    let l = textureLoad(light, at, 0);
    let luminance = dot(textureLoad(albedo, at, 0).rgb, vec3f(0.3, 0.6, 0.1));
    x[2u * index] = vec4f(l.rgb - 0.7, 0.3 * (l.a - 6.0));
    x[2u * index + 1u] = vec4f(textureLoad(normal, at, 0).xyz, 2.0 * luminance - 1.0);
}

// The whole frame.
@compute @workgroup_size(WORKGROUP)
fn cut_frame(@builtin(global_invocation_id) id: vec3u) {
    let tile = id.x / (SIDE * SIDE);
    if tile >= TILES {
        return;
    }
    let within = vec2u(id.x % SIDE, id.x / SIDE % SIDE);
    let first = TILE * vec2u(tile % (WIDTH / TILE), tile / (WIDTH / TILE));
    write_input(id.x, vec2i(first + within) - i32(HALO));
}

// The first pixel of a random tile, another in each frame.
fn random_tile(tile: u32) -> vec2u {
    let word = hash(tile + hash(frame.number + hash(STREAM_OF_TILES)));
    return vec2u((word & 0xffffu) % (WIDTH - TILE), (word >> 16u) % (HEIGHT - TILE));
}

@compute @workgroup_size(WORKGROUP)
fn cut_batch(@builtin(global_invocation_id) id: vec3u) {
    let tile = id.x / (SIDE * SIDE);
    let within = vec2u(id.x % SIDE, id.x / SIDE % SIDE);
    write_input(id.x, vec2i(random_tile(tile) + within) - i32(HALO));
}

// What the tiles of the batch look like with many samples.
@compute @workgroup_size(WORKGROUP)
fn clean_batch(@builtin(global_invocation_id) id: vec3u) {
    let tile = id.x / (TILE * TILE);
    let within = vec2u(id.x % TILE, id.x / TILE % TILE);
    let pixel = random_tile(tile) + within;
    random_state = hash(id.x + hash(frame.number + hash(STREAM_OF_CLEAN)));
    let direction = camera_ray(vec2f(pixel) + 0.5);
    let hit = trace(EYE, direction);
    var sum = vec3f(0.0);
    if hit.t < FAR {
        for (var i = 0u; i < CLEAN_SAMPLES; i++) {
            sum += sample_light(EYE + hit.t * direction, hit.normal);
        }
        sum /= f32(CLEAN_SAMPLES);
    } else {
        sum = vec3f(1.0);
    }
    y[3u * id.x] = sum.r;
    y[3u * id.x + 1u] = sum.g;
    y[3u * id.x + 2u] = sum.b;
}

// To the window.

@group(0) @binding(6) var<storage, read> denoised: array<f32>;   // [TILES, TILE, TILE, 3]
@group(0) @binding(7) var<uniform> window: vec2f;

@fragment
fn show(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let uv = position.xy / window;
    let pixel = min(vec2u(uv * vec2f(f32(WIDTH), f32(HEIGHT))), vec2u(WIDTH, HEIGHT) - 1u);
    var seen = textureLoad(light, pixel, 0).rgb;
    if frame.has_network == 1u && uv.x > frame.divider {
        let tile = pixel / TILE;
        let within = pixel % TILE;
        let index = ((tile.y * (WIDTH / TILE) + tile.x) * TILE + within.y) * TILE + within.x;
        seen = vec3f(denoised[3u * index], denoised[3u * index + 1u], denoised[3u * index + 2u]);
    }
    let colour = seen * textureLoad(albedo, pixel, 0).rgb;
    let line = step(abs(position.x - frame.divider * window.x), 1.0);
    // Filmic enough: 1 - exp(-x).
    return vec4f(mix(1.0 - exp(-1.3 * colour), vec3f(1.0), line), 1.0);
}
