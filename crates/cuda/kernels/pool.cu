// Pooling over windows clipped to the image.
//
// Arguments (Pool): x, dx [n, h, w, c] and y, dy [n, p, q, c] elem; windows of r × s pixels begin at p · stride_r − top and
// q · stride_s − left. arg [n, p, q, c] names each window's winner: its place r · S + s in the unclipped window, of `arg_bytes` (1, 2 or
// 4) each; the largest value they hold is nobody. Kernels without a suffix work on VEC channels at once and need c to be their multiple
// and a maximum's arg of bytes; those that end in _each take anything.
// Where `rectified`, x is the output of a rectifier, whose gradient is 0 where x is: a window whose maximum is 0 has no winner, and
// what comes out backward is the gradient by the rectifier's input.
// Bytes, an image: forward x + y + arg elements' once from memory, the overlap of windows from caches; backward y + arg + x.
// Gradients are gathered: each pixel sums the windows that hold it, row by row, in f32, and is rounded once.
#include "args.cuh"
#include "vectors.cuh"
#include "windows.cuh"

constexpr int THREADS = 256;
constexpr int BLOCKS = 3;

// 1 ÷ the area of a clipped window, to a unit in the last place.
DEVICE float share(const Span& rows, const Span& columns) {
    const float area = (float)((rows.end - rows.begin) * (columns.end - columns.begin)), about = __fdividef(1.0f, area);
    return fmaf(fmaf(-area, about, 1.0f), about, about);
}

template <int N> DEVICE void max_forward(const Pool& a) {
    const u32 groups = a.c / N, item = thread_of_grid();
    if (item >= a.p * a.q * groups) return;
    const u32 c = item % groups * N, out = item / groups;
    const Span rows = span(out / a.q, a.r, a.stride_r, a.top, a.h), columns = span(out % a.q, a.s, a.stride_s, a.left, a.w);
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const elem* x = a.x + (u64)image * a.h * a.w * a.c + c;
        Best<N> best(rows.first * a.s + columns.first);
        for (u32 row = rows.begin; row < rows.end; row++) {
            for (u32 column = columns.begin; column < columns.end; column++) {
                const u32 own = (row - rows.begin + rows.first) * a.s + column - columns.begin + columns.first;
                float v[N];
                load_run(v, x + (u64)(row * a.w + column) * a.c);
                best.meet(v, own);
            }
        }
        best.store(a, ((u64)image * a.p * a.q + out) * a.c + c);
    }
}

// y ← max of each window, a NaN before everything else, of several NaN the last. arg ← the first maximum in row-major order; nothing is
// written where `arg_bytes` is 0.
KERNEL(max_pool_forward, Pool, THREADS, BLOCKS) { max_forward<VEC>(a); }
KERNEL(max_pool_forward_each, Pool, THREADS, BLOCKS) { max_forward<1>(a); }

// dx ← f(window, its place in dy, this pixel's place in the window) summed into, over the windows that hold each pixel.
template <int N, class F> DEVICE void gather(const Pool& a, F f) {
    const u32 groups = a.c / N, item = thread_of_grid();
    if (item >= a.h * a.w * groups) return;
    const u32 c = item % groups * N, pixel = item / groups, row = pixel / a.w, column = pixel % a.w;
    const Holders ps = holders(row, a.r, a.stride_r, a.top, a.p), qs = holders(column, a.s, a.stride_s, a.left, a.q);
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const u64 own = ((u64)image * a.h * a.w + pixel) * a.c + c;
        float sum[N] = {};
        for (u32 p = ps.begin; p < ps.end; p++) {
            for (u32 q = qs.begin; q < qs.end; q++) {
                const u32 inside = (row + a.top - p * a.stride_r) * a.s + column + a.left - q * a.stride_s;
                f(sum, p, q, ((u64)image * a.p * a.q + p * a.q + q) * a.c + c, own, inside);
            }
        }
        store_run(a.dx + own, sum);
    }
}

template <int N> DEVICE void max_backward_first(const Pool& a) {
    gather<N>(a, [&](float (&sum)[N], u32, u32, u64 place, u64, u32 inside) { add_won(a, place, inside, sum); });
}

// dx ← Σ dy of the windows whose winner by `arg` this pixel is.
KERNEL(max_pool_backward, Pool, THREADS, BLOCKS) { max_backward_first<VEC>(a); }
KERNEL(max_pool_backward_each, Pool, THREADS, BLOCKS) { max_backward_first<1>(a); }

template <int N> DEVICE void max_backward_all(const Pool& a) {
    gather<N>(a, [&](float (&sum)[N], u32, u32, u64 place, u64 own, u32) {
        float x[N], y[N], g[N];
        load_run(x, a.x + own);
        load_run(y, a.y + place);
        load_run(g, a.dy + place);
        UNROLL for (int i = 0; i < N; i++) sum[i] += x[i] == y[i] && (!a.rectified || y[i] > 0.0f) ? g[i] : 0.0f;
    });
}

// dx ← Σ dy of the windows whose maximum y this pixel equals.
KERNEL(max_pool_backward_all, Pool, THREADS, BLOCKS) { max_backward_all<VEC>(a); }
KERNEL(max_pool_backward_all_each, Pool, THREADS, BLOCKS) { max_backward_all<1>(a); }

template <int N> DEVICE void average_forward(const Pool& a) {
    const u32 groups = a.c / N, item = thread_of_grid();
    if (item >= a.p * a.q * groups) return;
    const u32 c = item % groups * N, out = item / groups;
    const Span rows = span(out / a.q, a.r, a.stride_r, a.top, a.h), columns = span(out % a.q, a.s, a.stride_s, a.left, a.w);
    const float own = share(rows, columns);
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const elem* x = a.x + (u64)image * a.h * a.w * a.c + c;
        float sum[N] = {};
        for (u32 row = rows.begin; row < rows.end; row++) {
            for (u32 column = columns.begin; column < columns.end; column++) {
                float v[N];
                load_run(v, x + (u64)(row * a.w + column) * a.c);
                UNROLL for (int i = 0; i < N; i++) sum[i] += v[i];
            }
        }
        UNROLL for (int i = 0; i < N; i++) sum[i] *= own;
        store_run(a.y + ((u64)image * a.p * a.q + out) * a.c + c, sum);
    }
}

// y ← Σ x of each window, row by row, times 1 ÷ the clipped area.
KERNEL(avg_pool_forward, Pool, THREADS, BLOCKS) { average_forward<VEC>(a); }
KERNEL(avg_pool_forward_each, Pool, THREADS, BLOCKS) { average_forward<1>(a); }

template <int N> DEVICE void average_backward(const Pool& a) {
    gather<N>(a, [&](float (&sum)[N], u32 p, u32 q, u64 place, u64, u32) {
        const float own = share(span(p, a.r, a.stride_r, a.top, a.h), span(q, a.s, a.stride_s, a.left, a.w));
        float g[N];
        load_run(g, a.dy + place);
        UNROLL for (int i = 0; i < N; i++) sum[i] += g[i] * own;
    });
}

// dx ← Σ dy · (1 ÷ the clipped area), over the windows that hold this pixel.
KERNEL(avg_pool_backward, Pool, THREADS, BLOCKS) { average_backward<VEC>(a); }
KERNEL(avg_pool_backward_each, Pool, THREADS, BLOCKS) { average_backward<1>(a); }
