// The way in: pixels as a host sends them become values as kernels read them, and back for the gradient by the pixels.
//
// Arguments (Input): x, dx [n, c, h, w] f32, or where step->bytes x is made of rgb [n, h, w, 3] and looks [n] as net::Bytes says;
// y, dy [n, out_h, out_w, out_c] elem.
// y[n, i, j, (di · fold + dj) · c + ch] = x[n, ch, i · fold + di − top, j · fold + dj − left], 0 outside the image and in channels from
// c · fold² on: a convolution of stride `fold` over x becomes one of stride 1 over y. dx is read from the same places, divided by
// step->loss_scale; it is 0 of pixels that y has not.
// A block works on `tile` columns of a row of y, in f32 in shared memory: c · fold rows, and a table of places; those that end in _each take
// anything, one value by each thread. Bytes: 4 a pixel and elem's a value of y.
#include "args.cuh"
#include "vectors.cuh"

constexpr int THREADS = 256;

// What a block works on.
struct Tile {
    // The row of y, and its columns.
    u32 row, begin, end;
    // f32 of each row in shared memory.
    u32 pitch;
};
DEVICE Tile tile(const Input& a) {
    const u32 across = quotient_up(a.out_w, a.tile);
    Tile t;
    t.row = blockIdx.x / across;
    t.begin = blockIdx.x % across * a.tile;
    t.end = smaller(t.begin + a.tile, a.out_w);
    // Odd, so that the channels of a pixel lie in different banks.
    t.pitch = a.tile * a.fold | 1;
    return t;
}

constexpr u32 NOWHERE = 0xffffffff;

// places[k] ← where channel k of the first of the tile's columns lies in shared memory.
DEVICE void write_places(const Input& a, const Tile& t, u32* places) {
    for (u32 k = threadIdx.x; k < a.out_c; k += THREADS) {
        const u32 ch = k % a.c, di = k / a.c / a.fold, dj = k / a.c % a.fold;
        places[k] = di < a.fold ? (ch * a.fold + di) * t.pitch + dj : NOWHERE;
    }
}

// What an image's map is made of: f32 values, or bytes, means, shift and scale.
struct Map {
    const float *values, *mean;
    const u8* rgb;
    bool reflected, mean_reflected;
    float shift, scale;
};
DEVICE Map map(const Input& a, u32 image, u32 ch) {
    Map m = {};
    if (!a.step->bytes) {
        m.values = a.x + ((u64)image * a.c + ch) * a.h * a.w;
        return m;
    }
    const Step& step = *a.step;
    const Look& look = a.looks[image];
    m.rgb = a.rgb + (u64)image * a.h * a.w * 3 + (step.order >> 2 * ch & 3);
    m.mean = step.mean + (u64)ch * step.mean_height * step.mean_width;
    if (step.moves) m.mean += look.top * step.mean_width + look.left;
    m.reflected = look.reflected;
    m.mean_reflected = look.reflected && step.moves;
    m.shift = ch == 0 ? look.shift_0 : ch == 1 ? look.shift_1 : look.shift_2;
    m.scale = ch == 0 ? look.scale_0 : ch == 1 ? look.scale_1 : look.scale_2;
    return m;
}
// The value, or (v − m + shift) · scale, operation by operation.
DEVICE float pixel(const Input& a, const Map& m, u32 row, u32 column) {
    if (m.values) return m.values[row * a.w + column];
    const u32 turned = a.w - 1 - column;
    const float v = m.rgb[(row * a.w + (m.reflected ? turned : column)) * 3];
    return (v - m.mean[row * a.step->mean_width + (m.mean_reflected ? turned : column)] + m.shift) * m.scale;
}

KERNEL(input_forward, Input, THREADS) {
    SHARED(memory);
    const Tile t = tile(a);
    float* rows = (float*)memory;
    u32* places = (u32*)(rows + a.c * a.fold * t.pitch);
    write_places(a, t, places);
    const u32 columns = t.end - t.begin, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        for (u32 r = warp; r < a.c * a.fold; r += THREADS / 32) {
            // Unsigned numbers below 0 are above every size.
            const u32 ch = r / a.fold, row = t.row * a.fold + r % a.fold - a.top;
            const Map from = map(a, image, ch);
            for (u32 j = lane; j < columns * a.fold; j += 32) {
                const u32 column = t.begin * a.fold + j - a.left;
                rows[r * t.pitch + j] = row < a.h && column < a.w ? pixel(a, from, row, column) : 0.0f;
            }
        }
        __syncthreads();
        elem* y = a.y + (((u64)image * a.out_h + t.row) * a.out_w + t.begin) * a.out_c;
        const auto value = [&](u32 j, u32 k) { return places[k] == NOWHERE ? 0.0f : rows[places[k] + j * a.fold]; };
        if (a.out_c % VEC == 0) {
            const u32 groups = a.out_c / VEC;
            for (u32 item = threadIdx.x; item < columns * groups; item += THREADS) {
                const u32 j = item / groups, k = item % groups * VEC;
                float v[VEC];
                UNROLL for (int i = 0; i < VEC; i++) v[i] = value(j, k + i);
                store_run(y + item * VEC, v);
            }
        } else {
            for (u32 item = threadIdx.x; item < columns * a.out_c; item += THREADS) {
                y[item] = to_elem(value(item / a.out_c, item % a.out_c));
            }
        }
        __syncthreads();
    }
}

KERNEL(input_forward_each, Input, THREADS) {
    const u32 item = thread_of_grid();
    if (item >= a.out_h * a.out_w * a.out_c) return;
    const u32 k = item % a.out_c, i = item / a.out_c / a.out_w, j = item / a.out_c % a.out_w;
    const u32 ch = k % a.c, di = k / a.c / a.fold, dj = k / a.c % a.fold;
    const u32 row = i * a.fold + di - a.top, column = j * a.fold + dj - a.left;
    const bool inside = di < a.fold && row < a.h && column < a.w;
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const float x = inside ? pixel(a, map(a, image, ch), row, column) : 0.0f;
        a.y[(u64)image * a.out_h * a.out_w * a.out_c + item] = to_elem(x);
    }
}

// Blocks beyond the last row and column of y write the zeros of pixels that it has not.
KERNEL(input_backward, Input, THREADS) {
    SHARED(memory);
    const u32 all_w = quotient_up(a.w + a.left, a.fold), across = quotient_up(all_w, a.tile);
    Tile t;
    t.row = blockIdx.x / across;
    t.begin = blockIdx.x % across * a.tile;
    t.end = smaller(t.begin + a.tile, all_w);
    t.pitch = a.tile * a.fold | 1;
    float* rows = (float*)memory;
    u32* places = (u32*)(rows + a.c * a.fold * t.pitch);
    write_places(a, t, places);
    __syncthreads();
    const u32 columns = t.end - t.begin, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const float unscale = 1.0f / a.step->loss_scale;
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const u64 dy = (((u64)image * a.out_h + t.row) * a.out_w + t.begin) * a.out_c;
        for (u32 item = threadIdx.x; item < columns * a.out_c; item += THREADS) {
            const u32 j = item / a.out_c, k = item % a.out_c;
            const bool held = t.row < a.out_h && t.begin + j < a.out_w;
            if (places[k] != NOWHERE) rows[places[k] + j * a.fold] = held ? to_float(a.dy[dy + item]) * unscale : 0.0f;
        }
        __syncthreads();
        for (u32 r = warp; r < a.c * a.fold; r += THREADS / 32) {
            const u32 ch = r / a.fold, row = t.row * a.fold + r % a.fold - a.top;
            float* dx = a.dx + ((u64)image * a.c + ch) * a.h * a.w;
            for (u32 j = lane; j < columns * a.fold; j += 32) {
                const u32 column = t.begin * a.fold + j - a.left;
                if (row < a.h && column < a.w) dx[row * a.w + column] = rows[r * t.pitch + j];
            }
        }
        __syncthreads();
    }
}

KERNEL(input_backward_each, Input, THREADS) {
    const u32 item = thread_of_grid();
    if (item >= a.c * a.h * a.w) return;
    const u32 ch = item / a.w / a.h, row = item / a.w % a.h + a.top, column = item % a.w + a.left;
    const u32 i = row / a.fold, j = column / a.fold, k = (row % a.fold * a.fold + column % a.fold) * a.c + ch;
    const bool held = i < a.out_h && j < a.out_w;
    const float unscale = 1.0f / a.step->loss_scale;
    for (u32 image = blockIdx.y; image < a.step->images; image += gridDim.y) {
        const u64 place = (((u64)image * a.out_h + i) * a.out_w + j) * a.out_c + k;
        a.dx[(u64)image * a.c * a.h * a.w + item] = held ? to_float(a.dy[place]) * unscale : 0.0f;
    }
}
