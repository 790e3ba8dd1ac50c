// As much of the Metal Shading Language as naga's text of shaders/functions needs, in C++. The functions work lane
// by lane, so of each vector there is the first one only, for the compiler to regroup and fuse as it likes.

#include <cmath>
#include <cstdint>
#include <cstring>

typedef uint32_t uint;
// As on a GPU.
#define INLINE static inline __attribute__((always_inline))

template <class To, class From> INLINE To as_type(From from) {
    static_assert(sizeof(To) == sizeof(From), "as_type keeps the bits");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

namespace metal {
using ::uint;

template <class T> struct Vector {
    T x;

    Vector() = default;
    Vector(T all) : x(all) {}
    template <class From> explicit Vector(Vector<From> v) : x(T(v.x)) {}

    friend Vector operator-(Vector a) { return -a.x; }
    friend Vector operator+(Vector a, Vector b) { return a.x + b.x; }
    friend Vector operator-(Vector a, Vector b) { return a.x - b.x; }
    friend Vector operator*(Vector a, Vector b) { return a.x * b.x; }
    friend Vector operator/(Vector a, Vector b) { return a.x / b.x; }
    friend Vector operator&(Vector a, Vector b) { return T(a.x & b.x); }
    friend Vector operator|(Vector a, Vector b) { return T(a.x | b.x); }
    friend Vector operator^(Vector a, Vector b) { return T(a.x ^ b.x); }
    friend Vector operator<<(Vector a, Vector<uint> b) { return a.x << b.x; }
    friend Vector operator>>(Vector a, Vector<uint> b) { return a.x >> b.x; }
    friend Vector<bool> operator<(Vector a, Vector b) { return a.x < b.x; }
    friend Vector<bool> operator>(Vector a, Vector b) { return a.x > b.x; }
    friend Vector<bool> operator<=(Vector a, Vector b) { return a.x <= b.x; }
    friend Vector<bool> operator>=(Vector a, Vector b) { return a.x >= b.x; }
    friend Vector<bool> operator!=(Vector a, Vector b) { return a.x != b.x; }
    friend Vector<bool> operator==(Vector a, Vector b) { return a.x == b.x; }
};

typedef Vector<bool> bool4;
typedef Vector<int> int4;
typedef Vector<uint> uint4;
typedef Vector<float> float4;

template <class T> INLINE T select(T no, T yes, bool which) { return which ? yes : no; }
template <class T> INLINE Vector<T> select(Vector<T> no, Vector<T> yes, bool4 which) { return which.x ? yes.x : no.x; }
template <class T> INLINE T min(T a, T b) { return select(a, b, b < a); }
template <class T> INLINE T max(T a, T b) { return select(a, b, a < b); }
template <class T> INLINE T clamp(T a, T low, T high) { return min(max(a, low), high); }
INLINE float abs(float a) { return std::fabs(a); }
INLINE float4 abs(float4 a) { return abs(a.x); }
} // namespace metal
