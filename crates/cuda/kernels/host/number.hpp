// Numbers of 16 bits, and the names of functions that CUDA has and C++ has not.
#pragma once

#include <math.h>
#include <string.h>

#include "fiber.hpp"

EMULATED_SMALL inline u32 __float_as_uint(float x) {
    u32 bits;
    memcpy(&bits, &x, 4);
    return bits;
}
EMULATED_SMALL inline float __uint_as_float(u32 bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
inline int __float_as_int(float x) { return (int)__float_as_uint(x); }
inline float __int_as_float(int bits) { return __uint_as_float((u32)bits); }

namespace emulated {

// Exact. Of a half, all but the largest exponent is a float's with another bias; a subnormal is normalised by the multiplication.
EMULATED_SMALL inline float widened(bf16 x) { return __uint_as_float((u32)x.bits << 16); }
EMULATED_SMALL inline float widened(f16 x) {
    u32 bits = (u32)(x.bits & 0x7fff) << 13;
    u32 scaled = __float_as_uint(__uint_as_float(bits) * 0x1p112f);
    scaled |= bits >= 0x0f800000 ? 0x7f800000 : 0;
    return __uint_as_float(scaled | (u32)(x.bits & 0x8000) << 16);
}

}  // namespace emulated

EMULATED_SMALL inline float to_float(float x) { return x; }
EMULATED_SMALL inline float to_float(bf16 x) { return emulated::widened(x); }
EMULATED_SMALL inline float to_float(f16 x) {
    return (x.bits & 0x7fff) > 0x7c00 ? __uint_as_float(0x7fffffff) : emulated::widened(x);
}

// The nearest value of T, ties to even. What is not a number becomes the one that PTX calls canonical.
template <class T> EMULATED_SMALL inline T from_float(float x);
template <> EMULATED_SMALL inline float from_float<float>(float x) { return x; }
template <> EMULATED_SMALL inline bf16 from_float<bf16>(float x) {
    u32 bits = __float_as_uint(x);
    if (x != x) return bf16{0x7fff};
    return bf16{(u16)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
template <> EMULATED_SMALL inline f16 from_float<f16>(float x) {
    u32 bits = __float_as_uint(x), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    if (x != x) return f16{0x7fff};
    // Below 2^-14 the steps are 2^-24, which are those of floats from 0.5 to 1: an addition rounds.
    if (size < 0x38800000) return f16{(u16)(sign | (__float_as_uint(__uint_as_float(size) + 0.5f) - 0x3f000000))};
    u32 rounded = (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
    return f16{(u16)(sign | (rounded < 0x7c00 ? rounded : 0x7c00))};
}

EMULATED_SMALL inline u32 to_tf32(float x) {
    u32 bits = __float_as_uint(x);
    if (x != x) return 0x7fffffff;
    // A carry out of the fraction raises the exponent, up to infinity, which has none.
    return (bits & 0x7fffffff) == 0x7f800000 ? bits : (bits + 0x1000) & 0xffffe000;
}

EMULATED_SMALL inline u32 multiply_high(u32 a, u32 b) { return (u32)((u64)a * b >> 32); }
inline u32 __umulhi(u32 a, u32 b) { return multiply_high(a, b); }
inline int __popc(u32 x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz((u32)x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }

inline int min(int a, int b) { return a < b ? a : b; }
inline u32 min(u32 a, u32 b) { return a < b ? a : b; }
inline u32 min(int a, u32 b) { return min((u32)a, b); }
inline u32 min(u32 a, int b) { return min(a, (u32)b); }
inline long long min(long long a, long long b) { return a < b ? a : b; }
inline u64 min(u64 a, u64 b) { return a < b ? a : b; }
inline float min(float a, float b) { return fminf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline int max(int a, int b) { return a > b ? a : b; }
inline u32 max(u32 a, u32 b) { return a > b ? a : b; }
inline u32 max(int a, u32 b) { return max((u32)a, b); }
inline u32 max(u32 a, int b) { return max(a, (u32)b); }
inline long long max(long long a, long long b) { return a > b ? a : b; }
inline u64 max(u64 a, u64 b) { return a > b ? a : b; }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

// Functions that a GPU has as instructions, of which some are less exact there.
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float rcbrtf(float x) { return 1.0f / cbrtf(x); }
inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return powf(10.0f, x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __log10f(float x) { return log10f(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }
inline float __saturatef(float x) { return fminf(fmaxf(x, 0.0f), 1.0f); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frsqrt_rn(float x) { return (float)(1.0 / sqrt((double)x)); }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline int __float2int_rn(float x) { return (int)nearbyintf(x); }
inline int __float2int_rz(float x) { return (int)x; }
inline int __float2int_rd(float x) { return (int)floorf(x); }
inline int __float2int_ru(float x) { return (int)ceilf(x); }
inline u32 __float2uint_rn(float x) { return (u32)nearbyintf(x); }
inline u32 __float2uint_rz(float x) { return (u32)x; }
inline float __int2float_rn(int x) { return (float)x; }
inline float __uint2float_rn(u32 x) { return (float)x; }
inline void sincospif(float x, float* s, float* c) {
    *s = (float)sin(M_PI * (double)x);
    *c = (float)cos(M_PI * (double)x);
}
inline float sinpif(float x) { return (float)sin(M_PI * (double)x); }
inline float cospif(float x) { return (float)cos(M_PI * (double)x); }
template <class T> inline T __ldg(const T* at) { return *at; }
