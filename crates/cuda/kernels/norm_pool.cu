// Response normalisation across five maps (lrn.cu) and the maximum pooling of its output (pool.cu) in one pass: the normalised image is
// never in memory, and neither is its gradient.
//
// Arguments (NormPool): `lrn` and `pool` as those kernels take them, with x, dx [n, h, w, c] in `lrn` and y, dy [n, p, q, c] and arg
// [n, p, q, c] bytes in `pool`; towers are multiples of VEC maps, windows have at most 255 places. Bytes of an image: forward x + y and
// arg; backward x + dx, dy and arg; what neighbouring windows and maps share comes from caches. FLOPs as those kernels'.
#include "across.cuh"
#include "args.cuh"
#include "power.cuh"
#include "vectors.cuh"
#include "windows.cuh"

constexpr int THREADS = 256;
constexpr int BLOCKS = 3;
constexpr int HALF = 2;
constexpr u32 WARPS = THREADS / 32;
// Threads of a warp whose results are stored; the first and the last one only show theirs to their neighbours.
constexpr u32 INNER = 30;

// A block has `rows` rows of the output and `maps` maps, and keeps the normalised rows of a window, as elem, in a ring in shared memory
// [r, w, maps]. Results are those of the two kernels, bit by bit.
template <u32 power> DEVICE void forward(const NormPool& a, elem* ring) {
    const Lrn& lrn = a.lrn;
    const Pool& pool = a.pool;
    const u32 parts = quotient_up(pool.c, a.maps), part = blockIdx.x % parts * a.maps;
    // A thread keeps its vector of maps, and takes every so-manieth pixel.
    const u32 groups = smaller(a.maps, pool.c - part) / VEC, ways = THREADS / groups;
    const u32 group = threadIdx.x % groups, c = part + group * VEC, first = c % lrn.tower;
    // Behind every pixel where there is no work for it.
    const u32 way = threadIdx.x / groups < ways ? threadIdx.x / groups : 0x7fffffff;
    // Where the ring has a row that lies `behind` rows, fewer than a window has, behind the one at `slot`.
    const auto at = [&](u32 slot, u32 behind, u32 column) {
        slot += behind;
        slot -= slot >= pool.r ? pool.r : 0;
        return ring + ((slot * pool.w + column) * groups + group) * VEC;
    };
    const u32 begin = blockIdx.x / parts * a.rows, end = smaller(begin + a.rows, pool.p);
    for (u32 image = blockIdx.y; image < lrn.step->images; image += gridDim.y) {
        const elem* x = lrn.x + (u64)image * lrn.pixels * lrn.c + c;
        u32 done = 0;
        for (u32 p = begin; p < end; p++) {
            const Span rows = span(p, pool.r, pool.stride_r, pool.top, pool.h);
            const u32 from = larger(done, rows.begin), from_slot = from % pool.r, slot = rows.begin % pool.r;
            for (u32 pixel = from * pool.w + way; pixel < rows.end * pool.w; pixel += ways) {
                const u32 row = pixel / pool.w, column = pixel % pool.w;
                float v[VEC + 2 * HALF], z[VEC];
                load_around<HALF>(v, x + (u64)pixel * pool.c, first, lrn.tower);
                UNROLL for (int i = 0; i < VEC; i++) {
                    float sum = 0.0f;
                    UNROLL for (int j = 0; j <= 2 * HALF; j++) sum += v[i + j] * v[i + j];
                    z[i] = v[i + HALF] * powers<power>(lrn.beta, lrn.k + lrn.a * sum).factor;
                }
                store_run(at(from_slot, row - from, column), z);
            }
            done = rows.end;
            __syncthreads();
            for (u32 q = way; q < pool.q; q += ways) {
                const Span columns = span(q, pool.s, pool.stride_s, pool.left, pool.w);
                Best<VEC> best(rows.first * pool.s + columns.first);
                for (u32 row = rows.begin; row < rows.end; row++) {
                    for (u32 column = columns.begin; column < columns.end; column++) {
                        const u32 own = (row - rows.begin + rows.first) * pool.s + column - columns.begin + columns.first;
                        float z[VEC];
                        load_run(z, at(slot, row - rows.begin, column));
                        best.meet(z, own);
                    }
                }
                best.store(pool, ((u64)image * pool.p * pool.q + p * pool.q + q) * pool.c + c);
            }
            __syncthreads();
        }
    }
}

KERNEL(norm_pool_forward, NormPool, THREADS, BLOCKS) {
    SHARED(memory);
    WITH_POWER(a.lrn.power, (forward<POWER>(a, (elem*)memory)))
}

// Threads of a warp have neighbouring vectors of maps, of which each gathers its gradient from the windows in f32.
template <u32 power> DEVICE void backward(const NormPool& a) {
    const Lrn& lrn = a.lrn;
    const Pool& pool = a.pool;
    const u32 groups = pool.c / VEC, items = pool.h * pool.w * groups, lane = threadIdx.x % 32;
    const u32 begin = (blockIdx.x * WARPS + threadIdx.x / 32) * INNER;
    if (begin >= items) return;
    // Before the first one is behind the last one, too.
    const u32 item = begin + lane - 1;
    const u32 pixel = item / groups, row = pixel / pool.w, column = pixel % pool.w;
    const u32 first = item % (lrn.tower / VEC) * VEC;
    const bool there = item < items, inner = there && lane >= 1 && lane <= INNER;
    const float twice = 2.0f * lrn.a * lrn.beta;
    Holders ps = {0, 0}, qs = {0, 0};
    if (there) {
        ps = holders(row, pool.r, pool.stride_r, pool.top, pool.p);
        qs = holders(column, pool.s, pool.stride_s, pool.left, pool.q);
    }
    for (u32 image = blockIdx.y; image < lrn.step->images; image += gridDim.y) {
        const u64 place = (u64)image * lrn.pixels * lrn.c + (u64)item * VEC;
        const u64 out = (u64)image * pool.p * pool.q * pool.c + item % groups * VEC;
        float x[VEC + 2 * HALF] = {}, dx[VEC] = {}, terms[VEC + 2 * HALF];
        if (there) load_around<HALF>(x, lrn.x + place, first, lrn.tower);
        for (u32 p = ps.begin; p < ps.end; p++) {
            for (u32 q = qs.begin; q < qs.end; q++) {
                const u32 own = (row + pool.top - p * pool.stride_r) * pool.s + column + pool.left - q * pool.stride_s;
                add_won(pool, out + (u64)(p * pool.q + q) * pool.c, own, dx);
            }
        }
        UNROLL for (int i = 0; i < VEC; i++) {
            float sum = 0.0f;
            UNROLL for (int j = 0; j <= 2 * HALF; j++) sum += x[i + j] * x[i + j];
            const Powers d = powers<power>(lrn.beta, lrn.k + lrn.a * sum);
            terms[HALF + i] = dx[i] * (x[HALF + i] * d.next);
            dx[i] *= d.factor;
        }
        UNROLL for (int i = 0; i < HALF; i++) {
            const float below = __shfl_up_sync(0xffffffff, terms[VEC + i], 1);
            const float above = __shfl_down_sync(0xffffffff, terms[HALF + i], 1);
            terms[i] = first == 0 ? 0.0f : below;
            terms[HALF + VEC + i] = first + VEC == lrn.tower ? 0.0f : above;
        }
        UNROLL for (int i = 0; i < VEC; i++) {
            float sum = 0.0f;
            UNROLL for (int j = 0; j <= 2 * HALF; j++) sum += terms[i + j];
            const float own = x[HALF + i];
            dx[i] -= twice * own * sum;
            if (lrn.rectified && !(own > 0.0f)) dx[i] = 0.0f;
        }
        if (inner) store_run(lrn.dx + place, dx);
    }
}

KERNEL(norm_pool_backward, NormPool, THREADS, BLOCKS) {
    WITH_POWER(a.lrn.power, (backward<POWER>(a)))
}
