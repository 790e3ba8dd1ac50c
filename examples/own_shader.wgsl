// A dense layer with its activation in one kernel: y = selu(x w + b), four outputs per invocation.
// selu4 comes from selfnorm::wgsl::SELU, which is appended to this file.

// x is [batch, in], w is [in, out], b is [out], y is [batch, out]; out is a multiple of four.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn dense_selu(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= arrayLength(&y)) {
        return;
    }
    let outputs = arrayLength(&b);
    let inputs = arrayLength(&w) / outputs;
    let row = id.x / outputs;
    let column = id.x % outputs;
    var sum = b[column];
    for (var i = 0u; i < inputs; i++) {
        sum += x[row * inputs + i] * w[i * outputs + column];
    }
    y[id.x] = selu4(sum);
}
