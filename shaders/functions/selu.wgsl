// SELU with the constants of Klambauer et al. 2017, for which mean 0 and variance 1 are the fixed point.

const SELU_SCALE = 1.0507009873554804934193349852946;
const SELU_SCALE_ALPHA = 1.7580993408473768599402175208123;
// (SELU_SCALE_ALPHA - f32(SELU_SCALE_ALPHA)) / SELU_SCALE_ALPHA
const SELU_RESIDUAL = 1.3251081516829451e-8;

fn selu4(x: vec4f) -> vec4f {
    return scaled_elu(x, SELU_SCALE, SELU_SCALE_ALPHA);
}

fn selu(x: f32) -> f32 {
    return selu4(vec4f(x)).x;
}

fn selu_derivative4(x: vec4f) -> vec4f {
    return scaled_elu_backward(x, vec4f(1.0), SELU_SCALE, SELU_SCALE_ALPHA, SELU_RESIDUAL);
}

fn selu_derivative(x: f32) -> f32 {
    return selu_derivative4(vec4f(x)).x;
}
