// The operands and results of the three passes of a convolution, for product.cuh.
//
// LOCAL: a local layer. Its weights differ at every position, so a block computes one position of all images, and that position (of
// the output, in the pass by data of the input) is the block's y; for a convolution the block's y is the group.
#pragma once
#include "product.cuh"

// What may be said of a pixel and of a window's place without the other: the image, and the row and column that they add up to.
struct Place {
    const elem* image;
    int h, w;
};
struct Tap {
    int r, s;
    u32 c;
};

DEVICE u32 images(const Conv& a) { return a.step->images; }

// x as [n·p·q, r·s·(c / g)]: the window of every output.
template <bool LOCAL, bool VECTOR_, bool K_MAJOR_> struct Windows {
    static constexpr bool K_MAJOR = K_MAJOR_, VECTOR = VECTOR_;
    using Outer = Place;
    using Inner = Tap;
    const Conv& a;
    u32 outers, inners, position, column;

    DEVICE Windows(const Conv& a, u32 y)
        : a(a), outers(images(a) * (LOCAL ? 1 : a.p * a.q)), inners(a.r * a.s * a.group_c.value), position(y),
          column(LOCAL ? 0 : y * a.group_c.value) {}

    DEVICE const elem* base() const { return a.x; }

    DEVICE Place outer(u32 i) const {
        if (i >= outers) return {nullptr, 0, 0};
        u32 pixel = LOCAL ? position : i, row = divide(pixel, a.by_q), q = pixel - row * a.q;
        u32 n = LOCAL ? i : divide(row, a.by_p), p = LOCAL ? row : row - n * a.p;
        const elem* image = a.x + (u64)n * a.h * a.w_ * a.c + column;
        return {image, (int)(p * a.stride_r.value) - a.top, (int)(q * a.stride_s.value) - a.left};
    }

    DEVICE Tap inner(u32 j) const {
        u32 tap = divide(j, a.group_c), r = divide(tap, a.by_s);
        return {j < inners ? (int)r : -1, (int)(tap - r * a.s), j - tap * a.group_c.value};
    }

    DEVICE const elem* at(const Place& at, const Tap& tap) const {
        int h = at.h + tap.r, w = at.w + tap.s;
        bool inside = at.image && tap.r >= 0 && (u32)h < a.h && (u32)w < a.w_;
        return inside ? at.image + ((u64)h * a.w_ + w) * a.c + tap.c : nullptr;
    }
};

// dy as [n·h·w, r·s·(k / g)]: every output that saw an input, through which tap.
template <bool LOCAL, bool VECTOR_> struct Seen {
    static constexpr bool K_MAJOR = true, VECTOR = VECTOR_;
    using Outer = Place;
    using Inner = Tap;
    const Conv& a;
    u32 outers, inners, position, column;

    DEVICE Seen(const Conv& a, u32 y)
        : a(a), outers(images(a) * (LOCAL ? 1 : a.h * a.w_)), inners(a.r * a.s * a.group_k.value), position(y),
          column(LOCAL ? 0 : y * a.group_k.value) {}

    DEVICE const elem* base() const { return a.y; }

    DEVICE Place outer(u32 i) const {
        if (i >= outers) return {nullptr, 0, 0};
        u32 pixel = LOCAL ? position : i, row = divide(pixel, a.by_w), w = pixel - row * a.w_;
        u32 n = LOCAL ? i : divide(row, a.by_h), h = LOCAL ? row : row - n * a.h;
        return {a.y + (u64)n * a.p * a.q * a.k + column, (int)h + a.top, (int)w + a.left};
    }

    DEVICE Tap inner(u32 j) const {
        u32 tap = divide(j, a.group_k), r = divide(tap, a.by_s);
        return {j < inners ? (int)r : -1, (int)(tap - r * a.s), j - tap * a.group_k.value};
    }

    DEVICE const elem* at(const Place& at, const Tap& tap) const {
        int h = at.h - tap.r, w = at.w - tap.s;
        if (!at.image || tap.r < 0 || h < 0 || w < 0) return nullptr;
        u32 p = divide(h, a.stride_r), q = divide(w, a.stride_s);
        bool hit = p * a.stride_r.value == (u32)h && q * a.stride_s.value == (u32)w && p < a.p && q < a.q;
        return hit ? at.image + ((u64)p * a.q + q) * a.k + tap.c : nullptr;
    }
};

// w as [k / g, r·s·(c / g)] of a group or of a position.
template <bool LOCAL, bool VECTOR_> struct Filters {
    static constexpr bool K_MAJOR = true, VECTOR = VECTOR_;
    using Outer = const elem*;
    using Inner = u32;
    const elem* w;
    u32 outers, inners;

    DEVICE Filters(const Conv& a, u32 y)
        : outers(LOCAL ? a.k : a.group_k.value), inners(a.r * a.s * a.group_c.value) {
        w = a.w + (u64)y * outers * inners;
    }

    DEVICE const elem* base() const { return w; }
    DEVICE const elem* outer(u32 i) const { return i < outers ? w + (u64)i * inners : nullptr; }
    DEVICE u32 inner(u32 j) const { return j; }
    DEVICE const elem* at(const elem* row, u32 j) const { return row && j < inners ? row + j : nullptr; }
};

// w as [r·s·(k / g), c / g]: the other way round, for the pass by data.
template <bool LOCAL, bool VECTOR_> struct TurnedFilters {
    static constexpr bool K_MAJOR = false, VECTOR = VECTOR_;
    using Outer = const elem*;
    using Inner = u32;
    const Conv& a;
    u32 y, inners;

    DEVICE TurnedFilters(const Conv& a, u32 y) : a(a), y(y), inners(a.group_c.value) {}

    DEVICE const elem* base() const { return a.w; }

    DEVICE const elem* outer(u32 i) const {
        u32 tap = divide(i, a.group_k), k = i - tap * a.group_k.value;
        u64 row = (u64)(LOCAL ? 0 : y) * a.group_k.value + k;
        if constexpr (LOCAL) {
            // The position of the output that saw position y through this tap, where there is one.
            u32 r = divide(tap, a.by_s), in_h = divide(y, a.by_w);
            int h = (int)in_h + a.top - (int)r, w = (int)(y - in_h * a.w_) + a.left - (int)(tap - r * a.s);
            if (h < 0 || w < 0) return nullptr;
            u32 p = divide(h, a.stride_r), q = divide(w, a.stride_s);
            if (p * a.stride_r.value != (u32)h || q * a.stride_s.value != (u32)w || p >= a.p || q >= a.q) return nullptr;
            row = ((u64)p * a.q + q) * a.k + k;
        }
        return a.w + (row * a.r * a.s + tap) * inners;
    }

    DEVICE u32 inner(u32 j) const { return j; }
    DEVICE const elem* at(const elem* row, u32 j) const { return row && j < inners ? row + j : nullptr; }
};

// dy as [k / g, n·p·q], for the pass by weights.
template <bool LOCAL, bool VECTOR_> struct TurnedOutputs {
    static constexpr bool K_MAJOR = false, VECTOR = VECTOR_;
    using Outer = const elem*;
    using Inner = u32;
    const Conv& a;
    u32 outers, inners, y;

    DEVICE TurnedOutputs(const Conv& a, u32 y)
        : a(a), outers(images(a) * (LOCAL ? 1 : a.p * a.q)), inners(a.group_k.value), y(y) {}

    DEVICE const elem* base() const { return a.y; }
    DEVICE const elem* outer(u32 i) const {
        if (i >= outers) return nullptr;
        u64 pixel = LOCAL ? (u64)i * a.p * a.q + y : i;
        return a.y + pixel * a.k + (LOCAL ? 0 : y * a.group_k.value);
    }
    DEVICE u32 inner(u32 j) const { return j; }
    DEVICE const elem* at(const elem* row, u32 j) const { return row && j < inners ? row + j : nullptr; }
};

// Writes VEC values of a row that ends at `end`, in one store where they are aligned.
template <bool VECTOR> DEVICE void put(elem* row, u32 at, u32 end, const float (&values)[VEC]) {
    if constexpr (VECTOR) {
        vec out;
#pragma unroll
        for (int e = 0; e < VEC; e++) out.v[e] = to_elem(values[e]);
        if (at < end) store(row + at, out);
    } else {
#pragma unroll
        for (int e = 0; e < VEC; e++) {
            if (at + e < end) row[at + e] = to_elem(values[e]);
        }
    }
}

// y = max(C + bias, 0), or without the maximum.
template <bool LOCAL, bool VECTOR> struct Outputs {
    const Conv& a;
    u32 rows, y;

    DEVICE Outputs(const Conv& a, u32 y) : a(a), rows(images(a) * (LOCAL ? 1 : a.p * a.q)), y(y) {}

    DEVICE void operator()(u32 m, u32 n, float (&values)[VEC]) const {
        u32 width = LOCAL ? a.k : a.group_k.value;
        if (m >= rows || n >= width) return;
        const float* bias = a.bias + (u64)y * width;
#pragma unroll
        for (int e = 0; e < VEC; e++) {
            if (n + e >= width) break;
            values[e] += bias[n + e];
            // A comparison that a NaN fails, so that it stays.
            if (a.relu && values[e] < 0) values[e] = 0;
        }
        u64 row = (LOCAL ? (u64)m * a.p * a.q + y : m) * a.k + (LOCAL ? 0 : y * width);
        if (a.out) {
#pragma unroll
            for (int e = 0; e < VEC; e++) {
                if (n + e < width) a.out[row + n + e] = values[e];
            }
        } else {
            put<VECTOR>(a.y + row, n, width, values);
        }
    }
};

// dx = C, or factor · C where the layer's input is above 0 and else 0.
template <bool LOCAL, bool VECTOR> struct InputGradients {
    const Conv& a;
    u32 rows, y;

    DEVICE void hide(float (&values)[VEC], const elem* seen, u32 left) const {
        if constexpr (VECTOR) {
            vec x = load(seen);
#pragma unroll
            for (int e = 0; e < VEC; e++) values[e] = to_float(x.v[e]) > 0 ? a.factor * values[e] : 0;
        } else {
#pragma unroll
            for (int e = 0; e < VEC; e++) {
                if (e < left) values[e] = to_float(seen[e]) > 0 ? a.factor * values[e] : 0;
            }
        }
    }

    DEVICE InputGradients(const Conv& a, u32 y) : a(a), rows(images(a) * (LOCAL ? 1 : a.h * a.w_)), y(y) {}

    DEVICE void operator()(u32 m, u32 n, float (&values)[VEC]) const {
        if (m >= rows) return;
        u64 row = (LOCAL ? (u64)m * a.h * a.w_ + y : m) * a.c + (LOCAL ? 0 : y * a.group_c.value);
        if (a.seen && n < a.group_c.value) hide(values, a.seen + row + n, a.group_c.value - n);
        put<VECTOR>(a.x + row, n, a.group_c.value, values);
    }
};

// A part's share of dw: the gradient itself where there is one part.
template <bool LOCAL> struct WeightGradients {
    const Conv& a;
    u32 y, part, rows, columns;

    DEVICE WeightGradients(const Conv& a, u32 y, u32 part)
        : a(a), y(y), part(part), rows(LOCAL ? a.k : a.group_k.value), columns(a.r * a.s * a.group_c.value) {}

    DEVICE void operator()(u32 m, u32 n, float (&values)[VEC]) const {
        if (m >= rows) return;
        // Groups lie one behind the other; of a local layer, positions do.
        u64 whole = (u64)columns * a.k, row = ((u64)y * rows + m) * columns;
#pragma unroll
        for (int e = 0; e < VEC; e++) {
            u32 column = n + e;
            if (column >= columns) break;
            if (a.parts > 1) {
                a.out[part * whole + row + column] = values[e];
                continue;
            }
            float sum = a.mask && !a.mask[column] ? 0 : values[e];
            float* gradient = a.out + row + column;
            *gradient = a.step->first_image > 0 ? *gradient + sum : sum;
        }
    }
};
