// The windows of pooling, and what names their winners.
#pragma once
#include "args.cuh"
#include "vectors.cuh"

// The pixels begin..end of one axis that a window covers; `first` is the place of begin in the unclipped window.
struct Span {
    u32 begin, end, first;
};
DEVICE Span span(u32 out, u32 size, u32 stride, u32 before, u32 pixels) {
    const u32 start = out * stride;
    Span s;
    s.begin = start < before ? 0 : start - before;
    s.end = smaller(start + size - before, pixels);
    s.first = s.begin + before - start;
    return s;
}

// The windows begin..end of one axis that hold a pixel.
struct Holders {
    u32 begin, end;
};
DEVICE Holders holders(u32 pixel, u32 size, u32 stride, u32 before, u32 windows) {
    const u32 at = pixel + before;
    Holders h;
    h.end = smaller(at / stride + 1, windows);
    h.begin = at < size ? 0 : (at - size) / stride + 1;
    return h;
}

// f32 below all others.
DEVICE float lowest() { return -1.0f / 0.0f; }

// What a thread writes for the winners of N windows.
template <int N> DEVICE void store_winners(const Pool& a, u64 place, const u32 (&winner)[N]) {
    if (N == 1 && a.arg_bytes == 2) {
        ((u16*)a.arg)[place] = (u16)winner[0];
    } else if (N == 1 && a.arg_bytes == 4) {
        ((u32*)a.arg)[place] = winner[0];
    } else {
        run<u8, N> bytes;
        UNROLL for (int i = 0; i < N; i++) bytes.v[i] = (u8)winner[i];
        *(run<u8, N>*)(a.arg + place) = bytes;
    }
}

template <int N> DEVICE void load_winners(const Pool& a, u64 place, u32 (&winner)[N]) {
    if (N == 1 && a.arg_bytes == 2) {
        winner[0] = ((const u16*)a.arg)[place];
    } else if (N == 1 && a.arg_bytes == 4) {
        winner[0] = ((const u32*)a.arg)[place];
    } else {
        const run<u8, N> bytes = *(const run<u8, N>*)(a.arg + place);
        UNROLL for (int i = 0; i < N; i++) winner[i] = bytes.v[i];
    }
}

// The largest of N windows' values so far, and their places.
template <int N> struct Best {
    float value[N];
    u32 winner[N];

    // Of windows whose first place is `first`.
    DEVICE explicit Best(u32 first) {
        UNROLL for (int i = 0; i < N; i++) {
            value[i] = lowest();
            winner[i] = first;
        }
    }

    // The values at place `own`: a NaN before everything else, of equal ones the first met.
    DEVICE void meet(const float (&v)[N], u32 own) {
        UNROLL for (int i = 0; i < N; i++) {
            const bool wins = v[i] > value[i] || v[i] != v[i];
            value[i] = wins ? v[i] : value[i];
            winner[i] = wins ? own : winner[i];
        }
    }

    // y and, unless `arg_bytes` is 0, arg at `place`.
    DEVICE void store(const Pool& a, u64 place) {
        store_run(a.y + place, value);
        if (a.arg_bytes == 0) return;
        if (a.rectified) {
            UNROLL for (int i = 0; i < N; i++) winner[i] = value[i] > 0.0f ? winner[i] : 0xffffffff;
        }
        store_winners(a, place, winner);
    }
};

// sum ← sum + dy of the N windows at `place` that `own` has won.
template <int N> DEVICE void add_won(const Pool& a, u64 place, u32 own, float (&sum)[N]) {
    u32 winner[N];
    float g[N];
    load_winners(a, place, winner);
    load_run(g, a.dy + place);
    UNROLL for (int i = 0; i < N; i++) sum[i] += winner[i] == own ? g[i] : 0.0f;
}
