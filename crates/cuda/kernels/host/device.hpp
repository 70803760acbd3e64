// A CUDA device for the compilers of the host: what device.cuh includes where CUDA is not compiled.
//
// A source with kernels becomes a shared library whose functions (library.hpp) run blocks, one a call, on the thread that calls.
// Everything that the language leaves undefined and that a GPU may forgive is made visible: shared memory starts as NaN, the order
// of threads is random, copies arrive when they are waited for, and no sooner; see block.hpp for the faults that are found.
//
// It shows that indices, tails, barriers and the layouts that are written down here are right. It does not show that a GPU rounds a
// matrix product in the same order, nor what it makes of memory that other blocks write.
#pragma once

#include "warp.hpp"

#define DEVICE inline
#define KERNEL(name, Args, threads, ...)                                                                                \
    static void name(const Args& a);                                                                                    \
    static void name##_body(const void* args) { name(*(const Args*)args); }                                             \
    static emulated::Registered name##_registered(#name, sizeof(Args), threads, name##_body);                           \
    static void name([[maybe_unused]] const Args& a)
#define SHARED(name) u8* const name = emulated::machine().shared

#define threadIdx (emulated::self().index)
#define blockIdx (emulated::machine().block)
#define blockDim (emulated::machine().block_size)
#define gridDim (emulated::machine().grid)
#define warpSize 32

inline void __syncthreads(EMULATED_HERE) { emulated::machine().wait_at_barrier(emulated::self(), {file, line}); }
inline void __syncwarp(u32 mask = 0xffffffff, EMULATED_HERE) {
    emulated::machine().wait_together(emulated::self(), emulated::SYNCWARP, mask, {file, line});
}

// Threads exchange values within groups of `width`, a power of two. Who looks past its group sees its own value.
template <class T> inline T __shfl_sync(u32 mask, T x, int source, int width = 32, EMULATED_HERE) {
    u32 lane = emulated::self().lane, w = (u32)width;
    return emulated::shuffled(mask, x, (lane & ~(w - 1)) | ((u32)source & (w - 1)), {file, line});
}
template <class T> inline T __shfl_up_sync(u32 mask, T x, u32 by, int width = 32, EMULATED_HERE) {
    u32 lane = emulated::self().lane, w = (u32)width;
    return emulated::shuffled(mask, x, (lane & (w - 1)) < by ? lane : lane - by, {file, line});
}
template <class T> inline T __shfl_down_sync(u32 mask, T x, u32 by, int width = 32, EMULATED_HERE) {
    u32 lane = emulated::self().lane, w = (u32)width;
    return emulated::shuffled(mask, x, (lane & (w - 1)) + (u64)by >= w ? lane : lane + by, {file, line});
}
template <class T> inline T __shfl_xor_sync(u32 mask, T x, int with, int width = 32, EMULATED_HERE) {
    u32 lane = emulated::self().lane, w = (u32)width, other = lane ^ (u32)with;
    return emulated::shuffled(mask, x, other > (lane | (w - 1)) ? lane : other, {file, line});
}

inline void mma_16x8x16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], bf16, EMULATED_HERE) {
    emulated::multiplied(d, a, b, emulated::MMA_BF16, {file, line});
}
inline void mma_16x8x16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], f16, EMULATED_HERE) {
    emulated::multiplied(d, a, b, emulated::MMA_F16, {file, line});
}
inline void mma_16x8x8_tf32(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], EMULATED_HERE) {
    emulated::multiplied(d, a, b, emulated::MMA_TF32, {file, line});
}
inline void ldmatrix_x4(u32 (&r)[4], const void* row, EMULATED_HERE) { emulated::loaded(r, row, emulated::LDMATRIX, {file, line}); }
inline void ldmatrix_x4_trans(u32 (&r)[4], const void* row, EMULATED_HERE) {
    emulated::loaded(r, row, emulated::LDMATRIX_TRANS, {file, line});
}

inline void copy_async_16(void* to, const void* from, bool valid, EMULATED_HERE) { emulated::copy(to, from, valid, {file, line}); }
inline void copy_async_commit() { emulated::self().groups.push_back(emulated::self().copies.size()); }
template <int left> inline void copy_async_wait() { emulated::finish_copies(left); }

#include "library.hpp"
