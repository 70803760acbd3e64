// The list of a net's parameters in device memory, cut into chunks that never hold two of them.
#pragma once
#include "args.cuh"
#include "vectors.cuh"

// Values of a chunk, the same number as in crates/cuda/src/kernels/parameters.rs.
constexpr u32 CHUNK = 4096;

// The parameter of `count` that chunk number `chunk` is of.
DEVICE u32 parameter_of(const Parameter* parameters, u32 count, u32 chunk) {
    u32 low = 0, high = count;
    while (high - low > 1) {
        const u32 middle = (low + high) / 2;
        if (parameters[middle].first_chunk <= chunk) low = middle;
        else high = middle;
    }
    return low;
}

// Calls f4(place) for every four values of the block's chunk that lie together and f1(place) for those left over.
template <int threads, class F4, class F1> DEVICE void each_of_chunk(const Parameter& parameter, u32 chunk, F4 f4, F1 f1) {
    const u64 begin = (u64)(chunk - parameter.first_chunk) * CHUNK;
    const u32 len = parameter.len - begin < CHUNK ? (u32)(parameter.len - begin) : CHUNK;
    UNROLL for (u32 i = 0; i < CHUNK / 4 / threads; i++) {
        const u32 at = (i * threads + threadIdx.x) * 4;
        if (at + 4 <= len) f4(begin + at);
    }
    const u32 left = len / 4 * 4 + threadIdx.x;
    if (left < len) f1(begin + left);
}
