// y = Σ x by one block, in a tree. REDUCE_… plant faults; the structure Reduce comes before this text.

KERNEL(reduce, Reduce, 256) {
    SHARED(memory);
    float* sums = (float*)memory;
    u32 t = threadIdx.x, threads = blockDim.x;
    float sum = 0;
    for (u32 i = t; i < a.count; i += threads) sum += a.x[i];
    sums[t] = sum;
    for (u32 half = threads / 2; half > 0; half /= 2) {
#if defined(REDUCE_WITHOUT_BARRIER)
#elif defined(REDUCE_DIVERGENT)
        // Two barriers, and nobody reaches both.
        if (t < half) {
            __syncthreads();
        } else {
            __syncthreads();
        }
#elif defined(REDUCE_FEWER_ROUNDS)
        // Where the last warp of two or more has gone, the others wait at a barrier that it does not come to. Then it waits at another.
        if (t >= 32 && half < 32) break;
        __syncthreads();
#else
        __syncthreads();
#endif
        if (t < half) sums[t] += sums[t + half];
    }
    if (t == 0) a.y[0] = sums[0];
#if defined(REDUCE_FEWER_ROUNDS)
    __syncthreads();
#endif
}

// The same by shuffles: a warp, then the warps' sums by the first one. The others end before that.
KERNEL(reduce_by_warps, Reduce, 1024) {
    SHARED(memory);
    float* sums = (float*)memory;
    u32 t = threadIdx.x, threads = blockDim.x, lane = t % 32;
    float sum = 0;
    for (u32 i = t; i < a.count; i += threads) sum += a.x[i];
    for (int by = 16; by > 0; by /= 2) sum += __shfl_xor_sync(0xffffffff, sum, by);
    if (lane == 0) sums[t / 32] = sum;
    __syncthreads();
    if (t >= 32) return;
    sum = lane < threads / 32 ? sums[lane] : 0;
    for (int by = 16; by > 0; by /= 2) sum += __shfl_down_sync(0xffffffff, sum, by);
    if (lane == 0) a.y[0] = sum;
}
