// Layers that work value by value.
//
// Arguments (Pointwise): x, y, dy, dx [n, len] elem in any layout, the same for all; y may be x and dx may be dy. `len` is the number of
// values of an image. FLOPs: one to three a value, about 20 for tanh. Bytes of elem: 2 a value forward, 3 backward.
#include "args.cuh"
#include "vectors.cuh"

constexpr int THREADS = 256;

// y ← f(x) of all values, VEC by each thread.
template <class F> DEVICE void map(const Pointwise& a, F f) {
    const u64 total = a.step->images * a.len;
    u64 at = ((u64)blockIdx.x * THREADS + threadIdx.x) * VEC;
    if (at + VEC <= total) {
        float v[VEC];
        load_run(v, a.x + at);
        UNROLL for (int i = 0; i < VEC; i++) v[i] = f(v[i]);
        store_run(a.y + at, v);
    } else {
        for (; at < total; at++) a.y[at] = to_elem(f(to_float(a.x[at])));
    }
}

// dx ← f(y, dy) of all values, VEC by each thread.
template <class F> DEVICE void map_gradient(const Pointwise& a, F f) {
    const u64 total = a.step->images * a.len;
    u64 at = ((u64)blockIdx.x * THREADS + threadIdx.x) * VEC;
    if (at + VEC <= total) {
        float y[VEC], g[VEC];
        load_run(y, a.y + at);
        load_run(g, a.dy + at);
        UNROLL for (int i = 0; i < VEC; i++) g[i] = f(y[i], g[i]);
        store_run(a.dx + at, g);
    } else {
        for (; at < total; at++) a.dx[at] = to_elem(f(to_float(a.y[at]), to_float(a.dy[at])));
    }
}

// y ← max(x, 0); a NaN stays.
KERNEL(relu_forward, Pointwise, THREADS) {
    map(a, [](float x) { return x < 0.0f ? 0.0f : x; });
}

// dx ← dy where y > 0, else 0.
KERNEL(relu_backward, Pointwise, THREADS) {
    map_gradient(a, [](float y, float dy) { return y > 0.0f ? dy : 0.0f; });
}

// y ← tanh x, to 2 units in the last place of f32.
KERNEL(tanh_forward, Pointwise, THREADS) {
    map(a, [](float x) { return tanhf(x); });
}

// dx ← dy · (1 − y²), as (1 − y)(1 + y), which loses nothing near ±1.
KERNEL(tanh_backward, Pointwise, THREADS) {
    map_gradient(a, [](float y, float dy) { return dy * ((1.0f - y) * (1.0f + y)); });
}

// y ← factor · x: dropout in testing.
KERNEL(scale, Pointwise, THREADS) {
    const float factor = a.factor;
    map(a, [factor](float x) { return factor * x; });
}
