// The mean of each window, and its gradient. x is [batch, height, width, channels], y the same with the
// output's height and width. Padding is no part of a window.

struct Window { first: vec2u, end: vec2u }

// The input's pixels in the window of an output's pixel.
fn window_of(pixel: vec2u, q: Pool2dParams) -> Window {
    let corner = pixel * q.strides;
    return Window(max(corner, q.padding) - q.padding, min(corner + q.pool - q.padding, q.input));
}

fn area_of(window: Window) -> f32 {
    let extent = window.end - window.first;
    return f32(extent.x * extent.y);
}

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn average_pool2d_forward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i >= q.len) {
        return;
    }
    let place = place_of(i, q.output, q.channels);
    let window = window_of(place.yz, q);
    var sum = 0.0;
    for (var row = window.first.x; row < window.end.x; row++) {
        for (var column = window.first.y; column < window.end.y; column++) {
            sum += x[index_of(place.x, vec2u(row, column), place.w, q.input, q.channels)];
        }
    }
    y[i] = sum / area_of(window);
}

@group(0) @binding(0) var<storage, read_write> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;
// x came from its epilogue
@group(0) @binding(2) var<storage, read_write> z: array<f32>;

// The sum of dy over the windows that have value i of x, each divided by its pixels.
fn gradient(i: u32, q: Pool2dParams) -> f32 {
    let place = place_of(i, q.input, q.channels);
    let windows = windows_of(place.yz, q);
    var sum = 0.0;
    for (var row = windows.x; row < windows.z; row++) {
        for (var column = windows.y; column < windows.w; column++) {
            let pixel = vec2u(row, column);
            let k = index_of(place.x, pixel, place.w, q.output, q.channels);
            sum += dy[k] / area_of(window_of(pixel, q));
        }
    }
    return sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn average_pool2d_backward(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i < q.len) {
        dx[i] = gradient(i, q);
    }
}

// dx, and then through the epilogue of z
@compute @workgroup_size(WORKGROUP_SIZE)
fn average_pool2d_backward_through(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let q = p;
    let i = item_index(group, groups, local);
    if (i < q.len) {
        dx[i] = epilogue_backward(i, vec4f(z[i]), vec4f(gradient(i, q)), q.epilogue).x;
    }
}
