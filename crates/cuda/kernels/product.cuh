// The matrix product behind convolutions, local and linear layers: C[m, n] = Σ_k A[m, k] · B[k, n] for one tile of C, where A and B
// are not stored as matrices: an operand says where each of its values lies.
//
// An operand is a class with
//   K_MAJOR       whether neighbours in k lie side by side in memory; else neighbours in m (or n) do;
//   VECTOR        whether VEC such neighbours, counted from a multiple of VEC, are one aligned vector, all inside or all outside;
//   Outer, Inner  what can be said of the index of the slow and of the fast direction alone;
//   outer(i), inner(j), at(Outer, Inner), which is null where the value is 0.
//
// A result class is called with (m, n, values) for VEC neighbours in n, once for each of the tile.
//
// Order of sums: k ascending in each part, in one accumulator a value, f32; the matrix instructions' own order within 16 (or 8).
#pragma once
#include "args.cuh"

// Depth of a tile in k.
constexpr int BK = 4 * VEC;

// A block's tile of C [M, N], and how its warps share it.
template <int M_, int N_, int WARPS_M_, int WARPS_N_> struct Tile {
    static constexpr int M = M_, N = N_, WARPS_M = WARPS_M_, WARPS_N = WARPS_N_;
    static constexpr int THREADS = 32 * WARPS_M * WARPS_N;
    // A warp's share.
    static constexpr int WM = M / WARPS_M, WN = N / WARPS_N;
};

DEVICE u32 divide(u32 x, const Divisor& by) { return (u32)(((u64)x * by.multiplier) >> (31 + by.shift)); }

// Brings the tiles of one operand, MN wide and BK deep, from memory: each thread the same places of every tile.
template <class Operand, int MN, int THREADS> struct Loader {
    static constexpr bool K_MAJOR = Operand::K_MAJOR;
    // Vectors of an outer index, outer indices, and how many of these all threads bring at once.
    static constexpr int CHUNKS = (K_MAJOR ? BK : MN) / VEC, OUTERS = K_MAJOR ? MN : BK;
    static constexpr int STEP = THREADS / CHUNKS, PASSES = (OUTERS + STEP - 1) / STEP;
    static_assert(THREADS % CHUNKS == 0, "a thread keeps its place");

    typename Operand::Outer outer[K_MAJOR ? PASSES : 1];
    typename Operand::Inner inner;
    u32 mn;

    DEVICE static int chunk() { return threadIdx.x % CHUNKS; }
    DEVICE static int row(int pass) { return threadIdx.x / CHUNKS + pass * STEP; }

    DEVICE Loader(const Operand& operand, u32 mn0) : mn(mn0 + (K_MAJOR ? 0 : chunk() * VEC)) {
        if constexpr (K_MAJOR) {
#pragma unroll
            for (int pass = 0; pass < PASSES; pass++) outer[pass] = operand.outer(mn0 + row(pass));
        } else {
            inner = operand.inner(mn);
        }
    }

    // Where the vector of a pass in the tile at k0 begins; null where it is 0. For operands with VECTOR.
    DEVICE const elem* find(const Operand& operand, int pass, u32 k0, u32 k_end) const {
        u32 k = k0 + (K_MAJOR ? chunk() * VEC : row(pass));
        if (k >= k_end) return nullptr;
        if constexpr (K_MAJOR) return operand.at(outer[pass], operand.inner(k));
        else return operand.at(operand.outer(k), inner);
    }

    // The vector itself.
    DEVICE vec fetch(const Operand& operand, int pass, u32 k0, u32 k_end) const {
        vec values;
        if constexpr (Operand::VECTOR) {
            const elem* at = find(operand, pass, k0, k_end);
            if (at) return load(at);
        }
#pragma unroll
        for (int i = 0; i < VEC; i++) {
            values.v[i] = to_elem(0);
            if constexpr (!Operand::VECTOR) {
                u32 k = k0 + (K_MAJOR ? chunk() * VEC + i : row(pass));
                const elem* at = nullptr;
                if (k < k_end) {
                    if constexpr (K_MAJOR) at = operand.at(outer[pass], operand.inner(k));
                    else at = operand.at(operand.outer(k), operand.inner(mn + i));
                }
                if (at) values.v[i] = *at;
            }
        }
        return values;
    }
};

// Where this thread's warp's share of the tile begins.
template <class T> DEVICE int warp_row() { return threadIdx.x / 32 / T::WARPS_N * T::WM; }
template <class T> DEVICE int warp_column() { return threadIdx.x / 32 % T::WARPS_N * T::WN; }

// Hands the warps' accumulators, as matrix instructions lay them out, to `result`: through shared memory, 16 rows of a warp at a time, so
// that each thread has VEC neighbours of a row. Nobody reads what else lay there.
template <class T, class Result>
DEVICE void hand_out(const float (&c)[T::WM / 16][T::WN / 8][4], float* shared, u32 m0, u32 n0, const Result& result) {
    constexpr int PITCH = T::WN + 4, CHUNKS = T::WN / VEC;
    int lane = threadIdx.x % 32;
    float* rows = shared + threadIdx.x / 32 * 16 * PITCH;
#pragma unroll
    for (int i = 0; i < T::WM / 16; i++) {
        __syncwarp();
#pragma unroll
        for (int j = 0; j < T::WN / 8; j++) {
            float* at = rows + lane / 4 * PITCH + 8 * j + lane % 4 * 2;
            at[0] = c[i][j][0], at[1] = c[i][j][1];
            at[8 * PITCH] = c[i][j][2], at[8 * PITCH + 1] = c[i][j][3];
        }
        __syncwarp();
        for (int chunk = lane; chunk < 16 * CHUNKS; chunk += 32) {
            int row = chunk / CHUNKS, column = chunk % CHUNKS * VEC;
            float values[VEC];
#pragma unroll
            for (int e = 0; e < VEC; e++) values[e] = rows[row * PITCH + column + e];
            result(m0 + warp_row<T>() + 16 * i + row, n0 + warp_column<T>() + column, values);
        }
    }
}

#if ELEM == 0
#include "product_f32.cuh"
#else
#include "product_16.cuh"
#endif
