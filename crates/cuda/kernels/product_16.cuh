// product.cuh for bf16 and f16: matrix instructions 16×8×16, tiles brought by asynchronous copies three deep.
//
// Shared memory holds a tile of an operand as it comes: rows of BK values where k runs fastest, of MN values where it does not. The
// 16-byte chunks of a row are permuted by the row's number, so that the eight rows of an 8×8 matrix lie in different banks.
#pragma once

constexpr int STAGES = 3;

// The place of a chunk of 16 bytes in a tile that is MN wide.
template <bool K_MAJOR, int MN> DEVICE int place(int row, int chunk) {
    if constexpr (K_MAJOR) return row * BK + (chunk ^ (row >> 1 & 3)) * VEC;
    else return row * MN + (chunk ^ (row & 7)) * VEC;
}

template <class Operand, int MN, int THREADS>
DEVICE void bring(const Loader<Operand, MN, THREADS>& loader, const Operand& operand, elem* tile, u32 k0, u32 k_end) {
    using L = Loader<Operand, MN, THREADS>;
#pragma unroll
    for (int pass = 0; pass < L::PASSES; pass++) {
        if (L::OUTERS % L::STEP != 0 && L::row(pass) >= L::OUTERS) continue;
        elem* to = tile + place<L::K_MAJOR, MN>(L::row(pass), L::chunk());
        if constexpr (Operand::VECTOR) {
            const elem* from = loader.find(operand, pass, k0, k_end);
            copy_async_16(to, from ? from : operand.base(), from != nullptr);
        } else {
            store(to, loader.fetch(operand, pass, k0, k_end));
        }
    }
}

// The part of A that a warp multiplies at once: rows row … row + 15, k from kk.
template <bool K_MAJOR, int MN> DEVICE void fragment_a(u32 (&a)[4], const elem* tile, int row, int kk) {
    int i = threadIdx.x % 32;
    if constexpr (K_MAJOR) ldmatrix_x4(a, tile + place<true, MN>(row + i % 16, kk / VEC + i / 16));
    else ldmatrix_x4_trans(a, tile + place<false, MN>(kk + i % 8 + i / 16 * 8, row / VEC + i / 8 % 2));
}

// The part of B: columns column … column + 15, as two fragments of 8.
template <bool K_MAJOR, int MN> DEVICE void fragment_b(u32 (&b)[4], const elem* tile, int column, int kk) {
    int i = threadIdx.x % 32;
    if constexpr (K_MAJOR) ldmatrix_x4(b, tile + place<true, MN>(column + i % 8 + i / 16 * 8, kk / VEC + i / 8 % 2));
    else ldmatrix_x4_trans(b, tile + place<false, MN>(kk + i % 8 + i / 8 % 2 * 8, column / VEC + i / 16));
}

// Adds the products of one stage to a warp's accumulators.
template <class T, bool A_K, bool B_K>
DEVICE void multiply(float (&c)[T::WM / 16][T::WN / 8][4], const elem* a_tile, const elem* b_tile, int row, int column) {
#pragma unroll
    for (int kk = 0; kk < BK; kk += 16) {
        u32 a[T::WM / 16][4], b[T::WN / 16][4];
#pragma unroll
        for (int i = 0; i < T::WM / 16; i++) fragment_a<A_K, T::M>(a[i], a_tile, row + 16 * i, kk);
#pragma unroll
        for (int j = 0; j < T::WN / 16; j++) fragment_b<B_K, T::N>(b[j], b_tile, column + 16 * j, kk);
#pragma unroll
        for (int i = 0; i < T::WM / 16; i++) {
#pragma unroll
            for (int j = 0; j < T::WN / 8; j++) {
                u32 half[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
                mma_16x8x16(c[i][j], a[i], half, elem{});
            }
        }
    }
}

// The tile of C at (m0, n0), summed over k_begin ≤ k < k_end; k_begin is a multiple of VEC.
template <class T, class A, class B, class Result>
DEVICE void product(const A& a, const B& b, u32 m0, u32 n0, u32 k_begin, u32 k_end, const Result& result) {
    SHARED(shared);
    elem* tiles = (elem*)shared;
    constexpr int STAGE = (T::M + T::N) * BK;
    Loader<A, T::M, T::THREADS> load_a(a, m0);
    Loader<B, T::N, T::THREADS> load_b(b, n0);
    auto bring_stage = [&](int stage, u32 k0) {
        if (k0 < k_end) {
            bring(load_a, a, tiles + stage * STAGE, k0, k_end);
            bring(load_b, b, tiles + stage * STAGE + T::M * BK, k0, k_end);
        }
        copy_async_commit();
    };
    int row = warp_row<T>(), column = warp_column<T>();
    float c[T::WM / 16][T::WN / 8][4] = {};
#pragma unroll
    for (int stage = 0; stage < STAGES - 1; stage++) bring_stage(stage, k_begin + stage * BK);
    int stage = 0;
    for (u32 k0 = k_begin; k0 < k_end; k0 += BK) {
        copy_async_wait<STAGES - 2>();
        // The stage that is brought next was read before this barrier.
        __syncthreads();
        bring_stage(stage == 0 ? STAGES - 1 : stage - 1, k0 + (STAGES - 1) * BK);
        const elem* a_tile = tiles + stage * STAGE;
        multiply<T, A::K_MAJOR, B::K_MAJOR>(c, a_tile, a_tile + T::M * BK, row, column);
        stage = stage + 1 == STAGES ? 0 : stage + 1;
    }
    copy_async_wait<0>();
    __syncthreads();
    hand_out<T>(c, (float*)shared, m0, n0, result);
}
