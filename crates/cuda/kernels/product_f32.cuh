// product.cuh for f32: either every product and sum in f32, or matrix instructions 16×8×8 whose factors are rounded to tf32.
//
// Shared memory holds a tile of an operand as [BK, MN], turned where it does not come so; the next tile waits in registers.
#pragma once

// Values between rows of a tile: a fragment's threads read different banks.
template <int MN> constexpr int PITCH = MN + 8;

template <class L, class Operand> DEVICE void fetch_all(vec (&held)[L::PASSES], const L& loader, const Operand& operand, u32 k0, u32 k_end) {
#pragma unroll
    for (int pass = 0; pass < L::PASSES; pass++) held[pass] = loader.fetch(operand, pass, k0, k_end);
}

template <class L, int MN> DEVICE void put_all(float* tile, const vec (&held)[L::PASSES]) {
#pragma unroll
    for (int pass = 0; pass < L::PASSES; pass++) {
        int row = L::row(pass), at = L::chunk() * VEC;
        if (L::OUTERS % L::STEP != 0 && row >= L::OUTERS) continue;
        if constexpr (L::K_MAJOR) {
#pragma unroll
            for (int i = 0; i < VEC; i++) tile[(at + i) * PITCH<MN> + row] = held[pass].v[i];
        } else {
            store(tile + row * PITCH<MN> + at, held[pass]);
        }
    }
}

// f32 throughout: 16 threads in the direction of n; each has every 64th four columns, and likewise rows.
template <class T> struct Exact {
    static constexpr int ROWS = T::M / (T::THREADS / 16) / 4, COLUMNS = T::N / 64, ROW_STEP = T::THREADS / 4;
    float c[4 * ROWS][4 * COLUMNS] = {};

    DEVICE void multiply(const float* a_tile, const float* b_tile) {
        int row = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 4;
#pragma unroll
        for (int k = 0; k < BK; k++) {
            vec a[ROWS], b[COLUMNS];
#pragma unroll
            for (int i = 0; i < ROWS; i++) a[i] = load(a_tile + k * PITCH<T::M> + row + i * ROW_STEP);
#pragma unroll
            for (int j = 0; j < COLUMNS; j++) b[j] = load(b_tile + k * PITCH<T::N> + column + j * 64);
#pragma unroll
            for (int i = 0; i < 4 * ROWS; i++) {
#pragma unroll
                for (int j = 0; j < 4 * COLUMNS; j++) c[i][j] = fmaf(a[i / 4].v[i % 4], b[j / 4].v[j % 4], c[i][j]);
            }
        }
    }

    template <class Result> DEVICE void hand_out(float*, u32 m0, u32 n0, const Result& result) const {
        int row = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 4;
#pragma unroll
        for (int i = 0; i < 4 * ROWS; i++) {
#pragma unroll
            for (int j = 0; j < COLUMNS; j++) {
                float values[VEC] = {c[i][4 * j], c[i][4 * j + 1], c[i][4 * j + 2], c[i][4 * j + 3]};
                result(m0 + row + i / 4 * ROW_STEP + i % 4, n0 + column + j * 64, values);
            }
        }
    }
};

// Matrix instructions: each warp its share of the tile.
template <class T> struct Tf32 {
    float c[T::WM / 16][T::WN / 8][4] = {};

    DEVICE void multiply(const float* a_tile, const float* b_tile) {
        int lane = threadIdx.x % 32;
#pragma unroll
        for (int kk = 0; kk < BK; kk += 8) {
            u32 a[T::WM / 16][4], b[T::WN / 8][2];
            const float* a_at = a_tile + (kk + lane % 4) * PITCH<T::M> + warp_row<T>() + lane / 4;
            const float* b_at = b_tile + (kk + lane % 4) * PITCH<T::N> + warp_column<T>() + lane / 4;
#pragma unroll
            for (int i = 0; i < T::WM / 16; i++) {
#pragma unroll
                for (int part = 0; part < 4; part++)
                    a[i][part] = to_tf32(a_at[16 * i + part % 2 * 8 + part / 2 * 4 * PITCH<T::M>]);
            }
#pragma unroll
            for (int j = 0; j < T::WN / 8; j++) {
                b[j][0] = to_tf32(b_at[8 * j]);
                b[j][1] = to_tf32(b_at[8 * j + 4 * PITCH<T::N>]);
            }
#pragma unroll
            for (int i = 0; i < T::WM / 16; i++) {
#pragma unroll
                for (int j = 0; j < T::WN / 8; j++) mma_16x8x8_tf32(c[i][j], a[i], b[j]);
            }
        }
    }

    template <class Result> DEVICE void hand_out(float* shared, u32 m0, u32 n0, const Result& result) const {
        ::hand_out<T>(c, shared, m0, n0, result);
    }
};

#ifdef TF32
template <class T> using Sums = Tf32<T>;
#else
template <class T> using Sums = Exact<T>;
#endif

// The tile of C at (m0, n0), summed over k_begin ≤ k < k_end; k_begin is a multiple of VEC.
template <class T, class A, class B, class Result>
DEVICE void product(const A& a, const B& b, u32 m0, u32 n0, u32 k_begin, u32 k_end, const Result& result) {
    SHARED(shared);
    float* tiles = (float*)shared;
    constexpr int A_TILE = BK * PITCH<T::M>, STAGE = A_TILE + BK * PITCH<T::N>;
    using LoadA = Loader<A, T::M, T::THREADS>;
    using LoadB = Loader<B, T::N, T::THREADS>;
    LoadA load_a(a, m0);
    LoadB load_b(b, n0);
    vec held_a[LoadA::PASSES], held_b[LoadB::PASSES];
    Sums<T> sums;
    fetch_all(held_a, load_a, a, k_begin, k_end);
    fetch_all(held_b, load_b, b, k_begin, k_end);
    int stage = 0;
    for (u32 k0 = k_begin; k0 < k_end; k0 += BK) {
        float* tile = tiles + stage * STAGE;
        put_all<LoadA, T::M>(tile, held_a);
        put_all<LoadB, T::N>(tile + A_TILE, held_b);
        // Nobody writes to this stage again before everybody has passed the next barrier, and so has read it.
        __syncthreads();
        fetch_all(held_a, load_a, a, k0 + BK, k_end);
        fetch_all(held_b, load_b, b, k0 + BK, k_end);
        sums.multiply(tile, tile + A_TILE);
        stage ^= 1;
    }
    __syncthreads();
    sums.hand_out((float*)shared, m0, n0, result);
}
