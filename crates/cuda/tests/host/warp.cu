// Every collective alone: thread i of a warp has registers i of its operands. The structures Fragments and Lanes come before this text.

template <class F> DEVICE void fragments(const Fragments& a, F multiply) {
    u32 i = threadIdx.x;
    float d[4];
    u32 left[4], right[2];
    for (u32 r = 0; r < 4; r++) d[r] = a.d[4 * i + r], left[r] = a.a[4 * i + r];
    for (u32 r = 0; r < 2; r++) right[r] = a.b[2 * i + r];
    multiply(d, left, right);
    for (u32 r = 0; r < 4; r++) a.d[4 * i + r] = d[r];
}
KERNEL(multiply_bf16, Fragments, 32) {
    fragments(a, [](float(&d)[4], u32(&left)[4], u32(&right)[2]) { mma_16x8x16(d, left, right, bf16{}); });
}
KERNEL(multiply_f16, Fragments, 32) {
    fragments(a, [](float(&d)[4], u32(&left)[4], u32(&right)[2]) { mma_16x8x16(d, left, right, f16{}); });
}
KERNEL(multiply_tf32, Fragments, 32) {
    fragments(a, [](float(&d)[4], u32(&left)[4], u32(&right)[2]) { mma_16x8x8_tf32(d, left, right); });
}

// Four matrices, one behind the other.
KERNEL(load_matrices, Lanes, 32) {
    SHARED(memory);
    u32 i = threadIdx.x;
    for (u32 r = 0; r < 4; r++) ((u32*)memory)[4 * i + r] = a.x[4 * i + r];
    __syncwarp();
    u32 to[4];
    if (a.how == 0) {
        ldmatrix_x4(to, memory + 16 * i);
    } else {
        ldmatrix_x4_trans(to, memory + 16 * i);
    }
    for (u32 r = 0; r < 4; r++) a.y[4 * i + r] = to[r];
}

// Each way to shuffle, by `by`, in groups of `width`.
KERNEL(shuffles, Lanes, 64) {
    u32 i = threadIdx.x, x = a.x[i], y;
    int by = (int)a.by, width = (int)a.width;
    switch (a.how) {
        case 0: y = __shfl_sync(0xffffffff, x, by, width); break;
        case 1: y = __shfl_up_sync(0xffffffff, x, a.by, width); break;
        case 2: y = __shfl_down_sync(0xffffffff, x, a.by, width); break;
        case 3: y = __shfl_xor_sync(0xffffffff, x, by, width); break;
        case 4: y = __float_as_uint(__shfl_xor_sync(0xffffffff, __uint_as_float(x), by, width)); break;
        // Halves of a warp on their own, and the even threads of a warp.
        case 5: y = __shfl_xor_sync(i % 32 < 16 ? 0xffff : 0xffff0000, (int)x, by, 16); break;
        default: y = i % 2 ? x : __shfl_xor_sync(0x55555555, x, by); break;
    }
    a.y[i] = y;
}
