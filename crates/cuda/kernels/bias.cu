// Sums over many rows or parts: the gradient of a bias, and what products leave of a weight's. The order of every sum depends on shapes
// alone. Gradients are added to where step->first_image is not 0, and overwritten where it is.
#include "args.cuh"
#include "vectors.cuh"

constexpr int THREADS = 256;
constexpr u32 FINISH_LANES = 32;
constexpr int FINISH_THREADS = FINISH_LANES * 32;

// partials[chunk, k] ← Σ dy[row, k] over `chunk_rows` rows. A block's threads are `lanes` runs of N channels, by as many rows as fit, each
// of which sums every so-manieth row of the chunk from the first on; then they are added from the first on.
template <int N> DEVICE void sum_chunk(const Bias& a, float* memory) {
    const u32 rows = a.step->images * a.plane, ways = THREADS / a.lanes;
    const u32 lane = threadIdx.x % a.lanes, way = threadIdx.x / a.lanes;
    const u32 c = (blockIdx.y * a.lanes + lane) * N;
    for (u32 chunk = blockIdx.x; (u64)chunk * a.chunk_rows < rows; chunk += gridDim.x) {
        const u32 begin = chunk * a.chunk_rows, end = smaller(begin + a.chunk_rows, rows);
        float sum[N] = {};
        if (way < ways && c < a.k) {
            for (u32 row = begin + way; row < end; row += ways) {
                float v[N];
                load_run(v, a.dy + (u64)row * a.k + c);
                UNROLL for (int i = 0; i < N; i++) sum[i] += v[i];
            }
        }
        UNROLL for (int i = 0; i < N; i++) memory[threadIdx.x * N + i] = sum[i];
        __syncthreads();
        for (u32 i = threadIdx.x; i < a.lanes * N; i += THREADS) {
            const u32 column = blockIdx.y * a.lanes * N + i;
            float all = 0.0f;
            for (u32 j = 0; j < ways; j++) all += memory[j * a.lanes * N + i];
            if (column < a.k) a.partials[(u64)chunk * a.k + column] = all;
        }
        __syncthreads();
    }
}

// Arguments (Bias): dy [images · plane, k] elem; partials [chunks, k] f32. Bytes: elem's of dy.
KERNEL(bias_partials, Bias, THREADS) {
    SHARED(memory);
    sum_chunk<VEC>(a, (float*)memory);
}
KERNEL(bias_partials_each, Bias, THREADS) {
    SHARED(memory);
    sum_chunk<1>(a, (float*)memory);
}

// gradient[k] ← Σ partials[chunk, k]: 32 threads for each of 32 channels, each of which sums every 32nd chunk, then added in pairs.
KERNEL(bias_gradient, Bias, FINISH_THREADS) {
    SHARED(memory);
    float* sums = (float*)memory;
    const u32 rows = a.step->images * a.plane, chunks = quotient_up(rows, a.chunk_rows);
    const u32 lane = threadIdx.x % FINISH_LANES, way = threadIdx.x / FINISH_LANES, column = blockIdx.x * FINISH_LANES + lane;
    float sum = 0.0f;
    if (column < a.k) {
        for (u32 chunk = way; chunk < chunks; chunk += 32) sum += a.partials[(u64)chunk * a.k + column];
    }
    sums[threadIdx.x] = sum;
    for (u32 half = 16; half > 0; half /= 2) {
        __syncthreads();
        if (way < half) sums[threadIdx.x] += sums[threadIdx.x + half * FINISH_LANES];
    }
    if (way == 0 && column < a.k) {
        const float all = sums[lane];
        a.gradient[column] = a.step->first_image > 0 ? a.gradient[column] + all : all;
    }
}

// f32 of neighbouring values.
DEVICE float added(float x, float y) { return x + y; }
DEVICE quad added(const quad& x, const quad& y) {
    quad sum;
    UNROLL for (int i = 0; i < 4; i++) sum.v[i] = x.v[i] + y.v[i];
    return sum;
}

// Σ of all parts at `at`, and of the gradient where it is added to.
template <class T> DEVICE T sum_of_parts(const Finish& a, u64 at) {
    T sum = *(const T*)(a.partials + at);
    for (u32 part = 1; part < a.parts; part++) sum = added(sum, *(const T*)(a.partials + part * a.len + at));
    if (a.step->first_image > 0) sum = added(*(const T*)(a.gradient + at), sum);
    return sum;
}

// gradient ← Σ partials, from the first part on; 0 where the mask is. Arguments (Finish): partials [parts, len] f32, gradient [len] f32,
// mask [mask_len] bytes, which say of value i what the byte i % mask_len says, or null. Four values by each thread. Bytes:
// 4 · parts + 4 a value.
KERNEL(finish, Finish, THREADS) {
    const u64 at = ((u64)blockIdx.x * THREADS + threadIdx.x) * 4;
    if (at >= a.len) return;
    const auto kept = [&](u64 at, float sum) { return a.mask && a.mask[at % a.mask_len] == 0 ? 0.0f : sum; };
    if (a.len % 4 == 0) {
        quad sum = sum_of_parts<quad>(a, at);
        UNROLL for (int i = 0; i < 4; i++) sum.v[i] = kept(at + i, sum.v[i]);
        *(quad*)(a.gradient + at) = sum;
    } else {
        for (u64 i = at; i < a.len && i < at + 4; i++) a.gradient[i] = kept(i, sum_of_parts<float>(a, i));
    }
}
