// One fault after the other, which is `how`; 0 is none. The structure Faulty comes before this text.

// So that no compiler sees what is wrong.
DEVICE u32 hidden(u32 x) {
    asm volatile("" : "+r"(x));
    return x;
}

KERNEL(faulty, Faulty, 64) {
    SHARED(memory);
    float* shared = (float*)memory;
    u32 t = threadIdx.x;
    // 64 values are all that there is.
    shared[t] = (float)t;
    __syncthreads();
    switch (a.how) {
        case 1:
            if (t < 32) __syncthreads();
            break;
        case 2:
            if (t != 5) __syncwarp();
            break;
        case 3:
            if (t % 32 < 16) a.y[t] = __shfl_xor_sync(0xffffffff, a.y[t], 1);
            break;
        case 4: store((elem*)a.y + hidden(t + 1), vec{}); break;
        case 5: a.y[t] = load((const elem*)memory + hidden(2)).v[0].bits; break;
        case 6: ((float*)(u64)hidden(0))[t] = 1; break;
        case 7: shared[hidden(t + 1)] = 1; break;
        case 8: a.y[t] = shared[hidden(t + 1)]; break;
        case 9: a.y[hidden(t + 1)] = 1; break;
        case 10: a.y[t] = a.y[hidden(t + 1)]; break;
        case 11: copy_async_16(memory + hidden(8), a.y, true); break;
        case 12: copy_async_16(memory, (const u8*)a.y + hidden(4), true); break;
        case 13: copy_async_16(memory + hidden(256), a.y, true); break;
        case 14: a.y[t] = (float)(7 / hidden(t - t)); break;
        case 15: {
            float local[4] = {1, 2, 3, 4};
            a.y[t] = local[hidden(t)];
            break;
        }
        case 16: {
            u32 registers[4];
            if (t != 40) ldmatrix_x4(registers, memory);
            break;
        }
        case 17: {
            float d[4] = {};
            if (t % 2) {
                mma_16x8x16(d, {0, 0, 0, 0}, {0, 0}, bf16{});
            } else {
                mma_16x8x16(d, {0, 0, 0, 0}, {0, 0}, bf16{});
            }
            break;
        }
        case 18: __syncwarp(1u << (t + 1) % 32); break;
        case 19:
            if (t == 3) return;
            __syncwarp(t % 32 < 16 ? 0x0000ffff : 0xffffffff);
            break;
        default: break;
    }
    __syncthreads();
}

// Threads that end before barriers and shuffles of the others: nobody waits for them.
KERNEL(early, Faulty, 64) {
    SHARED(memory);
    float* shared = (float*)memory;
    u32 t = threadIdx.x;
    if (t >= a.how) return;
    shared[t] = (float)t;
    __syncthreads();
    a.y[t] = __shfl_sync(0xffffffff, shared[a.how - 1 - t], 0);
}
