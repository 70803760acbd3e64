// Whether every gradient is finite: what a loss scale depends on.
//
// Arguments (Check): parameters [count], 16-byte aligned f32 gradients; flags [chunks], whether a chunk of 4096 values has one that is not
// finite; `finite` one number, 1 or 0. Bytes: 4 a parameter.
#include "args.cuh"
#include "parameters.cuh"
#include "vectors.cuh"

constexpr int THREADS = 256;

DEVICE u32 any_of(u32* memory, u32 value) {
    return of_block<THREADS>(memory, value, [](u32 x, u32 y) { return x | y; });
}

// A block for each chunk.
KERNEL(find_not_finite, Check, THREADS) {
    SHARED(memory);
    const Parameter parameter = a.parameters[parameter_of(a.parameters, a.count, blockIdx.x)];
    u32 found = 0;
    // x − x is 0 of all that are finite, and of nothing else.
    each_of_chunk<THREADS>(
        parameter, blockIdx.x,
        [&](u64 at) {
            const quad g = *(const quad*)(parameter.gradient + at);
            UNROLL for (int i = 0; i < 4; i++) found |= !(g.v[i] - g.v[i] == 0.0f);
        },
        [&](u64 at) { found |= !(parameter.gradient[at] - parameter.gradient[at] == 0.0f); });
    found = any_of((u32*)memory, found);
    if (threadIdx.x == 0) a.flags[blockIdx.x] = found;
}

// One block.
KERNEL(all_finite, Check, THREADS) {
    SHARED(memory);
    u32 found = 0;
    for (u32 chunk = threadIdx.x; chunk < a.chunks; chunk += THREADS) found |= a.flags[chunk];
    found = any_of((u32*)memory, found);
    if (threadIdx.x == 0) *a.finite = !found;
}
