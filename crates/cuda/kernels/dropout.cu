// Dropout in training: y ← factor · x where the value's random number is at least `threshold`, else 0; its own backward pass with dy
// and dx for x and y.
//
// Arguments (Dropout): x [n, h, w, c], y the same (it may be x); `plane` is h · w; `layer` the layer's position in the net. The random
// number of the value (c, h, w) of image i is number (c · H + h) · W + w at the address (seed, dropout, layer, step,
// first_image + i), so the masks are those of every other engine, and are drawn again in the backward pass.
// Bytes of elem: 2 a value. Integer operations: about 25 a value where four neighbouring numbers are of use at once, else 100.
#include "args.cuh"
#include "philox.cuh"
#include "vectors.cuh"

constexpr int THREADS = 256;
constexpr int BLOCKS = 3;

DEVICE Stream masks(const Dropout& a, u32 image) {
    return stream(a.step->seed, PURPOSE_DROPOUT, a.layer, a.step->step, a.step->first_image + image);
}

// Images without rows and columns, of VEC · i values, which lie as they are numbered; VEC by each thread.
KERNEL(dropout_flat, Dropout, THREADS) {
    const u32 at = thread_of_grid() * VEC;
    if (at >= a.c) return;
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const Stream s = masks(a, image);
        const u64 place = (u64)image * a.c + at;
        float v[VEC];
        load_run(v, a.x + place);
        UNROLL for (int i = 0; i < VEC; i += 4) {
            u32 bits[4];
            random_block(s, (at + i) / 4, bits);
            UNROLL for (int j = 0; j < 4; j++) v[i + j] = bits[j] >= a.threshold ? v[i + j] * a.factor : 0.0f;
        }
        store_run(a.y + place, v);
    }
}

// Maps of 4 · i values and VEC · j channels: VEC channels of four neighbouring pixels by each thread.
KERNEL(dropout_maps, Dropout, THREADS, BLOCKS) {
    const u32 groups = a.c / VEC, item = thread_of_grid();
    if (item >= a.plane / 4 * groups) return;
    const u32 c = item % groups * VEC, pixel = item / groups * 4;
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const Stream s = masks(a, image);
        const u64 place = ((u64)image * a.plane + pixel) * a.c + c;
        float v[4][VEC];
        UNROLL for (int j = 0; j < 4; j++) load_run(v[j], a.x + place + (u64)j * a.c);
        UNROLL for (int i = 0; i < VEC; i++) {
            u32 bits[4];
            random_block(s, ((c + i) * a.plane + pixel) / 4, bits);
            UNROLL for (int j = 0; j < 4; j++) v[j][i] = bits[j] >= a.threshold ? v[j][i] * a.factor : 0.0f;
        }
        UNROLL for (int j = 0; j < 4; j++) store_run(a.y + place + (u64)j * a.c, v[j]);
    }
}

// Anything: one value by each thread.
KERNEL(dropout_each, Dropout, THREADS) {
    const u32 item = thread_of_grid();
    if (item >= a.plane * a.c) return;
    const u32 element = item % a.c * a.plane + item / a.c;
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const u64 place = (u64)image * a.plane * a.c + item;
        u32 bits[4];
        random_block(masks(a, image), element / 4, bits);
        const u32 own = element % 4 < 2 ? bits[element % 2] : bits[2 + element % 2];
        a.y[place] = to_elem(own >= a.threshold ? to_float(a.x[place]) * a.factor : 0.0f);
    }
}
