// c [m, n] f32 = Σ_k a [m, k] · b [k, n], k and n multiples of 8. A block of two warps has a tile of 32 by 32, brought by asynchronous
// copies two deep. PRODUCT_… plant faults; the structure Product comes before this text.

constexpr u32 TILE = 32, DEPTH = 32;
// Values between rows: 16 bytes more than a tile has.
constexpr u32 PITCH = TILE + 8;

struct Stage {
    elem a[TILE * PITCH], b[DEPTH * PITCH];
};

DEVICE void bring(const Product& a, Stage& stage, u32 k0) {
    for (u32 i = threadIdx.x; i < TILE * DEPTH / 8; i += 64) {
        u32 row = i / 4, column = i % 4 * 8, m = blockIdx.y * TILE + row, k = k0 + column;
        copy_async_16(stage.a + row * PITCH + column, a.a + m * a.k + k, m < a.m && k < a.k);
#ifdef PRODUCT_WITHOUT_TAIL
        // The last rows are what they were.
        if (k0 + row >= a.k) continue;
#endif
        u32 n = blockIdx.x * TILE + column;
        copy_async_16(stage.b + row * PITCH + column, a.b + (k0 + row) * a.n + n, k0 + row < a.k && n < a.n);
    }
}

KERNEL(product, Product, 64) {
    SHARED(memory);
    Stage* stages = (Stage*)memory;
    u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    float c[4][4] = {};
    bring(a, stages[0], 0);
    copy_async_commit();
    u32 now = 0;
    for (u32 k0 = 0; k0 < a.k; k0 += DEPTH, now ^= 1) {
        if (k0 + DEPTH < a.k) bring(a, stages[now ^ 1], k0 + DEPTH);
        copy_async_commit();
#ifndef PRODUCT_WITHOUT_WAIT
        copy_async_wait<1>();
#endif
#ifndef PRODUCT_WITHOUT_FIRST_BARRIER
        __syncthreads();
#endif
        for (u32 k = 0; k < DEPTH; k += 16) {
            u32 left[4];
            ldmatrix_x4(left, stages[now].a + (warp * 16 + lane % 16) * PITCH + k + lane / 16 * 8);
            for (u32 j = 0; j < 4; j += 2) {
                u32 right[4];
                ldmatrix_x4_trans(right, stages[now].b + (k + lane % 16) * PITCH + j * 8 + lane / 16 * 8);
                mma_16x8x16(c[j], left, {right[0], right[1]}, elem{});
                mma_16x8x16(c[j + 1], left, {right[2], right[3]}, elem{});
            }
        }
#ifndef PRODUCT_WITHOUT_SECOND_BARRIER
        __syncthreads();
#endif
    }
    copy_async_wait<0>();
    __syncthreads();
    // Through memory of its own, so that a warp writes rows.
    float* rows = (float*)memory + warp * 16 * TILE;
    for (u32 j = 0; j < 4; j++) {
        for (u32 r = 0; r < 4; r++) rows[(lane / 4 + r / 2 * 8) * TILE + j * 8 + lane % 4 * 2 + r % 2] = c[j][r];
    }
#ifndef PRODUCT_WITHOUT_WARP_BARRIER
    __syncwarp();
#endif
    for (u32 row = 0; row < 16; row++) {
        u32 m = blockIdx.y * TILE + warp * 16 + row, n = blockIdx.x * TILE + lane;
        if (m < a.m && n < a.n) a.c[m * a.n + n] = rows[row * TILE + lane];
    }
}
