// The maximum of each window, and its gradient. x is [batch, height, width, channels], y the same with
// the output's height and width.

@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
// Where in x the maximum is: the first of equals, and the first NaN if there is one.
@group(0) @binding(2) var<storage, read_write> maxima: array<u32>;

@compute @workgroup_size(WORKGROUP_SIZE)
fn max_pool2d_forward(
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
    // The window without the padding.
    let corner = place.yz * q.strides;
    let first = max(corner, q.padding) - q.padding;
    let end = min(corner + q.pool - q.padding, q.input);
    var best = index_of(place.x, first, place.w, q.input, q.channels);
    var value = x[best];
    for (var row = first.x; row < end.x; row++) {
        for (var column = first.y; column < end.y; column++) {
            let k = index_of(place.x, vec2u(row, column), place.w, q.input, q.channels);
            let is_nan = is_nan4(vec4f(value, x[k], 0.0, 0.0));
            if (!is_nan.x && (is_nan.y || x[k] > value)) {
                best = k;
                value = x[k];
            }
        }
    }
    y[i] = value;
    maxima[i] = best;
}

@group(0) @binding(0) var<storage, read_write> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> chosen: array<u32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;
// x came from its epilogue
@group(0) @binding(3) var<storage, read_write> z: array<f32>;

// The sum of dy over the windows that chose value i of x, in the order of the windows.
fn gradient(i: u32, q: Pool2dParams) -> f32 {
    let place = place_of(i, q.input, q.channels);
    let windows = windows_of(place.yz, q);
    var sum = 0.0;
    for (var row = windows.x; row < windows.z; row++) {
        for (var column = windows.y; column < windows.w; column++) {
            let k = index_of(place.x, vec2u(row, column), place.w, q.output, q.channels);
            if (chosen[k] == i) {
                sum += dy[k];
            }
        }
    }
    return sum;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn max_pool2d_backward(
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
fn max_pool2d_backward_through(
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
