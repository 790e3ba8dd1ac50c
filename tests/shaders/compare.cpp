// What the functions of the shaders give, as each compiler has regrouped them, against f64 mathematics.

#include "metal.h"

#include <cstdio>
#include <cstdlib>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

// The functions of tests/common/functions.rs; a test compares them.

static const double SCALE = 1.0507009873554804934;
static const double ALPHA = 1.6732632423543772848;

// exp(-a) / (1 + exp(-a)) for a >= 0.
template <class Real> static Real tail(Real a) {
    Real e = std::exp(-a);
    return e / (1 + e);
}

static double logistic(double x) {
    return x < 0 ? tail(-x) : 1 / (1 + std::exp(-x));
}

static double logistic_derivative(double x) {
    double e = std::exp(-std::fabs(x));
    return e / ((1 + e) * (1 + e));
}

static double bent(double scale, double product, double x) {
    return x > 0 ? scale * x : product * std::expm1(x);
}

static double bent_derivative(double scale, double product, double x) {
    return x > 0 ? scale : product * std::exp(x);
}

static double tanh_derivative(double x) {
    return 4 * logistic_derivative(2 * x);
}

static double softplus(double x) {
    return x != x ? x : std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
}

// x times a function that vanishes far below zero.
static double times(double x, double function) {
    return x < 0 && function == 0 ? -0.0 : x * function;
}

static double silu(double x) {
    return times(x, logistic(x));
}

static double gelu(double x) {
    return times(x, 0.5 * std::erfc(-x * std::sqrt(0.5)));
}

static const double LINEAR = 1.5957691216057307117;
static const double CUBIC = 0.071354816272600249;

static double gelu_tanh(double x) {
    return times(x, logistic(x * (LINEAR + CUBIC * x * x)));
}

// f'(x) of an f with f'(x) + f'(-x) = 1, from its values for x <= 0; around its zero with more digits.
template <class Left> static double mirrored(double x, double zero, Left left) {
    double a = -std::fabs(x);
    double value = a < -800                     ? -0.0
                   : std::fabs(a - zero) < 0.01 ? double(left((long double)a))
                                                   : left(a);
    return x != x ? x : x > 0 ? 1 - value : value;
}

static double silu_derivative(double x) {
    return mirrored(x, -1.278, [](auto x) { return tail(-x) * (1 + x / (1 + std::exp(x))); });
}

static double gelu_derivative(double x) {
    return mirrored(x, -0.752, [](auto x) {
        typedef decltype(x) Real;
        static const Real root = std::sqrt(Real(0.5)), density = 1 / std::sqrt(std::atan(Real(1)) * 8);
        return std::erfc(-x * root) / 2 + x * density * std::exp(-x * x / 2);
    });
}

static double gelu_tanh_derivative(double x) {
    return mirrored(x, -0.752, [](auto x) {
        typedef decltype(x) Real;
        static const Real linear = std::sqrt(2 / std::atan(Real(1))), cubic = linear * 44715 / 1000000;
        Real u = x * (linear + cubic * x * x);
        return tail(-u) * (1 + x * (linear + 3 * cubic * x * x) / (1 + std::exp(u)));
    });
}

static double leaky_relu(double slope, double x) {
    return x > 0 || x != x ? x : slope * x;
}

static double leaky_relu_derivative(double slope, double x) {
    return x != x ? x : x > 0 ? 1 : slope;
}

static const float LAST_CREST = 8188.561f;

static double sine(double frequency, double x) {
    double z = frequency * x;
    return std::fabs(float(z)) >= LAST_CREST && std::fabs(x) != INFINITY ? std::copysign(1.0, z) : std::sin(z);
}

static double sine_derivative(double frequency, double x) {
    double z = frequency * x;
    return std::fabs(float(z)) >= LAST_CREST && std::fabs(x) != INFINITY ? 0 : frequency * std::cos(z);
}

// |x|, where the bits of an f32 are limited.
static double limited(double x, uint low, uint high) {
    uint bits = as_type<uint>(float(x)) & 0x7fffffffu;
    return as_type<float>(bits < low ? low : bits > high ? high : bits);
}

// The floats, a 64th of all: every 64th of them has more zeros than a float has by chance.
static uint x_bits(uint i) {
    return i << 6 | (i * 37u & 63u);
}

// Mostly from 1 to 2, where one rounding is like another; and numbers of other sizes and signs, whose products
// with the derivative may need more care.
static uint dy_bits(uint i) {
    uint hash = i * 2654435769u;
    return i % 4u ? 0x3f800000u | hash >> 9
                  : (hash << 23 & 0x80000000u) | ((hash >> 24) % 254u + 1u) << 23 | (hash & 0x7fffffu);
}

// As GPUs do, and without waiting for subnormal numbers.
static void flush_subnormals(bool flush) {
#if defined(__SSE2__)
    _mm_setcsr(flush ? _mm_getcsr() | 0x8040 : _mm_getcsr() & ~0x8040u);
#else
    (void)flush;
#endif
}

// The unit in the last place of an f32 of this size.
static inline double ulp(double size) {
    uint64_t exponent = as_type<uint64_t>(std::fabs(size)) >> 52;
    return as_type<double>(((exponent < 897 ? 897 : exponent) - 23) << 52);
}

static const double SMALLEST_NORMAL = 0x1p-126;

struct Bound {
    double ulps, floor;
};

// What is expected, how far off it may be, and how far 0 may be off.
static const int CHUNK = 4096;
static double expected[CHUNK], allowed[CHUNK], allowed_for_zero[CHUNK];
static float x[CHUNK], dy[CHUNK], y[CHUNK];

static void expect_values(Bound bound) {
    for (int i = 0; i < CHUNK; i++) {
        double size = std::fabs(expected[i]);
        allowed[i] = bound.ulps * ulp(size > bound.floor ? size : bound.floor);
        allowed_for_zero[i] = size < SMALLEST_NORMAL ? INFINITY : allowed[i];
    }
}

// `expected` has the derivatives.
static void expect_gradients(Bound bound) {
    for (int i = 0; i < CHUNK; i++) {
        double slope = expected[i], size = std::fabs(dy[i]), floor = bound.floor * size;
        double underflow = 0x1p-124 + (std::fabs(slope) < SMALLEST_NORMAL ? SMALLEST_NORMAL * size : 0);
        expected[i] = slope * dy[i];
        double largest = std::fabs(expected[i]);
        double tolerance = bound.ulps * ulp(largest > floor ? largest : floor);
        allowed[i] = tolerance > underflow ? tolerance : underflow;
        allowed_for_zero[i] = allowed[i];
    }
}

// The error as a share of what is allowed.
static inline float share(int i) {
    double error = std::fabs(double(y[i]) - expected[i]);
    return float(error / (y[i] == 0 ? allowed_for_zero[i] : allowed[i]));
}

// With the exceptions: infinities, what may be rounded to one, NaNs, and an exact result where nothing else is
// allowed.
static float exact_share(int i) {
    double size = std::fabs(expected[i]);
    if (expected[i] == y[i] || (expected[i] != expected[i] && y[i] != y[i])) {
        return 0;
    }
    if (size > 0x1.ffffep127 && size < 0x1.00001p128) {
        return 0;
    }
    if (size > 0x1.fffffep127) {
        return std::fabs(y[i]) == INFINITY && (y[i] > 0) == (expected[i] > 0) ? 0 : INFINITY;
    }
    return share(i);
}

struct Worst {
    float share, x, dy, y;
};

static void compare(Worst &worst) {
    // As integers, the bits of NaNs are the largest.
    int largest = 0;
    for (int i = 0; i < CHUNK; i++) {
        int bits = as_type<int>(share(i)) & 0x7fffffff;
        largest = bits > largest ? bits : largest;
    }
    if (largest <= as_type<int>(worst.share)) {
        return;
    }
    for (int i = 0; i < CHUNK; i++) {
        float here = exact_share(i);
        if (!(here <= worst.share)) {
            worst = {here != here ? INFINITY : here, x[i], dy[i], y[i]};
        }
    }
}

// `reference`, what a row's function or derivative is at x, and `EVALUATE`, what each build makes of it.
typedef void Evaluate(int row, const float *constants, const float *x, const float *dy, float *y, int count);
#include "rows.h"

static void next_floats(uint first, uint step) {
    for (int i = 0; i < CHUNK; i++) {
        uint number = first + i * step;
        x[i] = as_type<float>(x_bits(number));
        dy[i] = as_type<float>(dy_bits(number));
    }
}

int main(int, char **arguments) {
    const char *task = arguments[1];
    int row = std::atoi(arguments[2]);
    float constants[3];
    for (int i = 0; i < 3; i++) {
        constants[i] = std::strtof(arguments[3 + i], nullptr);
    }
    Bound bound = {std::atof(arguments[6]), std::atof(arguments[7])};
    const uint count = 1u << 26;
    if (!std::strcmp(task, "reference")) {
        next_floats(7, count / CHUNK);
        for (int i = 0; i < CHUNK; i++) {
            std::printf("%.17g %.17g\n", x[i], reference(row, x[i]));
        }
        return 0;
    }
    const int builds = sizeof EVALUATE / sizeof *EVALUATE;
    Worst worst[builds] = {};
    for (uint first = 0; first < count; first += CHUNK) {
        next_floats(first, 1);
        for (int i = 0; i < CHUNK; i++) {
            expected[i] = reference(row, x[i]);
        }
        if (std::strcmp(task, "gradient")) {
            expect_values(bound);
        } else {
            expect_gradients(bound);
        }
        for (int build = 0; build < builds; build++) {
            flush_subnormals(true);
            EVALUATE[build](row, constants, x, dy, y, CHUNK);
            flush_subnormals(false);
            compare(worst[build]);
        }
    }
    for (Worst worst : worst) {
        std::printf("%.4g %.9g %.9g %.9g\n", worst.share, worst.x, worst.dy, worst.y);
    }
}
