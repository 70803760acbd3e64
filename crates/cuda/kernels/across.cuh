// What normalisation across maps reads.
#pragma once
#include "vectors.cuh"

// out ← the values from `before` maps below the VEC at `at` to `before` maps above them, 0 outside the tower, in which those at `at`
// begin with map `first`. `before` is at most 8.
template <int before> DEVICE void load_around(float (&out)[VEC + 2 * before], const elem* at, u32 first, u32 tower) {
    // Read in pieces that are aligned: a power of 2 of values, at most VEC.
    constexpr int rounded = before <= 1 ? before : before <= 2 ? 2 : before <= 4 ? 4 : 8;
    constexpr int piece = rounded < VEC ? rounded : VEC;
    float own[VEC];
    load_run(own, at);
    UNROLL for (int i = 0; i < VEC; i++) out[before + i] = own[i];
    if constexpr (before > 0) {
        UNROLL for (int begin = 0; begin < before; begin += piece) {
            float below[piece] = {}, above[piece] = {};
            if (first >= (u32)(begin + piece)) load_run(below, at - begin - piece);
            if (first + VEC + begin < tower) load_run(above, at + VEC + begin);
            UNROLL for (int i = 0; i < piece; i++) {
                if (begin + i < before) {
                    out[before - 1 - begin - i] = below[piece - 1 - i];
                    out[before + VEC + begin + i] = above[i];
                }
            }
        }
    }
}
