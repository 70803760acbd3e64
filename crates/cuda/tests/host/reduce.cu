// A sum by one block: y = Σ x, in a tree. The macros plant faults.
#include "device.cuh"

struct Reduce {
    const float* x;
    float* y;
    u32 count, reserved;
};

KERNEL(reduce, Reduce, 256) {
    SHARED(memory);
    float* sums = (float*)memory;
    u32 t = threadIdx.x;
    float sum = 0;
    for (u32 i = t; i < a.count; i += 256) sum += a.x[i];
    sums[t] = sum;
    for (u32 half = 128; half > 0; half /= 2) {
#ifndef FAULT_NO_BARRIER
        __syncthreads();
#endif
        if (t < half) sums[t] += sums[t + half];
    }
    if (t == 0) a.y[0] = sums[0];
}
