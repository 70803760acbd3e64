// The powers of response normalisation.
#pragma once
#include "device.cuh"

// How d^−β is computed: by logarithm and exponential, or by reciprocal square roots where β is ¾ or ½.
constexpr u32 POWER_ANY = 0;
constexpr u32 POWER_THREE_QUARTERS = 1;
constexpr u32 POWER_HALF = 2;

// d^−β and d^(−β−1) of a d > 0. For β = ¾ it is r · (d · r)^−½ with r = d^−½, so a d that is infinite gives a NaN.
struct Powers {
    float factor, next;
};
template <u32 power> DEVICE Powers powers(float beta, float d) {
    Powers result;
    if (power == POWER_ANY) {
        const float log = log2f(d);
        result.factor = exp2f(-beta * log);
        result.next = exp2f(-(beta + 1.0f) * log);
    } else {
        const float root = rsqrtf(d);
        result.factor = power == POWER_HALF ? root : root * rsqrtf(d * root);
        result.next = result.factor * (root * root);
    }
    return result;
}

// The same, chosen value by value.
DEVICE Powers powers(u32 power, float beta, float d) {
    if (power == POWER_THREE_QUARTERS) return powers<POWER_THREE_QUARTERS>(beta, d);
    if (power == POWER_HALF) return powers<POWER_HALF>(beta, d);
    return powers<POWER_ANY>(beta, d);
}

// Does `call`, in which POWER is the power as a constant, so that loops hold no branch.
#define WITH_POWER(power, call)                          \
    if (power == POWER_THREE_QUARTERS) {                 \
        constexpr u32 POWER = POWER_THREE_QUARTERS;      \
        call;                                            \
    } else if (power == POWER_HALF) {                    \
        constexpr u32 POWER = POWER_HALF;                \
        call;                                            \
    } else {                                             \
        constexpr u32 POWER = POWER_ANY;                 \
        call;                                            \
    }
