// Runs of neighbouring values: loaded and stored at once, computed with in f32.
#pragma once
#include "device.cuh"

#ifdef __CUDACC__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

// N neighbouring values at an address that is a multiple of their bytes, which are at most 16.
template <class T, int N> struct alignas(N * sizeof(T)) run {
    T v[N];
};

// x ← N values; N is 1 or a power of 2 up to VEC.
template <int N> DEVICE void load_run(float (&x)[N], const elem* at) {
    const run<elem, N> values = *(const run<elem, N>*)at;
    UNROLL for (int i = 0; i < N; i++) x[i] = to_float(values.v[i]);
}

template <int N> DEVICE void store_run(elem* at, const float (&x)[N]) {
    run<elem, N> values;
    UNROLL for (int i = 0; i < N; i++) values.v[i] = to_elem(x[i]);
    *(run<elem, N>*)at = values;
}

// Four f32, 16 bytes.
typedef run<float, 4> quad;

// The number of this thread among all of the grid's x direction.
DEVICE u32 thread_of_grid() { return blockIdx.x * blockDim.x + threadIdx.x; }

DEVICE u32 smaller(u32 a, u32 b) { return a < b ? a : b; }
DEVICE u32 larger(u32 a, u32 b) { return a < b ? b : a; }

// a ÷ b, rounded up.
DEVICE u32 quotient_up(u32 a, u32 b) { return (a + b - 1) / b; }

// What all `threads` threads of the block get: f of every thread's value, in an order that depends on nothing but `threads`, a power
// of 2. `memory` has room for a value of each thread, and may be used again at once.
template <int threads, class T, class F> DEVICE T of_block(T* memory, T value, F f) {
    memory[threadIdx.x] = value;
    UNROLL for (int half = threads / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) memory[threadIdx.x] = f(memory[threadIdx.x], memory[threadIdx.x + half]);
    }
    __syncthreads();
    const T all = memory[0];
    __syncthreads();
    return all;
}
