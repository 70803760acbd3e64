// Response normalisation across maps: D_i = k + a · Σ_j x_j² over the n maps j around i, clipped to the tower of maps that holds i;
// y_i = x_i · D_i^−β; dx_i = dy_i · D_i^−β − 2aβ · x_i · Σ_j dy_j · x_j · D_j^(−β−1), j over the same maps.
//
// Arguments (Lrn): x, y, dy, dx [n, pixels, c] elem, none of them another; a tower has `tower` maps. D is computed again in the
// backward pass. Where `rectified`, x is the output of a rectifier, and dx the gradient by the rectifier's input.
// Bytes of elem: 2 a value forward, 3 backward: what neighbouring threads share comes from caches. FLOPs: about n + 10 a value forward,
// 4n + 30 backward; special functions: 2 forward, and 2 + 2 · (n − 1) / VEC backward.
// The fast kernels, one a window size, take VEC maps of a pixel by each thread, their neighbours in registers, and need `tower` to be
// a multiple of VEC; those that end in _each take anything, one value by each thread.
// Sums go from the lowest map to the highest.
#include "across.cuh"
#include "args.cuh"
#include "power.cuh"
#include "vectors.cuh"

constexpr int THREADS = 256;

template <int half, u32 power> DEVICE void forward_by(const Lrn& a) {
    const u32 item = thread_of_grid();
    if (item >= a.pixels * (a.c / VEC)) return;
    const u32 first = item % (a.tower / VEC) * VEC;
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const u64 place = (u64)image * a.pixels * a.c + (u64)item * VEC;
        float x[VEC + 2 * half], y[VEC];
        load_around<half>(x, a.x + place, first, a.tower);
        UNROLL for (int i = 0; i < VEC; i++) {
            float sum = 0.0f;
            UNROLL for (int j = 0; j <= 2 * half; j++) sum += x[i + j] * x[i + j];
            y[i] = x[i + half] * powers<power>(a.beta, a.k + a.a * sum).factor;
        }
        store_run(a.y + place, y);
    }
}

template <int half, u32 power> DEVICE void backward_by(const Lrn& a) {
    const u32 item = thread_of_grid();
    if (item >= a.pixels * (a.c / VEC)) return;
    const u32 first = item % (a.tower / VEC) * VEC;
    const float twice = 2.0f * a.a * a.beta;
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const u64 place = (u64)image * a.pixels * a.c + (u64)item * VEC;
        // Maps around those of this thread: x of 2 · half, dy and the terms of half.
        float x[VEC + 4 * half], terms[VEC + 2 * half], dx[VEC];
        load_around<2 * half>(x, a.x + place, first, a.tower);
        load_around<half>(terms, a.dy + place, first, a.tower);
        UNROLL for (int i = 0; i < VEC + 2 * half; i++) {
            float sum = 0.0f;
            UNROLL for (int j = 0; j <= 2 * half; j++) sum += x[i + j] * x[i + j];
            const Powers d = powers<power>(a.beta, a.k + a.a * sum);
            if (i >= half && i < half + VEC) dx[i - half] = terms[i] * d.factor;
            terms[i] *= x[i + half] * d.next;
        }
        UNROLL for (int i = 0; i < VEC; i++) {
            float sum = 0.0f;
            UNROLL for (int j = 0; j <= 2 * half; j++) sum += terms[i + j];
            const float own = x[i + 2 * half];
            dx[i] -= twice * own * sum;
            if (a.rectified && !(own > 0.0f)) dx[i] = 0.0f;
        }
        store_run(a.dx + place, dx);
    }
}

template <int half> DEVICE void forward(const Lrn& a) {
    WITH_POWER(a.power, (forward_by<half, POWER>(a)))
}
template <int half> DEVICE void backward(const Lrn& a) {
    WITH_POWER(a.power, (backward_by<half, POWER>(a)))
}

KERNEL(lrn_forward_3, Lrn, THREADS) { forward<1>(a); }
KERNEL(lrn_forward_5, Lrn, THREADS) { forward<2>(a); }
KERNEL(lrn_forward_9, Lrn, THREADS) { forward<4>(a); }

KERNEL(lrn_backward_3, Lrn, THREADS) { backward<1>(a); }
KERNEL(lrn_backward_5, Lrn, THREADS) { backward<2>(a); }
KERNEL(lrn_backward_9, Lrn, THREADS) { backward<4>(a); }

// The maps begin..end that normalise map i, numbered in its tower.
struct Neighbours {
    u32 begin, end;
};
DEVICE Neighbours neighbours(const Lrn& a, u32 i) {
    const u32 half = a.n / 2;
    Neighbours maps;
    maps.begin = i < half ? 0 : i - half;
    maps.end = smaller(i + half + 1, a.tower);
    return maps;
}

// D of map i of the tower whose values begin at x.
DEVICE float denominator(const Lrn& a, const elem* x, u32 i) {
    const Neighbours maps = neighbours(a, i);
    float sum = 0.0f;
    for (u32 j = maps.begin; j < maps.end; j++) {
        const float v = to_float(x[j]);
        sum += v * v;
    }
    return a.k + a.a * sum;
}

KERNEL(lrn_forward_each, Lrn, THREADS) {
    const u32 item = thread_of_grid();
    if (item >= a.pixels * a.c) return;
    const u32 i = item % a.tower;
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const u64 place = (u64)image * a.pixels * a.c + item;
        const elem* x = a.x + place - i;
        a.y[place] = to_elem(to_float(x[i]) * powers(a.power, a.beta, denominator(a, x, i)).factor);
    }
}

KERNEL(lrn_backward_each, Lrn, THREADS) {
    const u32 item = thread_of_grid();
    if (item >= a.pixels * a.c) return;
    const u32 i = item % a.tower;
    const Neighbours maps = neighbours(a, i);
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const u64 place = (u64)image * a.pixels * a.c + item;
        const elem *x = a.x + place - i, *dy = a.dy + place - i;
        float sum = 0.0f, own = 0.0f;
        for (u32 j = maps.begin; j < maps.end; j++) {
            const Powers d = powers(a.power, a.beta, denominator(a, x, j));
            if (j == i) own = to_float(dy[j]) * d.factor;
            sum += to_float(dy[j]) * to_float(x[j]) * d.next;
        }
        const float v = to_float(x[i]), dx = own - 2.0f * a.a * a.beta * v * sum;
        a.dx[place] = to_elem(a.rectified && !(v > 0.0f) ? 0.0f : dx);
    }
}
