// Response normalisation within a map: D = k + a · Σ x² over the n × n pixels around each pixel of the same map, clipped to the image;
// y = x · D^−β; dx = dy · D^−β − 2aβ · x · Σ dy · x · D^(−β−1), the sum over the same pixels.
//
// Arguments (LrnWithin): x, y, dy, dx [n, h, w, c] elem, none of them another. D is computed again in the backward pass.
// The fast kernels work on VEC maps of `tile_h` × `tile_w` pixels by a block and need c to be a multiple of VEC. They sum rows first,
// then columns, in shared memory, where these are f32: `squares` [reach of the tile], `rows` [as many], and backward `factors` [tile];
// blocks are numbered maps first, then columns, then rows, so that blocks that read the halves of a sector run together.
// Those that end in _each take anything, one value by each thread, and sum row by row.
// Bytes of elem: 2 a value forward, 3 backward; what tiles share and what is read twice comes from caches. FLOPs: 2n + 10 a value
// forward, 4n + 30 backward; in _each n² + 10 and n⁴.
#include "args.cuh"
#include "power.cuh"
#include "vectors.cuh"

constexpr int THREADS = 256;
constexpr int BLOCKS = 2;

// Pixels of an image.
struct Box {
    u32 top, left, bottom, right;
    DEVICE u32 height() const { return bottom - top; }
    DEVICE u32 width() const { return right - left; }
    DEVICE u32 area() const { return height() * width(); }
};

// The pixels at most `by` from those of `box`, clipped to the image.
DEVICE Box grown(const LrnWithin& a, const Box& box, u32 by) {
    Box b;
    b.top = box.top < by ? 0 : box.top - by;
    b.left = box.left < by ? 0 : box.left - by;
    b.bottom = smaller(box.bottom + by, a.h);
    b.right = smaller(box.right + by, a.w);
    return b;
}

// VEC values of each of up to `area` places in shared memory, each fourth of them apart from the others, so that neighbouring threads
// meet different banks.
struct Cells {
    quad* memory;
    u32 area;
};
DEVICE void get(const Cells& cells, u32 place, float (&v)[VEC]) {
    UNROLL for (int i = 0; i < VEC; i += 4) {
        const quad q = cells.memory[i / 4 * cells.area + place];
        UNROLL for (int j = 0; j < 4; j++) v[i + j] = q.v[j];
    }
}
DEVICE void put(const Cells& cells, u32 place, const float (&v)[VEC]) {
    UNROLL for (int i = 0; i < VEC; i += 4) {
        quad q;
        UNROLL for (int j = 0; j < 4; j++) q.v[j] = v[i + j];
        cells.memory[i / 4 * cells.area + place] = q;
    }
}

// What a block works on.
struct Tile {
    u32 c;
    Box box;
};
DEVICE Tile tile(const LrnWithin& a) {
    const u32 groups = a.c / VEC, across = quotient_up(a.w, a.tile_w), number = blockIdx.x / groups;
    Tile t;
    t.c = blockIdx.x % groups * VEC;
    t.box.top = number / across * a.tile_h;
    t.box.left = number % across * a.tile_w;
    t.box.bottom = smaller(t.box.top + a.tile_h, a.h);
    t.box.right = smaller(t.box.left + a.tile_w, a.w);
    return t;
}

// to[row of `from`, column of `box`] ← Σ over the columns at most n/2 away of values[row and column of `from`].
DEVICE void sum_columns(const LrnWithin& a, const Cells& values, const Box& from, const Cells& to, const Box& box) {
    const u32 half = a.n / 2;
    for (u32 place = threadIdx.x; place < from.height() * box.width(); place += THREADS) {
        const u32 row = place / box.width(), column = box.left + place % box.width();
        const u32 begin = larger(column, from.left + half) - half, end = smaller(column + half + 1, from.right);
        float sum[VEC] = {};
        for (u32 j = begin; j < end; j++) {
            float v[VEC];
            get(values, row * from.width() + j - from.left, v);
            UNROLL for (int i = 0; i < VEC; i++) sum[i] += v[i];
        }
        put(to, place, sum);
    }
}

// sum ← Σ over the rows at most n/2 away from `row` of values[row of `from`, column], where values are `width` wide.
DEVICE void sum_rows(const LrnWithin& a, const Cells& values, const Box& from, u32 width, u32 row, u32 column, float (&sum)[VEC]) {
    const u32 half = a.n / 2;
    UNROLL for (int i = 0; i < VEC; i++) sum[i] = 0.0f;
    for (u32 j = larger(row, from.top + half) - half; j < smaller(row + half + 1, from.bottom); j++) {
        float v[VEC];
        get(values, (j - from.top) * width + column, v);
        UNROLL for (int i = 0; i < VEC; i++) sum[i] += v[i];
    }
}

// squares ← x² of the pixels of `box`; x are the values of the block's first map. Nobody reads squares in the last step of an image, so
// the next one's may be written before all are done with it.
DEVICE void square(const LrnWithin& a, const elem* x, const Box& box, const Cells& squares) {
    for (u32 place = threadIdx.x; place < box.area(); place += THREADS) {
        float v[VEC];
        load_run(v, x + (u64)((box.top + place / box.width()) * a.w + box.left + place % box.width()) * a.c);
        UNROLL for (int i = 0; i < VEC; i++) v[i] *= v[i];
        put(squares, place, v);
    }
}

template <u32 power> DEVICE void forward(const LrnWithin& a, quad* memory) {
    const Tile t = tile(a);
    const Box& box = t.box;
    const Box reach = grown(a, box, a.n / 2);
    const Cells squares = {memory, reach.area()}, rows = {memory + VEC / 4 * reach.area(), reach.area()};
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const u64 begin = (u64)image * a.h * a.w * a.c + t.c;
        square(a, a.x + begin, reach, squares);
        __syncthreads();
        sum_columns(a, squares, reach, rows, box);
        __syncthreads();
        for (u32 place = threadIdx.x; place < box.area(); place += THREADS) {
            const u32 row = box.top + place / box.width(), column = place % box.width();
            const u64 at = begin + (u64)(row * a.w + box.left + column) * a.c;
            float x[VEC], d[VEC];
            load_run(x, a.x + at);
            sum_rows(a, rows, reach, box.width(), row, column, d);
            UNROLL for (int i = 0; i < VEC; i++) x[i] *= powers<power>(a.beta, a.k + a.a * d[i]).factor;
            store_run(a.y + at, x);
        }
    }
}

template <u32 power> DEVICE void backward(const LrnWithin& a, quad* memory) {
    const Tile t = tile(a);
    const Box& box = t.box;
    const Box reach = grown(a, box, a.n / 2), far = grown(a, reach, a.n / 2);
    // The terms of `reach` take the place of the squares of `far`.
    const Cells squares = {memory, far.area()}, rows = {memory + VEC / 4 * far.area(), far.area()};
    const Cells factors = {memory + VEC / 2 * far.area(), box.area()};
    const float twice = 2.0f * a.a * a.beta;
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const u64 begin = (u64)image * a.h * a.w * a.c + t.c;
        square(a, a.x + begin, far, squares);
        __syncthreads();
        sum_columns(a, squares, far, rows, reach);
        __syncthreads();
        for (u32 place = threadIdx.x; place < reach.area(); place += THREADS) {
            const u32 row = reach.top + place / reach.width(), column = reach.left + place % reach.width();
            const u64 at = begin + (u64)(row * a.w + column) * a.c;
            float x[VEC], g[VEC], d[VEC];
            load_run(x, a.x + at);
            load_run(g, a.dy + at);
            sum_rows(a, rows, far, reach.width(), row, column - reach.left, d);
            UNROLL for (int i = 0; i < VEC; i++) {
                const Powers p = powers<power>(a.beta, a.k + a.a * d[i]);
                g[i] *= x[i] * p.next;
                d[i] = p.factor;
            }
            put(squares, place, g);
            if (row >= box.top && row < box.bottom && column >= box.left && column < box.right) {
                put(factors, (row - box.top) * box.width() + column - box.left, d);
            }
        }
        __syncthreads();
        sum_columns(a, squares, reach, rows, box);
        __syncthreads();
        for (u32 place = threadIdx.x; place < box.area(); place += THREADS) {
            const u32 row = box.top + place / box.width(), column = place % box.width();
            const u64 at = begin + (u64)(row * a.w + box.left + column) * a.c;
            float x[VEC], g[VEC], factor[VEC], sum[VEC];
            load_run(x, a.x + at);
            load_run(g, a.dy + at);
            get(factors, place, factor);
            sum_rows(a, rows, reach, box.width(), row, column, sum);
            UNROLL for (int i = 0; i < VEC; i++) g[i] = g[i] * factor[i] - twice * x[i] * sum[i];
            store_run(a.dx + at, g);
        }
    }
}

KERNEL(lrn_within_forward, LrnWithin, THREADS, BLOCKS) {
    SHARED(memory);
    WITH_POWER(a.power, (forward<POWER>(a, (quad*)memory)))
}
KERNEL(lrn_within_backward, LrnWithin, THREADS, BLOCKS) {
    SHARED(memory);
    WITH_POWER(a.power, (backward<POWER>(a, (quad*)memory)))
}

// Σ f(place) over the pixels around (row, column), places being those of one map of an image.
template <class F> DEVICE float sum_around(const LrnWithin& a, u32 row, u32 column, F f) {
    const Box pixel = {row, column, row + 1, column + 1};
    const Box box = grown(a, pixel, a.n / 2);
    float sum = 0.0f;
    for (u32 i = box.top; i < box.bottom; i++) {
        for (u32 j = box.left; j < box.right; j++) sum += f(i, j, (u64)(i * a.w + j) * a.c);
    }
    return sum;
}

// D at (row, column) of the map that begins at x.
DEVICE float denominator(const LrnWithin& a, const elem* x, u32 row, u32 column) {
    const float sum = sum_around(a, row, column, [&](u32, u32, u64 place) {
        const float v = to_float(x[place]);
        return v * v;
    });
    return a.k + a.a * sum;
}

KERNEL(lrn_within_forward_each, LrnWithin, THREADS, BLOCKS) {
    const u32 item = thread_of_grid();
    if (item >= a.h * a.w * a.c) return;
    const u32 c = item % a.c, row = item / a.c / a.w, column = item / a.c % a.w;
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const u64 begin = (u64)image * a.h * a.w * a.c;
        const float d = denominator(a, a.x + begin + c, row, column);
        a.y[begin + item] = to_elem(to_float(a.x[begin + item]) * powers(a.power, a.beta, d).factor);
    }
}

KERNEL(lrn_within_backward_each, LrnWithin, THREADS, BLOCKS) {
    const u32 item = thread_of_grid();
    if (item >= a.h * a.w * a.c) return;
    const u32 c = item % a.c, row = item / a.c / a.w, column = item / a.c % a.w;
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const u64 begin = (u64)image * a.h * a.w * a.c;
        const elem *x = a.x + begin + c, *dy = a.dy + begin + c;
        float own = 0.0f;
        const float sum = sum_around(a, row, column, [&](u32 i, u32 j, u64 place) {
            const Powers p = powers(a.power, a.beta, denominator(a, x, i, j));
            const float g = to_float(dy[place]);
            if (i == row && j == column) own = g * p.factor;
            return g * to_float(x[place]) * p.next;
        });
        a.dx[begin + item] = to_elem(own - 2.0f * a.a * a.beta * to_float(a.x[begin + item]) * sum);
    }
}
